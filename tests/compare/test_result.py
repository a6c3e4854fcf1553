from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from thinfile.compare.cell import Cell
from thinfile.compare.result import (
    CELL_METRICS,
    Result,
    cell_table,
    label_curve,
    leaderboard,
    load_result,
    score_matrix,
    source_samples,
)
from thinfile.errors import DataError

N_TEST = 300
Scores = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def test_y() -> npt.NDArray[np.int8]:
    return (np.random.default_rng(0).random(N_TEST) < 0.4).astype(np.int8)


def chances(y: npt.NDArray[np.int8], signal: float, seed: int) -> Scores:
    log_odds = signal * (y - 0.5) + np.random.default_rng(seed).normal(size=len(y))
    return 1 / (1 + np.exp(-log_odds))


def ok(method: str, budget: int, seed: int, scores: Scores, **more: Any) -> Cell:
    return Cell(
        method, budget, seed, "ok", scores=scores, cpu_seconds=2.0, wall_seconds=1.0, **more
    )


def area(y: npt.NDArray[np.int8], scores: Scores) -> float:
    """AUC as the share of pairs in order, the slow and obvious way."""
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[y == 1] for b in scores[y == 0]]
    return float(np.mean(pairs))


@pytest.fixture(scope="module")
def cells(test_y: npt.NDArray[np.int8]) -> list[Cell]:
    """A weak and a strong baseline and a network, two seeds; one fit failed, one was not tried."""
    made = [
        ok(method, 50, seed, chances(test_y, signal, 10 * seed + place), notes=[f"note {method}"])
        for seed in (0, 1)
        for place, (method, signal) in enumerate(
            [("boosted_source", 0.8), ("boosted_pooled", 2.0), ("mlp", 1.2)]
        )
    ]
    made[5] = Cell("mlp", 50, 1, "failed", "RuntimeError: no luck")
    return [*made, Cell("boosted_target", 0, 0, "not applicable", "needs labels of the target")]


@pytest.fixture(scope="module")
def table(cells: list[Cell], test_y: npt.NDArray[np.int8]) -> pl.DataFrame:
    return cell_table(cells, test_y)


@pytest.fixture(scope="module")
def matrix(cells: list[Cell]) -> dict[tuple[str, int], Scores]:
    return score_matrix(cells, N_TEST, [0, 1])


@pytest.fixture(scope="module")
def board(
    table: pl.DataFrame, matrix: dict[tuple[str, int], Scores], test_y: npt.NDArray[np.int8]
) -> pl.DataFrame:
    return leaderboard(table, test_y, matrix)


def test_the_table_has_one_row_per_cell(
    cells: list[Cell], table: pl.DataFrame, test_y: npt.NDArray[np.int8]
) -> None:
    assert table.height == len(cells)
    assert table.select("method", "budget", "seed").is_unique().all()
    for cell, row in zip(cells, table.to_dicts(), strict=True):
        assert (row["method"], row["status"]) == (cell.method, cell.status)
        assert row["error"] == cell.error
        if cell.status == "ok":
            assert row["auc"] == pytest.approx(area(test_y, cell.scores), abs=1e-12)
            assert row["gini"] == pytest.approx(2 * row["auc"] - 1)
            assert row["brier"] == pytest.approx(np.mean((cell.scores - test_y) ** 2))
        else:
            assert all(row[name] is None for name in CELL_METRICS)


def test_the_table_keeps_its_types_where_all_fail(test_y: npt.NDArray[np.int8]) -> None:
    table = cell_table([Cell("mlp", 0, 0, "failed", "x")], test_y)
    assert [table.schema[name] for name in CELL_METRICS] == [pl.Float64] * len(CELL_METRICS)
    assert cell_table([], test_y).height == 0


def test_a_failed_seed_is_empty_in_the_matrix(
    cells: list[Cell], matrix: dict[tuple[str, int], Scores]
) -> None:
    assert set(matrix) == {("boosted_source", 50), ("boosted_pooled", 50), ("mlp", 50)}
    assert np.array_equal(matrix["boosted_pooled", 50][1], cells[4].scores)
    assert np.isfinite(matrix["mlp", 50][0]).all()
    assert np.isnan(matrix["mlp", 50][1]).all()


def test_the_leaderboard_holds_means_over_seeds(
    cells: list[Cell], board: pl.DataFrame, test_y: npt.NDArray[np.int8]
) -> None:
    assert board["method"].to_list() == ["boosted_pooled", "mlp", "boosted_source"]
    for row in board.to_dicts():
        mine = [c.scores for c in cells if c.method == row["method"] and c.status == "ok"]
        assert row["n_seeds"] == len(mine)
        assert row["auc"] == pytest.approx(np.mean([area(test_y, s) for s in mine]), abs=1e-12)
        assert row["auc_low"] < row["auc"] < row["auc_high"]
        assert row["gini_low"] == pytest.approx(2 * row["auc_low"] - 1)
        assert row["cpu_seconds"] == 2.0
        assert row["note"] == f"note {row['method']}"


def test_differences_are_to_the_best_baseline(board: pl.DataFrame) -> None:
    rows = {row["method"]: row for row in board.to_dicts()}
    best = rows["boosted_pooled"]
    assert [row["is_reference"] for row in rows.values()] == [True, False, False]
    assert best["difference"] == best["difference_low"] == best["difference_high"] == 0.0
    source = rows["boosted_source"]
    assert source["difference"] == pytest.approx(source["auc"] - best["auc"])
    assert source["difference_high"] < 0


