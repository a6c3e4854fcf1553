"""Does one column alone know the answer?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.compare.probes.coding import Tables, as_floats, is_numeric, one_below_the_other
from thinfile.compare.probes.finding import Finding
from thinfile.compare.probes.strength import (
    NONE,
    Labels,
    Strength,
    group_numbers,
    group_rates,
    halves,
    some_of_each,
    strength,
    two_classes,
)

PROBE = "single column"
LIMIT = 0.95
SURE = 0.9
"""Where the interval's lower end must lie too: 0.96 from twenty events may be chance."""
FEW = 100
"""Rows of a class in the test table below which halves of the train table are looked at too."""


def probe_columns(
    tables: Tables, keys: Sequence[str] = (), *, limit: float = LIMIT
) -> list[Finding]:
    """Each column whose AUC is above the limit, or else one finding on the strongest of all.

    A number is taken as it is, in either direction, and in bins; a category by the event rate of
    each value in the train rows. Both are measured on test rows, and on held-out train rows where
    the test rows are few.
    """
    # A key that was named says who a row is about; its memory has a probe of its own.
    found = {name: column_strength(tables, name) for name in tables.columns if name not in keys}
    if not found:
        return []
    sure = limit - (LIMIT - SURE)
    leaks = [name for name, each in found.items() if each.auc > limit and each.low > sure]
    if leaks:
        leaks.sort(key=lambda name: -found[name].auc)
        return [_flagged(name, found[name], limit) for name in leaks]
    best = max(found, key=lambda name: found[name].auc)
    if not found[best].low:
        return [Finding(PROBE, "", None, limit, False, "Rows of both classes are too few to look.")]
    return [Finding(PROBE, best, found[best].auc, limit, False, _calm(best, found, limit))]


def column_strength(tables: Tables, name: str) -> Strength:
    """How well one column tells the classes apart: the surest of the ways of looking at it."""
    train, test = tables.train[name], tables.test[name]
    ways = [_across(train, tables.y_train, test, tables.y_test)]
    n_events = int(tables.y_test.sum())
    if min(n_events, len(tables.y_test) - n_events) < FEW and two_classes(tables.y_train):
        ways.append(_within(train, tables.y_train))
    return max(ways, key=lambda way: way.low)


def _within(values: pl.Series, y: Labels) -> Strength:
    """One half of the rows judged by the other."""
    second = halves(y)
    if not two_classes(y[second]):
        return NONE
    parts = [values.filter(pl.Series(side)) for side in (~second, second)]
    return _across(parts[0], y[~second], parts[1], y[second])


def _across(train: pl.Series, y_train: Labels, test: pl.Series, y_test: Labels) -> Strength:
    if not two_classes(y_test):
        return NONE
    learn, judge = some_of_each(y_train), some_of_each(y_test)
    train, test = train.gather(learn.tolist()), test.gather(judge.tolist())
    y_train, y_test = y_train[learn], y_test[judge]
    ways = []
    if is_numeric(train) and is_numeric(test):
        groups = group_numbers(*(numbers := [as_floats(each) for each in (train, test)]))
        ways.append(strength(y_test, _filled(numbers[1]), either=True))
    else:
        groups = _values(train, test)
    if two_classes(y_train):
        n_groups = 1 + max(int(group.max()) for group in groups)
        rates = group_rates(groups[0], y_train, groups[1], n_groups)
        ways.append(strength(y_test, rates, either=False))
    return max(ways, key=lambda way: way.low, default=NONE)


def _values(train: pl.Series, test: pl.Series) -> list[npt.NDArray[np.intp]]:
    both = one_below_the_other(train, test)
    codes = both.rank("dense").fill_null(0).to_numpy().astype(np.intp)
    return [codes[: train.len()], codes[train.len() :]]


def _filled(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Missing values in the middle, where they say nothing; bins look at them by themselves."""
    missing = np.isnan(values)
    return np.where(missing, np.median(values[~missing]) if not missing.all() else 0.0, values)


def _flagged(name: str, found: Strength, limit: float) -> Finding:
    words = (
        f"Column {name!r} alone tells the two outcomes apart almost without a mistake (AUC "
        f"{found.auc:.3f}): either it is written down when the outcome is known, or no model is "
        "needed. Find out which."
    )
    return Finding(PROBE, name, found.auc, limit, True, words)


def _calm(name: str, found: dict[str, Strength], limit: float) -> str:
    text = f"The strongest of {len(found)} columns is {name!r} with AUC {found[name].auc:.3f}"
    return text + ("; its rows are too few to be sure." if found[name].auc > limit else ".")
