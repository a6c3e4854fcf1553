"""`thinfile follow-up`: from an audience and a later log to a folder, and what it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from thinfile.data.buys import Buys
from thinfile.data.events import EventColumns
from thinfile.data.synthetic_events import make_events
from thinfile.intent.audience import choose_audience
from thinfile.intent.audience_files import Campaign, write_audience

Call = Callable[..., Any]
Refused = Callable[..., None]
CUT = datetime(2024, 11, 1)
TABLES = [
    "contrasts.csv",
    "contrasts.parquet",
    "customers.parquet",
    "follow-up.json",
    "levels.csv",
    "levels.parquet",
]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Folder with an audience and the logs before and after its cut."""
    events = make_events(8_000, 600, 6, random_state=5)
    early, late = events.filter(pl.col("time") < CUT), events.filter(pl.col("time") >= CUT)
    early.write_parquet(tmp_path / "early.parquet")
    late.write_parquet(tmp_path / "late.parquet")
    counts = early.group_by("customer").agg(n=(pl.col("category") == "category 01").sum())
    scores = counts.select("customer", probability=pl.col("n") / (1 + pl.col("n")))
    campaign = Campaign(
        EventColumns("customer", "time", "item", "category", "quantity", "amount"),
        Buys("category", ("category 01",)),
        CUT,
        timedelta(days=45),
        timedelta(0),
        "f" * 64,
    )
    write_audience(choose_audience(scores, 200, 0.25), tmp_path / "audience.csv", campaign)
    return tmp_path


def test_a_folder_with_tables(call: Call, shop: Path) -> None:
    out = shop / "fu"
    answer = call(
        "follow-up", shop / "audience.csv", shop / "late.parquet", "--out", out, "--no-report"
    )
    assert answer.code == 0, answer.err
    assert "No effect of the campaign can be told: " in answer.out
    assert "From 1 November 2024 to 16 December 2024 (45 days)" in answer.out
    assert "More than 10 purchases in more than 3 categories" in answer.out
    assert sorted(os.listdir(out)) == TABLES
    record = json.loads((out / "follow-up.json").read_text())
    assert record["sizes"]["hold-out"] == 50
    assert record["audience"]["model"] == "f" * 16
    assert record["levels"] == pl.read_parquet(out / "levels.parquet").to_dicts()
    assert pl.read_csv(out / "contrasts.csv").height == 15


def test_options_and_json(call: Call, shop: Path) -> None:
    given = ["--since=2024-11-05", "--until=2024-11-20", "--more-than=2", "--categories=1"]
    given += ["--no-report", "--json", "--out", str(shop / "fu")]
    answer = call("follow-up", shop / "audience.csv", shop / "late.parquet", *given)
    assert answer.code == 0, answer.err
    record = json.loads(answer.out)
    assert (record["since"], record["until"]) == ("2024-11-05T00:00:00", "2024-11-20T00:00:00")
    assert any("More than 2 purchases in more than 1 categories" in s for s in record["sentences"])
    assert len(record["files"]) == len(TABLES)


def test_page_and_picture(call: Call, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Bundling the chart library takes seconds, and tests/report sees to it.
    monkeypatch.setattr("thinfile.report.page._library", lambda: "")
    picture = shop / "for-the-meeting.png"
    given = ["--out", shop / "fu", "--picture", picture]
    answer = call("follow-up", shop / "audience.csv", shop / "late.parquet", *given)
    assert answer.code == 0, answer.err
    assert f"Page: {shop / 'fu' / 'report.html'}" in answer.out
    assert sorted(os.listdir(shop / "fu")) == sorted([*TABLES, "report.html", "follow-up.png"])
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("as_json", [False, True], ids=["words", "json"])
@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("early", "the log ends on 2024-10-31"),
        (lambda t: t.drop("category"), "'category'"),
        (lambda t: t.rename({"amount": "Amount"}), "(near: 'Amount')"),
        (
            lambda t: t.with_columns(pl.format("C{}", "customer").alias("customer")),
            "none of the ",
        ),
        (lambda t: t.head(0), "is empty"),
        ("nowhere", "no such file"),
    ],
)
def test_logs_that_cannot_be_followed(
    call: Call, shop: Path, refused: Refused, log: Any, message: str, as_json: bool
) -> None:
    path = shop / f"{log}.parquet"
    if callable(log):
        path = shop / "changed.parquet"
        log(pl.read_parquet(shop / "late.parquet")).write_parquet(path)
    before = sorted(os.listdir(shop))
    given = ["--out", shop / "fu", *["--json"] * as_json]
    refused(call("follow-up", shop / "audience.csv", path, *given), message, as_json=as_json)
    assert sorted(os.listdir(shop)) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--since=2025-06-01"], "before the window begins on 2025-06-01"),
        (["--since=2024-11-05", "--until=2024-11-01"], "the window must end after it begins"),
        (["--more-than=-1"], "'-1'"[1:-1]),
        (["--picture=x.jpg"], "must end in .png"),
        (["--picture=no/x.png"], "there is no such folder"),
    ],
)
def test_options_that_cannot_be(
    call: Call, shop: Path, refused: Refused, options: list[str], message: str
) -> None:
    before = sorted(os.listdir(shop))
    given = ["--out", shop / "fu", *options]
    answer = call("follow-up", shop / "audience.csv", shop / "late.parquet", *given)
    refused(answer, message, as_json=False)
    assert sorted(os.listdir(shop)) == before


def test_folders_that_hold_something_are_left_alone(
    call: Call, shop: Path, refused: Refused
) -> None:
    (shop / "full").mkdir()
    (shop / "full" / "mine.txt").write_text("mine")
    for out in (shop / "full", shop / "audience.csv"):
        given = ["follow-up", shop / "audience.csv", shop / "late.parquet", "--out", out]
        answer = call(*given, "--no-report")
        assert answer.code == 2
        assert answer.err.count("\n") == 1
    assert os.listdir(shop / "full") == ["mine.txt"]


def test_files_that_are_no_audience(call: Call, shop: Path, refused: Refused) -> None:
    given = [shop / "late.parquet", "--out", shop / "fu"]
    answer = call("follow-up", shop / "early.parquet", *given)
    refused(answer, "early.json is not beside it", as_json=False)
    (shop / "audience.groups.parquet").write_bytes((shop / "late.parquet").read_bytes())
    answer = call("follow-up", shop / "audience.csv", *given)
    refused(answer, "it was changed, or is of another run", as_json=False)
    assert not (shop / "fu").exists()
