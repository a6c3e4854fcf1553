"""Are the probabilities right? Measures of it, and corrections that keep the order of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, log_expit, logit, ndtri

from thinfile.errors import DataError, ParameterError
from thinfile.metrics.inputs import Floats, check_labels, check_probability, check_weight

SMALLEST = 1e-12
"""Probabilities are kept this far from 0 and 1 before a logarithm is taken."""
MIN_SLOPE = 0.05
"""A fitted slope is not taken below this, so a calibration never turns a ranking round."""
LEVEL_SHARE = 0.1
"""How strongly the level is held to its prior beside the slope: levels differ more than slopes."""
MAX_STEPS = 100


def brier(y: ArrayLike, probability: ArrayLike, *, weight: ArrayLike | None = None) -> float:
    """Mean squared error of the probabilities; 0 is perfect, rate · (1 − rate) is a constant.

    Parameters
    ----------
    y : (rows,)
        0 or 1; one class alone will do.
    probability : (rows,)
        In [0, 1].
    weight : (rows,), optional
        Not negative.

    Raises
    ------
    DataError
        If a value is out of range or lengths differ.

    References
    ----------
    Brier, "Verification of forecasts expressed in terms of probability", 1950.

    Examples
    --------
    >>> brier([0, 1], [0.5, 0.5])
    0.25
    """
    labels, chances, weights = _check(y, probability, weight)
    return float(np.average((labels - chances) ** 2, weights=weights))


def log_loss(y: ArrayLike, probability: ArrayLike, *, weight: ArrayLike | None = None) -> float:
    """Mean of −log of the probability given to what happened; arguments as in :func:`brier`.

    Probabilities are kept 1e-12 from 0 and 1, so one certain mistake costs 27.6 and not infinity.

    Examples
    --------
    >>> round(log_loss([0, 1], [0.5, 0.5]), 4)
    0.6931
    """
    labels, chances, weights = _check(y, probability, weight)
    inside = np.clip(chances, SMALLEST, 1 - SMALLEST)
    losses = -(labels * np.log(inside) + (1 - labels) * np.log1p(-inside))
    return float(np.average(losses, weights=weights))


def wilson_interval(
    n_positive: ArrayLike, n_rows: ArrayLike, *, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Interval of a rate from counts, sensible also at 0 and at few rows; two arrays.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Examples
    --------
    >>> low, high = wilson_interval(0, 10)
    >>> round(float(low), 3), round(float(high), 3)
    (0.0, 0.278)
    """
    if not 0 < level < 1:
        raise ParameterError(f"wilson_interval: level={level} must be a number in (0, 1)")
    count = np.asarray(n_rows, dtype=np.float64)
    rate = np.asarray(n_positive, dtype=np.float64) / count
    z = ndtri((1 + level) / 2)
    scale = 1 + z**2 / count
    centre = (rate + z**2 / (2 * count)) / scale
    half = z * np.sqrt(rate * (1 - rate) / count + z**2 / (4 * count**2)) / scale
    # At a rate of 0 or 1 rounding would leave the end a hair outside of [0, 1].
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


@dataclass(frozen=True)
class Reliability:
    """Predicted against observed rates in bins of about equal counts; arrays of (bins,).

    `low` and `high` are the ends of each observed rate's Wilson interval.
    """

    n_rows: Floats
    mean_probability: Floats
    rate: Floats
    low: Floats
    high: Floats


def reliability_table(
    y: ArrayLike, probability: ArrayLike, *, n_bins: int = 10, level: float = 0.95
) -> Reliability:
    """Group rows by probability and compare the mean with what happened.

    Bins hold about equally many rows; equal probabilities are never split, so there may be fewer
    bins than asked for.

    Parameters
    ----------
    y, probability
        As in :func:`brier`.
    n_bins
        At least 1.
    level
        Of the intervals, in (0, 1).

    Examples
    --------
    >>> reliability_table([0, 0, 1, 1], [0.1, 0.1, 0.8, 0.8], n_bins=2).rate
    array([0., 1.])
    """
    if n_bins < 1:
        raise ParameterError(f"reliability_table: n_bins={n_bins} must be a whole number ≥ 1")
    labels, chances, _ = _check(y, probability, None)
    edges = np.unique(np.quantile(chances, np.linspace(0, 1, n_bins + 1)[1:-1], method="lower"))
    place = np.searchsorted(edges, chances, side="left")
    _, place = np.unique(place, return_inverse=True)
    n_rows = np.bincount(place).astype(np.float64)
    n_positive = np.bincount(place, weights=labels)
    low, high = wilson_interval(n_positive, n_rows, level=level)
    return Reliability(
        n_rows,
        np.bincount(place, weights=chances) / n_rows,
        n_positive / n_rows,
        low,
        high,
    )


def expected_calibration_error(y: ArrayLike, probability: ArrayLike, *, n_bins: int = 10) -> float:
    """Mean distance between predicted and observed rates over equal-count bins.

    It is biased upwards where bins hold few rows: compare it at equal sizes only.

    References
    ----------
    Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 2015.

    Examples
    --------
    >>> round(expected_calibration_error([0, 0, 1, 1], [0.1, 0.1, 0.8, 0.8], n_bins=2), 3)
    0.15
    """
    table = reliability_table(y, probability, n_bins=n_bins)
    gaps = np.abs(table.mean_probability - table.rate)
    return float(np.average(gaps, weights=table.n_rows))


