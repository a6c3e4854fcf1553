"""Curves against slow, obvious versions and values known in advance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.metrics.ranking import ks, roc_auc
from thinfile.report.curves import calibration_bins, histogram, ranking


def test_a_perfect_score_and_a_constant_one() -> None:
    y = np.array([1] * 10 + [0] * 90, dtype=np.int8)
    perfect = ranking(y, y[None].astype(float))
    assert perfect.caught_by_false[0] == 1.0
    assert perfect.caught[10] == pytest.approx(1.0)
    assert perfect.lift[10] == pytest.approx(10.0)
    assert np.max(perfect.caught - perfect.passed) == pytest.approx(1.0)
    constant = ranking(y, np.full((1, 100), 0.3))
    np.testing.assert_allclose(constant.caught_by_false, constant.grid)
    np.testing.assert_allclose(constant.lift[1:], 1.0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n_values=st.integers(2, 400))
def test_curves_agree_with_the_measures_and_the_obvious_count(seed: int, n_values: int) -> None:
    rng = np.random.default_rng(seed)
    y = (rng.random(400) < 0.2).astype(np.int8)
    y[:2] = 0, 1
    scores = rng.integers(0, n_values, 400) / n_values + 0.1 * y
    curves = ranking(y, scores[None])
    area = np.trapezoid(curves.caught_by_false, curves.grid)
    assert area == pytest.approx(roc_auc(y, scores), abs=0.02)
    assert np.max(curves.caught - curves.passed) <= ks(y, scores) + 1e-9
    # Where a share of rows ends between two scores, the share of events is counted.
    order = np.argsort(-scores, kind="stable")
    for place in (25, 50, 75):
        n_rows = place * 4
        if scores[order[n_rows - 1]] > scores[order[n_rows]]:
            assert curves.caught[place] == pytest.approx(y[order[:n_rows]].sum() / y.sum())


def test_several_seeds_are_averaged() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(300) < 0.3).astype(np.int8)
    runs = rng.random((3, 300))
    mean = np.mean([ranking(y, run[None]).caught for run in runs], axis=0)
    np.testing.assert_allclose(ranking(y, runs).caught, mean)


def test_calibration_bins_count_every_row_once() -> None:
    rng = np.random.default_rng(1)
    probability = rng.beta(1, 8, (2, 1003))
    y = (rng.random(1003) < probability[0]).astype(np.int8)
    bins = calibration_bins(y, probability)
    assert bins.n_rows.sum() == pytest.approx(1003)
    assert bins.n_events.sum() == pytest.approx(y.sum())
    assert (bins.predicted * bins.n_rows).sum() == pytest.approx(probability.mean() * 1003)
    assert np.all(np.diff(bins.predicted) > 0)
    assert np.all((bins.low <= bins.observed) & (bins.observed <= bins.high))


def test_wilson_s_interval_of_no_event_in_ten_rows() -> None:
    bins = calibration_bins(np.zeros(10, np.int8), np.full((1, 10), 0.01))
    assert bins.low[0] == pytest.approx(0, abs=1e-12)
    assert bins.high[0] == pytest.approx(0.2775, abs=1e-4)


def test_histograms_hold_all_rows_and_cut_the_far_end() -> None:
    values = np.r_[np.full(990, 0.1), np.full(10, 0.99)]
    edges, share = histogram({"a": values, "b": np.full(5000, 0.05)})
    assert edges[-1] == pytest.approx(0.1)
    np.testing.assert_allclose(share.sum(axis=1), 1.0)
