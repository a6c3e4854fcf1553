"""Intervals for metrics of several methods, compared on the same rows and the same seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thinfile.errors import DataError, ParameterError
from thinfile.metrics.inputs import Floats, check_labels
from thinfile.metrics.ranking import RANKING_METRICS, MetricMany


@dataclass(frozen=True)
class Difference:
    """One method's metric minus another's, on the rows and seeds that both have.

    Attributes
    ----------
    estimate, low, high : float
        The mean difference and the ends of its interval; NaN if the two share no seed.
    probability_greater : float
        Share of draws in which the first is the better of the two.
    n_seeds : int
        Seeds that both methods have.
    """

    estimate: float
    low: float
    high: float
    probability_greater: float
    n_seeds: int


@dataclass(frozen=True)
class PairedBootstrap:
    """What :func:`paired_bootstrap` found.

    Attributes
    ----------
    point : (methods,)
        Mean of the metric over a method's seeds; NaN for a method without any.
    low, high : (methods,)
        Ends of the interval of each method.
    per_seed : (methods, seeds)
        The metric of each run on all rows; NaN for a failed run.
    draws : (methods, draws)
        The redrawn metric, mean over seeds.
    seed_draws : (methods, seeds, draws)
        The redrawn metric of each run.
    seed_weights : (seeds, draws)
        Positive random weights of the seeds.
    level : float
        Share of draws inside an interval.
    """

    point: Floats
    low: Floats
    high: Floats
    per_seed: Floats
    draws: Floats
    seed_draws: Floats
    seed_weights: Floats
    level: float

    def difference(self, first: int, second: int) -> Difference:
        """Compare two methods by their places; `first` minus `second`."""
        common = np.isfinite(self.per_seed[first]) & np.isfinite(self.per_seed[second])
        n_seeds = int(common.sum())
        if n_seeds == 0:
            return Difference(np.nan, np.nan, np.nan, np.nan, 0)
        gaps = self.seed_draws[first, common] - self.seed_draws[second, common]
        drawn = _mean_over_seeds(gaps, self.seed_weights[common])
        estimate = float((self.per_seed[first] - self.per_seed[second])[common].mean())
        low, high = _interval(drawn, self.level)
        usable = drawn[np.isfinite(drawn)]
        # A tie counts half: a method is not better than its own copy.
        greater = np.mean(usable > 0) + 0.5 * np.mean(usable == 0)
        return Difference(estimate, low, high, float(greater), n_seeds)


def paired_bootstrap(
    y: ArrayLike,
    scores: ArrayLike,
    *,
    metric: str | MetricMany = "auc",
    n_draws: int = 1000,
    random_state: int | None = None,
    level: float = 0.95,
) -> PairedBootstrap:
    """Interval of each method's metric, and of any difference, over test rows and seeds.

    A draw takes test rows with replacement, the same for all methods and seeds, and gives the
    seeds random weights. So a difference between two methods is not blurred by the rows that are
    hard for both. Use it for methods that scored the same rows. It does not know of other
    uncertainty: another period, another bank.

    Parameters
    ----------
    y : (rows,)
        0 or 1.
    scores : (methods, seeds, rows)
        Higher means more likely 1. A run that failed is NaN throughout; two methods are compared
        on the seeds that both have.
    metric
        One of "auc", "gini", "ks", "ap", or a function of (labels, scores, weights (draws, rows))
        that returns (draws,).
    n_draws
        At least 1; 1,000 give an end of an interval to about a twentieth of its width.
    random_state
        Whole number for repeatable draws.
    level
        In (0, 1).

    Raises
    ------
    DataError
        If a class is missing, shapes do not fit, or a run has some scores that are not finite.
    ParameterError
        If `metric`, `n_draws` or `level` breaks its rule.

    Notes
    -----
    Seeds are weighted by a Bayesian bootstrap (exponential weights), stretched by
    √((seeds + 1) / (seeds − 1)) so that the variance between few seeds is not understated. With
    one seed the interval covers the rows only.

    References
    ----------
    Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993. Rubin, "The Bayesian
    bootstrap", Annals of Statistics 1981.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 400)
    >>> good, weak = y + rng.normal(size=(1, 400)), y + 3 * rng.normal(size=(1, 400))
    >>> result = paired_bootstrap(y, np.stack([good, weak]), n_draws=200, random_state=0)
    >>> result.difference(0, 1).low > 0
    True
    """
    labels = check_labels(y)
    runs = _check_runs(scores, labels.size)
    function = _check_options(metric, n_draws, level)
    generator = np.random.default_rng(random_state)
    weights = draw_row_weights(labels.size, n_draws, generator)
    seed_weights = generator.standard_exponential((runs.shape[1], n_draws))
    per_seed, seed_draws = _evaluate(labels, runs, function, weights)
    draws = np.full((runs.shape[0], n_draws), np.nan)
    for place, present in enumerate(np.isfinite(per_seed)):
        if present.any():
            draws[place] = _mean_over_seeds(seed_draws[place, present], seed_weights[present])
    ends = np.array([_interval(drawn, level) for drawn in draws]).reshape(-1, 2)
    point = np.array([_mean_present(values) for values in per_seed])
    return PairedBootstrap(
        point, ends[:, 0], ends[:, 1], per_seed, draws, seed_draws, seed_weights, level
    )


def draw_row_weights(
    n_rows: int, n_draws: int, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Count how often each row falls into each draw with replacement: (draws, rows).

    One byte per count, so 1,000 draws of 8,000 rows take 8 MB.
    """
    weights = np.empty((n_draws, n_rows), dtype=np.uint8)
    for draw in range(n_draws):
        counts = np.bincount(generator.integers(0, n_rows, n_rows), minlength=n_rows)
        weights[draw] = np.minimum(counts, 255)
    return weights


