"""One cell of a fraud comparison: one method, so many labelled frauds, one draw of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from thinfile.compare.cell import Cell, Key, measure_cell
from thinfile.compare.plan import fold_of
from thinfile.estimator import Estimator
from thinfile.fraud.options import MIN_FRAUDS, FraudOptions
from thinfile.fraud.task import FraudTask, Rows
from thinfile.methods import Method, get_method
from thinfile.metrics.calibration import Calibration, fit_calibration, match_base_rate
from thinfile.table_model import UNLABELLED

FloatArray = npt.NDArray[np.float64]

N_FOLDS = 3
"""Parts that labelled rows are cut into to score them out of fold."""
MIN_CALIBRATION_EVENTS = 5
LEVEL_ROWS = 10_000
"""Training rows that the level of the probabilities is set by."""


@dataclass(frozen=True)
class FraudCells:
    """Runs the cells of one comparison; goes to other processes whole."""

    task: FraudTask
    options: FraudOptions

    def __call__(self, key: Key) -> Cell:
        """Fit and score one cell. A method that fails is reported in the cell, not raised."""
        method = get_method(key.method)
        return measure_cell(key, lambda: self._measure(method, key.budget, key.seed))

    def labelled(self, budget: int, seed: int) -> Rows:
        """Training rows whose labels a method may see: `budget` frauds, and genuine ones.

        With one seed a smaller budget is part of a larger one.
        """
        task, rng = self.task, np.random.default_rng([self.options.random_state, seed])
        frauds = rng.permutation(task.of_class(1))[:budget]
        genuine = rng.permutation(task.of_class(0))[: self.options.n_genuine(budget)]
        return np.sort(np.concatenate([frauds, genuine]))

    def fit(self, method: Method, rows: Rows, seed: int) -> Estimator:
        """Fit a method on labelled `rows` and on unlabelled ones, drawn by the seed."""
        task = self.task
        used = np.sort(np.concatenate([rows, self.unlabelled(rows, seed)]))
        y = np.where(np.isin(used, rows), task.y[used], UNLABELLED).astype(np.int8)
        return self.build(method, seed).fit(task.features[used], y)

    def unlabelled(self, rows: Rows, seed: int) -> Rows:
        """Training rows beside `rows` that a method gets without their label."""
        rng = np.random.default_rng([self.options.random_state, seed, 1])
        order = rng.permutation(self.task.train)
        return order[~np.isin(order, rows)][: self.options.max_unlabelled]

    def build(self, method: Method, seed: int) -> Estimator:
        """The method's estimator, unfitted."""
        common: dict[str, Any] = {
            "schema": self.task.schema,
            "target_rate": None,
            "random_state": seed,
            "device": self.options.device,
        }
        known = method.estimator_class()._get_param_names()
        given = {name: value for name, value in common.items() if name in known}
        return method.build(**{**given, **self.options.overrides.get(method.name, {})})

    def score(self, model: Estimator, rows: Rows) -> FloatArray:
        """Probability of fraud for `rows`."""
        found = model.predict_proba(self.task.features[rows])[:, 1]
        return np.asarray(found, dtype=np.float64)

    def final(self, method: Method, budget: int, seed: int, cell: Cell) -> Estimator:
        """The estimator that the cell's test scores came from, fitted again."""
        with threadpool_limits(1):
            model = self.fit(method, self.labelled(budget, seed), seed)
        model.calibration_ = type(model.calibration_)(*cell.calibration)
        return model

    def _measure(self, method: Method, budget: int, seed: int) -> dict[str, Any]:
        labelled = self.labelled(budget, seed)
        model = self.fit(method, labelled, seed)
        evidence = self._out_of_fold(method, model, labelled, seed)
        self._calibrate(model, labelled, evidence)
        return {
            "status": "ok",
            "scores": self.score(model, self.task.test),
            "label_rows": labelled if len(evidence) else np.empty(0, np.intp),
            "label_scores": evidence,
            "history": model.history_,
            "notes": model.notes_,
            "calibration": (model.calibration_.slope, model.calibration_.intercept),
        }

    def _out_of_fold(
        self, method: Method, model: Estimator, labelled: Rows, seed: int
    ) -> FloatArray:
        """Scores of labelled rows by fits that had not seen their labels; or none."""
        if not method.uses_target_labels:
            return self.score(model, labelled)
        y = self.task.y[labelled]
        # With three frauds two remain in each fold's fit, with two there would be one.
        if seed >= self.options.n_evidence_seeds or (y == 1).sum() <= MIN_FRAUDS:
            return np.empty(0)
        folds = fold_of(y, N_FOLDS, seed)
        scores = np.empty(len(labelled))
        for fold in range(N_FOLDS):
            part = self.fit(method, labelled[folds != fold], seed)
            scores[folds == fold] = self.score(part, labelled[folds == fold])
        return scores

    def _calibrate(self, model: Estimator, labelled: Rows, evidence: FloatArray) -> None:
        """Shape by the labelled rows, then the level by the share of frauds that is expected."""
        y = self.task.y[labelled]
        if (y == 1).sum() >= MIN_CALIBRATION_EVENTS and len(evidence) and np.ptp(evidence) > 0:
            model.recalibrate(fit_calibration(evidence, y))
        rate = self.options.target_rate or self.task.rate
        rng = np.random.default_rng(self.options.random_state)
        rows = rng.permutation(self.task.train)[:LEVEL_ROWS]
        model.recalibrate(Calibration(1.0, match_base_rate(self.score(model, rows), rate)))


def overrides_of(options: FraudOptions) -> Mapping[str, Any]:
    """What must be the same for cells to be those of one comparison."""
    return {
        "genuine": options.genuine,
        "max_unlabelled": options.max_unlabelled,
        "overrides": dict(options.overrides),
        "device": options.device,
        "target_rate": options.target_rate,
        "n_evidence_seeds": options.n_evidence_seeds,
        "random_state": options.random_state,
    }
