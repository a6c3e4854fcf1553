"""Two small populations, as tables and as a task, and a comparison of them that is done once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from thinfile.compare.cell import Cell
from thinfile.compare.options import Options
from thinfile.compare.result import Result
from thinfile.compare.run import compare
from thinfile.compare.task import Task, build_task
from thinfile.estimator import Estimator

SMALL: dict[str, dict[str, Any]] = {
    "boosted_source": {"n_trees": 8},
    "boosted_pooled": {"n_trees": 8},
    "boosted_weighted": {"n_trees": 8},
    "boosted_coral": {"n_trees": 8},
    "score_refit": {"n_trees": 8},
    "forest_source": {"n_trees": 5},
    "mlp": {"max_epochs": 2, "widths": (8, 4)},
    "dan": {"max_epochs": 2, "widths": (8, 4)},
    "fine_tune": {"max_epochs": 2, "tuning_epochs": 2, "widths": (8, 4)},
}
METHODS = ("boosted_source", "boosted_pooled", "logistic_pooled", "mlp")


def _tables(
    n_source: int = 240, n_target: int = 260, n_labels: int = 200, *, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Old and new portfolio; the target's labels after the first `n_labels` are empty."""
    rng = np.random.default_rng(seed)
    tables = []
    for n, shift, n_known in ((n_source, 0.0, n_source), (n_target, 4.0, n_labels)):
        age = rng.normal(45 + shift, 12, n)
        region = rng.choice(["north", "south", "east"], n)
        log_odds = (age - 47) / 8 + 0.8 * (region == "south") - 0.3
        events = (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(int).tolist()
        columns = {
            "age": age,
            "income": rng.lognormal(8, 0.5, n).round(2),
            "region": region,
            "bad": [*events[:n_known], *[None] * (n - n_known)],
        }
        tables.append(pl.DataFrame(columns))
    return tables[0], tables[1]


def _task(*sizes: int, seed: int = 0) -> Task:
    old, new = _tables(*sizes, seed=seed)
    return build_task(old, new, label="bad", source_name="old", target_name="new")


def _options(**arguments: Any) -> Options:
    given = {"labels": (0, 40), "n_seeds": 2, "methods": METHODS, "n_jobs": 1, "overrides": SMALL}
    return Options(**(given | arguments))


def _relabelled(task: Task, rows: npt.NDArray[np.intp], *, flip: bool = False) -> Task:
    """The same task with the labels of `rows` turned round, or dealt out anew among them."""
    y = task.y.copy()
    y[rows] = 1 - y[rows] if flip else np.random.default_rng(1).permutation(y[rows])
    assert (y != task.y).any()
    return replace(task, y=y)


@pytest.fixture(scope="session")
def tables() -> Callable[..., tuple[pl.DataFrame, pl.DataFrame]]:
    """Gives old and new portfolio of some sizes: source rows, target rows, target labels."""
    return _tables


@pytest.fixture(scope="session")
def make_task() -> Callable[..., Task]:
    """Gives the task of those tables."""
    return _task


@pytest.fixture(scope="session")
def small_task() -> Task:
    """240 source rows, 260 target rows, 200 of them labelled: enough for a hold-out."""
    return _task()


@pytest.fixture(scope="session")
def few_labels() -> Task:
    """40 labelled target rows: too few for a hold-out."""
    return _task(240, 120, 40)


@pytest.fixture(scope="session")
def options() -> Callable[..., Options]:
    """Gives options with methods at a size that fits in moments."""
    return _options


@pytest.fixture(scope="session")
def overrides() -> dict[str, dict[str, Any]]:
    return SMALL


@pytest.fixture(scope="session")
def relabelled() -> Callable[..., Task]:
    """Gives a task whose labels of some rows are not the true ones."""
    return _relabelled


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, small_task: Task) -> tuple[Path, Result]:
    """Folder and result of a comparison; tests must leave the folder as it is."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    return folder, compare(small_task, folder, _options())


@pytest.fixture(scope="session")
def fitted_bits() -> Callable[[Estimator], Any]:
    """Gives all that was fitted, to be compared bit for bit; seconds are left out."""
    return _fitted_bits


def _fitted_bits(model: Estimator) -> Any:
    state = model.get_state()
    arrays = {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in state.arrays.items()}
    values = {name: value for name, value in state.values.items() if name != "history"}
    return arrays, state.files, values


@pytest.fixture(scope="session")
def same() -> Callable[[Cell, Cell], bool]:
    """Tells whether two cells are the same, bit for bit, but for the time they took."""
    return _same


def _same(cell: Cell, other: Cell) -> bool:
    left, right = (vars(each).copy() for each in (cell, other))
    for each in (left, right):
        del each["wall_seconds"], each["cpu_seconds"]
        each["history"] = [
            {k: v for k, v in record.items() if "seconds" not in k} for record in each["history"]
        ]
    return all(
        np.array_equal(left[k], right[k], equal_nan=True)
        if isinstance(left[k], np.ndarray)
        else left[k] == right[k]
        for k in left
    )
