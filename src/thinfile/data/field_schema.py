"""A schema for fields: ids as categories whatever their numbers look like, lists as joined text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import polars as pl

from thinfile.errors import DataError
from thinfile.schema.column import FEATURE_ROLES, Column
from thinfile.schema.model import Schema
from thinfile.schema.parse import Parsed

UNIT = "\x1f"
"""Stands between the values of a list that was joined: ASCII's unit separator."""

EXACT = 2.0**53
"""From here on not every whole number is a float."""


class FieldSchema(Schema):
    """A schema that reads list columns too, as text with `UNIT` between the values."""

    __slots__ = ()

    def parse(self, frame: pl.DataFrame) -> Parsed:
        """Read the feature columns of a raw table; see `Schema.parse`."""
        return super().parse(join_lists(frame, self.features))


def field_schema(
    base: Schema,
    frame: pl.DataFrame,
    sparse: Sequence[str],
    multi_valued: Mapping[str, str],
    *,
    inferred: bool,
) -> tuple[FieldSchema, dict[str, str]]:
    """A schema in which ids and lists are features, and the separator of each multi-valued column.

    Parameters
    ----------
    base : Schema
        As inferred or given.
    frame : polars.DataFrame
        The raw table.
    sparse : sequence of str
        Columns to be read as categories: ids of any kind.
    multi_valued : mapping of str to str
        Column to the separator of its values. List columns of text or whole numbers are
        multi-valued unasked.
    inferred : bool
        Whether the schema is a conclusion: then no id is taken for a code of "missing".

    Raises
    ------
    DataError
        If the table lacks a column that is named, or a name is in both.
    """
    _check_names(frame, sparse, multi_valued)
    separators = {
        name: UNIT if _is_list(frame.schema[name]) else mark for name, mark in multi_valued.items()
    }
    for column in base.columns:
        if column.name in frame.columns and _is_bag(frame.schema[column.name], column):
            separators.setdefault(column.name, UNIT)
    missing = {column.name: () if inferred else column.missing for column in base.columns}
    notes = _notes_without(base, [*sparse, *separators])
    for name in sparse:
        base = base.with_column(Column(name, "category", "code", missing.get(name, ())))
    for name in separators:
        base = base.with_column(Column(name, "category", None, missing.get(name, ())))
    return FieldSchema(base.columns, notes), separators


def left_out(schema: Schema, name: str) -> FieldSchema:
    """The schema without one of its features."""
    kept = [
        replace(column, role="ignored", format=None, order=()) if column.name == name else column
        for column in schema.columns
    ]
    return FieldSchema(tuple(kept), schema.notes)


def join_lists(frame: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """The table with the list columns among `names` as text; an empty list is missing.

    Raises
    ------
    DataError
        If a list holds lists or records.
    """
    lists = [n for n in names if n in frame.columns and _is_list(frame.schema[n])]
    deep = [f"column {n!r} is of type {frame.schema[n]}" for n in lists if _is_deep(frame, n)]
    if deep:
        raise DataError(f"{'; '.join(deep)}: the values of a list must be plain")
    return frame.with_columns(_joined(name, frame.schema[name]) for name in lists)


def inexact_ids(frame: pl.DataFrame, names: Iterable[str]) -> list[str]:
    """Columns of ids in floats so large that two ids may have become one, a line for each."""
    lines = []
    for name in names:
        if name not in frame.columns or not frame.schema[name].is_float():
            continue
        large = (frame[name].abs() >= EXACT) & frame[name].is_finite()
        if large.any():
            row = int(large.arg_max() or 0)
            lines.append(
                f"column {name!r}: {large.sum()} of {frame.height} ids are floats of 2^53 or more, "
                f"where neighbours fall together; give whole numbers or text (first: row {row}, "
                f"{frame[name][row]!r})"
            )
    return lines


def _check_names(
    frame: pl.DataFrame, sparse: Sequence[str], multi_valued: Mapping[str, str]
) -> None:
    faults = []
    for argument, names in (("sparse", sparse), ("multi_valued", multi_valued)):
        lacking = [name for name in names if name not in frame.columns]
        if lacking:
            faults.append(f"{argument} names {', '.join(map(repr, lacking))}, no columns of X")
    if both := [name for name in sparse if name in multi_valued]:
        faults.append(f"{', '.join(map(repr, both))} are in sparse and in multi_valued")
    if faults:
        raise DataError("; ".join(faults))


def _notes_without(schema: Schema, names: Sequence[str]) -> tuple[str, ...]:
    settled = tuple(f"column {name!r}: " for name in names)
    return tuple(note for note in schema.notes if not note.startswith(settled))


def _is_list(dtype: pl.DataType) -> bool:
    return isinstance(dtype, (pl.List, pl.Array))


def _is_bag(dtype: pl.DataType, column: Column) -> bool:
    """Is it a list of names, in a column that nobody gave another role?"""
    if not isinstance(dtype, (pl.List, pl.Array)):
        return False
    inner: pl.DataType = dtype.inner  # type: ignore[assignment]
    named = inner == pl.String or inner.is_integer() or isinstance(inner, (pl.Categorical, pl.Enum))
    return named and column.role in (*FEATURE_ROLES, "ignored")


def _is_deep(frame: pl.DataFrame, name: str) -> bool:
    dtype = frame.schema[name]
    return dtype.inner.is_nested()  # type: ignore[attr-defined,no-any-return]


def _joined(name: str, dtype: pl.DataType) -> pl.Expr:
    values = pl.col(name)
    if isinstance(dtype, pl.Array):
        values = values.arr.to_list()
    element = pl.element()
    if dtype.inner.is_float():  # type: ignore[attr-defined]
        whole = element.cast(pl.Int64, strict=False)
        same = whole.cast(pl.Float64) == element.cast(pl.Float64)
        text = pl.when(same).then(whole.cast(pl.String)).otherwise(element.cast(pl.String))
        values = values.list.eval(pl.when(element.is_not_nan()).then(text))
    return values.cast(pl.List(pl.String)).list.join(UNIT, ignore_nulls=True)
