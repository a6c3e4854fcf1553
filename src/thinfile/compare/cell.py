"""One cell of a comparison: one method at one label budget with one seed."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes
from threadpoolctl import threadpool_limits

from thinfile.artifact.atomic import writing
from thinfile.compare.plan import Part, Plan, fold_of
from thinfile.compare.task import Rows, Task
from thinfile.errors import ThinfileError
from thinfile.estimator import UNLABELLED, Estimator
from thinfile.methods import TARGET_LABELS, Method, get_method
from thinfile.metrics.calibration import fit_calibration

FloatArray = npt.NDArray[np.float64]

SELECTION_FOLDS = 3
MIN_RECALIBRATION_EVENTS = 5
"""Events in out-of-fold scores below which they do not recalibrate the final model."""
MAX_UNLABELLED = 500
"""Unlabelled target rows whose scores are kept as evidence."""
MAX_SAMPLE = 2000
"""Held-out source rows whose scores are kept for pictures."""


@dataclass(frozen=True)
class Settings:
    """What is the same for every cell of a run.

    Attributes
    ----------
    target_rate : float or None
        Base rate of the target as estimated without labels; used at a budget of 0 only.
    device : str
    overrides : mapping
        Constructor arguments by method name.
    """

    target_rate: float | None = None
    device: str = "cpu"
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Key(NamedTuple):
    """Names a cell."""

    method: str
    budget: int
    seed: int


@dataclass(frozen=True)
class Cell:
    """What came out of one cell.

    Attributes
    ----------
    status : {"ok", "failed", "not applicable"}
    scores : ndarray of shape (n_test,)
        Calibrated probabilities of the test rows, NaN if the cell failed.
    label_rows, label_scores : ndarray of shape (budget,)
        Labelled target rows and their out-of-fold probabilities.
    source_rows, source_scores : ndarray
        Source rows held out of training, and their probabilities.
    unlabelled_scores : ndarray
        Probabilities of some of the target's unlabelled rows.
    history : list of dict
        Of the final fit.
    """

    method: str
    budget: int
    seed: int
    status: str
    error: str = ""
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    calibration: tuple[float, float] = (1.0, 0.0)
    scores: FloatArray = field(default_factory=lambda: np.empty(0))
    label_rows: Rows = field(default_factory=lambda: np.empty(0, np.intp))
    label_scores: FloatArray = field(default_factory=lambda: np.empty(0))
    source_rows: Rows = field(default_factory=lambda: np.empty(0, np.intp))
    source_scores: FloatArray = field(default_factory=lambda: np.empty(0))
    unlabelled_scores: FloatArray = field(default_factory=lambda: np.empty(0))

    _ARRAYS = (
        "scores",
        "label_rows",
        "label_scores",
        "source_rows",
        "source_scores",
        "unlabelled_scores",
    )

    @property
    def key(self) -> str:
        """Name of the cell's files."""
        return cell_key(self.method, self.budget, self.seed)

    def save(self, folder: Path) -> None:
        """Write the arrays, then the JSON that makes the cell count as finished."""
        record = {k: v for k, v in asdict(self).items() if k not in self._ARRAYS}
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in self._ARRAYS}
        with writing(folder / f"{self.key}.safetensors") as temporary:
            temporary.write_bytes(to_bytes(arrays))
        with writing(folder / f"{self.key}.json") as temporary:
            temporary.write_text(json.dumps(record))

    @classmethod
    def load(cls, folder: Path, key: str) -> Cell | None:
        """The finished cell, or None where there is none (or half of one)."""
        try:
            record = json.loads((folder / f"{key}.json").read_text())
            arrays: dict[str, Any] = load_file(folder / f"{key}.safetensors")
            record["calibration"] = tuple(record["calibration"])
            return cls(**record, **arrays)
        except Exception:
            # Whatever is wrong with it, the cure is the same: the cell is run again.
            return None


def cell_key(method: str, budget: int, seed: int) -> str:
    """Name of a cell's files."""
    return f"{method}-{budget}-{seed}"


def run_cell(
    task: Task, plan: Plan, settings: Settings, method: str, budget: int, seed: int
) -> Cell:
    """Fit and score one cell. A method that fails is reported in the cell, not raised."""
    chosen = get_method(method)
    if TARGET_LABELS in chosen.needs and budget == 0:
        return Cell(method, budget, seed, "not applicable", "needs labels of the target")
    return measure_cell(
        Key(method, budget, seed),
        lambda: _measure(task, plan, settings, chosen, budget, seed),
    )


