from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.baselines.boosted import BoostedTreesClassifier, coral_align
from thinfile.metrics.ranking import roc_auc


def build(**arguments: Any) -> BoostedTreesClassifier:
    settings = {"n_trees": 40, "target_domain": "new", "random_state": 0, **arguments}
    return BoostedTreesClassifier(**settings)


def fit(data: Any, **arguments: Any) -> BoostedTreesClassifier:
    return build(**arguments).fit(data.X, data.y, domain=data.domain)


def auc(model: BoostedTreesClassifier, data: Any) -> float:
    rows = data.hidden
    score = model.predict_proba(data.X[rows.tolist()])[:, 1]
    return roc_auc(data.truth[rows], score)


def test_rows_decide_whose_law_is_learned(in_conflict: Any) -> None:
    """`b` means the opposite in the target; only the target's labels can tell."""
    found = {
        rows: auc(fit(in_conflict, rows=rows), in_conflict)
        for rows in ("source", "target", "pooled")
    }
    assert found["source"] < 0.65
    assert found["target"] > found["source"] + 0.1
    assert found["pooled"] > found["source"] + 0.05


def test_a_population_column_is_used_where_there_are_two(in_conflict: Any) -> None:
    assert fit(in_conflict, rows="pooled").booster_.num_feature() == 4
    assert fit(in_conflict, rows="source").booster_.num_feature() == 3
    assert fit(in_conflict, rows="target").booster_.num_feature() == 3


def test_the_target_counts_more_with_a_weight(in_conflict: Any) -> None:
    light, heavy = (fit(in_conflict, target_weight=w) for w in (0.05, 20.0))
    assert auc(heavy, in_conflict) > auc(light, in_conflict)


def test_source_rows_alone_decide_a_source_model(in_conflict: Any) -> None:
    turned = np.where(
        in_conflict.is_target & (in_conflict.y >= 0), 1 - in_conflict.y, in_conflict.y
    )
    first = fit(in_conflict, rows="source", target_rate=None)
    second = build(rows="source", target_rate=None).fit(
        in_conflict.X, turned, domain=in_conflict.domain
    )
    assert first.get_state().files == second.get_state().files


def test_scaling_within_a_population_undoes_another_unit(
    populations: Callable[..., Any],
) -> None:
    """The new portfolio counts in cents and from another zero."""
    data = populations(n_labels=0, move=50.0, stretch=100.0)
    plain, scaled = (fit(data, rows="source", align=align) for align in (None, "scale"))
    assert auc(scaled, data) > auc(plain, data) + 0.05
    assert auc(scaled, data) > 0.8


def test_scaling_is_what_it_says(populations: Callable[..., Any]) -> None:
    """A target in another unit gives the scores of the same target in the old one."""
    data, other = populations(), populations(move=3.0, stretch=2.0)
    first, second = (fit(d, align="scale") for d in (data, other))
    np.testing.assert_allclose(
        first.predict_proba(data.X[data.hidden.tolist()]),
        second.predict_proba(other.X[other.hidden.tolist()]),
        atol=0.02,
    )
    assert first.location_[0] == pytest.approx(
        data.X["a"].to_numpy()[data.is_target].mean(), abs=1e-5
    )
    assert second.scale_[0] == pytest.approx(2 * first.scale_[0], rel=1e-4)


def test_importance_weights_say_how_far_they_can_be_trusted(
    populations: Callable[..., Any],
) -> None:
    near, far = (fit(populations(n_labels=0, move=move), importance=True) for move in (0.0, 2.0))
    assert far.effective_rows_ < near.effective_rows_ <= 400
    assert any("effective rows of 400" in note for note in far.notes_)


def test_importance_weights_favour_rows_that_look_like_the_target() -> None:
    """The law changes at a = 0, and the target lies above it: only rows there matter."""
    rng = np.random.default_rng(0)
    a = np.r_[rng.normal(-0.5, 1, 600), rng.normal(1.5, 0.7, 600)]
    b = rng.normal(size=1200)
    log_odds = np.where(a > 0, 3.0, -3.0) * b
    truth = (rng.random(1200) < 1 / (1 + np.exp(-log_odds))).astype(int)
    y = np.where(np.arange(1200) < 600, truth, -1)
    X, domain = pl.DataFrame({"a": a, "b": b}), np.repeat(["old", "new"], 600)
    few = {"n_trees": 8, "n_leaves": 3}  # too few leaves for both laws
    scores = [
        build(importance=importance, **few).fit(X, y, domain=domain).predict_proba(X[600:])[:, 1]
        for importance in (False, True)
    ]
    assert roc_auc(truth[600:], scores[1]) > roc_auc(truth[600:], scores[0]) + 0.05


# CORAL --------------------------------------------------------------------------------------


def correlated(n: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mix = 2 * np.eye(width) + 0.3 * rng.normal(size=(width, width))
    return (rng.normal(size=(n, width)) @ mix + rng.normal(size=width)).astype(np.float32)


@settings(deadline=None)
@given(width=st.integers(1, 6), seed=st.integers(0, 1000))
def test_coral_gives_the_targets_mean_and_covariance(width: int, seed: int) -> None:
    source, target = correlated(300, width, seed), correlated(200, width, seed + 1)
    aligned = coral_align(source, target, ridge=1e-6).astype(np.float64)
    np.testing.assert_allclose(aligned.mean(0), target.mean(0), atol=1e-3)
    size = np.abs(np.cov(target, rowvar=False)).max()
    np.testing.assert_allclose(
        np.cov(aligned, rowvar=False), np.cov(target, rowvar=False), atol=0.01 * size + 1e-5
    )


def test_coral_is_the_papers_formula() -> None:
    """Square roots by scipy, row by row: whiten, colour, move."""
    from scipy.linalg import fractional_matrix_power

    source, target = correlated(200, 3, 0), correlated(150, 3, 1)
    eye = np.eye(3)
    whiten = fractional_matrix_power(np.cov(source, rowvar=False) + eye, -0.5)
    colour = fractional_matrix_power(np.cov(target, rowvar=False) + eye, 0.5)
    slow = np.array([(row - source.mean(0)) @ whiten @ colour + target.mean(0) for row in source])
    np.testing.assert_allclose(coral_align(source, target), slow, atol=1e-4)


def test_coral_of_alike_populations_changes_nothing() -> None:
    source = correlated(200, 4, 0)
    np.testing.assert_allclose(coral_align(source, source), source, atol=1e-4)


def test_coral_of_no_columns_is_no_columns() -> None:
    assert coral_align(np.empty((5, 0), np.float32), np.empty((3, 0), np.float32)).shape == (5, 0)


def test_coral_trees_score_the_target_as_it_is(populations: Callable[..., Any]) -> None:
    data = populations(n_labels=0)
    model = fit(data, align="coral")
    assert auc(model, data) > 0.75
    target = data.X[data.hidden.tolist()]
    one_by_one = [model.predict_proba(target[row : row + 1])[0, 1] for row in range(5)]
    np.testing.assert_allclose(model.predict_proba(target)[:5, 1], one_by_one)


def test_nothing_to_align_is_no_harm(alike: Any) -> None:
    only = ~alike.is_target
    for align in ("scale", "coral"):
        model = build(align=align, target_domain=None)
        model.fit(alike.X.filter(pl.Series(only)), alike.y[only])
        assert np.isfinite(model.predict_proba(alike.X)).all()
