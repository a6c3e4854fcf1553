"""One column between its own values and the numbers that a generative network reads and gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.categories import FIRST, MISSING, RARE, count_values, fit_vocabulary
from thinfile.data.scaling import Scaler, fit_scaler
from thinfile.schema.column import Column

FloatArray = npt.NDArray[np.float64]
State = Mapping[str, Any]

LIMIT = 10.0
"""Standard scores are clipped to this many deviations."""

MAX_DECIMALS = 6
_LOOK_AT_FIRST = 10_000
_MAX_RARE_KEPT = 100
_DAY = 86_400_000_000


def fit_column(column: Column, values: pl.Series, scaling: str, vocabulary: State) -> State:
    """What is to be known of one column; its ``kind`` says how it is treated.

    Kinds: number (also ordinal and date), boolean, category; constant, missing and text are left
    out of the arrays. `vocabulary` has ``max_categories`` and ``min_count``.
    """
    base: dict[str, Any] = {"name": column.name, "role": column.role}
    n_missing = values.null_count()
    if n_missing == values.len():
        return base | {"kind": "missing"}
    if not n_missing and values.min() == values.max():
        return base | {"kind": "constant", "value": _plain(values[0])}
    base |= {"indicator": n_missing > 0}
    if column.role == "category":
        return base | _fit_category(values, vocabulary)
    if column.role == "boolean":
        majority = bool(2 * int(values.sum()) > values.len() - n_missing)
        return base | {"kind": "boolean", "fill": majority}
    if column.role == "date":
        base |= {"origin": values.drop_nulls().min().date().isoformat()}  # type: ignore[union-attr]
    return base | _fit_number(as_numbers(base, values), scaling)


def as_numbers(state: State, values: pl.Series) -> FloatArray:
    """Float64 values of a column, NaN for a gap; dates as days since the state's origin."""
    if state["role"] == "date":
        start = int(np.datetime64(state["origin"], "us").astype(np.int64))
        return (values.cast(pl.Int64) - start).cast(pl.Float64).to_numpy() / _DAY
    return values.cast(pl.Float64).to_numpy()


def scale(state: State, values: FloatArray, low: float, high: float) -> FloatArray:
    """Values of a number column, NaN for a gap, on the scale of the network."""
    known = np.where(np.isnan(values), state["fill"], values)
    form = state["scale"]
    if "grid" in form:
        return Scaler(form)(known)
    if "deviation" in form:
        scores: FloatArray = np.clip((known - form["mean"]) / form["deviation"], -LIMIT, LIMIT)
        return scores
    # Halves, because the width of a column of huge numbers may be beyond the largest float.
    least, width = state["minimum"] / 2, state["maximum"] / 2 - state["minimum"] / 2
    share = np.clip((known / 2 - least) / width, 0.0, 1.0) if width else np.zeros(len(known))
    return low + (high - low) * share


def unscale(state: State, scaled: FloatArray, low: float, high: float) -> FloatArray:
    """The values that `scale` would have taken there, inside the training range and rounded."""
    form = state["scale"]
    if "grid" in form:
        values = np.interp(scaled, form["scores"], form["grid"])
    elif "deviation" in form:
        values = form["mean"] + form["deviation"] * np.clip(scaled, -LIMIT, LIMIT)
    else:
        share = np.clip((scaled - low) / (high - low), 0.0, 1.0)
        values = state["minimum"] * (1.0 - share) + state["maximum"] * share
    if state["decimals"] is not None:
        values = np.round(values, state["decimals"])
    inside: FloatArray = np.clip(values, state["minimum"], state["maximum"])
    return inside


def typed_numbers(state: State, values: FloatArray, missing: npt.NDArray[np.bool_]) -> pl.Series:
    """A column of the parsed frame's type; null where it is missing."""
    values = np.where(missing, np.nan, values)
    if state["role"] != "date":
        return pl.Series(state["name"], values, nan_to_null=True)
    gap = np.isnan(values)
    start = np.datetime64(state["origin"], "us").astype(np.int64)
    micros = np.round(np.where(gap, 0.0, values) * _DAY).astype(np.int64) + start
    dates = pl.Series(state["name"], micros).cast(pl.Datetime("us"))
    return dates.set(pl.Series(gap), None)


