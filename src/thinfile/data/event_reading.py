"""From the raw rows of an event log to typed ones; what cannot be read is counted, not lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import polars as pl

from thinfile.data.event_checks import NO_ZONE, LogChecks
from thinfile.data.event_columns import EventColumns
from thinfile.data.event_times import TimeForm, learn_time_form, read_times
from thinfile.errors import DataError
from thinfile.params import check_params, one_of
from thinfile.schema.column import Column
from thinfile.schema.guess_text import guess_number_format
from thinfile.schema.infer import MAX_ROWS, infer_columns
from thinfile.schema.missing import WORDS
from thinfile.schema.parse import present_values, read_values

_WHOLE_FLOAT = r"^\s*-?\d{1,15}\.0+\s*$"


class EventReader:
    """How the columns of a log are read: learnt from a sample, kept to for all its rows.

    Use one for each log: hand it every batch in order, call ``checks.check()``, and ask for
    :meth:`notes`.

    Parameters
    ----------
    sample : polars.DataFrame
        Rows of the log with all its columns, see :func:`sample_of`.
    roles : EventColumns
    on_missing_customer : {"drop", "raise"}, default "drop"
        Set events without a customer aside and count them, or refuse the log.
    on_bad_time : {"raise", "drop"}, default "raise"
        Refuse a log with times that are missing or cannot be read, or set such events aside and
        count them.

    Raises
    ------
    DataError
        If columns are missing, or of a type that cannot be what they should.
    """

    def __init__(
        self,
        sample: pl.DataFrame,
        roles: EventColumns,
        *,
        on_missing_customer: str = "drop",
        on_bad_time: str = "raise",
    ) -> None:
        options = {"on_missing_customer": on_missing_customer, "on_bad_time": on_bad_time}
        check_params("EventLog", options, dict.fromkeys(options, one_of("drop", "raise")))
        roles.check(sample.columns)
        if sample.is_empty():
            raise DataError("the log is empty: columns but no rows")
        self.roles = roles
        self.checks = LogChecks(roles, on_missing_customer == "raise", on_bad_time == "raise")
        _check_types(sample, roles)
        self._whole = _customer_is_whole(sample[roles.customer])
        self._time = learn_time_form(sample[roles.time])
        self._left_out = [name for name, dtype in sample.schema.items() if _unusable(dtype)]
        kept = sample.drop(roles.customer, roles.time, *self._left_out)
        self._columns = _learn_numbers(kept, roles) | _learn_others(kept, roles)
        self._learnt = [*self._time.notes, *_learnt_notes(sample, self._left_out, self._columns)]

    def notes(self) -> list[str]:
        """How columns were read, and what was set aside."""
        return [*self._learnt, *self.checks.notes()]

    def read(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Give the next rows their types, and say which are to be kept.

        Returns
        -------
        frame : polars.DataFrame
            The customer, then the other columns in their order; all rows of the batch.
        keep : polars.Series of Boolean
            Rows with a customer and a time.
        """
        checks, roles, first = self.checks, self.roles, self.checks.n_rows
        checks.n_rows += batch.height
        customer = _read_customer(batch[roles.customer], self._whole, checks, first)
        time = _read_time(batch[roles.time], self._time, checks, first)
        others = batch.drop(roles.customer, *self._left_out)
        typed = [
            time if each.name == roles.time else _read_column(each, self._columns, checks, first)
            for each in others
        ]
        frame = pl.DataFrame([customer, *typed])
        keep = customer.is_not_null() & time.is_not_null()
        checks.n_kept += int(keep.sum())
        if roles.quantity is not None:
            units = frame[roles.quantity]
            returned = (units < 0).fill_null(False) & keep
            checks.tally(roles.quantity, "returns").add(returned, units, first)
        return frame, keep


