"""Probes of a sampling plan: do the rows tell the classes apart by how they were chosen?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from thinfile.compare.probes.finding import Finding
from thinfile.compare.probes.strength import NONE, Strength, Values, strength, two_classes

if TYPE_CHECKING:
    from thinfile.data.event_split import Split
    from thinfile.data.events import EventLog
    from thinfile.data.snapshots import Snapshots

PLAN = "sampling plan"
FITTED = "fitted until"
DAY = 86_400_000_000


def _cut(log: EventLog, rows: Snapshots) -> Values:
    del log
    return rows.cut.astype(np.int64).astype(np.float64)


def _days_since(log: EventLog, rows: Snapshots) -> Values:
    # A row without history says so by a value that no other row can have.
    last = log.times[np.maximum(rows.stop - 1, 0)]
    days = (rows.cut.astype(np.int64) - last) / DAY
    return np.where(rows.stop > rows.start, days, -1.0)


def _n_events(log: EventLog, rows: Snapshots) -> Values:
    del log
    return (rows.stop - rows.start).astype(np.float64)


ALONE: dict[str, Callable[[EventLog, Snapshots], Values]] = {
    "cut date": _cut,
    "days since last event": _days_since,
    "number of events": _n_events,
}
"""What is looked at alone."""
LIMIT = 0.95
"""AUC above which one of them is a leak: recency and activity are honest evidence of who will buy,
and the cut of the season, though never as good as this."""
OWN_CUT_LIMIT = 0.65
"""The same for the cut where rows have cuts of their own, which must then be alike in both classes:
there is no season that a plan would have to follow."""
SHARED = 20
"""Mean rows per cut from which cuts are those of the plan and not of the rows."""
MOST_APART = 0.2
"""Share of the rows of one class that would have to move to other cuts to match the other class:
below it, recency and activity cannot come from the cuts."""
SLACK = 0.05
"""How far below the limit the interval's lower end may lie."""


def probe_split(
    log: EventLog, split: Split, *, fitted_until: Mapping[str, datetime] | None = None
) -> list[Finding]:
    """Ask a split of an event log whether its rows give the answer away.

    Use it on every split before a model is trained. It looks at the date of the cut, the days
    since the last event and the number of events, each alone and in each part; at the flags of the
    plan; and at whether parts overlap in time or anything was fitted on events after training.

    Parameters
    ----------
    log : EventLog
    split : Split
    fitted_until : mapping of str to datetime, optional
        What was fitted on the log (a vocabulary, chosen categories, means), and the instant before
        which the events lie that it was fitted on.

    Returns
    -------
    list of Finding
        One for each question, flagged or not, and one for each flag of the plan.

    Examples
    --------
    >>> from datetime import timedelta
    >>> from thinfile.data.buys import Buys
    >>> from thinfile.data.event_split import time_split
    >>> from thinfile.data.events import EventColumns, EventLog
    >>> from thinfile.data.synthetic_events import make_events
    >>> table = make_events(20_000, 400, n_days=500, random_state=0)
    >>> log = EventLog.from_table(table, EventColumns("customer", "time", category="category"))
    >>> split = time_split(log, Buys("category", ("category 01",)), timedelta(days=30))
    >>> [each.probe for each in probe_split(log, split) if each.flagged]
    []
    """
    flags = [Finding(PLAN, split.name, None, None, True, _sentence(f)) for f in split.flags]
    return [
        *flags,
        _in_order(split),
        *(_alone(log, split, name) for name in ALONE),
        *(_fitted(split, name, until) for name, until in (fitted_until or {}).items()),
    ]


