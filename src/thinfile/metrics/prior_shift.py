"""The target's base rate without its labels: two estimators, and whether they may be believed.

Both assume *prior shift*: the rate of class 1 differs between source and target, and within each
class the rows look alike in both. If that is wrong, both are wrong, possibly in the same way; so
:func:`estimate_prior_shift` also asks whether any mixture of the source's classes looks like the
target at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import logit

from thinfile.errors import DataError, ParameterError
from thinfile.metrics.calibration import SMALLEST, fit_calibration
from thinfile.metrics.inputs import Floats, check_labels, check_probability, check_weight

MAX_GAP = 0.25
"""Estimates farther apart than this on the logit (0.20 against 0.24) do not agree."""
MAX_ERROR = 0.5
"""With a standard error above this on the logit, agreement would mean nothing."""
MAX_MISFIT = 0.05
"""Largest distance between the target's scores and the best mixture, beyond chance."""
CHANCE_DISTANCE = 1.63
"""The 1 % point of the two-sample Kolmogorov–Smirnov statistic, per √(1/n + 1/m)."""


def prior_shift_em(
    source_probability_on_target: ArrayLike,
    source_rate: float,
    *,
    weight: ArrayLike | None = None,
) -> float:
    """Most likely base rate of the target, from a calibrated source model's probabilities.

    It is the limit of the EM steps of the paper, found as the root of the likelihood's slope (the
    likelihood is concave in the rate). The probabilities must be calibrated on the source.

    Parameters
    ----------
    source_probability_on_target : (rows,)
        What the source model says of the target's rows, in [0, 1].
    source_rate
        Base rate of the rows the source model was fitted on, in (0, 1).
    weight : (rows,), optional
        Not negative.

    Returns
    -------
    float
        In [0, 1]; an end if the likelihood rises all the way there.

    Raises
    ------
    DataError
        If there is no row or a value is out of range.
    ParameterError
        If `source_rate` is outside (0, 1).

    References
    ----------
    Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori
    probabilities", Neural Computation 2002. Alexandari, Kundaje and Shrikumar, "Maximum
    likelihood with bias-corrected calibration is hard-to-beat at label shift adaptation", 2020.

    Examples
    --------
    >>> round(prior_shift_em([0.9, 0.9, 0.9, 0.1], 0.5), 3)
    0.812
    """
    if not 0 < source_rate < 1:
        raise ParameterError(f"prior_shift_em: source_rate={source_rate} must be in (0, 1)")
    chances = check_probability(source_probability_on_target)
    weights = check_weight(weight, chances.size)
    if weights.sum() == 0:
        raise DataError("prior_shift_em: the target has no row")
    inside = np.clip(chances, SMALLEST, 1 - SMALLEST)
    positive, negative = inside / source_rate, (1 - inside) / (1 - source_rate)

    def slope(rate: float) -> float:
        mixture = rate * positive + (1 - rate) * negative
        return float(np.average((positive - negative) / mixture, weights=weights))

    if slope(0.0) <= 0:
        return 0.0
    if slope(1.0) >= 0:
        return 1.0
    return float(brentq(slope, 0.0, 1.0, xtol=1e-12))


def prior_shift_bbse(
    source_y: ArrayLike,
    source_probability: ArrayLike,
    target_probability: ArrayLike,
    *,
    threshold: float | None = None,
    source_weight: ArrayLike | None = None,
    target_weight: ArrayLike | None = None,
) -> float:
    """Base rate of the target from how its mean score lies between the source's class means.

    It needs no calibration, but rows of the source that the model was not fitted on.

    Parameters
    ----------
    source_y, source_probability : (source rows,)
        Labels and held-out probabilities of the source.
    target_probability : (target rows,)
        The same model's probabilities of the target.
    threshold
        None compares mean probabilities (the soft form, which varies less); a number in (0, 1)
        compares the shares above it, as in the paper.
    source_weight, target_weight
        Not negative.

    Returns
    -------
    float
        In [0, 1]; NaN if the score is the same for both classes of the source.

    Raises
    ------
    DataError
        If a class is missing, a population has no row or a value is out of range.

    References
    ----------
    Lipton, Wang and Smola, "Detecting and correcting for label shift with black box predictors",
    ICML 2018.

    Examples
    --------
    >>> round(prior_shift_bbse([0, 0, 1, 1], [0.2, 0.2, 0.6, 0.6], [0.2, 0.2, 0.2, 0.6]), 3)
    0.25
    """
    labels = check_labels(source_y)
    source = check_probability(source_probability, labels.size)
    target = check_probability(target_probability)
    weights = check_weight(source_weight, labels.size)
    target_weights = check_weight(target_weight, target.size)
    if target_weights.sum() == 0:
        raise DataError("prior_shift_bbse: the target has no row")
    if threshold is not None:
        source = (source > threshold).astype(np.float64)
        target = (target > threshold).astype(np.float64)
    low, high = (
        float(np.average(source[labels == value], weights=weights[labels == value]))
        for value in (0, 1)
    )
    if abs(high - low) < SMALLEST:
        return float("nan")
    mean = float(np.average(target, weights=target_weights))
    return float(np.clip((mean - low) / (high - low), 0.0, 1.0))


@dataclass(frozen=True)
class PriorShift:
    """Two estimates of the target's base rate and whether they may be believed.

    Attributes
    ----------
    source_rate : float
        Base rate of the source.
    em, bbse : float
        The estimates.
    em_error, bbse_error, gap_error : float
        Bootstrap standard errors of both and of their difference, on the logit.
    misfit : float
        Largest distance between the distribution of the target's scores and the mixture of the
        source's classes at the mean estimate; 0 is a perfect fit.
    estimate : float or None
        The mean of both on the logit where they agree, else None.
    faults : tuple of str
        Why there is no estimate; empty where there is one.
    """

    source_rate: float
    em: float
    bbse: float
    em_error: float
    bbse_error: float
    gap_error: float
    misfit: float
    estimate: float | None
    faults: tuple[str, ...]

    @property
    def agree(self) -> bool:
        """True where the estimate may be used."""
        return self.estimate is not None


