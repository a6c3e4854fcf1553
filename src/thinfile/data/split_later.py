"""Hold back the latest labelled rows, so that training stops by rows that lie later in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.errors import DataError
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

Rows = npt.NDArray[np.intp]

MIN_EVENTS = 10
"""Events (and non-events) that the later rows need, so that their AUC means something."""


def latest_rows(
    time: npt.NDArray[Any],
    labelled: npt.NDArray[np.bool_],
    y: npt.NDArray[Any],
    fraction: float,
) -> tuple[Rows, Rows]:
    """Split labelled rows at an instant: earlier ones to train on, later ones to stop by.

    Use it wherever the model is to be applied to a later time than it was trained on. It does not
    keep a gap between the two: rows whose label is only known later belong into a split with a
    horizon.

    Parameters
    ----------
    time : numpy.ndarray, shape (rows,)
        Numbers or datetime64. NaN and NaT are unknown; such rows are trained on.
    labelled : numpy.ndarray of bool, shape (rows,)
        Rows that have a label; the others are in neither part.
    y : numpy.ndarray, shape (rows,)
        1 for the event, 0 for none; anything where there is no label.
    fraction : float in [0, 1)
        Share of the labelled rows with a known time to hold back. Rows of one time stamp stay
        together, so the share is met as nearly as the stamps allow, and at least one stamp trains.

    Returns
    -------
    tuple of two arrays of int
        Positions of the training and of the validation rows, ascending. The second is empty, and
        the first all labelled rows, where the later rows would hold fewer than `MIN_EVENTS`
        events or non-events, or the earlier ones would lack a class.

    Examples
    --------
    >>> import numpy as np
    >>> time, y = np.arange(100) // 10, np.tile([0, 1], 50)
    >>> training, validation = latest_rows(time, y >= 0, y, 0.2)
    >>> len(training), len(validation), int(time[validation].min())
    (80, 20, 8)
    """
    rows = np.flatnonzero(labelled)
    known = rows[~_unknown(time[rows])]
    cut = _cut(time[known], fraction)
    if cut is None:
        return rows, rows[:0]
    validation = known[time[known] >= cut]
    training = np.setdiff1d(rows, validation)
    if _n_rarer(y[validation]) < MIN_EVENTS or _n_rarer(y[training]) < 1:
        return rows, rows[:0]
    return training, validation


def times_of(frame: pl.DataFrame, name: str, schema: Schema | None = None) -> npt.NDArray[Any]:
    """The times of a raw table, as datetime64 or as numbers.

    Parameters
    ----------
    frame : polars.DataFrame
        Shape (rows, columns).
    name : str
        A column of dates or numbers.
    schema : Schema, optional
        How the column's text is read; concluded from its values without it.

    Returns
    -------
    numpy.ndarray, shape (rows,)
        datetime64[us], in UTC where the dates have a zone, or float64; NaT or NaN where unknown.

    Raises
    ------
    DataError
        If there is no such column, or it holds neither dates nor numbers.

    Examples
    --------
    >>> import polars as pl
    >>> times_of(pl.DataFrame({"day": ["2011-12-09", "2011-12-10"]}), "day").astype("M8[D]")
    array(['2011-12-09', '2011-12-10'], dtype='datetime64[D]')
    """
    if name not in frame.columns:
        has = ", ".join(map(repr, frame.columns[:12]))
        raise DataError(f"time_column={name!r} is no column of X (it has {has})")
    known = schema is not None and name in [column.name for column in schema.columns]
    column = schema[name] if schema is not None and known else _infer(frame, name)
    if column.role not in ("date", "number") and frame.schema[name].is_numeric():
        column = Column(name, "number")  # an id that counts up, say
    if column.role not in ("date", "number"):
        raise DataError(
            f"time_column={name!r}: a column of role {column.role!r} (first value "
            f"{frame[name].first()!r}), must hold dates or numbers"
        )
    values: npt.NDArray[Any] = Schema((column,)).parse(frame).frame[name].to_numpy()
    return values


def _infer(frame: pl.DataFrame, name: str) -> Column:
    return Schema.infer(frame.select(name))[name]


def _unknown(time: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    unknown: npt.NDArray[np.bool_] = np.isnat(time) if time.dtype.kind in "mM" else np.isnan(time)
    return unknown


def _cut(time: npt.NDArray[Any], fraction: float) -> Any:
    """First time stamp of the later part, None where there is no such part."""
    stamps, counts = np.unique(time, return_counts=True)
    if fraction <= 0 or len(stamps) < 2:
        return None
    later = counts[::-1].cumsum()[::-1][1:]  # rows at or after each stamp but the first
    return stamps[1:][np.argmin(np.abs(later - fraction * len(time)))]


def _n_rarer(y: npt.NDArray[Any]) -> int:
    return int(min((y == 1).sum(), (y == 0).sum()))
