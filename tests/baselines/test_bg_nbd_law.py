from __future__ import annotations

import gzip
from dataclasses import astuple
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad
from scipy.special import hyp2f1

from thinfile.baselines import bg_nbd_law
from thinfile.baselines.bg_nbd_law import BGNBDParameters, fit_bg_nbd
from thinfile.data.datasets import data_folder
from thinfile.errors import DataError, ParameterError

SAMPLE = Path(__file__).parents[2] / "benchmarks" / "cdnow_sample.txt"
PUBLISHED = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)


@pytest.fixture(scope="module")
def cdnow() -> pl.DataFrame:
    """x, recency and age in weeks after 39 weeks, for the customers of the classical sample."""
    try:
        path = data_folder() / "cdnow_master.txt.gz"
    except DataError as error:
        pytest.skip(str(error))
    cells = np.array(gzip.decompress(path.read_bytes()).decode().split()).reshape(-1, 4)
    ids = [int(word) for word in SAMPLE.read_text().split("\n", 1)[1].split()]
    log = pl.DataFrame({"customer": cells[:, 0].astype(int), "day": cells[:, 1]})
    end = date(1997, 9, 30)
    log = log.with_columns(pl.col("day").str.to_date("%Y%m%d")).filter(pl.col("day") <= end)
    first, last = pl.col("day").min(), pl.col("day").max()
    weeks = {"recency": last - first, "age": pl.lit(end) - first}
    counted = log.group_by("customer").agg(
        repeat=pl.col("day").n_unique() - 1,
        **{name: span.dt.total_days() / 7 for name, span in weeks.items()},
    )
    return counted.filter(pl.col("customer").is_in(pl.Series(ids).implode()))


