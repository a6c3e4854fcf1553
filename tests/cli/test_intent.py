"""`thinfile intent` as users call it: from a log to a model, and logs that cannot be used.

What cannot be used is refused in one line with exit code 2, and no folder is left behind.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from thinfile.data.synthetic_events import make_events

Call = Callable[..., Any]

ROLES = [
    *("--customer", "customer", "--time", "time", "--item", "item", "--category", "category"),
    *("--quantity", "quantity", "--amount", "amount"),
]
FAST = ["--methods", "best_column,boosted_aggregates", "--seeds", "1", "--jobs", "1"]
CATEGORY = "category 00"
NEVER = "category 99"


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    return make_events(15_000, 300, 6, n_days=400, random_state=3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(log: str = "events.parquet", buys: str = CATEGORY, horizon: str = "50d") -> list[str]:
    return ["intent", log, *ROLES, "--buys", buys, "--horizon", horizon, "--out", "run"]


def test_from_a_log_to_scores(call: Call, events: pl.DataFrame, folder: Path) -> None:
    events.write_parquet("events.parquet")
    answer = call(*arguments(), *FAST, "--top", "20")
    assert answer.code == 0, answer.err
    assert "best baseline" in answer.out
    assert "Leak probes:" in answer.out
    assert "Leak" not in answer.err
    assert (folder / "run" / "report.html").stat().st_size > 10_000
    assert pl.read_parquet("run/audience.parquet").height == events["customer"].n_unique()
    scored = call("score", "run/best", "events.parquet", "--out", "scores.csv")
    assert scored.code == 0, scored.err
    assert pl.read_csv("scores.csv").columns == ["customer", "probability"]
    page = folder / "again.html"
    assert call("report", "run", "--out", page).code == 0
    assert page.read_text().count("<section") > 4


def test_an_audience_is_not_replaced_unasked(
    call: Call, events: pl.DataFrame, folder: Path
) -> None:
    events.write_parquet("events.parquet")
    assert call(*arguments(), *FAST, "--no-report", "--quiet").code == 0
    choose = ["audience", "run/best", "events.parquet", "--top", "20", "--out", "list.csv"]
    assert call(*choose).code == 0
    before = (folder / "list.groups.parquet").read_bytes()
    again = call(*choose, "--random-state", "7")
    assert again.code == 2
    assert "another hold-out group" in again.err
    assert (folder / "list.groups.parquet").read_bytes() == before
    assert call(*choose, "--random-state", "7", "--force").code == 0


def test_csv_text_and_json_answers(call: Call, events: pl.DataFrame, folder: Path) -> None:
    events.write_csv("events.csv")
    answer = call(*arguments("events.csv"), *FAST, "--no-report", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert found["verdict"]["choice"] in ("best_column", "boosted_aggregates")
    assert found["report"] is None
    assert not any(probe["flagged"] for probe in found["probes"])
    assert {row["group"] for row in found["groups"]} >= {"all"}


def test_a_leak_is_named_at_exit(call: Call, events: pl.DataFrame, folder: Path) -> None:
    events.write_parquet("events.parquet")
    answer = call(*arguments(), *FAST, "--plan", "literal-recipe", "--quiet")
    assert answer.code == 0
    assert answer.err.startswith("thinfile: Leak suspected, do not trust the figures")
    assert "the cut of a negative is" in answer.err.lower()
    assert "Try next" not in answer.out
    refused = call("audience", "run/best", "events.parquet", "--top", "20", "--out", "list.csv")
    assert refused.code == 2
    assert "nobody should be written to by this model" in refused.err
    assert not (folder / "list.csv").exists()
    page = (folder / "run" / "report.html").read_text()
    assert page.index("Leak suspected</h2>") < page.index("Verdict</h2>")


def test_a_store_is_sorted_once_and_used_again(
    call: Call, events: pl.DataFrame, folder: Path
) -> None:
    events.write_parquet("events.parquet")
    first = call(*arguments(), *FAST, "--no-report", "--quiet", "--store", "sorted")
    assert first.code == 0, first.err
    again = call(*arguments(), *FAST, "--no-report", "--quiet", "--store", "sorted")
    assert again.code == 0, again.err
    assert again.out == first.out
    scored = call("score", "run/best", "events.parquet", "--store", "sorted", "--out", "s.csv")
    assert scored.code == 0, scored.err
    missing = call(*arguments("nothing.parquet"), *FAST, "--quiet", "--store", "sorted")
    assert missing.code == 2
    assert "nothing.parquet" in missing.err
    other = [*arguments()[:-6], "--buys", CATEGORY, "--horizon", "50d", "--out", "other"]
    other.remove("--amount")
    other.remove("amount")
    refused = call(*other, *FAST, "--store", "sorted")
    assert refused.code == 2
    assert "holds a log with other columns" in refused.err


@dataclass(frozen=True)
class Case:
    """A log as it should not be, or a call that does not fit it, and what is said."""

    name: str
    message: str
    change: Callable[[pl.DataFrame], pl.DataFrame] = lambda log: log
    buys: str = CATEGORY
    horizon: str = "50d"
    more: tuple[str, ...] = ()


def with_times(*texts: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Times as text, the first of them replaced."""

    def change(log: pl.DataFrame) -> pl.DataFrame:
        written = log["time"].dt.to_string("%Y-%m-%d %H:%M:%S").to_list()
        return log.with_columns(pl.Series("time", [*texts, *written[len(texts) :]]))

    return change


