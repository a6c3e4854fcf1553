"""Which rows are tested, which labels are drawn: the same for every method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thinfile.compare.task import Rows, Task
from thinfile.errors import DataError, ParameterError

MIN_TEST_EVENTS = 30
"""Events (and non-events) below which a hold-out says nothing; folds are used instead."""
N_FOLDS = 5
MAX_TEST_SHARE = 0.5
MAX_DRAWS = 1000


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
        rng = np.random.default_rng([seed, budget])
        if self.mode == "hold-out":
            return [Part(draw_labels(self.y, self.pool, budget, rng), self.test)]
        folds = stratified_folds(self.y[self.test], N_FOLDS, np.random.default_rng([seed]))
        return [
            Part(self._rest(fold, folds, budget, rng), self.test[folds == fold])
            for fold in range(N_FOLDS)
        ]

    def all_labels(self, budget: int, seed: int) -> Rows:
        """The labels that the final model of this budget is fitted on."""
        if self.mode == "hold-out":
            return self.parts(budget, seed)[0].labels
        rng = np.random.default_rng([seed, budget])
        return draw_labels(self.y, self.pool, min(budget, len(self.pool)), rng)

    def _rest(
        self, fold: int, folds: npt.NDArray[np.intp], budget: int, rng: np.random.Generator
    ) -> Rows:
        rest = self.test[folds != fold]
        return draw_labels(self.y, rest, min(budget, len(rest)), rng)


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
    rng = np.random.default_rng(random_state)
    order = rng.permutation(labelled)
    n_test = min(int(len(labelled) * MAX_TEST_SHARE), len(labelled) - max(budgets))
    test = np.sort(order[:n_test])
    unlabelled = np.setdiff1d(task.target, labelled)
    if min((y[test] == 1).sum(), (y[test] == 0).sum()) >= MIN_TEST_EVENTS:
        return Plan("hold-out", test, np.sort(order[n_test:]), unlabelled, y)
    return Plan("cross-validation", labelled, labelled, unlabelled, y)


def draw_labels(y: npt.NDArray[np.int8], pool: Rows, budget: int, rng: np.random.Generator) -> Rows:
    """Draw `budget` of the pool's rows at random, with two of each class if that can be had."""
    if budget == 0:
        return np.empty(0, dtype=np.intp)
    need = [min(2, int((y[pool] == value).sum()), budget // 2) for value in (0, 1)]
    for _ in range(MAX_DRAWS):
        drawn = rng.choice(pool, budget, replace=False)
        if all((y[drawn] == value).sum() >= n for value, n in zip((0, 1), need, strict=True)):
            return np.sort(drawn)
    raise DataError(
        f"no draw of {budget} labels held two of each class in {MAX_DRAWS} tries "
        f"({int(y[pool].sum())} events in {len(pool)} rows); ask for more labels"
    )


def stratified_folds(
    y: npt.NDArray[np.int8], n_folds: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Fold number of each row, every class spread evenly, shape of `y`."""
    folds = np.empty(len(y), dtype=np.intp)
    for value in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == value))
        folds[rows] = (np.arange(len(rows)) + rng.integers(n_folds)) % n_folds
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
