"""An island of a map: its share of events, what distinguishes it, and a rule that finds it again.

The page works the same out by itself for what a reader draws around; the tests hold the two
against each other. Use these from Python where the rows are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thinfile.errors import DataError
from thinfile.latent_map.columns import OTHER, MapColumn
from thinfile.metrics.calibration import wilson_interval

BoolArray = npt.NDArray[np.bool_]

MAX_TERMS = 4
MAX_RULE_WORDS = 8
LEAST_GAIN = 0.01
"""A term that adds less to F1 is not worth reading."""


@dataclass(frozen=True)
class EventShare:
    """How many rows of an island are events.

    Attributes
    ----------
    n_rows, n_labelled, n_events : int
    share, low, high : float
        Events among labelled rows, with the ends of Wilson's interval; NaN without labels.
    """

    n_rows: int
    n_labelled: int
    n_events: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """How a column differs between an island and all other rows.

    Attributes
    ----------
    column : str
    word : str or None
        The value of a category that this is about.
    inside, outside : float
        Mean of a number, share of rows with the word; missing values left out.
    standardised : float
        `inside` − `outside` in standard deviations of the column over all rows.
    """

    column: str
    word: str | None
    inside: float
    outside: float
    standardised: float


@dataclass(frozen=True)
class Term:
    """One condition: a range, open below and closed above, or a set of values.

    Attributes
    ----------
    column : str
    low, high : float
        ``low < value ≤ high``; infinite where there is no end.
    words : tuple of str
        Values of a category; empty for a range.
    """

    column: str
    low: float = -np.inf
    high: float = np.inf
    words: tuple[str, ...] = ()

    def holds(self, column: MapColumn) -> BoolArray:
        """Where the condition holds, shape (rows,); never where the value is missing."""
        if column.kind == "category":
            wanted = [place for place, word in enumerate(column.words) if word in self.words]
            found: BoolArray = np.isin(column.values, wanted) & (column.values > 0)
            return found
        values = column.values.astype(np.float64)
        return (values > self.low) & (values <= self.high)


@dataclass(frozen=True)
class Rule:
    """A short conjunction of terms that stands for an island.

    Attributes
    ----------
    terms : tuple of Term
        None if nothing tells the island from the rest.
    n_covered : int
        Rows that keep the rule.
    precision : float
        Share of these that are in the island; NaN without terms.
    coverage : float
        Share of the island that keeps the rule.
    """

    terms: tuple[Term, ...]
    n_covered: int
    precision: float
    coverage: float


def event_share(
    label: npt.NDArray[np.int8], inside: BoolArray, *, kept: float = 1.0, level: float = 0.95
) -> EventShare:
    """Share of events among the labelled rows of an island, with Wilson's interval.

    Parameters
    ----------
    label : (rows,)
        1, 0, or -1 for no label.
    inside : (rows,)
        The island.
    kept
        Share of the rows that are no events which the map holds, in (0, 1]. A map of a sample
        that keeps every event shows too many of them; share and interval are put right for that.
    level
        In (0, 1).

    Examples
    --------
    >>> found = event_share(np.array([1, 1, 0, -1], dtype=np.int8), np.ones(4, dtype=bool))
    >>> found.n_labelled, found.n_events, round(found.low, 3), round(found.high, 3)
    (3, 2, 0.208, 0.939)
    """
    labels = label[inside]
    n_labelled, n_events = int((labels >= 0).sum()), int((labels == 1).sum())
    if not n_labelled:
        return EventShare(len(labels), 0, 0, np.nan, np.nan, np.nan)
    low, high = wilson_interval(n_events, n_labelled, level=level)
    shares = np.array([n_events / n_labelled, float(low), float(high)])
    # The interval's ends move with the share: the correction only stretches the odds.
    share, low, high = shares / (shares + (1 - shares) / kept)
    return EventShare(len(labels), n_labelled, n_events, float(share), float(low), float(high))


def differences(columns: Sequence[MapColumn], inside: BoolArray) -> list[Difference]:
    """What distinguishes an island from all other rows, the largest difference first.

    Parameters
    ----------
    columns
        Label and score among them are passed over.
    inside : (rows,)
        Some rows, not all.

    Raises
    ------
    DataError
        If the island holds no row or every row.
    """
    _check_island(inside)
    found = [
        _category_difference(column, inside)
        if column.kind == "category"
        else _number_difference(column, inside)
        for column in columns
        if column.role not in ("label", "score")
    ]
    present = [each for each in found if each is not None]
    return sorted(present, key=lambda each: -abs(each.standardised))


def find_rule(
    columns: Sequence[MapColumn], inside: BoolArray, *, max_terms: int = MAX_TERMS
) -> Rule:
    """A short rule on feature columns that finds the rows of an island.

    Terms are added one by one, each the one that raises F1 (of "keeps the rule" against "is in
    the island") most. Use it to carry an island into a system of rules; hold it against rows that
    the map has not seen before you do.

    Parameters
    ----------
    columns
        Those that the model does not read are passed over: an outcome would make a fine rule.
    inside : (rows,)
        Some rows, not all.
    max_terms
        Most terms.

    Raises
    ------
    DataError
        If the island holds no row or every row.

    References
    ----------
    Friedman and Fisher, "Bump hunting in high-dimensional data", 1999, for the idea of a box.
    """
    _check_island(inside)
    n_inside, covered = int(inside.sum()), np.ones(len(inside), dtype=bool)
    f1, terms = 2 * n_inside / (len(inside) + n_inside), list[Term]()
    while len(terms) < max_terms:
        used = {term.column for term in terms}
        free = [c for c in columns if c.role == "feature" and c.name not in used]
        best = max((_best_term(c, inside, covered, n_inside) for c in free), key=_f1, default=None)
        if best is None or best[0] < f1 + LEAST_GAIN or best[1] is None:
            break
        f1 = best[0]
        terms.append(best[1])
        column = next(c for c in columns if c.name == best[1].column)
        covered &= best[1].holds(column)
    n_covered, hits = int(covered.sum()), int((covered & inside).sum())
    precision = hits / n_covered if terms else float("nan")
    return Rule(tuple(terms), n_covered, precision, hits / n_inside)


def _f1(found: tuple[float, Term | None]) -> float:
    return found[0]


def _best_term(
    column: MapColumn, inside: BoolArray, covered: BoolArray, n_inside: int
) -> tuple[float, Term | None]:
    """F1 of the covered rows that keep the best term on one column, and the term."""
    if column.kind == "category":
        return _best_words(column, inside, covered, n_inside)
    usable = covered & np.isfinite(column.values)
    bins = np.searchsorted(column.cuts, column.values[usable].astype(np.float64), side="left")
    n_bins = len(column.cuts) + 1
    hits = _cumulated(bins[inside[usable]], n_bins)
    rows = _cumulated(bins, n_bins)
    # Every range of bins, its upper end from the last bin down, so that a tie takes the widest.
    n_hits = hits[None, :0:-1] - hits[:-1, None]  # (first bin, end)
    n_rows = rows[None, :0:-1] - rows[:-1, None]
    f1 = np.where(n_rows > 0, 2 * n_hits / np.maximum(n_rows + n_inside, 1), -1.0)
    first, from_end = np.unravel_index(int(f1.argmax()), f1.shape)
    last = n_bins - 1 - int(from_end)
    low = column.cuts[int(first) - 1] if first else -np.inf
    high = column.cuts[last] if last < n_bins - 1 else np.inf
    return float(f1.max()), Term(column.name, low, high)


def _best_words(
    column: MapColumn, inside: BoolArray, covered: BoolArray, n_inside: int
) -> tuple[float, Term | None]:
    usable = covered & (column.values > 0)
    n_words = len(column.words)
    hits = np.bincount(column.values[usable & inside], minlength=n_words)
    rows = np.bincount(column.values[usable], minlength=n_words)
    precision = hits / np.maximum(rows, 1)
    ranked = np.lexsort((np.arange(n_words), -hits, -precision))
    order = [w for w in ranked if hits[w] > 0 and column.words[w] != OTHER][:MAX_RULE_WORDS]
    if not order:
        return -1.0, None
    f1 = 2 * np.cumsum(hits[order]) / (np.cumsum(rows[order]) + n_inside)
    n_taken = int(f1.argmax()) + 1
    words = tuple(column.words[w] for w in order[:n_taken])
    return float(f1.max()), Term(column.name, words=words)


def _cumulated(bins: npt.NDArray[np.intp], n_bins: int) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.bincount(bins, minlength=n_bins))])


def _number_difference(column: MapColumn, inside: BoolArray) -> Difference | None:
    values = column.values.astype(np.float64)
    present = np.isfinite(values)
    deviation = values[present].std() if present.any() else 0.0
    if not (present & inside).any() or not (present & ~inside).any() or deviation == 0:
        return None
    low, high = values[present & inside].mean(), values[present & ~inside].mean()
    return Difference(column.name, None, low, high, float((low - high) / deviation))


def _category_difference(column: MapColumn, inside: BoolArray) -> Difference | None:
    """Of the value whose share differs most, in standard deviations of "has this value"."""
    n_words = len(column.words)
    in_island = np.bincount(column.values[inside], minlength=n_words) / inside.sum()
    elsewhere = np.bincount(column.values[~inside], minlength=n_words) / (~inside).sum()
    overall = np.bincount(column.values, minlength=n_words) / len(inside)
    deviation = np.sqrt(overall * (1 - overall))
    gap = np.divide(in_island - elsewhere, deviation, out=np.zeros(n_words), where=deviation > 0)
    word = int(np.abs(gap).argmax())
    if not gap[word]:
        return None
    name = column.words[word] or "(missing)"
    return Difference(
        column.name, name, float(in_island[word]), float(elsewhere[word]), float(gap[word])
    )


def _check_island(inside: BoolArray) -> None:
    n_inside = int(inside.sum())
    if not 0 < n_inside < len(inside):
        raise DataError(f"the island holds {n_inside} of {len(inside)} rows: some, not all, needed")
