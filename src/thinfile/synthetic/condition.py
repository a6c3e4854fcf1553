"""Conditions on the columns of a table, such as ``fraud == 1 and amount > 100``, read safely.

A condition is read by a small grammar of its own. Nothing in it can be executed: it knows columns,
values, comparisons and their joining, and no functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.errors import DataError, ParameterError

Test = Callable[[pl.DataFrame], pl.Series]
Value = float | str | bool

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<word>[^\W\d][\w.]*)
      | '(?P<single>(?:[^']|'')*)'
      | "(?P<double>[^"]*)"
      | `(?P<back>[^`]*)`
      | (?P<sign>==|!=|<>|<=|>=|=|<|>|\(|\)|,|-)
    )""",
    re.VERBOSE,
)
_KEYWORDS = ("and", "or", "not", "in", "is", "null", "between", "true", "false")
_COMPARE: dict[str, Callable[[pl.Expr, Any], pl.Expr]] = {
    "==": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
}
MAX_SHOWN = 5
"""Values of a column that a message names."""

_SAME = {"=": "==", "<>": "!="}


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


@dataclass(frozen=True)
class Condition:
    """A condition that was read; :meth:`mask` says which rows fulfil it.

    Attributes
    ----------
    text : str
        As it was written.
    columns : tuple of str
        The columns that it names.
    equal : dict of str
        Values that every row fulfilling it has: of `a == 1 and b > 2` that of a.
    """

    text: str
    columns: tuple[str, ...]
    _test: Test
    equal: dict[str, Value] = field(default_factory=dict, hash=False)

    def mask(self, table: pl.DataFrame) -> npt.NDArray[np.bool_]:
        """Which rows fulfil the condition; a comparison with a missing value is not fulfilled.

        Raises
        ------
        DataError
            If a column is not there, or cannot be compared with what the condition names.
        """
        lacking = [name for name in self.columns if name not in table.columns]
        if lacking:
            has = ", ".join(map(repr, table.columns[:12]))
            raise DataError(
                f"the condition {self.text!r} names {', '.join(map(repr, lacking))}, which the "
                f"table lacks (it has {has}{', …' if table.width > 12 else ''})"
            )
        found: npt.NDArray[np.bool_] = self._test(table).fill_null(False).to_numpy()
        return found

    def check_any(self, table: pl.DataFrame, name: str) -> npt.NDArray[np.bool_]:
        """Which rows fulfil the condition; refused where none does.

        Raises
        ------
        DataError
            With values that the columns compared with a text do hold; also as `mask`.
        """
        found = self.mask(table)
        if not found.any():
            seen = "; ".join(
                f"{column!r} holds {_some(table[column])}" for column in self.texts_of(table)
            )
            raise DataError(
                f"none of the {table.height:,} {name} fulfils the condition {self.text!r}"
                + (f" ({seen})" if seen else "")
            )
        return found

    def texts_of(self, table: pl.DataFrame) -> list[str]:
        """Its columns of words, which a condition can miss by a letter."""
        kinds = (pl.String, pl.Categorical, pl.Enum)
        return [name for name in self.columns if isinstance(table.schema[name], kinds)]


def read_condition(text: str) -> Condition:
    """Read a condition on columns.

    Parameters
    ----------
    text : str
        Comparisons ``column == value`` with ``== != < <= > >=`` (also ``=`` and ``<>``),
        ``column in (value, value)``, ``column between value and value``, ``column is null``, each
        also with ``not``, and a column of truth values alone; joined by ``and``, ``or``, ``not``
        and brackets. A text stands in ``'…'`` or, right of a comparison, ``"…"``; a column with
        blanks or signs in its name in backquotes or, at the left, in ``"…"``. A date is a text
        such as ``'2013-05-01'``.

    Returns
    -------
    Condition

    Raises
    ------
    ParameterError
        If it does not follow the grammar; the message says what was expected where.

    Examples
    --------
    >>> import polars as pl
    >>> table = pl.DataFrame({"fraud": [1, 0, 1], "amount": [5.0, 80.0, None]})
    >>> read_condition("fraud == 1 and not amount > 10").mask(table).tolist()
    [True, False, False]
    """
    reader = _Reader(text)
    test = reader.either()
    reader.end()
    # Within "or" and "not" an equality settles nothing.
    joined = {token.text for token in reader.tokens if token.kind == "key"}
    equal = {} if joined & {"or", "not", "in"} else reader.equal
    return Condition(text, tuple(dict.fromkeys(reader.columns)), test, equal)