def _evaluate(
    labels: Floats, runs: Floats, metric: MetricMany, weights: NDArray[Any]
) -> tuple[Floats, Floats]:
    n_methods, n_seeds, n_rows = runs.shape
    per_seed = np.full((n_methods, n_seeds), np.nan)
    seed_draws = np.full((n_methods, n_seeds, weights.shape[0]), np.nan)
    once = np.ones((1, n_rows), dtype=np.uint8)
    for method in range(n_methods):
        for seed in range(n_seeds):
            run = runs[method, seed]
            if np.isnan(run[0]):
                continue
            per_seed[method, seed] = metric(labels, run, once)[0]
            seed_draws[method, seed] = metric(labels, run, weights)
    return per_seed, seed_draws


def _mean_over_seeds(values: Floats, weights: Floats) -> Floats:
    """Weighted mean of (seeds, draws) with the stretch that few seeds need."""
    n_seeds = values.shape[0]
    mean: Floats = values.mean(axis=0)
    if n_seeds > 1:
        shares = weights / weights.sum(axis=0) - 1.0 / n_seeds
        stretch = np.sqrt((n_seeds + 1) / (n_seeds - 1))
        mean += stretch * np.einsum("sd,sd->d", shares, values)
    return mean


def _mean_present(values: Floats) -> float:
    present = values[np.isfinite(values)]
    return float(present.mean()) if present.size else float("nan")


def _interval(drawn: Floats, level: float) -> tuple[float, float]:
    usable = drawn[np.isfinite(drawn)]
    if usable.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _check_runs(scores: ArrayLike, n_rows: int) -> Floats:
    runs: Floats = np.asarray(scores, dtype=np.float64)
    if runs.ndim != 3 or runs.shape[2] != n_rows:
        raise DataError(
            f"scores have the shape {runs.shape}, it must be (methods, seeds, {n_rows})"
        )
    n_missing = (~np.isfinite(runs)).sum(axis=2)
    partly = (n_missing > 0) & ~np.isnan(runs).all(axis=2)
    if partly.any():
        method, seed = np.argwhere(partly)[0]
        raise DataError(
            f"scores: method {method}, seed {seed}: {n_missing[method, seed]} of {n_rows} values "
            "are not finite; a run must be finite throughout, or NaN throughout if it failed"
        )
    return runs


def _check_options(metric: str | MetricMany, n_draws: int, level: float) -> MetricMany:
    faults = []
    if isinstance(metric, str) and metric not in RANKING_METRICS:
        faults.append(f"metric={metric!r} must be one of {', '.join(RANKING_METRICS)}")
    if n_draws < 1:
        faults.append(f"n_draws={n_draws} must be a whole number ≥ 1")
    if not 0 < level < 1:
        faults.append(f"level={level} must be a number in (0, 1)")
    if faults:
        raise ParameterError("paired_bootstrap: " + "; ".join(faults))
    return RANKING_METRICS[metric] if isinstance(metric, str) else metric
