import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from thinfile.errors import DataError, ParameterError
from thinfile.metrics import ranking
from thinfile.metrics.ranking import (
    average_precision,
    average_precision_many,
    gini,
    gini_many,
    ks,
    ks_curve,
    ks_many,
    roc_auc,
    roc_auc_many,
    roc_curve,
)


def slow_auc(y, score, weight):
    won = total = 0.0
    for i in np.flatnonzero(y == 1):
        for j in np.flatnonzero(y == 0):
            total += weight[i] * weight[j]
            won += weight[i] * weight[j] * ((score[i] > score[j]) + 0.5 * (score[i] == score[j]))
    return won / total


def slow_ks(y, score, weight):
    gaps = [
        weight[(y == 1) & (score >= t)].sum() / weight[y == 1].sum()
        - weight[(y == 0) & (score >= t)].sum() / weight[y == 0].sum()
        for t in score
    ]
    return max(0.0, *gaps)


@st.composite
def rows(draw):
    n_rows = draw(st.integers(2, 40))
    seed = draw(st.integers(0, 2**16))
    n_values = draw(st.sampled_from([2, 5, 1000]))
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n_rows)
    y[:2] = [0, 1]
    return y, rng.integers(0, n_values, n_rows) / 7.0, rng.random(n_rows) + 0.01


@given(rows())
@settings(max_examples=60, deadline=None)
def test_metrics_equal_the_obvious_loop_and_sklearn_with_ties_and_weights(data):
    y, score, weight = data
    auc = roc_auc(y, score, weight=weight)
    assert auc == pytest.approx(slow_auc(y, score, weight), abs=1e-12)
    assert auc == pytest.approx(sk.roc_auc_score(y, score, sample_weight=weight), abs=1e-12)
    assert gini(y, score, weight=weight) == pytest.approx(2 * auc - 1, abs=1e-12)
    assert ks(y, score, weight=weight) == pytest.approx(slow_ks(y, score, weight), abs=1e-12)
    assert average_precision(y, score, weight=weight) == pytest.approx(
        sk.average_precision_score(y, score, sample_weight=weight), abs=1e-12
    )


@given(rows())
@settings(max_examples=30, deadline=None)
def test_a_weight_is_a_row_repeated(data):
    y, score, _ = data
    counts = 1 + np.arange(y.size) % 3
    for metric in (roc_auc, ks, average_precision):
        repeated = metric(np.repeat(y, counts), np.repeat(score, counts))
        assert metric(y, score, weight=counts) == pytest.approx(repeated, abs=1e-12)


@pytest.mark.parametrize(
    ("many", "one"),
    [
        (roc_auc_many, roc_auc),
        (gini_many, gini),
        (ks_many, ks),
        (average_precision_many, average_precision),
    ],
)
def test_many_equals_one_at_a_time_in_chunks(many, one, monkeypatch):
    monkeypatch.setattr(ranking, "CHUNK_VALUES", 150)  # three draws at a time
    rng = np.random.default_rng(3)
    y, score = rng.integers(0, 2, 50), rng.integers(0, 12, 50) / 3
    weights = rng.multinomial(50, np.full(50, 0.02), size=11).astype(np.uint8)
    expected = [one(y, score, weight=w) for w in weights]
    np.testing.assert_allclose(many(y, score, weights), expected, atol=1e-12)


def test_a_draw_without_a_class_is_nan_and_silent():
    weights = np.array([[1, 1, 1], [0, 0, 3], [2, 1, 0]])
    for many in (roc_auc_many, ks_many, average_precision_many):
        values = many([0, 0, 1], [0.1, 0.2, 0.3], weights)
        assert np.isnan(values[2])
        assert values[0] == 1.0


def test_order_is_all_that_counts():
    rng = np.random.default_rng(0)
    y, score = rng.integers(0, 2, 200), rng.normal(size=200)
    for metric in (roc_auc, ks, average_precision):
        assert metric(y, score) == metric(y, np.exp(3 * score))
    assert roc_auc(y, -score) == pytest.approx(1 - roc_auc(y, score))


def test_a_reversed_score_has_no_ks():
    assert ks([0, 0, 1, 1], [4, 3, 2, 1]) == 0.0


def test_equal_scores_carry_no_information():
    y = [0, 1, 1, 0, 1]
    assert roc_auc(y, np.ones(5)) == 0.5
    assert ks(y, np.ones(5)) == 0.0
    assert average_precision(y, np.ones(5)) == pytest.approx(0.6)


def test_full_curve_has_the_area_and_the_points_of_sklearn():
    rng = np.random.default_rng(1)
    y, score = rng.integers(0, 2, 80), rng.integers(0, 30, 80)
    curve = roc_curve(y, score, n_points=1000)
    fpr, tpr, threshold = sk.roc_curve(y, score, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_positive_rate, fpr)
    np.testing.assert_allclose(curve.true_positive_rate, tpr)
    np.testing.assert_allclose(curve.threshold, threshold)


def test_thinned_curves_keep_ends_and_the_best_point():
    rng = np.random.default_rng(2)
    y = (rng.random(5000) < 0.2).astype(int)
    score = y + rng.normal(size=5000)
    curve = roc_curve(y, score, n_points=100)
    assert curve.threshold.size <= 100
    assert (curve.false_positive_rate[0], curve.true_positive_rate[0]) == (0, 0)
    assert (curve.false_positive_rate[-1], curve.true_positive_rate[-1]) == (1, 1)
    area = np.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert area == pytest.approx(roc_auc(y, score), abs=2e-3)
    both = ks_curve(y, score, n_points=50)
    assert both.threshold.size <= 50
    assert both.best_distance == pytest.approx(ks(y, score), abs=1e-12)
    assert (both.share_positive - both.share_negative).max() == both.best_distance
    assert both.best_threshold in both.threshold


@pytest.mark.parametrize(
    ("y", "score", "weight", "message"),
    [
        ([1, 1], [0.1, 0.2], None, "2 rows of class 1 and 0 of class 0: both are needed"),
        ([], [], None, "both are needed"),
        ([0, 2, 1], [1, 2, 3], None, r"1 of 3 values are neither 0 nor 1 \(first: row 1, 2\)"),
        ([0, 1], [1, np.nan], None, r"score: 1 of 2 values are not finite \(first: row 1, nan\)"),
        ([0, 1], [1, 2, 3], None, "score has 3 rows and y has 2"),
        ([0, 1], [1, 2], [1, -1], r"weight: 1 of 2 values are negative \(first: row 1, -1.0\)"),
        ([0, 1], [1, 2], [1, 0], "the rows of class 1 have no weight"),
        ([[0, 1]], [1, 2], None, "y has 2 dimensions"),
    ],
)
def test_faulty_input_is_named(y, score, weight, message):
    for metric in (roc_auc, ks, average_precision):
        with pytest.raises(DataError, match=message):
            metric(y, score, weight=weight)


def test_shapes_and_points_are_checked():
    with pytest.raises(DataError, match=r"shape \(3,\), it must be \(draws, 2\)"):
        roc_auc_many([0, 1], [0, 1], np.ones(3))
    with pytest.raises(ParameterError, match="n_points=1"):
        roc_curve([0, 1, 0], [0, 1, 2], n_points=1)
    with pytest.raises(ParameterError, match="n_points=2"):
        ks_curve([0, 1, 0], [0, 1, 2], n_points=2)
