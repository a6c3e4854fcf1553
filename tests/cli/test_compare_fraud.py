"""`thinfile compare --group fraud`, from a file to a run, and what it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

Call = Callable[..., Any]
QUICK = ["--group=fraud", "--methods=logistic,ecod", "--seeds=1", "--jobs=1"]
QUICK += ["--quiet", "--no-report"]


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    fraud = (np.arange(500) % 12 == 0).astype(int)
    columns = {
        "at": np.arange(500),
        "amount": rng.lognormal(3, 1, 500) * (1 + 3 * fraud),
        "shop": rng.choice(["web", "till"], 500),
        "fraud": np.where(fraud == 1, "stolen", "fine"),
    }
    path = tmp_path_factory.mktemp("payments") / "payments.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def test_a_run_is_told_and_goes_on_as_json(call: Call, payments: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    given = ["--label=fraud", "--event=stolen", "--time=at", "--labels=4,8", "--out", out]
    answer = call("compare", payments, *given, *QUICK)
    assert (answer.code, answer.err) == (0, "")
    assert "4 labelled frauds, 366 genuine" in answer.out  # all that there are
    assert f"thinfile map {out / 'autoencoder'}" in answer.out
    assert "--color fraud --event stolen" in answer.out
    assert "--where \"fraud == 'stolen'\"" in answer.out
    record = json.loads(call("compare", payments, *given, *QUICK, "--json").out)
    assert record["verdict"]["budget"] == 8
    assert {row["budget"] for row in record["leaderboard"]} == {4, 8}
    page = tmp_path / "again.html"
    assert call("report", out, "--out", page).code == 0
    assert '<section id="verdict"' in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels=1"], "labels=1 must be whole numbers of labelled frauds ≥ 2"),
        (["--labels=5", "--methods=dan"], "dan do not take one table with rare events"),
        (["--labels=5", "--domain=a"], "--domain and --target do not go with --group fraud"),
        (["--labels=5", "--time=when"], "column 'when' is not in the table"),
        (["--labels=5", "--ignore=amount,shops"], "column 'shops' is not in the table"),
        (["--labels=5", "--group=transfer", "--ignore=shop"], "--ignore need --group fraud"),
        (["--labels=5", "--group=transfer", "--top=5"], "--top need --group fraud"),
        (["--labels=all", "--group=transfer"], "--labels all needs --group fraud"),
    ],
)
def test_what_cannot_be_compared(
    call: Call, payments: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    given = ["--label=fraud", "--event=stolen", "--out", tmp_path / "run"]
    answer = call("compare", payments, *given, *QUICK, *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert answer.err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_one_table_is_needed(call: Call, payments: Path, tmp_path: Path) -> None:
    given = ["--label=fraud", "--out", tmp_path / "run"]
    answer = call("compare", payments, payments, *given, *QUICK)
    assert "--group fraud takes one table, 2 were given" in answer.err