def measure_cell(key: Key, measure: Callable[[], dict[str, Any]]) -> Cell:
    """What `measure` finds, as a cell, timed; a method that fails is reported in it, not raised."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        # Warnings of a fit belong to its cell; what matters stands in the notes. One thread, as
        # sums of more are not the same to the last bit.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            found = measure()
    except Exception as error:
        found = {"status": "failed", "error": _in_one_line(error)}
    return Cell(
        *key,
        wall_seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        **found,
    )


def _in_one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, ThinfileError) else f"{type(error).__name__}: {error}"
    return text.splitlines()[0][:500] if text else repr(error)


def fit_method(
    task: Task,
    settings: Settings,
    method: Method,
    *,
    source: Rows,
    labels: Rows,
    unlabelled: Rows,
    seed: int,
) -> Estimator:
    """Fit a method on source rows, labelled target rows and unlabelled target rows.

    Labels of any other row never reach it: they are -1 in what `fit` gets.
    """
    rows = np.concatenate([source, labels, unlabelled])
    y = np.full(len(rows), UNLABELLED, dtype=np.int8)
    n_known = len(source) + len(labels)
    y[:n_known] = task.y[rows[:n_known]]
    model = build_method(task, settings, method, seed=seed, has_labels=len(labels) > 0)
    return model.fit(task.features[rows.tolist()], y, domain=task.domain(rows))


def build_method(
    task: Task, settings: Settings, method: Method, *, seed: int, has_labels: bool
) -> Estimator:
    """The method's estimator for this task, unfitted."""
    rate = "auto" if has_labels or settings.target_rate is None else settings.target_rate
    common: dict[str, Any] = {
        "schema": task.schema,
        "target_domain": task.target_name,
        "target_rate": rate,
        "random_state": seed,
    }
    arguments = method.estimator_class()._get_param_names()
    if "device" in arguments:
        common["device"] = settings.device
    return method.build(**{**common, **settings.overrides.get(method.name, {})})


def _measure(
    task: Task, plan: Plan, settings: Settings, method: Method, budget: int, seed: int
) -> dict[str, Any]:
    scores = np.full(len(plan.test), np.nan)
    found: dict[str, Any] = {"status": "ok", "scores": scores}
    for part in plan.parts(budget, seed):
        inner: dict[str, Any] = {}
        if (plan.mode == "hold-out" or not budget) and "source_rows" not in found:
            inner = _out_of_fold(task, plan, settings, method, part, seed)
        model = _fit_part(task, plan, settings, method, part, seed)
        if not method.uses_target_labels and len(part.labels):
            # Its labels were not trained on, so the final fit is already out of fold.
            inner["label_scores"] = _score(model, task, part.labels)
        if plan.mode == "hold-out":
            # With folds the final model is corrected once, by the scores of all of them.
            _recalibrate(model, task.y[part.labels], inner.get("label_scores"))
        scores[np.searchsorted(plan.test, part.test)] = _score(model, task, part.test)
        found |= inner
        found |= {
            "unlabelled_scores": _score(model, task, _unlabelled(plan, part)[:MAX_UNLABELLED]),
            "history": model.history_,
            "notes": model.notes_,
            "calibration": (model.calibration_.slope, model.calibration_.intercept),
            "label_rows": part.labels,
        }
    if plan.mode == "cross-validation" and budget:
        found |= {"label_rows": plan.test, "label_scores": scores}
    return found


def _fit_part(
    task: Task, plan: Plan, settings: Settings, method: Method, part: Part, seed: int
) -> Estimator:
    return fit_method(
        task,
        settings,
        method,
        source=task.source,
        labels=part.labels,
        unlabelled=_unlabelled(plan, part),
        seed=seed,
    )


def _unlabelled(plan: Plan, part: Part) -> Rows:
    """Target rows that are neither tested nor labelled."""
    rest = np.setdiff1d(plan.pool, np.concatenate([part.labels, part.test]))
    return np.concatenate([rest, plan.unlabelled])


def _out_of_fold(
    task: Task, plan: Plan, settings: Settings, method: Method, part: Part, seed: int
) -> dict[str, Any]:
    """Scores of labelled rows by fits that have not seen them: evidence without test rows."""
    counts = np.bincount(task.y[part.labels], minlength=2)
    uses_labels = method.uses_target_labels and int(counts.min()) >= SELECTION_FOLDS
    source_folds = fold_of(task.y[task.source], SELECTION_FOLDS, seed)
    label_folds = np.zeros(len(part.labels), dtype=np.intp)
    if uses_labels:
        label_folds = fold_of(task.y[part.labels], SELECTION_FOLDS, seed)
    label_scores = np.full(len(part.labels), np.nan)
    held, held_scores = [], []
    unlabelled = _unlabelled(plan, part)
    for fold in range(SELECTION_FOLDS if uses_labels else 1):
        inside, outside = label_folds != fold, label_folds == fold
        hidden = part.labels[outside]
        model = fit_method(
            task,
            settings,
            method,
            source=task.source[source_folds != fold],
            labels=part.labels[inside],
            unlabelled=np.concatenate([unlabelled, hidden]),
            seed=seed,
        )
        if len(hidden):
            label_scores[outside] = _score(model, task, hidden)
        held.append(task.source[source_folds == fold])
        held_scores.append(_score(model, task, held[-1]))
    return {
        "label_scores": label_scores if uses_labels else np.empty(0),
        "source_rows": np.concatenate(held),
        "source_scores": np.concatenate(held_scores),
    }


def _recalibrate(model: Estimator, y: npt.NDArray[np.int8], scores: FloatArray | None) -> None:
    """Correct the final model by what out-of-fold scores of labelled target rows show."""
    if scores is None or len(scores) != len(y) or not np.isfinite(scores).all():
        return
    n_events = int((y == 1).sum())
    if min(n_events, len(y) - n_events) < MIN_RECALIBRATION_EVENTS:
        return
    model.recalibrate(fit_calibration(scores, y))


def _score(model: Estimator, task: Task, rows: Rows) -> FloatArray:
    if not len(rows):
        return np.empty(0)
    return np.asarray(model.predict_proba(task.features[rows.tolist()])[:, 1], dtype=np.float64)
