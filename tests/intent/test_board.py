"""Figures by group, and what is chosen and said from them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from thinfile.compare.cell import Cell
from thinfile.compare.held_out_choice import Choice, choose
from thinfile.errors import DataError
from thinfile.intent.board import ALL, NEVER, PAST, group_board
from thinfile.intent.verdict import write_verdict
from thinfile.metrics.ranking import average_precision, roc_auc

N = 600


@pytest.fixture(scope="module")
def y() -> np.ndarray:
    return (np.random.default_rng(0).random(N) < 0.2).astype(np.int8)


@pytest.fixture(scope="module")
def is_past(y: np.ndarray) -> np.ndarray:
    return np.random.default_rng(1).random(N) < 0.2 + 0.4 * y


def scores_of(y: np.ndarray, noise: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 1 / (1 + np.exp(-(2.0 * y - 2 + noise * rng.normal(size=(2, len(y))))))


@pytest.fixture(scope="module")
def board(y: np.ndarray, is_past: np.ndarray) -> pl.DataFrame:
    found = {
        ("boosted_aggregates", 100): scores_of(y, 1.0, 2),
        ("logistic_aggregates", 100): scores_of(y, 3.0, 3),
        ("mlp", 100): scores_of(y, 1.05, 4),
        ("dan", 100): scores_of(y, 6.0, 5),
    }
    return group_board(y, found, is_past, top=50)


def test_each_group_has_the_figures_of_its_own_rows(
    board: pl.DataFrame, y: np.ndarray, is_past: np.ndarray
) -> None:
    runs = scores_of(y, 1.0, 2)
    for group, mask in ((ALL, np.ones(N, bool)), (PAST, is_past), (NEVER, ~is_past)):
        row = board.row(
            by_predicate=(pl.col("group") == group) & (pl.col("method") == "boosted_aggregates"),
            named=True,
        )
        assert row["n"] == mask.sum()
        assert row["n_events"] == y[mask].sum()
        assert row["auc"] == pytest.approx(np.mean([roc_auc(y[mask], r[mask]) for r in runs]))
        assert row["ap"] == pytest.approx(
            np.mean([average_precision(y[mask], r[mask]) for r in runs])
        )
        assert row["lift"] == pytest.approx(row["precision"] / y[mask].mean())
        assert row["auc_low"] < row["auc"] < row["auc_high"]


def test_differences_are_to_the_best_baseline(board: pl.DataFrame) -> None:
    rows = {row["method"]: row for row in board.filter(pl.col("group") == ALL).to_dicts()}
    assert rows["boosted_aggregates"]["is_reference"]
    assert rows["boosted_aggregates"]["difference"] == pytest.approx(0.0)
    assert rows["dan"]["difference_high"] < 0


def test_a_group_with_few_buyers_has_no_figures(y: np.ndarray) -> None:
    nobody = np.zeros(N, dtype=bool)
    board = group_board(y, {("mlp", 50): scores_of(y, 1.0, 0)}, nobody, top=10)
    assert board["group"].unique().to_list() in ([ALL, NEVER], [NEVER, ALL])


def cell(method: str, rows: np.ndarray, scores: np.ndarray, seed: int = 0) -> Cell:
    return Cell(method, 100, seed, "ok", label_rows=rows, label_scores=scores)


def test_a_method_must_be_surely_ahead_to_be_taken_before_a_baseline(y: np.ndarray) -> None:
    rows = np.arange(N)
    base = cell("boosted_aggregates", rows, scores_of(y, 1.0, 2)[0])
    alike = cell("mlp", rows, base.label_scores**2)
    ahead = cell("mlp", rows, scores_of(y, 0.3, 4)[0])
    assert choose([base, alike], y, 100).name == "boosted_aggregates"
    assert choose([base, ahead], y, 100).name == "mlp"
    assert choose([alike], y, 100).name == "mlp"


def test_nothing_that_could_be_run_is_an_error_with_the_reasons(y: np.ndarray) -> None:
    broken = Cell("mlp", 100, 0, "failed", "it ran out of luck")
    with pytest.raises(DataError, match="no method could be run: mlp: it ran out of luck"):
        choose([broken], y, 100)


def test_the_verdict_says_no_better_than_where_it_is_so(board: pl.DataFrame) -> None:
    choice = Choice(
        "boosted_aggregates",
        {"boosted_aggregates": 0.9, "mlp": 0.8},
        "boosted_aggregates",
        "mlp",
        0.2,
    )
    verdict = write_verdict(board, {100: choice}, None, "Tea within 30 days")
    assert verdict["headline"].startswith("Tea within 30 days: no deep method pays; build on")
    text = " ".join(verdict["sentences"])
    assert "No better than Boosted trees on aggregates, the best baseline on the test rows" in text
    assert "within the intervals: Network" in text
    assert "Worse than Boosted trees on aggregates: DAN" in text
    assert "customers who have never bought it" in text
    assert not verdict["flagged"]


def test_a_leak_stands_at_the_top(board: pl.DataFrame) -> None:
    choice = Choice(
        "mlp", {"mlp": 0.9, "boosted_aggregates": 0.8}, "boosted_aggregates", "mlp", 0.95
    )
    verdict = write_verdict(board, {100: choice}, "the cut tells the classes apart", "Tea")
    assert verdict["headline"] == "the cut tells the classes apart"
    assert verdict["flagged"]
    assert verdict["warnings"][0] == "the cut tells the classes apart"


def test_what_ranks_no_better_than_chance_is_not_recommended(y: np.ndarray) -> None:
    noise = np.random.default_rng(9).random((2, N))
    board = group_board(y, {("best_column", 100): noise}, np.ones(N, dtype=bool), top=50)
    verdict = write_verdict(
        board, {100: Choice("best_column", {"best_column": 0.5}, None, None, None)}, None, "Tea"
    )
    assert verdict["headline"].startswith(
        "Tea: nothing that was chosen here ranks better than chance"
    )
    assert "cannot be told from chance" in " ".join(verdict["sentences"])
    assert "Only 0 buyers" in " ".join(verdict["sentences"])
