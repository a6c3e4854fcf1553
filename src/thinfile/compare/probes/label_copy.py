"""Does the label stand among the features: under its own name, or as a copy?"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.compare.probes.coding import Tables, one_below_the_other
from thinfile.compare.probes.finding import Finding
from thinfile.compare.probes.strength import Labels, some_of_each, two_classes

PROBE = "label among the features"
LIMIT = 0.995
"""Share of the rows of each class on which a column of two values and the label must agree."""
MIN_ROWS = 20
MIN_PER_CLASS = 5
MIN_KNOWN = 0.9
"""Share of rows in which the column must hold a value, to be called a copy."""
DECORATION = frozenset(
    ("is", "has", "flag", "label", "target", "copy", "encoded", "enc", "num", "bin", "bool", "code")
)
"""Words that do not make a column another one than the label."""


def probe_label(tables: Tables, label: str | None) -> list[Finding]:
    """Each column that is the label by its values or its name, or one finding that none is."""
    y = np.concatenate([tables.y_train, tables.y_test])
    rows = some_of_each(y)
    y = y[rows]
    found = []
    for name in tables.columns:
        both = one_below_the_other(tables.train[name], tables.test[name])
        both = both.gather(rows.tolist()).cast(pl.String)
        agreeing, how = _as_copy(both, y)
        if how:
            found.append(Finding(PROBE, name, agreeing, LIMIT, True, _words(name, how)))
        elif label is not None and _bare(name) == _bare(label):
            words = f"Column {name!r} has the name of the label {label!r}: is it the label again?"
            found.append(Finding(PROBE, name, agreeing, LIMIT, True, words))
    if found:
        return found
    words = f"None of {len(tables.columns)} columns is a copy of the label or has its name."
    return [Finding(PROBE, "", None, LIMIT, False, words)]


def _as_copy(values: pl.Series, y: Labels) -> tuple[float | None, str]:
    """Share of rows that agree with the label, and what kind of copy the column is, or ""."""
    if len(y) < MIN_ROWS or min((y == 1).sum(), (y == 0).sum()) < MIN_PER_CLASS:
        return None, ""
    filled = values.is_not_null().to_numpy()
    gap = _share(filled, y)
    if gap >= LIMIT:
        return gap, "filled"
    if filled.mean() < MIN_KNOWN:
        return None, ""
    text = values.str.strip_chars().str.to_lowercase()
    known = text.drop_nulls()
    # Two values, and perhaps a slip of the pen: the two most frequent are looked at.
    counts = known.value_counts(sort=True).head(2)
    if counts.height < 2 or counts["count"].sum() < MIN_KNOWN * len(known):
        return None, ""
    first, second = counts.to_series(0).sort().to_list()
    rows = (text.is_in([first, second])).fill_null(False).to_numpy()
    if not two_classes(y[rows]):
        return None, ""
    agreeing = _share((text == second).fill_null(False).to_numpy()[rows], y[rows])
    return agreeing, _kind(first, second) if agreeing >= LIMIT else ""


def _share(side: npt.NDArray[np.bool_], y: Labels) -> float:
    """Share of rows in which a yes-or-no agrees with the label, or else with its opposite.

    That of the class in which it agrees less: two things that are both rare agree mostly anyway.
    """
    shares = [float(side[y == label].mean()) for label in (1, 0)]
    return max(min(shares[0], 1 - shares[1]), min(1 - shares[0], shares[1]))


def _kind(first: str, second: str) -> str:
    numbers = {"0", "1", "0.0", "1.0", "false", "true"}
    return "copy" if {first, second} <= numbers else "words"


def _words(name: str, how: str) -> str:
    what = {
        "filled": "is filled in exactly where the outcome is of one kind",
        "copy": "is the label once more, or its opposite",
        "words": "is the label in other words: each of its two values stands for one outcome",
    }[how]
    return f"Column {name!r} {what}; leave it out."


def _bare(name: str) -> tuple[str, ...]:
    """The words of a name without case, signs and decoration."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[^\W_]+", spaced.lower())
    return tuple(word for word in words if word not in DECORATION) or tuple(words)
