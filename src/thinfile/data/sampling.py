"""The purchase recipe as a sampling plan: positives, negatives, feature day, shifted copies.

Who bought the category inside a window is a positive, seen at its feature day; who shows no sign
of wanting it is a negative. A negative has no feature day, and which cut it gets decides whether
the plan is sound: drawn from the positives' cuts it is (:func:`recipe_split`); taken from the end
of the window it tells the classes apart all by itself (:func:`literal_recipe_split`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from thinfile.data.durations import format_duration
from thinfile.data.event_split import Split, check_positives, time_split
from thinfile.data.recipe_rows import (
    NO_HISTORY,
    Window,
    left_out,
    literal_rows,
    look,
    matched_rows,
    usable,
    with_history,
    without,
)
from thinfile.data.related import related_categories
from thinfile.data.snapshots import Buys, Snapshots, first_events_at, microseconds
from thinfile.errors import DataError, ParameterError
from thinfile.params import check_params, instance, integer, one_of
from thinfile.random_state import RandomState, seed_from

if TYPE_CHECKING:
    from thinfile.data.events import EventLog

YEAR = timedelta(days=365)
CUT_FLAG = (
    "the cut of a negative is {how} and that of a positive its feature day, so the cut alone "
    "tells the classes apart"
)
TIME_FLAG = (
    "training, validation and test are drawn from the same period, so the test does not show what "
    "the model does on a later one"
)
RATE_FLAG = "validation and test hold one negative for each positive and not the true base rate"
NEGATIVE_CUTS = {
    "window_end": "the end of the window",
    "last_event": "its last event",
    "positives": "",
}


def recipe_split(
    log: EventLog,
    buys: Buys,
    horizon: timedelta,
    gap: timedelta = timedelta(0),
    *,
    window: timedelta = YEAR,
    related: Sequence[str] | None = None,
    negatives_per_positive: int = 1,
    max_shift: int = 0,
    holdout_customers: float = 0.0,
    random_state: RandomState = 0,
) -> Split:
    """Sample training rows by the recipe of purchase histories; test at the true base rate.

    Use it to reproduce the recipe, or where positives are so rare that a model drowns in
    negatives. Otherwise :func:`~thinfile.data.event_split.time_split` is simpler and trains on
    customers such as those that will be scored: here nobody is trained on who bought a related
    category lately, because such a customer is neither at a feature day nor without sign of
    demand. On Online Retail, trees trained on the recipe's rows rank the customers of a later cut
    far worse than the same trees trained on plain snapshots (``benchmarks/results/leaks.md``).

    What the parts hold:

    - *Window*: the training window closes at the validation's cut and is `window` long, or as long
      as the log allows.
    - *Positives* bought the category inside the window. Their cut is the feature day: the first
      purchase, inside the window, of a related category or of the category itself. History lies
      strictly before it. They count if the purchase falls into [cut + gap, cut + gap + horizon)
      and that window closes by the validation's cut.
    - *Negatives* bought neither the category nor a related one inside the window. Each gets the
      cut of a positive that it was already known at: the cuts of both classes are the same.
    - *Shifted copies* of training rows lack the last 1 … `max_shift` purchases (all events of one
      instant are one purchase); cut and label stay.
    - *Validation and test* are all known customers at one cut each, as in ``time_split``.

    Parameters
    ----------
    log : EventLog
    buys : Buys
        The category to be predicted.
    horizon, gap : timedelta
        Length of the label window, and how long after the cut it opens.
    window : timedelta, default 365 days
        Longer than gap + horizon.
    related : list of str, optional
        Values of the column of `buys` that are strongly related. By default they are mined by
        lift from the events before the window closes; the notes name them.
    negatives_per_positive : int, default 1
        At least 1. Negatives stand in more than once, at other cuts, where they are too few.
    max_shift : int, default 0
        Most purchases that are removed in a copy; 0 makes no copies.
    holdout_customers : float in [0, 1), default 0
        This share of the customers is seen in the test only.
    random_state : int, default 0
        Which negatives are drawn.

    Returns
    -------
    Split

    Raises
    ------
    DataError
        If the log is too short, or there are no positives or no negatives.
    ParameterError
        If an option breaks its rule.

    Examples
    --------
    >>> from thinfile.data.events import EventColumns, EventLog
    >>> from thinfile.data.synthetic_events import make_events
    >>> table = make_events(20_000, 400, n_days=500, random_state=0)
    >>> log = EventLog.from_table(table, EventColumns("customer", "time", category="category"))
    >>> buys, month = Buys("category", ("category 01",)), timedelta(days=30)
    >>> split = recipe_split(log, buys, month, related=["category 00"])
    >>> float(split.train.label.mean()), split.flags
    (0.5, ())
    """
    _check("recipe_split", locals())
    base = time_split(
        log,
        buys,
        horizon,
        gap,
        n_train_cuts=1,
        holdout_customers=holdout_customers,
        random_state=random_state,
    )
    closes = int(base.validation.cut.astype(np.int64).min())
    names, notes = _related(log, buys, related, closes)
    seen = look(log, buys, names, _opening(log, closes, window), closes)
    if holdout_customers:
        seen = without(seen, base.test.customer)
    rows, told = usable(log, seen, horizon, gap)
    if not rows.any():
        raise DataError(f"column {buys.column!r}: no positive is left: {'; '.join(told)}")
    rng = np.random.default_rng(seed_from(random_state))
    train, more = matched_rows(log, seen, rows, horizon, gap, negatives_per_positive, rng)
    check_positives(train, buys, "training")
    notes += [*_window_notes(seen, window), *told, *more]
    shifted = shift_copies(log, train, max_shift)
    if max_shift:
        notes.append(f"{len(shifted) - len(train)} shifted copies of {len(train)} training rows")
    return Split(shifted, base.validation, base.test, "recipe", (*base.notes, *notes))


def literal_recipe_split(
    log: EventLog,
    buys: Buys,
    horizon: timedelta,
    gap: timedelta = timedelta(0),
    *,
    window: timedelta = YEAR,
    related: Sequence[str] | None = None,
    negatives_per_positive: int = 1,
    max_shift: int = 0,
    negative_cut: str = "last_event",
    random_state: RandomState = 0,
) -> Split:
    """Sample rows as the recipe reads literally. Its figures are wrong; do not use it for a model.

    It is here to show what goes wrong, and so that figures published by this recipe can be made
    again. A negative has no feature day, so its whole history is taken, while a positive's ends at
    its feature day; customers, and not times, are split into training, validation and test; all
    three hold as many negatives as positives. All parts carry flags that say so, and the leak
    probes find the cut.

    Parameters
    ----------
    log, buys, horizon, gap, window, related, negatives_per_positive, max_shift, random_state
        As in :func:`recipe_split`. The window closes with the log; a positive counts whenever in
        the window it buys.
    negative_cut : {"last_event", "window_end", "positives"}, default "last_event"
        Where the history of a negative ends: right after its last event; with the window; or,
        with nothing else changed, at the cut of a positive. The last of them shows what the first
        two are worth, and is flagged for the other two faults only.

    Returns
    -------
    Split
        60 %, 20 % and 20 % of the customers.

    Raises
    ------
    DataError
        If there are no positives or no negatives with a history.
    ParameterError
        If an option breaks its rule.

    Examples
    --------
    >>> from thinfile.data.events import EventColumns, EventLog
    >>> from thinfile.data.synthetic_events import make_events
    >>> table = make_events(20_000, 400, n_days=500, random_state=0)
    >>> log = EventLog.from_table(table, EventColumns("customer", "time", category="category"))
    >>> buys, month = Buys("category", ("category 01",)), timedelta(days=30)
    >>> split = literal_recipe_split(log, buys, month, window=2 * month, related=[])
    >>> split.flags[0].split(", so ")[1]
    'the cut alone tells the classes apart'
    """
    _check("literal_recipe_split", locals())
    closes = microseconds(log.end) + 1
    names, notes = _related(log, buys, related, closes)
    seen = look(log, buys, names, _opening(log, closes, window), closes)
    rows = with_history(log, seen.positive, seen.feature_day)
    notes += left_out(~rows, NO_HISTORY)
    rng = np.random.default_rng(seed_from(random_state))
    if negative_cut == "positives":
        everyone, told = matched_rows(log, seen, rows, horizon, gap, negatives_per_positive, rng)
        notes += told
    else:
        everyone = literal_rows(
            log, seen, rows, horizon, gap, negatives_per_positive, rng, negative_cut
        )
    cut_flag = CUT_FLAG.format(how=NEGATIVE_CUTS[negative_cut])
    flags = (*([cut_flag] if NEGATIVE_CUTS[negative_cut] else []), TIME_FLAG, RATE_FLAG)
    parts = _by_customer(replace(everyone, flags=flags), rng)
    for name, part in zip(("training", "validation", "test"), parts, strict=True):
        check_positives(part, buys, name)
    train = shift_copies(log, parts[0], max_shift)
    notes += _window_notes(seen, window)
    return Split(train, parts[1], parts[2], f"literal recipe, {negative_cut}", tuple(notes))


def shift_copies(log: EventLog, snapshots: Snapshots, max_shift: int) -> Snapshots:
    """Add copies of rows with their last 1 … `max_shift` purchases removed.

    For training rows only. All events of one instant are one purchase; cut and label stay, and a
    copy that would have no history left is not made.

    Parameters
    ----------
    log : EventLog
    snapshots : Snapshots
    max_shift : int
        At least 0; 0 gives the rows back as they are.

    Returns
    -------
    Snapshots
        The rows themselves first, then copies without one purchase, without two, and so on.
    """
    parts = [snapshots]
    for _ in range(max_shift):
        last = parts[-1]
        if not len(last):
            break
        stop = first_events_at(log.times, last.start, last.stop, log.times[last.stop - 1])
        parts.append(replace(last, stop=stop).take(stop > last.start))
    return Snapshots.concat(parts)


def _check(owner: str, given: dict[str, Any]) -> None:
    rules = {
        "horizon": instance(timedelta),
        "gap": instance(timedelta),
        "window": instance(timedelta),
        "negatives_per_positive": integer(1),
        "max_shift": integer(0),
        "negative_cut": one_of(*NEGATIVE_CUTS),
    }
    check_params(owner, given, rules)
    window, least = given["window"], given["gap"] + given["horizon"]
    if window <= least:
        raise ParameterError(
            f"{owner}: window={format_duration(window)} must be longer than gap and horizon "
            f"together, which is {format_duration(least)}"
        )


def _opening(log: EventLog, closes: int, window: timedelta) -> int:
    return max(closes - window // timedelta(microseconds=1), microseconds(log.start))


def _related(
    log: EventLog, buys: Buys, given: Sequence[str] | None, before: int
) -> tuple[list[str], list[str]]:
    """Related categories, given or mined, and what the notes say of them."""
    if given is not None:
        return list(given), []
    instant = np.datetime64(before, "us").astype(datetime)
    found = related_categories(log, buys, instant)
    shown = ", ".join(f"{each.value!r} (lift {each.lift:.1f}, {each.n_both})" for each in found)
    told = f"related categories before {instant:%Y-%m-%d %H:%M}: {shown or 'none found'}"
    return [each.value for each in found], [told]


def _by_customer(snapshots: Snapshots, rng: np.random.Generator) -> list[Snapshots]:
    """60 %, 20 % and 20 % of the customers."""
    customers = rng.permutation(np.unique(snapshots.customer))
    ends = [round(0.6 * len(customers)), round(0.8 * len(customers))]
    parts = np.split(customers, ends)
    return [snapshots.take(np.isin(snapshots.customer, part)) for part in parts]


def _window_notes(seen: Window, window: timedelta) -> list[str]:
    length = timedelta(microseconds=seen.closes - seen.opens)
    notes = [
        f"{len(seen.positive)} customers bought the category inside the window, "
        f"{len(seen.negative)} showed no sign of demand"
    ]
    if length < window:
        notes.append(
            f"the window is {length / timedelta(days=1):.4g} days long and not "
            f"{format_duration(window)}: the log is shorter"
        )
    return notes
