"""How far a column's or a score's distribution has moved: PSI, and CSI for a whole table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thinfile.errors import DataError, ParameterError
from thinfile.metrics.inputs import Floats

MODERATE = 0.1
LARGE = 0.25
MISSING = "missing"
OTHER = "other"


@dataclass(frozen=True)
class Psi:
    """A population stability index and the bins it was summed over.

    Attributes
    ----------
    value : float
        The index; 0 for equal distributions, without an upper end.
    bins : tuple of str
        What each bin holds; "missing" and "other" are bins where they occur.
    expected, actual : (bins,)
        Share of rows in each bin.
    parts : (bins,)
        What each bin adds to the value.
    """

    value: float
    bins: tuple[str, ...]
    expected: Floats
    actual: Floats
    parts: Floats

    @property
    def word(self) -> str:
        """The rule of thumb for the value; see :func:`drift_word`."""
        return drift_word(self.value)


def drift_word(value: float) -> str:
    """Put an index into words: below 0.1 "stable", below 0.25 "moderate", else "large".

    A rule of thumb for samples of thousands. In samples of a few hundred rows an index of 0.1 can
    be chance alone.

    References
    ----------
    Siddiqi, *Credit Risk Scorecards*, 2006.

    Examples
    --------
    >>> drift_word(0.12)
    'moderate'
    """
    if value < MODERATE:
        return "stable"
    return "moderate" if value < LARGE else "large"


def psi_shares(expected: ArrayLike, actual: ArrayLike) -> Floats:
    """Return what each bin adds to the index: (actual − expected) · log(actual / expected).

    Parameters
    ----------
    expected, actual : (bins,)
        Shares or counts, not negative; each is divided by its sum. A bin that is empty on one
        side is counted as 1e-4, so that the sum stays finite; on both sides it adds 0.

    Raises
    ------
    DataError
        If the shapes differ, a value is negative or one side is empty throughout.

    Examples
    --------
    >>> round(float(psi_shares([0.4, 0.3, 0.3], [0.35, 0.25, 0.4]).sum()), 4)
    0.0446
    """
    first = np.asarray(expected, dtype=np.float64)
    second = np.asarray(actual, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise DataError(f"psi: shares of the shapes {first.shape} and {second.shape} do not match")
    if not ((first >= 0).all() and (second >= 0).all() and first.sum() > 0 and second.sum() > 0):
        raise DataError("psi: shares must be ≥ 0 and neither side may be empty")
    both_empty = (first == 0) & (second == 0)
    first = np.maximum(first / first.sum(), 1e-4)
    second = np.maximum(second / second.sum(), 1e-4)
    parts: Floats = np.where(both_empty, 0.0, (second - first) * np.log(second / first))
    return parts


def psi(expected: ArrayLike, actual: ArrayLike, *, n_bins: int = 10) -> Psi:
    """Population stability index of a column of numbers, or of a score.

    Use it to see whether a column looks the same in two populations. It sees one column at a
    time: populations can differ completely with every index near 0.

    Parameters
    ----------
    expected, actual : (rows,) each
        Numbers; NaN is missing and is a bin of its own. Infinite values fall into the end bins.
    n_bins
        Bins of equal counts in `expected`, at least 1. A value that fills more than one of them
        keeps a bin, so there may be fewer. A column with at most so many values has a bin for
        each, and one below and above them.

    Returns
    -------
    Psi

    Raises
    ------
    DataError
        If one side has no row.

    References
    ----------
    Siddiqi, *Credit Risk Scorecards*, 2006. Yurdakul, *Statistical Properties of Population
    Stability Index*, 2018.

    Examples
    --------
    >>> numbers = np.arange(1000.0)
    >>> psi(numbers, numbers).value
    0.0
    >>> psi(numbers, numbers + 500).word
    'large'
    """
    if n_bins < 1:
        raise ParameterError(f"psi: n_bins={n_bins} must be a whole number ≥ 1")
    first, second = _numbers("expected", expected), _numbers("actual", actual)
    present = first[~np.isnan(first)]
    # Nothing to cut by: whatever the other side holds is one bin.
    edges = _edges(present, n_bins) if present.size else np.array([])
    bins = (*_intervals(edges), MISSING)
    return _psi(bins, _count(first, edges), _count(second, edges))


def psi_categories(expected: ArrayLike, actual: ArrayLike, *, max_categories: int = 20) -> Psi:
    """Population stability index of a column of categories.

    Parameters
    ----------
    expected, actual : (rows,) each
        Values of any kind, compared as text; None and NaN are missing and are a bin.
    max_categories
        The most frequent values of both sides together that get a bin, at least 1; the rest is
        "other". More bins make the index larger by chance alone.

    Examples
    --------
    >>> psi_categories(["a", "a", "b", None], ["a", "b", "b", None]).bins
    ('a', 'b', 'missing')
    """
    if max_categories < 1:
        raise ParameterError(
            f"psi_categories: max_categories={max_categories} must be a whole number ≥ 1"
        )
    first, second = _tally("expected", expected), _tally("actual", actual)
    n_first, n_second = sum(first.values()), sum(second.values())
    # Sorted by text first, so that values of equal frequency always fall the same way.
    names = sorted({*first, *second} - {None}, key=str)
    names.sort(key=lambda name: -(first.get(name, 0) / n_first + second.get(name, 0) / n_second))
    kept = names[:max_categories]
    rest = names[max_categories:]
    counts = [
        [
            *(tally.get(name, 0) for name in kept),
            sum(tally.get(name, 0) for name in rest),
            tally.get(None, 0),
        ]
        for tally in (first, second)
    ]
    return _psi((*(str(name) for name in kept), OTHER, MISSING), *map(np.array, counts))


def csi(
    expected: Mapping[str, ArrayLike], actual: Mapping[str, ArrayLike], *, n_bins: int = 10
) -> dict[str, Psi]:
    """Characteristic stability: the index of every column that both sides have, largest first.

    Parameters
    ----------
    expected, actual
        Column name → values. Columns of numbers on both sides go through :func:`psi`, all others
        through :func:`psi_categories`.
    n_bins
        For columns of numbers.

    Examples
    --------
    >>> [name for name in csi({"a": [1, 2], "b": ["x", "y"]}, {"a": [1, 2], "b": ["x", "x"]})]
    ['b', 'a']
    """
    found: dict[str, Psi] = {}
    for name in expected:
        if name not in actual:
            continue
        first, second = np.asarray(expected[name]), np.asarray(actual[name])
        if _is_number(first) and _is_number(second):
            found[name] = psi(first, second, n_bins=n_bins)
        else:
            found[name] = psi_categories(first, second)
    return dict(sorted(found.items(), key=lambda item: -item[1].value))


def _psi(bins: tuple[str, ...], expected: NDArray[Any], actual: NDArray[Any]) -> Psi:
    """Leave out bins that are empty on both sides and add up the rest."""
    filled = (expected + actual) > 0
    expected, actual = expected[filled], actual[filled]
    parts = psi_shares(expected, actual)
    kept = tuple(name for name, is_filled in zip(bins, filled, strict=True) if is_filled)
    return Psi(float(parts.sum()), kept, expected / expected.sum(), actual / actual.sum(), parts)


def _numbers(name: str, values: ArrayLike) -> Floats:
    numbers: Floats = np.asarray(values, dtype=np.float64)
    if numbers.size == 0:
        raise DataError(f"psi: {name} has no row")
    return numbers


def _edges(present: Floats, n_bins: int) -> Floats:
    """Cut points, each the last value of its bin; an observed value, so a spike keeps a bin.

    A column of few values, a constant above all, gets a bin on either side as well: otherwise a
    value that was never there before would hide in the bin of its neighbour.
    """
    values = np.unique(present)
    if values.size <= n_bins:
        return np.append(np.nextafter(values[0], -np.inf), values)
    inner = np.linspace(0, 1, n_bins + 1)[1:-1]
    edges: Floats = np.unique(np.quantile(present, inner, method="inverted_cdf"))
    below: Floats = edges[edges < present.max()]
    return below


def _intervals(edges: Floats) -> list[str]:
    if edges.size == 0:
        return ["all values"]
    names = [f"{edge:.6g}" for edge in edges]
    inner = [high if low == high else f"{low} to {high}" for low, high in pairwise(names)]
    return [f"up to {names[0]}", *inner, f"above {names[-1]}"]


def _count(values: Floats, edges: Floats) -> NDArray[np.intp]:
    missing = np.isnan(values)
    place = np.searchsorted(edges, values[~missing], side="left")
    counts = np.bincount(place, minlength=edges.size + 1)
    return np.append(counts, missing.sum())


def _tally(name: str, values: ArrayLike) -> dict[Any, int]:
    column = np.asarray(values, dtype=object)
    if column.size == 0:
        raise DataError(f"psi: {name} has no row")
    # NaN is the one value that differs from itself.
    texts = ["" if value is None or value != value else f"={value}" for value in column]
    unique, counts = np.unique(np.array(texts), return_counts=True)
    return {
        (None if text == "" else str(text)[1:]): int(count)
        for text, count in zip(unique, counts, strict=True)
    }


def _is_number(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "iuf"