def simulate(
    law: BGNBDParameters, age: float, horizon: float, n: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Repeat purchases, recency, still alive at `age`, and purchases within the horizon after."""
    rng = np.random.default_rng(seed)
    rate, p = rng.gamma(law.r, 1 / law.alpha, n), rng.beta(law.a, law.b, n)
    now, alive = np.zeros(n), np.ones(n, dtype=bool)
    repeat, recency, later = np.zeros(n), np.zeros(n), np.zeros(n)
    alive_at_age = np.ones(n, dtype=bool)
    while alive.any():
        now += np.where(alive, rng.exponential(1 / np.maximum(rate, 1e-300)), 0.0)
        alive &= now <= age + horizon
        early = alive & (now <= age)
        repeat += early
        recency = np.where(early, now, recency)
        later += alive & ~early
        dropped = alive & (rng.random(n) < p)
        alive_at_age &= ~(dropped & early)
        alive &= ~dropped
    return repeat, recency, alive_at_age, later


def test_the_classical_sample_gives_the_published_parameters(cdnow):
    assert cdnow.height == 2357
    law = fit_bg_nbd(cdnow["repeat"], cdnow["recency"], cdnow["age"])
    np.testing.assert_allclose(astuple(law), astuple(PUBLISHED), atol=1e-3)
    likelihood = law.log_likelihood(cdnow["repeat"], cdnow["recency"], cdnow["age"])
    assert likelihood == pytest.approx(-9582.4, abs=0.05)


def test_the_published_customer_is_expected_to_buy_as_often_as_published():
    # Fader, Hardie, Lee: x = 2, t_x = 30.43, T = 38.86, within the next 39 weeks.
    assert PUBLISHED.expected_purchases([2], [30.43], [38.86], 39.0)[0] == pytest.approx(
        1.226, abs=0.001
    )


def test_parameters_of_a_simulation_are_found_again():
    law = BGNBDParameters(r=0.6, alpha=5.0, a=0.9, b=3.0)
    repeat, recency, _, _ = simulate(law, 60.0, 1.0, 30_000)
    found = fit_bg_nbd(repeat, recency, np.full(len(repeat), 60.0))
    np.testing.assert_allclose(astuple(found), astuple(law), rtol=0.12)


@pytest.mark.parametrize("horizon", [4.0, 39.0])
def test_probabilities_and_expectations_are_those_of_a_simulation(horizon):
    law = BGNBDParameters(r=0.6, alpha=5.0, a=0.9, b=3.0)
    repeat, recency, alive, later = simulate(law, 30.0, horizon, 60_000, seed=1)
    age = np.full(len(repeat), 30.0)
    chance = law.probability_of_purchase(repeat, recency, age, horizon)
    is_alive = law.probability_alive(repeat, recency, age)
    expected = law.expected_purchases(repeat, recency, age, horizon)
    # By what the law says, and by what was seen: each group must come true.
    groups = [
        repeat == 0,
        repeat == 1,
        (repeat > 3) & (recency < 15),
        (repeat > 3) & (recency > 25),
    ]
    groups += [(chance >= low) & (chance < low + 0.25) for low in np.arange(0, 1, 0.25)]
    for group in groups:
        n = group.sum()
        assert n > 50
        assert (later[group] > 0).mean() == pytest.approx(chance[group].mean(), abs=2 / n**0.5)
        assert alive[group].mean() == pytest.approx(is_alive[group].mean(), abs=2 / n**0.5)
        error = 4 * later[group].std() / n**0.5
        assert later[group].mean() == pytest.approx(expected[group].mean(), abs=error + 1e-3)


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0.1, 5), st.floats(0.5, 20), st.floats(0.2, 4), st.floats(0.3, 8), st.integers(0, 40)
)
def test_expectation_is_the_published_closed_form(r, alpha, a, b, count):
    if abs(a - 1) < 0.05:
        return
    law = BGNBDParameters(r, alpha, a, b)
    x, last, age, horizon = float(count), 20.0 * (count > 0), 26.0, 13.0
    shrink = ((alpha + age) / (alpha + age + horizon)) ** (r + x)
    z = horizon / (alpha + age + horizon)
    closed = (a + b + x - 1) / (a - 1) * (1 - shrink * hyp2f1(r + x, b + x, a + b + x - 1, z))
    if x > 0:
        closed /= 1 + a / (b + x - 1) * ((alpha + age) / (alpha + last)) ** (r + x)
    found = law.expected_purchases([x], [last], [age], horizon)[0]
    assert found == pytest.approx(closed, rel=1e-5, abs=1e-9)


def test_the_gradient_is_that_of_the_likelihood():
    rng = np.random.default_rng(0)
    x = rng.poisson(2, 50).astype(float)
    last = np.where(x > 0, rng.uniform(0, 1, 50), 0.0)
    history = (x, last, last + rng.uniform(0, 1, 50), rng.uniform(1, 3, 50))
    for theta in rng.normal(0, 1, (5, 4)):
        error = check_grad(
            lambda t: bg_nbd_law._loss(t, *history)[0],
            lambda t: bg_nbd_law._loss(t, *history)[1],
            theta,
        )
        assert error < 1e-3 * np.linalg.norm(bg_nbd_law._loss(theta, *history)[1])


def test_the_unit_of_time_moves_alpha_alone():
    law = BGNBDParameters(r=0.6, alpha=5.0, a=0.9, b=3.0)
    repeat, recency, _, _ = simulate(law, 30.0, 1.0, 3000)
    weeks = fit_bg_nbd(repeat, recency, np.full(len(repeat), 30.0))
    days = fit_bg_nbd(repeat, recency * 7, np.full(len(repeat), 210.0))
    expected = (weeks.r, weeks.alpha * 7, weeks.a, weeks.b)
    np.testing.assert_allclose(astuple(days), expected, rtol=1e-4)


def test_very_large_counts_stay_finite():
    rng = np.random.default_rng(0)
    repeat = np.round(rng.lognormal(8, 3, 500))
    last = np.where(repeat > 0, 100.0, 0.0)
    law = fit_bg_nbd(repeat, last, np.full(500, 120.0))
    for value in (
        law.probability_alive([1e7, 0], [10.0, 0], [1e6, 1e6]),
        law.probability_of_purchase([1e7, 0], [10.0, 0], [1e6, 1e6], 1.0),
        law.expected_purchases([1e7, 1e5], [1e6, 1e6], [1e6, 1e6], 1.0),
    ):
        assert np.isfinite(value).all()
    assert law.probability_of_purchase([1e6], [100.0], [100.0], 1.0)[0] > 0.9
    assert law.expected_purchases([1e5], [100.0], [100.0], 1.0)[0] > 100


def test_alike_customers_are_counted_once_and_change_nothing():
    histories = np.array([[0, 0, 5], [2, 3, 4], [0, 0, 5], [1, 2, 2], [2, 3, 4], [2, 3, 5]], float)
    x, last, now, weight = bg_nbd_law._count_alike(*histories.T)
    again = np.repeat(np.stack([x, last, now], axis=1), weight.astype(int), axis=0)
    assert sorted(map(tuple, again)) == sorted(map(tuple, histories))
    assert len(x) == 4


def test_every_fault_of_a_history_in_one_message():
    with pytest.raises(DataError) as caught:
        fit_bg_nbd([1, -1, 0], [5.0, 0.0, 2.0], [4.0, 1.0, 3.0])
    message = str(caught.value)
    assert "repeat: 1 of 3 rows are not ≥ 0 (first: row 1, -1.0)" in message
    assert "age: 1 of 3 rows are not ≥ recency (first: row 0, 4.0)" in message
    assert "recency: 1 of 3 rows are not 0 where repeat is 0 (first: row 2, 2.0)" in message
    with pytest.raises(DataError, match="have 1, 2 and 1 values"):
        fit_bg_nbd([1], [5.0, 6.0], [4.0])
    with pytest.raises(DataError, match="none of 2 customers bought twice"):
        fit_bg_nbd([0, 0], [0, 0], [5, 6])
    with pytest.raises(
        DataError, match=r"age: 1 of 1 rows are not ≥ recency \(first: row 0, nan\)"
    ):
        fit_bg_nbd([1], [1], [np.nan])


def test_parameters_and_horizon_must_be_positive():
    with pytest.raises(ParameterError, match=r"r=0 must be .*; b=nan must be"):
        BGNBDParameters(0, 1.0, 1.0, float("nan"))
    with pytest.raises(ParameterError, match=r"horizon=-1 must be"):
        PUBLISHED.probability_of_purchase([0], [0], [1], -1)
