"""Customers seen at cuts in time: what came strictly before, and whether they buy after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile.data.buys import Buys
from thinfile.data.durations import format_duration
from thinfile.errors import DataError, ParameterError

if TYPE_CHECKING:
    from thinfile.data.events import EventLog

__all__ = ["Buys", "Snapshots", "first_events_at", "microseconds", "take_snapshots"]

NO_LABEL = -1


@dataclass(frozen=True, eq=False)
class Snapshots:
    """Rows of a learning task on an event log: a customer seen at a cut.

    Use it as the rows of any table that is made from a log: features may be taken from the events
    ``start:stop`` and from nothing else. It holds positions only, so copies are cheap.

    Attributes
    ----------
    customer : numpy.ndarray of int64, shape (n,)
        Position in ``log.customers``.
    cut : numpy.ndarray of datetime64[us], shape (n,)
        The instant of looking, UTC where the log had a zone.
    start, stop : numpy.ndarray of int64, shape (n,)
        History is the rows ``start:stop`` of ``log.table``, all strictly before the cut; shifted
        copies stop earlier.
    label : numpy.ndarray of int8, shape (n,)
        1 buys in [cut + gap, cut + gap + horizon), 0 does not, -1 not known.
    horizon, gap : datetime.timedelta
        Length of the label window, and how long after the cut it opens.
    flags : tuple of str
        In words, what is unsound about how these rows were chosen; empty where nothing is.
    """

    customer: NDArray[np.int64]
    cut: NDArray[np.datetime64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    label: NDArray[np.int8]
    horizon: timedelta
    gap: timedelta
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        sizes = {
            name: getattr(self, name).size for name in ("customer", "cut", "start", "stop", "label")
        }
        if len(set(sizes.values())) > 1:
            shown = ", ".join(f"{name} {size}" for name, size in sizes.items())
            raise DataError(f"snapshots: arrays must have one length, but found {shown}")

    def __len__(self) -> int:
        return int(self.customer.size)

    def take(self, rows: NDArray[Any] | Sequence[int]) -> Snapshots:
        """Return the rows at these positions, or where a mask is True, in that order."""
        rows = np.asarray(rows)
        rows = rows if rows.dtype == np.bool_ else rows.astype(np.int64)
        return replace(
            self,
            customer=self.customer[rows],
            cut=self.cut[rows],
            start=self.start[rows],
            stop=self.stop[rows],
            label=self.label[rows],
        )

    @staticmethod
    def concat(parts: Sequence[Snapshots]) -> Snapshots:
        """Put snapshots of one log, horizon and gap below each other; flags are united.

        Raises
        ------
        DataError
            If there are none, or their windows differ.
        """
        if not parts:
            raise DataError("snapshots: nothing to put together")
        windows = sorted({(each.horizon, each.gap) for each in parts})
        if len(windows) > 1:
            shown = ", ".join(
                f"{format_duration(h)} after {format_duration(g)}" for h, g in windows
            )
            raise DataError(f"snapshots: label windows must be one and the same, found {shown}")
        return replace(
            parts[0],
            customer=np.concatenate([each.customer for each in parts]),
            cut=np.concatenate([each.cut for each in parts]),
            start=np.concatenate([each.start for each in parts]),
            stop=np.concatenate([each.stop for each in parts]),
            label=np.concatenate([each.label for each in parts]),
            flags=tuple(dict.fromkeys(flag for each in parts for flag in each.flags)),
        )


def take_snapshots(
    log: EventLog,
    cuts: Sequence[datetime],
    horizon: timedelta,
    gap: timedelta = timedelta(0),
    buys: Buys | None = None,
) -> Snapshots:
    """See every customer with a history at every cut; :meth:`EventLog.snapshots` calls it.

    Costs a binary search per customer and cut, not a pass over the events.
    """
    check_window(horizon, gap)
    instants = [microseconds(cut) for cut in cuts]
    if not instants:
        raise ParameterError("snapshots: cuts must name at least one instant, found none")
    bought = None if buys is None else np.flatnonzero(buys.mask(log))
    if bought is not None:
        _check_end(log, instants, horizon, gap)
    parts = [_at_cut(log, instant, horizon, gap, bought) for instant in instants]
    return Snapshots.concat(parts)


def check_window(horizon: timedelta, gap: timedelta) -> None:
    """Refuse a label window of no length or one that opens before the cut.

    Raises
    ------
    ParameterError
        With both faults.
    """
    faults = []
    if not isinstance(horizon, timedelta) or horizon <= timedelta(0):
        faults.append(f"horizon={horizon!r} must be a timedelta above 0")
    if not isinstance(gap, timedelta) or gap < timedelta(0):
        faults.append(f"gap={gap!r} must be a timedelta of at least 0")
    if faults:
        raise ParameterError("label window: " + "; ".join(faults))


def _check_end(log: EventLog, instants: list[int], horizon: timedelta, gap: timedelta) -> None:
    latest = microseconds(log.end) - _span(horizon) - _span(gap)
    if min(instants) > latest:
        raise DataError(
            f"the label window of {format_duration(horizon)}"
            f"{f' after a gap of {format_duration(gap)}' if gap else ''} passes the log's end "
            f"({log.end}) at each of {len(instants)} cuts (earliest: {_shown(min(instants))}); "
            f"a cut must be at {_shown(latest)} or earlier"
        )


def _at_cut(
    log: EventLog,
    instant: int,
    horizon: timedelta,
    gap: timedelta,
    bought: NDArray[np.int64] | None,
) -> Snapshots:
    first, last = log.offsets[:-1], log.offsets[1:]
    stop = first_events_at(log.times, first, last, instant)
    seen = np.flatnonzero(stop > first)
    first, last, stop = first[seen], last[seen], stop[seen]
    label = np.full(seen.size, NO_LABEL, dtype=np.int8)
    opens = instant + _span(gap)
    closes = opens + _span(horizon)
    if bought is not None and closes <= microseconds(log.end):
        opening = stop if not gap else first_events_at(log.times, stop, last, opens)
        label[:] = _buys_before(log.times, bought, opening, last, closes)
    return Snapshots(
        customer=seen.astype(np.int64),
        cut=np.full(seen.size, instant, dtype=np.int64).view("datetime64[us]"),
        start=first,
        stop=stop,
        label=label,
        horizon=horizon,
        gap=gap,
    )


def _buys_before(
    times: NDArray[np.int64],
    bought: NDArray[np.int64],
    opening: NDArray[np.int64],
    last: NDArray[np.int64],
    closes: int,
) -> NDArray[np.bool_]:
    """Is the first purchase at or after event `opening` the customer's own and in time?"""
    if not bought.size:
        return np.zeros(opening.size, dtype=np.bool_)
    place = np.searchsorted(bought, opening)
    event = bought[np.minimum(place, bought.size - 1)]
    own = (place < bought.size) & (event < last)
    result: NDArray[np.bool_] = own & (times[event] < closes)
    return result


