"""How strongly each pair of columns belongs together, in the real rows and in the made ones.

Two numbers: rank correlation. Two categories: Cramér's V, corrected for chance. A number and a
category: correlation ratio of the ranks, corrected for chance. All pairs of a table come from a
few matrix products.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import rankdata

from thinfile.synthetic.sides import CATEGORY, Floats, Sides, as_numbers, as_texts, some

MAX_ROWS = 20_000
"""Rows of each side that are looked at; a correlation of so many is known to ±0.014."""

MAX_LEVELS, ALL_LEVELS = 20, 1_000
"""Most frequent values of a category that are kept apart, and of all categories together; the
others of a category are one level."""

RANK, CRAMER, RATIO = "rank correlation", "Cramér's V", "correlation ratio"


@dataclass(frozen=True)
class PairFidelity:
    """One pair of columns.

    Attributes
    ----------
    first, second : str
    measure : str
        "rank correlation" (−1 to 1), "Cramér's V" or "correlation ratio" (0 to 1).
    real, made : float
        Its strength on each side.
    holdout : float or None
        The same in the hold-out.
    """

    first: str
    second: str
    measure: str
    real: float
    made: float
    holdout: float | None

    @property
    def difference(self) -> float:
        """How far made is from real, 0 or more."""
        return abs(self.made - self.real)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self) | {"difference": self.difference}


def judge_pairs(sides: Sides, *, random_state: int = 0) -> list[PairFidelity]:
    """Strength of every pair of columns, the largest differences first.

    Pairs with a column that does not vary on a side are left out.

    References
    ----------
    Bergsma, "A bias-correction for Cramér's V and Tschuprow's T", Journal of the Korean
    Statistical Society 2013. Kelley, "An unbiased correlation ratio measure", PNAS 1935.
    """
    frames = [sides.real, sides.made, *([] if sides.holdout is None else [sides.holdout])]
    frames = [some(frame, MAX_ROWS, random_state) for frame in frames]
    levels = _levels(sides, frames[0])
    measured = [associations(sides, frame, levels) for frame in frames]
    pairs = []
    for place, first in enumerate(sides.columns):
        for other in range(place + 1, len(sides.columns)):
            values = [strength[place, other] for strength in measured]
            if np.isfinite(values[:2]).all():
                name = _measure(sides, first, sides.columns[other])
                third = values[2] if len(values) > 2 and np.isfinite(values[2]) else None
                pairs.append(
                    PairFidelity(
                        first,
                        sides.columns[other],
                        name,
                        float(values[0]),
                        float(values[1]),
                        None if third is None else float(third),
                    )
                )
    return sorted(pairs, key=lambda pair: -pair.difference)


def _measure(sides: Sides, first: str, second: str) -> str:
    n_categories = [sides.kind(first), sides.kind(second)].count(CATEGORY)
    return (RANK, RATIO, CRAMER)[n_categories]


def _levels(sides: Sides, real: pl.DataFrame) -> dict[str, list[str]]:
    """The most frequent values of each category; what is missing is a level of its own."""
    names = [name for name in sides.columns if sides.kind(name) == CATEGORY]
    most = max(2, min(MAX_LEVELS, ALL_LEVELS // max(1, len(names))))
    found = {}
    for name in names:
        counts = as_texts(real[name]).drop_nulls().alias("value").value_counts(name="n")
        ordered = counts.sort(["n", "value"], descending=[True, False])
        found[name] = ordered["value"].head(most).to_list()
    return found


def associations(sides: Sides, frame: pl.DataFrame, levels: dict[str, list[str]]) -> Floats:
    """Strength of every pair of columns, shape (columns, columns); NaN where there is none.

    Parameters
    ----------
    sides : Sides
        Says of what kind each column is.
    frame : polars.DataFrame
        Typed rows.
    levels : dict
        Values of each category that are kept apart.
    """
    names = sides.columns
    strength = np.full((len(names), len(names)), np.nan)
    numbers = [k for k, name in enumerate(names) if sides.kind(name) != CATEGORY]
    codes = {
        k: _codes(frame[name], levels[name]) for k, name in enumerate(names) if k not in numbers
    }
    ranks = np.column_stack([_ranks(frame[names[k]]) for k in numbers]) if numbers else None
    if ranks is not None:
        strength[np.ix_(numbers, numbers)] = _rank_correlations(ranks)
    joined = _one_hot(list(codes.values()))
    tables = joined.T @ joined
    starts = np.cumsum([0, *(own.max() + 1 for own in codes.values())])
    blocks = {k: slice(starts[i], starts[i + 1]) for i, k in enumerate(codes)}
    for first, own in blocks.items():
        for second, other in blocks.items():
            if first < second:
                value = cramers_v(tables[own, other])
                strength[first, second] = strength[second, first] = value
        if ranks is not None:
            values = _ratios(joined[:, own], ranks)
            strength[first, numbers] = strength[numbers, first] = values
    return strength


def _codes(column: pl.Series, kept: list[str]) -> npt.NDArray[np.int64]:
    """0 missing, 1 rare, 2… the kept levels; codes without rows are closed up."""
    texts = as_texts(column)
    places = texts.replace_strict(kept, list(range(2, len(kept) + 2)), default=1) if kept else None
    codes = np.ones(texts.len(), np.int64) if places is None else places.to_numpy().astype(np.int64)
    codes[texts.is_null().to_numpy()] = 0
    closed: npt.NDArray[np.int64] = np.unique(codes, return_inverse=True)[1]
    return closed


def _ranks(column: pl.Series) -> Floats:
    """Ranks from −1 to 1 of the present values, NaN where missing."""
    values = as_numbers(column)
    present = np.isfinite(values)
    ranks = np.full(len(values), np.nan)
    if present.any():
        ranks[present] = rankdata(values[present]) * 2 / (present.sum() + 1) - 1
    return ranks


def _one_hot(codes: list[npt.NDArray[np.int64]]) -> Floats:
    if not codes:
        return np.zeros((0, 0))
    return np.concatenate([np.eye(own.max() + 1)[own] for own in codes], axis=1)


def _rank_correlations(ranks: Floats) -> Floats:
    """Pearson's correlation of ranks over the rows in which both are present."""
    here = np.isfinite(ranks).astype(np.float64)
    filled = np.nan_to_num(ranks)
    n, total, squares = here.T @ here, filled.T @ here, (filled**2).T @ here
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = filled.T @ filled / n - total * total.T / n**2
        variance = squares / n - (total / n) ** 2
        found: Floats = covariance / np.sqrt(variance * variance.T)
        found[(variance < 1e-12) | (variance.T < 1e-12) | (n < 3)] = np.nan
    return np.clip(found, -1.0, 1.0)


