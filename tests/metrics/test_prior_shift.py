import numpy as np
import pytest
from scipy.special import expit

from thinfile.errors import DataError, ParameterError
from thinfile.metrics.prior_shift import (
    estimate_prior_shift,
    prior_shift_bbse,
    prior_shift_em,
)


def make_population(n_rows, rate, seed, *, moved=0.0, turned=1.0):
    """Two normal classes; the probability is the true one at a rate of 0.15."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n_rows) < rate).astype(int)
    z = 1.5 * turned * y + rng.normal(size=n_rows) + moved
    return y, expit(1.5 * z - 1.125 + np.log(0.15 / 0.85))


def em_steps(chances, source_rate, n_steps=20_000):
    rate = source_rate
    for _ in range(n_steps):
        up = rate / source_rate * chances
        rate = np.mean(up / (up + (1 - rate) / (1 - source_rate) * (1 - chances)))
    return rate


def test_em_is_the_limit_of_the_papers_steps():
    _, chances = make_population(300, 0.4, 1)
    assert prior_shift_em(chances, 0.15) == pytest.approx(em_steps(chances, 0.15), abs=1e-6)


def test_weights_are_rows_repeated():
    _, chances = make_population(100, 0.4, 1)
    counts = np.arange(100) % 3
    repeated = prior_shift_em(np.repeat(chances, counts), 0.15)
    assert prior_shift_em(chances, 0.15, weight=counts) == pytest.approx(repeated, abs=1e-9)
    y, source = make_population(100, 0.15, 2)
    assert prior_shift_bbse(
        y, source, chances, source_weight=counts, target_weight=counts
    ) == pytest.approx(
        prior_shift_bbse(
            np.repeat(y, counts), np.repeat(source, counts), np.repeat(chances, counts)
        )
    )


@pytest.mark.parametrize("rate", [0.03, 0.15, 0.5, 0.8])
def test_both_find_a_rate_that_nobody_told_them(rate):
    y, source = make_population(20_000, 0.15, 3)
    _, target = make_population(20_000, rate, 4)
    assert prior_shift_em(target, 0.15) == pytest.approx(rate, abs=0.015)
    assert prior_shift_bbse(y, source, target) == pytest.approx(rate, abs=0.02)
    assert prior_shift_bbse(y, source, target, threshold=0.2) == pytest.approx(rate, abs=0.025)


def test_ends_are_reached_and_not_passed():
    assert prior_shift_em([0.01] * 20, 0.5) == 0.0
    assert prior_shift_em([0.99] * 20, 0.5) == 1.0
    assert 0 < prior_shift_em([0.0, 1.0], 0.5) < 1
    assert prior_shift_bbse([0, 1], [0.3, 0.4], [0.9]) == 1.0
    assert np.isnan(prior_shift_bbse([0, 1], [0.3, 0.3], [0.9]))


def test_agreement_under_prior_shift():
    y, source = make_population(4000, 0.15, 5)
    _, target = make_population(4000, 0.35, 6)
    shift = estimate_prior_shift(y, source, target, n_draws=40, random_state=0)
    assert shift.agree
    assert shift.faults == ()
    assert shift.estimate == pytest.approx(0.35, abs=0.03)
    assert min(shift.em, shift.bbse) <= shift.estimate <= max(shift.em, shift.bbse)
    assert 0 < shift.em_error < 0.2
    assert 0 < shift.bbse_error < 0.2
    again = estimate_prior_shift(y, source, target, n_draws=40, random_state=0)
    assert again == shift


def test_standard_errors_match_fresh_data():
    estimates = []
    for seed in range(40):
        y, source = make_population(800, 0.15, 100 + seed)
        _, target = make_population(800, 0.35, 200 + seed)
        estimates.append(prior_shift_bbse(y, source, target))
    spread = np.std(np.log(estimates) - np.log1p(-np.array(estimates)))
    shift = estimate_prior_shift(y, source, target, n_draws=80, random_state=0)
    assert 0.6 < shift.bbse_error / spread < 1.6


def test_no_estimate_where_the_classes_have_moved():
    y, source = make_population(4000, 0.15, 5)
    _, target = make_population(4000, 0.15, 6, moved=-1.5)
    shift = estimate_prior_shift(y, source, target, n_draws=20, random_state=0)
    assert not shift.agree
    assert shift.estimate is None
    assert "no mixture" in " ".join(shift.faults)


def test_no_estimate_from_a_handful_of_rows_or_a_useless_score():
    y, source = make_population(4000, 0.15, 5)
    few = estimate_prior_shift(y, source, source[:4], n_draws=40, random_state=0)
    assert few.estimate is None
    rng = np.random.default_rng(0)
    noise = estimate_prior_shift(y, rng.random(4000), rng.random(500), n_draws=40, random_state=0)
    assert noise.estimate is None
    constant = estimate_prior_shift(y, np.full(4000, 0.2), np.full(50, 0.2), n_draws=5)
    assert constant.estimate is None
    assert constant.faults


def test_faulty_input_is_named():
    with pytest.raises(ParameterError, match="source_rate=0"):
        prior_shift_em([0.2], 0)
    with pytest.raises(DataError, match="the target has no row"):
        prior_shift_em([], 0.2)
    with pytest.raises(DataError, match="the target has no row"):
        prior_shift_bbse([0, 1], [0.1, 0.2], [])
    with pytest.raises(DataError, match="the target has no row"):
        estimate_prior_shift([0, 1], [0.1, 0.2], [])
    with pytest.raises(ParameterError, match="n_draws=1"):
        estimate_prior_shift([0, 1], [0.1, 0.2], [0.1], n_draws=1)