class _Reader:
    """Reads from left to right; each method reads one rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.text, self.columns = text, list[str]()
        self.equal: dict[str, Value] = {}
        self.tokens, self.at = self._split(text), 0

    def _split(self, text: str) -> list[_Token]:
        tokens, place, end = [], 0, len(text.rstrip())
        while place < end:
            match = _TOKEN.match(text, place)
            if match is None:
                start = place + len(text[place:]) - len(text[place:].lstrip())
                raise self._fault(f"{text[start : start + 12]!r} is not understood", start)
            kind = str(match.lastgroup)
            found = match[kind].replace("''", "'") if kind == "single" else match[kind]
            is_key = kind == "word" and found.lower() in _KEYWORDS
            tokens.append(
                _Token("key", found.lower(), match.start(kind))
                if is_key
                else _Token(kind, found, match.start(kind))
            )
            place = match.end()
        return tokens

    def either(self) -> Test:
        test = self.both()
        while self._take("key", "or"):
            test = _or(test, self.both())
        return test

    def both(self) -> Test:
        test = self.negated()
        while self._take("key", "and"):
            test = _and(test, self.negated())
        return test

    def negated(self) -> Test:
        if self._take("key", "not"):
            return _not(self.negated())
        if self._take("sign", "("):
            test = self.either()
            self._need("sign", ")")
            return test
        return self.comparison()

    def comparison(self) -> Test:
        name = self.column()
        if self._take("key", "is"):
            is_not = self._take("key", "not")
            self._need("key", "null")
            return _not(_missing(name)) if is_not else _missing(name)
        sign = self._peek()
        if sign is not None and _SAME.get(sign.text, sign.text) in _COMPARE and sign.kind == "sign":
            self.at += 1
            value = self.value()
            if sign.text in ("=", "=="):
                self.equal[name] = value
            return self._compare(name, _SAME.get(sign.text, sign.text), value)
        is_not = self._take("key", "not")
        if self._take("key", "in"):
            test = self._any_of(name)
        elif self._take("key", "between"):
            low = self.value()
            self._need("key", "and")
            test = _and(self._compare(name, ">=", low), self._compare(name, "<=", self.value()))
        elif is_not:
            raise self._expected("in or between after not")
        else:
            return self._compare(name, "==", True)
        return _not(test) if is_not else test

    def column(self) -> str:
        token = self._peek()
        if token is None or token.kind not in ("word", "double", "back"):
            raise self._expected("the name of a column")
        self.at += 1
        self.columns.append(token.text)
        return token.text

    def value(self) -> Value:
        sign = -1.0 if self._take("sign", "-") else 1.0
        token = self._peek()
        if token is not None and token.kind == "number":
            self.at += 1
            return sign * float(token.text)
        if token is not None and token.kind in ("single", "double") and sign > 0:
            self.at += 1
            return token.text
        if token is not None and token.text in ("true", "false") and sign > 0:
            self.at += 1
            return token.text == "true"
        raise self._expected("a number, a text in quotes, true or false")

    def end(self) -> None:
        token = self._peek()
        if token is None:
            return
        before = self.tokens[self.at - 1] if self.at else token
        hint = ""
        if before.kind == token.kind == "word":
            hint = f"; a column with a space in its name is written `{before.text} {token.text}`"
        raise self._expected("and, or, or the end", hint)

    def _any_of(self, name: str) -> Test:
        self._need("sign", "(")
        test = self._compare(name, "==", self.value())
        while self._take("sign", ","):
            test = _or(test, self._compare(name, "==", self.value()))
        self._need("sign", ")")
        return test

    def _compare(self, name: str, sign: str, value: Value) -> Test:
        def test(table: pl.DataFrame) -> pl.Series:
            column, other = _alike(table[name], value, self.text)
            if sign not in ("==", "!=") and isinstance(other, bool):
                raise DataError(f"the condition {self.text!r}: {name!r} {sign} true has no meaning")
            return column.to_frame("c").select(_COMPARE[sign](pl.col("c"), other)).to_series()

        return test

    def _peek(self) -> _Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _take(self, kind: str, text: str) -> bool:
        token = self._peek()
        found = token is not None and (token.kind, token.text) == (kind, text)
        self.at += found
        return found

    def _need(self, kind: str, text: str) -> None:
        if not self._take(kind, text):
            raise self._expected(repr(text))

    def _expected(self, what: str, hint: str = "") -> ParameterError:
        token = self._peek()
        if token is None:
            return self._fault(f"{what} expected, but it ends", len(self.text))
        return self._fault(f"{what} expected, not {token.text!r}", token.place, hint)

    def _fault(self, what: str, place: int, hint: str = "") -> ParameterError:
        return ParameterError(
            f"the condition {self.text!r} cannot be read: {what} (at letter {place + 1}){hint}"
        )


def _some(column: pl.Series) -> str:
    """The most frequent values of a column, the first few."""
    counts = column.cast(pl.String).drop_nulls().alias("value").value_counts(name="n")
    values = counts.sort(["n", "value"], descending=[True, False])["value"].to_list()
    shown = ", ".join(map(repr, values[:MAX_SHOWN])) or "nothing"
    return shown + (f" and {len(values) - MAX_SHOWN:,} more" if len(values) > MAX_SHOWN else "")


def _and(first: Test, second: Test) -> Test:
    return lambda table: first(table) & second(table)


def _or(first: Test, second: Test) -> Test:
    return lambda table: first(table) | second(table)


def _not(test: Test) -> Test:
    return lambda table: ~test(table)


def _missing(name: str) -> Test:
    def test(table: pl.DataFrame) -> pl.Series:
        column = table[name]
        missing = column.is_null()
        if column.dtype.is_float():
            return missing | column.is_nan().fill_null(False)
        return missing | (column.str.strip_chars() == "") if column.dtype == pl.String else missing

    return test


def _alike(column: pl.Series, value: Value, text: str) -> tuple[pl.Series, Any]:
    """Column and value in one type, so that text columns can be compared with numbers."""
    dtype = column.dtype
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        column, dtype = column.cast(pl.String), pl.String()
    if isinstance(value, bool):
        return _truths(column), value
    if isinstance(value, str):
        if dtype == pl.String:
            return column.str.strip_chars(), value
        if dtype.is_temporal():
            return column.cast(pl.Datetime("us"), strict=False), _instant(column.name, value, text)
        value = _number(column.name, dtype, value, text)
    if dtype == pl.String:
        return column.str.strip_chars().cast(pl.Float64, strict=False), value
    if dtype.is_numeric() or dtype in (pl.Boolean, pl.Null):
        return column.cast(pl.Float64).fill_nan(None), value
    raise DataError(
        f"the condition {text!r}: column {column.name!r} is of type {dtype} and cannot be "
        f"compared with {value!r}"
    )


def _truths(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        words = column.str.strip_chars().str.to_lowercase()
        return words.replace_strict(
            ["true", "yes", "y", "t", "1", "false", "no", "n", "f", "0"],
            [True] * 5 + [False] * 5,
            default=None,
            return_dtype=pl.Boolean,
        )
    return column if column.dtype == pl.Boolean else column.cast(pl.Float64, strict=False) == 1.0


def _instant(name: str, value: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise DataError(
            f"the condition {text!r}: column {name!r} holds dates, and {value!r} is no date such "
            "as '2013-05-01'"
        ) from None


def _number(name: str, dtype: pl.DataType, value: str, text: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise DataError(
            f"the condition {text!r}: column {name!r} is of type {dtype}, and {value!r} is no "
            "number"
        ) from None
