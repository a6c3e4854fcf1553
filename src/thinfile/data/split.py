"""Cut rows into train, test and labelled: by chance, by customer, by time, in folds.

All functions return positions of rows and take a `random_state`; the same state gives the same
rows on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thinfile.errors import DataError, ParameterError

Rows = NDArray[np.intp]
NO_LABEL = -1
MIN_PER_CLASS = 2
MIN_TEST = 20
MAX_REDRAWS = 100


@dataclass(frozen=True)
class LabelDraw:
    """Rows whose labels may be used; `note` says what was done to get both classes, or ""."""

    rows: Rows
    note: str


@dataclass(frozen=True)
class TargetSplit:
    """Test rows, and the pool of all others, labelled or not; `note` says what was changed."""

    pool: Rows
    test: Rows
    note: str


def draw_labels(
    y: ArrayLike,
    n_labels: int,
    *,
    random_state: int | None = None,
    among: ArrayLike | None = None,
    name: str = "target",
) -> LabelDraw:
    """Draw the rows whose labels a method may see, at random among the labelled ones.

    With one `random_state` a smaller budget is part of a larger one, so that a curve over budgets
    is not blurred by other rows. A draw must hold at least two rows of each class where there are
    as many: if it does not it is drawn again, in the end with two of each put in, and the note
    says so. (A redrawn budget is no longer part of the larger one.)

    Parameters
    ----------
    y : (rows,)
        1, 0 and -1 = no label.
    n_labels
        At least 0.
    random_state
        Whole number for repeatable draws.
    among : (n,), optional
        Positions to draw from, all by default.
    name
        What the message calls these rows.

    Returns
    -------
    LabelDraw
        Positions in rising order.

    Raises
    ------
    DataError
        If there are fewer labelled rows than wanted, or only one class among them.

    Examples
    --------
    >>> draw_labels([0, 1, -1, 0, 1, 0], 4, random_state=0).rows.size
    4
    """
    labels = _labels(y)
    rows = np.arange(labels.size) if among is None else np.asarray(among, dtype=np.intp)
    labelled = rows[labels[rows] != NO_LABEL]
    if n_labels < 0:
        raise ParameterError(f"draw_labels: n_labels={n_labels} must be a whole number ≥ 0")
    if n_labels == 0:
        return LabelDraw(np.array([], dtype=np.intp), "")
    _check_enough(name, labels[labelled], n_labels)
    wanted = _wanted_per_class(labels[labelled], n_labels)
    generator = np.random.default_rng(random_state)
    for n_redraws in range(MAX_REDRAWS + 1):
        drawn = generator.permutation(labelled)[:n_labels]
        if all((labels[drawn] == value).sum() >= n for value, n in wanted.items()):
            return LabelDraw(np.sort(drawn), _redraw_note(n_redraws, n_labels))
    return LabelDraw(
        _forced(labelled, labels, n_labels, wanted, generator),
        f"{n_labels} labels held one class too rarely in {MAX_REDRAWS + 1} draws: "
        f"{wanted[1]} of class 1 and {wanted[0]} of class 0 were put in, "
        "so the drawn rate is not the population's",
    )


def split_target(
    y: ArrayLike,
    *,
    n_labels: int = 0,
    test_share: float = 0.5,
    time: ArrayLike | None = None,
    random_state: int | None = None,
    name: str = "target",
) -> TargetSplit:
    """Set test rows aside that no method will ever see, and leave a pool to draw labels from.

    Parameters
    ----------
    y : (rows,)
        1, 0 and -1 = no label. Test rows are labelled; unlabelled rows all go to the pool.
    n_labels
        Labelled rows that the pool must keep; the test gets smaller where it has to.
    test_share
        Share of the labelled rows for the test, in (0, 1).
    time : (rows,), optional
        With it the latest rows are the test and not random ones; then rows without a label that
        are as late as the test's stay in the pool.
    random_state
        Whole number for repeatable splits.
    name
        What the message calls these rows.

    Returns
    -------
    TargetSplit
        Positions in rising order.

    Raises
    ------
    DataError
        If too few labelled rows are there for `n_labels` and a test of at least 20 rows, or the
        test or the pool would lack a class.
    ParameterError
        If `test_share` is outside (0, 1).

    Examples
    --------
    >>> split_target([0, 1] * 50, n_labels=40, random_state=0).test.size
    50
    """
    if not 0 < test_share < 1:
        raise ParameterError(f"split_target: test_share={test_share} must be in (0, 1)")
    labels = _labels(y)
    labelled = np.flatnonzero(labels != NO_LABEL)
    _check_enough(name, labels[labelled], n_labels)
    n_wanted = max(round(test_share * labelled.size), 1)
    n_test = min(n_wanted, labelled.size - n_labels)
    if n_test < MIN_TEST:
        raise DataError(
            f"{name} has {labelled.size} labelled rows: with {n_labels} for training, {n_test} "
            f"are left for the test, which needs at least {MIN_TEST}"
        )
    if time is None:
        test = np.sort(np.random.default_rng(random_state).permutation(labelled)[:n_test])
    else:
        test = _latest(labelled, _times(time, labels.size), n_test)
    if np.unique(labels[test]).size < 2:
        raise DataError(f"{name}: all {n_test} test rows are of class {labels[test][0]}")
    note = ""
    if n_test < n_wanted:
        note = f"the test has {n_test} rows and not {n_wanted}: {n_labels} labels go to training"
    return TargetSplit(np.setdiff1d(np.arange(labels.size), test), test, note)


def by_customer(
    customer: ArrayLike, *, test_share: float = 0.3, random_state: int | None = None
) -> tuple[Rows, Rows]:
    """Split so that all rows of a customer fall on the same side.

    Use it where customers have several rows; a split by rows would test on customers that the
    model has seen.

    Parameters
    ----------
    customer : (rows,)
        Ids of any kind.
    test_share
        Share of the *customers*, in (0, 1).
    random_state
        Whole number for repeatable splits.

    Returns
    -------
    train, test
        Positions in rising order.

    Raises
    ------
    DataError
        If there are fewer than two customers.

    Examples
    --------
    >>> train, test = by_customer(["a", "a", "b", "b"], test_share=0.5, random_state=0)
    >>> train.size, test.size
    (2, 2)
    """
    _check_share("by_customer", test_share)
    ids, place = np.unique(np.asarray(customer), return_inverse=True)
    if ids.size < 2:
        raise DataError(f"by_customer: {ids.size} customers cannot be split, two are needed")
    n_test = min(max(round(test_share * ids.size), 1), ids.size - 1)
    chosen = np.zeros(ids.size, dtype=bool)
    chosen[np.random.default_rng(random_state).permutation(ids.size)[:n_test]] = True
    return np.flatnonzero(~chosen[place]), np.flatnonzero(chosen[place])


def by_time(time: ArrayLike, *, test_share: float = 0.3) -> tuple[Rows, Rows]:
    """Split into earlier rows and the latest ones; rows of one moment stay together.

    Use it wherever the model will be applied later than it was fitted.

    Parameters
    ----------
    time : (rows,)
        Numbers, dates or anything that can be sorted; nothing may be missing.
    test_share
        Share of the rows, in (0, 1). A moment that the cut runs through goes to the test.

    Returns
    -------
    train, test
        Positions in rising order.

    Raises
    ------
    DataError
        If a time is missing or no row lies before the test.

    Examples
    --------
    >>> by_time([3, 1, 2, 4], test_share=0.25)
    (array([0, 1, 2]), array([3]))
    """
    _check_share("by_time", test_share)
    times = _times(time, None)
    if times.size == 0:
        raise DataError("by_time: there is no row to split")
    n_test = min(max(round(test_share * times.size), 1), times.size)
    cut = np.sort(times)[times.size - n_test]
    train, test = np.flatnonzero(times < cut), np.flatnonzero(times >= cut)
    if train.size == 0:
        raise DataError(f"by_time: no row lies before {cut}, the start of the test")
    return train, test


def stratified_folds(
    y: ArrayLike, n_folds: int = 5, *, n_repeats: int = 1, random_state: int | None = None
) -> Iterator[tuple[Rows, Rows]]:
    """Yield (train, test) for each fold, classes spread evenly; unlabelled rows are in neither.

    Parameters
    ----------
    y : (rows,)
        1, 0 and -1 = no label.
    n_folds
        At least 2, and at most the rows of the rarer class.
    n_repeats
        How many times everything is shuffled and folded again, at least 1. Repeats are worth
        their time with few labels, where one split is mostly chance.
    random_state
        Whole number for repeatable folds.

    Raises
    ------
    DataError
        If a class has fewer rows than folds.

    Examples
    --------
    >>> [test.size for train, test in stratified_folds([0, 1] * 6, 3, random_state=0)]
    [4, 4, 4]
    """
    if n_folds < 2 or n_repeats < 1:
        raise ParameterError(
            f"stratified_folds: n_folds={n_folds} must be a whole number ≥ 2 and "
            f"n_repeats={n_repeats} one ≥ 1"
        )
    labels = _labels(y)
    counts = {value: int((labels == value).sum()) for value in (1, 0)}
    if min(counts.values()) < n_folds:
        raise DataError(
            f"stratified_folds: {n_folds} folds need as many rows of each class, "
            f"there are {counts[1]} of class 1 and {counts[0]} of class 0"
        )
    return _folds(labels, n_folds, n_repeats, np.random.default_rng(random_state))


def _folds(
    labels: NDArray[np.int8], n_folds: int, n_repeats: int, generator: np.random.Generator
) -> Iterator[tuple[Rows, Rows]]:
    for _ in range(n_repeats):
        fold = np.full(labels.size, -1)
        start = 0
        for value in (0, 1):
            rows = generator.permutation(np.flatnonzero(labels == value))
            # The second class goes on where the first stopped, so that fold sizes stay even.
            fold[rows] = (start + np.arange(rows.size)) % n_folds
            start = (start + rows.size) % n_folds
        for number in range(n_folds):
            yield np.flatnonzero((fold != number) & (fold >= 0)), np.flatnonzero(fold == number)


def _labels(y: ArrayLike) -> NDArray[np.int8]:
    values = np.asarray(y)
    if values.ndim != 1:
        raise DataError(f"y has {values.ndim} dimensions, it must have one")
    wrong = (values != 1) & (values != 0) & (values != NO_LABEL)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise DataError(
            f"y: {int(wrong.sum())} of {values.size} values are none of 1, 0 and -1 "
            f"(first: row {first}, {values[first]})"
        )
    labels: NDArray[np.int8] = values.astype(np.int8)
    return labels


def _check_enough(name: str, labels: NDArray[np.int8], n_labels: int) -> None:
    if labels.size < n_labels:
        raise DataError(
            f"{name} has {labels.size} labelled rows, --labels {n_labels} needs {n_labels}"
        )
    if n_labels > 0 and np.unique(labels).size < 2:
        raise DataError(
            f"{name}: all {labels.size} labelled rows are of class {labels[0]}, both are needed"
        )


def _wanted_per_class(labels: NDArray[np.int8], n_labels: int) -> dict[int, int]:
    """Return how many of each class a draw must hold: two, or as many as there can be."""
    most = MIN_PER_CLASS if n_labels >= 2 * MIN_PER_CLASS else min(1, n_labels // 2)
    return {value: min(most, int((labels == value).sum())) for value in (0, 1)}


def _forced(
    labelled: Rows,
    labels: NDArray[np.int8],
    n_labels: int,
    wanted: dict[int, int],
    generator: np.random.Generator,
) -> Rows:
    shuffled = generator.permutation(labelled)
    first = np.concatenate([shuffled[labels[shuffled] == v][:n] for v, n in wanted.items()])
    rest = shuffled[~np.isin(shuffled, first)][: n_labels - first.size]
    return np.sort(np.concatenate([first, rest]))


def _redraw_note(n_redraws: int, n_labels: int) -> str:
    if n_redraws == 0:
        return ""
    times = "once" if n_redraws == 1 else f"{n_redraws} times"
    return f"{n_labels} labels were drawn again {times} to hold both classes"


def _times(time: ArrayLike, n_rows: int | None) -> NDArray[Any]:
    times = np.asarray(time)
    if n_rows is not None and times.shape != (n_rows,):
        raise DataError(f"time has the shape {times.shape}, it must be ({n_rows},)")
    # NaN and NaT are the values that differ from themselves.
    missing = np.array([t is None for t in times]) if times.dtype == object else times != times
    if np.any(missing):
        first = int(np.argmax(missing))
        raise DataError(
            f"time: {int(np.sum(missing))} of {times.size} values are missing (first: row {first})"
        )
    return times


def _latest(labelled: Rows, times: NDArray[Any], n_test: int) -> Rows:
    order = np.argsort(times[labelled], kind="stable")
    return np.sort(labelled[order[labelled.size - n_test :]])


def _check_share(owner: str, test_share: float) -> None:
    if not 0 < test_share < 1:
        raise ParameterError(f"{owner}: test_share={test_share} must be a number in (0, 1)")
