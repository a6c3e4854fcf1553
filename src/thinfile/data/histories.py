"""Histories of customers before their cuts, as list columns for models that read sequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile import params
from thinfile.data.aggregate_query import DAY, rows_of_ranges
from thinfile.errors import DataError, ParameterError
from thinfile.params import Rule, check_params

if TYPE_CHECKING:
    from thinfile.data.events import EventLog
    from thinfile.data.snapshots import Snapshots

PREFIX = "events."
DAYS_TO_CUT = "events.days_to_cut"
STATE_FORMAT = 1

MAX_ROWS = 1_000_000
"""Events held beside the result at a time."""

_RULES: dict[str, Rule] = {
    "columns": params.sequence_of(params.instance(str)),
    "max_events": params.integer(1),
}

Ints = NDArray[np.int64]


class Histories:
    """The latest events of a customer before a cut, one row per snapshot.

    Use it for methods that read sequences. It learns nothing: values come as they are, and an
    encoder fitted on training rows turns them into codes. Only rows ``start:stop`` of a snapshot
    are read, so nothing at or after a cut can show.

    Parameters
    ----------
    columns : sequence of str
        Columns of the log's table; each becomes ``events.<column>``. Text becomes lists of
        String, numbers and booleans lists of Float32.
    max_events : int ≥ 1, default 100
        Longer histories keep their latest events.

    Attributes
    ----------
    names_ : list of str
        ``events.days_to_cut``, then a name for each column.

    Examples
    --------
    >>> from datetime import datetime, timedelta
    >>> from thinfile.data.events import EventColumns, EventLog
    >>> table = pl.DataFrame(
    ...     {
    ...         "who": [1, 1, 2],
    ...         "day": [datetime(2024, 1, day) for day in (1, 3, 2)],
    ...         "what": ["a", "b", "a"],
    ...     }
    ... )
    >>> log = EventLog.from_table(table, EventColumns("who", "day", category="what"))
    >>> snapshots = log.snapshots([datetime(2024, 1, 4)], timedelta(days=1))
    >>> Histories(["what"]).transform(log, snapshots).to_dict(as_series=False)
    {'events.days_to_cut': [[3.0, 1.0], [2.0]], 'events.what': [['a', 'b'], ['a']]}
    """

    def __init__(self, columns: Sequence[str], *, max_events: int = 100) -> None:
        check_params("Histories", {"columns": columns, "max_events": max_events}, _RULES)
        if len(set(columns)) < len(columns):
            raise ParameterError(f"Histories: columns={columns!r} must not name one twice")
        if "days_to_cut" in columns:
            raise ParameterError(
                "Histories: columns must not name 'days_to_cut', which every history has anyway"
            )
        self.columns = tuple(columns)
        self.max_events = int(max_events)
        self.names_ = [DAYS_TO_CUT, *(PREFIX + name for name in self.columns)]

    def transform(self, log: EventLog, snapshots: Snapshots) -> pl.DataFrame:
        """Collect the histories of snapshots, oldest event first.

        Returns
        -------
        polars.DataFrame, shape (len(snapshots), 1 + len(columns))
            List columns in the order of the snapshots; the lists of a row have one length, which
            may be 0. ``events.days_to_cut`` is above 0.

        Raises
        ------
        DataError
            If a column is not in the log, or holds neither text nor numbers.
        """
        _check_columns(log, self.columns)
        begin = np.maximum(snapshots.start, snapshots.stop - self.max_events)
        cut = snapshots.cut.astype("datetime64[us]").astype(np.int64)
        parts = [
            self._lists(log, begin[part], snapshots.stop[part], cut[part])
            for part in _slices(snapshots.stop - begin)
        ]
        return pl.concat(parts or [self._empty(log)])

    def to_state(self) -> dict[str, Any]:
        """The arguments, as JSON values."""
        return {
            "format": STATE_FORMAT,
            "columns": list(self.columns),
            "max_events": self.max_events,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_state` wrote.

        Raises
        ------
        DataError
            If the state is of another format or damaged.
        """
        if state.get("format") != STATE_FORMAT:
            raise DataError(
                f"histories: state has format {state.get('format')!r}, "
                f"this version reads {STATE_FORMAT}"
            )
        try:
            return cls(tuple(state["columns"]), max_events=state["max_events"])
        except (KeyError, TypeError, ParameterError) as error:
            raise DataError(f"histories: state is damaged: {error!r}") from error

    def _lists(self, log: EventLog, begin: Ints, end: Ints, cut: Ints) -> pl.DataFrame:
        owner, rows = rows_of_ranges(begin, end)
        days = ((cut[owner] - log.times[rows]) / DAY).astype(np.float32)
        values = {DAYS_TO_CUT: pl.Series(days, dtype=pl.Float32)}
        for name in self.columns:
            column = log.table[name]
            values[PREFIX + name] = column.gather(rows).cast(_kept_type(column.dtype))
        flat = pl.DataFrame({"": owner, **values}).with_columns(pl.col("").set_sorted())
        lists = flat.group_by("", maintain_order=True).agg(pl.all()).drop("")
        return _with_empty(lists, end > begin, self._empty(log))

    def _empty(self, log: EventLog) -> pl.DataFrame:
        types = [pl.Float32(), *(_kept_type(log.table.schema[name]) for name in self.columns)]
        return pl.DataFrame(
            schema={name: pl.List(kind) for name, kind in zip(self.names_, types, strict=True)}
        )


def _with_empty(
    lists: pl.DataFrame, filled: NDArray[np.bool_], empty: pl.DataFrame
) -> pl.DataFrame:
    """Rows of empty lists put in where nothing happened."""
    if filled.all():
        return lists
    nothing = pl.DataFrame({name: [[]] for name in empty.columns}, schema=empty.schema)
    place = np.where(filled, np.cumsum(filled) - 1, lists.height)
    return pl.concat([lists, nothing])[place]


def _slices(length: Ints) -> Iterator[slice]:
    """Runs of rows whose lengths add up to no more than a bound, or single rows."""
    ends = np.cumsum(length)
    begin = 0
    while begin < len(length):
        before = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + MAX_ROWS, side="right")))
        yield slice(begin, end)
        begin = end


def _kept_type(dtype: pl.DataType) -> pl.DataType:
    return pl.Float32() if dtype.is_numeric() or dtype == pl.Boolean else pl.String()


def _check_columns(log: EventLog, columns: Sequence[str]) -> None:
    known = log.table.schema
    faults = [f"the log has no column {name!r}" for name in columns if name not in known]
    faults += [
        f"column {name!r} is of type {known[name]}: histories hold text or numbers"
        for name in columns
        if name in known and not _is_plain(known[name])
    ]
    if faults:
        raise DataError(f"histories: {'; '.join(faults)}")


def _is_plain(dtype: pl.DataType) -> bool:
    plain = (pl.String, pl.Boolean, pl.Categorical, pl.Enum)
    return dtype.is_numeric() or isinstance(dtype, plain)
