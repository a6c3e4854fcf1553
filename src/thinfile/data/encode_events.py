"""From lists of events to flat arrays with row offsets: times, scaled numbers, category codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.categories import FIRST, code_expression, count_values, fit_vocabulary
from thinfile.data.histories_check import TIME, check_histories, flat
from thinfile.data.scaling import Scaler, fit_scaler
from thinfile.errors import DataError, ParameterError, SchemaError

STATE_FORMAT = 1
"""Version of the state's format."""

TIME_NAMES = ("log time to cut", "log time since the event before")

_HOURS_PER_DAY = 24.0
_MAX_MIN_COUNT = 10


@dataclass(frozen=True, slots=True)
class EncodedEvents:
    """The histories of n rows, one behind the other.

    Attributes
    ----------
    codes : numpy.ndarray of int32, shape (events, n_codes)
        0 missing, 1 unseen or rare, 2… vocabulary. There is no code for padding: flat arrays
        need none.
    numbers : numpy.ndarray of float32, shape (events, n_numbers)
        Scaled; the two time columns come first.
    days : numpy.ndarray of float32, shape (events,)
        Days from each event to the cut of its row, as they were given.
    offsets : numpy.ndarray of int64, shape (n + 1,)
        Row i has the events ``offsets[i]:offsets[i + 1]``, oldest first.
    """

    codes: npt.NDArray[np.int32]
    numbers: npt.NDArray[np.float32]
    days: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Events of each row, shape (n,)."""
        lengths: npt.NDArray[np.int64] = np.diff(self.offsets)
        return lengths

    def take(self, rows: npt.NDArray[Any]) -> EncodedEvents:
        """The rows named by index or mask, as histories of their own."""
        rows = np.arange(len(self))[rows]
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        shift = np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        places = np.arange(offsets[-1]) + shift
        return EncodedEvents(self.codes[places], self.numbers[places], self.days[places], offsets)


class EventEncoder:
    """Turn list columns ``events.<name>`` into flat arrays, by what training rows show.

    Use it beside `TableEncoder`, which has the scalar columns of the same table, and fit it on
    training rows only. ``events.days_to_cut`` says how long before the row's cut each event was;
    it becomes two numbers, the log of the time to the cut and of the time since the event before.
    Lists of text (or booleans) become codes and lists of numbers are scaled as in `TableEncoder`.
    It is not for events at or after the cut: they are refused.

    Parameters
    ----------
    max_categories : int, default 1000
        Largest vocabulary of a column; the most frequent values stay.
    min_count : int, optional
        Training values rarer than this share code 1 with unseen ones, so that code 1 is trained.
        Default: 10, but no more than one event in a hundred, and at least 2.
    max_events : int, optional
        Only the latest so many events of a row are kept.

    Attributes
    ----------
    names_ : list of str
        List columns that are needed; none where no training row has a history.
    number_names_, code_names_ : list of str
        Columns of `EncodedEvents.numbers` and of `EncodedEvents.codes`; no numbers at all where
        no training row has a history.
    cardinalities_ : list of int
        Number of codes per column, 0 and 1 included.
    notes_ : list of str
        Columns left out, and why.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame(
    ...     {"events.days_to_cut": [[9.0, 2.0], []], "events.item": [["a", "b"], []]}
    ... )
    >>> events = EventEncoder(min_count=1).fit(frame).transform(frame)
    >>> events.offsets.tolist(), events.codes.ravel().tolist()
    ([0, 2, 2], [2, 3])
    """

    def __init__(
        self,
        *,
        max_categories: int = 1000,
        min_count: int | None = None,
        max_events: int | None = None,
    ) -> None:
        given = {"max_categories": max_categories, "min_count": min_count, "max_events": max_events}
        faults = [
            f"{name} is {value!r}, must be a whole number from 1 on"
            for name, value in given.items()
            if not (isinstance(value, int) and value >= 1)
            and not (value is None and name != "max_categories")
        ]
        if faults:
            raise ParameterError(f"EventEncoder: {'; '.join(faults)}")
        self.max_categories = max_categories
        self.min_count = min_count
        self.max_events = max_events

    def fit(self, frame: pl.DataFrame) -> Self:
        """Learn scales and vocabularies from training rows.

        Parameters
        ----------
        frame : polars.DataFrame
            Raw table; columns that are no lists named ``events.…`` are left alone. A table
            without any is legal: all histories are empty.

        Raises
        ------
        DataError
            If ``events.days_to_cut`` is absent beside others, lists of a row differ in length,
            or a time is missing, not before the cut, or out of order.
        """
        names = check_histories(frame)
        notes: list[str] = []
        days, offsets = self._times(frame) if names else (np.empty(0, np.float32), np.zeros(1))
        states: list[dict[str, Any]] = []
        if len(days):
            found = [_fit_column(self, flat(frame[n], self.max_events), notes) for n in names[1:]]
            states = [state for state in found if state is not None]
        elif names:
            notes.append("no row has an event before its cut: static columns only")
        times = _log_times(days, offsets.astype(np.int64)) if len(days) else None
        self._keep(states, notes, None if times is None else _fit_times(times))
        return self

    def transform(self, frame: pl.DataFrame) -> EncodedEvents:
        """Encode histories with what `fit` learned; rows do not influence each other.

        Parameters
        ----------
        frame : polars.DataFrame
            Raw table, shape (rows, columns).

        Raises
        ------
        SchemaError
            If list columns are absent or hold another kind of value: one message names them all.
        DataError
            As for :meth:`fit`.
        """
        if self.time_scale_ is None:
            return _no_events(frame.height)
        self._check_columns(frame)
        check_histories(frame.select(self.names_))
        days, offsets = self._times(frame)
        values = {s["name"]: flat(frame[s["name"]], self.max_events) for s in self._states}
        numbers = _scale_times(_log_times(days, offsets), self.time_scale_)
        for state in self._states:
            if state["kind"] == "number":
                numbers += _number_columns(values[state["name"]], state)
        coded = [_codes(values[s["name"]], s) for s in self._states if s["kind"] == "category"]
        codes = np.column_stack(coded) if coded else np.empty((len(days), 0), np.int32)
        stacked = np.column_stack(numbers).astype(np.float32)
        return EncodedEvents(np.ascontiguousarray(codes), stacked, days, offsets)

    def to_state(self) -> dict[str, Any]:
        """Everything that :meth:`transform` needs, as JSON values."""
        return {
            "format": STATE_FORMAT,
            "max_categories": self.max_categories,
            "min_count": self.min_count,
            "max_events": self.max_events,
            "notes": list(self.notes_),
            "time_scale": self.time_scale_,
            "columns": [dict(state) for state in self._states],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> EventEncoder:
        """An encoder that gives bit for bit what the one gave that wrote the state."""
        if state.get("format") != STATE_FORMAT:
            raise DataError(
                f"state of the event encoder has format {state.get('format')!r}, "
                f"this version reads {STATE_FORMAT}"
            )
        try:
            names = ("max_categories", "min_count", "max_events")
            encoder = cls(**{name: state[name] for name in names})
            columns = [dict(each) for each in state["columns"]]
            encoder._keep(columns, list(state["notes"]), state["time_scale"])
        except (KeyError, TypeError) as error:
            raise DataError(f"state of the event encoder is damaged: {error!r}") from error
        return encoder

    def _keep(
        self, states: list[dict[str, Any]], notes: list[str], scale: list[list[float]] | None
    ) -> None:
        self._states, self.notes_, self.time_scale_ = states, notes, scale
        self.names_ = [] if scale is None else [TIME, *(state["name"] for state in states)]
        self.number_names_ = [] if scale is None else list(TIME_NAMES)
        for state in states:
            if state["kind"] == "number":
                name = state["name"]
                self.number_names_ += [name, f"{name} (missing)"][: 1 + state["indicator"]]
        coded = [state for state in states if state["kind"] == "category"]
        self.code_names_ = [state["name"] for state in coded]
        self.cardinalities_ = [len(state["vocabulary"]) + FIRST for state in coded]

    def _times(self, frame: pl.DataFrame) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        lengths = frame[TIME].list.len().fill_null(0).to_numpy().astype(np.int64)
        if self.max_events is not None:
            lengths = np.minimum(lengths, self.max_events)
        days = flat(frame[TIME], self.max_events).cast(pl.Float32).to_numpy()
        return days, np.concatenate([[0], np.cumsum(lengths)])

    def _check_columns(self, frame: pl.DataFrame) -> None:
        lacking = [name for name in self.names_ if name not in frame.columns]
        if lacking:
            raise SchemaError(f"the table lacks columns: {', '.join(map(repr, lacking))}")
        faults = []
        for state in self._states:
            dtype = frame.schema[state["name"]]
            kind = _kind(dtype.inner) if isinstance(dtype, pl.List) else str(dtype)
            if kind not in (state["kind"], "missing"):
                faults.append(
                    f"column {state['name']!r} is {dtype}, in training it was a list of "
                    + ("texts" if state["kind"] == "category" else "numbers")
                )
        if faults:
            raise SchemaError("; ".join(faults))


def _kind(dtype: Any) -> str | None:
    """What a column of lists is read as; None where it cannot be."""
    if dtype == pl.Null:
        return "missing"
    if dtype.is_numeric():
        return "number"
    text = isinstance(dtype, (pl.String, pl.Categorical, pl.Enum, pl.Boolean))
    return "category" if text or dtype in (pl.String, pl.Categorical, pl.Boolean) else None


def _fit_column(
    encoder: EventEncoder, values: pl.Series, notes: list[str]
) -> dict[str, Any] | None:
    name, kind = values.name, _kind(values.dtype)
    reason = None
    if kind is None:
        reason = f"lists of {values.dtype} cannot be read"
    elif values.null_count() == values.len():
        reason = "every value is missing"
    elif not values.null_count() and values.min() == values.max():
        reason = "the same in every event"
    if reason is not None:
        notes.append(f"column {name!r}: {reason}, left out")
        return None
    if kind == "category":
        automatic = max(2, min(_MAX_MIN_COUNT, values.len() // 100))
        least = automatic if encoder.min_count is None else encoder.min_count
        counts = count_values(values.cast(pl.String))
        words = fit_vocabulary(counts, encoder.max_categories, least)
        return {"name": name, "kind": kind, "vocabulary": words}
    return _fit_number(_finite(values), notes)


def _fit_number(values: pl.Series, notes: list[str]) -> dict[str, Any] | None:
    if values.null_count() == values.len():
        notes.append(f"column {values.name!r}: no value is finite, left out")
        return None
    scaler = fit_scaler(values, "quantile")
    indicator = values.null_count() > 0
    return {"name": values.name, "kind": "number", "scaler": scaler, "indicator": indicator}


def _finite(values: pl.Series) -> pl.Series:
    number = pl.col(values.name).cast(pl.Float64)
    finite = pl.when(number.is_finite()).then(number)
    return values.to_frame().select(finite.alias(values.name)).to_series()


def _number_columns(values: pl.Series, state: Mapping[str, Any]) -> list[npt.NDArray[Any]]:
    number = _finite(values).to_numpy()
    columns = [Scaler(state["scaler"])(number)]
    return [*columns, np.isnan(number)] if state["indicator"] else columns


def _codes(values: pl.Series, state: Mapping[str, Any]) -> npt.NDArray[np.int32]:
    text = pl.col(values.name).cast(pl.String)
    coded = values.to_frame().select(code_expression(text, state["vocabulary"])).to_series()
    return coded.to_numpy().astype(np.int32)


def _log_times(
    days: npt.NDArray[np.float32], offsets: npt.NDArray[np.int64]
) -> list[npt.NDArray[np.float64]]:
    """Log of the hours to the cut, and since the event before (0 for the first)."""
    gaps = np.zeros(len(days))
    gaps[1:] = days[:-1].astype(np.float64) - days[1:]
    gaps[offsets[:-1][np.diff(offsets) > 0]] = 0.0
    return [np.log1p(_HOURS_PER_DAY * days.astype(np.float64)), np.log1p(_HOURS_PER_DAY * gaps)]


def _fit_times(times: Sequence[npt.NDArray[np.float64]]) -> list[list[float]]:
    return [[float(t.mean()), float(t.std()) or 1.0] for t in times]


def _scale_times(
    times: Sequence[npt.NDArray[np.float64]], scale: Sequence[Sequence[float]]
) -> list[npt.NDArray[Any]]:
    return [(t - mean) / spread for t, (mean, spread) in zip(times, scale, strict=True)]


def _no_events(n_rows: int) -> EncodedEvents:
    return EncodedEvents(
        np.empty((0, 0), np.int32),
        np.empty((0, 0), np.float32),
        np.empty(0, np.float32),
        np.zeros(n_rows + 1, np.int64),
    )
