"""The joins and sums behind :mod:`thinfile.data.aggregates`: DuckDB, a block of rows at a time.

Each snapshot meets the events of its own history, a range of rows, and nothing else. One query
sums them up per snapshot and kind of event (category, and whether it is the purchase to be
predicted, a purchase at all, a return). That leaves a few sums per snapshot, from which arrays
make all columns; asking DuckDB for each column with a filter of its own took four times as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile.errors import MissingPackageError

if TYPE_CHECKING:
    from thinfile.data.events import EventLog
    from thinfile.data.snapshots import Snapshots

DAY = 86_400_000_000
"""Microseconds."""

OWN, PURCHASE, RETURN = 1, 2, 4
"""Bits of a kind; the bits above are the code of the category."""
BITS = 8

NO_CATEGORY = 0
"""Code of an event without a category; 1 is any that was not named, 2… those that were."""

UNITS = 1e6
"""Amounts are added as whole millionths: exact, so that no order of adding changes a bit."""

MAX_EVENTS, MAX_PAIRS = 500_000, 1_500_000
"""Events, and meetings of a snapshot with an event, held at a time."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Marks:
    """What each event of a log counts as; arrays of shape (n_events,)."""

    own: Bools  # the purchase to be predicted
    purchase: Bools  # of any category
    returned: Bools


@dataclass(frozen=True)
class Sums:
    """Per snapshot and kind of event: m rows, in no particular order.

    Attributes
    ----------
    snapshot : (m,)
        Position of the snapshot among those asked for.
    code : (m,)
        0 no category, 1 another category, 2… the categories named.
    own, purchase, returned : (m,)
        The kind.
    category : (m,)
        A number for each distinct category of the block, named or not; -1 for none.
    count, own_days, purchase_days : (m,)
        Events, and distinct days counted at the first purchase of each.
    latest, earliest : (m,)
        Age of the last and the first event at the cut, in microseconds (exact in float64).
    counts, amounts : (m, 1 + n_windows)
        Amounts in whole `UNITS`, so that adding them up in any order gives the same.
        Events and money: all, then within each window.
    """

    snapshot: Ints
    code: Ints
    own: Bools
    purchase: Bools
    returned: Bools
    category: Ints
    count: Ints
    own_days: Ints
    purchase_days: Ints
    latest: Floats
    earliest: Floats
    counts: Ints
    amounts: Floats


def sum_histories(
    log: EventLog,
    snapshots: Snapshots,
    marks: Marks,
    *,
    column: str,
    named: Sequence[str],
    windows: Sequence[int],
) -> Iterator[tuple[Ints, Sums]]:
    """Sum up the histories of snapshots, some at a time.

    Parameters
    ----------
    log, snapshots, marks
        Histories are the rows ``start:stop``.
    column : str
        Column of the categories.
    named : sequence of str
        Categories that get a code of their own, in this order, from 2 on.
    windows : sequence of int
        Days before the cut.

    Yields
    ------
    tuple of ndarray, Sums
        Positions of the snapshots that the sums are of, and the sums.

    Raises
    ------
    MissingPackageError
        If duckdb or pyarrow is not installed.
    """
    connection = _connect()
    try:
        for rows in blocks_of_rows(snapshots.start, snapshots.stop, MAX_EVENTS, MAX_PAIRS):
            part = snapshots.take(rows)
            yield rows, _sum_block(connection, log, part, marks, column, named, windows)
    finally:
        connection.close()


def blocks_of_rows(start: Ints, stop: Ints, max_events: int, max_pairs: int) -> Iterator[Ints]:
    """Positions of snapshots, in order of `start`, in blocks that bound the memory.

    Snapshots of one start (one customer, that is) stay together; at least one start is in a block.

    Parameters
    ----------
    start, stop : (n,)
        Ranges of rows.
    max_events, max_pairs
        Most distinct events, and most meetings of a snapshot and an event, in a block.
    """
    order = np.lexsort((stop, start))
    heads = np.flatnonzero(np.diff(start[order], prepend=-1))  # first snapshot of each start
    if not len(heads):
        return
    pairs = np.add.reduceat((stop - start)[order], heads)
    events = np.maximum.reduceat((stop - start)[order], heads)
    ends = np.append(heads[1:], len(order))
    load = np.maximum(np.cumsum(pairs) / max_pairs, np.cumsum(events) / max_events)
    begin = 0
    while begin < len(heads):
        before = load[begin - 1] if begin else 0.0
        end = max(begin + 1, int(np.searchsorted(load, before + 1.0, side="right")))
        yield order[heads[begin] : ends[end - 1]]
        begin = end


