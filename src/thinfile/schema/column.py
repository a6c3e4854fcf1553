"""What is known of one column: its role, how its text is read, which values count as missing."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from thinfile.errors import SchemaError
from thinfile.schema.dates import check_date_format
from thinfile.schema.numbers import NUMBER_FORMATS

ROLES = ("number", "category", "ordinal", "date", "boolean", "id", "label", "domain", "ignored")
"""Every role that a column can have."""

FEATURE_ROLES = ("number", "category", "ordinal", "date", "boolean")
"""Roles of columns that a model sees."""

ON_FAULT = ("missing", "reject", "raise")
"""What becomes of a value that breaks its rule: missing, the whole row rejected, or an error."""

CATEGORY_FORMATS = ("code",)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a schema.

    Parameters
    ----------
    name : str
        Name in the table.
    role : str
        One of :data:`ROLES`. Only number, category, ordinal, date and boolean reach a model.
    format : str, optional
        How text is read. Number: None (``-1234.5``), ``thousands`` (``1,234.5``), ``european``
        (``1.234,5``), ``money`` (``$1,234.50``), ``money european`` (``1.234,50 €``),
        ``percent`` (``12.5%`` is 0.125) or ``percent european``. Date: one or more patterns,
        tried in order, with `` | `` between them (``%Y-%m-%d | %d/%m/%Y``). Category: ``code``
        reads ``259.0`` as ``259``. Ordinal, boolean: not used.
    missing : tuple of str, default ()
        Values that stand for "missing", as text; a number matches by value (``-9`` is ``-9.0``).
        Case and outer blanks do not count. Empty text and null are always missing.
    order : tuple of str, default ()
        The levels of an ordinal column, lowest first. Empty where levels are plain numbers.
    minimum, maximum : float, or ISO date as str, optional
        Range of a number, ordinal level or date, both ends included. Outside is a fault.
    on_fault : {"missing", "reject", "raise"}, default "missing"
        What becomes of a value that cannot be read or lies outside the range.
    pivot : int, optional
        For dates with two-digit years: the last of the hundred years that they can mean.
        2045 reads ``61`` as 1961 and ``14`` as 2014.

    Raises
    ------
    SchemaError
        If a field breaks its rule; all faults of the column in one message.
    """

    name: str
    role: str
    format: str | None = None
    missing: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    minimum: float | str | None = None
    maximum: float | str | None = None
    on_fault: str = "missing"
    pivot: int | None = None

    def __post_init__(self) -> None:
        faults = column_faults(self.to_dict())
        if faults:
            raise SchemaError("; ".join(faults))
        object.__setattr__(self, "missing", tuple(str(value) for value in self.missing))
        object.__setattr__(self, "order", tuple(str(value) for value in self.order))

    def to_dict(self) -> dict[str, Any]:
        """Fields that differ from their default, as plain JSON values; name and role always."""
        record: dict[str, Any] = {"name": self.name, "role": self.role}
        for field in fields(self)[2:]:
            value = getattr(self, field.name)
            if value != field.default:
                record[field.name] = list(value) if isinstance(value, tuple) else value
        return record


def column_faults(record: dict[str, Any]) -> list[str]:
    """Everything wrong with one column of a schema file, one sentence per fault."""
    name = record.get("name")
    if not isinstance(name, str):
        return [f"a column has the name {name!r}: text needed"]
    known = [field.name for field in fields(Column)]
    faults = [
        f"unknown key {key!r} (known: {', '.join(known)})" for key in record if key not in known
    ]
    if record.get("role") not in ROLES:
        faults.append(f"role is {record.get('role')!r}, must be one of {', '.join(ROLES)}")
    if record.get("on_fault", "missing") not in ON_FAULT:
        faults.append(f"on_fault is {record['on_fault']!r}, must be one of {', '.join(ON_FAULT)}")
    faults += _list_faults(record) + _format_faults(record) + _range_faults(record)
    return [f"column {name!r}: {fault}" for fault in faults]


def _list_faults(record: dict[str, Any]) -> list[str]:
    faults = []
    for key in ("missing", "order"):
        value = record.get(key, ())
        plain = isinstance(value, (list, tuple)) and all(
            isinstance(each, (str, int, float)) for each in value
        )
        if not plain:
            faults.append(f"{key} is {value!r}, must be a list of texts or numbers")
        elif len({str(each) for each in value}) < len(value):
            faults.append(f"{key} names a value twice: {list(value)!r}")
    return faults


def _format_faults(record: dict[str, Any]) -> list[str]:
    faults = []
    pivot = record.get("pivot")
    if pivot is not None and (not isinstance(pivot, int) or not 1900 <= pivot <= 2199):
        faults.append(f"pivot is {pivot!r}, must be a year from 1900 to 2199")
    form, role = record.get("format"), record.get("role")
    if form is None:
        return faults
    if not isinstance(form, str):
        return [*faults, f"format is {form!r}, must be text"]
    known = {"number": NUMBER_FORMATS, "category": CATEGORY_FORMATS}.get(str(role))
    if known is not None and form not in known:
        faults.append(f"format is {form!r}, must be one of {', '.join(known)}")
    if role == "date":
        faults += check_date_format(form)
    return faults


def _range_faults(record: dict[str, Any]) -> list[str]:
    faults = []
    as_date = record.get("role") == "date"
    ends = []
    for key in ("minimum", "maximum"):
        value = record.get(key)
        if value is None:
            continue
        end = _end(value, as_date)
        if end is None:
            rule = "a date such as '1990-12-31'" if as_date else "a finite number"
            faults.append(f"{key} is {value!r}, must be {rule}")
        ends.append(end)
    if len(ends) == 2 and None not in ends and ends[0] > ends[1]:  # type: ignore[operator]
        faults.append(f"minimum {record['minimum']!r} lies above maximum {record['maximum']!r}")
    return faults


def _end(value: Any, as_date: bool) -> float | None:
    if as_date:
        try:
            return datetime.fromisoformat(value).timestamp()
        except (TypeError, ValueError):
            return None
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if plain and math.isfinite(value) else None
