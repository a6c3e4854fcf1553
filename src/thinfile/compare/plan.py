"""Which rows are tested, which labels are drawn: the same for every method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thinfile.compare.task import Rows, Task
from thinfile.data.split import draw_labels, stratified_folds
from thinfile.errors import DataError, ParameterError

MIN_TEST_EVENTS = 30
"""Events (and non-events) below which a hold-out says nothing; folds are used instead."""
N_FOLDS = 5
MAX_TEST_SHARE = 0.5


@dataclass(frozen=True)
class Part:
    """One fit: labels that may be used, and rows that are scored and were never seen."""

    labels: Rows
    test: Rows


@dataclass(frozen=True)
class Plan:
    """How the target's labelled rows are used.

    Attributes
    ----------
    mode : {"hold-out", "cross-validation"}
        Hold-out: one set of test rows for all seeds; labels are drawn from the rest, and what is
        not drawn stands unlabelled. Cross-validation, where labels are too few for that: every
        labelled row is tested once per seed, by a fit that has not seen it.
    test : ndarray of int
        All rows that are scored, in the order of the score matrix.
    pool : ndarray of int
        Labelled target rows that labels are drawn from.
    unlabelled : ndarray of int
        Target rows without a known label.
    """

    mode: str
    test: Rows
    pool: Rows
    unlabelled: Rows
    y: npt.NDArray[np.int8]

    def parts(self, budget: int, seed: int) -> list[Part]:
        """The fits of one cell; the same for every method."""
        if self.mode == "hold-out":
            return [Part(self._draw(self.pool, budget, seed), self.test)]
        folds = fold_of(self.y[self.test], N_FOLDS, seed)
        return [
            Part(self._draw(self.test[folds != fold], budget, seed), self.test[folds == fold])
            for fold in range(N_FOLDS)
        ]

    def all_labels(self, budget: int, seed: int) -> Rows:
        """The labels that the final model of this budget is fitted on."""
        return self._draw(self.pool, budget, seed)

    def notes(self, budgets: Sequence[int], seeds: Sequence[int]) -> list[str]:
        """What was done so that the drawn labels hold both classes; empty where nothing was."""
        if self.mode != "hold-out":
            return []
        draws = [
            draw_labels(self.y, budget, random_state=seed, among=self.pool)
            for budget in budgets
            for seed in seeds
        ]
        return sorted({draw.note for draw in draws} - {""})

    def _draw(self, rows: Rows, budget: int, seed: int) -> Rows:
        n_labels = min(budget, len(rows))
        return draw_labels(self.y, n_labels, random_state=seed, among=rows).rows


def make_plan(task: Task, budgets: Sequence[int], *, random_state: int = 0) -> Plan:
    """Set test rows aside, or plan folds where labels are too few.

    Raises
    ------
    ParameterError
        If a budget is negative.
    DataError
        If the target has fewer labels than the largest budget, or too few to measure anything.
    """
    if not budgets or min(budgets) < 0:
        raise ParameterError(f"labels={list(budgets)!r} must be whole numbers ≥ 0")
    labelled, y = task.target_labelled, task.y
    n_events = int(y[labelled].sum())
    _check_labels(task, len(labelled), n_events, max(budgets))
    n_test = min(int(len(labelled) * MAX_TEST_SHARE), len(labelled) - max(budgets))
    order = np.random.default_rng(random_state).permutation(labelled)
    test = np.sort(order[:n_test])
    unlabelled = np.setdiff1d(task.target, labelled)
    if min((y[test] == 1).sum(), (y[test] == 0).sum()) >= MIN_TEST_EVENTS:
        return Plan("hold-out", test, np.sort(order[n_test:]), unlabelled, y)
    return Plan("cross-validation", labelled, labelled, unlabelled, y)


def fold_of(y: npt.NDArray[np.int8], n_folds: int, seed: int) -> npt.NDArray[np.intp]:
    """Fold number of each labelled row, classes spread evenly, shape of `y`."""
    folds = np.zeros(len(y), dtype=np.intp)
    for fold, (_, held) in enumerate(stratified_folds(y, n_folds, random_state=seed)):
        folds[held] = fold
    return folds


def _check_labels(task: Task, n_labelled: int, n_events: int, budget: int) -> None:
    name = task.target_name
    if not n_labelled:
        raise DataError(
            f"target {name!r} has no label in column {task.label!r}, so nothing can be measured; "
            "label some rows, or use `thinfile fit` with a method that needs none"
        )
    if budget > n_labelled:
        raise DataError(
            f"labels={budget} were asked for, but target {name!r} has {n_labelled} labelled rows; "
            f"ask for at most {n_labelled}"
        )
    if min(n_events, n_labelled - n_events) < N_FOLDS:
        raise DataError(
            f"target {name!r} has {n_events} events in {n_labelled} labelled rows; at least "
            f"{N_FOLDS} of each class are needed to measure anything"
        )
