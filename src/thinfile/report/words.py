"""How the report writes numbers: three decimals, a real minus, commas in thousands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from thinfile.report.subject import Row, Subject, is_number

NOTHING = "–"


def three(value: Any, *, sign: bool = False) -> str:
    """Write a number with three decimals.

    Examples
    --------
    >>> three(0.68149), three(-0.0214, sign=True), three(None)
    ('0.681', '−0.021', '–')
    """
    if not is_number(value):
        return NOTHING
    text = f"{value:+.3f}" if sign else f"{value:.3f}"
    if float(text) == 0:
        text = "0.000"
    return text.replace("-", "−")


def interval(low: Any, high: Any, *, sign: bool = False) -> str:
    """Write an interval, or nothing where one end is missing.

    Examples
    --------
    >>> interval(-0.03, -0.012, sign=True)
    '−0.030…−0.012'
    """
    if not (is_number(low) and is_number(high)):
        return ""
    return f"{three(low, sign=sign)}…{three(high, sign=sign)}"


def count(value: Any) -> str:
    """Write a whole number in groups of three.

    Examples
    --------
    >>> count(12345)
    '12,345'
    """
    return f"{round(value):,}" if is_number(value) else NOTHING


def percent(value: Any) -> str:
    """Write a share in percent with one decimal.

    Examples
    --------
    >>> percent(0.0683)
    '6.8%'
    """
    return f"{100 * value:.1f}%" if is_number(value) else NOTHING


def duration(seconds: Any) -> str:
    """Write seconds: below ten with one decimal, above as whole numbers."""
    if not is_number(seconds):
        return NOTHING
    return f"{seconds:.1f}" if seconds < 10 else count(seconds)


def listing(names: Sequence[Any]) -> str:
    """Join names with commas and a last "and".

    Examples
    --------
    >>> listing(["a", "b", "c"])
    'a, b and c'
    """
    texts = [str(name) for name in names]
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)


def spoken(text: str, subject: Subject) -> str:
    """A sentence with methods' titles for their names, and a capital first."""
    known = "|".join(sorted(map(re.escape, subject.titles), key=len, reverse=True))
    if known:
        text = re.sub(rf"\b({known})\b", lambda found: subject.title(found[1]), text)
    return text[:1].upper() + text[1:]


def measured(row: Row, name: str, *, sign: bool = False) -> str:
    """Write a measure of a leaderboard row with its interval in brackets."""
    value = three(row.get(name), sign=sign)
    ends = interval(row.get(f"{name}_low"), row.get(f"{name}_high"), sign=sign)
    return f"{value} ({ends})" if ends else value
