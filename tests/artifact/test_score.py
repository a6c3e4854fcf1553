from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.artifact.folder import save
from thinfile.artifact.quick import quick
from thinfile.artifact.reference import SCORE, reference_of
from thinfile.artifact.score import score_file
from thinfile.errors import ArtifactError, DataError, ParameterError, SchemaError
from thinfile.estimator import Estimator
from thinfile.methods import METHODS

Fitted = Callable[[str], Estimator]


@pytest.fixture
def source(tmp_path: Path, new_rows: pl.DataFrame) -> Path:
    new_rows.write_parquet(tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.mark.parametrize("name", METHODS)
def test_scores_are_those_of_predict_proba(
    name: str, tmp_path: Path, source: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    model = fitted(name)
    summary = score_file(model, source, tmp_path / "scores.parquet", batch_rows=123)
    scores = pl.read_parquet(tmp_path / "scores.parquet")
    assert scores.columns == ["customer", "probability"]
    assert scores["customer"].equals(new_rows["customer"])
    expected = model.predict_proba(new_rows)[:, 1]
    np.testing.assert_allclose(scores["probability"], expected, atol=1e-6)
    assert (summary.n_rows, summary.n_scored, summary.n_rejected) == (500, 500, 0)
    assert summary.mean_probability == pytest.approx(expected.mean(), abs=1e-6)
    assert summary.psi is None
    assert files(tmp_path) == {"rows.parquet", "scores.parquet"}


@pytest.mark.parametrize("name", ["boosted_pooled", "tradaboost", "score_refit"])
def test_the_quick_form_is_a_copy(name: str, fitted: Fitted, new_rows: pl.DataFrame) -> None:
    model = fitted(name)
    before = dict(vars(model))
    np.testing.assert_allclose(
        quick(model).predict_proba(new_rows), model.predict_proba(new_rows), atol=1e-13
    )
    assert vars(model) == before


def test_csv_in_and_out_from_a_saved_model(
    tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    model = fitted("boosted_pooled")
    folder = save(model, tmp_path / "model", reference=new_rows)
    new_rows.write_csv(tmp_path / "rows.csv")
    done: list[int] = []
    summary = score_file(
        folder,
        tmp_path / "rows.csv",
        tmp_path / "scores.csv",
        id_columns=["customer", "town"],
        batch_rows=200,
        progress=done.append,
    )
    scores = pl.read_csv(tmp_path / "scores.csv")
    assert scores.columns == ["customer", "town", "probability"]
    expected = model.predict_proba(new_rows)[:, 1]
    np.testing.assert_allclose(scores["probability"], expected, atol=1e-6)
    assert done == [200, 400, 500]
    assert summary.psi is not None
    # The very rows that the reference was made of have not drifted at all.
    assert max(summary.psi.values()) == pytest.approx(0, abs=1e-12)
    assert summary.to_dict()["psi"][SCORE] == summary.psi[SCORE]


def test_drift_is_seen(tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame) -> None:
    model = fitted("boosted_pooled")
    moved = new_rows.with_columns(pl.col("age") + 40, town=pl.lit("somewhere else"))
    moved.write_parquet(tmp_path / "moved.parquet")
    reference = reference_of(model, new_rows)
    summary = score_file(
        model, tmp_path / "moved.parquet", tmp_path / "scores.parquet", reference=reference
    )
    assert summary.psi is not None
    assert {"age", "town", SCORE} <= set(list(summary.psi)[:3])
    assert summary.psi["age"] > 0.25
    assert summary.psi["income"] == pytest.approx(0, abs=1e-12)


def test_without_an_id_rows_are_counted(
    tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    new_rows.drop("customer").write_parquet(tmp_path / "rows.parquet")
    score_file(
        fitted("logistic_source"), tmp_path / "rows.parquet", tmp_path / "s.csv", batch_rows=99
    )
    assert pl.read_csv(tmp_path / "s.csv")["row"].to_list() == list(range(500))


# Faults -------------------------------------------------------------------------------------


def with_faults(rows: pl.DataFrame) -> pl.DataFrame:
    at_fault = pl.int_range(pl.len()).is_in([130, 131, 400])
    return rows.with_columns(income=pl.when(at_fault).then(-20.0).otherwise("income"))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_rejected_rows_stay_without_a_score(
    ending: str, tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    with_faults(new_rows).write_parquet(tmp_path / "rows.parquet")
    out = tmp_path / f"scores.{ending}"
    summary = score_file(
        fitted("boosted_pooled"), tmp_path / "rows.parquet", out, batch_rows=100, on_fault="reject"
    )
    scores = pl.read_csv(out) if ending == "csv" else pl.read_parquet(out)
    assert np.flatnonzero(scores["probability"].is_null()).tolist() == [130, 131, 400]
    assert (summary.n_rows, summary.n_scored, summary.n_rejected) == (500, 497, 3)
    assert summary.mean_probability == pytest.approx(scores["probability"].mean())
    [fault] = summary.faults
    assert fault.in_words(summary.n_rows) == (
        "column 'income': 3 of 500 rows lie below 0.0 (first: row 130, -20.0)"
    )
    assert summary.faults_file == f"{out}.faults.csv"
    assert pl.read_csv(summary.faults_file).rows() == [("income", 3, 130, "lie below 0.0", -20.0)]


def test_reported_faults_are_scored_as_missing(
    tmp_path: Path, source: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    model, out = fitted("boosted_pooled"), tmp_path / "scores.parquet"
    with_faults(new_rows).write_parquet(tmp_path / "faulty.parquet")
    summary = score_file(model, tmp_path / "faulty.parquet", out)
    scores = pl.read_parquet(out)["probability"]
    assert summary.n_rejected == 0
    missing = new_rows.with_columns(income=pl.lit(None, pl.Float64))
    expected = model.predict_proba(missing)[:, 1]
    np.testing.assert_allclose(scores[[130, 131, 400]], expected[[130, 131, 400]], atol=1e-9)
    # A later run without faults does not leave the old report behind.
    assert score_file(model, source, out).faults_file is None
    assert files(tmp_path) == {"rows.parquet", "faulty.parquet", "scores.parquet"}


def test_faults_can_stop_the_run(tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame) -> None:
    with_faults(new_rows).write_parquet(tmp_path / "rows.parquet")
    (tmp_path / "scores.parquet").write_bytes(b"of an earlier run")
    with pytest.raises(DataError, match=r"from row 100 on: column 'income': 2 of 100 rows"):
        score_file(
            fitted("logistic_source"),
            tmp_path / "rows.parquet",
            tmp_path / "scores.parquet",
            batch_rows=100,
            on_fault="raise",
        )
    assert (tmp_path / "scores.parquet").read_bytes() == b"of an earlier run"
    assert files(tmp_path) == {"rows.parquet", "scores.parquet"}


# Bad input ----------------------------------------------------------------------------------


def test_missing_columns_are_all_named(
    tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    new_rows.drop("age", "town").write_csv(tmp_path / "rows.csv")
    with pytest.raises(SchemaError, match=r"lacks 2 of 10 columns: 'age', 'town'"):
        score_file(fitted("mlp"), tmp_path / "rows.csv", tmp_path / "scores.csv")
    assert files(tmp_path) == {"rows.csv"}


def test_a_column_that_changed_its_type_is_refused(
    tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    rows = new_rows.with_columns(age=pl.format("{} years", pl.col("age")))
    rows.write_csv(tmp_path / "rows.csv")
    with pytest.raises(DataError, match=r"column 'age': 500 of 500 rows cannot be read"):
        score_file(fitted("mlp"), tmp_path / "rows.csv", tmp_path / "scores.csv")
    assert files(tmp_path) == {"rows.csv"}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_empty_file_is_refused(
    ending: str, tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    model, path = fitted("mlp"), tmp_path / f"rows.{ending}"
    path.touch()
    with pytest.raises(DataError, match="is empty: no content"):
        score_file(model, path, tmp_path / "scores.csv")
    no_rows: Any = new_rows.head(0)
    no_rows.write_csv(path) if ending == "csv" else no_rows.write_parquet(path)
    with pytest.raises(DataError, match="but no rows"):
        score_file(model, path, tmp_path / "scores.csv")
    assert files(tmp_path) == {path.name}


def test_a_truncated_parquet_is_refused(tmp_path: Path, source: Path, fitted: Fitted) -> None:
    source.write_bytes(source.read_bytes()[:2000])
    with pytest.raises(DataError, match="damaged or cut short"):
        score_file(fitted("mlp"), source, tmp_path / "scores.parquet")
    assert files(tmp_path) == {"rows.parquet"}


def test_a_file_that_breaks_off_late_leaves_nothing(
    tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tables(*_: Any, **__: Any) -> Any:
        yield new_rows
        raise DataError("rows.parquet is damaged or cut short")

    monkeypatch.setattr("thinfile.artifact.score.iter_tables", tables)
    for ending in ("csv", "parquet"):
        with pytest.raises(DataError, match="damaged or cut short"):
            score_file(fitted("logistic_source"), "rows", tmp_path / f"scores.{ending}")
    assert not files(tmp_path)


def test_a_full_disk_leaves_the_old_scores(
    tmp_path: Path, source: Path, fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scores.parquet").write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError, match=r"scores\.parquet: cannot be written: No space left"):
        score_file(fitted("logistic_source"), source, tmp_path / "scores.parquet")
    assert (tmp_path / "scores.parquet").read_bytes() == b"old"
    assert files(tmp_path) == {"rows.parquet", "scores.parquet"}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_disk_that_refuses_the_write_is_one_message(
    ending: str, tmp_path: Path, source: Path, fitted: Fitted
) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(ArtifactError, match="cannot be written") as caught:
            score_file(fitted("logistic_source"), source, tmp_path / f"scores.{ending}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == {"rows.parquet"}


def test_options_that_make_no_sense_are_refused_together(source: Path, fitted: Fitted) -> None:
    model = fitted("logistic_source")
    message = r"out='s\.xlsx' must end in .*; on_fault='skip' must be .*; batch_rows=0 must be"
    with pytest.raises(ParameterError, match=message):
        score_file(model, source, "s.xlsx", on_fault="skip", batch_rows=0)
    with pytest.raises(ParameterError, match="there is no folder nowhere"):
        score_file(model, source, "nowhere/s.csv")


def test_id_columns_that_cannot_be_are_refused(
    tmp_path: Path, source: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    model, out = fitted("logistic_source"), tmp_path / "s.csv"
    with pytest.raises(DataError, match="lacks the id columns 'loan', 'branch'"):
        score_file(model, source, out, id_columns=["loan", "customer", "branch"])
    new_rows.with_columns(probability=1.0).write_parquet(source)
    with pytest.raises(DataError, match=re.escape("cannot be called 'probability'")):
        score_file(model, source, out, id_columns=["probability"])


def test_a_fault_is_a_value(fitted: Fitted) -> None:
    from thinfile.artifact.faults import FaultCounter

    counter = FaultCounter()
    counter.add(
        ["column \"it's\": 2 of 9 rows cannot be read as a number (first: row 3, '(a)')"], 10
    )
    counter.add(['column "it\'s": 1 of 9 rows lie above 5 (first: row 0, 7.0)'], 20)
    counter.add(["column 'b': 8 of 9 rows are infinite (first: row 1, inf)"], 30)
    first, second = counter.faults()
    assert (first.column, first.n_rows, first.first_row, first.value) == ("b", 8, 31, "inf")
    assert replace(second, n_rows=0) == replace(
        second, column="it's", n_rows=0, first_row=13, value="'(a)'"
    )
    assert second.n_rows == 3


def test_scores_never_replace_their_source(
    tmp_path: Path, source: Path, fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, before = fitted("logistic_source"), source.read_bytes()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.parquet").symlink_to(source)
    for out in (source, Path("rows.parquet"), Path("link.parquet")):
        with pytest.raises(ParameterError, match="the scores would replace the table"):
            score_file(model, source, out)
    faults = tmp_path / "s.csv.faults.csv"
    pl.read_parquet(source).write_csv(faults)
    with pytest.raises(ParameterError, match="the faults would replace the table"):
        score_file(model, str(faults), tmp_path / "s.csv")
    assert source.read_bytes() == before
    assert files(tmp_path) == {"rows.parquet", "link.parquet", "s.csv.faults.csv"}
