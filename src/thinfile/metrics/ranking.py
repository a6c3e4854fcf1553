"""How well a score puts the bad before the good: AUC, Gini, KS and average precision.

All of them see the score's order only, so a monotone change of the score changes nothing. Ties
count as ties: rows of one score are taken in one step. The ``_many`` forms compute a metric for
many sets of row weights with one sort, which is what the bootstrap needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thinfile.errors import DataError, ParameterError
from thinfile.metrics.inputs import Floats, check_labels, check_values, check_weight

CHUNK_VALUES = 200_000
"""Weights held as floats at a time: a handful of arrays of 1.6 MB, which a cache can hold."""


def roc_auc(y: ArrayLike, score: ArrayLike, *, weight: ArrayLike | None = None) -> float:
    """Chance that a random row of class 1 scores higher than one of class 0; a tie counts half.

    Use it to compare rankings. It says nothing about calibration, and little about the top of
    the list when class 1 is rare: look at :func:`average_precision` there.

    Parameters
    ----------
    y : (rows,)
        0 or 1; both must occur.
    score : (rows,)
        Finite; higher means more likely 1.
    weight : (rows,), optional
        Not negative; each class needs some.

    Returns
    -------
    float
        In [0, 1]; 0.5 for a score without information.

    Raises
    ------
    DataError
        If a class is missing, lengths differ or a value is not finite.

    References
    ----------
    Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology 1982.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    return _single(_auc_from, y, score, weight)


def gini(y: ArrayLike, score: ArrayLike, *, weight: ArrayLike | None = None) -> float:
    """Gini coefficient of a scorecard, 2 · AUC − 1; arguments as in :func:`roc_auc`.

    Examples
    --------
    >>> gini([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.5
    """
    return _single(_gini_from, y, score, weight)


def ks(y: ArrayLike, score: ArrayLike, *, weight: ArrayLike | None = None) -> float:
    """Kolmogorov–Smirnov distance: the largest of (share of 1 caught − share of 0 caught).

    One-sided: a score that ranks the wrong way round gets about 0 and not a high KS. Use it where
    one cut-off will be applied; it looks at the best single cut-off and at nothing else. Arguments
    as in :func:`roc_auc`.

    Examples
    --------
    >>> ks([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.5
    """
    return _single(_ks_from, y, score, weight)


