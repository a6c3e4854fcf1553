"""What the curves are drawn from: averages over seeds on a common grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thinfile.metrics.ranking import roc_curve
from thinfile.report.subject import FloatArray

Labels = npt.NDArray[np.int8]

N_GRID = 101
N_BINS = 10


@dataclass(frozen=True)
class Ranking:
    """Mean over seeds of how a score ranks the test rows; g points each.

    Attributes
    ----------
    grid : ndarray of shape (g,)
        Share of non-events for `caught_by_false`, of all rows for the others.
    caught_by_false : ndarray of shape (g,)
        Share of events among the highest scores against the share of non-events there: ROC.
    caught, passed : ndarray of shape (g,)
        Share of events and of non-events against the share of rows; their distance is KS.
    lift : ndarray of shape (g,)
        Share of events over share of rows; NaN at 0.
    """

    grid: FloatArray
    caught_by_false: FloatArray
    caught: FloatArray
    passed: FloatArray
    lift: FloatArray


def ranking(y: Labels, runs: FloatArray) -> Ranking:
    """Average the curves of several seeds.

    Parameters
    ----------
    y : ndarray of shape (rows,)
        1 for the event, 0 for none.
    runs : ndarray of shape (seeds, rows)
        Scores, higher = more likely the event. Equal scores share their place.
    """
    grid = np.linspace(0, 1, N_GRID)
    curves = np.mean([_one_run(y, scores, grid) for scores in runs], axis=0)
    caught_by_false, caught, passed = curves
    lift = np.divide(caught, grid, out=np.full_like(grid, np.nan), where=grid > 0)
    return Ranking(grid, caught_by_false, caught, passed, lift)


def _one_run(y: Labels, scores: FloatArray, grid: FloatArray) -> FloatArray:
    curve = roc_curve(y, scores, n_points=1000)
    false, true = curve.false_positive_rate, curve.true_positive_rate
    rate = y.mean()
    rows = rate * true + (1 - rate) * false
    return np.stack(
        [
            np.interp(grid, false, true),  # of a vertical step it takes the upper end
            np.interp(grid, rows, true),
            np.interp(grid, rows, false),
        ]
    )


@dataclass(frozen=True)
class CalibrationBins:
    """Groups of test rows of equal size by predicted probability; b groups.

    Attributes
    ----------
    predicted, observed : ndarray of shape (b,)
        Mean over seeds of the mean probability and of the event rate.
    low, high : ndarray of shape (b,)
        Wilson's 95 % interval of the observed rate, for the rows of one seed.
    n_rows, n_events : ndarray of shape (b,)
        Mean over seeds.
    """

    predicted: FloatArray
    observed: FloatArray
    low: FloatArray
    high: FloatArray
    n_rows: FloatArray
    n_events: FloatArray


def calibration_bins(y: Labels, runs: FloatArray, n_bins: int = N_BINS) -> CalibrationBins:
    """Compare predicted and observed rates in groups of equal size, averaged over seeds."""
    n_bins = max(1, min(n_bins, len(y) // 10))
    sums = np.mean([_bin_sums(y, p, n_bins) for p in runs], axis=0)  # (3, bins)
    n_rows, predicted, events = sums
    observed = events / n_rows
    low, high = _wilson(observed, n_rows)
    return CalibrationBins(predicted / n_rows, observed, low, high, n_rows, events)


def _bin_sums(y: Labels, probability: FloatArray, n_bins: int) -> FloatArray:
    order = np.argsort(probability, kind="stable")
    parts = np.array_split(order, n_bins)
    return np.array([(len(p), probability[p].sum(), y[p].sum()) for p in parts], float).T


def _wilson(share: FloatArray, n: FloatArray, z: float = 1.959964) -> tuple[FloatArray, FloatArray]:
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.maximum(middle - half, 0), np.minimum(middle + half, 1)


def histogram(samples: dict[str, FloatArray], n_bins: int = 40) -> tuple[FloatArray, FloatArray]:
    """Bin several samples alike, on the range that holds 99.5% of all values.

    Returns
    -------
    edges : ndarray of shape (bins + 1,)
    share : ndarray of shape (samples, bins)
        Share of each sample per bin; what lies above the range is in the last bin.
    """
    everything = np.concatenate(list(samples.values()))
    top = float(np.quantile(everything, 0.995)) if len(everything) else 1.0
    edges = np.linspace(0, max(top, 1e-6), n_bins + 1)
    counted = [np.histogram(np.minimum(v, edges[-1]), edges)[0] for v in samples.values()]
    share = np.array([c / max(c.sum(), 1) for c in counted], dtype=float)
    return edges, share
