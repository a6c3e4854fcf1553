"""Nearest rows, found exactly: in the codes for the layout, in the original space for people.

Two rows that lie beside each other on a map need not be alike: two dimensions cannot hold all that
twelve held. So the page shows a row's nearest rows in the space that the model read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thinfile.data.encode import Encoded
from thinfile.errors import DataError

FloatMatrix = npt.NDArray[np.float32]

N_NEIGHBOURS = 10
"""Nearest rows that are kept for each row of a map."""

MAX_DEVIATIONS = 5.0
"""A number counts no more than this many standard deviations from the mean."""

MAX_VALUES = 32
"""Values of a category that have a column of their own; the others share one."""


@dataclass(frozen=True)
class OriginalSpace:
    """The space that a model reads, as points between which distances mean something.

    Numbers have mean 0 and deviation 1, cut at ±5. Of a category each of the 31 commonest codes
    has a column, the others share one; two rows of different codes are √2 apart, as two
    independent numbers are in the mean. A number that does not vary is left out.

    Attributes
    ----------
    mean, deviation : ndarray of float64, shape (numbers,)
        Deviation 0 where a number does not vary.
    places : tuple of ndarray of int64, shape (cardinality,)
        For each category the column of each code.
    """

    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]
    places: tuple[npt.NDArray[np.int64], ...]

    @classmethod
    def of(cls, encoded: Encoded, cardinalities: Sequence[int]) -> OriginalSpace:
        """Measure rows as the model's encoder gives them.

        Parameters
        ----------
        encoded
            At least one row.
        cardinalities
            Number of codes of each column of `encoded.codes`.
        """
        numbers = _finite(encoded)
        deviation = numbers.std(axis=0)
        places = tuple(
            _places(encoded.codes[:, place], cardinality)
            for place, cardinality in enumerate(cardinalities)
        )
        return cls(numbers.mean(axis=0), np.where(deviation > 1e-12, deviation, 0.0), places)

    def points(self, encoded: Encoded) -> FloatMatrix:
        """Rows as points, ndarray of float32, shape (rows, dimensions)."""
        varies = self.deviation > 0
        scaled = (_finite(encoded)[:, varies] - self.mean[varies]) / self.deviation[varies]
        parts = [np.clip(scaled, -MAX_DEVIATIONS, MAX_DEVIATIONS).astype(np.float32)]
        for column, places in enumerate(self.places):
            hot = np.zeros((len(encoded), int(places.max()) + 1), dtype=np.float32)
            hot[np.arange(len(encoded)), places[encoded.codes[:, column]]] = 1.0
            parts.append(hot)
        return np.ascontiguousarray(np.hstack(parts))


def nearest_rows(
    points: FloatMatrix,
    k: int = N_NEIGHBOURS,
    *,
    queries: FloatMatrix | None = None,
    n_jobs: int = 1,
) -> tuple[npt.NDArray[np.int32], FloatMatrix]:
    """The nearest rows of each row, nearest first, by every distance there is.

    Exact, in blocks of constant memory: 100,000 rows of 30 numbers take about a minute of one
    core. A tree would be slower from ten dimensions on.

    Parameters
    ----------
    points : ndarray of float32, shape (rows, dimensions)
        Finite.
    k
        At least 1. Where there are fewer other rows, so many.
    queries : ndarray of float32, shape (queries, dimensions), optional
        Whose neighbours are wanted; without them those of each of the points, itself left out.
    n_jobs
        Threads.

    Returns
    -------
    rows : ndarray of int32, shape (queries, k)
    distances : ndarray of float32, shape (queries, k)

    Raises
    ------
    DataError
        If there are no points to find.

    Examples
    --------
    >>> rows, distances = nearest_rows(np.array([[0.0], [1.0], [3.0]], dtype=np.float32), k=1)
    >>> rows.ravel().tolist(), distances.ravel().tolist()
    ([1, 0, 1], [1.0, 1.0, 2.0])
    """
    from sklearn.neighbors import NearestNeighbors

    itself = queries is None
    if len(points) < 1 + itself:
        raise DataError(f"{len(points)} rows have no neighbours: at least {1 + itself} are needed")
    wanted = min(k, len(points) - itself)
    index = NearestNeighbors(n_neighbors=wanted, algorithm="brute", n_jobs=n_jobs).fit(points)
    if itself:
        # Without queries scikit-learn leaves each row itself out, also among equal rows.
        distances, rows = index.kneighbors()
    else:
        distances, rows = index.kneighbors(queries)
    return rows.astype(np.int32), distances.astype(np.float32)


def _finite(encoded: Encoded) -> npt.NDArray[np.float64]:
    return np.nan_to_num(encoded.numbers.astype(np.float64))


def _places(codes: npt.NDArray[Any], cardinality: int) -> npt.NDArray[np.int64]:
    counts = np.bincount(codes, minlength=cardinality)
    common = np.argsort(-counts, kind="stable")[: MAX_VALUES - 1]
    places = np.full(cardinality, min(len(common), MAX_VALUES - 1), dtype=np.int64)
    places[common] = np.arange(len(common))
    return places