def average_precision(y: ArrayLike, score: ArrayLike, *, weight: ArrayLike | None = None) -> float:
    """Mean precision over the rows of class 1, from the highest score down.

    Use it where class 1 is rare and the top of the list is worked on. Its floor is the base rate,
    so figures of populations with different rates cannot be compared. Arguments as in
    :func:`roc_auc`.

    References
    ----------
    Davis and Goadrich, "The relationship between precision-recall and ROC curves", ICML 2006.

    Examples
    --------
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    return _single(_ap_from, y, score, weight)


def roc_auc_many(y: ArrayLike, score: ArrayLike, weights: NDArray[Any]) -> Floats:
    """AUC for each row of `weights` (draws, rows); NaN for a draw without one of the classes.

    Examples
    --------
    >>> roc_auc_many([0, 1, 1], [0.2, 0.1, 0.3], np.array([[1, 1, 1], [1, 0, 2]]))
    array([0.5, 1. ])
    """
    return _many(_auc_from, y, score, weights)


def gini_many(y: ArrayLike, score: ArrayLike, weights: NDArray[Any]) -> Floats:
    """Gini for each row of `weights`; see :func:`roc_auc_many`."""
    return _many(_gini_from, y, score, weights)


def ks_many(y: ArrayLike, score: ArrayLike, weights: NDArray[Any]) -> Floats:
    """KS for each row of `weights`; see :func:`roc_auc_many`."""
    return _many(_ks_from, y, score, weights)


def average_precision_many(y: ArrayLike, score: ArrayLike, weights: NDArray[Any]) -> Floats:
    """Average precision for each row of `weights`; see :func:`roc_auc_many`."""
    return _many(_ap_from, y, score, weights)


MetricMany = Callable[[Floats, Floats, NDArray[Any]], Floats]
"""(labels, scores, weights (draws, rows)) → (draws,)"""


def precision_at(k: int, *, as_lift: bool = False) -> MetricMany:
    """The rate of class 1 among the k rows of highest score, as a metric for a bootstrap.

    A tie that the cut runs through counts in proportion. A draw is cut at the share k / rows of
    its weight.

    Parameters
    ----------
    k
        At least 1; all rows where there are fewer.
    as_lift
        Over the rate of all rows.

    Examples
    --------
    >>> y, score, once = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]), np.ones((1, 4))
    >>> precision_at(1)(y, score, once), precision_at(1, as_lift=True)(y, score, once)
    (array([1.]), array([2.]))
    """
    if k < 1:
        raise ParameterError(f"precision_at: k={k} must be a whole number ≥ 1")

    def metric(y: Floats, score: Floats, weights: NDArray[Any]) -> Floats:
        share = min(1.0, k / len(y))
        return _many(lambda caught: _top_from(caught, share, as_lift), y, score, weights)

    return metric


RANKING_METRICS: dict[str, MetricMany] = {
    "auc": roc_auc_many,
    "gini": gini_many,
    "ks": ks_many,
    "ap": average_precision_many,
}


@dataclass(frozen=True)
class RocCurve:
    """Points of a ROC curve from (0, 0) to (1, 1), highest score first; each (points,)."""

    false_positive_rate: Floats
    true_positive_rate: Floats
    threshold: Floats


@dataclass(frozen=True)
class KsCurve:
    """Shares of each class caught above a threshold, and where they are farthest apart."""

    threshold: Floats
    share_positive: Floats
    share_negative: Floats
    best_threshold: float
    best_distance: float


def roc_curve(
    y: ArrayLike, score: ArrayLike, *, weight: ArrayLike | None = None, n_points: int = 200
) -> RocCurve:
    """ROC curve of at most `n_points` points, spread evenly along the curve; for drawing.

    Compute areas with :func:`roc_auc` and not from the thinned points.

    Parameters
    ----------
    y, score, weight
        As in :func:`roc_auc`.
    n_points
        At least 2. The first threshold is infinite: nothing is caught above it.

    Examples
    --------
    >>> roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).true_positive_rate
    array([0. , 0.5, 0.5, 1. , 1. ])
    """
    threshold, positive, negative = _shares(y, score, weight)
    kept = _evenly(positive + negative, n_points)
    return RocCurve(negative[kept], positive[kept], threshold[kept])


def ks_curve(
    y: ArrayLike, score: ArrayLike, *, weight: ArrayLike | None = None, n_points: int = 200
) -> KsCurve:
    """Both classes' shares by threshold, thinned to `n_points`; the best threshold stays in.

    Parameters as in :func:`roc_curve`, `n_points` at least 3.
    """
    if n_points < 3:
        raise ParameterError(f"ks_curve: n_points={n_points} must be a whole number ≥ 3")
    threshold, positive, negative = _shares(y, score, weight)
    best = int(np.argmax(positive - negative))
    kept = np.union1d(_evenly(positive + negative, n_points - 1), [best])
    return KsCurve(
        threshold[kept],
        positive[kept],
        negative[kept],
        float(threshold[best]),
        float(positive[best] - negative[best]),
    )


Cumulated = tuple[Floats, Floats]
"""Weight of class 1 and of class 0 at and above each distinct score: (thresholds, draws) each."""


def _auc_from(caught: Cumulated) -> Floats:
    positive, negative = caught
    # Twice the area in steps of (weight of 0 in this tie) × (1 above + 1 at or above).
    area = positive[0] * negative[0]
    area = area + np.einsum("td,td->d", negative[1:] - negative[:-1], positive[1:] + positive[:-1])
    area_of_all: Floats = area / (2.0 * positive[-1] * negative[-1])
    return area_of_all


def _gini_from(caught: Cumulated) -> Floats:
    return 2.0 * _auc_from(caught) - 1.0


def _ks_from(caught: Cumulated) -> Floats:
    positive, negative = caught
    distance: Floats = (positive / positive[-1] - negative / negative[-1]).max(axis=0)
    return np.maximum(distance, 0.0)


def _ap_from(caught: Cumulated) -> Floats:
    positive, negative = caught
    total = positive + negative
    precision = np.divide(positive, total, out=np.zeros_like(positive), where=total > 0)
    gained = np.diff(positive, axis=0, prepend=0.0)
    precision_of_all: Floats = np.einsum("td,td->d", precision, gained) / positive[-1]
    return precision_of_all


def _top_from(caught: Cumulated, share: float, as_lift: bool) -> Floats:
    positive, negative = caught
    total = positive + negative
    wanted = share * total[-1]
    # The tie that the cut runs through, by draw, and what lies above it.
    tie = np.minimum((total < wanted).sum(axis=0), len(total) - 1)
    draws = np.arange(total.shape[1])
    above = np.maximum(tie - 1, 0)
    is_first = tie == 0
    rows_above = np.where(is_first, 0.0, total[above, draws])
    events_above = np.where(is_first, 0.0, positive[above, draws])
    part = (wanted - rows_above) / (total[tie, draws] - rows_above)
    precision = (events_above + part * (positive[tie, draws] - events_above)) / wanted
    rate: Floats = precision * total[-1] / positive[-1] if as_lift else precision
    return rate


def _single(
    metric: Callable[[Cumulated], Floats],
    y: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None,
) -> float:
    labels = check_labels(y)
    scores = check_values("score", score, labels.size)
    weights = check_weight(weight, labels.size)
    _check_class_weight(labels, weights)
    order, ends = _order(scores)
    return float(metric(_cumulate(labels[order], weights[order][:, None], ends))[0])


def _many(
    metric: Callable[[Cumulated], Floats], y: ArrayLike, score: ArrayLike, weights: NDArray[Any]
) -> Floats:
    labels = check_labels(y)
    scores = check_values("score", score, labels.size)
    if weights.ndim != 2 or weights.shape[1] != labels.size:
        raise DataError(
            f"weights have the shape {weights.shape}, it must be (draws, {labels.size})"
        )
    order, ends = _order(scores)
    ends = _without_runs(labels[order], ends)
    results = np.empty(weights.shape[0])
    # A draw without a class divides 0 by 0, and NaN is the answer.
    with np.errstate(invalid="ignore", divide="ignore"):
        for chunk in _chunks(weights.shape):
            # Rows first: a row's weights lie together, so sorting moves whole blocks of memory.
            by_row = np.ascontiguousarray(weights[chunk].T)[order]
            results[chunk] = metric(_cumulate(labels[order], by_row, ends))
    return results


def _without_runs(labels: Floats, ends: NDArray[np.intp]) -> NDArray[np.intp]:
    """Ends of ties but those inside a run of class 0, where no metric here looks."""
    has_event = np.add.reduceat(labels, np.append(0, ends[:-1] + 1)) > 0
    kept: NDArray[np.intp] = ends[has_event | np.append(has_event[1:], True)]
    return kept


def _cumulate(labels: Floats, weights: NDArray[Any], ends: NDArray[np.intp]) -> Cumulated:
    """Sum sorted weights (rows, draws) by class, from the top to each of `ends`."""
    events = np.flatnonzero(labels)
    zeros = np.zeros((1, weights.shape[1]))
    of_events = np.cumsum(weights[events], axis=0, dtype=np.float64)
    positive = np.concatenate([zeros, of_events])[np.searchsorted(events, ends, side="right")]
    parts = np.add.reduceat(weights, np.append(0, ends[:-1] + 1), axis=0, dtype=np.float64)
    return positive, np.cumsum(parts, axis=0) - positive


def _chunks(shape: tuple[int, ...]) -> Iterator[slice]:
    n_draws, n_rows = shape
    step = max(1, CHUNK_VALUES // max(n_rows, 1))
    return (slice(start, start + step) for start in range(0, n_draws, step))


def _order(scores: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows from the highest score down, and the place where each distinct score ends."""
    order = np.argsort(-scores, kind="stable")
    changes = np.flatnonzero(np.diff(scores[order]))
    return order, np.append(changes, scores.size - 1)


