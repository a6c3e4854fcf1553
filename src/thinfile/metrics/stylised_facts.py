"""What real price moves have in common, measured on real and on made paths side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from thinfile import params
from thinfile.errors import DataError
from thinfile.metrics.inputs import Floats

N_LAGS = 20
TAIL_SHARE = 0.05
FAR = 4.0
"""Standard deviations from which a move counts as far out."""
LEVERAGE_LAGS = range(1, 11)

FACTS = {
    "excess kurtosis": "fat tails: 0 for normal moves",
    "tail index": "fat tails: Hill's, 5 % largest moves; 3 to 5 in markets, higher is thinner",
    "share beyond 4 sd": "fat tails: 0.00006 for normal moves",
    "skewness": "falls are larger than rises: below 0",
    "autocorrelation of moves, lag 1": "no memory of the sign: near 0",
    "autocorrelation of |moves|, lag 1": "volatility clustering: above 0",
    "autocorrelation of |moves|, lags 1-20": "volatility clustering that lasts: above 0",
    "autocorrelation of moves², lag 1": "volatility clustering: above 0",
    "leverage": "volatility rises after falls: below 0 (move, and |move| 1 to 10 steps later)",
    "excess kurtosis of 5-step sums": "tails of sums are thinner than of moves",
    "volatility of volatility": "windows differ: deviation of the log of their spread",
}
"""The facts, and what each means."""


def stylised_facts(paths: Any) -> dict[str, float]:
    """Measure the known regularities of price moves on a set of paths.

    Moves are taken together over all paths, with one mean and one variance, so that paths of any
    length can be compared with others of the *same* length. A fact that the paths are too short
    for is NaN.

    Parameters
    ----------
    paths : (paths, steps) array, or list of 1-D arrays
        Moves (log-returns), not prices; NaN after a path's end.

    Returns
    -------
    dict
        A number for each name in `FACTS`.

    Raises
    ------
    DataError
        If there is no path, a move is infinite, or all moves are alike.

    References
    ----------
    Cont, Empirical properties of asset returns: stylized facts and statistical issues,
    Quantitative Finance 2001. Hill, A simple general approach to inference about the tail of a
    distribution, Annals of Statistics 1975.

    Examples
    --------
    >>> moves = np.random.default_rng(0).normal(size=(200, 50))
    >>> facts = stylised_facts(moves)
    >>> abs(facts["excess kurtosis"]) < 0.2, facts["autocorrelation of |moves|, lag 1"] < 0.05
    (True, True)
    """
    return _facts(_paths(paths))


def compare_facts(
    real: Any, made: Any, *, n_draws: int = 200, level: float = 0.9, random_state: int | None = None
) -> pl.DataFrame:
    """Facts of made paths beside those of real ones, with intervals of the real ones.

    Paths of both sides must be of like length, or the made side looks wrong for that alone.

    Parameters
    ----------
    real, made
        As for :func:`stylised_facts`.
    n_draws : int ≥ 1
        Draws of whole paths for the intervals.
    level : float in (0, 1)

    Returns
    -------
    polars.DataFrame
        ``fact``, ``real``, ``low``, ``high``, ``made``, ``within`` (inside the interval of the
        real paths), ``meaning``.
    """
    rules = {"n_draws": params.integer(1), "level": params.real(0, 1, bounds="()")}
    params.check_params("compare_facts", {"n_draws": n_draws, "level": level}, rules)
    truth, other = _paths(real), _paths(made)
    rng = np.random.default_rng(random_state)
    draws = [_facts(truth[rng.integers(0, len(truth), len(truth))]) for _ in range(n_draws)]
    known, found = _facts(truth), _facts(other)
    rows = []
    for fact, meaning in FACTS.items():
        drawn = np.array([draw[fact] for draw in draws])
        ends = [np.nan, np.nan]
        if np.isfinite(drawn).any():
            ends = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2]).tolist()
        within = ends[0] <= found[fact] <= ends[1]
        rows.append((fact, known[fact], *ends, found[fact], within, meaning))
    names = ["fact", "real", "low", "high", "made", "within", "meaning"]
    return pl.DataFrame(rows, schema=names, orient="row")


def autocorrelation(paths: Any, n_lags: int = N_LAGS) -> Floats:
    """Autocorrelation over all paths at lags 1 … `n_lags`, shape (n_lags,); NaN where too long."""
    x = _paths(paths)
    return _correlations(x, x, range(1, n_lags + 1))


def absolute_autocorrelation(paths: Any, n_lags: int = N_LAGS) -> Floats:
    """The same of the moves' sizes: the picture of volatility clustering."""
    x = np.abs(_paths(paths))
    return _correlations(x, x, range(1, n_lags + 1))


