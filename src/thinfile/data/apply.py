"""Apply an encoder's state to a typed table, chunk by chunk and straight into the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.categories import code_expression
from thinfile.data.scaling import Scaler

# Rows that polars works on at a time: large enough that its start does not count.
_CHUNK = 131_072

# Rows written at a time: the block of the output stays in the cache while its columns are filled.
_BLOCK = 8192
_MICROSECONDS_PER_DAY = 86_400_000_000

State = Mapping[str, Any]


class StateWriter:
    """Write typed columns as numbers and codes by the state of an encoder.

    Parameters
    ----------
    states : sequence of mapping
        One per column that is kept; see :class:`thinfile.data.encode.TableEncoder`.
    scaling : str
        The encoder's scaling; "none" leaves NaN for gaps.

    Attributes
    ----------
    names : list of str
        Columns of the frame that are needed.
    number_names, code_names : list of str
        Names of what is written.
    vocabularies : list of list of str
        One per code column.
    """

    def __init__(self, states: Sequence[State], scaling: str) -> None:
        self.names = [state["name"] for state in states]
        self.number_names = [name for state in states for name in _number_names(state)]
        coded = [part for state in states for part in _code_parts(state)]
        self.code_names = [name for name, _, _ in coded]
        self.vocabularies = [words for _, words, _ in coded]
        self._codes = [code_expression(text, words).alias(name) for name, words, text in coded]
        numbered = [state for state in states if state["role"] != "category"]
        self._numbers = [number_expression(state) for state in numbered]
        self._scalers = [_scaler(state, scaling) for state in numbered]
        self._indicators = [bool(state["indicator"]) for state in numbered]

    def write(
        self, frame: pl.DataFrame, numbers: npt.NDArray[np.float32], codes: npt.NDArray[np.int32]
    ) -> None:
        """Fill `numbers` (rows, n_numbers) and `codes` (rows, n_codes) from a parsed frame."""
        for start in range(0, frame.height, _CHUNK):
            chunk = frame.slice(start, _CHUNK)
            rows = slice(start, start + chunk.height)
            if self._codes:
                codes[rows] = chunk.select(self._codes).to_numpy()
            self._write_numbers(chunk.select(self._numbers), numbers[rows])

    def _write_numbers(self, chunk: pl.DataFrame, numbers: npt.NDArray[np.float32]) -> None:
        columns = [column.to_numpy() for column in chunk]
        for start in range(0, chunk.height, _BLOCK):
            block = numbers[start : start + _BLOCK]
            at = 0
            for column, scaler, indicated in zip(
                columns, self._scalers, self._indicators, strict=True
            ):
                values = column[start : start + _BLOCK]
                block[:, at] = scaler(values)
                if indicated:
                    block[:, at + 1] = np.isnan(values)
                at += 1 + indicated


def number_expression(state: State) -> pl.Expr:
    """The number that a column gives before it is scaled, as Float64."""
    value = pl.col(state["name"])
    if state["role"] == "date":
        return days(value, state["origin"])
    return value.cast(pl.Float64)


def days(date: pl.Expr, origin: str) -> pl.Expr:
    """Days since a day, as a fraction."""
    start = int(np.datetime64(origin, "us").astype(np.int64))
    return (date.cast(pl.Int64) - start).cast(pl.Float64) / _MICROSECONDS_PER_DAY


def date_part(date: pl.Expr, part: str) -> pl.Expr:
    """Month (1 to 12) or weekday (1 = Monday) as text, as the vocabulary has it."""
    value = date.dt.month() if part == "month" else date.dt.weekday()
    return value.cast(pl.String)


def _scaler(state: State, scaling: str) -> Scaler:
    if state["role"] != "boolean":
        return Scaler(state["number"])
    return Scaler({} if scaling == "none" else {"fill": state["fill"]})


def _number_names(state: State) -> list[str]:
    name = state["name"]
    if state["role"] == "category":
        return []
    first = f"{name} (days)" if state["role"] == "date" else name
    return [first, f"{name} (missing)"] if state["indicator"] else [first]


def _code_parts(state: State) -> list[tuple[str, list[str], pl.Expr]]:
    """Name, vocabulary and text of each code column that a column gives."""
    name, column = state["name"], pl.col(state["name"])
    if state["role"] == "category":
        return [(name, state["vocabulary"], column)]
    return [
        (f"{name} ({part})", state[part], date_part(column, part))
        for part in ("month", "weekday")
        if state.get(part) is not None
    ]