def typed_texts(state: State, codes: npt.NDArray[np.int32], rng: np.random.Generator) -> pl.Series:
    """Texts of a category's codes; code 1 becomes one of the rare values seen in training."""
    words = np.array([None, None, *state["vocabulary"]], dtype=object)
    texts = words[codes]
    rare = np.flatnonzero(codes == RARE)
    if len(rare) and state["rare"]:
        seen, counts = zip(*state["rare"], strict=True)
        share = np.asarray(counts, dtype=np.float64) / sum(counts)
        texts[rare] = np.array(seen, dtype=object)[rng.choice(len(seen), len(rare), p=share)]
    elif len(rare) and state["vocabulary"]:
        texts[rare] = state["vocabulary"][0]
    return pl.Series(state["name"], texts.tolist(), dtype=pl.String)


def left_out(state: State, n_rows: int) -> pl.Series:
    """A column that is not in the arrays: its constant, or missing."""
    kinds: dict[str, Any] = {
        "category": pl.String,
        "boolean": pl.Boolean,
        "date": pl.Datetime("us"),
    }
    dtype = kinds.get(state["role"], pl.Float64)
    value = state.get("value")
    if state["role"] == "date" and value is not None:
        value = np.datetime64(value, "us").item()
    return pl.Series(state["name"], [value], dtype=dtype).new_from_index(0, n_rows)


def why_left_out(state: State, values: pl.Series) -> str | None:
    """The note for a column that is left out, or None."""
    name, kind = state["name"], state["kind"]
    if kind == "missing":
        return f"column {name!r}: every training row is missing, left out and kept missing"
    if kind == "constant":
        return (
            f"column {name!r}: {state['value']!r} in every training row, left out and put back"
            " as it is"
        )
    if kind == "text":
        n_texts, n_present = values.drop_nulls().n_unique(), values.len() - values.null_count()
        return (
            f"column {name!r}: {n_texts:,} different values in {n_present:,} rows and none of them "
            f"in min_count={state['min_count']} rows: taken for free text, not learned from and "
            "empty (missing) where rows are made or given back"
        )
    return None


def _fit_number(values: FloatArray, scaling: str) -> dict[str, Any]:
    present = values[~np.isnan(values)]
    state: dict[str, Any] = {
        "kind": "number",
        "fill": float(np.median(present)),
        "minimum": float(present.min()),
        "maximum": float(present.max()),
        "decimals": _decimals(present),
        "scale": {},
    }
    if scaling != "minmax":
        state["scale"] = dict(fit_scaler(pl.Series(present), scaling))
    return state


def _decimals(present: FloatArray) -> int | None:
    """Most decimals that a value has, or None beyond `MAX_DECIMALS`."""
    first = present[:_LOOK_AT_FIRST]
    for decimals in range(MAX_DECIMALS + 1):
        if _rounded(first, decimals) and _rounded(present, decimals):
            return decimals
    return None


def _rounded(values: FloatArray, decimals: int) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.round(values, decimals)
        if np.array_equal(rounded, values):
            return True
        # A price of 12.34 that came through float32 is 12.34000015.
        short = values.astype(np.float32)
        was_short = np.array_equal(short.astype(np.float64), values)
        return was_short and np.array_equal(rounded.astype(np.float32), short)


def _fit_category(values: pl.Series, vocabulary: State) -> dict[str, Any]:
    counts = count_values(values)
    automatic = max(2, min(10, values.len() // 100))
    min_count = vocabulary["min_count"] or automatic
    words = fit_vocabulary(counts, vocabulary["max_categories"], min_count)
    if not words:
        return {"kind": "text", "min_count": min_count}
    rare = counts.filter(~pl.col("value").is_in(words)).head(_MAX_RARE_KEPT)
    return {
        "kind": "category",
        "vocabulary": words,
        "rare": [list(pair) for pair in zip(rare["value"], rare["n"], strict=True)],
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def cardinality(state: State) -> int:
    """Codes that a category column has: missing, unseen or rare, and its vocabulary."""
    return FIRST + len(state["vocabulary"])


def out_of_range(state: State, codes: npt.NDArray[np.int32]) -> bool:
    """Is there a code that the column does not have?"""
    return bool(len(codes) and (codes.min() < MISSING or codes.max() >= cardinality(state)))
