"""Categories as codes: a vocabulary from training rows, and every value through it."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

MISSING, RARE, FIRST = 0, 1, 2
"""Codes of a category: missing, unseen or rare, and the first word of the vocabulary."""


def count_values(values: pl.Series) -> pl.DataFrame:
    """Distinct values (value) and how often each occurs (n), most frequent first, ties by text."""
    counts = values.drop_nulls().alias("value").value_counts(name="n")
    return counts.sort(["n", "value"], descending=[True, False])


def fit_vocabulary(counts: pl.DataFrame, max_categories: int, min_count: int) -> list[str]:
    """The words that get a code of their own, most frequent first.

    Parameters
    ----------
    counts : polars.DataFrame
        As from :func:`count_values`.
    max_categories : int
        Keep at most so many.
    min_count : int
        Leave out what occurs less often.
    """
    kept = counts.filter(pl.col("n") >= min_count)
    return kept["value"].head(max_categories).to_list()


def code_expression(text: pl.Expr, vocabulary: Sequence[str]) -> pl.Expr:
    """0 for null, 1 for what the vocabulary lacks, else 2 and on; Int32."""
    other = text.is_not_null().cast(pl.Int32)
    if not vocabulary:
        return other
    known = text.cast(pl.Enum(vocabulary), strict=False).to_physical().cast(pl.Int32)
    return (known + FIRST).fill_null(other)
