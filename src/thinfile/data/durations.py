"""Spans of time as people type them: ``60d``, ``8w``, ``36h``."""

from __future__ import annotations

import re
from datetime import timedelta

from thinfile.errors import ParameterError

_UNITS = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_LONGEST = timedelta(days=365 * 100)


def parse_duration(text: str) -> timedelta:
    """Read a span of time such as ``60d``.

    Use it for options of the command line and of settings files. Months and years are left out on
    purpose: they differ in length, and a label window must not.

    Parameters
    ----------
    text : str
        A number of at least 0 and a unit: ``s`` seconds, ``min`` minutes, ``h`` hours, ``d`` days,
        ``w`` weeks. Blanks between them and upper case do not matter. At most 100 years.

    Returns
    -------
    datetime.timedelta

    Raises
    ------
    ParameterError
        If it is anything else.

    Examples
    --------
    >>> parse_duration("8w")
    datetime.timedelta(days=56)
    >>> parse_duration("1.5 d")
    datetime.timedelta(days=1, seconds=43200)
    """
    match = re.fullmatch(r"\s*(\d{1,10}(?:\.\d+)?)\s*(s|min|h|d|w)\s*", str(text).lower(), re.ASCII)
    span = _UNITS[match[2]] * float(match[1]) if match else None
    if span is None or span > _LONGEST:
        raise ParameterError(
            f"duration {text!r} must be a number and one of s, min, h, d, w (60d, 8w, 36h), "
            "at most 100 years"
        )
    return span


def format_duration(span: timedelta) -> str:
    """Write a span in the largest unit that keeps it whole, as :func:`parse_duration` reads it.

    Examples
    --------
    >>> format_duration(timedelta(days=60)), format_duration(timedelta(hours=36))
    ('60d', '36h')
    """
    for unit, name in ((timedelta(days=1), "d"), (timedelta(hours=1), "h")):
        if span % unit == timedelta(0):
            return f"{span // unit}{name}"
    return f"{span.total_seconds():.10g}s"
