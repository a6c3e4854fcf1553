"""Event logs: who did what when, sorted by customer and time, larger than memory if need be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile.data.event_checks import repeat_notes
from thinfile.data.event_columns import EventColumns
from thinfile.data.event_reading import EventReader, sample_of
from thinfile.data.event_sort import sort_order, take_rows
from thinfile.data.event_store import MANIFEST, StoredEvents, check_source, open_store, write_store
from thinfile.data.event_times import with_zones_kept
from thinfile.data.read import read_table
from thinfile.data.snapshots import Buys, Snapshots, take_snapshots
from thinfile.frame import as_frame

__all__ = ["EventColumns", "EventLog"]


class EventLog:
    """A log of events, sorted by customer, then time; ties keep their order in the file.

    Use it for anything in which many rows tell of one customer: purchases, clicks, payments. Make
    one with :meth:`from_table`, :meth:`from_source` or :meth:`open`; the constructor trusts its
    arguments. For one row per customer use a plain table.

    Attributes
    ----------
    roles : EventColumns
        Which column is what.
    table : polars.DataFrame, shape (n_events, columns)
        All columns except the customer. The time is Datetime("us"), in UTC if there was a zone.
    customers : polars.Series, shape (n_customers,)
        Distinct ids, sorted, of the type in the raw log (whole floats become Int64).
    offsets : numpy.ndarray of int64, shape (n_customers + 1,)
        Customer i has the rows ``offsets[i]:offsets[i + 1]``.
    times : numpy.ndarray of int64, shape (n_events,)
        Microseconds since 1970.
    notes : tuple of str
        What was set aside, changed or counted on the way, each with its number of rows.
    start, end : datetime
        First and last event of the log, UTC if there was a zone.

    Examples
    --------
    >>> from datetime import datetime, timedelta
    >>> log = EventLog.from_table(
    ...     {
    ...         "who": [7.0, 7.0, None, 5.0],
    ...         "when": ["2024-01-02", "2024-01-01", "2024-01-01", "2024-02-01"],
    ...         "what": ["tea", "jam", "tea", "tea"],
    ...     },
    ...     EventColumns("who", "when", category="what"),
    ... )
    >>> log.customers.to_list(), log.offsets.tolist(), log.table["what"].to_list()
    ([5, 7], [0, 1, 3], ['tea', 'jam', 'tea'])
    >>> print(log.notes[0])
    column 'who': 1 of 4 rows name no customer and are left out (first: row 2)
    >>> rows = log.snapshots([datetime(2024, 1, 2)], timedelta(days=7), buys=Buys("what", ("tea",)))
    >>> rows.customer.tolist(), rows.label.tolist(), rows.stop.tolist()
    ([1], [1], [2])
    """

    def __init__(
        self,
        roles: EventColumns,
        table: pl.DataFrame,
        customers: pl.Series,
        offsets: NDArray[np.int64],
        times: NDArray[np.int64],
        notes: Sequence[str] = (),
    ) -> None:
        self.roles = roles
        self.table = table
        self.customers = customers
        self.offsets = offsets
        self.times = times
        self.notes = tuple(notes)

    def __repr__(self) -> str:
        return (
            f"EventLog({self.n_events} events of {self.n_customers} customers, "
            f"{self.start} to {self.end})"
        )

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self.table.height

    @property
    def n_customers(self) -> int:
        """Number of customers, each with at least one event."""
        return self.customers.len()

    @cached_property
    def start(self) -> datetime:
        """The first event of the log."""
        return _instant(int(self.times.min()))

    @cached_property
    def end(self) -> datetime:
        """The last event of the log."""
        return _instant(int(self.times.max()))

    def returns(self) -> NDArray[np.bool_]:
        """Mark the events with a quantity below 0; none where the log has no quantity."""
        if self.roles.quantity is None:
            return np.zeros(self.n_events, dtype=np.bool_)
        negative = self.table[self.roles.quantity] < 0
        marked: NDArray[np.bool_] = negative.fill_null(False).to_numpy()
        return marked

    @classmethod
    def from_table(
        cls,
        frame: Any,
        roles: EventColumns,
        *,
        on_missing_customer: str = "drop",
        on_bad_time: str = "raise",
    ) -> EventLog:
        """Check and sort a table of events in memory.

        Parameters
        ----------
        frame : DataFrame of polars or pandas, Arrow table, or mapping of columns
            Long: one row per event. Numbers and times may be text.
        roles : EventColumns
            Which column is what; all other columns are kept.
        on_missing_customer : {"drop", "raise"}, default "drop"
            Set events without a customer aside and count them in the notes, or refuse the log.
        on_bad_time : {"raise", "drop"}, default "raise"
            Refuse a log with times that are missing or cannot be read, or set these events aside
            and count them in the notes.

        Returns
        -------
        EventLog

        Raises
        ------
        DataError
            If columns are missing, times cannot be read or mix zones, a column of numbers holds
            none, or no event is left; all faults in one message, with counts and first rows.
        """
        options = {"on_missing_customer": on_missing_customer, "on_bad_time": on_bad_time}
        raw = with_zones_kept(as_frame(frame, name="the log"), frame, roles.time)
        return cls._sorted(*_read(raw, roles, **options))

    @classmethod
    def _sorted(cls, typed: pl.DataFrame, keep: pl.Series, reader: EventReader) -> EventLog:
        roles, rows = reader.roles, np.flatnonzero(keep.to_numpy())
        instants = typed[roles.time].to_physical().fill_null(0).to_numpy()
        customers, offsets, order = sort_order(typed[roles.customer], instants, rows)
        del instants, rows, keep
        typed.drop_in_place(roles.customer)
        table = take_rows(typed, order)
        times = table[roles.time].to_physical().to_numpy()
        notes = [*reader.notes(), *repeat_notes(table, customers, offsets, times)]
        return cls(roles, table, customers, offsets, times, notes)

    @classmethod
    def from_source(
        cls,
        source: str | Path,
        roles: EventColumns,
        *,
        store: str | Path | None = None,
        on_missing_customer: str = "drop",
        on_bad_time: str = "raise",
    ) -> EventLog:
        """Check and sort what :func:`thinfile.data.read.read_table` reads.

        Parameters
        ----------
        source : str or Path
            A file, ``duckdb:``, ``postgresql://`` or ``sql:`` source.
        roles : EventColumns
        store : str or Path, optional
            A folder to be made. The log is sorted by DuckDB on disk, in memory that does not grow
            with it, written there and mapped into memory. A folder that holds this very source,
            unchanged since, is used again. For logs that do not fit into memory; sorting in
            memory is faster. Needs the extra ``sql``.
        on_missing_customer, on_bad_time : {"drop", "raise"}
            As for :meth:`from_table`.

        Returns
        -------
        EventLog

        Raises
        ------
        DataError
            As for :meth:`from_table`; or if `store` holds another log or cannot be written.
        MissingPackageError
            If a package for the source or the store is not installed.
        """
        options = {"on_missing_customer": on_missing_customer, "on_bad_time": on_bad_time}
        if store is None:
            return cls._sorted(*_read(as_frame(read_table(source)), roles, **options))
        if (Path(store) / MANIFEST).exists():
            check_source(Path(store), source, roles)
        else:
            write_store(Path(store), source, roles, options)
        return cls.open(store)

    @classmethod
    def open(cls, store: str | Path, *, verify: bool = False) -> EventLog:
        """Map a stored log into memory; nothing is read until it is used.

        Parameters
        ----------
        store : str or Path
            The folder that :meth:`from_source` has made.
        verify : bool, default False
            Read all of it and compare check sums, beyond the sizes that are always compared.

        Raises
        ------
        ArtifactError
            If the folder holds no log, one of an unknown version, or a damaged one.
        """
        stored: StoredEvents = open_store(Path(store), verify=verify)
        log = cls(
            stored.roles, stored.table, stored.customers, stored.offsets, stored.times, stored.notes
        )
        # The manifest knows them, so that a log on disk need not be read for them.
        log.start, log.end = _instant(stored.start), _instant(stored.end)
        return log

    def snapshots(
        self,
        cuts: Sequence[datetime],
        horizon: timedelta,
        gap: timedelta = timedelta(0),
        buys: Buys | None = None,
    ) -> Snapshots:
        """See every customer who has a history at each of the cuts, and label what comes after.

        History is strictly before the cut; the label says whether the customer buys in
        [cut + gap, cut + gap + horizon). A customer without an event before a cut has no row there.

        Parameters
        ----------
        cuts : sequence of datetime
            At least one; UTC, or with a zone. Rows come cut by cut in the order given.
        horizon, gap : timedelta
            Length of the label window (above 0), and how long after the cut it opens.
        buys : Buys, optional
            What is to be predicted; without it all labels are -1, for scoring.

        Returns
        -------
        Snapshots
            Label -1 where the label window passes the log's end.

        Raises
        ------
        DataError
            If the label windows of all cuts pass the log's end, or a category never occurs.
        ParameterError
            If an argument breaks its rule.
        """
        return take_snapshots(self, cuts, horizon, gap, buys)


def _read(
    raw: pl.DataFrame, roles: EventColumns, **options: str
) -> tuple[pl.DataFrame, pl.Series, EventReader]:
    reader = EventReader(sample_of(raw), roles, **options)
    typed, keep = reader.read(raw)
    reader.checks.check()
    return typed, keep, reader


def _instant(microseconds: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(microseconds=microseconds)
