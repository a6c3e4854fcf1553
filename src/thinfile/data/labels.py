"""Reading labels: which of two values is the event, and which rows have none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.errors import DataError

NO_LABEL = ("", "-1", "nan", "null", "none", "na")
"""Words for "no label", in small letters."""
# fmt: off
NO_EVENT = frozenset((
    "0", "false", "f", "no", "n", "good", "paid", "pif", "p i f", "fully paid", "paid off",
    "paid in full", "repaid", "current", "performing", "active", "retained", "stayed",
    "non-default", "not defaulted", "genuine", "legit", "negative",
))
EVENT = frozenset((
    "1", "true", "t", "yes", "y", "bad", "unpaid", "not paid", "default", "defaulted", "chgoff",
    "charged off", "charged-off", "charge off", "late", "delinquent", "overdue",
    "non-performing", "nonperforming", "non performing", "npl", "churn", "churned", "left",
    "inactive", "fraud", "positive",
))
# fmt: on

_LARGEST = 2.0**62
"""Whole floats beyond it do not fit 64 bits."""


def read_labels(
    source: pl.Series,
    target: pl.Series,
    label: str,
    notes: list[str],
    *,
    names: tuple[str, str] = ("source", "target"),
    event: str | None = None,
) -> npt.NDArray[np.int8]:
    """Labels of both populations as 1, 0 and -1 for "no label", source first.

    Parameters
    ----------
    source, target
        Numbers, words or booleans, written alike in both.
    label
        Name of the column, for messages.
    notes
        Gets a line where the event had to be told from a word.
    names
        What messages call the populations.
    event
        The value that is the event. None takes the larger of two numbers, and knows the usual
        pairs of words (no/yes, good/bad, fully paid/charged off, ...).

    Returns
    -------
    ndarray of shape (n_source + n_target,)

    Raises
    ------
    DataError
        If the values are not two, cannot be labels, or none of them is plainly the event.
    """
    columns = (source, target)
    texts = [label_texts(each, label, name) for each, name in zip(columns, names, strict=True)]
    both = pl.concat(texts)
    found = _two_values(both, label)
    value = _event(found, label, event, is_boolean=pl.Boolean in [s.dtype for s in columns])
    if event is not None or not set(found) <= {"0", "1"}:
        notes.append(f"label {label!r}: {value!r} is taken as the event")
    y = np.full(len(both), -1, dtype=np.int8)
    y[both.is_not_null().to_numpy()] = (both.drop_nulls() == value).to_numpy()
    return y


def event_of(values: pl.Series, label: str, event: str | None = None) -> str:
    """The value that `read_labels` takes as the event, written as `label_texts` writes it.

    Raises
    ------
    DataError
        As `read_labels`.

    Examples
    --------
    >>> event_of(pl.Series([0.0, 1.0, None]), "bad"), event_of(pl.Series(["no", "yes"]), "bad")
    ('1', 'yes')
    """
    found = _two_values(label_texts(values, label, "the table"), label)
    return _event(found, label, event, is_boolean=values.dtype == pl.Boolean)


def _two_values(texts: pl.Series, label: str) -> list[str]:
    """The values of a label in order, numbers first."""
    found = sorted(texts.drop_nulls().unique().to_list(), key=_number_or_word)
    if len(found) > 2:
        raise DataError(
            f"label {label!r} has {len(found)} values ({_quoted(found)}); two are needed"
        )
    if not found:
        raise DataError(f"label {label!r} is empty in every row")
    return found


def _event(found: Sequence[str], label: str, event: str | None, *, is_boolean: bool) -> str:
    if event is None:
        return _guess_event(found, label)
    return _given_event(event, found, label, is_boolean=is_boolean)


def check_classes(y: npt.NDArray[np.int8], name: str, raw: pl.Series) -> None:
    """Refuse a source of one class, and say so if -1 was meant to be the other."""
    counts = {value: int((y == value).sum()) for value in (0, 1)}
    if all(counts.values()):
        return
    is_minus_one = raw.cast(pl.String).str.strip_chars().str.contains(r"^-1(\.0*)?$").any()
    raise DataError(
        f"source {name!r} has {counts[1]} events and {counts[0]} non-events; "
        "both classes are needed" + (" (-1 means no label)" if is_minus_one else "")
    )


def _guess_event(found: Sequence[str], label: str) -> str:
    """The event of values in order, numbers first."""
    if list(found) == ["0"]:
        return "1"
    if len(found) == 1 or all(_is_number(each) for each in found):
        return found[-1]
    none, event = [[v for v in found if v.lower() in words] for words in (NO_EVENT, EVENT)]
    if len(none) != 1 or len(event) != 1:
        raise DataError(
            f"label {label!r} has the values {found[0]!r} and {found[1]!r}: "
            "say which is the event with --event"
        )
    return event[0]


def _given_event(event: str, found: Sequence[str], label: str, *, is_boolean: bool) -> str:
    text = label_texts(pl.Series([str(event)]), label, "event")[0]
    if is_boolean and text is not None:
        text = {"true": "1", "false": "0"}.get(text.lower(), text)
    alike = [v for v in found if text is not None and v.lower() == text.lower()]
    if text in found or len(alike) == 1:
        return text if text in found else alike[0]
    cure = "; -1 means no label" if str(event).strip() == "-1" else ""
    raise DataError(f"event {event!r} is no value of label {label!r} ({_quoted(found)}){cure}")


def label_texts(series: pl.Series, label: str, name: str) -> pl.Series:
    """Labels as texts: whole numbers without a point, and null for every word for "no label"."""
    if not _can_be_label(series.dtype):
        raise DataError(
            f"label {label!r} is {series.dtype} in {name!r}; numbers, words or booleans are needed"
        )
    if series.dtype == pl.Boolean:
        series = series.cast(pl.Int8)
    if series.dtype.is_float():
        series = _whole(series.fill_nan(None), label, name)
    text = series.cast(pl.String).str.strip_chars().str.replace(r"^(-?\d+)\.0*$", "$1")
    frame = text.to_frame("v").select(
        pl.when(pl.col("v").str.to_lowercase().is_in(NO_LABEL)).then(None).otherwise(pl.col("v"))
    )
    return frame.to_series()


def _can_be_label(dtype: pl.DataType) -> bool:
    words = (pl.Boolean, pl.String, pl.Categorical, pl.Enum, pl.Null)
    return dtype.is_numeric() or isinstance(dtype, words)


def _whole(series: pl.Series, label: str, name: str) -> pl.Series:
    """Floats without a fraction as integers."""
    infinite = series.is_infinite().fill_null(False)
    if infinite.any():
        row = infinite.arg_true()[0]
        raise DataError(
            f"label {label!r}: {infinite.sum()} of {series.len()} values in {name!r} are infinite "
            f"(first: row {row}, {series[row]})"
        )
    known = series.drop_nulls()
    is_whole = ((known == known.round()) & (known.abs() < _LARGEST)).all()
    return series.cast(pl.Int64) if is_whole else series


def _number_or_word(value: str) -> tuple[bool, float, str]:
    return (False, float(value), "") if _is_number(value) else (True, 0.0, value)


def _is_number(value: str) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except ValueError:
        return False


def _quoted(values: Sequence[str], n: int = 8) -> str:
    shown = ", ".join(values[:n])
    return shown + (f" and {len(values) - n} more" if len(values) > n else "")
