"""How well something tells the classes apart, and how sure one can be of it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinfile.metrics.ranking import roc_auc

Values = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]

Z = 1.959963984540054
N_BINS = 100
"""Bins of equal counts into which a number is cut; one more holds the missing values."""
N_STEPS = 40
MAX_PER_CLASS = 25_000
"""Rows of a class that are looked at; an AUC does not depend on how many rows each class has."""


class Strength(NamedTuple):
    """An AUC, turned so that it is 0.5 or more, with the lower end of its 95 % interval."""

    auc: float
    low: float


NONE = Strength(0.5, 0.0)


def strength(y: Labels, score: Values, *, either: bool) -> Strength:
    """AUC of a score with its lower end.

    Parameters
    ----------
    y : (rows,)
        1 or 0, both present.
    score : (rows,)
        Finite.
    either
        True takes the better direction; False takes the score as it is.
    """
    auc = roc_auc(y, score)
    auc = max(auc, 1 - auc) if either else auc
    n_events = int(y.sum())
    return Strength(auc, lower_end(auc, n_events, len(y) - n_events))


def lower_end(auc: float, n_events: int, n_others: int) -> float:
    """Lower end of the 95 % interval of an AUC, sensible at 1 and at few rows too.

    The value that is as far below `auc` as 1.96 standard errors *at that value*; so ten rows that
    happen to be in perfect order do not give an interval of no width.

    References
    ----------
    Hanley and McNeil, Radiology 1982 (the standard error); Newcombe, "Confidence intervals for an
    effect size measure based on the Mann–Whitney statistic, part 2", Statistics in Medicine 2006.

    Examples
    --------
    >>> round(lower_end(0.96, 20, 1000), 2), round(lower_end(0.96, 2000, 2000), 2)
    (0.85, 0.95)
    """
    low, high = 0.0, auc
    for _ in range(N_STEPS):
        middle = (low + high) / 2
        if auc - middle > Z * _standard_error(middle, n_events, n_others):
            low = middle
        else:
            high = middle
    return high


def _standard_error(auc: float, n_events: int, n_others: int) -> float:
    square = auc * auc
    spread = auc * (1 - auc)
    spread += (n_events - 1) * (auc / (2 - auc) - square)
    spread += (n_others - 1) * (2 * square / (1 + auc) - square)
    return math.sqrt(max(spread, 0.0) / (n_events * n_others))


def two_classes(y: Labels) -> bool:
    """Whether both 1 and 0 occur."""
    return bool((y == 1).any() and (y == 0).any())


def some_of_each(y: Labels) -> npt.NDArray[np.intp]:
    """Labelled rows, at most `MAX_PER_CLASS` of each class, evenly over the table, in order."""
    chosen = []
    for label in (0, 1):
        rows = np.flatnonzero(y == label)
        step = max(1, math.ceil(len(rows) / MAX_PER_CLASS))
        chosen.append(rows[::step])
    return np.sort(np.concatenate(chosen))


def halves(y: Labels) -> npt.NDArray[np.bool_]:
    """True for every second row of each class: two halves that both hold both classes."""
    second = np.zeros(len(y), dtype=bool)
    for label in (0, 1):
        second[np.flatnonzero(y == label)[1::2]] = True
    return second


def group_numbers(train: Values, *others: Values) -> list[npt.NDArray[np.intp]]:
    """Numbers cut at the train rows' quantiles; what is missing is a group of its own."""
    known = train[~np.isnan(train)]
    inner = np.linspace(0, 1, N_BINS + 1)[1:-1]
    cuts = np.unique(np.quantile(known, inner)) if len(known) else known
    groups = []
    for values in (train, *others):
        # Spikes lie on a cut; both sides of it keep the spike apart from its neighbours.
        group = np.searchsorted(cuts, values, "left") + np.searchsorted(cuts, values, "right")
        group[np.isnan(values)] = 2 * len(cuts) + 1
        groups.append(group.astype(np.intp))
    return groups


def group_rates(
    train: npt.NDArray[np.intp], y_train: Labels, test: npt.NDArray[Any], n_groups: int
) -> Values:
    """Event rate of each test row's group in the train rows, drawn towards the mean."""
    n_rows = np.bincount(train, minlength=n_groups)
    n_events = np.bincount(train, weights=y_train, minlength=n_groups)
    rates: Values = ((n_events + y_train.mean()) / (n_rows + 1))[test]
    return rates
