"""Distance of rows to their nearest neighbour in another table, of mixed columns and any size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.encode import TableEncoder
from thinfile.schema.model import Schema

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

ALL_LEVELS, MAX_LEVELS, MIN_LEVELS = 400, 100, 5
"""Values of all categories together, and of one category at most and at least, that are told apart
by the distance; rarer ones count as one value."""

_QUERY_TILE, _ROW_TILE = 256, 4096


@dataclass(frozen=True)
class Space:
    """A common space for the rows of several tables.

    A number is its normal score (two random rows are √2 apart in it), a category is a corner of
    its own (√2 apart where it differs), a gap is one more number. The distance is Euclid's.
    """

    encoder: TableEncoder

    @classmethod
    def of(cls, schema: Schema, *tables: pl.DataFrame) -> Space:
        """The space that the rows of `tables` span; none of them counts more than another.

        Raises
        ------
        DataError
            If no column varies.
        """
        n_categories = sum(column.role == "category" for column in schema.columns)
        levels = ALL_LEVELS // max(1, n_categories)
        encoder = TableEncoder(
            schema, max_categories=int(np.clip(levels, MIN_LEVELS, MAX_LEVELS)), min_count=1
        )
        return cls(encoder.fit(pl.concat(tables)))

    def place(self, table: pl.DataFrame) -> Matrix:
        """The rows as points, shape (rows, dimensions)."""
        return self.encoder.one_hot(self.encoder.transform(table))


def nearest(queries: Matrix, rows: Matrix) -> Floats:
    """Distance of each query to its nearest row.

    Tile by tile, so that memory does not grow with the tables; the time is the product of their
    sizes, hence give it a sample of the queries. Exact to single precision, and exactly 0 for a
    row that is there.

    Parameters
    ----------
    queries, rows : ndarray of float32, shape (queries, dimensions) and (rows, dimensions)

    Returns
    -------
    ndarray of shape (queries,)

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[0.0, 0.0], [3.0, 4.0]], dtype=np.float32)
    >>> nearest(np.array([[3.0, 4.0], [0.0, 1.0]], dtype=np.float32), rows).tolist()
    [0.0, 1.0]
    """
    # Distances are differences of large products; around the middle the products are small.
    middle = rows.mean(axis=0)
    queries, rows = queries - middle, rows - middle
    half_norms = np.einsum("rd,rd->r", rows, rows) / 2
    found = np.empty(len(queries), dtype=np.intp)
    for start in range(0, len(queries), _QUERY_TILE):
        tile = queries[start : start + _QUERY_TILE]
        found[start : start + _QUERY_TILE] = _nearest_places(tile, rows, half_norms)
    gaps = queries.astype(np.float64) - rows[found]
    distance: Floats = np.sqrt(np.einsum("qd,qd->q", gaps, gaps))
    return distance


def _nearest_places(
    queries: Matrix, rows: Matrix, half_norms: npt.NDArray[np.float32]
) -> npt.NDArray[np.intp]:
    best = np.full(len(queries), np.inf, dtype=np.float32)
    places = np.zeros(len(queries), dtype=np.intp)
    own = np.arange(len(queries))
    for start in range(0, len(rows), _ROW_TILE):
        tile = slice(start, start + _ROW_TILE)
        gaps = half_norms[tile] - queries @ rows[tile].T  # half the square, less a constant
        place = gaps.argmin(axis=1)
        smallest = gaps[own, place]
        better = smallest < best
        best[better], places[better] = smallest[better], place[better] + start
    return places
