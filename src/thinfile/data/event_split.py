"""Splits of an event log that are global in time: nobody trains on what comes after a test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from thinfile.data.durations import format_duration
from thinfile.data.snapshots import Buys, Snapshots, check_window
from thinfile.errors import DataError, ParameterError
from thinfile.random_state import RandomState, seed_from

if TYPE_CHECKING:
    from thinfile.data.events import EventLog


@dataclass(frozen=True, eq=False)
class Split:
    """Snapshots to train on, to stop by and to judge by.

    Attributes
    ----------
    train, validation, test : Snapshots
        Flags of a plan are on its snapshots.
    name : str
        Name of the plan that made it.
    notes : tuple of str
        What was counted or changed on the way.
    """

    train: Snapshots
    validation: Snapshots
    test: Snapshots
    name: str
    notes: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """In words, what is unsound about any of the three parts."""
        parts = (self.train, self.validation, self.test)
        return tuple(dict.fromkeys(flag for part in parts for flag in part.flags))


def time_split(
    log: EventLog,
    buys: Buys,
    horizon: timedelta,
    gap: timedelta = timedelta(0),
    *,
    n_train_cuts: int = 3,
    holdout_customers: float = 0.0,
    random_state: RandomState = 0,
) -> Split:
    """Cut a log in time: the test last, the validation before it, training before that.

    The test's label window ends with the log. The validation's cut lies one gap and horizon
    earlier, and the cuts for training go further back in the same steps, so that no label window
    of one part reaches beyond the cut of the next.

    Parameters
    ----------
    log : EventLog
    buys : Buys
        What is to be predicted.
    horizon, gap : timedelta
        Length of the label window, and how long after the cut it opens.
    n_train_cuts : int, default 3
        Most cuts to train on, at least 1; fewer where the log is shorter, which the notes say.
    holdout_customers : float in [0, 1), default 0
        This share of the customers is seen in the test only, and the test sees no others: it then
        tells how the model does on customers that it has never met.
    random_state : int, default 0
        Who is held out.

    Returns
    -------
    Split

    Raises
    ------
    DataError
        If the log is too short for one cut to train on, or a part has no positive.
    ParameterError
        If an option breaks its rule.
    """
    _check_options(n_train_cuts, holdout_customers)
    test_cut, validation_cut, train_cuts = split_cuts(log, horizon, gap, n_train_cuts)
    rows = log.snapshots([*train_cuts, validation_cut, test_cut], horizon, gap, buys)
    ends = [np.datetime64(cut, "us") for cut in (validation_cut, test_cut)]
    place = np.searchsorted(np.array(ends), rows.cut, side="right")
    parts = [rows.take(place == k) for k in range(3)]
    notes = _cut_notes(len(train_cuts), n_train_cuts)
    if holdout_customers:
        parts, note = _hold_out(log, parts, holdout_customers, random_state)
        notes.append(note)
    notes += _unseen_notes(log, parts)
    train, validation, test = parts
    for name, part in (("training", train), ("validation", validation), ("test", test)):
        check_positives(part, buys, name)
    return Split(train, validation, test, "time", tuple(notes))


def split_cuts(
    log: EventLog, horizon: timedelta, gap: timedelta = timedelta(0), n_train_cuts: int = 3
) -> tuple[datetime, datetime, list[datetime]]:
    """Cuts of the test, of the validation, and those to train on (earliest first).

    Raises
    ------
    DataError
        If no event comes before the first cut to train on.
    ParameterError
        If the horizon is not above 0 or the gap below it.
    """
    check_window(horizon, gap)
    step = gap + horizon
    length = log.end - log.start
    if length <= 3 * step:
        raise DataError(
            f"the log spans {_days(length)} ({log.start} to {log.end}), but a horizon of "
            f"{format_duration(horizon)} and a gap of {format_duration(gap)} need more than "
            f"{_days(3 * step)}: one window each to train, validate and test, and events before it"
        )
    test_cut = log.end - step
    validation_cut = test_cut - step
    # History must remain: a cut at the first event has nothing before it.
    n_possible = -(-(validation_cut - log.start) // step) - 1
    n_cuts = min(n_train_cuts, n_possible)
    return test_cut, validation_cut, [validation_cut - k * step for k in range(n_cuts, 0, -1)]


def check_positives(part: Snapshots, buys: Buys, name: str) -> None:
    """Refuse a part of a split in which nobody buys, or there is nobody.

    Raises
    ------
    DataError
        With the part, the category and the windows.
    """
    shown = ", ".join(map(repr, buys.values))
    if not len(part):
        raise DataError(f"the {name} part has no customers: none has an event before its cut")
    if (part.label == 1).any():
        return
    opens = part.cut.min() + np.timedelta64(part.gap)
    closes = part.cut.max() + np.timedelta64(part.gap) + np.timedelta64(part.horizon)
    raise DataError(
        f"column {buys.column!r}: none of {len(part)} rows of the {name} part buys {shown} in its "
        f"window ({_shown(opens)} to {_shown(closes)}): take a longer horizon or a wider category"
    )


def _check_options(n_train_cuts: int, holdout_customers: float) -> None:
    faults = []
    if isinstance(n_train_cuts, bool) or not isinstance(n_train_cuts, int) or n_train_cuts < 1:
        faults.append(f"n_train_cuts={n_train_cuts!r} must be a whole number ≥ 1")
    if not 0 <= holdout_customers < 1:
        faults.append(f"holdout_customers={holdout_customers!r} must be a number in [0, 1)")
    if faults:
        raise ParameterError("time_split: " + "; ".join(faults))


def _cut_notes(n_cuts: int, n_wanted: int) -> list[str]:
    if n_cuts == n_wanted:
        return []
    return [f"{n_cuts} of {n_wanted} cuts to train on fit into the log"]


def _unseen_notes(log: EventLog, parts: list[Snapshots]) -> list[str]:
    seen = np.zeros(log.n_customers, dtype=np.bool_)
    for part in parts:
        seen[part.customer] = True
    n_unseen = int((~seen).sum())
    if not n_unseen:
        return []
    first = log.customers[int(np.argmin(seen))]
    return [
        f"column {log.roles.customer!r}: {n_unseen} of {log.n_customers} customers have no event "
        f"before a cut that they could be seen at and are in no window (first: {first!r})"
    ]


def _hold_out(
    log: EventLog, parts: list[Snapshots], share: float, random_state: RandomState
) -> tuple[list[Snapshots], str]:
    n_held = max(1, round(share * log.n_customers))
    order = np.random.default_rng(seed_from(random_state)).permutation(log.n_customers)
    held = np.zeros(log.n_customers, dtype=np.bool_)
    held[order[:n_held]] = True
    train, validation, test = parts
    kept = [part.take(~held[part.customer]) for part in (train, validation)]
    note = f"{n_held} of {log.n_customers} customers are held out: the test sees them and no others"
    return [*kept, test.take(held[test.customer])], note


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.4g} days"


def _shown(instant: np.datetime64) -> str:
    return str(instant.astype("datetime64[s]")).replace("T", " ")
