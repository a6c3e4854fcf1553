"""`thinfile audience`, from a saved model and a log to the list, and what it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from thinfile.baselines.boosted import BoostedTreesClassifier
from thinfile.data.aggregates import Aggregates
from thinfile.data.buys import Buys
from thinfile.data.event_split import time_split
from thinfile.data.events import EventColumns, EventLog
from thinfile.data.histories import Histories
from thinfile.data.synthetic_events import make_events
from thinfile.intent.audience_files import read_audience
from thinfile.intent.model import IntentModel, save_model
from thinfile.intent.recipe import Recipe

Call = Callable[..., Any]
Refused = Callable[..., None]
ROLES = EventColumns("customer", "time", "item", "category", "quantity", "amount")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a model of purchases, and a log up to November 2024 and from then on."""
    folder = tmp_path_factory.mktemp("shop")
    events = make_events(12_000, 800, 6, random_state=5)
    is_early = pl.col("time") < datetime(2024, 11, 1)
    events.filter(is_early).write_parquet(folder / "early.parquet")
    events.filter(~is_early).write_parquet(folder / "late.parquet")
    log = EventLog.from_source(str(folder / "early.parquet"), ROLES)
    buys, horizon = Buys("category", ("category 01",)), timedelta(days=45)
    train = time_split(log, buys, horizon).train
    aggregates = Aggregates(buys, windows=(7, 30)).fit(log, train)
    recipe = Recipe(log.roles, buys, horizon, timedelta(0), aggregates, Histories(["category"]))
    table = recipe.flat(log, train)
    estimator = BoostedTreesClassifier(n_trees=20, random_state=0).fit(table, train.label)
    model = IntentModel(estimator, recipe, frozenset({"aggregates"}))
    save_model(model, folder / "models", metrics={}, reference=table)
    return folder


def test_a_list_with_reasons_and_a_hold_out(call: Call, shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "audience.parquet"
    answer = call("audience", shop / "models", shop / "early.parquet", "--top=60", "--out", out)
    assert answer.code == 0, answer.err
    assert "54 picked and 6 held out of" in answer.out
    assert "only a large effect will be told" in answer.out
    assert f"thinfile follow-up {out}" in answer.out
    table = pl.read_parquet(out)
    assert table.columns[:4] == ["customer", "rank", "probability", "group"]
    assert table["reason_1"].str.contains(r"\(\+\d+\.\d\)$").all()
    assert sorted(os.listdir(tmp_path)) == [
        "audience.groups.parquet",
        "audience.json",
        "audience.parquet",
    ]
    saved = read_audience(out)
    assert saved.campaign.cut == saved.campaign.cut.replace(microsecond=1)
    assert len(saved.campaign.model) == 64
    log = pl.read_parquet(shop / "early.parquet")
    assert saved.groups.height == log["customer"].n_unique()


def test_without_reasons_as_json_and_csv_at_an_earlier_cut(
    call: Call, shop: Path, tmp_path: Path
) -> None:
    out = tmp_path / "list.csv"
    given = ["--top=40", "--holdout=0", "--no-reasons", "--cut=2024-06-01", "--json"]
    answer = call("audience", shop / "models", shop / "early.parquet", "--out", out, *given)
    assert answer.code == 0, answer.err
    record = json.loads(answer.out)
    assert record["cut"] == "2024-06-01T00:00:00"
    assert record["counts"]["hold-out"] == 0
    assert record["audience"] == str(out)
    assert pl.read_csv(out).columns == ["customer", "rank", "probability", "group"]
    early = pl.read_parquet(shop / "early.parquet")
    before = early.filter(pl.col("time") < datetime(2024, 6, 1))["customer"].n_unique()
    assert record["counts"]["scored"] == before


def test_the_same_seed_gives_the_same_files(call: Call, shop: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        out = tmp_path / f"{name}.csv"
        call("audience", shop / "models", shop / "early.parquet", "--top=40", "--out", out)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def change(shop: Path, folder: Path, how: Callable[[pl.DataFrame], pl.DataFrame]) -> Path:
    path = folder / "log.parquet"
    how(pl.read_parquet(shop / "early.parquet")).write_parquet(path)
    return path


LOGS: list[tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = [
    (lambda t: t.drop("category"), "'category'"),
    (lambda t: t.rename({"customer": "Customer"}), "(near: 'Customer')"),
    (lambda t: t.rename({"time": "When", "amount": "Amount"}), "'time' (time), 'amount' (amount)"),
    (lambda t: t.with_columns(time=pl.lit("soon")), "time"),
]


@pytest.mark.parametrize("as_json", [False, True], ids=["words", "json"])
@pytest.mark.parametrize(("how", "message"), LOGS, ids=lambda each: str(each)[:12])
def test_logs_that_do_not_fit_the_model(
    call: Call,
    shop: Path,
    tmp_path: Path,
    refused: Refused,
    how: Callable[[pl.DataFrame], pl.DataFrame],
    message: str,
    as_json: bool,
) -> None:
    log = change(shop, tmp_path, how)
    given = ["--top=40", "--out", tmp_path / "a.csv", *["--json"] * as_json]
    refused(call("audience", shop / "models", log, *given), message, as_json=as_json)
    assert os.listdir(tmp_path) == ["log.parquet"]


OPTIONS = [
    (["--top=5"], "top=5 must be a whole number ≥ 10"),
    (["--top=40", "--holdout=0.95"], "holdout=0.95 must be a number in [0, 0.9]"),
    (["--top=100000"], "top=100000: "),
    (["--top=many"], "'many' is not a valid integer"),
    (["--top=40", "--cut=tomorrow"], "'tomorrow' does not match"),
    (["--top=40", "--cut=1999-01-01"], "no customer of the log has an event before the cut"),
    (["--top=40", "--out=a.xls"], "must end in .parquet or .csv"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS, ids=lambda each: str(each)[:24])
def test_options_that_cannot_be(
    call: Call,
    shop: Path,
    tmp_path: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = call("audience", shop / "models", shop / "early.parquet", *options)
    refused(answer, message, as_json=False)
    assert not os.listdir(tmp_path)


def test_the_log_is_never_replaced(
    call: Call, shop: Path, tmp_path: Path, refused: Refused
) -> None:
    log = change(shop, tmp_path, lambda table: table)
    before = log.read_bytes()
    answer = call("audience", shop / "models", log, "--top=40", "--out", log)
    refused(answer, "exists and is no audience", as_json=False)
    assert log.read_bytes() == before


def test_a_model_of_tables_has_no_audience(
    call: Call, shop: Path, model: Path, tmp_path: Path, refused: Refused
) -> None:
    out = tmp_path / "a.csv"
    answer = call("audience", model, shop / "early.parquet", "--top=40", "--out", out)
    refused(answer, "is a model of tables, not of event logs", as_json=False)
    answer = call("audience", tmp_path / "no", shop / "early.parquet", "--top=40", "--out", out)
    refused(answer, "no such folder", as_json=False)
    assert not os.listdir(tmp_path)
