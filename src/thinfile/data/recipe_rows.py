"""Rows of the purchase recipe: who is positive, who negative, and at which cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from thinfile.data.snapshots import Buys, Snapshots, first_events_at
from thinfile.errors import DataError

if TYPE_CHECKING:
    from thinfile.data.events import EventLog

Ints = NDArray[np.int64]
NO_HISTORY = "they have no event before the feature day"


@dataclass(frozen=True)
class Window:
    """An observation window and who was seen in it; instants in microseconds since 1970."""

    opens: int
    closes: int
    positive: Ints  # (n_positive,) customers who bought the category inside the window
    feature_day: Ints  # (n_positive,) first purchase of the category or a related one in it
    bought: Ints  # all events of the log that are a purchase of the category
    negative: Ints  # (n_negative,) customers without a purchase of either inside it


def look(log: EventLog, buys: Buys, related: Sequence[str], opens: int, closes: int) -> Window:
    """Positives with their feature days, and negatives, of one window."""
    inside = (log.times >= opens) & (log.times < closes)
    bought = buys.mask(log)
    signs = own = bought & inside
    if related:
        others = replace(buys, values=tuple(related))
        signs = own | (others.mask(log, must_occur=False) & inside)
    with_sign, first_sign = _firsts(log, signs)
    positive, _ = _firsts(log, own)
    feature_day = first_sign[np.searchsorted(with_sign, positive)]
    everyone = np.arange(log.n_customers, dtype=np.int64)
    negative = np.setdiff1d(everyone, with_sign)
    seen = Window(opens, closes, positive, log.times[feature_day], np.flatnonzero(bought), negative)
    _check_both(seen, buys, log.n_customers)
    return seen


def _check_both(seen: Window, buys: Buys, n_customers: int) -> None:
    shown = ", ".join(map(repr, buys.values))
    opens, closes = (
        np.datetime64(each, "us").astype("M8[s]") for each in (seen.opens, seen.closes)
    )
    where = f"the observation window ({opens} to {closes})".replace("T", " ")
    if not len(seen.positive):
        raise DataError(
            f"column {buys.column!r}: none of {n_customers} customers buys {shown} in {where}"
        )
    if not len(seen.negative):
        raise DataError(
            f"column {buys.column!r}: all of {n_customers} customers buy {shown} or a related "
            f"category in {where}: nobody is left as a negative; name fewer related categories"
        )


def _firsts(log: EventLog, marked: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Customers with a marked event, and the first such event of each."""
    events = np.flatnonzero(marked)
    customer = np.searchsorted(log.offsets, events, side="right") - 1
    customers, places = np.unique(customer, return_index=True)
    return customers.astype(np.int64), events[places].astype(np.int64)


def without(seen: Window, customers: Ints) -> Window:
    """The same window without some customers."""
    kept = ~np.isin(seen.positive, customers)
    return replace(
        seen,
        positive=seen.positive[kept],
        feature_day=seen.feature_day[kept],
        negative=np.setdiff1d(seen.negative, customers),
    )


def usable(
    log: EventLog, seen: Window, horizon: timedelta, gap: timedelta
) -> tuple[NDArray[np.bool_], list[str]]:
    """Positives with a history, whose purchase lies in the label window, with notes."""
    opening = seen.feature_day + gap // timedelta(microseconds=1)
    closing = opening + horizon // timedelta(microseconds=1)
    late = closing > seen.closes
    outside = ~late & ~_bought_within(log, seen, opening, closing)
    new = ~late & ~outside & ~with_history(log, seen.positive, seen.feature_day)
    notes = [
        *left_out(late, "their label window passes the training window"),
        *left_out(outside, "the purchase is not within the horizon of the feature day"),
        *left_out(new, NO_HISTORY),
    ]
    return ~(late | outside | new), notes


def left_out(which: NDArray[np.bool_], why: str) -> list[str]:
    """Note on positives that do not count; none where there are none."""
    if not which.any():
        return []
    n = f"{int(which.sum())} of {len(which)} customers who bought the category"
    return [f"{n} are left out: {why}"]


def with_history(log: EventLog, customers: Ints, instants: Ints) -> NDArray[np.bool_]:
    """Whether each customer has an event strictly before its instant."""
    known: NDArray[np.bool_] = log.times[log.offsets[customers]] < instants
    return known


def _bought_within(log: EventLog, seen: Window, opening: Ints, closing: Ints) -> NDArray[np.bool_]:
    """Whether each positive buys the category in [opening, closing)."""
    last = log.offsets[seen.positive + 1]
    first = first_events_at(log.times, log.offsets[seen.positive], last, opening)
    place = np.minimum(np.searchsorted(seen.bought, first), len(seen.bought) - 1)
    event = seen.bought[place]
    within: NDArray[np.bool_] = (event >= first) & (event < last) & (log.times[event] < closing)
    return within


