"""What every metric asks of its arguments, checked in one place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thinfile.errors import DataError

Floats = NDArray[np.float64]


def check_labels(y: ArrayLike, *, both_classes: bool = True) -> Floats:
    """Return `y` as floats of 0 and 1, or say which values do not belong there."""
    labels = np.asarray(y)
    if labels.ndim != 1:
        raise DataError(f"y has {labels.ndim} dimensions, it must have one")
    wrong = (labels != 0) & (labels != 1)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise DataError(
            f"y: {int(wrong.sum())} of {labels.size} values are neither 0 nor 1 "
            f"(first: row {first}, {labels[first]})"
        )
    values: Floats = labels.astype(np.float64)
    if both_classes and (values.size == 0 or values.min() == values.max()):
        n_ones = int(values.sum())
        raise DataError(
            f"y has {n_ones} rows of class 1 and {values.size - n_ones} of class 0: both are needed"
        )
    return values


def check_values(name: str, values: ArrayLike, n_rows: int | None = None) -> Floats:
    """Return one finite float per row, or say which row has none."""
    array: Any = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise DataError(f"{name} has {array.ndim} dimensions, it must have one")
    if n_rows is not None and array.size != n_rows:
        raise DataError(f"{name} has {array.size} rows and y has {n_rows}")
    wrong = ~np.isfinite(array)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise DataError(
            f"{name}: {int(wrong.sum())} of {array.size} values are not finite "
            f"(first: row {first}, {array[first]})"
        )
    checked: Floats = array
    return checked


def check_weight(weight: ArrayLike | None, n_rows: int) -> Floats:
    """Return one weight ≥ 0 per row; ones where none are given."""
    if weight is None:
        return np.ones(n_rows)
    checked = check_values("weight", weight, n_rows)
    if (checked < 0).any():
        first = int(np.argmax(checked < 0))
        n_negative = int((checked < 0).sum())
        raise DataError(
            f"weight: {n_negative} of {n_rows} values are negative "
            f"(first: row {first}, {checked[first]})"
        )
    return checked


def check_probability(probability: ArrayLike, n_rows: int | None = None) -> Floats:
    """Return one probability in [0, 1] per row."""
    checked = check_values("probability", probability, n_rows)
    wrong = (checked < 0) | (checked > 1)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise DataError(
            f"probability: {int(wrong.sum())} of {checked.size} values are outside [0, 1] "
            f"(first: row {first}, {checked[first]})"
        )
    return checked
