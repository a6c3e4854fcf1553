"""Every method under the same few labelled frauds, and what pays."""

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
from thinfile.artifact.folder import choose_best, save_version
from thinfile.compare.cell import Cell, Key, cell_key
from thinfile.compare.folder import RunFolder
from thinfile.compare.held_out_choice import Choice, choose, mark_choices
from thinfile.compare.probes.finding import Finding, leak_headline
from thinfile.compare.probes.tables import probe_tables
from thinfile.compare.result import (
    LEVEL,
    Result,
    cell_table,
    histories,
    score_matrix,
    write_result,
)
from thinfile.compare.workers import finish_cells
from thinfile.fraud.board import fraud_board
from thinfile.fraud.cells import FraudCells, overrides_of
from thinfile.fraud.models import save_models
from thinfile.fraud.options import ALL_LABELS, FraudOptions
from thinfile.fraud.result import KIND, ROWS, label_curve
from thinfile.fraud.suspects import SUSPECTS, most_suspicious
from thinfile.fraud.task import FraudTask
from thinfile.fraud.verdict import write_verdict
from thinfile.methods import METHODS, get_method
from thinfile.training.device import choose_device
from thinfile.training.progress import Progress, SilentProgress

COLUMN_LIMIT = 0.99
"""AUC of one column from which on it is taken for a leak. The strongest honest column of the
published card payments (V14) has 0.95, and more in samples, at an average precision of 0.62."""
MAX_REFERENCE = 20_000
"""Test rows whose distributions are kept to measure drift by."""
VERSIONED = ("thinfile", "torch", "lightgbm", "scikit-learn", "polars")