def _shares(
    y: ArrayLike, score: ArrayLike, weight: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    """Return thresholds from infinity down, and the share of 1 and of 0 at or above each."""
    labels = check_labels(y)
    scores = check_values("score", score, labels.size)
    weights = check_weight(weight, labels.size)
    _check_class_weight(labels, weights)
    order, ends = _order(scores)
    positive, negative = _cumulate(labels[order], weights[order][:, None], ends)
    threshold = np.append(np.inf, scores[order][ends])
    return (
        threshold,
        np.append(0.0, positive[:, 0] / positive[-1, 0]),
        np.append(0.0, negative[:, 0] / negative[-1, 0]),
    )


def _check_class_weight(labels: Floats, weights: Floats) -> None:
    for value in (0, 1):
        if weights[labels == value].sum() == 0:
            raise DataError(f"weight: the rows of class {value} have no weight")


def _evenly(distance: Floats, n_points: int) -> NDArray[np.intp]:
    """Choose at most `n_points` places, ends included, evenly along a rising `distance`."""
    if n_points < 2:
        raise ParameterError(f"n_points={n_points} must be a whole number ≥ 2")
    if distance.size <= n_points:
        return np.arange(distance.size)
    wanted = np.linspace(distance[0], distance[-1], n_points)
    kept = np.unique(np.searchsorted(distance, wanted, side="left"))
    kept[-1] = distance.size - 1
    return kept
