"""The schema of a table: what each column is, inferred once and corrected by a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from thinfile.errors import SchemaError
from thinfile.schema.column import FEATURE_ROLES, Column, column_faults
from thinfile.schema.file import read_file, write_file
from thinfile.schema.infer import infer_columns
from thinfile.schema.parse import Parsed, parse_columns
from thinfile.schema.summary import summarise

FORMAT = 1
"""Version of the file format."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What each column of a table is, and how a raw table becomes a typed one.

    Use :meth:`infer` on a table once, look at :attr:`notes`, correct the file where a note is
    wrong, and use the schema for every later table. Do not infer one schema per file: two
    samples of the same table may look different.

    Parameters
    ----------
    columns : sequence of Column
        In the order of the table.
    notes : sequence of str, default ()
        What was concluded when the schema was inferred, one line each.

    Raises
    ------
    SchemaError
        If a name occurs twice.

    Examples
    --------
    >>> import polars as pl
    >>> raw = pl.DataFrame({"loan": ["$1,000.00", "$250.00", "$75.50"]})
    >>> schema = Schema.infer(raw)
    >>> schema.columns[0].role, schema.columns[0].format
    ('number', 'money')
    >>> schema.parse(raw).frame["loan"].to_list()
    [1000.0, 250.0, 75.5]
    """

    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "notes", tuple(self.notes))
        twice = [n for n, count in Counter(c.name for c in self.columns).items() if count > 1]
        if twice:
            raise SchemaError(f"the schema names columns twice: {', '.join(map(repr, twice))}")

    @classmethod
    def infer(
        cls, frame: pl.DataFrame, *, label: str | None = None, domain: str | None = None
    ) -> Schema:
        """Conclude role, format and missing codes of every column from its values.

        Parameters
        ----------
        frame : polars.DataFrame
            Shape (rows, columns); several files of one kind are best put together first.
        label, domain : str, optional
            Names of the columns with the label and the population; they need not be there.

        Returns
        -------
        Schema
            With one line in `notes` for everything that is not plain to see.
        """
        columns, notes = infer_columns(frame, label=label, domain=domain)
        return cls(tuple(columns), tuple(notes))

    @classmethod
    def numeric(cls, names: Iterable[str]) -> Schema:
        """A schema in which every column is a plain number: for arrays, where nothing is text."""
        return cls(tuple(Column(name, "number") for name in names))

    @property
    def features(self) -> list[str]:
        """Names of the columns that a model sees, in order."""
        return [column.name for column in self.columns if column.role in FEATURE_ROLES]

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise SchemaError(f"the schema has no column {name!r}")

    def parse(self, frame: pl.DataFrame) -> Parsed:
        """Read the feature columns of a raw table.

        Parameters
        ----------
        frame : polars.DataFrame
            Shape (rows, columns). Columns that are not in the schema are left alone.

        Returns
        -------
        Parsed
            Typed frame with the features only, faults as lines, and rejected rows.

        Raises
        ------
        SchemaError
            If feature columns are absent: one message names them all.
        DataError
            If a column with ``on_fault="raise"`` holds a fault, or more than half of a column
            (and at least ten values) cannot be read, which means that its type has changed.
        """
        return parse_columns(self.columns, frame)

    def with_column(self, column: Column) -> Schema:
        """A schema in which `column` stands in place of the one of its name, or at the end."""
        if column.name not in [each.name for each in self.columns]:
            return replace(self, columns=(*self.columns, column))
        kept = tuple(column if each.name == column.name else each for each in self.columns)
        return replace(self, columns=kept)

    def notes_of(self, name: str) -> list[str]:
        """The notes about one column, without its name in front."""
        start = f"column {name!r}: "
        return [note.removeprefix(start) for note in self.notes if note.startswith(start)]

    def describe(self, frame: pl.DataFrame) -> list[dict[str, Any]]:
        """One row per column for people to read: name, role, format, missing, examples, note.

        Parameters
        ----------
        frame : polars.DataFrame
            The table to take missing share and examples from.

        Returns
        -------
        list of dict
            Keys ``name role format missing examples note``; `missing` is a share from 0 to 1,
            or None where the table lacks the column.
        """
        return [
            summarise(column, frame, "; ".join(self.notes_of(column.name)))
            for column in self.columns
        ]

    def to_dict(self) -> dict[str, Any]:
        """The schema as plain JSON values."""
        columns = [column.to_dict() for column in self.columns]
        return {"format": FORMAT, "columns": columns, "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Schema:
        """Build a schema from :meth:`to_dict`'s values; every fault comes in one message."""
        faults = _record_faults(record)
        columns = record.get("columns", ())
        columns = columns if isinstance(columns, (list, tuple)) else ()
        for place, each in enumerate(columns):
            if isinstance(each, Mapping):
                faults += column_faults(dict(each))
            else:
                faults.append(f"column {place} is {each!r}, must be a table with name and role")
        if faults:
            raise SchemaError("; ".join(faults))
        return cls(tuple(_column(each) for each in columns), tuple(record.get("notes", ())))

    def save(self, path: str | Path) -> None:
        """Write the schema as .toml, with its notes as comments, or as .json."""
        write_file(
            Path(path), self.to_dict(), {c.name: self.notes_of(c.name) for c in self.columns}
        )

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read a .toml or .json file that :meth:`save` or a person wrote."""
        try:
            return cls.from_dict(read_file(Path(path)))
        except SchemaError as error:
            raise SchemaError(f"{path}: {error}") from error


def _record_faults(record: Mapping[str, Any]) -> list[str]:
    faults = [
        f"unknown key {key!r} (known: format, columns, notes)"
        for key in record
        if key not in ("format", "columns", "notes")
    ]
    if record.get("format", FORMAT) != FORMAT:
        faults.append(f"format is {record['format']!r}, this version reads {FORMAT}")
    if not isinstance(record.get("columns"), (list, tuple)) or not record["columns"]:
        faults.append("columns must be a list of at least one column")
    notes = record.get("notes", ())
    if not isinstance(notes, (list, tuple)) or not all(isinstance(n, str) for n in notes):
        faults.append("notes must be a list of texts")
    return faults


def _column(record: Mapping[str, Any]) -> Column:
    lists = {key: tuple(map(str, record[key])) for key in ("missing", "order") if key in record}
    return Column(**{**record, **lists})
