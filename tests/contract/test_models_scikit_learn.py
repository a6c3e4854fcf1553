"""scikit-learn's own checks for every model of tables that is no classifier.

Its checks give two-dimensional arrays: models of images and of windows cannot take part.
"""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from thinfile.methods import MODELS

QUICK: dict[str, Any] = {
    "widths": (4,),
    "discriminator_widths": (4,),
    "max_epochs": 1,
    "max_steps": 3,
    "n_checks": 1,
    "batch_size": 32,
    "tricks": {"packing": 1},
    "device": "cpu",
}
OF_TABLES = ("autoencoder", "vae", "table_gan", "smote")
EXEMPT = {"check_methods_subset_invariance": "in float32 the seventh digit depends on rows beside"}


def _quick(name: str) -> Any:
    cls = MODELS[name].estimator_class()
    known = cls().get_params()
    return cls(**{key: value for key, value in QUICK.items() if key in known})


@parametrize_with_checks([_quick(name) for name in OF_TABLES])
def test_check(estimator: Any, check: Any) -> None:
    if reason := EXEMPT.get(check.func.__name__):
        pytest.skip(reason)
    check(estimator)
