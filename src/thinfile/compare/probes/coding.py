"""Columns of two tables as whole numbers that mean the same in both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.compare.probes.finding import Finding
from thinfile.compare.probes.strength import Labels

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tables:
    """Labelled rows of a train and a test table, with the columns that both have.

    Attributes
    ----------
    train, test : polars.DataFrame
    y_train, y_test : ndarray
        1 or 0.
    """

    train: pl.DataFrame
    y_train: Labels
    test: pl.DataFrame
    y_test: Labels

    @property
    def columns(self) -> list[str]:
        """Columns that can be probed: no lists, structs or binary."""
        return [
            name
            for name in self.train.columns
            if name in self.test.columns and not _is_opaque(self.train[name].dtype)
        ]

    def without(self, found: Iterable[Finding]) -> Tables:
        """The same rows without the columns that a finding has flagged."""
        flagged = [each.subject for each in found if each.flagged]
        return replace(
            self,
            train=self.train.drop(flagged, strict=False),
            test=self.test.drop(flagged, strict=False),
        )

    def codes(self, column: str) -> Code:
        """Each value of a column as a number from 0 on, alike in both tables; null is a value."""
        both = one_below_the_other(self.train[column], self.test[column])
        ranks = both.rank("dense").fill_null(0).to_numpy().astype(np.int64)
        return Code(ranks[: self.train.height], ranks[self.train.height :], int(ranks.max()) + 1)


@dataclass(frozen=True)
class Code:
    """The codes of a column; `n` is one more than the largest."""

    train: Codes
    test: Codes
    n: int


def pair(codes: Sequence[Code]) -> Code:
    """One code for the values of one column, or of two together."""
    if len(codes) == 1:
        return codes[0]
    first, other = codes
    # Both are ranks of at most as many values as there are rows: their product fits into 64 bits.
    return Code(
        first.train * other.n + other.train, first.test * other.n + other.test, first.n * other.n
    )


def one_below_the_other(train: pl.Series, test: pl.Series) -> pl.Series:
    """A column of both tables; as text where they do not have one type."""
    parts = [_plain(train), _plain(test)]
    if parts[0].dtype != parts[1].dtype:
        both = all(part.dtype.is_numeric() for part in parts)
        parts = [part.cast(pl.Float64 if both else pl.String) for part in parts]
    return pl.concat(parts)


def is_numeric(series: pl.Series) -> bool:
    """Whether values have an order and a distance."""
    return series.dtype.is_numeric() or series.dtype.is_temporal()


def as_floats(series: pl.Series) -> npt.NDArray[np.float64]:
    """Numbers and times as floats, NaN where missing or not finite."""
    physical = series.to_physical() if series.dtype.is_temporal() else series
    values = physical.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def _plain(series: pl.Series) -> pl.Series:
    """Categories and floats in a form in which equal values are equal in both tables."""
    if isinstance(series.dtype, (pl.Categorical, pl.Enum)):
        return series.cast(pl.String)
    if series.dtype.is_float():
        return series.fill_nan(None)
    return series.cast(pl.Int64) if series.dtype.is_integer() else series


def _is_opaque(dtype: pl.DataType) -> bool:
    return dtype.is_nested() or dtype in (pl.Binary, pl.Object)
