"""Dates as people write them: several patterns in one column, two-digit years, no day."""

from __future__ import annotations

import re

import polars as pl

SEPARATOR = " | "
"""Stands between the patterns of a format."""

_PARTS = frozenset("YymbBdHMSfzpIjeT")


def patterns_of(form: str) -> list[str]:
    """The patterns of a format, in the order in which they are tried."""
    return [part.strip() for part in form.split(SEPARATOR.strip()) if part.strip()]


def check_date_format(form: str) -> list[str]:
    """Faults of a date format, one sentence each; empty if it can be used."""
    faults = []
    for pattern in patterns_of(form) or [form]:
        parts = set(re.findall(r"%\.?([A-Za-z])", pattern))
        if not parts & {"Y", "y"} or not parts <= _PARTS:
            faults.append(
                f"format {pattern!r} is no date pattern: it needs %Y or %y, as in '%d-%b-%y'"
            )
    return faults


def two_digit_year(pattern: str) -> bool:
    """Does the pattern read a two-digit year?"""
    return "%y" in pattern


def read_date(text: pl.Expr, form: str | None, pivot: int | None) -> pl.Expr:
    """Read text as Datetime("us"); what fits no pattern becomes null.

    Parameters
    ----------
    text : polars expression of type String
        Outer blanks do not count.
    form : str or None
        Patterns with `` | `` between them; None stands for ISO dates and times.
    pivot : int or None
        Last of the hundred years that a two-digit year can mean; None leaves 1970 to 2069.

    Returns
    -------
    polars expression of type Datetime("us")
    """
    text = text.str.strip_chars()
    patterns = patterns_of(form) if form else ISO_PATTERNS
    return pl.coalesce([_read_pattern(text, pattern, pivot) for pattern in patterns])


ISO_PATTERNS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"]
"""What a date column without a format accepts."""


def _read_pattern(text: pl.Expr, pattern: str, pivot: int | None) -> pl.Expr:
    if "%d" not in pattern and "%j" not in pattern:
        # A month without a day is its first day.
        text, pattern = pl.concat_str([pl.lit("01 "), text]), f"%d {pattern}"
    if two_digit_year(pattern):
        # The parser takes "7" and "1997" for %y too, and then another pattern loses its rows.
        text = pl.when(text.str.contains(r"\d{3}").not_() | pl.lit("%y%m%d" in pattern)).then(text)
    elif "%Y" in pattern:
        # The parser takes "14" for %Y as well, and that would be the year 14.
        text = pl.when(text.str.contains(r"\d{4}")).then(text)
    date = text.str.strptime(pl.Datetime("us"), pattern, strict=False)
    return _apply_pivot(date, pivot) if two_digit_year(pattern) and pivot is not None else date


def _apply_pivot(date: pl.Expr, pivot: int) -> pl.Expr:
    year = date.dt.year().cast(pl.Int32)
    turned = pivot - (pivot - year) % 100
    # 29 February of a leap year may not exist a century off; the day before does.
    return (
        pl.when(year == turned)
        .then(date)
        .otherwise(date.dt.offset_by(pl.concat_str([(turned - year).cast(pl.String), pl.lit("y")])))
    )