def _alone(log: EventLog, split: Split, name: str) -> Finding:
    parts = _parts(split)
    found = {part: _strength(log, rows, ALONE[name]) for part, rows in parts.items()}
    limits = {part: _limit(name, rows) for part, rows in parts.items()}
    part = max(found, key=lambda each: found[each].low - limits[each])
    (auc, low), limit = found[part], limits[part]
    if not low:
        return Finding(name, "", None, limit, False, "Rows of both classes are too few to look.")
    if auc > limit and low > limit - SLACK:
        if _cuts_are_alike(log, parts[part]):
            # Buyers and others were seen from the same instants: this is evidence, and strong.
            words = (
                f"The {name} alone has AUC {auc:.3f} in the {part} rows. Buyers and others were "
                "seen at the same cuts, so it is no trick of the sampling: a sort by it is enough."
            )
            return Finding(name, part, auc, limit, False, words)
        words = (
            f"The {name} alone tells who bought in the {part} rows (AUC {auc:.3f}): rows of buyers "
            "and of others were cut at different times, so a model learns the cut and no customer."
        )
        return Finding(name, part, auc, limit, True, words)
    words = f"The {name} alone has AUC {auc:.3f} in the {part} rows, the nearest to its limit."
    return Finding(name, part, auc, limit, False, words)


def _cuts_are_alike(log: EventLog, rows: Snapshots) -> bool:
    """Whether each class has its share of every cut, and of histories that stop before it."""
    known = rows.take(rows.label >= 0)
    behind = log.times[np.minimum(known.stop, len(log.times) - 1)]
    is_short = (known.stop < log.offsets[known.customer + 1]) & (
        behind < known.cut.astype(np.int64)
    )
    places = np.unique(known.cut, return_inverse=True)[1] * 2 + is_short
    shares = [
        np.bincount(places[known.label == label], minlength=places.max() + 1)
        / (known.label == label).sum()
        for label in (0, 1)
    ]
    return bool(np.abs(shares[0] - shares[1]).sum() / 2 < MOST_APART)


def _limit(name: str, rows: Snapshots) -> float:
    is_shared = len(rows) >= SHARED * len(np.unique(rows.cut))
    return LIMIT if name != "cut date" or is_shared else OWN_CUT_LIMIT


def _strength(
    log: EventLog, rows: Snapshots, measure: Callable[[EventLog, Snapshots], Values]
) -> Strength:
    known = rows.take(rows.label >= 0)
    if not two_classes(known.label):
        return NONE
    return strength(known.label, measure(log, known), either=True)


def _in_order(split: Split) -> Finding:
    """Every label window of a part must close by the first cut of the next."""
    parts = {name: rows for name, rows in _parts(split).items() if len(rows)}
    names = list(parts)
    for early, late in pairwise(names):
        closes, opens = _closes(parts[early]), parts[late].cut.min()
        if closes > opens:
            words = (
                f"The label windows of the {early} rows reach to {_day(closes)}, past the first "
                f"cut of the {late} rows ({_day(opens)}): the past is tested with the future."
            )
            return Finding(PLAN, "order in time", None, None, True, words)
    words = "Training, validation and test follow each other in time, label windows included."
    return Finding(PLAN, "order in time", None, None, False, words)


def _fitted(split: Split, name: str, until: datetime) -> Finding:
    closes = _closes(split.train)
    instant = np.datetime64(_without_zone(until), "us")
    late = float((instant - closes) / np.timedelta64(1, "D"))
    if late > 0:
        words = (
            f"{name!r} was fitted on events until {_day(instant)}, {late:.4g} days after the "
            f"training window closed ({_day(closes)}): it has seen what is to be predicted."
        )
        return Finding(FITTED, name, late, 0.0, True, words)
    words = f"{name!r} was fitted on events before {_day(instant)}, inside the training window."
    return Finding(FITTED, name, late, 0.0, False, words)


def _parts(split: Split) -> dict[str, Snapshots]:
    return {"training": split.train, "validation": split.validation, "test": split.test}


def _closes(rows: Snapshots) -> np.datetime64:
    """When the last label window of some rows is over."""
    latest: np.datetime64 = rows.cut.max() + np.timedelta64(rows.gap) + np.timedelta64(rows.horizon)
    return latest


def _without_zone(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


def _day(instant: np.datetime64) -> str:
    return str(instant.astype("datetime64[m]")).replace("T", " ")


def _sentence(flag: str) -> str:
    return f"{flag[0].upper()}{flag[1:]}."
