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
    bare = _bare(text, kind)
    easy = bare.str.contains(_GROUPED_EUROPEAN if european else _GROUPED)
    # Most values are done once their ends are stripped; searching patterns are for the others.
    odd = _leading_minus(pl.when(easy.not_()).then(text), kind)
    odd = pl.when(odd.str.contains(_GROUPED_EUROPEAN if european else _GROUPED)).then(odd)
    number = _without_groups(pl.when(easy).then(bare).otherwise(odd), european)
    number = number.cast(pl.Float64, strict=False)
    return number / 100 if kind == "percent" else number


def _bare(text: pl.Expr, kind: str) -> pl.Expr:
    if kind == "money":
        return text.str.strip_chars("$€£¥₹₽₩₺ \u00a0\u202f")
    return text.str.strip_suffix("%").str.strip_chars() if kind == "percent" else text


def _leading_minus(text: pl.Expr, kind: str) -> pl.Expr:
    """Text with its sign in front: "(5)", "5-" and "$ -5" are all -5."""
    if kind == "money":
        text = text.str.replace_all(_SYMBOLS, "").str.strip_chars()
    text = text.str.replace(r"^\(([^()]*)\)\s*(%?)$", "-$1$2").str.replace(r"^([^-].*)-$", "-$1")
    # A sign may stand apart from its number once the currency is gone: "- 5".
    text = text.str.replace(r"^([+-])\s+", "$1")
    return _bare(text, kind) if kind == "percent" else text.str.strip_chars()


def _without_groups(text: pl.Expr, european: bool) -> pl.Expr:
    group = r"[.' \u{a0}\u{202f}]" if european else r"[,' \u{a0}\u{202f}]"
    text = text.str.replace_all(group, "")
    return text.str.replace(",", ".", literal=True) if european else text
