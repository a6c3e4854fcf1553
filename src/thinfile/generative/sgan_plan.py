"""What an SGAN decides from its labelled rows before it trains: members, folds, class shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from thinfile.errors import DataError
from thinfile.metrics.ranking import average_precision
from thinfile.training.batches import cap_batch

Labels = npt.NDArray[np.int8]
Counts = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]

MIN_LABELS = 2
"""Labelled rows of each class below which nothing is fitted."""
MIN_TO_HOLD_OUT = 5
"""Labelled rows of the rarest class below which no member goes without any of them."""
RARE_SHARE = 0.25
"""A class with less than this share of the labels is rare: unlabelled rows are then not of it."""
N_MEMBERS = 5


def count_labels(y: Labels, classes: Sequence[Any]) -> Counts:
    """Labelled rows of each class.

    Raises
    ------
    DataError
        If a class has fewer than two; the message names each such class.

    Examples
    --------
    >>> count_labels(np.array([0, 0, 1, 1, -1], dtype=np.int8), ["genuine", "fraud"])
    array([2, 2])
    """
    counts = np.bincount(y[y >= 0], minlength=len(classes))
    few = [
        f"class {label!r} has {count} labelled row{'s' * (int(count) != 1)}"
        for label, count in zip(classes, counts, strict=True)
        if count < MIN_LABELS
    ]
    if few:
        raise DataError(f"{'; '.join(few)}: at least {MIN_LABELS} of each class are needed")
    return counts


def choose_members(given: int | str, *, is_image: bool, notes: list[str]) -> int:
    """Networks that train side by side; images have one."""
    if is_image:
        if given not in ("auto", 1):
            notes.append(f"n_members={given}: images have one member only")
        return 1
    return N_MEMBERS if given == "auto" else int(given)


def choose_batch(given: int, counts: Counts, n_unlabelled: int, notes: list[str]) -> int:
    """Rows of a batch: no more than there are; and a note where labelled rows are drawn often."""
    n_labelled = int(counts.sum())
    size = cap_batch(given, n_labelled + n_unlabelled, notes)
    if size // 2 > n_labelled:
        notes.append(
            f"batch_size={size}: half a batch is larger than the {n_labelled} labelled rows, "
            "which are drawn several times each"
        )
    return size


def split_batch(batch_size: int, *, is_image: bool) -> tuple[int, int]:
    """Labelled and unlabelled rows of a batch: images learn more from those without.

    Examples
    --------
    >>> split_batch(128, is_image=False), split_batch(128, is_image=True)
    ((64, 64), (32, 96))
    """
    half = batch_size // 2
    return (max(1, half // 2), batch_size - half // 2) if is_image else (half, half)


def choose_unlabelled(y: Labels, at_most: int, rng: np.random.Generator) -> Rows:
    """Positions of rows without labels, a random part where there are too many."""
    rows = np.flatnonzero(y < 0)
    if len(rows) > at_most:
        rows = np.sort(rng.choice(rows, at_most, replace=False))
    return rows


def choose_folds(
    y: Labels, n_members: int, keep: str, rng: np.random.Generator, notes: list[str]
) -> Rows | None:
    """The member that goes without each labelled row; None where no row is left out.

    Examples
    --------
    >>> y, notes = np.array([0] * 10 + [1] * 3, dtype=np.int8), []
    >>> choose_folds(y, 5, "best", np.random.default_rng(0), notes)
    >>> notes[0][:56]
    '3 labelled rows of the rarest class are too few to choos'
    """
    if keep == "last" or n_members == 1:
        return None
    rarest, needed = int(np.bincount(y).min()), max(MIN_TO_HOLD_OUT, n_members)
    if rarest < needed:
        notes.append(
            f"{rarest} labelled rows of the rarest class are too few to choose a step by "
            f"(at least {needed}): the last one is kept"
        )
        return None
    return fold_of(y, n_members, rng)


def fold_of(y: Labels, n_folds: int, rng: np.random.Generator) -> Rows:
    """A fold for each labelled row; each fold gets its share of every class.

    Examples
    --------
    >>> y = np.array([0] * 6 + [1] * 3, dtype=np.int8)
    >>> fold = fold_of(y, 3, np.random.default_rng(0))
    >>> np.bincount(fold[:6]).tolist(), sorted(fold[6:].tolist())
    ([2, 2, 2], [0, 1, 2])
    """
    fold = np.zeros(len(y), dtype=np.intp)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        fold[rng.permutation(rows)] = np.arange(len(rows)) % n_folds
    return fold


def choose_common_weight(given: float | str, counts: Counts, n_unlabelled: int) -> float:
    """Weight of taking unlabelled rows for the commonest class.

    Examples
    --------
    >>> choose_common_weight("auto", np.array([1000, 10]), 5000)
    1.0
    >>> choose_common_weight("auto", np.array([50, 50]), 5000)
    0.0
    """
    if not n_unlabelled:
        return 0.0
    if given != "auto":
        return float(given)
    return float(len(counts) == 2 and counts.min() / counts.sum() < RARE_SHARE)


def prior_shift(counts: Counts, common_weight: float) -> npt.NDArray[np.float64]:
    """What the log-odds of each class gain, because training saw other shares of them.

    Every class is drawn equally often, and the commonest as often again as `common_weight` says.

    Examples
    --------
    >>> shift = prior_shift(np.array([990, 10]), 1.0)
    >>> round(float(shift[1] - shift[0]), 3)  # ln(10 / 990) - ln(0.5 / 1.5)
    -3.497
    """
    trained = np.full(len(counts), 1.0 / len(counts))
    trained[counts.argmax()] += common_weight
    shift: npt.NDArray[np.float64] = np.log(counts / counts.sum()) - np.log(trained / trained.sum())
    return shift


def mean_ap(y: Labels, logits: npt.NDArray[np.float64]) -> float:
    """Average precision of the second of two classes; of more, the mean of one against the rest.

    Parameters
    ----------
    y : ndarray of shape (rows,)
    logits : ndarray of shape (rows, classes)

    Examples
    --------
    >>> y, good = np.array([0, 1, 2], dtype=np.int8), np.eye(3)
    >>> mean_ap(y, good)
    1.0
    """
    wanted = [1] if logits.shape[1] == 2 else range(logits.shape[1])
    each = []
    for label in wanted:
        others = np.logaddexp.reduce(np.delete(logits, label, axis=1), axis=1)
        each.append(average_precision(y == label, logits[:, label] - others))
    return float(np.mean(each))
