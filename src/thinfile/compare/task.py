"""What a comparison is about: one table of two populations, labels, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.errors import DataError
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

Rows = npt.NDArray[np.intp]

MAX_LOST = 0.5
"""Share of a text column's values that may not read as the other file's do."""
SAMPLE_ROWS = 5_000
"""Values of a text column that are looked at to tell what it holds."""


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

    Raises
    ------
    DataError
        If there is no label column, the label has more than two values, a population is empty,
        the source has one class only, or no feature is shared.
    """
    names = (source_name, target_name)
    for name, table in zip(names, (source, target), strict=True):
        _check_table(table, name, label)
    notes: list[str] = []
    shared = _shared_columns(source, target, label, notes, names)
    features = _stack(source, target, shared, names, notes, is_given=schema is not None)
    y = _labels(source[label], target[label], label, notes)
    _check_classes(y[: source.height], source_name)
    if schema is None:
        schema = Schema.infer(features)
        notes += schema.notes
    known = [name for name in schema.features if name in shared]
    if not known:
        raise DataError(
            f"{source_name!r} and {target_name!r} share no column that can be used "
            f"(shared: {_some(shared)})"
        )
    # Ids stay in the schema: scores are handed out beside them.
    columns = tuple(c for c in schema.columns if c.name in known or c.role == "id")
    kept = Schema(columns, schema.notes)
    return Task(
        features=features.select(known),
        y=y,
        is_target=np.arange(len(y)) >= source.height,
        schema=kept,
        label=label,
        source_name=source_name,
        target_name=target_name,
        notes=tuple(notes),
    )


def _check_table(table: pl.DataFrame, name: str, label: str) -> None:
    if label not in table.columns:
        raise DataError(
            f"label column {label!r} is not in {name!r}; its columns are {_some(table.columns)}"
        )
    if not table.height:
        raise DataError(f"population {name!r} has no rows")


def split_by_domain(
    table: pl.DataFrame, domain: str, target_name: str
) -> tuple[pl.DataFrame, pl.DataFrame, str]:
    """One table with a population column as source and target, and the source's name.

    Raises
    ------
    DataError
        If the column or the target's name is not there, or there is no other population.
    """
    if domain not in table.columns:
        raise DataError(f"population column {domain!r} is not among {_some(table.columns)}")
    names = table[domain].cast(pl.String)
    found = sorted(set(names.drop_nulls().to_list()))
    if str(target_name) not in found:
        raise DataError(f"--target {target_name!r} is none of the populations {_some(found)}")
    others = [name for name in found if name != str(target_name)]
    if not others:
        raise DataError(f"population column {domain!r} holds {target_name!r} only: no source")
    is_target = names == str(target_name)
    source = table.filter(~is_target & names.is_not_null()).drop(domain)
    return source, table.filter(is_target.fill_null(False)).drop(domain), " + ".join(others)


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
    source, target = source.select(shared), target.select(shared)
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


def _labels(
    source: pl.Series, target: pl.Series, label: str, notes: list[str]
) -> npt.NDArray[np.int8]:
    values = [_plain(series) for series in (source, target)]
    both = pl.concat(values)
    found = sorted(both.drop_nulls().unique().to_list(), key=_label_order)
    if len(found) > 2:
        raise DataError(f"label {label!r} has {len(found)} values ({_some(found)}); two are needed")
    if not found:
        raise DataError(f"label {label!r} is empty in every row")
    event = found[-1]
    if found not in (["0", "1"], ["0"], ["1"]):
        notes.append(f"label {label!r}: {event!r} is taken as the event")
    if found == ["0"]:
        event = "1"
    known = both.is_not_null().to_numpy()
    y = np.full(len(both), -1, dtype=np.int8)
    y[known] = (both.drop_nulls() == event).to_numpy()
    return y


_NO_LABEL = ["", "-1", "nan", "null", "none", "na"]
_ORDER = ("0", "false", "f", "no", "n", "good", "paid", "p i f")
"""Words for "no event", which sort before any other."""


def _label_order(value: str) -> tuple[bool, str]:
    return value.lower() not in _ORDER, value


def _plain(series: pl.Series) -> pl.Series:
    """Labels as text: whole numbers without a point, and null for every word for "no label"."""
    if series.dtype == pl.Boolean:
        series = series.cast(pl.Int8)
    if series.dtype.is_float():
        whole = series.fill_nan(None).drop_nulls()
        if (whole == whole.round()).all():
            series = series.fill_nan(None).cast(pl.Int64)
    text = series.cast(pl.String).str.strip_chars().str.replace(r"^(-?\d+)\.0*$", "$1")
    frame = text.to_frame("v").select(
        pl.when(pl.col("v").str.to_lowercase().is_in(_NO_LABEL)).then(None).otherwise(pl.col("v"))
    )
    return frame.to_series()


def _check_classes(y: npt.NDArray[np.int8], name: str) -> None:
    counts = {value: int((y == value).sum()) for value in (0, 1)}
    if not all(counts.values()):
        raise DataError(
            f"source {name!r} has {counts[1]} events and {counts[0]} non-events; "
            "both classes are needed"
        )


def _first(series: pl.Series) -> Any:
    known = series.drop_nulls()
    return known[0] if known.len() else None


def _some(names: list[str], n: int = 8) -> str:
    shown = ", ".join(str(name) for name in names[:n])
    return shown + (f" and {len(names) - n} more" if len(names) > n else "")
