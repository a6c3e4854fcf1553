"""A follow-up in sentences, on the terminal and on its page."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from thinfile.intent.audience import HOLD_OUT, PICKED, REST
from thinfile.intent.follow_up import (
    BOTH,
    CAMPAIGN,
    LESS,
    MORE,
    RANKING,
    UNKNOWN,
    FollowUp,
)
from thinfile.intent.group_intervals import detectable_difference
from thinfile.intent.outcomes import SHARE, Measure

MEANING = {
    CAMPAIGN: "the campaign's effect: only chance separates the two",
    RANKING: "the model's ranking: neither was contacted",
    BOTH: "ranking and campaign together: it proves neither",
}
"""What the difference between two groups says."""


def headline(found: FollowUp) -> str:
    """The answer in one sentence."""
    row = found.contrast("bought", CAMPAIGN)
    if row is None:
        return (
            f"{_shares(found)}. No hold-out group was set aside, so what the campaign has brought "
            "cannot be told."
        )
    opening = {
        MORE: "The campaign sold more",
        LESS: "The campaign sold less",
        UNKNOWN: "No effect of the campaign can be told",
    }
    return f"{opening[row['verdict']]}: {_shares(found)}."


def sentences(found: FollowUp) -> list[str]:
    """What each comparison says, and what the groups did besides."""
    told = [_comparison(found, question) for question in (CAMPAIGN, RANKING, BOTH)]
    return [f"{window(found)}.", *filter(None, told), _broad(found), _silent(found)]


def warnings(found: FollowUp) -> list[str]:
    """What a reader must know before they believe a figure."""
    return [text[:1].upper() + text[1:] for text in found.notes]


def window(found: FollowUp) -> str:
    """The window in words, with the days that the log has seen of it."""
    days = (found.until - found.since).total_seconds() / 86_400
    words = f"From {day(found.since)} to {day(found.until)} ({days:.3g} days)"
    if found.seen_until < found.until and (found.until - found.seen_until).days:
        words += f", seen up to {day(found.seen_until)}"
    return words


def day(at: datetime) -> str:
    """A date, and the time of day where it is not midnight.

    Examples
    --------
    >>> day(datetime(2011, 12, 1))
    '1 December 2011'
    """
    text = f"{at.day} {at:%B %Y}"
    return text if not (at.hour or at.minute) else f"{text}, {at:%H:%M}"


def figure(value: float | None, measure: Measure) -> str:
    """A level in the unit of its measure."""
    if value is None:
        return "–"
    if measure.kind == SHARE:
        return f"{100 * value:.1f}%"
    return f"{value:,.{3 if abs(value) < 0.1 else 2}f}".replace("-", "−")


def ends(low: float | None, high: float | None, measure: Measure) -> str:
    """An interval in the unit of its measure, or nothing."""
    if low is None or high is None:
        return ""
    return f"{figure(low, measure)}…{figure(high, measure)}".replace("%…", "…")


def lift(value: float | None) -> str:
    """A ratio: two decimals below ten."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def lift_ends(row: dict[str, Any]) -> str:
    """The interval of a ratio, or nothing."""
    if row["lift_low"] is None:
        return ""
    return f"{lift(row['lift_low'])}…{lift(row['lift_high'])}"


def difference(value: float | None, measure: Measure) -> str:
    """A difference with its sign; of shares in percentage points."""
    if value is None:
        return "–"
    text = f"{100 * value:+.1f}" if measure.kind == SHARE else f"{value:+,.2f}"
    return text.replace("-", "−")


def difference_ends(row: dict[str, Any], measure: Measure) -> str:
    """The interval of a difference, or nothing."""
    if row["difference_low"] is None:
        return ""
    low, high = row["difference_low"], row["difference_high"]
    return f"{difference(low, measure)}…{difference(high, measure)}"


def _shares(found: FollowUp) -> str:
    words = {PICKED: "the picked", HOLD_OUT: "those held out", REST: "the rest"}
    parts = []
    for name in (PICKED, HOLD_OUT, REST):
        row = found.level("bought", name)
        if row is not None:
            parts.append(f"{figure(row['value'], found.measures[0])} of {words[name]}")
    return f"{_joined(parts)} bought {found.what}"


def _joined(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def _comparison(found: FollowUp, question: str) -> str:
    row = found.contrast("bought", question)
    if row is None:
        return ""
    measure = found.measures[0]
    gap = f"{difference(row['difference'], measure)} points"
    words = (
        f"{row['first'].capitalize()} against {row['second']} is {MEANING[question]}. Share that "
        f"bought {found.what}: {gap} ({difference_ends(row, measure)})"
    )
    if row["lift"] is not None:
        words += f", {lift(row['lift'])} times ({lift_ends(row)})"
    return words + _conclusion(found, row)


def _conclusion(found: FollowUp, row: dict[str, Any]) -> str:
    if row["verdict"] == MORE:
        return ": more than chance gives."
    if row["verdict"] == LESS:
        return ": less than chance gives."
    words = ": the interval includes 1, no effect can be told."
    n = [found.sizes[row["first"]], found.sizes[row["second"]]]
    rows = [found.level("bought", row[place]) for place in ("first", "second")]
    bought = sum(each["value"] * size for each, size in zip(rows, n, strict=True) if each)
    if not 0 < bought < sum(n) or row["question"] != CAMPAIGN:
        return words
    seen = 100 * detectable_difference(bought / sum(n), *n)
    return f"{words} With {n[1]:,} held out, less than about {seen:.2g} points is seldom seen."


def _broad(found: FollowUp) -> str:
    measure = next(each for each in found.measures if each.name == "broad")
    parts = []
    for name in (PICKED, HOLD_OUT, REST):
        row = found.level("broad", name)
        if row is not None:
            parts.append(f"{figure(row['value'], measure)} ({name})")
    return f"{measure.title}: {_joined(parts)}."


def _silent(found: FollowUp) -> str:
    shown = [
        f"{found.silent[name]:,} of {found.sizes[name]:,} {name}"
        for name in (PICKED, HOLD_OUT, REST)
        if found.sizes[name]
    ]
    words = f"Without an event in the window, and counted as zeros: {_joined(shown)}."
    return words + (f" In no group, for want of a score: {found.n_new:,}." if found.n_new else "")


def record_of(found: FollowUp) -> dict[str, Any]:
    """The whole follow-up as plain JSON values; a ratio without an upper limit is null."""
    return {
        "headline": headline(found),
        "sentences": sentences(found),
        "warnings": warnings(found),
        "what": found.what,
        "since": found.since.isoformat(),
        "until": found.until.isoformat(),
        "seen_until": found.seen_until.isoformat(),
        "sizes": found.sizes,
        "silent": found.silent,
        "n_new": found.n_new,
        "levels": [_finite(row) for row in found.levels.to_dicts()],
        "contrasts": [_finite(row) for row in found.contrasts.to_dicts()],
    }


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }
