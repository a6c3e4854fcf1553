"""Categories as codes: a vocabulary from training rows, and every value through it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl


def fit_vocabulary(values: pl.Series, max_categories: int, min_count: int) -> list[str]:
    """The most frequent values of a column, most frequent first, ties in order of the text.

    Parameters
    ----------
    values : polars.Series of type String
        Null is missing and does not count.
    max_categories : int
        Keep at most so many.
    min_count : int
        Leave out what occurs less often.
    """
    counts = values.drop_nulls().alias("value").value_counts(name="n")
    kept = counts.filter(pl.col("n") >= min_count).sort(["n", "value"], descending=[True, False])
    return kept["value"].head(max_categories).to_list()


def to_codes(values: pl.Series, vocabulary: Sequence[str]) -> npt.NDArray[np.int32]:
    """0 for null, 1 for what the vocabulary lacks, else 2 and on; shape (rows,)."""
    if not vocabulary:
        return values.is_not_null().cast(pl.Int32).to_numpy()
    known = values.cast(pl.Enum(vocabulary), strict=False).to_physical().cast(pl.Int32) + 2
    return known.fill_null(values.is_not_null().cast(pl.Int32)).to_numpy()
