from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.anomaly.detected import DetectorClassifier
from thinfile.anomaly.outlier_score import OutlierScore
from thinfile.errors import ParameterError

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
