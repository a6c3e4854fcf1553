"""From a raw table to a typed one, with everything that could not be read counted and named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.errors import DataError, SchemaError
from thinfile.schema.column import FEATURE_ROLES, Column
from thinfile.schema.dates import read_date
from thinfile.schema.numbers import read_number

TYPE_CHANGED_SHARE = 0.5
"""A column of which more than this share cannot be read has changed its type: an error."""

TYPE_CHANGED_ROWS = 10
"""… but only from this many unreadable values on, so that one bad row in a small batch passes."""

_FEW_ROWS = 1_000

TRUE_WORDS = ("1", "1.0", "y", "yes", "t", "true", "是", "ja", "oui", "si", "ano")
FALSE_WORDS = ("0", "0.0", "n", "no", "f", "false", "否", "nein", "non", "ne")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A typed table and what was wrong with the raw one.

    Attributes
    ----------
    frame : polars.DataFrame
        Shape (rows, features): number and ordinal as Float64, boolean as Boolean, category as
        String, date as Datetime("us"); null is missing and NaN does not occur.
    faults : list of str
        One line per column at fault: how many rows, the first of them, its value, the rule.
    rejected : numpy.ndarray of bool, shape (rows,)
        Rows that hold a fault in a column with ``on_fault="reject"``.
    """

    frame: pl.DataFrame
    faults: list[str]
    rejected: npt.NDArray[np.bool_]


def parse_columns(columns: Sequence[Column], frame: pl.DataFrame) -> Parsed:
    """Read the feature columns of `frame`; see :meth:`thinfile.schema.model.Schema.parse`."""
    columns = [column for column in columns if column.role in FEATURE_ROLES]
    check_columns(columns, frame)
    present = frame.select(present_values(column, frame.schema[column.name]) for column in columns)
    typed = pl.DataFrame([read_values(column, present[column.name]) for column in columns])
    within = typed.select(_within(column) for column in columns)
    rejected = np.zeros(frame.height, dtype=np.bool_)
    faults: list[str] = []
    refused: list[str] = []
    for column in columns:
        if within[column.name].null_count() == present[column.name].null_count():
            continue
        at_fault = within[column.name].is_null() & present[column.name].is_not_null()
        line = _describe(column, present[column.name], typed[column.name], at_fault)
        if _type_changed(present[column.name], typed[column.name]):
            refused.append(f"{line}; was this file written in another way than the schema says?")
        elif column.on_fault == "raise":
            refused.append(line)
        elif column.on_fault == "reject":
            rejected |= at_fault.to_numpy()
        faults.append(line)
    if refused:
        raise DataError("; ".join(refused))
    return Parsed(within, faults, rejected)


def check_columns(columns: Sequence[Column], frame: pl.DataFrame) -> None:
    """Refuse a frame that lacks columns, or holds one of a type that no role can read."""
    lacking = [column.name for column in columns if column.name not in frame.columns]
    if lacking:
        has = ", ".join(map(repr, frame.columns[:12])) or "none"
        names = ", ".join(map(repr, lacking))
        raise SchemaError(
            f"the table lacks {len(lacking)} of {len(columns)} columns: {names} (it has {has}"
            f"{', …' if frame.width > 12 else ''})"
        )
    unreadable = [
        f"column {column.name!r} is of type {frame.schema[column.name]}, which no role can read"
        for column in columns
        if not readable(frame.schema[column.name])
    ]
    if unreadable:
        raise SchemaError("; ".join(unreadable))


def readable(dtype: pl.DataType) -> bool:
    """Can a column of this type be a feature?"""
    return (
        dtype.is_numeric()
        or dtype in (pl.String, pl.Boolean, pl.Date, pl.Null)
        or isinstance(dtype, (pl.Datetime, pl.Categorical, pl.Enum))
    )


def present_values(column: Column, dtype: pl.DataType) -> pl.Expr:
    """The raw values with everything that stands for "missing" turned to null."""
    raw = pl.col(column.name)
    if dtype.is_float():
        raw = raw.fill_nan(None)
    if dtype.is_numeric():
        codes = [code for code in map(_number_or_none, column.missing) if code is not None]
        value = raw.cast(pl.Float64)
        return pl.when(value.is_in(codes).not_()).then(raw) if codes else raw
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        raw, dtype = raw.cast(pl.String), pl.String()
    if dtype != pl.String:
        return raw
    text = raw.str.strip_chars()
    return pl.when(_missing_text(text, column.missing).not_()).then(text)


def _missing_text(text: pl.Expr, missing: Sequence[str]) -> pl.Expr:
    words = {word.strip().lower() for word in missing} | {""}
    # A code such as "-9" also matches "-9.0" and "-9.00", as another file may write it.
    for word in list(words):
        if _number_or_none(word) is not None and "." not in word:
            words |= {f"{word}.0", f"{word}.00"}
    if len(words) == 1:
        return text == ""
    return text.str.to_lowercase().is_in(sorted(words))