def _facts(x: Floats) -> dict[str, float]:
    moves = x[~np.isnan(x)]
    scaled = (moves - moves.mean()) / moves.std()
    size, square = np.abs(x), np.square(x)
    measured: dict[str, Callable[[], float]] = {
        "excess kurtosis": lambda: _kurtosis(moves),
        "tail index": lambda: _hill(np.abs(scaled)),
        "share beyond 4 sd": lambda: float(np.mean(np.abs(scaled) > FAR)),
        "skewness": lambda: float(np.mean(scaled**3)),
        "autocorrelation of moves, lag 1": lambda: _correlations(x, x, [1])[0],
        "autocorrelation of |moves|, lag 1": lambda: _correlations(size, size, [1])[0],
        "autocorrelation of |moves|, lags 1-20": lambda: _mean(
            _correlations(size, size, range(1, N_LAGS + 1))
        ),
        "autocorrelation of moves², lag 1": lambda: _correlations(square, square, [1])[0],
        "leverage": lambda: _mean(_correlations(x, size, LEVERAGE_LAGS)),
        "excess kurtosis of 5-step sums": lambda: _kurtosis(_sums(x, 5)),
        "volatility of volatility": lambda: _spread_of_spreads(x),
    }
    return {name: float(measured[name]()) for name in FACTS}


def _paths(paths: Any) -> Floats:
    if not isinstance(paths, np.ndarray):
        parts = [np.asarray(part, dtype=np.float64).ravel() for part in paths]
        longest = max((len(part) for part in parts), default=0)
        filled = np.full((len(parts), longest), np.nan)
        for place, part in enumerate(parts):
            filled[place, : len(part)] = part
        paths = filled
    x: Floats = np.asarray(paths, dtype=np.float64)
    if x.ndim == 3 and x.shape[2] == 1:
        x = x[..., 0]
    if x.ndim != 2 or not x.size:
        raise DataError(f"paths have shape {x.shape}, must be (paths, steps) with at least one")
    if np.isinf(x).any():
        path, step = np.argwhere(np.isinf(x))[0]
        raise DataError(
            f"paths: {int(np.isinf(x).sum())} of {x.size} moves are infinite "
            f"(first: path {path}, step {step})"
        )
    moves = x[~np.isnan(x)]
    if not len(moves) or moves.min() == moves.max():
        raise DataError(f"paths: all {len(moves)} moves are alike, there is nothing to measure")
    return x


def _correlations(first: Floats, second: Floats, lags: Sequence[int] | range) -> Floats:
    """Correlation of `first` with `second` some steps later, over all paths at once."""
    a = (first - np.nanmean(first)) / np.nanstd(first)
    b = (second - np.nanmean(second)) / np.nanstd(second)
    found = []
    for lag in lags:
        products = a[:, :-lag] * b[:, lag:] if lag < a.shape[1] else np.empty(0)
        found.append(_mean(products))
    return np.array(found)


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _kurtosis(moves: ArrayLike) -> float:
    x = np.asarray(moves, dtype=np.float64)
    if x.size < 2 or x.std() == 0:
        return float("nan")
    return float(np.mean(((x - x.mean()) / x.std()) ** 4) - 3.0)


def _hill(sizes: Floats) -> float:
    ordered = np.sort(sizes)[::-1]
    n_tail = int(TAIL_SHARE * len(ordered))
    if n_tail < 2 or ordered[n_tail] <= 0:
        return float("nan")
    return float(1.0 / np.mean(np.log(ordered[:n_tail] / ordered[n_tail])))


def _sums(x: Floats, n: int) -> Floats:
    whole = x[:, : x.shape[1] // n * n].reshape(len(x), -1, n).sum(2)
    sums: Floats = whole[~np.isnan(whole)]
    return sums


def _spread_of_spreads(x: Floats) -> float:
    known = (~np.isnan(x)).sum(1) >= 2
    if not known.any():
        return float("nan")
    spread = np.nanstd(x[known], axis=1)
    spread = spread[spread > 0]
    return float(np.log(spread).std()) if len(spread) else float("nan")
