"""What the texts of a column are: numbers in some format, yes and no, levels, prose."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

from thinfile.schema.numbers import NUMBER_FORMATS, read_number

ENOUGH = 0.9
"""Share of rows that must be numbers for a column of text to count as one."""

_PAIRS = ({"y", "n"}, {"yes", "no"}, {"t", "f"}, {"true", "false"}, {"是", "否"}, {"ja", "nein"})
_SCALES = (
    ("very low", "low", "medium", "high", "very high"),
    ("never", "rarely", "sometimes", "often", "always"),
    ("poor", "fair", "good", "very good", "excellent"),
    ("small", "medium", "large"),
)
_LEVEL = re.compile(r"^([<>≤≥]=?)?\s*(\d+(?:\.\d+)?)\s*(?:[-–]\s*\d+(?:\.\d+)?|\+)?\s*([^\W\d]*)$")
_MAX_LEVELS = 50
_CODE_WORDS = frozenset(
    (
        *("zip", "zipcode", "postcode", "postal", "plz", "code", "naics", "sic", "mcc", "nace"),
        *("region", "type", "status", "sector", "category", "branch"),
    )
)
_ID_WORDS = frozenset(("id", "ids", "uuid", "guid", "key", "identifier"))
_DATE_WORDS = frozenset(("date", "datum", "day", "birth", "issued"))


@dataclass(frozen=True, slots=True)
class NumberGuess:
    """A format, the distinct numbers it gives (value, count), and what is to be said of it."""

    form: str | None
    numbers: pl.DataFrame
    leading_zeros: bool
    notes: tuple[str, ...]


def guess_number_format(counts: pl.DataFrame) -> NumberGuess | None:
    """Find the number format that reads most rows of a column of text.

    Parameters
    ----------
    counts : polars.DataFrame
        Distinct texts (value) and how often each occurs (count).

    Returns
    -------
    NumberGuess or None
        None where fewer than nine rows in ten are numbers in any format.
    """
    total = float(counts["count"].sum())
    best, share, numbers = None, -1.0, counts
    for form in (None, *NUMBER_FORMATS):
        read = counts.with_columns(read_number(pl.col("value"), form).alias("number"))
        here = float(read.filter(pl.col("number").is_not_null())["count"].sum()) / total
        if here > share:
            best, share, numbers = form, here, read
        if share == 1.0:
            break
    if share < ENOUGH:
        return None
    notes = _format_notes(best, counts["value"]) + _unread_notes(numbers)
    zeros = best is None and bool(counts["value"].str.contains(r"^0\d+$").any())
    distinct = (
        numbers.filter(pl.col("number").is_not_null()).group_by("number").agg(pl.col("count").sum())
    )
    return NumberGuess(
        best, distinct.rename({"number": "value"}).sort("value"), zeros, tuple(notes)
    )


def _format_notes(form: str | None, values: pl.Series) -> list[str]:
    if form is None:
        dotted = values.filter(values.str.contains(".", literal=True))
        if dotted.len() >= 5 and dotted.str.contains(r"^[+-]?[1-9]\d{0,2}\.\d{3}$").all():
            return [
                "ambiguous: '.' may be a decimal mark or a thousands separator; read as decimal "
                f"mark, write format = 'european' if {dotted[0]!r} is a thousand and more"
            ]
        return []
    example = next((value for value in values if not _plain(value)), values[0])
    meaning = read_value(example, form)
    notes = [f"read as {form}: {example!r} is {meaning!r}"]
    marks = "".join(values.head(100_000).to_list())
    if form == "thousands" and "." not in marks:
        notes.append(
            "ambiguous: ',' may be a decimal mark; read as a thousands separator, write "
            "format = 'european' if that is wrong"
        )
    return notes


def _plain(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d*\.?\d+", text) is not None


def read_value(text: str, form: str | None) -> float | None:
    """One text as a number in a format."""
    value: float | None = pl.select(read_number(pl.lit(text), form)).item()
    return value


def _unread_notes(numbers: pl.DataFrame) -> list[str]:
    unread = numbers.filter(pl.col("number").is_null())
    if unread.is_empty():
        return []
    n, first = int(unread["count"].sum()), unread["value"][0]
    return [f"{n} rows are no numbers (such as {first!r}) and will be reported as faults"]


def boolean_pair(values: pl.Series) -> bool:
    """Are these two texts yes and no in some language?"""
    return values.len() <= 3 and set(values.str.to_lowercase()) in _PAIRS


def guess_order(values: pl.Series) -> tuple[str, ...]:
    """Levels from lowest to highest if the texts name amounts or a known scale, else empty."""
    if not 2 <= values.len() <= _MAX_LEVELS:
        return ()
    texts = [str(value) for value in values]
    lower = {text.lower(): text for text in texts}
    for scale in _SCALES:
        if set(lower) <= set(scale):
            return tuple(lower[level] for level in scale if level in lower)
    matches = [_LEVEL.match(text) for text in texts]
    found = [match for match in matches if match]
    if len(found) < len(texts) or len(texts) < 3:
        return ()
    units = {match[3].lower().removesuffix("s") for match in found}
    levels = sorted((_rank(match), match[0]) for match in found)
    distinct = len({rank for rank, _ in levels}) == len(levels)
    return tuple(text for _, text in levels) if distinct and len(units) == 1 else ()


def _rank(match: re.Match[str]) -> float:
    sign = (match[1] or "")[:1]
    return float(match[2]) + {"<": -0.5, "≤": -0.25, ">": 0.5, "≥": 0.25}.get(sign, 0.0)


def is_free_text(values: pl.Series, n_rows: int) -> bool:
    """Do the texts read like prose: mostly distinct, long, with blanks?"""
    mostly_distinct = values.len() >= 20 and values.len() > 0.5 * n_rows
    long = float(values.str.len_chars().mean() or 0) > 25  # type: ignore[arg-type]
    return mostly_distinct and long and float(values.str.contains(r"\s").mean() or 0) > 0.5  # type: ignore[arg-type]


def id_like(name: str) -> bool:
    """Does the name say that the column identifies rows?"""
    return not _words(name).isdisjoint(_ID_WORDS)


def code_like(name: str) -> bool:
    """Does the name say that its numbers are codes?"""
    return not _words(name).isdisjoint(_CODE_WORDS)


def date_like(name: str) -> bool:
    """Does the name say that its numbers are dates?"""
    return not _words(name).isdisjoint(_DATE_WORDS)


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)}