def rows_of_ranges(begin: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Which range each row of a list of ranges belongs to, and the rows, one range after another.

    Examples
    --------
    >>> rows_of_ranges(np.array([5, 9]), np.array([7, 10]))
    (array([0, 0, 1]), array([5, 6, 9]))
    """
    length = end - begin
    owner = np.repeat(np.arange(len(length)), length)
    skipped = np.cumsum(length) - length - begin
    return owner, np.arange(len(owner)) - skipped[owner]


def new_days(owner: Ints, day: Ints, marked: Bools) -> Bools:
    """Marked events that are the first marked one of their owner and day; sorted by both."""
    places = np.flatnonzero(marked)
    fresh = np.ones(len(places), dtype=bool)
    fresh[1:] = (np.diff(day[places]) != 0) | (np.diff(owner[places]) != 0)
    found = np.zeros(len(marked), dtype=bool)
    found[places[fresh]] = True
    return found


def _connect() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise MissingPackageError("duckdb", "sql", "aggregates of an event log") from error
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("pyarrow", "sql", "aggregates of an event log") from error
    connection = duckdb.connect()
    # One variable then rules the threads of both.
    connection.execute(f"SET threads = {pl.thread_pool_size()}")
    return connection


def _sum_block(
    connection: Any,
    log: EventLog,
    part: Snapshots,
    marks: Marks,
    column: str,
    named: Sequence[str],
    windows: Sequence[int],
) -> Sums:
    heads = np.flatnonzero(np.diff(part.start, prepend=-1))
    longest = np.maximum.reduceat(part.stop, heads)
    owner, rows = rows_of_ranges(part.start[heads], longest)
    category, codes = _codes(_gather(log.table[column], rows), named)
    events = _events(log, marks, owner, rows, category)
    snapshots = {
        "snapshot": np.arange(len(part), dtype=np.int32),
        "owner": np.cumsum(np.isin(np.arange(len(part)), heads)).astype(np.int32) - 1,
        "stop": part.stop,
        "cut": part.cut.astype("datetime64[us]").astype(np.int64),
    }
    connection.register("events", pl.DataFrame(events))
    connection.register("snapshots", pl.DataFrame(snapshots))
    found = connection.sql(_query(windows)).fetchnumpy()
    return _read(found, codes, len(windows))


def _gather(values: pl.Series, rows: Ints) -> pl.Series:
    # A slice is a view; picking rows copies.
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return values.slice(int(rows[0]), len(rows))
    return values.gather(rows)


def _codes(values: pl.Series, named: Sequence[str]) -> tuple[Ints, Ints]:
    """A number for each distinct value (0: none), and the code of each such number."""
    text = values.cast(pl.String)
    words = text.drop_nulls().unique(maintain_order=True)
    numbers = text.cast(pl.Enum(words)).to_physical().cast(pl.Int64) + 1
    place = {name: code for code, name in enumerate(named, start=2)}
    codes = [NO_CATEGORY, *(place.get(word, 1) for word in words)]
    return numbers.fill_null(0).to_numpy(), np.array(codes, dtype=np.int64)


def _events(
    log: EventLog, marks: Marks, owner: Ints, rows: Ints, category: Ints
) -> dict[str, NDArray[Any]]:
    own, purchase, returned = (each[rows] for each in (marks.own, marks.purchase, marks.returned))
    times = log.times[rows]
    kind = category * BITS + OWN * own + PURCHASE * purchase + RETURN * returned
    events = {
        "owner": owner.astype(np.int32),
        "row": rows,
        "time": times,
        "kind": kind.astype(np.int32),
        "own_day": new_days(owner, times // DAY, own).astype(np.int32),
        "purchase_day": new_days(owner, times // DAY, purchase).astype(np.int32),
    }
    if log.roles.amount is not None:
        money = _gather(log.table[log.roles.amount], rows).cast(pl.Float64).to_numpy()
        counted = np.isfinite(money) & (purchase | returned)
        events["amount"] = np.round(np.where(counted, money, 0.0) * UNITS)
    else:
        events["amount"] = np.zeros(len(rows))
    return events


def _query(windows: Sequence[int]) -> str:
    """Only whole numbers of our own stand in the text: names of categories never do."""
    inside = [f"age <= {int(days) * DAY}" for days in windows]
    counts = "".join(f", sum(({rule})::INT) AS count{k}" for k, rule in enumerate(inside, 1))
    amounts = "".join(
        f", sum(CASE WHEN {rule} THEN amount ELSE 0 END) AS amount{k}"
        for k, rule in enumerate(inside, 1)
    )
    return (
        "SELECT snapshot, kind, count(*) AS count0, sum(own_day) AS own_days, "
        "sum(purchase_day) AS purchase_days, min(age) AS latest, max(age) AS earliest, "
        f"sum(amount) AS amount0{counts}{amounts} FROM ("
        "SELECT snapshot, kind, own_day, purchase_day, amount, cut - time AS age "
        "FROM snapshots JOIN events ON events.owner = snapshots.owner "
        "AND events.row < snapshots.stop) GROUP BY snapshot, kind"
    )


def _read(found: dict[str, Any], codes: Ints, n_windows: int) -> Sums:
    kind = np.asarray(found["kind"], dtype=np.int64)
    category = kind // BITS
    columns = range(n_windows + 1)
    # DuckDB adds whole numbers up as 128-bit ones, which arrive as floats.
    counts = np.stack([np.asarray(found[f"count{k}"]).astype(np.int64) for k in columns], axis=1)
    amounts = np.stack([np.asarray(found[f"amount{k}"], dtype=np.float64) for k in columns], 1)
    return Sums(
        snapshot=np.asarray(found["snapshot"]).astype(np.int64),
        code=codes[category],
        own=(kind & OWN) > 0,
        purchase=(kind & PURCHASE) > 0,
        returned=(kind & RETURN) > 0,
        category=category - 1,
        count=counts[:, 0],
        own_days=np.asarray(found["own_days"]).astype(np.int64),
        purchase_days=np.asarray(found["purchase_days"]).astype(np.int64),
        latest=np.asarray(found["latest"]).astype(np.float64),
        earliest=np.asarray(found["earliest"]).astype(np.float64),
        counts=counts,
        amounts=amounts,
    )
