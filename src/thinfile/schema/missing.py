"""Values that stand for "missing": words such as ``unknown``, codes such as ``-9`` and ``999``."""

from __future__ import annotations

import polars as pl

WORDS = frozenset(
    (
        *("unknown", "unk", "na", "n/a", "#n/a", "nan", "<na>", "null", "(null)", "?", "missing"),
        *("not available", "unbekannt", "inconnu", "未知", "不详"),
    )
)
"""Words that stand for "missing" in any column, in lower case."""

NUMBER_WORDS = WORDS | frozenset(("none", "nil", "-", "--", ".", "..", "n.a.", "#div/0!"))
"""More words that do so where all other values are numbers or dates."""

_MANY = 50


def missing_words(counts: pl.DataFrame, words: frozenset[str]) -> pl.DataFrame:
    """The rows of a table of distinct texts (value, count) that stand for "missing"."""
    found = counts.filter(pl.col("value").str.to_lowercase().is_in(list(words)))
    if found.is_empty():
        return found
    rest = counts.join(found, on="value", how="anti")["value"]
    # In a column of two-letter codes NA is Namibia or North America, not a gap.
    if rest.len() >= 5 and rest.str.contains(r"^[A-Z]{2}$").all():
        return found.filter(pl.col("value") != "NA")
    return found


def missing_codes(counts: pl.DataFrame) -> pl.DataFrame:
    """The rows of a table of distinct numbers (value, count) that stand for "missing".

    A code counts only if it repeats and stands apart from the rest: negative codes where nothing
    else is negative, runs of nines where they lie further from the rest than the rest is wide.
    """
    counts = counts.filter(pl.col("value").is_finite()).sort("value")
    below = _negative_codes(counts)
    rest = counts.filter(~pl.col("value").is_in(below["value"].to_list()))
    return pl.concat([below, _nines(rest)])


def _negative_codes(counts: pl.DataFrame) -> pl.DataFrame:
    negative = counts.filter(pl.col("value") < 0)
    rest = counts.filter(pl.col("value") >= 0)
    repeated = bool((negative["count"] >= 2).any())
    if not repeated or rest.height < 3 or not _is_family(negative["value"].to_list()):
        return negative.clear()
    # 0 next to -1 is a scale unless there are so many values that it can be none.
    next_to_zero = negative["value"].max() == -1 and rest["value"].min() == 0
    return negative.clear() if next_to_zero and rest.height < _MANY else negative


def _is_family(values: list[float]) -> bool:
    families = [{-1.0}]
    for width in range(1, 8):
        families.append({-float(str(digit) * width) for digit in (9, 8, 7)})
    return any(set(values) <= family for family in families)


def _nines(counts: pl.DataFrame) -> pl.DataFrame:
    if counts.height < 4:
        return counts.clear()
    last, rest = counts.tail(1), counts.head(counts.height - 1)["value"]
    value = float(last["value"][0])
    digits = str(int(value)) if value.is_integer() else ""
    low, high = float(rest[0]), float(rest[-1])
    apart = len(digits) >= 2 and set(digits) == {"9"} and value - high > high - low
    return last if apart and int(last["count"][0]) >= 2 else last.clear()


def as_text(value: float) -> str:
    """A number as it stands in a schema file: ``-9`` and not ``-9.0``."""
    return str(int(value)) if value.is_integer() else repr(value)
