"""From typed rows back to the form of a raw table: its columns, their order, types and writing."""

from __future__ import annotations

import numpy as np
import polars as pl

from thinfile.schema.column import FEATURE_ROLES, Column
from thinfile.schema.dates import patterns_of
from thinfile.schema.model import Schema
from thinfile.schema.parse import present_values, read_values

MAX_DECIMALS = 6
_SAMPLE = 2_000


def raw_form(
    typed: pl.DataFrame, schema: Schema, like: pl.DataFrame
) -> tuple[pl.DataFrame, list[str]]:
    """Write typed columns as a raw table writes them.

    Use it to give made rows the form of the table that they were made after. A column whose text
    form cannot be imitated (it would be read as something else) is written plainly.

    Parameters
    ----------
    typed : polars.DataFrame
        Typed columns, as a generator's `sample` gives them.
    schema : Schema
        By which `like` is read.
    like : polars.DataFrame
        The raw table.

    Returns
    -------
    polars.DataFrame, list of str
        The columns of `typed` that `like` has, in its order and of its types; and a line for each
        column that had to be written in another way.
    """
    names = {column.name: column for column in schema.columns if column.role in FEATURE_ROLES}
    columns, notes = [], list[str]()
    for name in like.columns:
        if name in typed.columns and name in names:
            columns.append(_as_raw(names[name], typed[name], like[name], notes))
    return pl.DataFrame(columns), notes


def _as_raw(column: Column, values: pl.Series, like: pl.Series, notes: list[str]) -> pl.Series:
    dtype = like.dtype
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        dtype = pl.String()
    written = _write(column, values, like)
    if _reads_back(column, written, values):
        return written
    plain = _plain(values, dtype)
    if not _reads_back(column, plain, values):
        plain = values
    notes.append(
        f"column {values.name!r}: written as {plain.dtype}, since values such as "
        f"{like.drop_nulls().head(1).to_list()} could not be imitated"
    )
    return plain


def _write(column: Column, values: pl.Series, like: pl.Series) -> pl.Series:
    dtype = like.dtype
    if column.role == "ordinal" and column.order:
        levels = list(column.order)
        texts = values.replace_strict(
            list(range(len(levels))), levels, default=None, return_dtype=pl.String
        )
        return _plain(texts, dtype)
    if dtype != pl.String:
        return _plain(values, dtype)
    writer = {
        "number": _number_texts,
        "ordinal": _number_texts,
        "boolean": _boolean_texts,
        "date": _date_texts,
    }.get(column.role)
    return writer(column, values, like) if writer else values.cast(pl.String)


