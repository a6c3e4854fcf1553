"""Errors of encoded columns as errors of the table's own columns, and the worst of each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

FloatArray = npt.NDArray[np.float64]

N_LARGEST = 3
"""Columns that "largest" looks at: an alert names about as many."""

TINY = 1e-12
"""Least usual error: a column that always comes back whole must not be divided by zero."""


def usual_errors(errors: FloatArray) -> FloatArray:
    """Mean error of each column, shape (columns,), above zero."""
    mean: FloatArray = errors.mean(axis=0, dtype=np.float64)
    # Far below the others' it is rounding, and would make anything look unusual.
    least = max(TINY, 1e-3 * float(np.median(mean)))
    return np.maximum(mean, least)


def row_errors(errors: FloatArray, usual: FloatArray, kind: str) -> FloatArray:
    """One error for each row, shape (rows,).

    Parameters
    ----------
    errors
        (rows, encoded columns).
    usual
        (encoded columns,), from :func:`usual_errors`.
    kind
        "mean": of the errors as they are; "standardised": of errors over usual errors;
        "largest": of the `N_LARGEST` largest of these.
    """
    if kind != "mean":
        errors = errors / usual
    if kind == "largest" and errors.shape[1] > N_LARGEST:
        errors = np.partition(errors, -N_LARGEST, axis=1)[:, -N_LARGEST:]
    row: FloatArray = errors.mean(axis=1)
    return row


def raw_column_errors(
    errors: FloatArray, columns: Sequence[str], features: Sequence[str]
) -> pl.DataFrame:
    """Sum over the encoded columns of each raw column; 0 for those that were left out.

    Parameters
    ----------
    errors
        (rows, encoded columns).
    columns
        The raw column of each encoded one.
    features
        Raw columns, in the order wanted.
    """
    sums = {name: np.zeros(len(errors)) for name in features}
    for place, name in enumerate(columns):
        sums[name] = sums[name] + errors[:, place]
    return pl.DataFrame(sums)


def most_unusual(
    errors: pl.DataFrame, shown: pl.DataFrame, expected: pl.DataFrame, n: int
) -> pl.DataFrame:
    """The n columns of each row with the largest errors; see `Autoencoder.explain`."""
    table = errors.to_numpy()
    total = np.maximum(table.sum(axis=1), TINY)
    worst = np.argsort(-table, axis=1, kind="stable")[:, :n]
    lines: list[dict[str, Any]] = []
    for row, places in enumerate(worst.tolist()):
        for rank, place in enumerate(places, start=1):
            name = errors.columns[place]
            lines.append(
                {
                    "row": row,
                    "rank": rank,
                    "column": name,
                    "value": as_text(shown[name][row]),
                    "expected": as_text(expected[name][row]),
                    "error": float(table[row, place]),
                    "share": float(table[row, place] / total[row]),
                }
            )
    return pl.DataFrame(lines)


def as_text(value: Any) -> str:
    """A cell as people write it."""
    if value is None:
        return "missing"
    if isinstance(value, float):
        return f"{value:.6g}"
    if hasattr(value, "isoformat"):
        text: str = value.isoformat(sep=" ")
        return text.removesuffix(" 00:00:00")
    return str(value)
