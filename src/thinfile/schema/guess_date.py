"""Which patterns the dates of a column follow, and what stays open about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from thinfile.schema.dates import SEPARATOR, read_date, two_digit_year

ENOUGH = 0.9
"""Share of rows that must be dates for a column of text to count as one."""

_MAX_PATTERNS = 6
_SAMPLE = 20_000
_TIMES = ("", " %H:%M:%S", " %H:%M")


def _candidates() -> list[str]:
    iso = [f"%Y{s}%m{s}%d{time}" for s in "-/." for time in ("", " %H:%M:%S%.f", " %H:%M")]
    iso += ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%dT%H:%M", "%Y-%m", "%Y/%m"]
    day_first = [f"%d{s}%m{s}%{y}{time}" for s in "/-." for y in "Yy" for time in _TIMES]
    named = [f"%d{s}%b{s}%{y}{time}" for s in "- /." for y in "Yy" for time in _TIMES]
    named += ["%b %d, %Y", "%b %d %Y", "%d. %b %Y"]
    months = [f"%b{s}%{y}" for s in "- /" for y in "Yy"] + ["%y-%b", "%y %b", "%Y-%b", "%m/%Y"]
    return iso + day_first + [_twin(pattern) for pattern in day_first] + named + months


def _twin(pattern: str) -> str:
    """The same pattern with day and month exchanged."""
    return pattern.translate(str.maketrans("dm", "md"))


def _numeric_order(pattern: str) -> bool:
    return pattern[1] in "dm" and {"%d", "%m"} <= {pattern[:2], pattern[3:5]}


@dataclass(frozen=True, slots=True)
class DateGuess:
    """A format for dates, the pivot of its two-digit years, the share it reads, and notes."""

    form: str
    pivot: int | None
    share: float
    notes: tuple[str, ...]


def guess_date(counts: pl.DataFrame, today: datetime | None = None) -> DateGuess | None:
    """Find the patterns that the texts of a column follow.

    Parameters
    ----------
    counts : polars.DataFrame
        Distinct texts (value) and how often each occurs (count).
    today : datetime, optional
        No two-digit year is read as a date after it; default is now.

    Returns
    -------
    DateGuess or None
        None where fewer than nine rows in ten are dates.
    """
    step = max(1, counts.height // _SAMPLE)
    counts = counts.gather_every(step)
    if not counts["value"].head(200).str.contains(r"\d").any():
        return None
    read = _readings(counts)
    chosen = _choose(counts["count"], read)
    if not chosen:
        return None
    explained = pl.any_horizontal(*(read[pattern] for pattern in chosen))
    share = float(counts.filter(pl.select(explained).to_series())["count"].sum())
    share /= float(counts["count"].sum())
    if share < ENOUGH:
        return None
    pivot = pivot_of(counts["value"], chosen, today)
    notes = _order_notes(counts["count"], read, chosen) + _other_notes(counts, chosen, pivot)
    return DateGuess(SEPARATOR.join(chosen), pivot, share, tuple(notes))


def _readings(counts: pl.DataFrame) -> pl.DataFrame:
    """Which values each pattern reads, for patterns that read at least one."""
    value = pl.col("value")
    read = counts.select(
        read_date(value, pattern, None).is_not_null().alias(pattern) for pattern in _candidates()
    )
    return read.select(each for each in read if each.any())


def _choose(weight: pl.Series, read: pl.DataFrame) -> list[str]:
    chosen: list[str] = []
    left, total = weight, float(weight.sum())
    while len(chosen) < _MAX_PATTERNS:
        open_to = [p for p in read.columns if p not in chosen and _twin(p) not in chosen]
        gains = {pattern: float((left * read[pattern]).sum()) for pattern in open_to}
        best = max(gains, key=lambda pattern: gains[pattern], default=None)
        # A pattern that reads a stray value or two explains nothing.
        if best is None or gains[best] < max(1.0, 0.001 * total):
            break
        chosen.append(best)
        left = left * (~read[best])
    return chosen


def _order_notes(weight: pl.Series, read: pl.DataFrame, chosen: list[str]) -> list[str]:
    notes = []
    for pattern in filter(_numeric_order, chosen):
        twin = read[_twin(pattern)] if _twin(pattern) in read.columns else ~read[pattern]
        only = int((weight * (read[pattern] & ~twin)).sum())
        other = int((weight * (twin & ~read[pattern])).sum())
        order = "day first" if pattern.startswith("%d") else "month first"
        if not only and not other:
            notes.append(
                f"ambiguous: every date can be read day first and month first; read as {order} "
                f"({pattern}), if that is wrong write {_twin(pattern)!r} in its format"
            )
        elif only and other:
            notes.append(
                f"ambiguous: {only} rows can only be {order} and {other} rows only the other way; "
                f"read as {order} ({pattern}), the others become faults"
            )
        else:
            notes.append(f"{order}, as {only} rows can only be read that way ({pattern})")
    return notes


def _other_notes(counts: pl.DataFrame, chosen: list[str], pivot: int | None) -> list[str]:
    notes = []
    if len(chosen) > 1:
        notes.append(f"dates in {len(chosen)} patterns: {', '.join(chosen)}")
    if pivot is not None:
        notes.append(
            f"two-digit years mean {pivot - 99} to {pivot}; write another last year in its pivot "
            "if that is wrong"
        )
    if "%y-%b" in chosen or "%y %b" in chosen:
        notes.append("a number before the month is read as the year (1-Dec is December 2001)")
    return notes


def pivot_of(values: pl.Series, chosen: list[str], today: datetime | None = None) -> int | None:
    """The last year that two digits can mean, so that no date of the column lies in the future.

    Ten years beyond today leave room for later tables, unless a value of this one forbids it.
    """
    short = [pattern for pattern in chosen if two_digit_year(pattern)]
    if not short:
        return None
    today = today or datetime.now(UTC).replace(tzinfo=None)
    form, this = SEPARATOR.join(short), today.year
    read = read_date(pl.col("value"), form, this + 50)
    dates = values.alias("value").to_frame().select(read).to_series().drop_nulls()
    future = dates.filter(dates > today)
    horizon = this + 10
    first = int(future.dt.year().min()) if future.len() else horizon + 1  # type: ignore[arg-type]
    return min(first - 1, horizon)
