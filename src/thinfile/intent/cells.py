"""One cell of a purchase comparison: fitted on earlier customers, scored on later ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from thinfile.compare.cell import Cell, Key, measure_cell
from thinfile.data.split import draw_labels
from thinfile.estimator import UNLABELLED, Estimator
from thinfile.intent.recipe import CUT
from thinfile.methods import Method, get_method
from thinfile.metrics.calibration import Calibration, fit_calibration, match_base_rate
from thinfile.schema.model import Schema

FloatArray = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

MIN_CALIBRATION_EVENTS = 10
"""Buyers among the validation rows below which they do not calibrate."""


@dataclass(frozen=True)
class IntentCells:
    """Runs the cells of one comparison; goes to other processes whole.

    Attributes
    ----------
    frames : mapping
        "aggregates" and "histories": the columns of all n rows.
    y, cut : ndarray of shape (n,)
    train, validation, test : ndarray
        Positions among the n rows.
    refit : bool
        Fit again on training and validation rows together for the test. Not where training rows
        were sampled by a recipe: the two parts would have different rates of buyers.
    static : tuple of str
        Text columns of the customer.
    horizon_weeks : float
    device : str
    overrides : mapping
        Constructor arguments by method name.
    """

    frames: Mapping[str, pl.DataFrame]
    y: npt.NDArray[np.int8]
    cut: npt.NDArray[np.datetime64]
    train: Rows
    validation: Rows
    test: Rows
    refit: bool
    static: tuple[str, ...]
    horizon_weeks: float
    device: str
    overrides: Mapping[str, Mapping[str, Any]]

    def __call__(self, key: Key) -> Cell:
        """Fit and score one cell. A method that fails is reported in the cell, not raised."""
        method = get_method(key.method)
        return measure_cell(key, lambda: self._measure(method, key.budget, key.seed))

    def labelled(self, budget: int, seed: int) -> Rows:
        """Training and validation rows whose labels a method may see."""
        rows = np.concatenate([self.train, self.validation])
        if budget >= len(rows):
            return rows
        return draw_labels(self.y, budget, among=rows, random_state=seed, name="earlier").rows

    def fit(self, method: Method, rows: Rows, seed: int) -> Estimator:
        """Fit a method on `rows` with labels; the other training and validation rows have none."""
        known = np.isin(self.train, rows), np.isin(self.validation, rows)
        # Without any validation label the fit is the one for choosing: it sees no such row.
        used = [self.train, self.validation] if known[1].any() else [self.train]
        everything = np.concatenate(used)
        y = np.where(np.isin(everything, rows), self.y[everything], UNLABELLED)
        model = self.build(method, seed)
        return model.fit(self.table(model, method, everything), y)

    def build(self, method: Method, seed: int) -> Estimator:
        """The method's estimator, unfitted."""
        known = method.estimator_class()._get_param_names()
        common: dict[str, Any] = {
            "schema": self._schema(method),
            "target_rate": None,
            "random_state": seed,
            "device": self.device,
            "time_column": CUT,
            "horizon_weeks": self.horizon_weeks,
        }
        given = {name: value for name, value in common.items() if name in known}
        return method.build(**{**given, **self.overrides.get(method.name, {})})

    def table(self, model: Estimator, method: Method, rows: Rows) -> pl.DataFrame:
        """What the estimator reads of `rows`."""
        parts: list[pl.DataFrame] = []
        for name in ("aggregates", "histories"):
            if name in method.needs:
                part = self.frames[name][rows]
                parts.append(part.drop(self.static) if parts else part)
        if getattr(model, "time_column", None) == CUT:
            parts.append(pl.DataFrame({CUT: self.cut[rows]}))
        return pl.concat(parts, how="horizontal")

    def score(self, model: Estimator, method: Method, rows: Rows) -> FloatArray:
        """Probability of the event for `rows`."""
        found: FloatArray = model.predict_proba(self.table(model, method, rows))[:, 1]
        return found.astype(np.float64)

    def final(self, method: Method, budget: int, seed: int, cell: Cell) -> Estimator:
        """The estimator that the cell's test scores came from, fitted again."""
        rows = self.labelled(budget, seed)
        with threadpool_limits(1):
            model = self.fit(method, rows if self.refit else np.intersect1d(rows, self.train), seed)
        model.calibration_ = type(model.calibration_)(*cell.calibration)
        return model

    def _schema(self, method: Method) -> Schema | None:
        if "histories" in method.needs:
            return None
        table = self.frames["aggregates"]
        numbers = Schema.numeric([name for name in table.columns if name not in self.static])
        if not self.static:
            return numbers
        texts = Schema.infer(table.select(self.static))
        return Schema((*numbers.columns, *texts.columns), texts.notes)

    def _measure(self, method: Method, budget: int, seed: int) -> dict[str, Any]:
        labelled = self.labelled(budget, seed)
        held = np.intersect1d(labelled, self.validation)
        model = self.fit(method, np.intersect1d(labelled, self.train), seed)
        evidence = self.score(model, method, held)
        if self.refit:
            model = self.fit(method, labelled, seed)
        self._calibrate(model, held, evidence)
        return {
            "status": "ok",
            "scores": self.score(model, method, self.test),
            "label_rows": held,
            "label_scores": evidence,
            "history": model.history_,
            "notes": model.notes_,
            "calibration": (model.calibration_.slope, model.calibration_.intercept),
        }

    def _calibrate(self, model: Estimator, held: Rows, evidence: FloatArray) -> None:
        """By later customers that the first fit had not seen, at their true base rate."""
        y = self.y[held]
        n_events = int((y == 1).sum())
        if not 0 < n_events < len(y):
            return
        enough = min(n_events, len(y) - n_events) >= MIN_CALIBRATION_EVENTS
        if enough and np.ptp(evidence) > 0:
            model.recalibrate(fit_calibration(evidence, y))
        else:
            model.recalibrate(Calibration(1.0, match_base_rate(evidence, n_events / len(y))))
