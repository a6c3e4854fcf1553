from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest

from thinfile.anomaly.isolation import IsolationTrees, _path_length


@settings(deadline=None, max_examples=8)
@example(n=1, width=1, ties=False, seed=0)
@given(n=st.integers(1, 400), width=st.integers(1, 6), ties=st.booleans(), seed=st.integers(0, 100))
def test_scores_are_those_of_scikit_learn(n: int, width: int, ties: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)).astype(np.float32)
    x = np.round(x) if ties else x
    new = (3 * rng.normal(size=(50, width))).astype(np.float32)
    ours = IsolationTrees(n_trees=10).fit(x, seed)
    theirs = IsolationForest(n_estimators=10, max_samples=min(256, n), random_state=seed).fit(x)
    for rows in (x, new):
        np.testing.assert_allclose(ours.score(rows), -theirs.score_samples(rows), rtol=1e-12)


def test_more_rows_than_are_scored_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    model = IsolationTrees(n_trees=5).fit(x, 0)
    whole = model.score(x)
    monkeypatch.setattr("thinfile.anomaly.isolation.ROWS_AT_ONCE", 7)
    np.testing.assert_array_equal(model.score(x), whole)
    assert model.score(x[:0]).shape == (0,)


def test_path_lengths_are_those_of_the_paper() -> None:
    """c(2) = 1, and c(256) = 10.24, equation 1 of Liu, Ting, Zhou."""
    np.testing.assert_allclose(_path_length(np.array([1, 2, 256])), [0, 1, 10.2448], atol=1e-4)


def test_no_training_row_is_kept() -> None:
    x = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    model = IsolationTrees(n_trees=5).fit(x, 0)
    kept = np.concatenate([np.ravel(a).astype(np.float64) for a in model.arrays.values()])
    assert not np.isin(x, kept.astype(np.float32)).any()
