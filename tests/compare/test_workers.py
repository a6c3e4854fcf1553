from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thinfile.compare.cell import Cell, Key, Settings
from thinfile.compare.plan import make_plan
from thinfile.compare.task import Task
from thinfile.compare.workers import TaskCells, run_all

Overrides = dict[str, dict[str, Any]]
KEYS = [Key(method, 40, 0) for method in ("mlp", "boosted_pooled", "logistic_pooled")]


def bits(cell: Cell) -> tuple[Any, ...]:
    """All that a cell found, and not how long it took."""
    arrays = [getattr(cell, name).tobytes() for name in Cell._ARRAYS]
    losses = [record.get("total") for record in cell.history]
    return (cell.status, cell.error, cell.calibration, arrays, losses, cell.notes)


def a_value_that_kills() -> Any:
    """An argument whose first use ends the process, as a system short of memory does."""

    class Killer:
        # Defined in here, so that it travels to the process by value.
        def __index__(self) -> int:
            return 1

        def __gt__(self, other: Any) -> bool:
            import os

            os._exit(9)

    return Killer()


def test_processes_find_the_same_bits(
    small_task: Task, overrides: Overrides, tmp_path: Path
) -> None:
    plan, settings = make_plan(small_task, [40]), Settings(overrides=overrides)
    found = []
    for n_jobs in (1, 2):
        folder = tmp_path / str(n_jobs)
        folder.mkdir()
        cells = list(
            run_all(TaskCells(small_task, plan, settings), KEYS, folder=folder, n_jobs=n_jobs)
        )
        assert sorted(cell.key for cell in cells) == sorted("-".join(map(str, k)) for k in KEYS)
        loaded = [Cell.load(folder, cell.key) for cell in cells]
        assert [bits(c) for c in loaded if c] == [bits(cell) for cell in cells]
        found.append({cell.key: bits(cell) for cell in cells})
    assert {bits[0] for bits in found[0].values()} == {"ok"}
    assert found[0] == found[1]


def test_a_process_that_is_killed_fails_its_cell_only(
    small_task: Task, overrides: Overrides, tmp_path: Path
) -> None:
    deadly = {**overrides, "boosted_pooled": {"n_trees": a_value_that_kills()}}
    plan, settings = make_plan(small_task, [40]), Settings(overrides=deadly)
    keys = [
        Key("boosted_source", 40, 0),
        Key("boosted_pooled", 40, 0),
        Key("logistic_pooled", 40, 0),
    ]
    cells = {
        cell.method: cell
        for cell in run_all(TaskCells(small_task, plan, settings), keys, folder=tmp_path, n_jobs=2)
    }
    assert {name: cell.status for name, cell in cells.items()} == {
        "boosted_source": "ok",
        "boosted_pooled": "failed",
        "logistic_pooled": "ok",
    }
    assert cells["boosted_pooled"].error == "its process was killed (out of memory?)"
    assert np.isfinite(cells["logistic_pooled"].scores).all()
    assert len(os.listdir(tmp_path)) == 6


def test_cells_are_saved_as_they_come(
    small_task: Task, overrides: Overrides, tmp_path: Path
) -> None:
    plan, settings = make_plan(small_task, [40]), Settings(overrides=overrides)
    keys = [Key("boosted_source", 40, 0), Key("logistic_pooled", 40, 0)]
    running = run_all(TaskCells(small_task, plan, settings), keys, folder=tmp_path, n_jobs=1)
    assert next(running).method == "boosted_source"
    assert Cell.load(tmp_path, "boosted_source-40-0") is not None
    assert Cell.load(tmp_path, "logistic_pooled-40-0") is None
    running.close()


@pytest.mark.parametrize("n_jobs", [None, 1, 4])
def test_nothing_to_do_is_done(small_task: Task, tmp_path: Path, n_jobs: int | None) -> None:
    plan = make_plan(small_task, [40])
    assert (
        list(run_all(TaskCells(small_task, plan, Settings()), [], folder=tmp_path, n_jobs=n_jobs))
        == []
    )
