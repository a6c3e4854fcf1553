from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from thinfile.baselines.boosted_rest import BoostedRestClassifier, sample_rows
from thinfile.errors import ParameterError
from thinfile.metrics.ranking import roc_auc


def some_rows(n: int = 800, n_known: int = 40) -> tuple[Any, Any, Any]:
    """One row in ten is an event; half of the events' number is labelled, and nothing else."""
    rng = np.random.default_rng(0)
    truth = rng.random(n) < 0.1
    X = rng.normal(size=(n, 3)) + 1.5 * truth[:, None] * [1, -1, 0]
    y = np.full(n, -1)
    y[np.flatnonzero(truth)[:n_known]] = 1
    y[np.flatnonzero(~truth)[:2]] = 0
    return X, y, truth


def test_unlabelled_rows_stand_for_genuine_ones() -> None:
    """Two genuine labels are no training set; the rest makes it one."""
    X, y, truth = some_rows()
    hidden = y == -1
    auc = [
        roc_auc(
            truth[hidden],
            BoostedRestClassifier(max_unlabelled=most, random_state=0)
            .fit(X, y)
            .predict_proba(X[hidden])[:, 1],
        )
        for most in (None, 0)
    ]
    assert auc[0] > 0.8
    assert auc[0] > auc[1] + 0.1


def test_weights_of_the_kinds() -> None:
    y = np.array([1, 0, 0, -1, -1], dtype=np.int8)
    plain = BoostedRestClassifier(unlabelled_weight=0.5, event_weight=3.0)
    assert plain._weight(y).tolist() == [3.0, 1.0, 1.0, 0.5, 0.5]
    balanced = BoostedRestClassifier(event_weight="balanced", unlabelled_weight=0.5)
    assert balanced._weight(y).tolist() == [3.0, 1.0, 1.0, 0.5, 0.5]


def test_a_sample_keeps_the_order_and_the_size() -> None:
    rng = np.random.default_rng(0)
    drawn = sample_rows(np.arange(10, 60), 20, rng)
    assert len(set(drawn)) == 20
    assert (np.diff(drawn) > 0).all()
    assert sample_rows(np.arange(5), None, rng).tolist() == [0, 1, 2, 3, 4]
    assert sample_rows(np.arange(5), 0, rng).tolist() == []


def test_all_faults_of_the_arguments_are_told_at_once() -> None:
    X, y, _ = some_rows(100, 5)
    with pytest.raises(ParameterError, match=r"max_unlabelled=-1 must.*unlabelled_weight=0 must"):
        BoostedRestClassifier(max_unlabelled=-1, unlabelled_weight=0).fit(X, y)
