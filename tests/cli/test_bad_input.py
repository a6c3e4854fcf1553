"""The hostile files of real life, each through the real command line.

One line, exit code 2, and nothing half-written.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

Call = Callable[..., Any]
Refused = Callable[..., None]
Portfolio = Callable[..., pl.DataFrame]


@dataclass(frozen=True)
class Case:
    """Old and new portfolio as they should not be, and what is said of it."""

    name: str
    change: Callable[[pl.DataFrame, pl.DataFrame], tuple[pl.DataFrame, pl.DataFrame]]
    message: str
    labels: str = "40"


def keep(table: pl.DataFrame) -> pl.DataFrame:
    return table


def case(
    name: str,
    message: str,
    *,
    old: Callable[[pl.DataFrame], pl.DataFrame] = keep,
    new: Callable[[pl.DataFrame], pl.DataFrame] = keep,
    labels: str = "40",
) -> Case:
    return Case(name, lambda a, b: (old(a), new(b)), message, labels)


def with_label(value: Any) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda table: table.with_columns(pl.lit(value, pl.Int64).alias("bad"))


THIRD = pl.when(pl.int_range(pl.len()) == 7).then(2).otherwise(pl.col("bad")).alias("bad")
CASES = [
    case("no label column", "label column 'bad' is not in 'new'", new=lambda t: t.drop("bad")),
    case("three values", "label 'bad' has 3 values (0, 1, 2)", new=lambda t: t.with_columns(THIRD)),
    case("no label at all", "target 'new' has no label in column 'bad'", new=with_label(None)),
    case("no label, none asked for", "has no label", new=with_label(None), labels="0"),
    case("one class in the source", "'old' has 240 events and 0 non-events", old=with_label(1)),
    case("one class in the target", "0 events in 260 labelled rows", new=with_label(0)),
    case("too many labels", "labels=300 were asked for, but target 'new' has 200", labels="300"),
    case(
        "no shared column",
        "'old' and 'new' share no column but the label",
        new=lambda t: t.rename({c: f"new_{c}" for c in t.columns if c != "bad"}),
    ),
    case(
        "another type",
        "column 'age' changes type: Float64 in 'old' (first: 55.4), words in 'new'",
        old=lambda t: t.with_columns(pl.Series("age", [55.4, *t["age"][1:]])),
        new=lambda t: t.with_columns(pl.lit("grown up").alias("age")),
    ),
    case("no rows", "population 'new' has no rows", new=lambda t: t.head(0)),
]
FORMATS = {"parquet": pl.DataFrame.write_parquet, "csv": pl.DataFrame.write_csv}


@pytest.mark.parametrize("as_json", [False, True], ids=["words", "json"])
@pytest.mark.parametrize("bad", CASES, ids=lambda each: each.name)
def test_tables_that_cannot_be_compared(
    call: Call,
    portfolio: Portfolio,
    quick: list[str],
    tmp_path: Path,
    bad: Case,
    as_json: bool,
    refused: Refused,
) -> None:
    old, new = bad.change(portfolio(240), portfolio(260, shift=4, seed=1, n_labels=200))
    tables = [tmp_path / "old.parquet", tmp_path / "new.parquet"]
    old.write_parquet(tables[0])
    new.write_parquet(tables[1])
    options = ["--label=bad", f"--labels={bad.labels}", "--out", tmp_path / "run", *quick]
    answer = call("compare", *tables, *options, *["--json"] * as_json)
    message = bad.message
    if bad.name == "no rows":
        message = "is empty: columns but no rows"
    refused(answer, message, as_json=as_json)
    assert sorted(os.listdir(tmp_path)) == ["new.parquet", "old.parquet"]


def test_numbers_here_and_words_there_in_csv(
    call: Call, portfolio: Portfolio, quick: list[str], tmp_path: Path, refused: Refused
) -> None:
    portfolio(240).write_csv(tmp_path / "old.csv")
    words = portfolio(260, seed=1).with_columns(pl.lit("grown up").alias("age"))
    words.write_csv(tmp_path / "new.csv")
    tables = [tmp_path / "old.csv", tmp_path / "new.csv"]
    answer = call("compare", *tables, "--label=bad", "--out", tmp_path / "run", *quick)
    refused(answer, "column 'age' changes type: numbers in 'old'", as_json=False)
    assert not (tmp_path / "run").exists()


# Files that are none --------------------------------------------------------------------


def doubled(path: Path) -> None:
    path.write_text("age,age,bad\n1,2,0\n3,4,1\n")


def truncated(path: Path) -> None:
    pl.DataFrame({"age": np.arange(5000.0), "bad": [0, 1] * 2500}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])


def wide_line(path: Path) -> None:
    path.write_text("age,bad\n1,0\n2,1,7,8\n")


DAMAGES: list[tuple[str, Callable[[Path], Any], str]] = [
    ("new.csv", doubled, "'age'"),
    ("new.csv", lambda path: path.write_bytes(b""), "is empty: no content"),
    ("new.csv", lambda path: path.write_text("age,bad\n"), "is empty: a header but no rows"),
    ("new.csv", wide_line, "row 1 has 4 fields, the header has 2"),
    ("new.csv.gz", lambda path: path.write_bytes(b"\x1f\x8b\x08\x00"), "damaged or cut short"),
    ("new.csv", lambda path: None, "new.csv: no such file"),
    ("new.csv", Path.mkdir, "is not a file"),
    ("new.xls", lambda path: path.write_text("x"), "unknown kind of file"),
    ("new.parquet", truncated, "is no Parquet file, damaged or cut short"),
    ("new.parquet", lambda path: path.write_bytes(b""), "is empty: no content"),
    ("new.parquet", lambda path: path.write_text("a,b\n1,2\n"), "is no Parquet file"),
]


@pytest.mark.parametrize("as_json", [False, True], ids=["words", "json"])
@pytest.mark.parametrize(("name", "make", "message"), DAMAGES)
def test_files_that_cannot_be_read(
    call: Call,
    files: Path,
    quick: list[str],
    tmp_path: Path,
    name: str,
    make: Callable[[Path], Any],
    message: str,
    as_json: bool,
    refused: Refused,
) -> None:
    make(tmp_path / name)
    before = sorted(os.listdir(tmp_path))
    tables = [files / "old.csv", tmp_path / name]
    options = ["--label=bad", "--labels=40", "--out", tmp_path / "run", *quick]
    answer = call("compare", *tables, *options, *["--json"] * as_json)
    refused(answer, message, as_json=as_json)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(("name", "make", "message"), DAMAGES)
def test_files_that_cannot_be_scored(
    call: Call,
    model: Path,
    tmp_path: Path,
    name: str,
    make: Callable[[Path], Any],
    message: str,
    refused: Refused,
) -> None:
    make(tmp_path / name)
    before = sorted(os.listdir(tmp_path))
    answer = call("score", model, tmp_path / name, "--out", tmp_path / "s.parquet", "--quiet")
    refused(answer, message, as_json=False)
    assert sorted(os.listdir(tmp_path)) == before


# Wrong words ----------------------------------------------------------------------------


@pytest.mark.parametrize("as_json", [False, True], ids=["words", "json"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["old.parquet", "new.parquet", "--methods=magic"],
            "method='magic' is no method; `thinfile methods` lists them all",
        ),
        (
            ["both.csv", "--domain=product", "--target=house"],
            "'house' is none of the populations card, loan",
        ),
        (["both.csv", "--domain=bank", "--target=card"], "population column 'bank' is not among"),
        (["both.csv"], "give two files (old and new), or one file with --domain COLUMN"),
        (["old.parquet", "new.parquet", "both.csv"], "one or two tables are needed, 3 were given"),
        (["old.parquet", "new.parquet", "--domain=product"], "--domain and --target go with one"),
        (["old.parquet", "new.parquet", "--device=abacus"], "device is 'abacus'"),
        (["old.parquet", "new.parquet", "--magic"], "No such option"),
        (["old.parquet", "new.parquet", "--schema=nowhere.toml"], "nowhere.toml"),
        (["old.parquet", "new.parquet", "--seeds=0"], "--seeds"),
    ],
)
def test_options_that_cannot_be_met(
    call: Call,
    files: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    as_json: bool,
    refused: Refused,
) -> None:
    given = [each if each.startswith("-") else files / each for each in arguments]
    common = ["--label=bad", "--labels=40", "--out", tmp_path / "run", "--quiet", "--no-report"]
    answer = call("compare", *given, *common, *["--json"] * as_json)
    refused(answer, message, as_json=as_json)
    assert os.listdir(tmp_path) == []


def test_what_is_needed_is_named(call: Call, files: Path, refused: Refused) -> None:
    refused(call("compare", files / "old.csv", "--label=bad"), "--out", as_json=False)
    refused(call("compare", "--label=bad", "--out=x"), "TABLES", as_json=False)
    refused(call("magic"), "No such command 'magic'", as_json=False)


# Columns of no use ----------------------------------------------------------------------


def spoilt(table: pl.DataFrame) -> pl.DataFrame:
    """The same with columns that hold nothing, one value, or no number at all."""
    n = table.height
    ends = [float("inf"), float("-inf"), float("nan")]
    return table.with_columns(
        pl.lit(None).alias("empty"),
        pl.lit(None, pl.Float64).alias("empty_number"),
        pl.lit(7).alias("constant"),
        pl.lit("same").alias("one_word"),
        pl.Series("infinite", [ends[row % 3] if row % 5 == 0 else float(row) for row in range(n)]),
        pl.Series("all_infinite", [float("inf")] * n),
        pl.Series("huge", np.linspace(-1e300, 1e300, n)),
    )


@pytest.mark.parametrize("kind", list(FORMATS))
def test_columns_of_no_use_do_no_harm(
    call: Call, portfolio: Portfolio, tmp_path: Path, kind: str
) -> None:
    old, new = spoilt(portfolio(240)), spoilt(portfolio(260, shift=4, seed=1, n_labels=200))
    tables = [tmp_path / f"old.{kind}", tmp_path / f"new.{kind}"]
    for table, path in zip((old, new), tables, strict=True):
        FORMATS[kind](table, path)
    methods = (
        "boosted_source,boosted_coral,boosted_scaled,logistic_pooled,score_refit,forest_source"
    )
    options = ["--label=bad", "--labels=40", "--seeds=1", "--jobs=1", "--no-report", "--json"]
    answer = call("compare", *tables, *options, f"--methods={methods}", "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    cells = pl.read_parquet(tmp_path / "run" / "results.parquet")
    assert cells["error"].unique().to_list() == [""]
    said = (tmp_path / "run" / "diagnosis.json").read_text() + (
        tmp_path / "run" / "run.json"
    ).read_text()
    assert "constant" in said
    assert "empty" in said
    scored = call(
        "score", tmp_path / "run" / "best", tables[1], "--out", tmp_path / "s.csv", "--quiet"
    )
    assert scored.code == 0, scored.err
    assert pl.read_csv(tmp_path / "s.csv")["probability"].is_between(0, 1).all()


def test_ten_thousand_categories_do_no_harm(
    call: Call, portfolio: Portfolio, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    tables = [tmp_path / "old.parquet", tmp_path / "new.parquet"]
    for seed, (path, n) in enumerate(zip(tables, (15_000, 5_000), strict=True)):
        codes = rng.integers(0, 10_000, n)
        names = pl.Series("branch", [f"branch {code}" for code in codes])
        portfolio(n, seed=seed).with_columns(names).write_parquet(path)
    options = ["--label=bad", "--labels=100", "--seeds=1", "--jobs=1", "--no-report", "--json"]
    answer = call(
        "compare",
        *tables,
        *options,
        "--methods=boosted_source,logistic_pooled",
        "--out",
        tmp_path / "run",
    )
    assert answer.code == 0, answer.err
    cells = pl.read_parquet(tmp_path / "run" / "results.parquet")
    assert set(cells["status"]) == {"ok"}
    assert cells["auc"].min() > 0.6
