"""A column in one line, for people."""

from __future__ import annotations

from typing import Any

import polars as pl

from thinfile.schema.column import Column
from thinfile.schema.parse import present_values, readable

N_EXAMPLES = 3


def summarise(column: Column, frame: pl.DataFrame, note: str) -> dict[str, Any]:
    """Name, role, format, missing share, examples and note of one column."""
    missing: float | None = None
    examples: list[str] = []
    if column.name in frame.columns and readable(frame.schema[column.name]):
        values = frame.select(present_values(column, frame.schema[column.name])).to_series()
        missing = values.null_count() / max(values.len(), 1)
        distinct = values.drop_nulls().unique(maintain_order=True)
        examples = [str(value) for value in distinct.head(N_EXAMPLES)]
    return {
        "name": column.name,
        "role": column.role,
        "format": column.format or "",
        "missing": missing,
        "examples": examples,
        "note": note,
    }