def matched_rows(
    log: EventLog,
    seen: Window,
    rows: NDArray[np.bool_],
    horizon: timedelta,
    gap: timedelta,
    per_positive: int,
    rng: np.random.Generator,
) -> tuple[Snapshots, list[str]]:
    """Positives, and for each its negatives at the very same cut."""
    order = np.argsort(seen.feature_day[rows], kind="stable")
    positive, cut = seen.positive[rows][order], seen.feature_day[rows][order]
    negative, found, n_again = _draw(log, seen.negative, np.repeat(cut, per_positive), rng)
    # A positive without all its negatives would shift the cuts of one class: it is left out.
    whole = np.asarray(found.reshape(-1, per_positive).all(axis=1))
    both: NDArray[np.bool_] = np.repeat(whole, per_positive)
    notes = []
    if not whole.all():
        notes.append(
            f"{int((~whole).sum())} of {len(whole)} positives are left out: no negative was known "
            "at their cut"
        )
    if n_again:
        notes.append(f"{n_again} of {both.sum()} negatives stand in again, at another cut")
    customers = np.concatenate([positive[whole], negative[both]])
    cuts = np.concatenate([cut[whole], np.repeat(cut, per_positive)[both]])
    labels = np.repeat([1, 0], [whole.sum(), both.sum()])
    return _snapshots(log, customers, cuts, labels, horizon, gap), notes


def _draw(
    log: EventLog, candidates: Ints, cuts: Ints, rng: np.random.Generator
) -> tuple[Ints, NDArray[np.bool_], int]:
    """A customer who was known at each cut (rising), whether there was one, and how many again."""
    first = log.times[log.offsets[candidates]]
    order = np.argsort(first, kind="stable")
    n_known = np.searchsorted(first[order], cuts, side="left")
    drawn, found, n_again = np.zeros(len(cuts), np.int64), np.zeros(len(cuts), np.bool_), 0
    pool: list[int] = []
    taken: dict[int, int] = {}
    n_pooled = 0
    for place, (cut, n) in enumerate(zip(cuts.tolist(), n_known.tolist(), strict=True)):
        pool.extend(order[n_pooled:n].tolist())
        n_pooled = max(n, n_pooled)
        if not pool:
            # All were drawn: a second round, but nobody twice at one cut.
            pool = [each for each in order[:n].tolist() if taken.get(each) != cut]
        if not pool:
            continue
        chosen = int(rng.integers(len(pool)))
        pool[chosen], pool[-1] = pool[-1], pool[chosen]
        who = pool.pop()
        n_again += who in taken
        taken[who] = cut
        drawn[place], found[place] = candidates[who], True
    return drawn, found, n_again


def literal_rows(
    log: EventLog,
    seen: Window,
    rows: NDArray[np.bool_],
    horizon: timedelta,
    gap: timedelta,
    per_positive: int,
    rng: np.random.Generator,
    negative_cut: str,
) -> Snapshots:
    """Positives at their feature day, and as many times negatives where their history ends."""
    ends = np.full(len(seen.negative), seen.closes, dtype=np.int64)
    if negative_cut == "last_event":
        # One microsecond later, so that all events of the customer are its history.
        ends = log.times[log.offsets[seen.negative + 1] - 1] + 1
    known = np.flatnonzero(with_history(log, seen.negative, ends))
    # Where negatives are too few, positives are left out: the share of each class is fixed.
    n = min(int(rows.sum()), len(known) // per_positive)
    positive = rng.permutation(np.flatnonzero(rows))[:n]
    negative = rng.permutation(known)[: n * per_positive]
    customers = np.concatenate([seen.positive[positive], seen.negative[negative]])
    cuts = np.concatenate([seen.feature_day[positive], ends[negative]])
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    return _snapshots(log, customers, cuts, labels, horizon, gap)


def _snapshots(
    log: EventLog,
    customers: Ints,
    cuts: Ints,
    labels: NDArray[np.int64],
    horizon: timedelta,
    gap: timedelta,
) -> Snapshots:
    start = log.offsets[customers]
    return Snapshots(
        customer=customers,
        cut=cuts.view("datetime64[us]"),
        start=start,
        stop=first_events_at(log.times, start, log.offsets[customers + 1], cuts),
        label=labels.astype(np.int8),
        horizon=horizon,
        gap=gap,
    )
