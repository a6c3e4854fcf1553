"""The main job: every method and baseline on the same few labels, and what pays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from thinfile.artifact.fingerprint import fingerprint
from thinfile.artifact.folder import choose_best, save_version
from thinfile.compare.advice import worst_actions
from thinfile.compare.cell import Cell, Key, Settings, cell_key, fit_method
from thinfile.compare.choice import Choice
from thinfile.compare.diagnosis import Diagnosis, diagnose
from thinfile.compare.folder import RunFolder, fingerprint_of
from thinfile.compare.label_free import label_free_evidence
from thinfile.compare.options import Options
from thinfile.compare.plan import make_plan
from thinfile.compare.probes.finding import Finding, leak_headline
from thinfile.compare.probes.tables import probe_tables
from thinfile.compare.result import (
    LEVEL,
    Result,
    cell_table,
    histories,
    label_curve,
    leaderboard,
    score_matrix,
    source_samples,
    write_result,
)
from thinfile.compare.task import Rows, Task
from thinfile.compare.verdict import MORE_LABELS, choose_method, curve_method, write_verdict
from thinfile.compare.workers import TaskCells, finish_cells
from thinfile.data.encode import TableEncoder
from thinfile.density import density_ratio
from thinfile.errors import DataError, ParameterError
from thinfile.estimator import UNLABELLED, Estimator
from thinfile.methods import METHODS, TARGET_LABELS, get_method
from thinfile.metrics.calibration import fit_calibration
from thinfile.training.device import choose_device
from thinfile.training.progress import Progress, SilentProgress

MIN_CURVE_LABELS = 100
"""Labels below which a curve is noise, and none is run."""
VERSIONED = ("thinfile", "torch", "lightgbm", "scikit-learn", "polars")
MAX_DENSITY_ROWS = 20_000
MAX_OVERLAP_AUC = 0.65
"""AUC of telling the populations apart above which no base rate is estimated without labels."""


def compare(
    task: Task,
    out: str | Path,
    options: Options | None = None,
    *,
    progress: Progress | None = None,
) -> Result:
    """Run every method and baseline on the same labels and say what pays.

    Use :func:`thinfile.compare.task.build_task` to make the task from tables. A run that was
    killed goes on where it stopped when called again with the same task, options and folder.

    Parameters
    ----------
    task
        Two populations and their labels.
    out
        Folder for cells, tables and the best model.
    options
        Budgets, seeds, methods.
    progress
        Told of every finished cell.

    Returns
    -------
    Result

    Raises
    ------
    DataError
        If labels are too few to measure anything, no method could be run, or `out` holds another
        comparison.
    ParameterError
        If an option breaks its rule.
    """
    options = options or Options()
    run = _Run(task, RunFolder(Path(out)), options, progress or SilentProgress())
    return run.through()


class _Run:
    """One comparison on its way from a task to a result."""

    def __init__(self, task: Task, folder: RunFolder, options: Options, progress: Progress) -> None:
        options.check()
        choose_device(options.device)
        self.task, self.folder, self.options, self.progress = task, folder, options, progress
        self.budgets = sorted(set(options.labels))
        self.names = options.names()
        _check_any_runs(self.names, self.budgets)
        self.seeds = list(range(options.n_seeds))
        self.plan = make_plan(task, self.budgets, random_state=options.random_state)
        self.cells: list[Cell] = []
        self.source_weight = _source_weight(task, self._seen_target)

    def through(self) -> Result:
        self.folder.open(self._describe(), self._fingerprint())
        self._probes = self._probe()
        # A diagnosis for each budget: what a larger one shows must not help to choose at a
        # smaller one.
        diagnoses = {budget: self._diagnosis(budget) for budget in self.budgets}
        settings = self._settings(diagnoses[self.budgets[0]])
        self._is_rate_corrected = self.budgets[-1] > 0 or settings.target_rate is not None
        self._run(settings, self._keys(self.names, self.budgets))
        choices = {budget: self._choose(budget, diagnoses[budget]) for budget in self.budgets}
        self._run_curve(settings, choices)
        result = self._result(diagnoses[self.budgets[-1]], choices)
        self._write(result)
        self._save_model(result, self._final_model(settings, choices[self.budgets[-1]]))
        return result

    def _probe(self) -> list[Finding]:
        """Leaks, asked of what is tested and of all other rows with a label."""
        task, test = self.task, self.plan.test
        train = np.concatenate([task.source, np.setdiff1d(self.plan.pool, test)])
        frame = task.schema.parse(task.features).frame
        return probe_tables(
            frame[train.tolist()],
            task.y[train],
            frame[test.tolist()],
            task.y[test],
            label=task.label,
        )

    def _choose(self, budget: int, diagnosis: Diagnosis) -> Choice:
        advice = worst_actions(diagnosis.advice)
        return choose_method(
            self.cells, self.task, self.source_weight, advice, budget, self.options.expectations
        )

    def _describe(self) -> dict[str, Any]:
        task, plan = self.task, self.plan
        return {
            "title": f"{task.source_name} → {task.target_name}",
            "label": task.label,
            "source": task.source_name,
            "target": task.target_name,
            "n_source": len(task.source),
            "n_target": len(task.target),
            "n_target_labelled": len(task.target_labelled),
            "n_test": len(plan.test),
            "n_features": len(task.schema.features),
            "budgets": self.budgets,
            "seeds": self.seeds,
            "methods": self.names,
            "mode": plan.mode,
            "source_rate": task.rate(task.source),
            "target_rate": task.rate(task.target_labelled),
            "level": LEVEL,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "notes": [*task.notes, *plan.notes(self.budgets, self.seeds)],
            "versions": {name: version(name) for name in VERSIONED},
        }

    def _fingerprint(self) -> str:
        # Methods, budgets and seeds may be added to a run: cells of the same key stay the same,
        # as long as the test rows do.
        same: dict[str, Any] = {
            "random_state": self.options.random_state,
            "overrides": self.options.overrides or {},
            "device": self.options.device,
        }
        if self.options.target_rate is not None:
            same["target_rate"] = self.options.target_rate
        return fingerprint_of(self.task, self.plan, same)

    def _diagnosis(self, budget: int) -> Diagnosis:
        """Overlap and shift, from what training may see at this budget."""
        task, target = self.task, self._seen_target
        y_target = np.full(len(target), UNLABELLED, dtype=np.int8)
        drawn = self.plan.all_labels(budget, self.seeds[0])
        y_target[np.searchsorted(target, drawn)] = task.y[drawn]
        return diagnose(
            task.features[task.source.tolist()],
            task.features[target.tolist()],
            schema=task.schema,
            y_source=task.y[task.source],
            y_target=y_target,
            random_state=self.options.random_state,
            source_name=task.source_name,
            target_name=task.target_name,
        )

    @property
    def _seen_target(self) -> Rows:
        """Target rows whose columns training may see."""
        if self.plan.mode == "cross-validation":
            return self.task.target
        return np.setdiff1d(self.task.target, self.plan.test)

    def _settings(self, diagnosis: Diagnosis) -> Settings:
        estimated = diagnosis.base_rate.estimated
        # Estimates from scores were measured to agree and be wrong where populations differ.
        trusted = diagnosis.overlap.auc <= MAX_OVERLAP_AUC
        return Settings(
            target_rate=self.options.target_rate
            or (estimated.estimate if estimated and trusted else None),
            device=self.options.device,
            overrides=self.options.overrides or {},
        )

    def _keys(self, names: Sequence[str], budgets: Sequence[int]) -> list[Key]:
        return [
            Key(name, budget, seed) for seed in self.seeds for budget in budgets for name in names
        ]

    def _run(self, settings: Settings, keys: Sequence[Key]) -> None:
        self.cells += finish_cells(
            TaskCells(self.task, self.plan, settings),
            keys,
            folder=self.folder,
            n_jobs=self.options.n_jobs,
            progress=self.progress,
        )

    def _run_curve(self, settings: Settings, choices: Mapping[int, Choice]) -> None:
        """The choice at half the labels and at some more, where there are as many."""
        budget = max(choices)
        name = curve_method(choices[budget])
        if not self.options.curve or budget < MIN_CURVE_LABELS or name is None:
            return
        most = len(self.plan.pool) if self.plan.mode == "hold-out" else budget
        more = {budget // 4, budget // 2, budget + MORE_LABELS} - set(self.budgets)
        keys = self._keys([name], sorted(b for b in more if b <= most))
        if keys:
            self._run(settings, keys)

    def _result(self, diagnosis: Diagnosis, choices: Mapping[int, Choice]) -> Result:
        test_y = self.task.y[self.plan.test]
        self.cells.sort(key=lambda c: (c.budget, list(METHODS).index(c.method), c.seed))
        table = cell_table(
            self.cells,
            test_y,
            lambda cell: label_free_evidence(cell, self.task, self.source_weight),
        )
        scores = score_matrix(self.cells, len(test_y), self.seeds)
        board = leaderboard(table, test_y, scores, random_state=self.options.random_state)
        curve = label_curve(board)
        board = _with_choices(board.filter(pl.col("budget").is_in(self.budgets)), choices)
        described = self._describe()
        told = described | {"is_rate_corrected": self._is_rate_corrected}
        info = diagnosis.to_dict()
        return Result(
            settings=described,
            cells=table,
            leaderboard=board,
            verdict=write_verdict(board, choices, curve, info, told)
            | {"leak": leak_headline(self._probes)},
            diagnosis=info,
            test_y=test_y,
            test_scores={k: v for k, v in scores.items() if k[1] in self.budgets},
            source_scores=source_samples(self.cells, self.seeds[0]),
            histories=histories(self.cells, self.seeds[0]),
            label_curve=curve,
            probes=[finding.to_dict() for finding in self._probes],
        )

    def _final_model(self, settings: Settings, choice: Choice) -> Estimator:
        """The choice, fitted as its first cell was, or on all labels where there were folds."""
        task, plan, budget, seed = self.task, self.plan, max(self.budgets), self.seeds[0]
        labels = plan.all_labels(budget, seed)
        unlabelled = np.concatenate([np.setdiff1d(plan.pool, labels), plan.unlabelled])
        with threadpool_limits(1):
            model = fit_method(
                task,
                settings,
                get_method(choice.name),
                source=task.source,
                labels=labels,
                unlabelled=unlabelled,
                seed=seed,
            )
        cell = next(c for c in self.cells if c.key == cell_key(choice.name, budget, seed))
        if plan.mode == "hold-out":
            model.calibration_ = type(model.calibration_)(*cell.calibration)
        elif budget:
            model.recalibrate(fit_calibration(cell.scores, task.y[plan.test]))
        return model

    def _write(self, result: Result) -> None:
        write_result(result, self.folder, {"rows": self.plan.test})

    def _save_model(self, result: Result, model: Estimator) -> None:
        verdict = result.verdict
        row = result.leaderboard.filter(
            (pl.col("method") == verdict["choice"]) & (pl.col("budget") == verdict["budget"])
        ).to_dicts()[0]
        version = save_version(
            model,
            self.folder.path / "models",
            metrics=row,
            reference=self.task.features[self.plan.test.tolist()],
            fingerprint=fingerprint(self.task.features, self.task.y),
        )
        choose_best(version, self.folder.path / "best")


def _check_any_runs(names: Sequence[str], budgets: Sequence[int]) -> None:
    if 0 in budgets and all(TARGET_LABELS in METHODS[name].needs for name in names):
        raise ParameterError(
            f"labels=0: {', '.join(names)} cannot be run without labels of the target; "
            "add a method that can, such as boosted_source"
        )


def _source_weight(task: Task, target: Rows) -> npt.NDArray[np.float64] | None:
    """Density ratio of every labelled source row, or None where populations are too small."""
    rows = np.concatenate([task.source, target])
    parsed = task.schema.parse(task.features[rows.tolist()]).frame
    encoder = TableEncoder(task.schema, max_categories=60).fit(parsed)
    wide = encoder.one_hot(encoder.transform(parsed))
    n_source = len(task.source)
    rng = np.random.default_rng(0)
    some = n_source + rng.permutation(len(target))[:MAX_DENSITY_ROWS]
    try:
        return density_ratio(wide[:n_source], wide[some]).weight
    except DataError:
        return None


def _with_choices(board: pl.DataFrame, choices: Mapping[int, Choice]) -> pl.DataFrame:
    """Mark the choice of each budget, and the value that it was made by."""
    selection = {
        (e.name, budget): e.posterior_mean for budget, c in choices.items() for e in c.estimates
    }
    keys = list(zip(board["method"], board["budget"], strict=True))
    return board.with_columns(
        pl.Series("selection", [selection.get(key) for key in keys], dtype=pl.Float64),
        pl.Series("chosen", [choices[b].name == m for m, b in keys], dtype=pl.Boolean),
    )
