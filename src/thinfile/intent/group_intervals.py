"""Intervals for what groups of customers did: shares, means, their differences and ratios."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

from thinfile.metrics.calibration import wilson_interval

Floats = NDArray[np.float64]

MIN_NOT_ZERO = 5
"""Customers with anything but 0 that a group must have for the interval of its mean."""

MANY = 20_000
"""From as many values on, means are drawn from their normal limit: the same, and cheap."""


@dataclass(frozen=True)
class Estimate:
    """A figure with the ends of its interval; None where no interval can be given."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """What one group has more than another: first minus second, and first over second.

    The ratio is infinite where only the second is 0, and None where it says nothing: both are 0,
    or a mean is below 0.
    """

    difference: Estimate
    ratio: Estimate | None


@dataclass(frozen=True)
class Share:
    """A share of a group: `count` of `n` customers."""

    count: int
    n: int

    @property
    def value(self) -> float:
        """The share itself."""
        return self.count / self.n

    def interval(self, level: float = 0.95) -> Estimate:
        """The share with Wilson's interval, which holds for few customers and for none.

        Examples
        --------
        >>> found = Share(81, 263).interval()
        >>> round(found.low, 4), round(found.high, 4)
        (0.2553, 0.3662)
        """
        low, high = wilson_interval(self.count, self.n, level=level)
        # Rounding must not take an end past the share.
        return Estimate(self.value, min(float(low), self.value), max(float(high), self.value))


def compare_shares(first: Share, second: Share, level: float = 0.95) -> Comparison:
    """Compare two shares of different customers.

    Both intervals are put together from Wilson's limits of the two shares: Newcombe's for the
    difference, MOVER-R for the ratio. So they always agree: one holds 0 exactly where the other
    holds 1. They hold for small groups and for shares of 0 and 1.

    References
    ----------
    Newcombe, "Interval estimation for the difference between independent proportions",
    Statistics in Medicine 1998, method 10. Newcombe, "MOVER-R confidence intervals for ratios
    and products of two independently estimated quantities", Statistical Methods in Medical
    Research 2016.

    Examples
    --------
    >>> found = compare_shares(Share(56, 70), Share(48, 80))
    >>> round(found.difference.low, 4), round(found.difference.high, 4)
    (0.0524, 0.3339)
    """
    a, b = _ends(first.interval(level)), _ends(second.interval(level))
    p, q = first.value, second.value
    difference = Estimate(
        p - q,
        p - q - math.hypot(p - a[0], b[1] - q),
        p - q + math.hypot(a[1] - p, q - b[0]),
    )
    if not p and not q:
        return Comparison(difference, None)
    low = _ratio_end(p, q, a[0], b[1], upper=False)
    high = _ratio_end(p, q, a[1], b[0], upper=True)
    return Comparison(difference, Estimate(p / q if q else math.inf, low, high))


def _ends(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def _ratio_end(p: float, q: float, a: float, b: float, *, upper: bool) -> float:
    """Solve (p − r·q)² = (p − a)² + r²·(q − b)² for the ratio r on the wanted side."""
    square, product = b * (2 * q - b), a * (2 * p - a)
    root = math.sqrt(max((p * q) ** 2 - square * product, 0.0))
    if upper:
        # As the second's lower limit nears 0 the ratio has no upper limit.
        return (p * q + root) / square if square > 1e-12 else math.inf
    # The form without cancellation: it holds where `square` is 0 or below.
    return max(product / (p * q + root), 0.0) if p * q + root > 0 else 0.0


@dataclass(frozen=True)
class Amounts:
    """One number per customer of a group; most may be 0."""

    values: Floats  # (n,)

    @property
    def value(self) -> float:
        """The mean."""
        return float(self.values.mean())

    @property
    def is_enough(self) -> bool:
        """Whether enough customers did anything for their spread to be known."""
        return bool(np.count_nonzero(self.values) >= MIN_NOT_ZERO)

    def interval(self, draws: Floats, level: float = 0.95) -> Estimate:
        """The mean with its interval from redrawn means."""
        if not self.is_enough:
            return Estimate(self.value, None, None)
        return _percentiles(self.value, draws, self.values.size, level)


def amounts(values: ArrayLike) -> Amounts:
    """Numbers per customer as :class:`Amounts`."""
    return Amounts(np.asarray(values, dtype=np.float64))


def draw_means(group: Amounts, n_draws: int, generator: np.random.Generator) -> Floats:
    """Means of customers drawn with replacement, shape (n_draws,).

    The zeros are drawn as a number and not one by one, so a group of a million customers of whom
    few bought anything costs what the few cost.
    """
    values = group.values[group.values != 0]
    n, k = group.values.size, values.size
    if not k:
        return np.zeros(n_draws)
    if k > MANY:
        spread = group.values.std() / math.sqrt(n)
        return np.asarray(generator.normal(group.value, spread, n_draws))
    sizes = generator.binomial(n, k / n, n_draws)
    sums = [values[generator.integers(0, k, size)].sum() for size in sizes]
    return np.asarray(sums) / n


def compare_means(
    first: Amounts,
    second: Amounts,
    first_draws: Floats,
    second_draws: Floats,
    level: float = 0.95,
) -> Comparison:
    """Compare the means of two groups of different customers by redrawn means.

    Percentiles are widened as Student's t is wider than the normal, for groups of a dozen are
    otherwise sure of too much. Where fewer than five customers of a group did anything there is
    no interval: redrawing five zeros can only give zeros.

    References
    ----------
    Hesterberg, "What teachers should know about the bootstrap", The American Statistician 2015,
    on the expanded percentile interval.
    """
    gap = first.value - second.value
    is_positive = second.value > 0 and first.value >= 0
    quotient = first.value / second.value if is_positive else math.inf
    if not (first.is_enough and second.is_enough):
        ratio = Estimate(quotient, None, None) if is_positive else None
        return Comparison(Estimate(gap, None, None), ratio)
    n = min(first.values.size, second.values.size)
    difference = _percentiles(gap, first_draws - second_draws, n, level)
    if not is_positive or (second_draws <= 0).mean() > 0.01:
        return Comparison(difference, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(second_draws > 0, first_draws / second_draws, np.inf)
    return Comparison(difference, _percentiles(quotient, ratios, n, level))


def _percentiles(value: float, draws: Floats, n: int, level: float) -> Estimate:
    wide = math.sqrt(n / (n - 1)) * float(t.ppf((1 + level) / 2, n - 1)) if n > 1 else math.inf
    tail = float(norm.sf(wide))
    # An order statistic and no mean of two: a draw may be infinite.
    low, high = np.quantile(draws, [tail, 1 - tail], method="inverted_cdf")
    return Estimate(value, float(low), float(high))


def detectable_difference(share: float, n_first: int, n_second: int) -> float:
    """Difference of two shares that groups of these sizes tell from chance in four of five cases.

    Examples
    --------
    >>> round(detectable_difference(0.2, 900, 100), 2)
    0.12
    """
    spread = math.sqrt(share * (1 - share) * (1 / n_first + 1 / n_second))
    return float(norm.ppf(0.975) + norm.ppf(0.8)) * spread
