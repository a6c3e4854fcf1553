"""What a purchase comparison is about: a log, a category, rows to train on and to test on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.aggregates import Aggregates
from thinfile.data.buys import Buys
from thinfile.data.event_columns import near_names
from thinfile.data.event_split import Split, time_split
from thinfile.data.events import EventLog
from thinfile.data.histories import Histories
from thinfile.data.sampling import literal_recipe_split, recipe_split
from thinfile.data.snapshots import Snapshots
from thinfile.errors import DataError
from thinfile.intent.options import IntentOptions
from thinfile.intent.recipe import CUT, Recipe, kinds_of

Rows = npt.NDArray[np.intp]

PARTS = ("train", "validation", "test")
MIN_EVENTS = 5
"""Buyers that each part must hold: below that nothing can be measured."""


@dataclass(frozen=True)
class IntentTask:
    """Rows of training, validation and test in that order, n in all.

    Attributes
    ----------
    log : EventLog
    recipe : Recipe
        Fitted on the training rows.
    split : Split
    snapshots : Snapshots
        All n rows.
    train, validation, test : ndarray
        Positions among the n rows; rows without a label are left out.
    is_past_buyer : ndarray of shape (n,)
        Whether the customer had bought the category before the cut.
    notes : tuple of str
    """

    log: EventLog
    recipe: Recipe
    split: Split
    snapshots: Snapshots
    train: Rows
    validation: Rows
    test: Rows
    is_past_buyer: npt.NDArray[np.bool_]
    notes: tuple[str, ...]

    @property
    def y(self) -> npt.NDArray[np.int8]:
        """Labels, shape (n,)."""
        return self.snapshots.label

    @property
    def title(self) -> str:
        """What is predicted, in words."""
        days = self.recipe.horizon.total_seconds() / 86_400
        return f"{', '.join(self.recipe.buys.values)} within {days:g} days"


def build_intent_task(
    log: EventLog,
    buys: Buys,
    horizon: timedelta,
    *,
    gap: timedelta = timedelta(0),
    options: IntentOptions | None = None,
) -> IntentTask:
    """Choose the rows, and fit what makes their columns on the training rows.

    Parameters
    ----------
    log
        Events of customers.
    buys
        What is to be predicted.
    horizon, gap
        The purchase is looked for in [cut + gap, cut + gap + horizon).
    options
        Plan, cuts, windows.

    Raises
    ------
    DataError
        If the category never occurs, the log is too short, or a part has too few buyers.
    ParameterError
        If an option breaks its rule.
    """
    options = options or IntentOptions()
    options.check()
    if horizon <= timedelta(0) or gap < timedelta(0):
        raise DataError(f"horizon={horizon} must be above 0 and gap={gap} 0 or more")
    columns = _history_columns(log, buys, options)
    split = _split(log, buys, horizon, gap, options)
    kept: dict[str, Any] = {name: _some(getattr(split, name), options) for name in PARTS}
    split = replace(split, **kept)
    _check_parts(split, buys)
    recipe = Recipe(
        log.roles,
        buys,
        horizon,
        gap,
        _aggregates(log, buys, split, options),
        Histories(columns, max_events=options.max_events),
        tuple(options.static),
    )
    recipe = replace(recipe, kinds=kinds_of(log, recipe.columns))
    _check_names(recipe)
    return _task(log, recipe, split)


def _task(log: EventLog, recipe: Recipe, split: Split) -> IntentTask:
    """The parts below each other, and where the labelled rows of each lie."""
    parts = (split.train, split.validation, split.test)
    snapshots = Snapshots.concat(parts)
    ends = np.cumsum([len(part) for part in parts])
    train, validation, test = (
        _labelled(snapshots, end - len(part), end) for part, end in zip(parts, ends, strict=True)
    )
    return IntentTask(
        log,
        recipe,
        split,
        snapshots,
        train,
        validation,
        test,
        is_past_buyer=_bought_before(log, recipe.buys, snapshots),
        notes=(*log.notes, *split.notes),
    )


def _split(
    log: EventLog, buys: Buys, horizon: timedelta, gap: timedelta, options: IntentOptions
) -> Split:
    seed = options.random_state
    if options.plan == "snapshots":
        return time_split(
            log,
            buys,
            horizon,
            gap,
            n_train_cuts=options.n_train_cuts,
            holdout_customers=options.holdout_customers,
            random_state=seed,
        )
    common: dict[str, Any] = {
        "window": timedelta(days=options.window_days),
        "related": options.related,
        "negatives_per_positive": options.negatives_per_positive,
        "max_shift": options.max_shift,
        "random_state": seed,
    }
    if options.plan == "recipe":
        common["holdout_customers"] = options.holdout_customers
        return recipe_split(log, buys, horizon, gap, **common)
    return literal_recipe_split(log, buys, horizon, gap, **common)


def _aggregates(log: EventLog, buys: Buys, split: Split, options: IntentOptions) -> Aggregates:
    related = None if options.related is None else tuple(options.related)
    return Aggregates(buys, windows=tuple(options.windows), related=related).fit(log, split.train)


def _some(rows: Snapshots, options: IntentOptions) -> Snapshots:
    """At most `max_rows` rows, drawn at random."""
    if len(rows) <= options.max_rows:
        return rows
    rng = np.random.default_rng(options.random_state)
    return rows.take(np.sort(rng.permutation(len(rows))[: options.max_rows]))


def _history_columns(log: EventLog, buys: Buys, options: IntentOptions) -> Sequence[str]:
    roles = log.roles
    usual = [roles.item, roles.category, roles.quantity, roles.amount, buys.column]
    if buys.action:
        usual.append(buys.action[0])
    wanted = [c for c in usual if c] if options.history_columns is None else options.history_columns
    lacking = [name for name in (*wanted, *options.static) if name not in log.table.columns]
    if lacking:
        known = log.table.columns
        named = ", ".join(f"{name!r}{near_names(name, known)}" for name in dict.fromkeys(lacking))
        found = ", ".join(map(repr, known))
        raise DataError(f"the log lacks the columns {named}; it has {found}")
    return list(dict.fromkeys(wanted))


def _check_names(recipe: Recipe) -> None:
    """A column of the customer must not carry the name of one that is made."""
    made = {CUT, *recipe.aggregates.names_}
    taken = [name for name in recipe.static if name in made]
    if taken:
        raise DataError(
            f"static={', '.join(map(repr, taken))}: thinfile makes columns of that name; rename "
            "them in the log"
        )


def _check_parts(split: Split, buys: Buys) -> None:
    faults = []
    for name in PARTS:
        rows: Snapshots = getattr(split, name)
        known = rows.label[rows.label >= 0]
        n_events, n = int((known == 1).sum()), len(known)
        if min(n_events, n - n_events) < MIN_EVENTS:
            cuts = np.unique(rows.cut.astype("datetime64[D]"))
            faults.append(
                f"the {name} rows (cut {', '.join(map(str, cuts))}) hold {n_events} buyers among "
                f"{n} customers"
            )
    if faults:
        raise DataError(
            f"{buys.column}={', '.join(buys.values)}: {'; '.join(faults)}; at least {MIN_EVENTS} "
            "of each are needed: take a longer horizon or a wider category"
        )


def _labelled(snapshots: Snapshots, start: int, stop: int) -> Rows:
    return np.flatnonzero(snapshots.label[start:stop] >= 0) + start


def _bought_before(log: EventLog, buys: Buys, rows: Snapshots) -> npt.NDArray[np.bool_]:
    before = np.concatenate([[0], np.cumsum(buys.mask(log))])
    found: npt.NDArray[np.bool_] = before[rows.stop] > before[rows.start]
    return found


def frames(task: IntentTask, names: frozenset[str]) -> dict[str, pl.DataFrame]:
    """The columns of all n rows that methods read: "aggregates", "histories"."""
    made = {}
    if "aggregates" in names:
        made["aggregates"] = task.recipe.flat(task.log, task.snapshots)
    if "histories" in names:
        made["histories"] = task.recipe.sequences(task.log, task.snapshots)
    return made


def describe(task: IntentTask) -> dict[str, Any]:
    """What is predicted from which rows, as JSON values."""
    recipe, cuts = task.recipe, task.snapshots.cut
    parts = {name: getattr(task, name) for name in PARTS}
    days = {n: np.unique(cuts[rows].astype("datetime64[D]")) for n, rows in parts.items()}
    return {
        "title": f"Who will buy {task.title}?",
        "label": task.title,
        "target": "later customers",
        "plan": task.split.name,
        "buys": recipe.buys.to_dict(),
        "horizon_days": recipe.horizon / timedelta(days=1),
        "gap_days": recipe.gap / timedelta(days=1),
        "log_start": str(task.log.start),
        "log_end": str(task.log.end),
        "n_events": task.log.n_events,
        "n_customers": task.log.n_customers,
        **{f"n_{name}": len(rows) for name, rows in parts.items()},
        **{f"{name}_rate": float(task.y[rows].mean()) for name, rows in parts.items()},
        **{f"{name}_cuts": [str(day) for day in found[:20]] for name, found in days.items()},
    }
