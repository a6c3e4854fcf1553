"""ECOD: how far out in its own column each value of a row lies, summed over the columns."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from thinfile.data.encode import Encoded
from thinfile.estimator import FloatArray

EXACT_TAIL = 1024
"""Values at each end of a column that are kept one by one."""
MIDDLE_POINTS = 2048
"""Values kept between the ends, evenly by rank."""

Arrays = dict[str, npt.NDArray[Any]]


class TailScore:
    """Empirical-cumulative-distribution outlier detection, without a copy of the training rows.

    Each number adds −log of its smaller tail probability in the training rows, each category
    −log of its frequency. Use it where single columns with extreme values give an event away: it
    has no settings and no randomness. It does not see how columns go together.

    Notes
    -----
    The score of a row is what PyOD's `ECOD.decision_function` gives for that row alone. PyOD
    keeps all training rows and ranks rows among those they are scored with, so that its score of
    a row depends on the batch. Here only sorted columns are kept (at most 4,096 points each,
    exact in the tails, to one part in 2,048 of the ranks elsewhere), each sorted for itself, so
    no training row can be put together from them.

    References
    ----------
    Li et al.: ECOD: unsupervised outlier detection using empirical cumulative distribution
    functions, IEEE TKDE 2022.

    Examples
    --------
    >>> numbers = np.arange(10, dtype=np.float32)[:, None]
    >>> rows = Encoded(numbers, np.empty((10, 0), np.int32))
    >>> TailScore().fit(rows, ()).score(rows).round(2).tolist()
    [1.7, 1.3, 1.01, 0.79, 0.61, 0.61, 0.79, 1.01, 1.3, 1.7]
    """

    def fit(self, rows: Encoded, cardinalities: tuple[int, ...]) -> Self:
        """Sort each column; `cardinalities` are the codes of each category."""
        points, counts, sizes = [], [], []
        for column in rows.numbers.T:
            value, below = _grid(column)
            points.append(value)
            counts.append(below)
            sizes.append(len(value))
        frequency = [
            np.bincount(column, minlength=size)
            for column, size in zip(rows.codes.T, cardinalities, strict=True)
        ]
        self.arrays: Arrays = {
            "points": _joined(points, np.float32),
            "counts": np.concatenate([np.empty((0, 2)), *counts]),
            "sizes": np.array(sizes, dtype=np.int64),
            "frequency": _joined(frequency, np.float64),
            "cardinalities": np.array(cardinalities, dtype=np.int64),
            "n_rows": np.array(float(len(rows))),
        }
        return self

    def score(self, rows: Encoded) -> FloatArray:
        """How abnormal each row is, from 0 on, shape (rows,)."""
        n_rows = float(self.arrays["n_rows"])
        total = np.zeros(len(rows))
        start = 0
        for column, size in zip(rows.numbers.T, self.arrays["sizes"], strict=True):
            part = slice(start, start + int(size))
            points, counts = self.arrays["points"][part], self.arrays["counts"][part]
            total += _tail(column, points, counts, n_rows)
            start += int(size)
        start = 0
        for codes, size in zip(rows.codes.T, self.arrays["cardinalities"], strict=True):
            frequency = self.arrays["frequency"][start : start + int(size)]
            total -= np.log((frequency[codes] + 1.0) / (n_rows + 1.0))
            start += int(size)
        return total


def _joined(parts: list[npt.NDArray[Any]], dtype: type) -> npt.NDArray[Any]:
    return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype)


def _grid(column: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], FloatArray]:
    """Distinct values in order, and how many rows are at most, and at least, as large."""
    present = column[~np.isnan(column)]
    value, count = np.unique(present, return_counts=True)
    at_most = np.cumsum(count)
    both = np.column_stack([at_most, len(present) - at_most + count]).astype(np.float64)
    if len(value) > 2 * EXACT_TAIL + MIDDLE_POINTS:
        middle = np.linspace(EXACT_TAIL, len(value) - EXACT_TAIL - 1, MIDDLE_POINTS)
        ends = np.arange(EXACT_TAIL)
        kept = np.unique(np.r_[ends, middle.astype(np.intp), len(value) - 1 - ends])
        value, both = value[kept], both[kept]
    return value, both


def _tail(
    column: npt.NDArray[np.float32],
    points: npt.NDArray[np.float32],
    counts: FloatArray,
    n_rows: float,
) -> FloatArray:
    """−log of the smaller tail probability of each value; 0 for a gap."""
    gap = np.isnan(column)
    if not len(points):
        return np.zeros(len(column))
    value = np.where(gap, points[0], column)
    # Values that are no point have as many rows below them as the point before has.
    right = np.searchsorted(points, value, side="right")
    left = np.searchsorted(points, value, side="left")
    at_most = np.where(right > 0, counts[np.maximum(right - 1, 0), 0], 0.0)
    at_least = np.where(left < len(points), counts[np.minimum(left, len(points) - 1), 1], 0.0)
    smaller = np.minimum(at_most, at_least) + 1.0
    tail: FloatArray = np.where(gap, 0.0, -np.log(smaller / (n_rows + 1.0)))
    return tail
