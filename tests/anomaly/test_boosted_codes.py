from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from thinfile.anomaly.boosted_codes import BoostedCodesClassifier
from thinfile.baselines.boosted import BoostedTreesClassifier
from thinfile.errors import ParameterError
from thinfile.metrics.ranking import average_precision

SHORT = {"autoencoder": {"max_epochs": 2, "widths": (8,), "latent_size": 3}}


def test_codes_and_scores_become_columns(transactions: Any, again: Any) -> None:
    model = BoostedCodesClassifier(
        detectors=("autoencoder", "ecod"), settings=SHORT, n_trees=5, random_state=0
    ).fit(transactions.X, transactions.y)
    names = ["code of autoencoder 1", "code of autoencoder 2", "code of autoencoder 3"]
    assert model.feature_names_[-5:] == [*names, "score of autoencoder", "score of ecod"]
    assert model.booster_.num_feature() == len(model.feature_names_)
    np.testing.assert_array_equal(
        again(model).predict_proba(transactions.X), model.predict_proba(transactions.X)
    )


def test_codes_can_be_left_out(transactions: Any) -> None:
    model = BoostedCodesClassifier(
        detectors=("autoencoder",), codes=False, settings=SHORT, n_trees=5, random_state=0
    ).fit(transactions.X, transactions.y)
    assert not any("code of" in name for name in model.feature_names_)


def test_a_score_helps_where_no_single_column_does() -> None:
    """Frauds are far out in all of ten columns, in either direction: trees see one at a time."""
    rng = np.random.default_rng(0)
    n = 2000
    x = rng.normal(size=(n, 10))
    truth = np.abs(x).sum(axis=1) > np.quantile(np.abs(x).sum(axis=1), 0.97)
    y = np.where(np.arange(n) < 600, truth, -1)
    with_score, without = (
        average_precision(truth[600:], model.fit(x, y).predict_proba(x[600:])[:, 1])
        for model in (
            BoostedCodesClassifier(detectors=("ecod",), random_state=0),
            BoostedTreesClassifier(random_state=0),
        )
    )
    assert with_score > without + 0.2


def test_detectors_are_named(transactions: Any) -> None:
    with pytest.raises(ParameterError, match="detectors=\\(\\) must be a sequence of at least 1"):
        BoostedCodesClassifier(detectors=()).fit(transactions.X, transactions.y)
