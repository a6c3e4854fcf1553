"""Columns of a map's rows, as colours, islands and rules need them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

MAX_WORDS = 254
"""Values of a category that keep their name; rarer ones are "(other)"."""

N_CUTS = 63
"""Most places at which a rule may cut a number."""

OTHER = "(other)"


@dataclass(frozen=True)
class MapColumn:
    """One column of a map's rows.

    Attributes
    ----------
    name : str
    kind : str
        "number", "date" (days since 1970) or "category".
    role : str
        "feature" (the model reads it), "label", "score" or "other". Rules use features only.
    values : ndarray of shape (rows,)
        float32, NaN for missing; or for a category the place in `words` as uint8, 0 for missing.
    words : list of str
        Values of a category, the missing one first.
    cuts : list of float
        Where a rule may cut a number: between two values that occur, in few digits.
    """

    name: str
    kind: str
    role: str
    values: npt.NDArray[Any]
    words: list[str] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)


def columns_of(frame: pl.DataFrame, roles: Mapping[str, str]) -> list[MapColumn]:
    """Every column of a typed frame that can be shown.

    Parameters
    ----------
    frame
        Typed columns: numbers, booleans, dates, text.
    roles
        Name to role; columns without one are "other". Lists and other compounds are left out.
    """
    found = []
    for series in frame:
        role = roles.get(series.name, "other")
        dtype = series.dtype
        if dtype.is_numeric() or dtype in (pl.Date,) or isinstance(dtype, pl.Datetime):
            found.append(_number(series, role))
        elif dtype in (pl.String, pl.Boolean):
            found.append(_category(series, role))
    return found


def as_typed(series: pl.Series) -> pl.Series:
    """A raw column with its plainest type: text that holds numbers only becomes numbers."""
    if series.dtype != pl.String:
        return series
    text = series.str.strip_chars()
    text = text.set(text == "", None)
    number = text.cast(pl.Float64, strict=False)
    same = number.null_count() == text.null_count() and number.null_count() < len(number)
    return number if same else text


def _number(series: pl.Series, role: str) -> MapColumn:
    kind = "number" if series.dtype.is_numeric() else "date"
    if kind == "date":
        series = series.cast(pl.Datetime("us")).cast(pl.Int64) / 86_400_000_000
    values = series.cast(pl.Float64).to_numpy().astype(np.float32)
    values = np.where(np.isfinite(values), values, np.float32(np.nan))
    return MapColumn(series.name, kind, role, values, cuts=cuts_of(values))


def _category(series: pl.Series, role: str) -> MapColumn:
    text = series.cast(pl.String)
    counts = text.rename("word").drop_nulls().value_counts(name="n")
    counts = counts.sort(["n", "word"], descending=[True, False])
    words = [str(word) for word in counts["word"].head(MAX_WORDS).to_list()]
    place = {word: at for at, word in enumerate(words, start=1)}
    if counts.height > MAX_WORDS:
        words.append(OTHER)
    codes = text.replace_strict(place, default=len(words), return_dtype=pl.Int32)
    codes = codes.set(text.is_null(), 0)
    return MapColumn(series.name, "category", role, codes.to_numpy().astype(np.uint8), ["", *words])


def cuts_of(values: npt.NDArray[np.float32]) -> list[float]:
    """Places between values that occur, at most 63, in equal shares of the rows.

    Examples
    --------
    >>> cuts_of(np.array([1, 1, 2, 10, np.nan], dtype=np.float32))
    [1.5, 6.0]
    """
    present = np.sort(values[np.isfinite(values)].astype(np.float64))
    if not len(present):
        return []
    distinct = np.unique(present)
    if len(distinct) <= N_CUTS + 1:
        lower = np.arange(len(distinct) - 1)
    else:
        wanted = present[np.arange(1, N_CUTS + 1) * len(present) // (N_CUTS + 1)]
        lower = np.unique(np.searchsorted(distinct, wanted))
        lower = lower[lower < len(distinct) - 1]
    return [short_between(float(distinct[at]), float(distinct[at + 1])) for at in lower]


def short_between(low: float, high: float) -> float:
    """A number with few digits, at least `low` and less than `high`.

    Examples
    --------
    >>> short_between(1.0, 10.0), short_between(0.1234, 0.1239), short_between(2.0, 2.5)
    (6.0, 0.1236, 2.2)
    """
    middle = low + (high - low) / 2
    for digits in range(17):
        size = math.floor(math.log10(abs(middle))) if middle else 0
        rounded = round(middle, digits - size)
        if low <= rounded < high and (digits or rounded != low):
            return float(rounded)
    return low