def cramers_v(table: npt.NDArray[Any]) -> float:
    """Cramér's V of a table of counts without empty rows, corrected for chance; NaN if undefined.

    Examples
    --------
    >>> import numpy as np
    >>> cramers_v(np.array([[50, 0], [0, 50]])), cramers_v(np.array([[25, 25], [25, 25]]))
    (1.0, 0.0)
    """
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    n, (n_rows, n_columns) = table.sum(), table.shape
    if min(n_rows, n_columns) < 2 or n < 3:
        return float("nan")
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi = float(((table - expected) ** 2 / expected).sum() / n)
    phi = max(0.0, phi - (n_rows - 1) * (n_columns - 1) / (n - 1))
    rows = n_rows - (n_rows - 1) ** 2 / (n - 1)
    columns = n_columns - (n_columns - 1) ** 2 / (n - 1)
    smaller = min(rows, columns) - 1
    return float(min(1.0, np.sqrt(phi / smaller))) if smaller > 0 else float("nan")


def _ratios(hot: Floats, ranks: Floats) -> Floats:
    """Correlation ratio of one category with each number, shape (numbers,)."""
    here = np.isfinite(ranks).astype(np.float64)
    filled = np.nan_to_num(ranks)
    counts, sums = hot.T @ here, hot.T @ filled
    n, total = here.sum(axis=0), filled.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = (filled**2).sum(axis=0) - total**2 / n
        between = np.where(counts > 0, sums**2 / counts, 0.0).sum(axis=0) - total**2 / n
        n_levels = (counts > 0).sum(axis=0)
        corrected = 1 - (whole - between) / whole * (n - 1) / (n - n_levels)
        corrected[(whole < 1e-9) | (n_levels < 2) | (n <= n_levels)] = np.nan
    found: Floats = np.sqrt(np.clip(corrected, 0.0, 1.0))
    return found
