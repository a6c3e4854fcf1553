"""What counts as the event to be predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile.data.event_columns import near_names
from thinfile.errors import DataError, ParameterError

if TYPE_CHECKING:
    from thinfile.data.events import EventLog

_MAX_COMPARED = 50_000
"""Near names are looked for among at most this many."""


@dataclass(frozen=True)
class Buys:
    """Which events of a log are the purchases to be predicted.

    Use it wherever a log is turned into labels. Returns (a quantity below 0) are never purchases.

    Parameters
    ----------
    column : str
        Column that holds the category, usually ``roles.category``.
    values : tuple of str
        Any of these values counts; numbers are compared as numbers. At least one.
    action : (str, str), optional
        Column and value that mark a purchase in logs that hold other actions too, such as
        ``("behavior", "buy")``. By default every event is a purchase.

    Examples
    --------
    >>> Buys("group", ("LUNCH BAG",)).to_dict()
    {'column': 'group', 'values': ['LUNCH BAG'], 'action': None}
    """

    column: str
    values: tuple[str, ...]
    action: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        values = (self.values,) if isinstance(self.values, str) else tuple(map(str, self.values))
        object.__setattr__(self, "values", values)
        if not values:
            raise ParameterError("Buys: values=() must name at least one value")
        if self.action is not None:
            action = tuple(map(str, self.action))
            if len(action) != 2 or isinstance(self.action, str):
                raise ParameterError(f"Buys: action={self.action!r} must be a column and a value")
            object.__setattr__(self, "action", action)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; :meth:`from_dict` reads them back."""
        action = list(self.action) if self.action else None
        return {"column": self.column, "values": list(self.values), "action": action}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Buys:
        """Read what :meth:`to_dict` wrote."""
        action = record.get("action")
        return cls(record["column"], tuple(record["values"]), tuple(action) if action else None)

    def mask(self, log: EventLog, *, must_occur: bool = True) -> NDArray[np.bool_]:
        """Mark the purchases of a log.

        Parameters
        ----------
        log : EventLog
        must_occur : bool, default True
            Refuse a value that never occurs, which is mostly a slip of the pen. False for short
            logs, such as those of a follow-up, in which a rare value may be absent.

        Returns
        -------
        numpy.ndarray of bool, shape (n_events,)

        Raises
        ------
        DataError
            If a column is not there, or a value never occurs; names that come near are named.
        """
        _check_columns(self, log.table.columns)
        marked, absent = _marked(log.table[self.column], self.values)
        faults = [_never_occurs(log.table[self.column], value) for value in absent]
        if self.action is not None:
            column, value = self.action
            acted, none = _marked(log.table[column], (value,))
            faults += [_never_occurs(log.table[column], value) for _ in none]
            marked &= acted
        if must_occur and faults:
            raise DataError("; ".join(faults))
        bought = marked.to_numpy() & ~log.returns()
        if must_occur and not bought.any():
            raise DataError(self._never_bought(int(marked.sum())))
        return bought

    def _never_bought(self, n_marked: int) -> str:
        shown = ", ".join(map(repr, self.values))
        if n_marked:
            return (
                f"column {self.column!r}: {shown} occurs in {n_marked} events, all of them returns"
            )
        column, value = self.action or ("", "")
        return f"column {self.column!r}: {shown} never occurs where {column!r} is {value!r}"


def _check_columns(buys: Buys, known: list[str]) -> None:
    wanted = [buys.column, *(buys.action[:1] if buys.action else ())]
    faults = [
        f"the log has no column {name!r}{near_names(name, known)}"
        for name in dict.fromkeys(wanted)
        if name not in known
    ]
    if faults:
        raise DataError("; ".join(faults))


def _marked(column: pl.Series, values: tuple[str, ...]) -> tuple[pl.Series, list[str]]:
    """Which rows hold one of the values, and the values that none holds."""
    typed = {value: _typed(value, column.dtype) for value in values}
    wanted = pl.Series([each for each in typed.values() if each is not None], dtype=column.dtype)
    marked = column.is_in(wanted.implode()).fill_null(False)
    found = set(column.filter(marked).unique())
    return marked, [value for value, each in typed.items() if each is None or each not in found]


def _typed(value: str, dtype: pl.DataType) -> Any:
    """The value as the column holds it, or None where the column cannot hold it."""
    if dtype == pl.String:
        return value
    text = pl.Series([value.strip()])
    if dtype == pl.Boolean:
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    if dtype.is_integer():
        number = text.cast(pl.Float64, strict=False)
        whole = text.str.replace(r"\.0+$", "") if number.is_not_null().all() else text
        return whole.cast(dtype, strict=False).item()
    return text.cast(dtype, strict=False).item()


def _never_occurs(column: pl.Series, value: str) -> str:
    distinct = column.drop_nulls().unique()
    known = distinct.head(_MAX_COMPARED).cast(pl.String).sort().to_list()
    return (
        f"column {column.name!r}: {value!r} never occurs among {distinct.len()} values"
        f"{near_names(value, known)}"
    )
