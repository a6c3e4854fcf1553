"""Sort events by customer and time in memory, a column at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

_SPREAD = 16
"""A table of all whole numbers between the ids is built while it is at most this much longer."""


def sort_order(
    customers: pl.Series, times: NDArray[np.int64], rows: NDArray[np.intp]
) -> tuple[pl.Series, NDArray[np.int64], NDArray[np.int64]]:
    """Find the order by customer and time that keeps ties as they are.

    Logs mostly lie in the order of time already. Then one counting sort by customer is all; else
    the rows are brought into the order of time first.

    Parameters
    ----------
    customers : polars.Series, shape (n,)
        Without nulls in `rows`.
    times : numpy.ndarray of int64, shape (n,)
    rows : numpy.ndarray of int, shape (n_events,)
        Rows that are kept, rising.

    Returns
    -------
    distinct : polars.Series, shape (n_customers,)
        Sorted.
    offsets : numpy.ndarray of int64, shape (n_customers + 1,)
    order : numpy.ndarray of int64, shape (n_events,)
        Rows in their new order.
    """
    times = times if rows.size == times.size else times[rows]
    if (times[1:] < times[:-1]).any():
        rows = rows[np.argsort(times, kind="stable")]
    kept = customers.gather(rows)
    distinct = kept.unique().sort()
    codes = _codes(kept, distinct)
    # Rows of a sparse matrix are filled in the order given: a counting sort that keeps ties.
    place = np.arange(codes.size, dtype=np.int64 if codes.size > 2**31 - 1 else np.int32)
    shape = (distinct.len(), codes.size)
    ones = np.ones(codes.size, dtype=np.int8)
    matrix = sparse.coo_array((ones, (codes, place)), shape=shape).tocsr()
    return distinct, matrix.indptr.astype(np.int64), rows[matrix.indices]


def _codes(customers: pl.Series, distinct: pl.Series) -> NDArray[np.int32]:
    """Position of each customer among the distinct ones."""
    if distinct.dtype.is_integer():
        ids = distinct.to_numpy()
        low, spread = int(ids[0]), int(ids[-1]) - int(ids[0]) + 1
        if spread <= _SPREAD * customers.len() + 1_000:
            place = np.zeros(spread, dtype=np.int32)
            place[_from(ids, low)] = np.arange(ids.size, dtype=np.int32)
            return place[_from(customers.to_numpy(), low)]
    if distinct.dtype == pl.String:
        return customers.cast(pl.Enum(distinct)).to_physical().to_numpy().astype(np.int32)
    return customers.rank("dense").to_numpy().astype(np.int32) - np.int32(1)


def _from(ids: NDArray[Any], low: int) -> NDArray[np.int64]:
    place: NDArray[np.int64] = (ids - ids.dtype.type(low)).astype(np.int64)
    return place


def take_rows(frame: pl.DataFrame, order: NDArray[np.int64]) -> pl.DataFrame:
    """Bring the rows into a new order; `frame` loses its columns, so that memory holds one twice.

    Columns are made whole first: a look-up in many chunks takes three times as long.
    """
    index = pl.Series(order.astype(np.uint32) if order.size < 2**32 else order)
    return pl.DataFrame(
        [frame.drop_in_place(name).rechunk().gather(index) for name in frame.columns]
    )