def _plain(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """The values in another type, without any writing of their own."""
    if dtype.is_integer() and values.dtype.is_float():
        values = values.round()
    if dtype.is_integer() and values.dtype == pl.String:
        return values.cast(pl.Float64, strict=False).cast(dtype, strict=False)
    if dtype == pl.Boolean and values.dtype.is_numeric():
        return values.cast(pl.Float64) == 1.0
    if isinstance(dtype, pl.Datetime) and dtype.time_zone and values.dtype.is_temporal():
        stamps = values.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        return stamps.dt.convert_time_zone(dtype.time_zone).cast(dtype)
    try:
        return values.cast(dtype, strict=False)
    except pl.exceptions.PolarsError:
        return values


def _number_texts(column: Column, values: pl.Series, like: pl.Series) -> pl.Series:
    sample = like.drop_nulls().head(_SAMPLE)
    form, european = column.format or "", (column.format or "").endswith("european")
    kind = form.split(" ")[0]
    shown = values * 100 if kind == "percent" else values
    decimals = _decimals(sample, "," if european else ".", kind)
    grouped = kind in ("money", "thousands", "european") and bool(
        sample.str.contains(r"\d[,.' ]\d{3}(\D|$)").any()
    )
    before, after = _around(sample, kind)
    texts = [
        None if value is None else _number_text(value, decimals, grouped, european, before, after)
        for value in shown.to_list()
    ]
    return pl.Series(values.name, texts, dtype=pl.String)


def _number_text(
    value: float, decimals: int | None, grouped: bool, european: bool, before: str, after: str
) -> str:
    if decimals is None:
        text = repr(float(np.float32(value))) if abs(value) < 1e15 else repr(value)
        text = text.removesuffix(".0")
    else:
        text = f"{abs(value):{',' if grouped else ''}.{decimals}f}"
        text = f"-{text}" if value < 0 and float(text.replace(",", "")) else text
    if european:
        text = text.translate(str.maketrans(",.", ".,"))
    sign, bare = ("-", text[1:]) if text.startswith("-") else ("", text)
    return f"{sign}{before}{bare}{after}"


def _decimals(sample: pl.Series, mark: str, kind: str) -> int | None:
    """Digits behind the decimal mark: one number where texts agree, None where they do not."""
    tails = sample.str.strip_chars().str.extract(rf"\{mark}(\d+)\D*$").fill_null("")
    lengths = tails.str.len_chars().unique().to_list()
    if len(lengths) == 1 and lengths[0] <= MAX_DECIMALS:
        return int(lengths[0])
    # Written by people, digits agree; written by machines, trailing zeros are dropped.
    return max(lengths, default=0) if kind and max(lengths, default=0) <= MAX_DECIMALS else None


def _around(sample: pl.Series, kind: str) -> tuple[str, str]:
    """What stands before and behind the digits of most texts."""
    if not kind or not sample.len():
        return "", ""
    parts = sample.to_frame("t").select(
        before=pl.col("t").str.extract(r"^([^\d+\-.,()]*)").fill_null(""),
        after=pl.col("t").str.extract(r"([^\d.,()]*)$").fill_null(""),
    )
    return _commonest(parts["before"]), _commonest(parts["after"])


def _commonest(texts: pl.Series) -> str:
    counts = texts.alias("t").value_counts(name="n").sort(["n", "t"], descending=[True, False])
    return str(counts["t"][0])


def _boolean_texts(column: Column, values: pl.Series, like: pl.Series) -> pl.Series:
    present = like.to_frame().select(present_values(column, like.dtype)).to_series()
    truth = read_values(column, present)
    words = {}
    for value in (True, False):
        texts = like.filter((truth == value).fill_null(False))
        words[value] = _commonest(texts) if texts.len() else str(value).lower()
    return values.replace_strict(
        [True, False], [words[True], words[False]], default=None, return_dtype=pl.String
    )


def _date_texts(column: Column, values: pl.Series, like: pl.Series) -> pl.Series:
    if column.format:
        return values.dt.strftime(patterns_of(column.format)[0])
    has_time = bool(like.drop_nulls().head(_SAMPLE).str.contains(":").any())
    return values.dt.strftime("%Y-%m-%d %H:%M:%S" if has_time else "%Y-%m-%d")


def _reads_back(column: Column, written: pl.Series, values: pl.Series) -> bool:
    """Whether the schema reads the written values as what was meant."""
    present = written.to_frame().select(present_values(column, written.dtype)).to_series()
    read = read_values(column, present)
    if read.dtype != values.dtype or (read.is_null() & values.is_not_null()).any():
        return False
    both = read.is_not_null() & values.is_not_null()
    first, second = read.filter(both), values.filter(both)
    if not read.dtype.is_float():
        # A date is written to the day or the month where the table does so.
        return read.dtype.is_temporal() or bool((first == second).all())
    room = 1e-6 * (1.0 + second.abs()) + _coarseness(written, first, second)
    return bool(((first - second).abs() <= room).all())


def _coarseness(written: pl.Series, first: pl.Series, second: pl.Series) -> float:
    """Whole numbers and a fixed number of decimals round; half a step is allowed."""
    if written.dtype.is_integer():
        return 0.5
    if written.dtype == pl.String:
        spread = (first - second).abs().max()
        return min(0.5, float(spread)) if isinstance(spread, float) else 0.0
    return 1e-6 * float(np.nanmax(second.abs().to_numpy(), initial=0.0))


def fill_rest(
    made: pl.DataFrame, like: pl.DataFrame, chosen: pl.DataFrame
) -> tuple[pl.DataFrame, list[str]]:
    """Add the columns of the raw table that no generator makes, in the table's order and types.

    Parameters
    ----------
    made : polars.DataFrame
        Made rows in raw form.
    like : polars.DataFrame
        The raw table.
    chosen : polars.DataFrame
        Those of its rows that the made ones are to be like. A column in which all of them agree
        (the label, under a condition on it) gets that value; any other is left empty.

    Returns
    -------
    polars.DataFrame, list of str
        All columns of `like`; and lines about those that are empty.
    """
    columns, empty = [], []
    for name in like.columns:
        if name in made.columns:
            columns.append(made[name])
            continue
        values = chosen[name].unique()
        agreed = values[0] if values.len() == 1 else None
        if values.len() > 1:
            empty.append(name)
        columns.append(
            pl.repeat(agreed, made.height, dtype=like.schema[name], eager=True).alias(name)
        )
    notes = []
    if empty:
        notes.append(f"Columns left empty, since the model does not make them: {', '.join(empty)}")
    rare = [name for name in made.columns if _is_empty(made[name]) and not _is_empty(chosen[name])]
    if rare:
        notes.append(
            "Columns that came out empty, since no value in them was frequent enough for the model "
            f"to learn: {', '.join(rare)}"
        )
    return pl.DataFrame(columns), notes


def _is_empty(column: pl.Series) -> bool:
    return column.null_count() == column.len()
