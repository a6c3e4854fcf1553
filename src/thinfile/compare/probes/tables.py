"""All probes of a plain table with a label, in one call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from thinfile.compare.probes.coding import Code, Tables
from thinfile.compare.probes.constancy import MAX_VALUES, probe_constancy
from thinfile.compare.probes.finding import Finding
from thinfile.compare.probes.label_copy import probe_label
from thinfile.compare.probes.pair_memory import probe_memory
from thinfile.compare.probes.single_column import LIMIT, probe_columns
from thinfile.compare.probes.statistics import probe_statistics
from thinfile.errors import DataError

MAX_KEYS, MAX_NUMBERS = 5, 3
"""Texts, and whole numbers, with the most values that are looked at as keys, alone and in pairs."""
MIN_REPEATS = 1.2
"""Rows per value below which a column is an id of the row and no key; twice that of numbers."""
MAX_ATTRIBUTES = 50


def probe_tables(
    train: pl.DataFrame,
    y_train: ArrayLike,
    test: pl.DataFrame,
    y_test: ArrayLike,
    *,
    label: str | None = None,
    keys: Sequence[str] | None = None,
    column_limit: float = LIMIT,
) -> list[Finding]:
    """Ask a table the questions that a table with a leak answers wrongly.

    Use it before any figure is believed. It looks for: one column that alone knows the answer
    (AUC above 0.95); keys or pairs of keys that were seen positive in training and are positive
    again (AUC above 0.9); an attribute fixed per key in one class only; a label among the
    features, by value or by name; columns scaled with the help of the test rows. It does *not*
    find a leak that is merely strong: a call's duration, which is known only after the call,
    reaches an AUC of 0.82 in the bank-marketing data and raises nothing. When a column is filled
    in is a question for those who fill it in.

    Parameters
    ----------
    train, test
        Features as methods see them; columns that only one of them has, and lists, are left out.
    y_train, y_test : (rows,)
        1, 0, or -1 for "no label"; such rows are left out.
    label
        Name of the label, to find it among the columns.
    keys
        Columns that say who or what a row is about (customer, item). By default the five texts
        and three whole numbers with the most values that repeat.
    column_limit : float in (0.5, 1)
        AUC above which one column alone is flagged.

    Returns
    -------
    list of Finding
        For each probe, every leak found or else one finding that says what was looked at.

    Raises
    ------
    DataError
        If lengths differ, a label is none of 1, 0, -1, or a key is not in both tables.

    Examples
    --------
    >>> table = pl.DataFrame({"income": [float(i % 7) for i in range(200)]})
    >>> y = np.arange(200) % 2
    >>> table = table.with_columns(status=pl.Series(np.where(y == 1, "closed", "open")))
    >>> found = probe_tables(table[:100], y[:100], table[100:], y[100:])
    >>> [each.subject for each in found if each.flagged]
    ['status']
    """
    tables = _labelled(train, y_train, test, y_test)
    missing = [name for name in keys or () if name not in tables.columns]
    if missing:
        raise DataError(f"keys {missing} are not columns of both tables")
    if not (tables.train.height and tables.test.height):
        words = "There are no labelled rows to look at."
        return [Finding("single column", "", None, None, False, words)]
    found = probe_label(tables, label)
    # What is flagged already would only be found again by the next probes.
    tables = tables.without(found)
    found += probe_columns(tables, keys or (), limit=column_limit)
    tables = tables.without(found)
    codes = {name: tables.codes(name) for name in _keys(tables, keys)}
    return [
        *found,
        *probe_memory(tables, codes),
        *probe_constancy(tables, codes, _attributes(tables, codes)),
        *probe_statistics(tables),
    ]


def _labelled(
    train: pl.DataFrame, y_train: ArrayLike, test: pl.DataFrame, y_test: ArrayLike
) -> Tables:
    kept = []
    for name, table, given in (("train", train, y_train), ("test", test, y_test)):
        y = np.asarray(given)
        if y.shape != (table.height,):
            raise DataError(f"{name}: {table.height} rows but labels of shape {y.shape}")
        wrong = np.flatnonzero(~np.isin(y, (1, 0, -1)))
        if len(wrong):
            raise DataError(
                f"{name}: {len(wrong)} of {len(y)} labels are none of 1, 0, -1 "
                f"(first: row {wrong[0]}, {y[wrong[0]]!r})"
            )
        known = y != -1
        kept.append((table.filter(pl.Series(known)), y[known].astype(np.int8)))
    return Tables(kept[0][0], kept[0][1], kept[1][0], kept[1][1])


def _keys(tables: Tables, given: Sequence[str] | None) -> list[str]:
    if given is not None:
        return [name for name in given if name in tables.columns]
    texts: list[tuple[int, str]] = []
    numbers: list[tuple[int, str]] = []
    for name in tables.columns:
        is_number = tables.train[name].dtype.is_numeric()
        kept, repeats = (numbers, 2 * MIN_REPEATS) if is_number else (texts, MIN_REPEATS)
        n_values = tables.train[name].n_unique()
        if 1 < n_values <= tables.train.height / repeats and _names(tables.train[name]):
            kept.append((-n_values, name))
    chosen = sorted(texts)[:MAX_KEYS] + sorted(numbers)[:MAX_NUMBERS]
    return [name for _, name in sorted(chosen)]


def _names(values: pl.Series) -> bool:
    """Whether a column may name things: text, categories and whole numbers."""
    if not values.dtype.is_float():
        return not values.dtype.is_temporal()
    known = values.drop_nulls().drop_nans()
    return bool((known == known.floor()).all())


def _attributes(tables: Tables, codes: dict[str, Code]) -> dict[str, Code]:
    sizes = {name: tables.train[name].n_unique() for name in tables.columns}
    able = [name for name, size in sizes.items() if 1 < size <= MAX_VALUES][:MAX_ATTRIBUTES]
    return {name: codes.get(name) or tables.codes(name) for name in able}
