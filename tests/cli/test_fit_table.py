"""`thinfile fit` with one table: methods for rare events, and models that need no label."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from thinfile.artifact.folder import load

Call = Callable[..., Any]


def test_a_method_for_rare_events_is_fitted_to_one_table(
    call: Call, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "models"
    options = ["--label=bad", "--out", out, "--set", "max_steps=4", "--set", "n_members=1"]
    answer = call("fit", "sgan", files / "new.parquet", *options)
    assert (answer.code, answer.err) == (0, "")
    events = pl.read_parquet(files / "new.parquet")["bad"].sum()
    words = f"SGANClassifier: 260 rows, {events} events, {200 - events} others, 60 without a label"
    assert answer.out.startswith(words)
    scores = tmp_path / "s.parquet"
    assert call("score", out, files / "old.parquet", "--out", scores).code == 0
    assert pl.read_parquet(scores).height == 240


def test_a_model_is_fitted_with_a_label_or_without(call: Call, files: Path, tmp_path: Path) -> None:
    table, page = files / "new.parquet", tmp_path / "vae.html"
    quick = ["--set", "max_epochs=2", "--json"]
    plain = call("fit", "vae", table, "--out", tmp_path / "plain", *quick)
    assert (plain.code, plain.err) == (0, "")
    assert json.loads(plain.out)["n_events"] is None
    assert load(tmp_path / "plain").condition is None
    name = pl.read_parquet(table).columns[0]
    assert call("fit", "vae", table, "--ignore", name, "--out", tmp_path / "less", *quick).code == 0
    assert name not in [column.name for column in load(tmp_path / "less").schema_.columns]
    told = call("fit", "vae", table, "--label=bad", "--out", tmp_path / "m", "--page", page, *quick)
    record = json.loads(told.out)
    assert (record["method"], record["n_unlabelled"], record["page"]) == ("vae", 60, str(page))
    assert '<section id="training"' in page.read_text()
    given = ["--like", table, "--where", "bad == 1", "-n", 5, "--out", tmp_path / "more.csv"]
    made = call("generate", tmp_path / "m", *given, "--no-report")
    assert made.code == 0, made.err
    assert pl.read_csv(tmp_path / "more.csv")["bad"].to_list() == [1] * 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sgan", "new"], "sgan needs --label"),
        (["sgan", "new", "old", "--label=bad"], "sgan is fitted to one table, 2 were given"),
        (["sgan", "new", "--label=worse"], "label 'worse' is no column of the table"),
        (["sgan", "new", "--label=bad", "--domain=a"], "--domain and --target do not go with sgan"),
        (["vae", "new", "--event=1"], "--event needs --label"),
        (["vae", "new", "--ignore=a,b"], "--ignore: 'a' is no column of the table"),
        (["mlp", "new", "--ignore=a", "--label=bad"], "--ignore does not go with mlp"),
        (["vae", "new", "--set", "n=5"], "vae has no argument 'n'; it has activation"),
        (["lstm_autoencoder", "new"], "is fitted to windows of series, not to a table"),
        (["mlp", "old", "new"], "mlp needs --label"),
        (["mlp", "old", "new", "--label=bad", "--page=x.html"], "--page does not go with mlp"),
    ],
)
def test_a_fit_to_one_table_that_cannot_be_made(
    call: Call, files: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    named = [files / f"{each}.parquet" if each in ("old", "new") else each for each in arguments]
    answer = call("fit", *named, "--out", tmp_path / "m")
    assert answer.code == 2
    assert message in answer.err
    assert answer.err.count("\n") == 1
    assert os.listdir(tmp_path) == []
