"""Are the histories of a table sound: lists of one length per row, before the cut, in order?"""

from __future__ import annotations

import polars as pl

from thinfile.errors import DataError

PREFIX = "events."
TIME = "events.days_to_cut"
"""Days from each event to the cut of its row, above 0, oldest first."""


def history_columns(frame: pl.DataFrame) -> list[str]:
    """Names of the list columns ``events.…``, in their order."""
    return [
        name
        for name, dtype in frame.schema.items()
        if name.startswith(PREFIX) and isinstance(dtype, pl.List)
    ]


def flat(lists: pl.Series, max_events: int | None = None) -> pl.Series:
    """The values of a list column one behind the other; the latest `max_events` of each row."""
    if max_events is not None:
        lists = lists.list.tail(max_events)
    return lists.explode(empty_as_null=False, keep_nulls=False)


def check_histories(frame: pl.DataFrame) -> list[str]:
    """Hold the list columns of a table against their rules.

    Parameters
    ----------
    frame : polars.DataFrame
        Shape (rows, columns).

    Returns
    -------
    list of str
        The list columns, ``events.days_to_cut`` first; empty where there are none.

    Raises
    ------
    DataError
        With every fault: the column, how many rows or events, and the first of them.
    """
    names = history_columns(frame)
    if not names:
        return []
    if TIME not in names:
        raise DataError(
            f"columns {', '.join(map(repr, names))} need {TIME!r} beside them: a list of the days "
            "from each event to the cut of its row"
        )
    others = [name for name in names if name != TIME]
    faults = [fault for name in others if (fault := _length_fault(frame, name))]
    faults += _time_faults(frame[TIME])
    if faults:
        raise DataError("; ".join(faults))
    return [TIME, *others]


def _length_fault(frame: pl.DataFrame, name: str) -> str | None:
    own, times = (frame[each].list.len().fill_null(0) for each in (name, TIME))
    wrong = (own != times).arg_true()
    if not len(wrong):
        return None
    row = int(wrong[0])
    return (
        f"column {name!r}: {len(wrong)} of {frame.height} rows have another number of events than "
        f"{TIME!r} (first: row {row}, {own[row]} and {times[row]})"
    )


def _time_faults(times: pl.Series) -> list[str]:
    inner = times.dtype.inner if isinstance(times.dtype, pl.List) else times.dtype
    if not (inner.is_numeric() or inner == pl.Null):
        return [f"column {TIME!r} is {times.dtype}, must be a list of numbers (days)"]
    events = (
        pl.DataFrame({"row": pl.int_range(len(times), eager=True), "days": times})
        .filter(pl.col("days").list.len() > 0)
        .explode("days")
        .with_columns(pl.col("days").cast(pl.Float32))
    )
    days, before = pl.col("days"), pl.col("days").shift().over("row")
    rules = {
        "have no time": days.is_null() | ~days.is_finite(),
        "are not before the cut (days must be above 0)": days <= 0,
        "are out of order (oldest first is needed)": days > before,
    }
    found = []
    for words, rule in rules.items():
        wrong = events.filter(rule)
        if wrong.height:
            row, value = wrong.row(0)
            found.append(
                f"column {TIME!r}: {wrong.height} of {events.height} events {words} "
                f"(first: row {row}, {value})"
            )
    return found
