import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn import metrics as sk

from thinfile.errors import DataError, ParameterError
from thinfile.metrics.calibration import (
    LEVEL_SHARE,
    MIN_SLOPE,
    Calibration,
    brier,
    expected_calibration_error,
    fit_calibration,
    log_loss,
    match_base_rate,
    reliability_table,
    wilson_interval,
)


def make_rows(n_rows=500, slope=1.0, intercept=0.0, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 1.5, n_rows)
    y = (rng.random(n_rows) < expit(slope * logits + intercept)).astype(int)
    return expit(logits), y


def test_losses_equal_sklearn_with_weights():
    chances, y = make_rows()
    weight = np.linspace(0.1, 2, y.size)
    assert brier(y, chances, weight=weight) == pytest.approx(
        sk.brier_score_loss(y, chances, sample_weight=weight)
    )
    assert log_loss(y, chances, weight=weight) == pytest.approx(
        sk.log_loss(y, chances, sample_weight=weight)
    )
    assert log_loss([1], [0.0]) == pytest.approx(-np.log(1e-12))


def test_wilson_interval_has_the_published_values():
    # Newcombe, Statistics in Medicine 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    low, high = wilson_interval([81, 15, 0, 1], [263, 148, 20, 29])
    np.testing.assert_allclose(low, [0.2553, 0.0624, 0.0, 0.0061], atol=5e-5)
    np.testing.assert_allclose(high, [0.3662, 0.1605, 0.1611, 0.1718], atol=5e-5)


def test_reliability_counts_every_row_once_in_even_bins():
    chances, y = make_rows(1003)
    table = reliability_table(y, chances, n_bins=10)
    assert table.n_rows.sum() == 1003
    assert table.n_rows.size == 10
    assert table.n_rows.min() >= 99
    assert table.n_rows.max() <= 102
    assert (table.n_rows * table.rate).sum() == pytest.approx(y.sum())
    assert (np.diff(table.mean_probability) > 0).all()
    assert ((table.low <= table.rate) & (table.rate <= table.high)).all()


def test_equal_probabilities_share_a_bin():
    chances = np.array([0.1] * 90 + [0.5] * 10)
    table = reliability_table(np.arange(100) % 2, chances, n_bins=10)
    np.testing.assert_allclose(table.mean_probability, [0.1, 0.5])
    constant = reliability_table([0, 1, 1], [0.3, 0.3, 0.3])
    assert constant.n_rows.tolist() == [3]
    assert expected_calibration_error([0, 1, 1], [0.3] * 3) == pytest.approx(2 / 3 - 0.3)


def test_strong_data_give_the_true_line_and_calibrated_scores():
    chances, y = make_rows(40_000, slope=0.6, intercept=0.8)
    line = fit_calibration(chances, y)
    assert line.slope == pytest.approx(0.6, abs=0.04)
    assert line.intercept == pytest.approx(0.8, abs=0.06)
    assert expected_calibration_error(y, line.apply(chances)) < 0.01
    assert expected_calibration_error(y, chances) > 0.05


def test_the_fit_is_the_minimum_that_a_general_optimiser_finds():
    chances, y = make_rows(60, slope=2.0, intercept=1.0)
    weight = np.linspace(0.2, 2, 60)
    z = logit(chances)
    middle = np.average(z, weights=weight)

    def loss(line):
        margin = (2 * y - 1) * (line[0] * z + line[1])
        turn = line[0] - 0.8
        level = line[1] + turn * middle - 0.3
        penalty = 0.5 * 4.0 * (turn**2 + LEVEL_SHARE * level**2)
        return (weight * np.logaddexp(0, -margin)).sum() + penalty

    line = fit_calibration(
        chances, y, weight=weight, prior_slope=0.8, prior_intercept=0.3, prior_strength=4.0
    )
    best = minimize(loss, [1, 0], method="BFGS", options={"gtol": 1e-9}).x
    assert (line.slope, line.intercept) == pytest.approx(tuple(best), abs=1e-4)


def test_the_prior_holds_where_labels_say_nothing():
    assert fit_calibration([], [], prior_slope=0.7, prior_intercept=-1) == Calibration(0.7, -1.0)
    chances, y = make_rows(200, slope=2.0, intercept=1.0)
    held = fit_calibration(chances, y, prior_strength=1e9)
    assert (held.slope, held.intercept) == pytest.approx((1.0, 0.0), abs=1e-3)
    none = fit_calibration(chances, y, weight=np.zeros(200))
    assert none == Calibration(1.0, 0.0)


@pytest.mark.parametrize(
    ("chances", "y"),
    [
        ([0.2, 0.9], [0, 1]),
        ([0.0, 1.0] * 20, [0, 1] * 20),
        ([0.0, 1.0] * 20, [1, 0] * 20),
        ([0.3] * 50, [1] * 50),
        ([0.3] * 50, [0] * 50),
        (np.linspace(0.01, 0.99, 100), (np.arange(100) >= 50).astype(int)),
        (np.linspace(0.01, 0.99, 100), (np.arange(100) < 50).astype(int)),
    ],
)
def test_few_separable_and_hostile_labels_do_not_diverge(chances, y):
    line = fit_calibration(chances, y)
    assert MIN_SLOPE <= line.slope < 20
    assert abs(line.intercept) < 20
    assert np.isfinite(line.apply(chances)).all()


@given(st.integers(0, 1000), st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_order_of_rows_is_never_turned_round(seed, n_rows):
    rng = np.random.default_rng(seed)
    chances, y = np.sort(rng.random(n_rows)), rng.integers(0, 2, n_rows)
    calibrated = fit_calibration(chances, y, prior_strength=0.01).apply(chances)
    assert (np.diff(calibrated) >= 0).all()
    assert ((calibrated >= 0) & (calibrated <= 1)).all()


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
    st.floats(0.001, 0.999),
)
@settings(max_examples=60, deadline=None)
def test_the_shift_meets_the_rate(chances, rate):
    shift = match_base_rate(chances, rate)
    assert Calibration(1.0, shift).apply(chances).mean() == pytest.approx(rate, abs=1e-8)


def test_the_shift_takes_weights():
    weight = [1.0, 3.0]
    shift = match_base_rate([0.2, 0.6], 0.3, weight=weight)
    assert np.average(Calibration(1, shift).apply([0.2, 0.6]), weights=weight) == pytest.approx(0.3)


def test_faulty_input_is_named():
    with pytest.raises(DataError, match=r"probability: 1 of 2 values are outside \[0, 1\]"):
        brier([0, 1], [0.2, 1.2])
    with pytest.raises(DataError, match="probability has 1 rows and y has 2"):
        log_loss([0, 1], [0.2])
    with pytest.raises(ParameterError, match="rate=1"):
        match_base_rate([0.2], 1)
    with pytest.raises(DataError, match="there is no row"):
        match_base_rate([], 0.2)
    with pytest.raises(ParameterError, match="prior_strength=0 must be > 0"):
        fit_calibration([0.2], [1], prior_strength=0)
    with pytest.raises(ParameterError, match="n_bins=0"):
        reliability_table([0, 1], [0.1, 0.2], n_bins=0)
    with pytest.raises(ParameterError, match="level=1"):
        wilson_interval(1, 2, level=1)
