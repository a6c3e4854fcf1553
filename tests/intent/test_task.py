"""Rows of a purchase comparison: no column knows what comes after its cut."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from tests.intent.conftest import HORIZON, OPTIONS, ROLES

from thinfile.data.buys import Buys
from thinfile.data.events import EventLog
from thinfile.errors import DataError, ParameterError
from thinfile.intent.options import IntentOptions
from thinfile.intent.recipe import Recipe
from thinfile.intent.task import IntentTask, build_intent_task, frames

BOTH = frozenset({"aggregates", "histories"})


def test_parts_follow_each_other_label_windows_included(task: IntentTask) -> None:
    cut = task.snapshots.cut
    step = np.timedelta64(HORIZON)
    assert cut[task.train].max() + step <= cut[task.validation].min()
    assert cut[task.validation].max() + step <= cut[task.test].min()
    assert set(task.y.tolist()) <= {0, 1, -1}


def test_nothing_after_the_last_training_window_changes_a_training_column(
    task: IntentTask, events: pl.DataFrame, buys: Buys
) -> None:
    closes = task.snapshots.cut[task.train].max() + np.timedelta64(HORIZON)
    late = pl.col("time") >= pl.lit(closes).cast(pl.Datetime("us"))
    changed = events.with_columns(
        pl.when(late).then(pl.lit("made up")).otherwise("item").alias("item"),
        pl.when(late).then(pl.col("amount") * 100 + 7).otherwise("amount").alias("amount"),
    )
    other = build_intent_task(EventLog.from_table(changed, ROLES), buys, HORIZON, options=OPTIONS)
    mine, theirs = frames(task, BOTH), frames(other, BOTH)
    for name in BOTH:
        assert mine[name][task.train].equals(theirs[name][other.train]), name


def test_a_past_buyer_bought_before_the_cut(task: IntentTask) -> None:
    own = frames(task, frozenset({"aggregates"}))["aggregates"]["own_count"].fill_null(0)
    assert ((own > 0).to_numpy() == task.is_past_buyer).all()


def test_training_rows_are_bounded(log: EventLog, buys: Buys) -> None:
    options = replace(OPTIONS, max_rows=150)
    task = build_intent_task(log, buys, HORIZON, options=options)
    assert len(task.train) == 150


def test_the_recipe_survives_json(task: IntentTask, log: EventLog) -> None:
    again = Recipe.from_dict(task.recipe.to_dict())
    rows = task.snapshots.take(task.test)
    assert again.to_dict() == task.recipe.to_dict()
    assert again.flat(log, rows).equals(task.recipe.flat(log, rows))
    assert again.sequences(log, rows).equals(task.recipe.sequences(log, rows))


@pytest.mark.parametrize("plan", ["recipe", "literal-recipe"])
def test_other_plans_make_a_task_too(log: EventLog, buys: Buys, plan: str) -> None:
    task = build_intent_task(log, buys, HORIZON, options=replace(OPTIONS, plan=plan))
    assert len(task.train)
    assert bool(task.split.flags) == (plan == "literal-recipe")


def test_bad_input_is_named(log: EventLog, buys: Buys) -> None:
    with pytest.raises(DataError, match=r"'categroy'.*near: 'category'"):
        build_intent_task(log, Buys("categroy", ("x",)), HORIZON, options=OPTIONS)
    with pytest.raises(DataError, match="no such thing"):
        build_intent_task(log, Buys("category", ("no such thing",)), HORIZON, options=OPTIONS)
    with pytest.raises(
        DataError, match=r"the log lacks the columns 'chanel' .near: 'channel'.; it has"
    ):
        build_intent_task(log, buys, HORIZON, options=replace(OPTIONS, static=("chanel",)))
    clash = EventLog.from_table(log_table(log).rename({"channel": "own_count"}), ROLES)
    with pytest.raises(DataError, match="static='own_count': thinfile makes columns of that name"):
        build_intent_task(clash, buys, HORIZON, options=replace(OPTIONS, static=("own_count",)))
    with pytest.raises(DataError, match=r"the log spans"):
        build_intent_task(log, buys, timedelta(days=300), options=OPTIONS)


def log_table(log: EventLog) -> pl.DataFrame:
    """The log as a table again."""
    counts = np.diff(log.offsets)
    customers = log.customers.to_numpy().repeat(counts)
    return log.table.with_columns(pl.Series("customer", customers))


def test_options_are_held_against_their_rules() -> None:
    with pytest.raises(ParameterError, match=r"plan='guess'.*n_seeds=0"):
        IntentOptions(plan="guess", n_seeds=0).check()
    with pytest.raises(ParameterError, match="max_shift have no effect with plan='snapshots'"):
        IntentOptions(max_shift=2).check()
    with pytest.raises(ParameterError, match="holdout_customers have no effect"):
        IntentOptions(plan="literal-recipe", holdout_customers=0.1).check()
    with pytest.raises(ParameterError, match="labels=3 must be whole numbers ≥ 10"):
        IntentOptions(labels=[3]).check()
    with pytest.raises(ParameterError, match="dan do not take an event log; those that do"):
        IntentOptions(methods=["dan"]).names()
