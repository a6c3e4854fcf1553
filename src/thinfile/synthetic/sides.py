"""The tables that a report on made rows holds against each other, read once and in one way."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.errors import DataError
from thinfile.schema.column import FEATURE_ROLES, Column
from thinfile.schema.model import Schema

NUMBER, DATE, CATEGORY = "number", "date", "category"
_KINDS = {"number": NUMBER, "ordinal": NUMBER, "date": DATE}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sides:
    """Real rows, made rows and, where there are any, real rows that no generator has seen.

    Attributes
    ----------
    schema : Schema
        Of the columns that all tables have; the label, if any, is a category among them.
    real, made : polars.DataFrame
        Typed, shape (rows, columns): rows that the generator was trained on, and rows it made.
    holdout : polars.DataFrame or None
        Typed rows of the same kind that it has not seen.
    label : str or None
        Which column is the label.
    """

    schema: Schema
    real: pl.DataFrame
    made: pl.DataFrame
    holdout: pl.DataFrame | None
    label: str | None

    @property
    def columns(self) -> list[str]:
        """All columns that are judged, the label too."""
        return self.schema.features

    @property
    def features(self) -> list[str]:
        """The columns without the label."""
        return [name for name in self.columns if name != self.label]

    def kind(self, name: str) -> str:
        """How a column is judged: "number", "date" or "category"."""
        return _KINDS.get(self.schema[name].role, CATEGORY)

    def feature_schema(self) -> Schema:
        """The schema without the label."""
        kept = tuple(column for column in self.schema.columns if column.name != self.label)
        return replace(self.schema, columns=kept)


def read_sides(
    made: pl.DataFrame,
    real: pl.DataFrame,
    holdout: pl.DataFrame | None,
    schema: Schema,
    label: str | None,
) -> Sides:
    """Type all tables by one schema, with the columns that all of them have.

    Raises
    ------
    DataError
        If a table has no rows, or the made rows share no column with the real ones.
    """
    named = {"made rows": made, "real rows": real, "hold-out rows": holdout}
    tables = {name: table for name, table in named.items() if table is not None}
    empty = [name for name, table in tables.items() if not table.height]
    if empty:
        raise DataError(f"{' and '.join(empty)}: there are none")
    judged = common_schema(schema, label, list(tables.values()))
    if not judged.features:
        raise DataError(f"the made rows ({_few(made.columns)}) share no column with the real ones")
    typed = {name: judged.parse(table).frame for name, table in tables.items()}
    has_label = label if label in judged.features else None
    return Sides(
        judged,
        typed["real rows"],
        typed["made rows"],
        typed.get("hold-out rows"),
        has_label,
    )


def common_schema(schema: Schema, label: str | None, tables: list[pl.DataFrame]) -> Schema:
    """The feature columns that all tables have, and the label as a category."""
    common = set.intersection(*(set(table.columns) for table in tables))
    columns = [
        column
        for column in schema.columns
        if column.role in FEATURE_ROLES and column.name in common and column.name != label
    ]
    if label is not None and label in common:
        columns.append(Column(label, "category", format="code"))
    return Schema(tuple(columns))


def as_numbers(column: pl.Series) -> Floats:
    """A number or date column as floats, NaN where it is missing; a date in days."""
    if column.dtype.is_temporal():
        days = column.cast(pl.Datetime("us")).dt.epoch("us") / 86_400e6
        return days.cast(pl.Float64).to_numpy()
    return column.cast(pl.Float64).to_numpy()


def as_texts(column: pl.Series) -> pl.Series:
    """A category or boolean column as texts, null where it is missing."""
    return column.cast(pl.String)


def some(frame: pl.DataFrame, n: int, seed: int) -> pl.DataFrame:
    """At most `n` rows at random, in their order."""
    if frame.height <= n:
        return frame
    rows = np.random.default_rng(seed).choice(frame.height, n, replace=False)
    return frame[np.sort(rows)]


def _few(names: list[str]) -> str:
    return ", ".join(map(repr, names[:6])) + (", …" if len(names) > 6 else "")