def sample_of(frame: pl.DataFrame, n_rows: int = MAX_ROWS) -> pl.DataFrame:
    """At most about `n_rows` rows, evenly spaced."""
    return frame.gather_every(max(1, frame.height // n_rows))


def _check_types(sample: pl.DataFrame, roles: EventColumns) -> None:
    faults = [
        f"column {name!r} is of type {sample.schema[name]}, which cannot be {wanted}"
        for role, name in roles.to_dict().items()
        for wanted, fits in [_WANTED.get(role, _ANY)]
        if not fits(sample.schema[name])
    ]
    if faults:
        raise DataError("; ".join(faults))


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype in (pl.String, pl.Null)


def _is_time(dtype: pl.DataType) -> bool:
    return _is_number(dtype) or dtype == pl.Date or isinstance(dtype, pl.Datetime)


def _is_id(dtype: pl.DataType) -> bool:
    return _is_number(dtype) or dtype == pl.Date


def _unusable(dtype: pl.DataType) -> bool:
    return dtype.is_nested() or dtype == pl.Object


_ANY = ("a column of a log", lambda dtype: not _unusable(dtype))
_WANTED: dict[str, tuple[str, Callable[[pl.DataType], bool]]] = {
    "customer": ("a customer's id", _is_id),
    "time": ("a time", _is_time),
    "quantity": ("numbers", _is_number),
    "amount": ("numbers", _is_number),
}


def _customer_is_whole(sample: pl.Series) -> bool:
    """Is this text that was written as whole floats, such as ``17850.0``?"""
    if sample.dtype != pl.String:
        return False
    present = _named(sample).drop_nulls()
    return present.len() > 0 and bool(present.str.contains(_WHOLE_FLOAT).all())


def _learn_numbers(sample: pl.DataFrame, roles: EventColumns) -> dict[str, Column]:
    """Quantity and amount, which must be numbers."""
    columns = {}
    for name in dict.fromkeys(each for each in (roles.quantity, roles.amount) if each):
        form = None
        if sample.schema[name] == pl.String:
            present = sample[name].str.strip_chars().replace("", None).drop_nulls()
            counts = present.alias("value").value_counts(sort=False).sort("value")
            guess = guess_number_format(counts) if counts.height else None
            form = guess.form if guess else None
        columns[name] = Column(name, "number", form)
    return columns


def _learn_others(sample: pl.DataFrame, roles: EventColumns) -> dict[str, Column]:
    """Numbers and dates of a log that is all text, as CSV is; names and codes stay text."""
    others = sample.drop(roles.to_dict().values(), strict=False)
    if not others.width or any(dtype != pl.String for dtype in sample.dtypes):
        return {}
    inferred, _ = infer_columns(others, label=None, domain=None)
    columns = {}
    for column in inferred:
        if column.role not in ("number", "date"):
            continue
        # Words such as "NA" are missing; a number that stands apart is not, without being asked.
        words = tuple(word for word in column.missing if not any(map(str.isdigit, word)))
        column = replace(column, missing=words)
        raw = others.select(present_values(column, pl.String())).to_series()
        if read_values(column, raw).null_count() == raw.null_count():
            columns[column.name] = column
    return columns


def _learnt_notes(
    sample: pl.DataFrame, left_out: list[str], columns: dict[str, Column]
) -> list[str]:
    notes = [f"column {name!r} is of type {sample.schema[name]}: left out" for name in left_out]
    read = [column for column in columns.values() if sample.schema[column.name] == pl.String]
    notes += [
        f"column {column.name!r}: text is read as {column.role}s"
        f"{f' ({column.format})' if column.format else ''}"
        for column in read
    ]
    return notes


def _named(raw: pl.Series) -> pl.Series:
    """Ids as text, without blanks and words such as NULL, under which thousands would be one."""
    text = raw.str.strip_chars()
    return text.set(text.str.to_lowercase().is_in(["", *WORDS]), None)


def _read_customer(raw: pl.Series, whole: bool, checks: LogChecks, first: int) -> pl.Series:
    read = raw
    if raw.dtype == pl.String:
        read = _named(raw)
    elif raw.dtype.is_float():
        read = raw.fill_nan(None)
    missing = read.is_null()
    shown = raw.set(_missing(raw), None)
    if read.dtype.is_float() or whole:
        read = _whole_numbers(read.cast(pl.Float64, strict=False))
    checks.tally(raw.name, "missing").add(missing, shown, first)
    checks.tally(raw.name, "odd customer").add(read.is_null() & ~missing, raw, first)
    return read


def _whole_numbers(numbers: pl.Series) -> pl.Series:
    whole = numbers.cast(pl.Int64, strict=False)
    same = whole.cast(pl.Float64) == numbers
    return pl.select(pl.when(same).then(whole).alias(numbers.name)).to_series()


def _read_time(raw: pl.Series, form: TimeForm, checks: LogChecks, first: int) -> pl.Series:
    read = read_times(raw, form)
    time = read["time"]
    if time.null_count():
        missing = _missing(raw)
        checks.tally(raw.name, "no time").add(missing, raw.set(missing, None), first)
        checks.tally(raw.name, "bad time").add(time.is_null() & ~missing, raw, first)
    if form.kind == "text":
        zone = pl.when(pl.col("time").is_not_null()).then(pl.col("zone").fill_null(NO_ZONE))
        checks.count_zones(read.select(zone).to_series(), raw, first)
    return time.alias(raw.name)


def _missing(raw: pl.Series) -> pl.Series:
    if raw.dtype == pl.String:
        return (raw.str.strip_chars() == "").fill_null(True)
    return raw.is_null() | (raw.is_nan().fill_null(True) if raw.dtype.is_float() else False)


def _read_column(
    raw: pl.Series, columns: dict[str, Column], checks: LogChecks, first: int
) -> pl.Series:
    column = columns.get(raw.name)
    if column is None or raw.dtype.is_integer():
        return raw
    present = raw.to_frame().select(present_values(column, raw.dtype)).to_series()
    read = read_values(column, present) if raw.dtype in (pl.String, pl.Null) else present
    if read.dtype.is_float():
        read = read.set(~read.is_finite().fill_null(True), None)
    unread = read.is_null() & present.is_not_null()
    checks.tally(raw.name, "unread").add(unread, raw, first)
    checks.n_present[raw.name] = checks.n_present.get(raw.name, 0) + present.count()
    return read
