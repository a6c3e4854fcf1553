"""Reading a table with histories: list columns beside the static ones, for every estimator here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from sklearn.base import TransformerMixin
from sklearn.utils import Tags, TransformerTags
from sklearn.utils.validation import check_consistent_length
from torch import nn

from thinfile.data.encode import STATE_FORMAT, Encoded, TableEncoder
from thinfile.data.encode_events import EncodedEvents, EventEncoder
from thinfile.data.histories_check import PREFIX
from thinfile.errors import DataError
from thinfile.estimator import Estimator, State, TrainingData
from thinfile.nn.sequence import HistoryEncoder
from thinfile.schema.column import Column
from thinfile.schema.model import Schema
from thinfile.training.device import lean_cpu
from thinfile.training.length_batches import FlatEvents, LengthBatches

SCORING_TOKENS, SCORING_ROWS = 32_768, 4096
"""Most events and rows that are scored at a time."""


@dataclass(frozen=True, slots=True)
class EncodedHistories(Encoded):
    """Static columns, and the events beside them."""

    events: EncodedEvents

    def take(self, rows: npt.NDArray[Any]) -> EncodedHistories:
        """The rows named by index or mask."""
        return EncodedHistories(self.numbers[rows], self.codes[rows], self.events.take(rows))


@dataclass(frozen=True)
class HistoryData(TrainingData):
    """What `fit` was given, with the time of each row where a column names it."""

    time: npt.NDArray[Any] | None  # (n,)


class HistoryEstimator(TransformerMixin, Estimator):  # type: ignore[misc]
    """Base of the estimators that read ``events.…`` list columns.

    Subclasses have the constructor arguments `time_column`, `max_events` and `max_categories`
    beside those of every estimator.

    Attributes
    ----------
    event_encoder_ : EventEncoder
        Fitted on the histories given to `fit`.
    """

    def __sklearn_tags__(self) -> Tags:
        """A classifier whose `transform` gives the embedding of each history."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags = TransformerTags(preserves_dtype=[])  # float32 always
        return tags

    def _choose_schema(self, frame: pl.DataFrame) -> Schema:
        schema = super()._choose_schema(frame)
        if self.schema is None:
            # That lists are read elsewhere is no finding.
            kept = [n for n in schema.notes if not n.startswith(f"column '{PREFIX}")]
            schema = replace(schema, notes=tuple(kept))
        self._time_source = (
            None if self.time_column is None else _time_source(schema, frame, self.time_column)
        )
        if self.time_column is None:
            return schema
        return schema.with_column(Column(self.time_column, "ignored"))

    def _read(self, X: Any, y: Any, domain: Any) -> HistoryData:
        frame = self._read_table(plain_lists(X), fitting=True)
        labels = self._read_labels(y, frame.height)
        check_consistent_length(frame, labels)
        is_target = self._read_domain(domain, labels)
        parsed = self._parse_fitted(frame) if self.schema_.features else pl.DataFrame()
        self._fit_encoders(frame, parsed)
        encoded = self._encode_parsed(parsed, frame)
        return HistoryData(encoded, labels, is_target, self._time(frame))

    def _fit_encoders(self, frame: pl.DataFrame, parsed: pl.DataFrame) -> None:
        self.event_encoder_ = EventEncoder(
            max_categories=self.max_categories, max_events=self.max_events
        ).fit(frame)
        self.notes_ += self.event_encoder_.notes_
        has_events = bool(self.event_encoder_.number_names_)
        if self.schema_.features:
            try:
                self.encoder_ = self._make_encoder().fit(parsed)
                return
            except DataError:
                if not has_events:
                    raise
        elif not has_events:
            notes = [*self.schema_.notes, *self.event_encoder_.notes_]
            raise DataError(
                f"nothing to learn from in {frame.height} rows: no static column can be used and "
                f"no row has a history in list columns 'events.…': {'; '.join(notes) or 'none'}"
            )
        self.encoder_ = _no_columns(self._make_encoder())

    def _encode(self, X: Any) -> EncodedHistories:
        table = self._read_table(plain_lists(X), fitting=False)
        parsed = self._parse_frame(table) if self._has_static else pl.DataFrame()
        return self._encode_parsed(parsed, table)

    @property
    def _has_static(self) -> bool:
        return bool(self.encoder_.number_names_ or self.encoder_.code_names_)

    def _encode_parsed(self, parsed: pl.DataFrame, table: pl.DataFrame) -> EncodedHistories:
        events, n = self.event_encoder_.transform(table), table.height
        static = Encoded(np.empty((n, 0), np.float32), np.empty((n, 0), np.int32))
        if self._has_static:
            static = self.encoder_.transform(parsed)
        return EncodedHistories(static.numbers, static.codes, events)

    def _histories(self, encoded: Encoded) -> EncodedHistories:
        """Encoded rows with their events; a table of static columns alone may come without."""
        if isinstance(encoded, EncodedHistories):
            return encoded
        if self.event_encoder_.number_names_:
            raise DataError(
                f"{type(self).__name__} was fitted on histories: list columns "
                f"{', '.join(map(repr, self.event_encoder_.names_))} are needed to score"
            )
        events = self.event_encoder_.transform(pl.DataFrame({"row": np.arange(len(encoded))}))
        return EncodedHistories(encoded.numbers, encoded.codes, events)

    def _time(self, frame: pl.DataFrame) -> npt.NDArray[Any] | None:
        if self._time_source is None:
            return None
        name = self._time_source.name
        values = Schema((self._time_source,)).parse(frame.select(name)).frame[name]
        if values.dtype.is_temporal():
            return values.cast(pl.Datetime("us")).to_numpy()
        return values.cast(pl.Float64).fill_null(np.nan).to_numpy()

    def _flat_events(self, events: EncodedEvents, device: torch.device | str = "cpu") -> FlatEvents:
        return FlatEvents.of(events.codes, events.numbers, events.days, events.offsets, device)

    def _event_state(self) -> State:
        return State(values={"events": self.event_encoder_.to_state()})

    def _load(self, state: State) -> None:
        self.event_encoder_ = EventEncoder.from_state(state.values["events"])


