"""Every method and baseline on the same customers, and who will buy."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from thinfile._version import __version__
from thinfile.artifact.atomic import writing
from thinfile.artifact.folder import choose_best
from thinfile.compare.cell import Cell, Key, cell_key
from thinfile.compare.folder import RunFolder
from thinfile.compare.held_out_choice import Choice, choose, mark_choices
from thinfile.compare.probes.finding import Finding, leak_headline
from thinfile.compare.probes.splits import probe_split
from thinfile.compare.probes.tables import probe_tables
from thinfile.compare.result import (
    LEVEL,
    Result,
    cell_table,
    histories,
    label_curve,
    leaderboard,
    score_matrix,
    write_result,
)
from thinfile.compare.workers import finish_cells
from thinfile.intent.board import group_board
from thinfile.intent.cells import IntentCells
from thinfile.intent.model import IntentModel, save_model
from thinfile.intent.options import IntentOptions
from thinfile.intent.result import KIND, IntentResult
from thinfile.intent.task import IntentTask, describe, frames
from thinfile.intent.verdict import write_verdict
from thinfile.methods import METHODS, get_method
from thinfile.training.device import choose_device
from thinfile.training.progress import Progress, SilentProgress

MAX_REFERENCE = 20_000
"""Test rows whose distributions are kept to measure drift by."""
VERSIONED = ("thinfile", "torch", "lightgbm", "scikit-learn", "polars", "duckdb")


def compare_intent(
    task: IntentTask,
    out: str | Path,
    options: IntentOptions | None = None,
    *,
    progress: Progress | None = None,
) -> IntentResult:
    """Run every method and baseline on earlier customers, and measure them on later ones.

    Parameters
    ----------
    task
        What :func:`thinfile.intent.task.build_intent_task` made, with the same options.
    out
        Folder for cells, tables, the best model and the ranked audience.
    options
        Methods, label budgets, seeds.
    progress
        Told of every finished cell.

    Returns
    -------
    IntentResult

    Raises
    ------
    DataError
        If no method could be run, or `out` holds another comparison.
    ParameterError
        If an option breaks its rule.
    """
    options = options or IntentOptions()
    return _Run(task, RunFolder(Path(out)), options, progress or SilentProgress()).through()


class _Run:
    """One comparison on its way from a task to a result."""

    def __init__(
        self,
        task: IntentTask,
        folder: RunFolder,
        options: IntentOptions,
        progress: Progress,
    ) -> None:
        options.check()
        choose_device(options.device)
        self.task, self.folder, self.options, self.progress = task, folder, options, progress
        self.names = options.names()
        self.seeds = list(range(options.n_seeds))
        n_known = len(task.train) + len(task.validation)
        self.budgets = sorted({min(n, n_known) for n in options.labels or (n_known,)})
        needs = frozenset().union(*(METHODS[name].needs for name in self.names))
        self.cells = IntentCells(
            frames(task, needs | {"aggregates"}),
            task.y,
            task.snapshots.cut,
            task.train,
            task.validation,
            task.test,
            options.plan == "snapshots",
            tuple(options.static),
            task.recipe.horizon.total_seconds() / (7 * 86_400),
            options.device,
            dict(options.overrides),
        )
        self.settings = self._describe()

    def through(self) -> IntentResult:
        is_new = not self.folder.path.exists()
        self.folder.open(self.settings, self._fingerprint())
        finished = self._finished()
        if is_new and not any(cell.status == "ok" for cell in finished):
            shutil.rmtree(self.folder.path, ignore_errors=True)
        choices = {budget: choose(finished, self.task.y, budget) for budget in self.budgets}
        result = self._result(finished, choices)
        self._write(result)
        self._save_model(result, choices)
        return result

    def _finished(self) -> list[Cell]:
        keys = [Key(m, b, s) for s in self.seeds for b in self.budgets for m in self.names]
        cells = finish_cells(
            self.cells,
            keys,
            folder=self.folder,
            n_jobs=self.options.n_jobs,
            progress=self.progress,
        )
        return sorted(cells, key=lambda c: (c.budget, self.names.index(c.method), c.seed))

    def _result(self, cells: list[Cell], choices: Mapping[int, Choice]) -> IntentResult:
        task, seed = self.task, self.options.random_state
        y = task.y[task.test]
        table = cell_table(cells, y)
        scores = score_matrix(cells, len(y), self.seeds)
        board = leaderboard(table, y, scores, random_state=seed)
        board = mark_choices(board, choices)
        groups = group_board(
            y, scores, task.is_past_buyer[task.test], top=self.options.top, random_state=seed
        )
        probes = self._probes()
        failed = sorted({f"{METHODS[c.method].title} failed: {c.error}" for c in cells if c.error})
        verdict = write_verdict(groups, choices, leak_headline(probes), task.title, failed)
        return IntentResult(
            Result(
                settings=self.settings,
                cells=table,
                leaderboard=board,
                verdict=verdict,
                diagnosis={},
                test_y=y,
                test_scores=scores,
                source_scores={},
                histories=histories(cells, self.seeds[0]),
                label_curve=label_curve(board),
                probes=[finding.to_dict() for finding in probes],
            ),
            groups,
        )

    def _probes(self) -> list[Finding]:
        task, customer = self.task, self.task.log.roles.customer
        # The customer is no feature; with it the probes see whom training has seen buy.
        who = task.log.customers[task.snapshots.customer].cast(pl.String).alias(customer)
        table = self.cells.frames["aggregates"].with_columns(who)
        fitted = {"aggregates": task.recipe.aggregates.fitted_until_}
        return [
            *probe_split(task.log, task.split, fitted_until=fitted),
            *probe_tables(
                table[task.train],
                task.y[task.train],
                table[task.test],
                task.y[task.test],
                keys=[customer],
            ),
        ]

    def _describe(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            **describe(self.task),
            "n_features": self.cells.frames["aggregates"].width,
            "history_columns": list(self.task.recipe.histories.columns),
            "top": self.options.top,
            "budgets": self.budgets,
            "seeds": self.seeds,
            "methods": self.names,
            "mode": "hold-out",
            "level": LEVEL,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "notes": list(self.task.notes),
            "versions": {name: version(name) for name in VERSIONED},
        }

    def _fingerprint(self) -> str:
        """Tells two comparisons apart: rows, columns, options and version."""
        digest = hashlib.sha256()
        log, rows = self.task.log, self.task.snapshots
        digest.update(log.table.hash_rows(seed=0).to_numpy().tobytes())
        for array in (log.offsets, self.task.y, rows.customer, rows.stop, self.task.test):
            digest.update(np.ascontiguousarray(array).tobytes())
        same = {
            "recipe": self.task.recipe.to_dict(),
            "overrides": dict(self.options.overrides),
            "device": self.options.device,
            "version": __version__,
        }
        digest.update(json.dumps(same, sort_keys=True, default=str).encode())
        return digest.hexdigest()

    def _write(self, result: IntentResult) -> None:
        write_result(result.result, self.folder)
        self.folder.write_json("groups.json", result.groups.to_dicts())

    def _save_model(self, result: IntentResult, choices: Mapping[int, Choice]) -> None:
        """Save the choice, and rank every customer known at the log's end by it."""
        budget, found = max(choices), result.result
        method = get_method(choices[budget].name)
        cell = self.folder.finished(cell_key(method.name, budget, self.seeds[0]))
        assert cell is not None
        estimator = self.cells.final(method, budget, self.seeds[0], cell)
        model = IntentModel(
            estimator,
            self.task.recipe,
            method.needs,
            leak=found.verdict["warnings"][0] if found.verdict["flagged"] else None,
        )
        rows = found.leaderboard.filter(
            (pl.col("method") == method.name) & (pl.col("budget") == budget)
        ).to_dicts()
        sample = self.task.test[:: len(self.task.test) // MAX_REFERENCE + 1]
        saved = save_model(
            model,
            self.folder.path / "models",
            metrics=rows[0],
            reference=self.cells.table(estimator, method, sample),
        )
        choose_best(saved, self.folder.path / "best")
        ranked = model.score(self.task.log).sort("probability", descending=True)
        with writing(self.folder.path / "audience.parquet") as temporary:
            ranked.with_row_index("rank", offset=1).write_parquet(temporary)
