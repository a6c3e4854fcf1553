"""The encoding of a table as ONNX nodes, from the state of a fitted `TableEncoder`.

Every kept feature column is one input of shape (rows, 1), typed as `Schema.parse` types it:

- number, ordinal, boolean: double; NaN is missing; an ordinal with named levels is their rank,
  lowest 0; a boolean is 1 or 0.
- category: string; "" is missing.
- date: int64, microseconds since 1970-01-01; -2^63 is missing (NumPy's NaT).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thinfile.artifact.onnx_graph import ML_DOMAIN, Graph

INPUT_TYPES = {
    "number": "double",
    "ordinal": "double",
    "boolean": "double",
    "category": "string",
    "date": "int64",
}

MISSING_CODE, RARE_CODE, FIRST_CODE = 0, 1, 2
DAY = 86_400_000_000
NOT_A_TIME = np.iinfo(np.int64).min


@dataclass
class Encoding:
    """Names of the encoded columns in a graph.

    Attributes
    ----------
    numbers : list of str
        Each float32 of shape (rows, 1), in the order of `Encoded.numbers`.
    codes : list of str
        Each int64 of shape (rows, 1), in the order of `Encoded.codes`.
    inputs : dict
        Column name to type of each input.
    """

    numbers: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)


def add_encoding(graph: Graph, state: Mapping[str, Any]) -> Encoding:
    """Add inputs and encoding to a graph.

    Parameters
    ----------
    graph : Graph
    state : mapping
        What :meth:`thinfile.data.encode.TableEncoder.to_state` gives.

    Returns
    -------
    Encoding
    """
    encoding = Encoding()
    has_gaps = state["scaling"] == "none"
    for column in state["columns"]:
        role = column["role"]
        encoding.inputs[column["name"]] = INPUT_TYPES[role]
        values = graph.input(column["name"], INPUT_TYPES[role])
        if role == "category":
            encoding.codes.append(_category(graph, values, column["vocabulary"]))
        elif role == "date":
            _date(graph, values, column, encoding)
        elif role == "boolean":
            gap = np.nan if has_gaps else column["fill"]
            encoding.numbers.append(graph.cast(_fill(graph, values, gap), "float"))
            _indicator(graph, values, column, encoding)
        else:
            _number(graph, values, column, encoding)
    return encoding


def _number(graph: Graph, values: str, column: Mapping[str, Any], encoding: Encoding) -> None:
    encoding.numbers.append(graph.cast(_scale(graph, values, column["number"] or {}), "float"))
    _indicator(graph, values, column, encoding)


def _indicator(graph: Graph, values: str, column: Mapping[str, Any], encoding: Encoding) -> None:
    if column["indicator"]:
        encoding.numbers.append(graph.cast(graph.add("IsNaN", values), "float"))


def _fill(graph: Graph, values: str, gap: float) -> str:
    missing = graph.add("IsNaN", values)
    return graph.add("Where", missing, graph.constant(gap, np.float64), values)


def _scale(graph: Graph, values: str, scaler: Mapping[str, Any]) -> str:
    if "grid" in scaler:
        return _fill_scaled(graph, values, _interpolate(graph, values, scaler))
    if "mean" in scaler:
        centred = graph.add("Sub", values, graph.constant(scaler["mean"], np.float64))
        scaled = graph.add("Div", centred, graph.constant(scaler["deviation"], np.float64))
        limit = graph.constant(scaler["limit"], np.float64)
        return _fill_scaled(graph, values, _clip(graph, scaled, graph.add("Neg", limit), limit))
    return values


def _fill_scaled(graph: Graph, values: str, scaled: str) -> str:
    missing = graph.add("IsNaN", values)
    return graph.add("Where", missing, graph.constant(0.0, np.float64), scaled)


def _clip(graph: Graph, values: str, low: str, high: str) -> str:
    return graph.add("Clip", values, low, high)


def _interpolate(graph: Graph, values: str, scaler: Mapping[str, Any]) -> str:
    """Piecewise linear between the points of the grid, flat outside, as `numpy.interp`."""
    grid = np.asarray(scaler["grid"], dtype=np.float64)
    scores = np.asarray(scaler["scores"], dtype=np.float64)
    if len(grid) == 1:
        # No interval to lie in: every value gets the one score.
        zero = graph.add("Mul", values, graph.constant(0.0, np.float64))
        return graph.add("Add", zero, graph.constant(scores[0], np.float64))
    slopes = np.diff(scores) / np.diff(grid)
    ends = [graph.constant(end, np.float64) for end in (grid[0], grid[-1])]
    inside = _clip(graph, values, *ends)
    # (rows, points - 2): how many inner points lie at or below the value is its interval.
    above = graph.add("GreaterOrEqual", inside, graph.constant(grid[None, 1:-1], np.float64))
    axis = graph.constant([1], np.int64)
    interval = graph.add("ReduceSum", graph.cast(above, "int64"), axis, keepdims=1)
    start, base, slope = (
        graph.add("Gather", graph.constant(part, np.float64), interval)
        for part in (grid[:-1], scores[:-1], slopes)
    )
    rise = graph.add("Mul", graph.add("Sub", inside, start), slope)
    return graph.add("Add", rise, base)


def _category(graph: Graph, values: str, vocabulary: list[str]) -> str:
    return graph.add(
        "LabelEncoder",
        values,
        domain=ML_DOMAIN,
        keys_strings=["", *vocabulary],
        values_int64s=[MISSING_CODE, *range(FIRST_CODE, FIRST_CODE + len(vocabulary))],
        default_int64=RARE_CODE,
    )


def _date(graph: Graph, values: str, column: Mapping[str, Any], encoding: Encoding) -> None:
    missing = graph.add("Equal", values, graph.constant(NOT_A_TIME, np.int64))
    present = graph.add("Where", missing, graph.constant(0, np.int64), values)
    origin = int(np.datetime64(column["origin"], "us").astype(np.int64))
    since = graph.add("Sub", present, graph.constant(origin, np.int64))
    days = graph.add("Div", graph.cast(since, "double"), graph.constant(DAY, np.float64))
    gap = graph.constant(np.nan, np.float64)
    _number(graph, graph.add("Where", missing, gap, days), column, encoding)
    day = _floor_divide(graph, present, DAY)
    for part, position in (("month", _month), ("weekday", _weekday)):
        if column.get(part) is not None:
            code = _part_code(graph, position(graph, day), column[part])
            none = graph.constant(MISSING_CODE, np.int64)
            encoding.codes.append(graph.add("Where", missing, none, code))


def _part_code(graph: Graph, part: str, vocabulary: list[str]) -> str:
    """Codes of months or weekdays, both of which count from 1."""
    codes = np.full(13, RARE_CODE)
    codes[[int(word) for word in vocabulary]] = np.arange(len(vocabulary)) + FIRST_CODE
    return graph.add("Gather", graph.constant(codes, np.int64), part)


def _weekday(graph: Graph, day: str) -> str:
    """1 for Monday to 7 for Sunday; 1970-01-01, day 0, was a Thursday."""
    shifted = graph.add("Add", day, graph.constant(3, np.int64))
    from_monday = graph.add("Mod", shifted, graph.constant(7, np.int64))
    return graph.add("Add", from_monday, graph.constant(1, np.int64))


def _month(graph: Graph, day: str) -> str:
    """Month of a day counted from 1970-01-01.

    The year starts in March here, so that the leap day is its last; an era is 400 years.
    """
    from_march_0 = graph.add("Add", day, graph.constant(719_468, np.int64))
    of_era = graph.add("Mod", from_march_0, graph.constant(146_097, np.int64))
    year = _year_of_era(graph, of_era)
    before = _sum(
        graph,
        graph.add("Mul", year, graph.constant(365, np.int64)),
        _floor_divide(graph, year, 4),
        graph.add("Neg", _floor_divide(graph, year, 100)),
    )
    of_year = graph.add("Sub", of_era, before)
    scaled = graph.add("Mul", of_year, graph.constant(5, np.int64))
    from_march = _floor_divide(graph, graph.add("Add", scaled, graph.constant(2, np.int64)), 153)
    calendar = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1, 2]
    return graph.add("Gather", graph.constant(calendar, np.int64), from_march)


def _year_of_era(graph: Graph, of_era: str) -> str:
    without_leap_days = _sum(
        graph,
        of_era,
        graph.add("Neg", _floor_divide(graph, of_era, 1_460)),
        _floor_divide(graph, of_era, 36_524),
        graph.add("Neg", _floor_divide(graph, of_era, 146_096)),
    )
    return _floor_divide(graph, without_leap_days, 365)


def _sum(graph: Graph, first: str, *others: str) -> str:
    for other in others:
        first = graph.add("Add", first, other)
    return first


def _floor_divide(graph: Graph, value: str, divisor: int) -> str:
    # Div cuts towards zero; what Mod leaves is a multiple, and its quotient is exact.
    by = graph.constant(divisor, np.int64)
    return graph.add("Div", graph.add("Sub", value, graph.add("Mod", value, by)), by)
