"""What a comparison is about: one table of two populations, labels, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.compare.repeats import find_repeats
from thinfile.data.labels import check_classes, read_labels
from thinfile.errors import DataError
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

Rows = npt.NDArray[np.intp]

MAX_LOST = 0.5
"""Share of a text column's values that may not read as the other file's do."""
SAMPLE_ROWS = 5_000
"""Values of a text column that are looked at to tell what it holds."""
MAX_NAMED = 3
"""Populations whose names are joined to that of the source; more are called "all other"."""


@dataclass(frozen=True)
class Task:
    """Source rows first, then target rows; all arrays in that order, n rows.

    Attributes
    ----------
    features : polars.DataFrame
        Raw columns that both populations have, without label, population and ids.
    y : ndarray of shape (n,)
        1, 0, or -1 where the label is not known.
    is_target : ndarray of shape (n,)
    schema : Schema
        Inferred from both populations, or given.
    label, source_name, target_name : str
    notes : tuple of str
        What was found and done while the tables were put together.
    """

    features: pl.DataFrame
    y: npt.NDArray[np.int8]
    is_target: npt.NDArray[np.bool_]
    schema: Schema
    label: str
    source_name: str
    target_name: str
    notes: tuple[str, ...]

    @property
    def source(self) -> Rows:
        """Positions of the source's labelled rows."""
        return np.flatnonzero(~self.is_target & (self.y >= 0))

    @property
    def target(self) -> Rows:
        """Positions of all target rows."""
        return np.flatnonzero(self.is_target)

    @property
    def target_labelled(self) -> Rows:
        """Positions of the target rows whose label is known."""
        return np.flatnonzero(self.is_target & (self.y >= 0))

    def domain(self, rows: Rows) -> npt.NDArray[np.object_]:
        """Population names of rows, as `fit` takes them."""
        names = np.where(self.is_target[rows], self.target_name, self.source_name)
        return names.astype(object)

    def rate(self, rows: Rows) -> float:
        """Share of events among labelled rows."""
        known = self.y[rows][self.y[rows] >= 0]
        return float(known.mean()) if len(known) else float("nan")


def build_task(
    source: pl.DataFrame,
    target: pl.DataFrame,
    *,
    label: str,
    schema: Schema | None = None,
    source_name: str = "source",
    target_name: str = "target",
    event: str | None = None,
    label_in_target: bool = True,
    notes: Sequence[str] = (),
) -> Task:
    """Put two tables together.

    Parameters
    ----------
    source, target
        Raw tables; the label may be missing in rows of the target.
    label
        Name of the label column, in both.
    schema
        Corrected by hand; None infers it from both tables together.
    source_name, target_name
        What messages and pictures call them.
    event
        Label value that is the event; None where it is plain (0/1, no/yes, good/bad, ...).
    label_in_target
        False takes a target without the label column as one without labels.
    notes
        What was found in the tables before; goes first.

    Raises
    ------
    DataError
        If there is no label column, the label has more than two values or none that is plainly
        the event, a population is empty, the source has one class only, or no feature is shared.
    """
    names = (source_name, target_name)
    said = list(notes)
    if not label_in_target:
        target = _with_label(target, target_name, label, said)
    for name, table in zip(names, (source, target), strict=True):
        _check_table(table, name, label)
    shared = _shared_columns(source, target, label, said, names)
    features = _stack(source, target, shared, names, said, is_given=schema is not None)
    y = read_labels(source[label], target[label], label, said, names=names, event=event)
    check_classes(y[: source.height], source_name, source[label])
    if schema is None:
        schema = Schema.infer(features)
        said += schema.notes
    known = _usable(schema, shared, names)
    # Ids stay in the schema: scores are handed out beside them.
    columns = tuple(c for c in schema.columns if c.name in known or c.role == "id")
    ids = [c.name for c in columns if c.role == "id"]
    said += find_repeats(features, ids, known, y, source.height, names)
    return Task(
        features=features.select(known),
        y=y,
        is_target=np.arange(len(y)) >= source.height,
        schema=Schema(columns, schema.notes),
        label=label,
        source_name=source_name,
        target_name=target_name,
        notes=tuple(said),
    )


def _check_table(table: pl.DataFrame, name: str, label: str) -> None:
    if label not in table.columns:
        raise DataError(
            f"label column {label!r} is not in {name!r}; its columns are {_some(table.columns)}"
        )
    if not table.height:
        raise DataError(f"population {name!r} has no rows")


def _with_label(table: pl.DataFrame, name: str, label: str, notes: list[str]) -> pl.DataFrame:
    if label in table.columns:
        return table
    notes.append(f"{name!r} has no column {label!r}: its rows have no label")
    return table.with_columns(pl.lit(None).alias(label))


def _usable(schema: Schema, shared: list[str], names: tuple[str, str]) -> list[str]:
    """Names of the features that both populations have."""
    known = [name for name in schema.features if name in shared]
    if not known:
        raise DataError(
            f"{names[0]!r} and {names[1]!r} share no column that can be used "
            f"(shared: {_some(shared)})"
        )
    return known


class Split(NamedTuple):
    """One table as two populations, the source's name, and notes for the task."""

    source: pl.DataFrame
    target: pl.DataFrame
    source_name: str
    notes: list[str]