def compare_fraud(
    task: FraudTask,
    out: str | Path,
    options: FraudOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Result:
    """Run every method and baseline on the same few labelled frauds and say what pays.

    A run that was killed goes on where it stopped when called again with the same task, options
    and folder.

    Parameters
    ----------
    task
        What :func:`thinfile.fraud.task.build_fraud_task` made, with the same options.
    out
        Folder for cells, tables, the best model, and an autoencoder and a VAE of the training
        rows.
    options
        Budgets, seeds, methods.
    progress
        Told of every finished cell.

    Returns
    -------
    Result
        Its leaderboard is that of :func:`thinfile.fraud.board.fraud_board`.

    Raises
    ------
    DataError
        If no method could be run, or `out` holds another comparison.
    ParameterError
        If an option breaks its rule.
    """
    options = options or FraudOptions()
    return _Run(task, RunFolder(Path(out)), options, progress or SilentProgress()).through()


class _Run:
    """One comparison on its way from a task to a result."""

    def __init__(
        self, task: FraudTask, folder: RunFolder, options: FraudOptions, progress: Progress
    ) -> None:
        options.check()
        choose_device(options.device)
        self.task, self.folder, self.options, self.progress = task, folder, options, progress
        self.names = options.names()
        self.seeds = list(range(options.n_seeds))
        n_frauds = len(task.of_class(1))
        wanted = [n_frauds if n == ALL_LABELS else int(n) for n in options.labels]
        self.budgets = sorted({min(n, n_frauds) for n in wanted})
        self.short = [n for n in wanted if n > n_frauds]
        self.top = min(options.top, len(task.test))
        self.alerts = options.share_of_alerts(len(task.test))
        self.cells = FraudCells(task, options)
        self.settings = self._describe()

    def through(self) -> Result:
        is_new = not self.folder.path.exists()
        self.folder.open(self.settings, self._fingerprint())
        finished = self._finished()
        if is_new and not any(cell.status == "ok" for cell in finished):
            shutil.rmtree(self.folder.path, ignore_errors=True)
        choices = {b: choose(finished, self.task.y, b, metric="ap") for b in self.budgets}
        result = self._result(finished, choices)
        self._write(result)
        self._save_best(result, choices)
        save_models(self.task, self.folder.path, self.options, self.progress)
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

    def _result(self, cells: list[Cell], choices: Mapping[int, Choice]) -> Result:
        task, options = self.task, self.options
        y = task.y[task.test]
        table = cell_table(cells, y)
        scores = score_matrix(cells, len(y), self.seeds)
        board = fraud_board(
            y,
            scores,
            alerts=self.alerts,
            top=self.top,
            random_state=options.random_state,
        )
        seconds = table.group_by("method", "budget").agg(pl.col("cpu_seconds").mean())
        board = mark_choices(board, choices).join(
            seconds, on=["method", "budget"], how="left", maintain_order="left"
        )
        probes = self._probes()
        failed = sorted({f"{METHODS[c.method].title} failed: {c.error}" for c in cells if c.error})
        verdict = write_verdict(
            board,
            choices,
            leak_headline(probes),
            alerts=self.alerts,
            top=self.top,
            failed=failed,
        )
        return Result(
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
        )

    def _probes(self) -> list[Finding]:
        task = self.task
        train = task.train[task.y[task.train] >= 0]
        frame = task.schema.parse(task.features).frame
        return probe_tables(
            frame[train],
            task.y[train],
            frame[task.test],
            task.y[task.test],
            label=task.label,
            column_limit=COLUMN_LIMIT,
        )

    def _describe(self) -> dict[str, Any]:
        task, options = self.task, self.options
        notes = list(task.notes)
        if self.short:
            notes.append(
                f"labels={max(self.short):,} were asked for; the training part has "
                f"{self.budgets[-1]:,} frauds"
            )
        if options.genuine and options.genuine > len(task.of_class(0)):
            notes.append(
                f"genuine={options.genuine:,} were asked for; the training part has "
                f"{len(task.of_class(0)):,}"
            )
        return {
            "kind": KIND,
            "title": task.title,
            "label": task.label,
            "event": task.event,
            "time": task.time,
            "n_train": len(task.train),
            "n_train_frauds": len(task.of_class(1)),
            "n_test": len(task.test),
            "n_test_frauds": int(task.y[task.test].sum()),
            "rate": task.rate,
            "n_features": len(task.schema.features),
            "budgets": self.budgets,
            "n_genuine": {
                str(b): min(options.n_genuine(b), len(task.of_class(0))) for b in self.budgets
            },
            "alerts": self.alerts,
            "top": self.top,
            "seeds": self.seeds,
            "methods": self.names,
            "mode": "hold-out",
            "level": LEVEL,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "notes": notes,
            "versions": {name: version(name) for name in VERSIONED},
        }

    def _fingerprint(self) -> str:
        """Tells two comparisons apart: rows, columns, options and version."""
        task, digest = self.task, hashlib.sha256()
        digest.update(task.features.hash_rows(seed=0).to_numpy().tobytes())
        for array in (task.y, task.train, task.test):
            digest.update(np.ascontiguousarray(array).tobytes())
        same = {**overrides_of(self.options), "schema": task.schema.to_dict()}
        same["version"] = __version__
        digest.update(json.dumps(same, sort_keys=True, default=str).encode())
        return digest.hexdigest()

    def _write(self, result: Result) -> None:
        folder, task = self.folder, self.task
        write_result(result, folder)
        parts = [
            pl.DataFrame({"row": rows, "part": name})
            for name, rows in (("train", task.train), ("test", task.test))
        ]
        folder.write_table(ROWS, pl.concat(parts).sort("row"))
        folder.write_table(SUSPECTS, most_suspicious(task, result))

    def _save_best(self, result: Result, choices: Mapping[int, Choice]) -> None:
        budget = max(choices)
        method = get_method(choices[budget].name)
        cell = self.folder.finished(cell_key(method.name, budget, self.seeds[0]))
        assert cell is not None
        model = self.cells.final(method, budget, self.seeds[0], cell)
        row = result.leaderboard.filter(
            (pl.col("method") == method.name) & (pl.col("budget") == budget)
        ).to_dicts()[0]
        sample = self.task.test[:: len(self.task.test) // MAX_REFERENCE + 1]
        saved = save_version(
            model,
            self.folder.path / "models",
            metrics=row,
            reference=self.task.features[sample],
        )
        choose_best(saved, self.folder.path / "best")
