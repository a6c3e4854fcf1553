"""Which column of an event log is what."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from thinfile.errors import DataError, ParameterError

_MAX_NEAR = 3


@dataclass(frozen=True)
class EventColumns:
    """Which column of an event log is what.

    Parameters
    ----------
    customer : str
        Who; events without it are set aside.
    time : str
        When: dates, times, text of either, or seconds since 1970.
    item : str, optional
        The article.
    category : str, optional
        The finest level that purchases are predicted for.
    quantity : str, optional
        Units; below 0 is a return.
    amount : str, optional
        Money of the event. Where the log has a price per unit, multiply first.

    Raises
    ------
    ParameterError
        If a role that is needed has no name, or one column has two roles that cannot be one.

    Examples
    --------
    >>> EventColumns("CustomerID", "InvoiceDate", quantity="Quantity").to_dict()
    {'customer': 'CustomerID', 'time': 'InvoiceDate', 'quantity': 'Quantity'}
    """

    customer: str
    time: str
    item: str | None = None
    category: str | None = None
    quantity: str | None = None
    amount: str | None = None

    def __post_init__(self) -> None:
        faults = []
        for field in fields(self):
            value = getattr(self, field.name)
            needed = field.name in ("customer", "time")
            if not (isinstance(value, str) and value) and (needed or value is not None):
                faults.append(f"{field.name}={value!r} must be the name of a column")
        if not faults:
            faults = self._clashes()
        if faults:
            raise ParameterError("EventColumns: " + "; ".join(faults))

    def _clashes(self) -> list[str]:
        others = {role: name for role, name in self.to_dict().items() if role != "customer"}
        faults = [
            f"customer and {role} are both {name!r}"
            for role, name in others.items()
            if name == self.customer
        ]
        others.pop("time")
        faults += [
            f"time and {role} are both {name!r}"
            for role, name in others.items()
            if name == self.time
        ]
        return faults

    def to_dict(self) -> dict[str, str]:
        """Roles that have a column, as plain JSON values."""
        return {role: name for role, name in asdict(self).items() if name is not None}

    @classmethod
    def from_dict(cls, record: Mapping[str, str]) -> EventColumns:
        """Read what :meth:`to_dict` wrote."""
        known = [field.name for field in fields(cls)]
        unknown = [role for role in record if role not in known]
        if unknown:
            raise ParameterError(
                f"EventColumns: unknown roles {', '.join(map(repr, unknown))} "
                f"(known: {', '.join(known)})"
            )
        return cls(**record)

    def check(self, known: Sequence[str], name: str = "the log") -> None:
        """Refuse a table that lacks columns, all of them in one message, with names that come near.

        Raises
        ------
        DataError
            If a column is not there.
        """
        lacking = [
            f"{column!r} ({role}){near_names(column, known)}"
            for role, column in self.to_dict().items()
            if column not in known
        ]
        if lacking:
            has = ", ".join(map(repr, known[:12])) + (", …" if len(known) > 12 else "")
            raise DataError(
                f"{name} lacks {len(lacking)} of {len(self.to_dict())} columns: "
                f"{', '.join(lacking)}; it has {has or 'none'}"
            )


def near_names(name: str, known: Sequence[str]) -> str:
    """Words for a message: up to three known names that come near, or nothing."""
    lower = {each.lower(): each for each in reversed(known)}
    found = difflib.get_close_matches(name.lower(), list(lower), n=_MAX_NEAR, cutoff=0.6)
    return f" (near: {', '.join(repr(lower[each]) for each in found)})" if found else ""