@dataclass(frozen=True)
class Calibration:
    """A straight line on the logit: calibrated = sigmoid(slope · logit(probability) + intercept).

    Examples
    --------
    >>> Calibration().apply([0.2, 0.7])
    array([0.2, 0.7])
    """

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, probability: ArrayLike) -> Floats:
        """Return calibrated probabilities (rows,), in the same order of rows if slope > 0."""
        chances = check_probability(probability)
        calibrated: Floats = expit(self.slope * _logit(chances) + self.intercept)
        return calibrated


def fit_calibration(
    score_probability: ArrayLike,
    y: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    prior_slope: float = 1.0,
    prior_intercept: float = 0.0,
    prior_strength: float = 10.0,
) -> Calibration:
    """Fit Platt's line on the logit, drawn towards a prior line where labels are few.

    Use it to correct a source model's probabilities with a few labels of the target. Rows must
    not be those that the model was fitted on. The order of rows is kept: slopes below 0.05 are
    not taken.

    Parameters
    ----------
    score_probability : (rows,)
        In [0, 1]. No rows at all, or one class alone, will do: the prior then holds the line.
    y : (rows,)
        0 or 1.
    weight : (rows,), optional
        Not negative.
    prior_slope, prior_intercept
        The line without any label.
    prior_strength
        Precision of the prior slope, > 0: its standard deviation is 1/√strength (0.32 at 10). The
        level at the mean logit is held a tenth as strongly.

    Raises
    ------
    DataError
        If a value is out of range or lengths differ.
    ParameterError
        If `prior_strength` is not > 0 or `prior_slope` is below 0.05.

    References
    ----------
    Platt, "Probabilistic outputs for support vector machines", 1999.

    Examples
    --------
    >>> fit_calibration([], [])
    Calibration(slope=1.0, intercept=0.0)
    >>> fit_calibration([0.1] * 50 + [0.2] * 50, [0, 1] * 50).intercept > 1
    True
    """
    if not prior_strength > 0 or not prior_slope >= MIN_SLOPE:
        raise ParameterError(
            f"fit_calibration: prior_strength={prior_strength} must be > 0 and "
            f"prior_slope={prior_slope} must be ≥ {MIN_SLOPE}"
        )
    labels, chances, weights = _check(y, score_probability, weight)
    if weights.sum() == 0:
        return Calibration(float(prior_slope), float(prior_intercept))
    logits = _logit(chances)
    middle = float(np.average(logits, weights=weights))
    base = prior_slope * logits + prior_intercept
    penalty = prior_strength * np.array([1.0, LEVEL_SHARE])
    design = np.column_stack([logits - middle, np.ones(labels.size)])  # (rows, slope and level)
    change = _newton(design, base, labels, weights, penalty)
    if prior_slope + change[0] < MIN_SLOPE:
        turn = MIN_SLOPE - prior_slope
        level = _newton(design[:, 1:], base + turn * design[:, 0], labels, weights, penalty[1:])
        change = np.array([turn, level[0]])
    slope, level_change = float(change[0]), float(change[1])
    return Calibration(prior_slope + slope, prior_intercept + level_change - slope * middle)


def match_base_rate(
    probability: ArrayLike, rate: float, *, weight: ArrayLike | None = None
) -> float:
    """Find the shift of all logits that makes the mean probability equal `rate`.

    Use it where the target's base rate is known and its single outcomes are not. Apply it as
    ``Calibration(1.0, shift).apply(probability)``.

    Parameters
    ----------
    probability : (rows,)
        In [0, 1], at least one row; values at 0 and 1 are moved 1e-12 inside.
    rate
        In (0, 1).
    weight : (rows,), optional
        Not negative.

    Returns
    -------
    float
        To be added to the logits.

    Raises
    ------
    DataError
        If there is no row.
    ParameterError
        If `rate` is outside (0, 1).

    Examples
    --------
    >>> round(match_base_rate([0.5, 0.5], 0.2), 4)
    -1.3863
    """
    if not 0 < rate < 1:
        raise ParameterError(f"match_base_rate: rate={rate} must be a number in (0, 1)")
    chances = check_probability(probability)
    weights = check_weight(weight, chances.size)
    if weights.sum() == 0:
        raise DataError("match_base_rate: there is no row to take a mean of")
    logits = _logit(chances)
    # At these ends every probability lies beyond the rate, whatever it was before.
    low, high = logit(rate) - logits.max() - 1.0, logit(rate) - logits.min() + 1.0

    def gap(shift: float) -> float:
        return float(np.average(expit(logits + shift), weights=weights)) - rate

    return float(brentq(gap, low, high, xtol=1e-12))


def _newton(
    design: Floats, base: Floats, labels: Floats, weights: Floats, penalty: Floats
) -> Floats:
    """Minimise the penalised loss; halved steps make each one go down, so it cannot diverge."""

    def loss(change: Floats) -> float:
        margin = (2 * labels - 1) * (base + design @ change)
        return float(-weights @ log_expit(margin) + 0.5 * penalty @ change**2)

    change = np.zeros(penalty.size)
    current = loss(change)
    for _ in range(MAX_STEPS):
        chances = expit(base + design @ change)
        gradient = design.T @ (weights * (chances - labels)) + penalty * change
        curvature = (design.T * (weights * chances * (1 - chances))) @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while loss(change - size * step) > current and size > 1e-8:
            size /= 2
        if size <= 1e-8 or np.abs(size * step).max() < 1e-10:
            break
        change = change - size * step
        current = loss(change)
    return change


def _logit(probability: Floats) -> Floats:
    logits: Floats = logit(np.clip(probability, SMALLEST, 1 - SMALLEST))
    return logits


def _check(
    y: ArrayLike, probability: ArrayLike, weight: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    labels = check_labels(y, both_classes=False)
    chances = check_probability(probability, labels.size)
    return labels, chances, check_weight(weight, labels.size)
