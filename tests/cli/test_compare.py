from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

Call = Callable[..., Any]


def test_two_files_are_compared_and_the_answer_printed(
    call: Call, files: Path, quick: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "runs" / "new-product"
    tables = [files / "old.parquet", files / "new.parquet"]
    answer = call("compare", *tables, "--label", "bad", "--labels", "40", "--out", out, *quick)
    assert answer.code == 0
    assert answer.err == ""
    assert "old → new, 40 labels of the target" in answer.out
    verdict = json.loads((out / "verdict.json").read_text())
    assert verdict["headline"] in answer.out
    for sentence in verdict["sentences"]:
        assert sentence in answer.out
    assert "Try next:" in answer.out
    assert (
        f"thinfile score {out / 'best'} {files / 'new.parquet'} --out scores.parquet" in answer.out
    )
    board = json.loads((out / "leaderboard.json").read_text())
    for row in board:
        for name in ("auc", "gini", "ks", "ap"):
            assert f"{row[name]:.3f}" in answer.out
            assert f"{row[f'{name}_low']:.3f}–{row[f'{name}_high']:.3f}" in answer.out


def test_json_holds_the_verdict_and_the_leaderboard(
    call: Call, files: Path, quick: list[str], tmp_path: Path
) -> None:
    one = [files / "both.csv", "--domain", "product", "--target", "card"]
    answer = call(
        "compare", *one, "--label=bad", "--labels=0,40", "--out", tmp_path / "x", *quick, "--json"
    )
    assert (answer.code, answer.err) == (0, "")
    record = json.loads(answer.out)
    assert record["report"] is None
    assert record["out"] == str(tmp_path / "x")
    assert {row["budget"] for row in record["leaderboard"]} == {0, 40}
    assert record["verdict"] == json.loads((tmp_path / "x" / "verdict.json").read_text())


def test_one_file_and_two_give_the_same_figures(
    call: Call, files: Path, quick: list[str], tmp_path: Path
) -> None:
    common = ["--label=bad", "--labels=40", *quick]
    two = [files / "old.csv", files / "new.csv", "--out", tmp_path / "two"]
    one = [files / "both.csv", "--domain=product", "--target=card", "--out", tmp_path / "one"]
    assert call("compare", *two, *common).code == 0
    assert call("compare", *one, *common).code == 0
    timing = ["wall_seconds", "cpu_seconds"]
    first, second = (
        pl.read_parquet(tmp_path / n / "results.parquet").drop(timing) for n in ("one", "two")
    )
    assert first.equals(second)


def test_the_page_is_written_and_written_again(
    call: Call, files: Path, quick: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    options = [each for each in quick if each != "--no-report"]
    tables = [files / "old.parquet", files / "new.parquet"]
    answer = call("compare", *tables, "--label=bad", "--labels=40", "--out", out, *options)
    assert answer.code == 0
    assert f"Report: {out / 'report.html'}" in answer.out
    page = (out / "report.html").read_text()
    assert json.loads((out / "verdict.json").read_text())["headline"].split(".")[0] in page
    other = tmp_path / "sent.html"
    again = call("report", out, "--out", other)
    assert (again.code, again.out.strip()) == (0, str(other))
    assert other.stat().st_size > 10_000


def test_the_best_model_scores_a_raw_file(
    call: Call, files: Path, quick: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    tables = [files / "old.parquet", files / "new.parquet"]
    assert call("compare", *tables, "--label=bad", "--labels=40", "--out", out, *quick).code == 0
    scores = tmp_path / "scores.parquet"
    answer = call("score", out / "best", files / "new.csv", "--out", scores, "--quiet")
    assert answer.code == 0
    found = pl.read_parquet(scores)
    assert found.height == 260
    assert found["customer"].to_list() == pl.read_parquet(tables[1])["customer"].to_list()
    assert found["probability"].is_between(0, 1).all()


def test_a_corrected_schema_is_used(
    call: Call, files: Path, quick: list[str], tmp_path: Path
) -> None:
    schema = tmp_path / "schema.toml"
    assert call("schema", files / "old.parquet", "--label=bad", "--out", schema).code == 0
    text = schema.read_text()
    assert 'name = "income"\nrole = "number"' in text
    schema.write_text(
        text.replace('name = "income"\nrole = "number"', 'name = "income"\nrole = "ignored"')
    )
    tables = [files / "old.parquet", files / "new.parquet"]
    out = tmp_path / "run"
    answer = call(
        "compare", *tables, "--label=bad", "--labels=40", "--out", out, "--schema", schema, *quick
    )
    assert answer.code == 0
    assert json.loads((out / "run.json").read_text())["n_features"] == 2


@pytest.mark.parametrize("labels", ["x", "1,,2", "-5", "3.5"])
def test_labels_that_are_no_numbers_are_refused(
    call: Call, files: Path, tmp_path: Path, labels: str
) -> None:
    tables = [files / "old.parquet", files / "new.parquet"]
    answer = call("compare", *tables, "--label=bad", f"--labels={labels}", "--out", tmp_path / "x")
    assert answer.code == 2
    assert repr(labels) in answer.err
    assert os.listdir(tmp_path) == []


def test_names_of_methods_may_have_spaces_between(call: Call, files: Path, tmp_path: Path) -> None:
    tables = [files / "old.parquet", files / "new.parquet"]
    options = [
        "--label=bad",
        "--labels=0",
        "--out",
        tmp_path / "x",
        "--seeds=1",
        "--jobs=1",
        "--json",
    ]
    answer = call(
        "compare", *tables, *options, "--no-report", "--methods=boosted_source, logistic_source"
    )
    assert answer.code == 0
    assert {r["method"] for r in json.loads(answer.out)["leaderboard"]} == {
        "boosted_source",
        "logistic_source",
    }


def test_the_event_is_named_and_stays_in_the_next_command(
    call: Call, files: Path, quick: list[str], tmp_path: Path
) -> None:
    tables = [tmp_path / "old.parquet", tmp_path / "new.parquet"]
    words = pl.col("bad").replace_strict({0: "blue sky", 1: "rain"}, default=None)
    for path in tables:
        pl.read_parquet(files / path.name).with_columns(words).write_parquet(path)
    options = ["--label=bad", "--labels=40", "--out", tmp_path / "run", *quick]
    refused = call("compare", *tables, *options)
    assert refused.code == 2
    assert "has the values 'blue sky' and 'rain': say which is the event" in refused.err
    answer = call("compare", *tables, *options, "--event=blue sky")
    assert answer.code == 0, answer.err
    assert "--event 'blue sky'" in answer.out
