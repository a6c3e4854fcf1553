from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from thinfile.artifact.folder import load
from thinfile.compare.result import Result
from thinfile.errors import DataError
from thinfile.fraud.board import fraud_board
from thinfile.fraud.options import FraudOptions
from thinfile.fraud.result import is_fraud_run
from thinfile.fraud.run import compare_fraud
from thinfile.fraud.task import FraudTask
from thinfile.metrics.ranking import average_precision


def test_a_run_has_all_its_parts(run: Path, result: Result, task: FraudTask) -> None:
    assert is_fraud_run(run)
    budgets = [10, int(task.y[task.train].sum())]
    assert result.settings["budgets"] == budgets
    assert result.leaderboard.height == 8
    assert result.leaderboard["chosen"].sum() == 2
    assert result.verdict["choice"] in result.settings["methods"]
    parts = pl.read_parquet(run / "rows.parquet")
    assert parts.filter(pl.col("part") == "test")["row"].to_list() == task.test.tolist()


def test_the_best_model_scores_raw_rows_as_its_cell_did(
    run: Path, result: Result, payments: pl.DataFrame, task: FraudTask
) -> None:
    model = load(run / "best")
    scores = model.predict_proba(payments[task.test])[:, 1]
    verdict = result.verdict
    kept = result.test_scores[(verdict["choice"], verdict["budget"])][0]
    np.testing.assert_allclose(scores, kept, rtol=1e-6)


def test_models_of_the_rows_lie_beside_it(run: Path, payments: pl.DataFrame) -> None:
    codes = load(run / "autoencoder").transform(payments.head(5))
    assert codes.shape[0] == 5
    made = load(run / "vae").sample(7, random_state=0)
    assert made.height == 7


def test_a_second_call_takes_what_is_finished(
    task: FraudTask, options: FraudOptions, run: Path
) -> None:
    before = {p.name: p.stat().st_mtime_ns for p in (run / "cells").iterdir()}
    again = compare_fraud(task, run, options)
    after = {p.name: p.stat().st_mtime_ns for p in (run / "cells").iterdir()}
    assert before == after
    assert again.verdict["choice"]
    with pytest.raises(DataError, match="another comparison"):
        compare_fraud(task, run, replace(options, genuine=100))


def test_what_was_asked_for_beyond_the_frauds_there_are_is_said(
    task: FraudTask, options: FraudOptions, tmp_path: Path
) -> None:
    given = replace(options, labels=(500,), methods=("logistic",), n_seeds=1, genuine=100_000)
    found = compare_fraud(task, tmp_path / "run", given)
    (budget,) = found.settings["budgets"]
    assert found.settings["n_genuine"] == {str(budget): len(task.of_class(0))}
    assert any("labels=500 were asked for" in note for note in found.settings["notes"])
    assert any("genuine=100,000 were asked for" in note for note in found.settings["notes"])


def test_nothing_is_left_when_no_method_runs(
    task: FraudTask, options: FraudOptions, tmp_path: Path
) -> None:
    given = replace(options, methods=("boosted",), overrides={"boosted": {"n_trees": -1}})
    with pytest.raises(DataError, match="no method could be run"):
        compare_fraud(task, tmp_path / "run", given)
    assert not (tmp_path / "run").exists()


def test_the_board_agrees_with_plain_figures() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(500) < 0.1).astype(np.int8)
    good, bad = y + rng.normal(0, 0.5, (2, 500)), rng.random((2, 500))
    scores = {("boosted", 5): good, ("devnet", 5): bad}
    board = fraud_board(y, scores, alerts=0.02, top=20).to_dicts()
    assert [row["method"] for row in board] == ["boosted", "devnet"]
    first = board[0]
    assert first["ap"] == pytest.approx(np.mean([average_precision(y, s) for s in good]))
    top = [y[np.argsort(-s)] for s in good]
    assert first["precision"] == pytest.approx(np.mean([t[:20].mean() for t in top]))
    assert first["recall"] == pytest.approx(np.mean([t[:10].sum() / y.sum() for t in top]))
    assert first["is_reference"]
    assert board[1]["difference_high"] < 0
    assert first["ap_low"] < first["ap"] < first["ap_high"]


def test_intervals_end_at_what_so_many_alerts_can_find() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(500) < 20).astype(np.int8)
    scores = {("boosted", 5): y + rng.normal(0, 0.3, (3, 500))}
    (row,) = fraud_board(y, scores, alerts=0.02, top=50).to_dicts()
    assert row["recall_high"] == 10 / 20
    assert row["precision_high"] == 20 / 50
    assert row["recall_low"] <= row["recall"] <= row["recall_high"]