def _number_or_none(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def read_values(column: Column, present: pl.Series) -> pl.Series:
    """Give a column its type; what cannot be read becomes null."""
    costly = column.role == "date" or column.format is not None
    if costly and present.dtype == pl.String and present.len() > _FEW_ROWS:
        return _read_distinct(column, present)
    return present.to_frame().select(read_column(column, present.dtype)).to_series()


def _read_distinct(column: Column, present: pl.Series) -> pl.Series:
    """Read each text once: finding the distinct ones costs a tenth of reading them all."""
    distinct = present.drop_nulls().unique()
    read = distinct.to_frame().select(read_column(column, pl.String())).to_series()
    return read.gather(present.cast(pl.Enum(distinct)).to_physical().cast(pl.UInt32))


def read_column(column: Column, dtype: pl.DataType) -> pl.Expr:
    """The expression that gives a column its type; what cannot be read becomes null."""
    raw = pl.col(column.name)
    if dtype == pl.Null:
        raw, dtype = raw.cast(pl.String), pl.String()
    reader = {
        "number": _number,
        "ordinal": _ordinal,
        "boolean": _boolean,
        "category": _category,
        "date": _date,
    }[column.role]
    return reader(column, raw, dtype).alias(column.name)


def _number(column: Column, raw: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.String:
        return read_number(raw, column.format).fill_nan(None)
    if dtype.is_numeric() or dtype == pl.Boolean:
        return raw.cast(pl.Float64)
    return pl.lit(None, pl.Float64) + raw.is_null()


def _ordinal(column: Column, raw: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if not column.order:
        return _number(column, raw, dtype)
    levels = list(column.order)
    ranks = pl.Series(range(len(levels)), dtype=pl.Float64)
    text = _category(column, raw, dtype)
    return text.replace_strict(levels, ranks, default=None, return_dtype=pl.Float64)


def _boolean(_: Column, raw: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Boolean:
        return raw
    if dtype.is_numeric():
        return pl.when(raw == 1).then(True).when(raw == 0).then(False)
    text = raw.cast(pl.String).str.to_lowercase()
    return pl.when(text.is_in(TRUE_WORDS)).then(True).when(text.is_in(FALSE_WORDS)).then(False)


def _category(column: Column, raw: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype.is_float():
        whole = raw.cast(pl.Int64, strict=False)
        same = whole.cast(pl.Float64) == raw
        return pl.when(same).then(whole.cast(pl.String)).otherwise(raw.cast(pl.String))
    text = raw.cast(pl.String)
    if column.format == "code":
        text = text.str.replace(r"^([+-]?\d+)\.0*$", "$1")
    return text


def _date(column: Column, raw: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone:
            raw = raw.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return raw.cast(pl.Datetime("us"))
    if dtype == pl.Date:
        return raw.cast(pl.Datetime("us"))
    if dtype.is_integer() or dtype.is_float():
        width = 6 if column.format == "%y%m%d" else 8
        raw = raw.cast(pl.Int64, strict=False).cast(pl.String).str.zfill(width)
    return read_date(raw.cast(pl.String), column.format, column.pivot)


def _within(column: Column) -> pl.Expr:
    value = pl.col(column.name)
    tests = []
    if column.role == "number":
        tests.append(value.is_finite())
    if column.minimum is not None:
        tests.append(value >= _end(column, column.minimum))
    if column.maximum is not None:
        tests.append(value <= _end(column, column.maximum))
    return pl.when(pl.all_horizontal(tests)).then(value) if tests else value


def _end(column: Column, end: float | str) -> Any:
    return datetime.fromisoformat(str(end)) if column.role == "date" else end


def _type_changed(present: pl.Series, typed: pl.Series) -> bool:
    unread = typed.null_count() - present.null_count()
    return unread >= TYPE_CHANGED_ROWS and unread > TYPE_CHANGED_SHARE * present.count()


def _describe(column: Column, present: pl.Series, typed: pl.Series, at_fault: pl.Series) -> str:
    row = int(at_fault.arg_max() or 0)
    count, unread = int(at_fault.sum()), typed.null_count() - present.null_count()
    parts = []
    if unread:
        parts.append(f"cannot be read as {_wanted(column)}")
    if unread < count:
        parts.append(_outside(column, typed.filter(at_fault)))
    return (
        f"column {column.name!r}: {count} of {present.len()} rows {' or '.join(parts)} "
        f"(first: row {row}, {present[row]!r})"
    )


def _outside(column: Column, values: pl.Series) -> str:
    rules = []
    if column.role == "number" and values.is_infinite().any():
        rules.append("are infinite")
    if column.minimum is not None and (values < _end(column, column.minimum)).any():
        rules.append(f"lie below {column.minimum}")
    if column.maximum is not None and (values > _end(column, column.maximum)).any():
        rules.append(f"lie above {column.maximum}")
    return " or ".join(rules)


def _wanted(column: Column) -> str:
    if column.order:
        return f"one of {len(column.order)} levels ({column.order[0]!r} … {column.order[-1]!r})"
    form = f" {column.format!r}" if column.format else ""
    return f"a {column.role}{form}"
