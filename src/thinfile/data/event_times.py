"""Times of events as logs hold them: typed, as text of any pattern and zone, or as numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl

from thinfile.errors import DataError
from thinfile.schema.dates import read_date
from thinfile.schema.guess_date import DateGuess, guess_date, pivot_of
from thinfile.schema.guess_text import date_like
from thinfile.schema.missing import as_text

MICROSECONDS = pl.Datetime("us")

_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
# Whole numbers from 1973 to 2103 as seconds since 1970: below them lie dates such as 20110131.
_EARLIEST, _LATEST = 10**8, 42 * 10**8
_ENOUGH = 0.9
# Numbers of one order of magnitude leave little doubt; those that do not fit are counted.
_MOST = 0.5
_MAX_TRIED = 200

# A zone counts only behind a time of day: the end of 2011-01-31 is none.
_ZONE = r"(?i)\d:\d{2}\S*?\s*(z|utc|gmt|[+-]\d{2}(?::?\d{2})?)$"
_BEFORE_ZONE = r"(?i)^(.*\d:\d{2}\S*?)\s*(?:z|utc|gmt|[+-]\d{2}(?::?\d{2})?)$"


@dataclass(frozen=True)
class TimeForm:
    """How a column of times is read, and what is to be said of it.

    Attributes
    ----------
    kind : {"typed", "text", "digits", "number"}
        Dates and times by type, text, dates written as digits, or a count since 1970.
    form : str or None
        Patterns of text or digits, or the unit of a count.
    pivot : int or None
        Last of the hundred years that a two-digit year can mean.
    notes : tuple of str
        Each names the column.
    """

    kind: str
    form: str | None = None
    pivot: int | None = None
    notes: tuple[str, ...] = ()


def learn_time_form(sample: pl.Series) -> TimeForm:
    """Find out how a column of times is to be read.

    Parameters
    ----------
    sample : polars.Series
        Raw values, evenly spaced: dates, times, numbers or text.

    Raises
    ------
    DataError
        If its numbers can be no times.
    """
    form = _learn(sample)
    notes = tuple(f"column {sample.name!r}: {note}" for note in form.notes)
    return replace(form, notes=notes)


def _learn(sample: pl.Series) -> TimeForm:
    dtype = sample.dtype
    if isinstance(dtype, pl.Datetime):
        zone = dtype.time_zone
        note = () if zone in (None, "UTC") else (f"times in the zone {zone} are turned to UTC",)
        return TimeForm("typed", notes=note)
    if dtype == pl.Date:
        return TimeForm("typed", notes=("days without a time of day are read as their midnight",))
    if dtype.is_integer() or dtype.is_float():
        return _learn_number(sample, sample.cast(pl.Float64).fill_nan(None).drop_nulls())
    if dtype != pl.String:
        return TimeForm("text")
    present = sample.str.strip_chars().replace("", None).drop_nulls()
    numbers = present.cast(pl.Float64, strict=False).drop_nulls()
    if present.len() and numbers.len() >= _ENOUGH * present.len():
        return _learn_number(sample, numbers)
    return _learn_text(present)


def _learn_number(sample: pl.Series, numbers: pl.Series) -> TimeForm:
    if numbers.is_empty():
        return TimeForm("text")
    for unit, size in _UNITS.items():
        within = numbers.is_between(_EARLIEST * size, _LATEST * size)
        if int(within.sum()) > _MOST * numbers.len():
            note = f"numbers are read as {_WORDS[unit]} since 1970, UTC"
            return TimeForm("number", unit, notes=(note,))
    for form, width in (("%Y%m%d", 8), ("%y%m%d", 6)):
        text = _digits(numbers, width)
        pivot = pivot_of(text.drop_nulls(), [form]) if width == 6 else None
        read = text.to_frame("t").select(read_date(pl.col("t"), form, pivot)).to_series()
        plausible = width == 8 or date_like(sample.name)
        if plausible and read.count() > _MOST * numbers.len():
            return TimeForm("digits", form, pivot, (f"digits are read as dates ({form})",))
    low, high = (as_text(float(each)) for each in (numbers.min(), numbers.max()))  # type: ignore[arg-type]
    raise DataError(
        f"column {sample.name!r}: its numbers ({low} to {high}) are "
        "no times: they must count seconds, milliseconds, microseconds or nanoseconds since 1970, "
        "or be dates such as 20110131"
    )


def _digits(numbers: pl.Series, width: int) -> pl.Series:
    whole = numbers.cast(pl.Int64, strict=False)
    text = whole.cast(pl.String).str.zfill(width)
    # Padded with zeros a short number would be a date of the first centuries.
    low, high = (19_000_101, 22_001_231) if width == 8 else (101, 991_231)
    fits = (whole.cast(pl.Float64) == numbers) & whole.is_between(low, high)
    return pl.select(pl.when(fits).then(text)).to_series()


def _learn_text(present: pl.Series) -> TimeForm:
    counts = without_zone(present).alias("value").value_counts(sort=False).sort("value")
    guess = guess_date(counts) or _guess_from_readable(counts)
    if guess is None:
        return TimeForm("text")
    # The rows counted there are those of a sample, and this note goes to people.
    notes = (re.sub(r", as \d+ rows can only be read that way", "", note) for note in guess.notes)
    return TimeForm("text", guess.form, guess.pivot, tuple(notes))


def _guess_from_readable(counts: pl.DataFrame) -> DateGuess | None:
    """Learn from the few values that are dates, so that the others can be counted and shown."""
    few = counts.gather_every(max(1, counts.height // _MAX_TRIED))
    readable = [guess_date(few[row]) is not None for row in range(few.height)]
    return guess_date(few.filter(readable)) if any(readable) else None


def read_times(values: pl.Series, form: TimeForm) -> pl.DataFrame:
    """Read times as they are meant.

    Parameters
    ----------
    values : polars.Series
        Raw values of the type that `form` was learnt from.
    form : TimeForm

    Returns
    -------
    polars.DataFrame
        ``time``: Datetime("us"), in UTC where a zone is named; null where it cannot be read.
        ``zone``: the zone that a text names, such as ``+01:00``; null where it names none.
    """
    if values.dtype == pl.String and form.kind == "text":
        return _read_text(values, form)
    time = _read_typed(values) if form.kind == "typed" else _read_numbers(values, form)
    return pl.DataFrame([time.alias("time")]).with_columns(zone=pl.lit(None, pl.String))


def _read_typed(values: pl.Series) -> pl.Series:
    dtype = values.dtype
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        values = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return values.cast(MICROSECONDS)


def _read_numbers(values: pl.Series, form: TimeForm) -> pl.Series:
    if values.dtype == pl.String:
        values = values.str.strip_chars()
    whole = values.cast(pl.Int64, strict=False)
    if form.kind == "digits":
        text = _digits(values.cast(pl.Float64, strict=False), 8 if form.form == "%Y%m%d" else 6)
        return text.to_frame("t").select(read_date(pl.col("t"), form.form, form.pivot)).to_series()
    size = _UNITS[str(form.form)]
    # Whole numbers stay whole: nanoseconds do not fit into a float.
    fraction = pl.col("fraction").fill_nan(None)
    exact = pl.col("whole") * (1_000_000 // size) if size <= 1_000_000 else pl.col("whole") // 1_000
    isolated = pl.when(pl.col("whole") == fraction).then(exact)
    micros = isolated.otherwise((fraction * (1_000_000 / size)).round().cast(pl.Int64))
    within = fraction.is_between(_EARLIEST * size, _LATEST * size)
    frame = pl.DataFrame({"whole": whole, "fraction": values.cast(pl.Float64, strict=False)})
    return frame.select(pl.when(within).then(micros.cast(MICROSECONDS))).to_series()


def _read_text(values: pl.Series, form: TimeForm) -> pl.DataFrame:
    # Each text once: in a log the same instant stands on many lines.
    rows = values.str.strip_chars().to_frame("text")
    distinct = rows.unique().drop_nulls()
    zone = zone_of(distinct["text"])
    bare = without_zone(distinct["text"]).to_frame("text")
    local = bare.select(read_date(pl.col("text"), form.form, form.pivot)).to_series()
    read = distinct.with_columns(time=local - _offset(zone), zone=zone)
    return rows.join(read, on="text", how="left", maintain_order="left").select("time", "zone")


def _offset(zone: pl.Series) -> pl.Series:
    parts = zone.to_frame("zone").select(
        sign=pl.when(pl.col("zone").str.starts_with("-")).then(-1).otherwise(1),
        hours=pl.col("zone").str.slice(1, 2).cast(pl.Int64),
        minutes=pl.col("zone").str.slice(4, 2).cast(pl.Int64),
    )
    total = pl.col("sign") * (60 * pl.col("hours") + pl.col("minutes")).fill_null(0)
    return parts.select(pl.duration(minutes=total, time_unit="us")).to_series()


def zone_of(text: pl.Series) -> pl.Series:
    """The zone that each text names behind its time of day, as ``+01:00``, or null."""
    zone = text.str.strip_chars().str.extract(_ZONE).str.to_uppercase()
    zone = zone.replace(["Z", "UTC", "GMT"], ["+00:00"] * 3)
    zone = zone.str.replace(r"^([+-]\d{2})$", "${1}:00").str.replace(
        r"^([+-]\d{2})(\d{2})$", "${1}:${2}"
    )
    return zone.replace("-00:00", "+00:00")


def without_zone(text: pl.Series) -> pl.Series:
    """The texts less the zone that they name."""
    bare = pl.coalesce(pl.col("t").str.extract(_BEFORE_ZONE), pl.col("t"))
    return text.to_frame("t").select(bare).to_series()


def with_zones_kept(frame: pl.DataFrame, raw: Any, time: str) -> pl.DataFrame:
    """Write times as text where Python's own objects mix zones, so that the mix can be told.

    A column of one type has one zone, and objects of several are turned to it without a word.

    Parameters
    ----------
    frame : polars.DataFrame
        The table as it is read.
    raw : object
        The table as it was handed in.
    time : str
        The column of times.
    """
    if isinstance(raw, (pl.DataFrame, pl.LazyFrame)) or time not in frame.columns:
        return frame
    column = raw[time] if isinstance(raw, Mapping) or hasattr(raw, "columns") else ()
    if hasattr(column, "dtype") and str(column.dtype) != "object":
        return frame
    # pandas' NaT is a datetime too, and unequal to itself.
    values = [value if isinstance(value, datetime) and value == value else None for value in column]
    zones = {str(value.tzinfo) for value in values if value is not None}
    if len(zones) < 2:
        return frame
    texts = [None if value is None else value.isoformat(sep=" ") for value in values]
    return frame.with_columns(pl.Series(time, texts, dtype=pl.String))
