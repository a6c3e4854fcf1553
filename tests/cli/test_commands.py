"""The smaller commands: fit, score, schema, methods, report, completion, demo."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from thinfile.artifact.folder import load
from thinfile.baselines.boosted import BoostedTreesClassifier
from thinfile.compare.options import Options
from thinfile.compare.task import Task
from thinfile.methods import METHODS, MODELS

Call = Callable[..., Any]


# fit ------------------------------------------------------------------------------------


def test_a_fit_is_saved_as_a_version(call: Call, files: Path, tmp_path: Path) -> None:
    tables = [files / "old.parquet", files / "new.parquet"]
    out = tmp_path / "models"
    arguments = ["--label=bad", "--out", out, "--set", "n_trees=7", "--set", "align=scale"]
    answer = call("fit", "boosted_pooled", *tables, *arguments)
    assert (answer.code, answer.err) == (0, "")
    assert "240 source rows, 200 labels of the target, 60 target rows without" in answer.out
    (version,) = out.iterdir()
    assert f"Model: {version}" in answer.out
    model = load(out)
    assert isinstance(model, BoostedTreesClassifier)
    assert model.booster_.num_trees() == 7
    assert model.align == "scale"
    assert call("fit", "boosted_pooled", *tables, *arguments, "--json").code == 0
    assert len(list(out.iterdir())) == 2


def test_a_fit_in_json(call: Call, files: Path, tmp_path: Path) -> None:
    one = [files / "both.csv", "--domain=product", "--target=card"]
    answer = call("fit", "logistic_source", *one, "--label=bad", "--out", tmp_path / "m", "--json")
    record = json.loads(answer.out)
    assert record["method"] == "logistic_source"
    assert record["n_unlabelled"] == 60
    assert Path(record["model"]).is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["magic"], "method='magic' is no method"),
        (["mlp", "--set", "n_tree=5"], "mlp has no argument 'n_tree'; it has activation,"),
        (["mlp", "--set", "dropout"], "--set 'dropout' must be NAME=VALUE"),
        (["mlp", "--set", "dropout=2"], "MLPClassifier: dropout=2 must be a number in [0, 1)"),
        (["mlp", "--set", "widths=wide"], "widths='wide' must be a sequence"),
    ],
)
def test_a_fit_that_cannot_be_made(
    call: Call, files: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    tables = [files / "old.parquet", files / "new.parquet"]
    answer = call(
        "fit", *arguments[:1], *tables, *arguments[1:], "--label=bad", "--out", tmp_path / "m"
    )
    assert answer.code == 2
    assert message in answer.err
    assert answer.err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_a_file_is_no_folder_for_versions(call: Call, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.write_text("a file")
    tables = [files / "old.parquet", files / "new.parquet"]
    answer = call("fit", "logistic_source", *tables, "--label=bad", "--out", out)
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "is a file" in answer.err
    assert out.read_text() == "a file"


def test_a_fit_needs_no_label_column_in_the_target(call: Call, files: Path, tmp_path: Path) -> None:
    pl.read_parquet(files / "new.parquet").drop("bad").write_parquet(tmp_path / "blind.parquet")
    tables = [files / "old.parquet", tmp_path / "blind.parquet"]
    answer = call("fit", "logistic_source", *tables, "--label=bad", "--out", tmp_path / "m")
    assert answer.code == 0, answer.err
    assert "'blind' has no column 'bad': its rows have no label" in answer.out


def test_a_fit_is_told_the_event(call: Call, files: Path, tmp_path: Path) -> None:
    tables = [tmp_path / "old.parquet", tmp_path / "new.parquet"]
    words = pl.col("bad").replace_strict({0: "sun", 1: "rain"}, default=None)
    for path in tables:
        pl.read_parquet(files / path.name).with_columns(words).write_parquet(path)
    options = ["--label=bad", "--out", tmp_path / "m"]
    answer = call("fit", "logistic_source", *tables, *options)
    assert answer.code == 2
    assert "say which is the event with --event" in answer.err
    answer = call("fit", "logistic_source", *tables, *options, "--event=sun")
    assert answer.code == 0, answer.err
    assert "'sun' is taken as the event" in answer.out


# score ----------------------------------------------------------------------------------


def test_scores_beside_ids(call: Call, files: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.csv"
    answer = call("score", model, files / "new.parquet", "--out", out)
    assert answer.code == 0
    assert answer.out.startswith("260 of 260 rows scored, mean 0.")
    assert "scored 260 rows" in answer.err
    found = pl.read_csv(out)
    assert found.columns == ["customer", "probability"]
    expected = load(model).predict_proba(pl.read_parquet(files / "new.parquet"))[:, 1]
    assert (found["probability"] - pl.Series(expected)).abs().max() < 1e-9


def test_a_score_in_json_and_by_another_id(
    call: Call, files: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.parquet"
    answer = call("score", model, files / "new.csv", "--out", out, "--id", "region", "--json")
    record = json.loads(answer.out)
    assert (record["n_rows"], record["n_scored"], answer.err) == (260, 260, "")
    assert pl.read_parquet(out).columns == ["region", "probability"]


def test_faults_are_reported_and_rows_rejected(
    call: Call, files: Path, model: Path, tmp_path: Path
) -> None:
    table = pl.read_csv(files / "new.csv", infer_schema=False)
    ages = ["old" if row == 3 else age for row, age in enumerate(table["age"])]
    table.with_columns(pl.Series("age", ages)).write_csv(tmp_path / "t.csv")
    out = tmp_path / "s.csv"
    answer = call("score", model, tmp_path / "t.csv", "--out", out, "--quiet", "--on-fault=reject")
    assert answer.code == 0
    assert "1 rows rejected" in answer.out
    assert "age" in answer.out
    assert pl.read_csv(out)["probability"].null_count() == 1
    stopped = call(
        "score", model, tmp_path / "t.csv", "--out", tmp_path / "x.csv", "--on-fault=raise"
    )
    assert stopped.code == 2
    assert not (tmp_path / "x.csv").exists()


# schema ---------------------------------------------------------------------------------


def test_a_schema_is_shown_and_saved(call: Call, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "schema.toml"
    answer = call("schema", files / "both.csv", "--label=bad", "--domain=product", "--out", out)
    assert answer.code == 0
    for word in ("customer", "id", "age", "number", "region", "category", "product", "domain"):
        assert word in answer.out
    assert f"give it as --schema {out}" in answer.out
    again = call("schema", files / "both.csv", "--json")
    roles = {row["name"]: row["role"] for row in json.loads(again.out)}
    assert roles["income"] == "number"


def test_a_column_that_is_not_there_has_no_schema(call: Call, files: Path, tmp_path: Path) -> None:
    answer = call("schema", files / "old.csv", "--label=default", "--out", tmp_path / "s.toml")
    assert answer.code == 2
    assert "--label 'default' is no column of" in answer.err
    assert os.listdir(tmp_path) == []


def test_a_schema_that_is_there_is_replaced_on_demand_only(
    call: Call, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "schema.toml"
    out.write_text("corrected by hand")
    answer = call("schema", files / "old.csv", "--out", out)
    assert answer.code == 2
    assert answer.err == (
        f"thinfile: --out {out} exists; name another file, or replace it with --force\n"
    )
    assert out.read_text() == "corrected by hand"
    assert call("schema", files / "old.csv", "--out", out, "--force").code == 0
    assert "[[columns]]" in out.read_text()


@pytest.mark.parametrize("more", [[], ["--force"]])
def test_a_schema_never_replaces_its_table(call: Call, tmp_path: Path, more: list[str]) -> None:
    table = tmp_path / "t.json"
    table.write_text('{"x": 1}\n')
    answer = call("schema", table, "--out", table, *more)
    assert answer.code == 2
    assert answer.err == f"thinfile: --out {table} is the table itself; name another file\n"
    assert table.read_text() == '{"x": 1}\n'


def test_a_schema_of_another_kind_of_file_is_refused(
    call: Call, files: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "schema.toml"
    bad.write_text("columns = 7")
    tables = [files / "old.csv", files / "new.csv"]
    answer = call("compare", *tables, "--label=bad", "--schema", bad, "--out", tmp_path / "x")
    assert answer.code == 2, answer.err
    assert answer.err.count("\n") == 1
    assert os.listdir(tmp_path) == ["schema.toml"]


# methods, report, completion, demo ------------------------------------------------------


def test_methods_are_listed(call: Call) -> None:
    answer = call("methods")
    records = json.loads(call("methods", "--json").out)
    assert [record["name"] for record in records] == [*METHODS, *MODELS]
    for record in records:
        assert record["name"] in answer.out
        assert record["group"] in ("transfer", "intent", "fraud", "model")
        assert record["paper"]
        assert record["needs"]


def test_one_method_is_told_in_full(call: Call) -> None:
    answer = call("methods", "dan")
    assert "MK-MMD" in answer.out
    assert "mmd_weight" in answer.out  # the class's own description
    assert json.loads(call("methods", "dan", "--json").out)["name"] == "dan"
    assert json.loads(call("methods", "vae", "--json").out)["roles"][-1] == "generator"
    assert "free_bits" in call("methods", "vae").out
    wrong = call("methods", "table_ban")
    assert wrong.code == 2
    assert "method='table_ban' is no method; near it: table_gan" in wrong.err


def test_no_run_has_no_report(call: Call, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        answer = call("report", folder)
        assert answer.code == 2
        assert "it is no finished comparison" in answer.err
    assert os.listdir(tmp_path) == []


def test_a_page_does_not_replace_another_kind_of_file(call: Call, tmp_path: Path) -> None:
    table = tmp_path / "loans.parquet"
    table.write_bytes(b"rows")
    answer = call("report", tmp_path, "--out", table)
    assert answer.code == 2
    assert answer.err == (
        f"thinfile: --out {table} exists and is no page: name a file that ends in .html\n"
    )
    assert table.read_bytes() == b"rows"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_line(call: Call, shell: str) -> None:
    answer = call("completion", shell)
    assert answer.out.count("\n") == 1
    assert f"_THINFILE_COMPLETE={shell}_source" in answer.out
    assert call("completion", "tcsh").code == 2


def test_completion_completes(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_THINFILE_COMPLETE", "zsh_complete")
    monkeypatch.setenv("COMP_WORDS", "thinfile co")
    monkeypatch.setenv("COMP_CWORD", "1")
    words = call().out.splitlines()
    assert "compare" in words
    assert "completion" in words
    assert "score" not in words


def test_the_demo_compares_the_loans_that_ship(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def compare(task: Task, out: Path, options: Options, **_: Any) -> Path:
        asked.extend([task, out, options])
        return out / "report.html"

    monkeypatch.setattr("thinfile.cli.demo.run_and_print", compare)
    answer = call("demo", "--out", tmp_path / "demo", "--labels=100", "--seeds=2", "--jobs=1")
    assert answer.code == 0
    task, _, options = asked
    assert len(task.source) > 1000
    assert len(task.target_labelled) > 1000
    assert 0 < task.rate(task.source) < 0.5
    assert not {"Term", "Name", "ChgOffDate", "MIS_Status"} & set(task.features.columns)
    assert (options.labels, options.n_seeds, options.methods) == ((100,), 2, None)
    shown = answer.out.split("Try next:\n")[1].splitlines()
    assert len(shown) == 3
    assert all(line.strip().startswith("thinfile ") for line in shown)
