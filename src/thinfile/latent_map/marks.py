"""What a map is marked with: labels, ids, and which rows of a large table are on it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.errors import DataError

EVENT_WORDS = ("1", "1.0", "true", "yes", "y", "t", "fraud", "bad", "default", "defaulted")
NO_LABEL = ("", "-1", "-1.0", "nan", "none", "null")


def event_labels(values: pl.Series, event: str | None = None) -> npt.NDArray[np.int8]:
    """Labels as 1, 0 and -1 for no label.

    Parameters
    ----------
    values
        A column of two values; empty or -1 is no label.
    event
        The value that is the event; None knows 1, true, yes, fraud and the like.

    Raises
    ------
    DataError
        If there are more than two values, or none of them is the event.

    Examples
    --------
    >>> event_labels(pl.Series("fraud", [1, 0, None, -1])).tolist()
    [1, 0, -1, -1]
    """
    text, known, is_event = _marked(values, event)
    found = sorted(text.filter(known).unique().to_list())
    name = values.name
    if len(found) > 2:
        raise DataError(f"label {name!r} has {len(found)} values ({_few(found)}); two are needed")
    if not is_event.any() and (event is not None or len(found) > 1):
        rule = "name the event" if event is None else "none of them is the event that was named"
        raise DataError(f"label {name!r} has the values {_few(found)}: {rule}")
    labels = np.where(known.to_numpy(), is_event.to_numpy().astype(np.int8), np.int8(-1))
    return labels.astype(np.int8)


def label_values(values: pl.Series, event: str | None = None) -> tuple[str, str]:
    """What a label says of rows without the event and of those with it, as it is written.

    Examples
    --------
    >>> label_values(pl.Series(["ok", "fraud", None])), label_values(pl.Series([1.0, 0.0]))
    (('ok', 'fraud'), ('0', '1'))
    """
    text, known, is_event = _marked(values, event)
    text = text.str.strip_suffix(".0")
    other, found = (
        text.filter(known & rows).unique().sort().to_list() for rows in (~is_event, is_event)
    )
    return (other or ["no"])[0], (found or ["yes"])[0]


def _marked(values: pl.Series, event: str | None) -> tuple[pl.Series, pl.Series, pl.Series]:
    """A label as text, where it is known, and where it is the event."""
    text = values.cast(pl.String).str.strip_chars()
    lower = text.str.to_lowercase().fill_null("")
    known = ~lower.is_in(NO_LABEL)
    words = EVENT_WORDS if event is None else (event.strip().lower(), f"{event.strip()}.0")
    return text, known, lower.is_in(words) & known


def could_be_label(values: pl.Series) -> bool:
    """Does a column look like a label: two values at most, one of them an event?"""
    try:
        return bool((event_labels(values) == 1).any())
    except DataError:
        return False


def ids_of(values: pl.Series) -> list[str]:
    """Names of rows as text; missing ones are empty."""
    return [str(each) for each in values.cast(pl.String).fill_null("").to_list()]


def sample_rows(
    n_rows: int, labels: npt.NDArray[np.int8] | None, max_rows: int, seed: int
) -> tuple[npt.NDArray[np.int64], float, list[str]]:
    """Rows to map, the share kept of those that are no events, and what to say about it.

    Every event stays as long as events take no more than half of the map.
    """
    if n_rows <= max_rows:
        return np.arange(n_rows), 1.0, []
    draw = np.random.default_rng(seed)
    events = np.flatnonzero(labels == 1) if labels is not None else np.empty(0, dtype=np.int64)
    if not 0 < len(events) <= max_rows // 2:
        rows = np.sort(draw.choice(n_rows, max_rows, replace=False)).astype(np.int64)
        return rows, 1.0, [f"{max_rows:,} of {n_rows:,} rows, drawn at random"]
    others = np.setdiff1d(np.arange(n_rows), events)
    n_others = max_rows - len(events)
    drawn = draw.choice(others, n_others, replace=False)
    kept = n_others / len(others)
    note = (
        f"{max_rows:,} of {n_rows:,} rows: all {len(events):,} events and {kept:.1%} of the "
        "others, drawn at random; shares of events are put right for that"
    )
    return np.sort(np.concatenate([events, drawn])).astype(np.int64), kept, [note]


def _few(values: list[str]) -> str:
    shown = ", ".join(map(repr, values[:4]))
    return f"{shown}, …" if len(values) > 4 else shown
