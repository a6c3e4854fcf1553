"""Which value of a label is the event: as named, as plain, or as the condition asks for it."""

from __future__ import annotations

import polars as pl

from thinfile.data.labels import event_of, label_texts
from thinfile.errors import DataError, ParameterError
from thinfile.synthetic.condition import Condition


def n_values(column: pl.Series) -> int:
    """Values of a label column; 0 where it can be none."""
    try:
        return label_texts(column, column.name, "the table").drop_nulls().n_unique()
    except DataError:
        return 0


def settle_event(
    table: pl.DataFrame,
    label: str | None,
    where: Condition | None,
    event: str | None,
    *,
    is_judged: bool,
) -> str | None:
    """The event as `label_texts` writes it, None where it is not known.

    Raises
    ------
    DataError
        If `event` is no value of the label, or rows that will be judged have a label of two
        values of which none is plainly the event.
    ParameterError
        If there is an event and no label.
    """
    if label is None:
        if event is not None:
            raise ParameterError(f"event {event!r} needs the label that it is a value of (--label)")
        return None
    if event is None and n_values(table[label]) != 2:
        return None  # the judgement says that it cannot be measured
    try:
        return event_of(table[label], label, event or event_in(where, label, table))
    except DataError:
        if event is not None or is_judged:
            raise
        return None


def event_in(condition: Condition | None, label: str | None, table: pl.DataFrame) -> str | None:
    """The label's value that a condition asks for, where the values alone do not tell the event.

    Values such as 0/1 or good/bad tell it: then rows of the other class may be asked for.

    Examples
    --------
    >>> from thinfile.synthetic.condition import read_condition
    >>> table = pl.DataFrame({"status": ["ok", "stolen"], "bad": [0, 1]})
    >>> event_in(read_condition("status == 'stolen'"), "status", table)
    'stolen'
    >>> event_in(read_condition("bad == 0"), "bad", table)
    """
    if condition is None or label not in condition.equal or label not in table.columns:
        return None
    try:
        event_of(table[label], label)
    except DataError:
        value = condition.equal[label]
        return str(value).lower() if isinstance(value, bool) else str(value)
    return None
