"""A small log whose purchases can partly be told, and one comparison on it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from thinfile.data.buys import Buys
from thinfile.data.event_columns import EventColumns
from thinfile.data.events import EventLog
from thinfile.data.synthetic_events import make_events
from thinfile.intent.options import IntentOptions
from thinfile.intent.result import IntentResult
from thinfile.intent.run import compare_intent
from thinfile.intent.task import IntentTask, build_intent_task

ROLES = EventColumns(
    "customer",
    "time",
    item="item",
    category="category",
    quantity="quantity",
    amount="amount",
)
HORIZON = timedelta(days=60)
OPTIONS = IntentOptions(
    methods=["best_column", "boosted_aggregates", "mean_bag"],
    n_seeds=2,
    n_jobs=1,
    static=("channel",),
    overrides={"mean_bag": {"max_epochs": 2}, "boosted_aggregates": {"n_trees": 30}},
)


@pytest.fixture(scope="package")
def events() -> pl.DataFrame:
    return make_events(20_000, 400, 8, n_days=500, random_state=0)


@pytest.fixture(scope="package")
def log(events: pl.DataFrame) -> EventLog:
    return EventLog.from_table(events, ROLES)


@pytest.fixture(scope="package")
def buys(events: pl.DataFrame) -> Buys:
    return Buys("category", (events["category"].sort()[0],))


@pytest.fixture(scope="package")
def task(log: EventLog, buys: Buys) -> IntentTask:
    return build_intent_task(log, buys, HORIZON, options=OPTIONS)


@pytest.fixture(scope="package")
def run(task: IntentTask, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, IntentResult]:
    """The folder of a finished run, and its result; tests must leave both as they are."""
    folder = tmp_path_factory.mktemp("intent") / "run"
    return folder, compare_intent(task, folder, OPTIONS)
