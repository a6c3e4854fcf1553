"""Columns of a long table as windows need them: an order of its rows, and numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile.errors import DataError, SchemaError
from thinfile.schema.column import Column
from thinfile.schema.model import Schema
from thinfile.schema.numbers import NUMBER_FORMATS

EARLIEST_YEAR = 1000
"""A text that reads as an earlier date, such as "Jan 2024" as 20 January 24, was misread."""

_MONTH = r"^\s*(0?[1-9]|1[0-2])\s*[./-]\s*(\d{4})\s*$"


def order_of(frame: pl.DataFrame, name: str) -> pl.Series:
    """Values to sort rows by: text is read as dates or numbers first.

    Raises
    ------
    DataError
        If it is text that is neither.

    Examples
    --------
    >>> order_of(pl.DataFrame({"month": ["01.2024", "01.2025", "02.2024"]}), "month").to_list()
    [24289, 24301, 24290]
    """
    column = frame[name]
    if not isinstance(column.dtype, (pl.String, pl.Categorical, pl.Enum)):
        return column
    column = column.cast(pl.String)
    months = _months(column)
    if not months.null_count():
        return months
    numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
    if not numbers.null_count() or column.n_unique() == 1:
        return numbers
    table = column.to_frame()
    known = Schema.infer(table)[name]
    found = _read(table, known) if known.role in ("date", "number") else None
    if found is None or found.null_count() or _is_misread(found):
        raise DataError(
            f"column {name!r} holds texts such as {column[0]!r}, which cannot be read as times or "
            "numbers, so the rows have no order: write the times as 2024-01-31, or hand over a "
            "column of dates"
        )
    return found


def numbers_of(frame: pl.DataFrame, name: str) -> NDArray[np.float64]:
    """A channel as numbers, NaN for an empty cell; text such as ``1,200.50 €`` is read.

    Raises
    ------
    DataError
        If it holds no numbers.
    """
    column = frame[name]
    if column.dtype == pl.String:
        column = _text_numbers(column)
    elif not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        raise DataError(
            f"column {name!r} is {column.dtype}, a channel must hold numbers: turn it into "
            "numbers, or leave it out of the channels"
        )
    numbers: NDArray[np.float64] = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return numbers


def _months(column: pl.Series) -> pl.Series:
    """Months since year 0 of texts such as 01.2024, null for others."""
    parts = column.str.extract_groups(_MONTH).struct.unnest().cast(pl.Int64)
    return parts.select((pl.nth(1) * 12 + pl.nth(0)).alias(column.name)).to_series()


def _text_numbers(column: pl.Series) -> pl.Series:
    table = column.to_frame()
    known = Schema.infer(table)[column.name]
    formats = (known.format,) if known.role == "number" else (None, *NUMBER_FORMATS)
    for form in formats:
        found = _read(table, replace(known, role="number", format=form, order=()))
        if found is not None:
            return found
    odd = _odd_one(table)
    raise DataError(
        f"column {column.name!r} holds texts such as {odd!r}, which is no number; a channel must "
        "hold numbers: turn the text into numbers, or leave it out of the channels"
    )


def _read(table: pl.DataFrame, column: Column) -> pl.Series | None:
    """The column as the schema reads it, None where a value breaks its rule."""
    try:
        return Schema((replace(column, on_fault="raise"),)).parse(table).frame[column.name]
    except (SchemaError, DataError):
        return None


def _odd_one(table: pl.DataFrame) -> str:
    """The first text that is no number in any way of writing, or the first of all."""
    column = table.to_series()
    texts = column.drop_nulls()
    name = column.name
    plain = [Column(name, "number", format=form) for form in (None, *NUMBER_FORMATS)]
    for text in texts.unique(maintain_order=True).head(1000).to_list():
        if text.strip() and all(
            _read(pl.DataFrame({name: [text]}), each) is None for each in plain
        ):
            return str(text)
    return str(texts[0])


def _is_misread(values: pl.Series) -> bool:
    return bool(values.dtype.is_temporal() and (values.dt.year() < EARLIEST_YEAR).any())
