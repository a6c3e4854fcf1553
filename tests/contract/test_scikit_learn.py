"""scikit-learn's own checks for every method; each exemption has its reason."""

from __future__ import annotations

from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from thinfile.estimator import Estimator
from thinfile.methods import METHODS

QUICK: dict[str, Any] = {
    "n_trees": 15,
    "n_rounds": 2,
    "min_leaf_rows": 5,
    "widths": (16,),
    "dropout": 0.0,
    "learning_rate": 0.05,
    "max_epochs": 15,
    "tuning_epochs": 2,
    "batch_size": 32,
    "device": "cpu",
}

EXEMPT = {
    "check_classifiers_classes": "labels every second row -1, which means 'no label' here",
}


def _quick(name: str) -> Estimator:
    known = METHODS[name].estimator_class()().get_params()
    return METHODS[name].build(**{k: v for k, v in QUICK.items() if k in known})


@parametrize_with_checks(
    [_quick(name) for name in METHODS],
    expected_failed_checks=lambda estimator: EXEMPT,
)
def test_check(estimator: Estimator, check: Any) -> None:
    check(estimator)
