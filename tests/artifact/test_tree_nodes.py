from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.artifact.tree_nodes import leaves_of, read_trees, splits_of
from thinfile.artifact.tree_tables import MAX_LEAVES, TreeTables
from thinfile.errors import ArtifactError


def fit(
    seed: int, n_leaves: int, gaps: float, **settings: object
) -> tuple[lgb.Booster, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, 4)).astype(np.float32)
    x[:, 2] = rng.integers(0, 12, 400)
    x[:, 3] = np.round(x[:, 3])
    x[rng.random(400) < gaps, 0] = np.nan
    y = (np.nan_to_num(x[:, 0]) + np.sin(x[:, 2]) + rng.normal(size=400) > 0).astype(int)
    data = lgb.Dataset(x, label=y, categorical_feature=[2], params={"verbosity": -1})
    options = {
        "objective": "binary",
        "num_leaves": n_leaves,
        "min_data_in_leaf": 3,
        "min_data_per_group": 3,
        "cat_smooth": 1.0,
        "num_threads": 1,
        "verbosity": -1,
        "seed": 0,
    }
    return lgb.train(options | settings, data, num_boost_round=12), x


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([2, 5, 16, 17, 32, 40, MAX_LEAVES]),
    st.sampled_from([0.0, 0.2]),
)
def test_tables_score_as_lightgbm_does(seed: int, n_leaves: int, gaps: float) -> None:
    booster, x = fit(seed, n_leaves, gaps)
    rng = np.random.default_rng(seed + 1)
    # New rows: gaps where training had none, codes that no split knows, values on thresholds.
    rows = np.concatenate([x, x[rng.permutation(len(x))]])
    rows[::7, rng.integers(0, 2)] = np.nan
    rows[::5, 2] = rng.integers(0, 40, len(rows[::5]))
    tables = TreeTables.from_booster(booster)
    assert tables is not None
    np.testing.assert_allclose(tables.predict(rows), booster.predict(rows), atol=1e-14)


def test_values_on_a_threshold_fall_on_lightgbms_side() -> None:
    booster, _ = fit(3, 16, 0.0)
    thresholds = [
        split.threshold
        for tree in read_trees(booster)
        for split, _ in splits_of(tree)
        if split.feature == 1 and not split.categories
    ]
    exact = np.array(thresholds, np.float32)
    rows = np.zeros((3 * len(exact), 4), np.float32)
    rows[:, 1] = np.concatenate([exact, np.nextafter(exact, np.inf), np.nextafter(exact, -np.inf)])
    tables = TreeTables.from_booster(booster)
    assert tables is not None
    np.testing.assert_allclose(tables.predict(rows), booster.predict(rows), atol=1e-14)


def test_no_rows_and_one_row() -> None:
    booster, x = fit(0, 8, 0.1)
    tables = TreeTables.from_booster(booster)
    assert tables is not None
    assert tables.predict(x[:0]).shape == (0,)
    np.testing.assert_allclose(tables.predict(x[:1]), booster.predict(x[:1]), atol=1e-14)


def test_a_tree_without_a_split_is_its_value() -> None:
    booster, x = fit(0, 8, 0.0, min_data_in_leaf=400)
    tables = TreeTables.from_booster(booster)
    assert tables is not None
    np.testing.assert_allclose(tables.predict(x), booster.predict(x), atol=1e-14)


def test_trees_too_large_for_tables_are_left_to_lightgbm() -> None:
    booster, _ = fit(0, 120, 0.0, min_data_in_leaf=1, min_sum_hessian_in_leaf=0.0)
    assert max(len(leaves_of(tree)) for tree in read_trees(booster)) > MAX_LEAVES
    assert TreeTables.from_booster(booster) is None


def test_another_objective_is_refused() -> None:
    booster, _ = fit(0, 4, 0.0, objective="regression")
    with pytest.raises(ArtifactError, match="objective 'regression' is not supported"):
        read_trees(booster)
    assert TreeTables.from_booster(booster) is None


def test_leaves_and_splits_of_a_tree_agree() -> None:
    booster, _ = fit(1, 16, 0.1)
    for tree in read_trees(booster):
        splits = list(splits_of(tree))
        assert len(leaves_of(tree)) == len(splits) + 1
        for split, first in splits:
            assert 0 < split.n_left < split.n_leaves
            assert first + split.n_leaves <= len(leaves_of(tree))
