"""What was found wrong with an event log or set aside from it: counted, and put into words."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile.data.event_columns import EventColumns
from thinfile.errors import DataError

TYPE_CHANGED_SHARE = 0.5
"""A column of numbers of which more than this share cannot be read is refused."""

NO_ZONE = "none"

_CHUNK_EVENTS = 1_000_000


@dataclass
class Tally:
    """How many rows something is true of, which is the first of them, and its value."""

    count: int = 0
    row: int = 0
    value: Any = None

    def add(self, marked: pl.Series, values: pl.Series, first: int) -> None:
        """Count marked rows of a batch whose first row has the number `first` in the log."""
        n = int(marked.sum())
        if n and not self.count:
            place = int(marked.arg_max() or 0)
            self.row, self.value = first + place, values[place]
        self.count += n

    @property
    def first(self) -> str:
        """The first row in words."""
        plain = isinstance(self.value, (str, int, float))
        shown = "" if self.value is None else f", {self.value!r}" if plain else f", {self.value}"
        return f"(first: row {self.row}{shown})"


@dataclass
class LogChecks:
    """Counts over all rows of a log, batch by batch, and what follows from them.

    Attributes
    ----------
    roles : EventColumns
    raise_missing, raise_times : bool
        Refuse a log with events that name no customer, or have no time that can be read.
    n_rows, n_kept : int
        Rows read so far, and those with a customer and a time.
    tallies : dict
        What was counted, by column and subject.
    zones : dict
        Rows by the zone that their text names.
    """

    roles: EventColumns
    raise_missing: bool = False
    raise_times: bool = True
    n_rows: int = 0
    n_kept: int = 0
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    zones: dict[str, Tally] = field(default_factory=dict)
    n_present: dict[str, int] = field(default_factory=dict)

    def tally(self, column: str, subject: str) -> Tally:
        """The tally of a subject; a new one where nothing was counted yet."""
        return self.tallies.setdefault((column, subject), Tally())

    def count_zones(self, zones: pl.Series, raw: pl.Series, first: int) -> None:
        """Count the rows of each zone; null stands for a row that does not count."""
        for zone in zones.unique().drop_nulls():
            marked = (zones == zone).fill_null(False)
            self.zones.setdefault(zone, Tally()).add(marked, raw, first)

    def check(self) -> None:
        """Refuse the log if it must be, once all rows have been read.

        Raises
        ------
        DataError
            With all faults: no rows, customers or times missing or unreadable, zones mixed, a
            column of numbers that holds none, or no event left.
        """
        if not self.n_rows:
            raise DataError("the log is empty: columns but no rows")
        faults = [
            *self._lines("odd customer", "hold no whole number, which a customer must be"),
            *(self._lines("missing", "name no customer") if self.raise_missing else []),
            *(self._time_lines("") if self.raise_times else []),
            *self._zone_faults(),
            *self._number_faults(),
        ]
        if not faults and not self.n_kept:
            faults = ["the log is empty: no event has a customer and a time", *self.notes()]
        if faults:
            raise DataError("; ".join(faults))

    def notes(self) -> list[str]:
        """What was set aside or changed, a line each with the count and the first row."""
        zone = next(iter(self.zones), NO_ZONE)
        turned = [f"column {self.roles.time!r}: times in the zone {zone} are turned to UTC"]
        returns = "are negative and count as returns, not as purchases"
        return [
            *self._lines("missing", "name no customer and are left out"),
            *self._time_lines(" and are left out"),
            *(turned if zone != NO_ZONE else []),
            *self._lines("unread", "are no finite numbers and are left empty"),
            *self._lines("returns", returns, self.n_kept, "events"),
        ]

    def _lines(
        self, subject: str, words: str, total: int | None = None, what: str = "rows"
    ) -> list[str]:
        total = self.n_rows if total is None else total
        return [
            f"column {column!r}: {each.count} of {total} {what} {words} {each.first}"
            for (column, counted), each in self.tallies.items()
            if counted == subject and each.count
        ]

    def _time_lines(self, ending: str) -> list[str]:
        return [
            *self._lines("no time", f"have no time{ending}"),
            *self._lines("bad time", f"cannot be read as times{ending}"),
        ]

    def _zone_faults(self) -> list[str]:
        if len(self.zones) < 2:
            return []
        shown = ", ".join(
            f"{'no zone' if zone == NO_ZONE else zone} in {each.count} of {self.n_rows} rows "
            f"{each.first}"
            for zone, each in sorted(
                self.zones.items(), key=lambda pair: (-pair[1].count, pair[1].row)
            )
        )
        return [f"column {self.roles.time!r}: a mix of time zones: {shown}; bring all to UTC first"]

    def _number_faults(self) -> list[str]:
        return [
            f"column {column!r}: {each.count} of {self.n_rows} rows are no numbers {each.first}"
            for (column, subject), each in self.tallies.items()
            if subject == "unread" and each.count > TYPE_CHANGED_SHARE * self.n_present[column]
        ]


def repeat_notes(
    table: pl.DataFrame,
    customers: pl.Series,
    offsets: NDArray[np.int64],
    times: NDArray[np.int64],
) -> list[str]:
    """Count events of one customer at one time, and among them those equal in every column.

    Works on whole customers, about a million events at a time, so that a log larger than memory
    can be counted.
    """
    n_tied = n_repeated = 0
    first = ""
    for low, high in _customer_chunks(offsets):
        begin, end = int(offsets[low]), int(offsets[high])
        opens = offsets[low:high] - begin
        groups = _groups(np.asarray(times[begin:end]), opens[opens < end - begin])
        size = np.bincount(groups)[groups]
        tied = np.flatnonzero(size > 1)
        n_tied += tied.size
        rows = table[begin:end][tied]
        repeated = _repeated(rows, groups[tied])
        n_repeated += int(repeated.sum())
        if not first and repeated.any():
            event = begin + int(tied[int(np.argmax(repeated))])
            who = customers[int(np.searchsorted(offsets, event, side="right")) - 1]
            first = f"(first: customer {who!r}, {np.datetime64(int(times[event]), 'us').item()})"
    return _repeat_words(table.height, n_tied, n_repeated, first)


def _customer_chunks(offsets: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ranges of customers that hold about a million events each."""
    wanted = np.arange(0, int(offsets[-1]), _CHUNK_EVENTS)
    edges = np.unique(np.append(np.searchsorted(offsets, wanted), offsets.size - 1))
    return [(int(low), int(high)) for low, high in pairwise(edges)]


def _groups(times: NDArray[np.int64], opens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the runs of one customer and time from 0 on."""
    fresh = np.append(True, times[1:] != times[:-1])
    fresh[opens] = True
    groups: NDArray[np.int64] = np.cumsum(fresh) - 1
    return groups


def _repeated(rows: pl.DataFrame, groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    if rows.is_empty():
        return np.zeros(0, dtype=np.bool_)
    # Hashes of 64 bits within a group of ties: two that collide would miscount by one.
    keys = pl.DataFrame({"group": groups, "row": rows.hash_rows(seed=0)})
    repeated: NDArray[np.bool_] = (
        ~keys.select(pl.struct("group", "row").is_first_distinct()).to_series().to_numpy()
    )
    return repeated


def _repeat_words(n_events: int, n_tied: int, n_repeated: int, first: str) -> list[str]:
    notes = []
    if n_tied:
        notes.append(
            f"{n_tied} of {n_events} events share customer and time with another and keep the "
            "order of the file"
        )
    if n_repeated:
        notes.append(
            f"{n_repeated} of {n_events} events repeat another one in every column and are kept "
            f"{first}"
        )
    return notes