def test_a_difference_on_seeds_that_both_have(
    cells: list[Cell], board: pl.DataFrame, test_y: npt.NDArray[np.int8]
) -> None:
    """The network's failed seed must not be held against the baseline's two."""
    row = board.filter(pl.col("method") == "mlp").to_dicts()[0]
    expected = area(test_y, cells[2].scores) - area(test_y, cells[1].scores)
    assert row["difference"] == pytest.approx(expected, abs=1e-12)


def test_differences_are_paired(test_y: npt.NDArray[np.int8]) -> None:
    """Two methods that err on the same rows are told apart better than their intervals say."""
    strong = chances(test_y, 1.5, 1)
    weak = 1 / (1 + np.exp(-(np.log(strong / (1 - strong)) + chances(test_y, 0.0, 2))))
    cells = [ok("boosted_source", 0, 0, strong), ok("mlp", 0, 0, weak)]
    board = leaderboard(cell_table(cells, test_y), test_y, score_matrix(cells, N_TEST, [0]))
    row = board.filter(pl.col("method") == "mlp").to_dicts()[0]
    paired = row["difference_high"] - row["difference_low"]
    assert paired < 0.5 * (row["auc_high"] - row["auc_low"])


def test_there_is_a_leaderboard_without_a_baseline(test_y: npt.NDArray[np.int8]) -> None:
    cells = [
        ok("mlp", 0, 0, chances(test_y, 1.0, 1)),
        ok("mlp", 50, 0, chances(test_y, 1.0, 2)),
        ok("boosted_pooled", 50, 0, chances(test_y, 1.0, 3)),
    ]
    table, matrix = cell_table(cells, test_y), score_matrix(cells, N_TEST, [0])
    board = leaderboard(table, test_y, matrix)
    alone = board.filter(pl.col("budget") == 0).to_dicts()[0]
    assert alone["difference"] is None
    assert not alone["is_reference"]
    assert board.filter(pl.col("budget") == 50)["difference"].null_count() == 0


def test_equal_input_gives_the_same_intervals(
    table: pl.DataFrame,
    matrix: dict[tuple[str, int], Scores],
    board: pl.DataFrame,
    test_y: npt.NDArray[np.int8],
) -> None:
    assert leaderboard(table, test_y, matrix).equals(board)
    assert not leaderboard(table, test_y, matrix, random_state=1).equals(board)


def test_the_curve_is_the_leaderboards(board: pl.DataFrame) -> None:
    curve = label_curve(board)
    assert curve.columns == ["method", "budget", "auc", "low", "high"]
    assert curve.height == board.height


def test_source_samples_are_of_one_seed_and_bounded() -> None:
    sample = np.linspace(0, 1, 5000)
    cells = [
        Cell("mlp", 0, 0, "ok", source_scores=sample),
        Cell("mlp", 0, 1, "ok", source_scores=1 - sample),
        Cell("dan", 0, 0, "failed"),
    ]
    found = source_samples(cells, 0)
    assert list(found) == [("mlp", 0)]
    assert np.array_equal(found["mlp", 0], sample[:2000])


# A result from its folder ----------------------------------------------------------------------


def test_brackets_in_the_name_of_a_run_are_no_pattern(
    finished: tuple[Path, Result], tmp_path: Path
) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "run[1]", symlinks=True)
    assert load_result(folder).cells.equals(load_result(finished[0]).cells)


def test_a_result_is_read_back_as_it_was(finished: tuple[Path, Result]) -> None:
    folder, result = finished
    again = load_result(folder)
    for each in fields(Result):
        old, new = getattr(result, each.name), getattr(again, each.name)
        if each.name == "settings":
            new = {k: v for k, v in new.items() if k not in ("format", "fingerprint", "created")}
            old = {k: v for k, v in old.items() if k != "created"}
        if isinstance(old, pl.DataFrame):
            assert old.equals(new.select(old.columns)), each.name
        elif each.name in ("test_scores", "source_scores"):
            assert list(old) == list(new)
            assert all(np.array_equal(old[k], new[k], equal_nan=True) for k in old)
        elif isinstance(old, np.ndarray):
            assert np.array_equal(old, new)
        else:
            assert _plain(old) == _plain(new), each.name


def _plain(value: Any) -> Any:
    """As JSON knows it: a tuple is a list."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return json.loads(json.dumps(value))


def test_no_comparison_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no run\.json: it is no finished comparison"):
        load_result(tmp_path)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("verdict.json", Path.unlink),
        ("results.parquet", Path.unlink),
        ("results.parquet", lambda path: path.write_bytes(path.read_bytes()[:100])),
        ("test.safetensors", lambda path: path.write_bytes(b"")),
        ("leaderboard.json", lambda path: path.write_text("[{")),
    ],
)
def test_a_damaged_result_is_refused(
    finished: tuple[Path, Result], tmp_path: Path, name: str, damage: Callable[[Path], Any]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder, symlinks=True)
    damage(folder / name)
    with pytest.raises(DataError, match=r"no finished comparison|damaged"):
        load_result(folder)