def split_by_domain(table: pl.DataFrame, domain: str, target_name: str) -> Split:
    """One table with a population column as source and target.

    All other populations together are the source. Hand the notes on to :func:`build_task`.

    Raises
    ------
    DataError
        If the column or the target's name is not there, or there is no other population.
    """
    if domain not in table.columns:
        raise DataError(f"population column {domain!r} is not among {_some(table.columns)}")
    names = table[domain].cast(pl.String)
    is_known = (names.str.strip_chars() != "").fill_null(False)
    found = sorted(set(names.filter(is_known).to_list()))
    if str(target_name) not in found:
        raise DataError(f"--target {target_name!r} is none of the populations {_some(found)}")
    others = [name for name in found if name != str(target_name)]
    if not others:
        raise DataError(f"population column {domain!r} holds {target_name!r} only: no source")
    is_target = (names == str(target_name)).fill_null(False)
    notes = []
    if not is_known.all():
        n = int((~is_known).sum())
        notes.append(f"{n} rows left out: their population in column {domain!r} is empty")
    if len(others) > 1:
        notes.append(f"{len(others)} populations are treated as one source: {_some(others)}")
    source_name = " + ".join(others) if len(others) <= MAX_NAMED else f"all other {domain}"
    source = table.filter(is_known & ~is_target).drop(domain)
    return Split(source, table.filter(is_target).drop(domain), source_name, notes)


def _shared_columns(
    source: pl.DataFrame,
    target: pl.DataFrame,
    label: str,
    notes: list[str],
    names: tuple[str, str],
) -> list[str]:
    shared = [c for c in source.columns if c in target.columns and c != label]
    for table, other, name in ((source, target, names[0]), (target, source, names[1])):
        own = [c for c in table.columns if c not in other.columns]
        if own:
            notes.append(f"columns of {name!r} only, left out: {_some(own)}")
    if not shared:
        raise DataError(
            f"{names[0]!r} and {names[1]!r} share no column but the label: "
            f"{_some(source.columns)} against {_some(target.columns)}"
        )
    return shared


def _stack(
    source: pl.DataFrame,
    target: pl.DataFrame,
    shared: list[str],
    names: tuple[str, str],
    notes: list[str],
    *,
    is_given: bool,
) -> pl.DataFrame:
    source, target = _in_utc(source.select(shared), target.select(shared), names, notes)
    faults = []
    for column in shared:
        a, b = source[column].dtype, target[column].dtype
        if _is_one_type(a, b) and (a != pl.String or is_given):
            continue
        as_text = [t[column].cast(pl.String) for t in (source, target)]
        alike = pl.String in (a, b) and _holds(*as_text) and _holds(*as_text[::-1])
        if alike and a != b:
            source, target = (
                t.with_columns(s) for t, s in zip((source, target), as_text, strict=True)
            )
            notes.append(f"column {column!r} is {a} in {names[0]!r} and {b} in {names[1]!r}")
        elif not alike:
            faults.append(
                f"column {column!r} changes type: {_kind(source[column])} in {names[0]!r} "
                f"(first: {_first(source[column])!r}), {_kind(target[column])} in {names[1]!r} "
                f"(first: {_first(target[column])!r})"
            )
    if faults:
        raise DataError("; ".join(faults))
    return pl.concat([source, target], how="vertical_relaxed")


def _in_utc(
    source: pl.DataFrame, target: pl.DataFrame, names: tuple[str, str], notes: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Instants of one column in two time zones, or with and without one, on one clock."""
    for column in source.columns:
        types = (source[column].dtype, target[column].dtype)
        zones = [each.time_zone if isinstance(each, pl.Datetime) else None for each in types]
        if zones[0] == zones[1] or not all(isinstance(t, (pl.Date, pl.Datetime)) for t in types):
            continue
        source, target = (t.with_columns(_utc(t[column])) for t in (source, target))
        first, second = (zone or "none" for zone in zones)
        notes.append(
            f"column {column!r} has time zone {first} in {names[0]!r} and {second} in "
            f"{names[1]!r}: all is taken as UTC"
        )
    return source, target


def _utc(series: pl.Series) -> pl.Series:
    if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone:
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return series.cast(pl.Datetime("us"))


def _is_one_type(a: pl.DataType, b: pl.DataType) -> bool:
    dates = (pl.Date, pl.Datetime)
    return (
        a == b
        or pl.Null in (a, b)
        or (a.is_numeric() and b.is_numeric())
        or (isinstance(a, dates) and isinstance(b, dates))
    )


def _holds(text: pl.Series, other: pl.Series) -> bool:
    """Whether `other` can be read as what `text` is, if that is numbers or dates."""
    own = _read(text)[1]
    values, its = _read(other)
    # Written in another way is still of the same kind: the schema of both together reads it.
    if own.role not in ("number", "date") or its.role == own.role or not values.len():
        return True
    values = values.filter(~values.is_in(its.missing)) if its.missing else values
    try:
        parsed = Schema((replace(own, on_fault="missing"),)).parse(values.to_frame(own.name)).frame
    except DataError:  # not one value could be read
        return False
    return not values.len() or parsed[own.name].null_count() <= MAX_LOST * values.len()


def _read(text: pl.Series) -> tuple[pl.Series, Column]:
    """A sample of the known values, and what they are taken for."""
    known = text.drop_nulls()
    sample = known.gather_every(max(1, known.len() // SAMPLE_ROWS))
    return sample, Schema.infer(sample.to_frame())[text.name]


def _kind(series: pl.Series) -> str:
    """What a column holds, in a word."""
    if series.dtype != pl.String:
        return str(series.dtype)
    return {"number": "numbers", "date": "dates"}.get(_read(series)[1].role, "words")


def _first(series: pl.Series) -> Any:
    known = series.drop_nulls()
    return known[0] if known.len() else None


def _some(names: list[str], n: int = 8) -> str:
    shown = ", ".join(str(name) for name in names[:n])
    return shown + (f" and {len(names) - n} more" if len(names) > n else "")