def plain_lists(X: Any) -> Any:
    """A pandas table with its ``events.…`` cells as plain lists; anything else as it is."""
    is_pandas = type(X).__module__.split(".")[0] == "pandas" and hasattr(X, "columns")
    if not is_pandas or not X.columns.is_unique:
        return X
    return {
        str(name): _list_column(str(name), X[name])
        if str(name).startswith(PREFIX) and str(X[name].dtype) == "object"
        else X[name]
        for name in X.columns
    }


def _list_column(name: str, cells: Any) -> pl.Series:
    lists: Sequence[Any] = [
        None if cell is None or np.isscalar(cell) else _plain(cell) for cell in cells
    ]
    try:
        return pl.Series(name, lists)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        words = " ".join(str(error).split())[:200]
        raise DataError(f"column {name!r}: its lists cannot be read: {words}") from error


def _plain(cell: Any) -> list[Any]:
    values = cell.tolist() if isinstance(cell, np.ndarray) else list(cell)
    return [None if isinstance(v, float) and np.isnan(v) else v for v in values]


def _time_source(schema: Schema, frame: pl.DataFrame, name: str) -> Column:
    if name not in frame.columns:
        raise DataError(f"time_column={name!r} is none of the columns {frame.columns}")
    found = next((column for column in schema.columns if column.name == name), None)
    dtype = frame.schema[name]
    if found is not None and found.role in ("date", "number"):
        return found
    if dtype.is_temporal() or dtype.is_numeric():
        return Column(name, "date" if dtype.is_temporal() else "number")
    raise DataError(f"time_column={name!r} is {dtype}: dates or numbers are needed")


def _no_columns(encoder: TableEncoder) -> TableEncoder:
    return TableEncoder.from_state(
        {
            "format": STATE_FORMAT,
            "scaling": encoder.scaling,
            "max_categories": encoder.max_categories,
            "min_count": encoder.min_count,
            "schema": encoder.schema.to_dict(),
            "notes": ["no static column is used"],
            "columns": [],
        }
    )


def embed(encoder: HistoryEncoder | None, events: EncodedEvents) -> npt.NDArray[np.float32]:
    """What an encoder makes of each history, shape (rows, width); width 0 without an encoder."""
    if encoder is None:
        return np.empty((len(events), 0), np.float32)
    return over_histories(encoder, events, lambda rows, history: encoder(*history))


def over_histories(module: nn.Module, events: EncodedEvents, score: Any) -> npt.NDArray[Any]:
    """Apply `score(rows, history)` to all rows, shortest first, and put the results in order."""
    flat = FlatEvents.of(events.codes, events.numbers, events.days, events.offsets)
    batches = LengthBatches(
        events.lengths,
        lambda rows: rows,
        n_tokens=SCORING_TOKENS,
        max_rows=SCORING_ROWS,
        shuffle=False,
    )
    module.eval()
    order, parts = [], []
    with lean_cpu(), torch.inference_mode():
        for rows in batches:
            order.append(rows)
            parts.append(score(rows, flat.padded(rows)))
        together = torch.cat(parts)
        result = torch.empty_like(together)
        result[torch.cat(order)] = together
    found: npt.NDArray[Any] = result.numpy()
    return found