def bought_early(log: pl.DataFrame) -> pl.DataFrame:
    """Nobody buys the category in the last half of the log."""
    late = pl.col("time") > log["time"].median()
    changed = pl.when(late & (pl.col("category") == CATEGORY)).then(pl.lit("category 01"))
    return log.with_columns(changed.otherwise("category").alias("category"))


ZONES = ("2023-01-01 00:00:00+00:00", "2023-01-01 00:00:00+02:00")
CASES = [
    Case("times that cannot be read", "'yesterday'", with_times("yesterday")),
    Case("zones that differ", "zone", with_times(*ZONES)),
    Case("a renamed column", "'customer'", lambda log: log.rename({"customer": "client"})),
    Case("a column that is not there", "'amount'", lambda log: log.drop("amount")),
    Case("a category that never occurs", f"'{NEVER}'", buys=NEVER),
    Case("no buyers in a window", "validation", bought_early),
    Case("a horizon beyond the log", "the log spans", horizon="200d"),
    Case("a horizon in no unit", "60", horizon="60"),
    Case("no rows", "", lambda log: log.clear()),
    Case("no customers", "customer", lambda log: log.with_columns(customer=pl.lit(None))),
    Case("a method of tables", "dan do not take an event log", more=("--methods", "dan")),
    Case("a history that is not there", "'chanel' (near: 'channel')", more=("--static", "chanel")),
    Case("an action in no form", "must be COLUMN=VALUE", more=("--action", "buy")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_cannot_be_used_is_refused(
    call: Call, events: pl.DataFrame, folder: Path, case: Case
) -> None:
    case.change(events).write_parquet("events.parquet")
    given = arguments(buys=case.buys, horizon=case.horizon)
    answer = call(*given, *(case.more or FAST), "--quiet")
    assert answer.code == 2, answer.err
    assert case.message in answer.err
    assert answer.err.strip().count("\n") <= (3 if "Usage" in answer.err else 0)
    assert sorted(path.name for path in folder.iterdir()) == ["events.parquet"]


def test_a_file_that_is_not_there(call: Call, folder: Path) -> None:
    answer = call(*arguments("nothing.parquet"), *FAST)
    assert answer.code == 2
    assert "nothing.parquet" in answer.err
    assert list(folder.iterdir()) == []


def test_the_model_of_a_table_takes_no_cut(call: Call, events: pl.DataFrame, folder: Path) -> None:
    events.write_parquet("events.parquet")
    assert call(*arguments(), *FAST, "--no-report", "--quiet").code == 0
    answer = call("score", "run/best", "events.parquet", "--cut", "1999-01-01", "--out", "s.csv")
    assert answer.code == 2
    assert "no customer of the log has an event before the cut" in answer.err
    assert not Path("s.csv").exists()
