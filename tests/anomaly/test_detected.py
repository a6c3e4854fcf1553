from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.anomaly.detected import DetectorClassifier
from thinfile.anomaly.outlier_score import OutlierScore
from thinfile.errors import ParameterError
from thinfile.metrics.ranking import average_precision

NESTED = pytest.mark.parametrize("name", ["autoencoder", "vae"])
SHORT = {"max_epochs": 2, "widths": (8,)}


def test_labels_do_not_change_the_order_of_rows(transactions: Any) -> None:
    """Only the probability; the detector sees none of them."""
    turned = np.where(transactions.y >= 0, 1 - transactions.y, -1)
    few = transactions.X.filter(pl.Series(transactions.y == -1))
    scores = [
        DetectorClassifier(detector="ecod").fit(transactions.X, y).predict_proba(few)[:, 1]
        for y in (transactions.y, turned)
    ]
    np.testing.assert_array_equal(np.argsort(scores[0]), np.argsort(scores[1]))


@pytest.mark.parametrize("n_unlabelled", [2_000, 0])
def test_known_frauds_do_not_pass_for_usual(n_unlabelled: int) -> None:
    """With a third of the labelled rows frauds, far out rows stay unusual."""
    rng = np.random.default_rng(0)
    genuine, frauds = rng.normal(size=(n_unlabelled + 600, 2)), rng.normal(6, 1, size=(300, 2))
    X = np.concatenate([genuine, frauds])
    y = np.repeat([-1, 0, 1], [n_unlabelled, 600, 300])
    new, truth = rng.normal(size=(400, 2)), np.repeat([0, 1], [200, 200])
    new[200:] += 6
    for detector in ("ecod", "isolation_forest"):
        model = DetectorClassifier(detector=detector, random_state=0).fit(X, y)
        assert average_precision(truth, model.anomaly_score(new)) > 0.99


def test_a_detector_that_finds_the_others_says_so(transactions: Any) -> None:
    turned = np.where(transactions.y >= 0, 1 - transactions.y, -1)
    model = DetectorClassifier(detector="ecod").fit(transactions.X, turned)
    assert model.notes_[-1] == "detector='ecod' does not score labelled events above other rows"


def test_probability_grows_with_the_score(transactions: Any) -> None:
    model = DetectorClassifier(random_state=0).fit(transactions.X, transactions.y)
    order = np.argsort(model.anomaly_score(transactions.X))
    assert (np.diff(model.predict_proba(transactions.X)[order, 1]) >= 0).all()


@NESTED
def test_networks_are_detectors_too(name: str, transactions: Any, again: Any) -> None:
    model = DetectorClassifier(detector=name, settings=SHORT, random_state=0)
    model.fit(transactions.X, transactions.y)
    probability = model.predict_proba(transactions.X)
    assert np.isfinite(probability).all()
    assert len(np.unique(probability[:, 1])) > 1000
    assert [record["epoch"] for record in model.history_] == [1, 2]
    np.testing.assert_array_equal(again(model).predict_proba(transactions.X), probability)


@NESTED
def test_codes_have_a_row_each(name: str, transactions: Any) -> None:
    model = DetectorClassifier(detector=name, settings=SHORT, random_state=0)
    model.fit(transactions.X, transactions.y)
    encoded = model._encode(transactions.X[:7])
    assert model._outlier.codes(encoded).shape[0] == 7


def test_unknown_settings_are_named() -> None:
    with pytest.raises(ParameterError, match="'depth': 3} are no arguments of detector='ecod'"):
        OutlierScore("ecod", {"depth": 3})


def test_settings_reach_the_detector(transactions: Any) -> None:
    model = DetectorClassifier(settings={"n_trees": 7}, random_state=0)
    model.fit(transactions.X, transactions.y)
    assert len(model.get_state().arrays["detector.root"]) == 7


def test_unknown_detectors_are_refused(transactions: Any) -> None:
    with pytest.raises(ParameterError, match="detector='lof' must be one of 'isolation_forest'"):
        DetectorClassifier(detector="lof").fit(transactions.X, transactions.y)
