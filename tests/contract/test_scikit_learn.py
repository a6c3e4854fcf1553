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
    "n_members": 1,
}

EXEMPT = {
    "check_classifiers_classes": "labels every second row -1, which means 'no label' here",
}

WITHOUT_LABELS = {"check_classifiers_train": "its order is found without labels"}


def _exempt(estimator: Estimator) -> dict[str, str]:
    has_far_order = getattr(estimator, "detector", None) == "autoencoder"
    return EXEMPT | (WITHOUT_LABELS if has_far_order else {})


def _unlike() -> list[Estimator]:
    """One of the methods that differ in name only, such as boosted trees for three groups."""
    found = {(m.path, repr(dict(m.params))): name for name, m in METHODS.items()}
    return [_quick(name) for name in found.values()]


def _quick(name: str) -> Estimator:
    known = METHODS[name].estimator_class()().get_params()
    return METHODS[name].build(**{k: v for k, v in QUICK.items() if k in known})


@parametrize_with_checks(
    _unlike(),
    expected_failed_checks=_exempt,
)
def test_check(estimator: Estimator, check: Any) -> None:
    check(estimator)
