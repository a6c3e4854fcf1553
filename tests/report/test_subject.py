"""Which methods are shown, and in what order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from thinfile.compare.result import Result
from thinfile.report.subject import MAX_CURVES, subject_of
from thinfile.report.tables import failures, label_curve_rows, leaderboard_table

MakeResult = Callable[..., Result]


def test_the_verdict_s_budget_is_shown_best_first(make_result: MakeResult) -> None:
    subject = subject_of(make_result())
    assert subject.budget == 1000
    aucs = [row["auc"] for row in subject.board]
    assert aucs == sorted(aucs, reverse=True)
    assert {row["budget"] for row in subject.board} == {1000}
    assert subject.chosen is not None
    assert subject.best_baseline is not None
    assert subject.best_baseline["difference"] == 0


def test_curves_are_the_choice_the_best_baseline_and_each_family(make_result: MakeResult) -> None:
    subject = subject_of(make_result())
    names = [row["method"] for row in subject.curves]
    assert names[0] == "boosted_pooled"
    assert names[1] == subject.best_baseline["method"]  # type: ignore[index]
    assert {row["family"] for row in subject.curves} == {"baseline", "tabular", "transfer"}
    assert len(names) == len(set(names)) <= MAX_CURVES


def test_failed_seeds_have_no_scores(make_result: MakeResult) -> None:
    subject = subject_of(make_result())
    assert subject.runs("deep_coral").shape == (2, 1545)
    assert subject.runs("dann").shape == (0, 1545)
    assert subject.runs("nobody").shape == (0, 1545)


def test_failures_tell_the_reason_and_how_many_seeds(make_result: MakeResult) -> None:
    listed = {f.title: f.reason for f in failures(subject_of(make_result()))}
    assert set(listed) == {"DANN (adversarial)", "Deep CORAL"}
    assert listed["Deep CORAL"].startswith("failed for 1 of 3 seeds: TrainingError: the loss")


def test_a_method_that_does_not_apply_was_not_run(make_result: MakeResult) -> None:
    result = make_result(methods=["boosted_source", "boosted_target"], budgets=[100])
    hit = pl.col("method") == "boosted_target"
    cells = result.cells.with_columns(
        status=pl.when(hit).then(pl.lit("not applicable")).otherwise("status"),
        error=pl.when(hit).then(pl.lit("needs target labels")).otherwise("error"),
        auc=pl.when(hit).then(None).otherwise("auc"),
    )
    board = result.leaderboard.filter(~hit)
    subject = subject_of(
        make_result(methods=["boosted_source"], budgets=[100], cells=cells, leaderboard=board)
    )
    assert [(f.title, f.reason) for f in failures(subject)] == [
        ("Boosted trees, target", "not run: needs target labels")
    ]


def test_methods_of_one_title_are_kept_apart(make_result: MakeResult) -> None:
    result = make_result(methods=["dan", "mlp"], budgets=[100])
    board = result.leaderboard.with_columns(title=pl.lit("Network"))
    subject = subject_of(make_result(methods=["dan", "mlp"], budgets=[100], leaderboard=board))
    assert {subject.title("dan"), subject.title("mlp")} == {"Network (dan)", "Network (mlp)"}


def test_not_a_number_counts_as_no_result(make_result: MakeResult) -> None:
    result = make_result(methods=["dan", "mlp"], budgets=[100])
    hit = pl.col("method") == "dan"
    board = result.leaderboard.with_columns(auc=pl.when(hit).then(np.nan).otherwise("auc"))
    subject = subject_of(make_result(methods=["dan", "mlp"], budgets=[100], leaderboard=board))
    assert [row["method"] for row in subject.board] == ["mlp"]
    assert [row["method"] for row in subject.failed] == ["dan"]


def test_the_leaderboard_table_marks_the_choice_and_formats_alike(make_result: MakeResult) -> None:
    subject = subject_of(make_result())
    table = leaderboard_table(subject)
    marked = [table.rows[k][0].text for k in table.strong]
    assert marked == ["Boosted trees, pooled"]
    assert len({len(row) for row in table.rows} | {len(table.headings)}) == 1
    assert all(len(row[1].text) == 5 for row in table.rows)


def test_label_curves_need_two_budgets(make_result: MakeResult) -> None:
    rows = label_curve_rows(subject_of(make_result()))
    assert {row["budget"] for row in rows} == {100, 350, 1000}
    assert label_curve_rows(subject_of(make_result(methods=["dan"], budgets=[350]))) == []