def estimate_prior_shift(
    source_y: ArrayLike,
    source_probability: ArrayLike,
    target_probability: ArrayLike,
    *,
    n_draws: int = 100,
    random_state: int | None = None,
) -> PriorShift:
    """Estimate the target's base rate twice and give it only if nothing speaks against it.

    Use it before correcting scores for a base rate that nobody has observed. Where it gives no
    estimate, take labels: some dozens of them tell the rate better than any of this.

    Parameters
    ----------
    source_y, source_probability : (source rows,)
        Labels and *held-out* probabilities of the source.
    target_probability : (target rows,)
        The same model's probabilities of the target.
    n_draws
        Bootstrap draws over the rows of both, at least 2.
    random_state
        Whole number for repeatable draws.

    Returns
    -------
    PriorShift
        With an estimate if both lie within 0.25 of each other on the logit, both standard errors
        are below 0.5, and a mixture of the source's classes fits the target's scores.

    Raises
    ------
    DataError
        If a class is missing, a population has no row or a value is out of range.
    ParameterError
        If `n_draws` is below 2.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y, z = (rng.random(4000) < 0.2), (rng.random(4000) < 0.4)
    >>> score = lambda label: 1 / (1 + np.exp(2.4 - 2 * (label + rng.normal(size=4000))))
    >>> shift = estimate_prior_shift(y * 1, score(y), score(z), random_state=0)
    >>> abs(shift.estimate - 0.4) < 0.05
    True
    """
    if n_draws < 2:
        raise ParameterError(f"estimate_prior_shift: n_draws={n_draws} must be a whole number ≥ 2")
    labels = check_labels(source_y)
    source = check_probability(source_probability, labels.size)
    target = check_probability(target_probability)
    if target.size == 0:
        raise DataError("estimate_prior_shift: the target has no row")
    em, bbse = _both(labels, source, target)
    generator = np.random.default_rng(random_state)
    draws = np.array([_redraw(labels, source, target, generator) for _ in range(n_draws)])
    errors = _logit(draws).std(axis=0, ddof=1)
    gap_error = float(np.diff(_logit(draws), axis=1).std(ddof=1))
    middle = float(1 / (1 + np.exp(-_logit(np.array([em, bbse])).mean())))
    misfit = _misfit(labels, source, target, middle)
    chance = CHANCE_DISTANCE * np.sqrt(1 / labels.size + 1 / target.size)
    faults = _faults(em, bbse, errors, misfit, float(chance))
    return PriorShift(
        source_rate=float(labels.mean()),
        em=em,
        bbse=bbse,
        em_error=float(errors[0]),
        bbse_error=float(errors[1]),
        gap_error=gap_error,
        misfit=misfit,
        estimate=None if faults else middle,
        faults=faults,
    )


def _both(labels: Floats, source: Floats, target: Floats) -> tuple[float, float]:
    # The likelihood needs calibrated probabilities; held-out source rows give the line.
    line = fit_calibration(source, labels, prior_strength=1.0)
    em = prior_shift_em(line.apply(target), float(labels.mean()))
    return em, prior_shift_bbse(labels, source, target)


def _redraw(
    labels: Floats, source: Floats, target: Floats, generator: np.random.Generator
) -> tuple[float, float]:
    # Classes are drawn apart, so that a draw never lacks one.
    rows = np.concatenate(
        [
            generator.choice(np.flatnonzero(labels == value), int((labels == value).sum()))
            for value in (0, 1)
        ]
    )
    drawn_target = target[generator.integers(0, target.size, target.size)]
    return _both(labels[rows], source[rows], drawn_target)


def _misfit(labels: Floats, source: Floats, target: Floats, rate: float) -> float:
    own_rate = labels.mean()
    weights = np.where(labels == 1, rate / own_rate, (1 - rate) / (1 - own_rate))
    order = np.argsort(source)
    points = np.unique(np.concatenate([source, target]))
    below = np.append(0.0, np.cumsum(weights[order]))
    mixture = below[np.searchsorted(source[order], points, side="right")] / below[-1]
    observed = np.searchsorted(np.sort(target), points, side="right") / target.size
    return float(np.abs(mixture - observed).max())


def _faults(
    em: float, bbse: float, errors: Floats, misfit: float, chance: float
) -> tuple[str, ...]:
    gap = float(np.abs(np.diff(_logit(np.array([em, bbse]))))[0])
    faults = []
    if not gap <= MAX_GAP:
        faults.append(f"the estimates {em:.1%} and {bbse:.1%} do not agree")
    if not (0 < em < 1 and 0 < bbse < 1):
        faults.append("an estimate lies at 0 % or 100 %, or there is none")
    if not errors.max() <= MAX_ERROR:
        faults.append(f"the estimates are too uncertain (± {errors.max():.2f} on the logit)")
    if misfit > max(MAX_MISFIT, chance):
        faults.append(
            f"no mixture of the source's classes looks like the target (distance {misfit:.2f})"
        )
    return tuple(faults)


def _logit(rate: Floats) -> Floats:
    # Rates at 0 or 1 are kept finite: far out, so that they agree with nothing inside.
    logits: Floats = logit(np.clip(rate, 1e-6, 1 - 1e-6))
    return logits
