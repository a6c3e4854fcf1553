"""Numbers as people write them: money, percent, thousands separators, both decimal marks."""

from __future__ import annotations

import polars as pl

NUMBER_FORMATS = (
    "thousands",
    "european",
    "money",
    "money european",
    "percent",
    "percent european",
)
"""Formats of a number column; None is a plain number such as ``-1234.5``."""

_SYMBOLS = r"(?i)[$€£¥₹₽₩₺]|\b(?:usd|eur|gbp|chf|cny|rmb|jpy|inr|czk|pln|sek|nok|dkk|kc|kč)\b"
_GROUPED = r"^[+-]?(?:\d{1,3}(?:[,' \u{a0}\u{202f}]\d{3})+|\d+)?(?:\.\d*)?$"
_GROUPED_EUROPEAN = r"^[+-]?(?:\d{1,3}(?:[.' \u{a0}\u{202f}]\d{3})+|\d+)?(?:,\d*)?$"


def read_number(text: pl.Expr, form: str | None) -> pl.Expr:
    """Read text as Float64; what is no number in this format becomes null.

    Parameters
    ----------
    text : polars expression of type String
        Outer blanks do not count. ``(1,234.50)`` and ``1,234.50-`` are negative, as accountants
        write, in every format but None.
    form : str or None
        One of :data:`NUMBER_FORMATS`, or None for plain numbers.

    Returns
    -------
    polars expression of type Float64
    """
    text = text.str.strip_chars()
    if form is None:
        # Infinity is left to the range check, which reports it as what it is.
        return text.cast(pl.Float64, strict=False)
    kind, european = form.split(" ")[0], form.endswith("european")
    if kind == "money":
        text = text.str.replace_all(_SYMBOLS, "").str.strip_chars()
    if kind == "percent":
        text = text.str.strip_suffix("%").str.strip_chars()
    text = _leading_minus(text)
    pattern = _GROUPED_EUROPEAN if european else _GROUPED
    text = pl.when(text.str.contains(pattern)).then(text)
    number = _without_groups(text, european).cast(pl.Float64, strict=False)
    return number / 100 if kind == "percent" else number


def _leading_minus(text: pl.Expr) -> pl.Expr:
    text = text.str.replace(r"^\((.*)\)$", "-$1").str.replace(r"^([^-].*)-$", "-$1")
    # A sign may stand apart from its number once the currency is gone: "- 5".
    return text.str.replace(r"^([+-])\s+", "$1")


def _without_groups(text: pl.Expr, european: bool) -> pl.Expr:
    group = r"[.' \u{a0}\u{202f}]" if european else r"[,' \u{a0}\u{202f}]"
    text = text.str.replace_all(group, "")
    return text.str.replace(",", ".", literal=True) if european else text
