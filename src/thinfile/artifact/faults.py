"""Faults of many batches added up, column by column, with row numbers of the whole file."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

import polars as pl

_LINE = re.compile(
    r"column (?P<name>'.*'|\".*\"): (?P<n>\d+) of \d+ rows (?P<rule>.*) "
    r"\(first: row (?P<row>\d+), (?P<value>.*)\)",
    re.DOTALL,
)


@dataclass(frozen=True)
class ColumnFault:
    """Values of one column that broke its rule.

    Attributes
    ----------
    column : str
    n_rows : int
        Rows at fault in the whole file.
    first_row : int
        The first of them, counted from 0.
    rule, value : str
        What was wrong, and the first value that was.
    """

    column: str
    n_rows: int
    first_row: int
    rule: str
    value: str

    def in_words(self, n_total: int) -> str:
        """The fault as one line; `n_total` is the number of rows in the file."""
        return (
            f"column {self.column!r}: {self.n_rows} of {n_total} rows {self.rule} "
            f"(first: row {self.first_row}, {self.value})"
        )


class FaultCounter:
    """Adds up the lines of :attr:`thinfile.schema.parse.Parsed.faults` over batches."""

    def __init__(self) -> None:
        self._faults: dict[str, ColumnFault] = {}

    def add(self, lines: list[str], first_row: int) -> None:
        """Take in the faults of a batch whose first row is `first_row` of the file."""
        for line in lines:
            match = _LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"no line about a fault: {line!r}")
            self._count(match, first_row)

    def faults(self) -> list[ColumnFault]:
        """One for each column at fault, the most rows first."""
        return sorted(self._faults.values(), key=lambda fault: -fault.n_rows)

    def to_frame(self) -> pl.DataFrame:
        """The faults as a table: ``column rows first_row rule value``."""
        return pl.DataFrame(
            [(f.column, f.n_rows, f.first_row, f.rule, f.value) for f in self.faults()],
            schema=["column", "rows", "first_row", "rule", "value"],
            orient="row",
        )

    def _count(self, match: re.Match[str], first_row: int) -> None:
        name: Any = ast.literal_eval(match["name"])
        n_rows = int(match["n"])
        known = self._faults.get(name)
        if known is None:
            row = first_row + int(match["row"])
            self._faults[name] = ColumnFault(name, n_rows, row, match["rule"], match["value"])
            return
        total = known.n_rows + n_rows
        self._faults[name] = ColumnFault(name, total, known.first_row, known.rule, known.value)
