"""Intervals against published figures, slow redraws and coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from thinfile.intent.group_intervals import (
    MANY,
    Share,
    amounts,
    compare_means,
    compare_shares,
    detectable_difference,
    draw_means,
)

# Newcombe 1998, table II, method 10.
PUBLISHED = [
    ((56, 70), (48, 80), 0.0524, 0.3339),
    ((9, 10), (3, 10), 0.1705, 0.8090),
    ((6, 7), (2, 7), 0.0582, 0.8062),
    ((5, 56), (0, 29), -0.0381, 0.1926),
    ((0, 10), (0, 20), -0.1611, 0.2775),
    ((0, 10), (0, 10), -0.2775, 0.2775),
    ((10, 10), (0, 20), 0.6791, 1.0),
    ((10, 10), (0, 10), 0.6075, 1.0),
]


@pytest.mark.parametrize(("first", "second", "low", "high"), PUBLISHED)
def test_differences_of_shares_as_published(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    found = compare_shares(Share(*first), Share(*second)).difference
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


shares = st.integers(1, 300).flatmap(lambda n: st.builds(Share, st.integers(0, n), st.just(n)))


@given(shares, shares)
@settings(deadline=None)
def test_ratio_and_difference_never_disagree(first: Share, second: Share) -> None:
    found = compare_shares(first, second)
    if found.ratio is None:
        assert first.count == second.count == 0
        return
    gap, ratio = found.difference, found.ratio
    assert gap.low <= gap.value <= gap.high  # type: ignore[operator]
    assert ratio.low <= ratio.value <= ratio.high  # type: ignore[operator]
    for edge in (gap.low, gap.high):
        if abs(edge) < 1e-9:  # type: ignore[arg-type]
            return
    assert (gap.low > 0) == (ratio.low > 1)  # type: ignore[operator]
    assert (gap.high < 0) == (ratio.high < 1)  # type: ignore[operator]


@given(shares, shares)
@settings(deadline=None, max_examples=40)
def test_the_ends_of_the_ratio_solve_their_equation(first: Share, second: Share) -> None:
    """MOVER-R's ends against a root finder on its definition."""
    found = compare_shares(first, second)
    p, q = first.value, second.value
    if not (0 < p < 1 and 0 < q < 1):
        return
    a, b = first.interval(), second.interval()

    def beyond(ratio: float, end: float, other: float) -> float:
        return (p - ratio * q) ** 2 - (p - end) ** 2 - ratio**2 * (q - other) ** 2

    low = brentq(beyond, 0, p / q, args=(a.low, b.high))
    assert found.ratio.low == pytest.approx(low, rel=1e-6, abs=1e-9)  # type: ignore[union-attr]
    high = brentq(beyond, p / q, 1e9, args=(a.high, b.low), rtol=1e-12)
    assert found.ratio.high == pytest.approx(high, rel=1e-5)  # type: ignore[union-attr]


def test_nobody_bought_in_the_second_group() -> None:
    found = compare_shares(Share(5, 50), Share(0, 12)).ratio
    assert found is not None
    assert math.isinf(found.value)
    assert math.isinf(found.high)  # type: ignore[arg-type]
    assert 0 <= found.low < 1  # type: ignore[operator]
    assert compare_shares(Share(0, 50), Share(0, 12)).ratio is None


def test_intervals_of_a_difference_cover_what_they_promise() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.binomial(180, 0.2, 400), rng.binomial(20, 0.15, 400)
    pairs = zip(first, second, strict=True)
    found = [compare_shares(Share(int(a), 180), Share(int(b), 20)).difference for a, b in pairs]
    covered = np.mean([f.low <= 0.05 <= f.high for f in found])  # type: ignore[operator]
    assert 0.92 < covered <= 1


def slow_means(values: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    return np.array([rng.choice(values, values.size).mean() for _ in range(n_draws)])


def test_means_are_redrawn_as_the_slow_way_does() -> None:
    rng = np.random.default_rng(1)
    values = np.where(rng.random(300) < 0.2, rng.lognormal(2, 1, 300), 0.0)
    quick, slow = draw_means(amounts(values), 4000, rng), slow_means(values, 4000, rng)
    for share in (0.025, 0.5, 0.975):
        assert np.quantile(quick, share) == pytest.approx(np.quantile(slow, share), rel=0.06)


def test_a_large_group_has_the_same_spread_as_its_formula() -> None:
    rng = np.random.default_rng(2)
    values = rng.lognormal(0, 1, 3 * MANY)
    draws = draw_means(amounts(values), 4000, rng)
    assert draws.mean() == pytest.approx(values.mean(), rel=0.01)
    assert draws.std() == pytest.approx(values.std() / math.sqrt(values.size), rel=0.1)
    assert draw_means(amounts(np.zeros(9)), 5, rng).tolist() == [0.0] * 5


def test_small_groups_of_means_cover_what_they_promise() -> None:
    """Percentiles alone cover 90 % here; widened ones come near 95 %."""
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(250):
        group = amounts(rng.poisson(3, 12))
        found = group.interval(draw_means(group, 400, rng))
        covered.append(found.low <= 3 <= found.high)  # type: ignore[operator]
    assert 0.9 < np.mean(covered) < 0.99


def test_too_few_who_did_anything_give_no_interval() -> None:
    rng = np.random.default_rng(4)
    few, many = amounts([0.0] * 30 + [2.0] * 4), amounts(rng.poisson(2, 200))
    draws = draw_means(few, 200, rng), draw_means(many, 200, rng)
    assert few.interval(draws[0]).low is None
    found = compare_means(many, few, draws[1], draws[0])
    assert found.difference.low is None
    assert found.ratio is not None
    assert found.ratio.low is None
    assert found.ratio.value == pytest.approx(many.value / few.value)


def test_a_mean_below_zero_has_a_difference_and_no_ratio() -> None:
    rng = np.random.default_rng(5)
    gain, loss = amounts(rng.normal(5, 1, 50)), amounts(rng.normal(-5, 1, 50))
    draws = [draw_means(each, 300, rng) for each in (gain, loss)]
    found = compare_means(gain, loss, *draws)
    assert found.ratio is None
    assert found.difference.low > 8  # type: ignore[operator]


def test_what_can_be_detected_is_detected_four_times_in_five() -> None:
    gap = detectable_difference(0.25, 450, 150)
    rng = np.random.default_rng(6)
    first = rng.binomial(450, 0.25 + gap / 4, 500)
    second = rng.binomial(150, 0.25 - 3 * gap / 4, 500)
    found = [
        compare_shares(Share(int(a), 450), Share(int(b), 150)).difference.low > 0  # type: ignore[operator]
        for a, b in zip(first, second, strict=True)
    ]
    assert 0.7 < np.mean(found) < 0.9