def first_events_at(
    times: NDArray[np.int64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    instant: int | NDArray[np.int64],
) -> NDArray[np.int64]:
    """Find in each customer's events ``first:last`` the first at or after `instant`.

    Parameters
    ----------
    times : numpy.ndarray of int64, shape (n_events,)
        Microseconds since 1970, rising within each customer.
    first, last : numpy.ndarray of int64, shape (n,)
        Rows ``first:last`` are searched.
    instant : int or numpy.ndarray of int64, shape (n,)
        Microseconds since 1970.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        The row; `last` where every event is earlier.
    """
    low, high = first.astype(np.int64), last.astype(np.int64)
    open_ = np.flatnonzero(low < high)
    wanted = np.broadcast_to(np.asarray(instant, dtype=np.int64), low.shape)
    # One step of binary search for all customers at once; those that are done drop out.
    while open_.size:
        middle = (low[open_] + high[open_]) // 2
        earlier = times[middle] < wanted[open_]
        low[open_[earlier]] = middle[earlier] + 1
        high[open_[~earlier]] = middle[~earlier]
        open_ = open_[low[open_] < high[open_]]
    return low


def microseconds(instant: datetime | date | np.datetime64) -> int:
    """Turn an instant into microseconds since 1970; one with a zone is taken to UTC first.

    Raises
    ------
    ParameterError
        If it is no date or time.
    """
    if isinstance(instant, datetime) and instant.tzinfo is not None:
        instant = instant.astimezone(UTC).replace(tzinfo=None)
    if not isinstance(instant, (datetime, date, np.datetime64)) or np.isnat(np.datetime64(instant)):
        raise ParameterError(f"the instant {instant!r} must be a datetime")
    return int(np.datetime64(instant).astype("datetime64[us]").astype(np.int64))


def _span(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _shown(instant: int) -> str:
    return str(pl.Series([instant]).cast(pl.Datetime("us"))[0])
