"""What classifiers on fields share: reading of ids, lists and times, and what was never seen."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from thinfile import params
from thinfile.data.field_schema import FieldSchema, field_schema, inexact_ids, left_out
from thinfile.data.fields import TIME_FIELDS, FieldEncoder, Fields
from thinfile.data.hashing import KEY_BYTES
from thinfile.data.split_later import latest_rows, times_of
from thinfile.data.vocabulary import Arrays
from thinfile.errors import DataError, ThinfileWarning
from thinfile.estimator import State, TrainingData
from thinfile.network import NetworkClassifier, Rows
from thinfile.params import Rule
from thinfile.random_state import seed_from
from thinfile.schema.model import Schema

VOCABULARY = "vocabulary."
"""Start of the names of arrays that are the encoder's."""

WARN_SHARE, WARN_VALUES = 0.5, 100
"""More than this share of at least so many values unseen: `predict_proba` warns."""

FIELD_RULES: dict[str, Rule] = {
    "time_column": params.optional(params.instance(str)),
    "time_fields": params.optional(params.sequence_of(params.one_of(*TIME_FIELDS))),
    "sparse": params.sequence_of(params.instance(str)),
    "multi_valued": (
        lambda v: v is None or (isinstance(v, Mapping) and all(map(_is_text, v.values()))),
        "None or a mapping of columns to separators",
    ),
    "min_count": params.optional(params.integer(1)),
    "max_vocabulary": params.integer(1),
    "strict": params.boolean(),
}


@dataclass(frozen=True)
class FieldData(TrainingData):
    """Training data; `split` has the rows to train on and to stop by if time decides."""

    split: tuple[Rows, Rows] | None = None


class FieldClassifier(NetworkClassifier):
    """Base of the classifiers on fields (`FieldEncoder`) in place of encoded columns.

    Constructors of subclasses name the arguments of `FIELD_RULES`, beside those of a network.
    """

    encoder_: FieldEncoder

    def unseen_share(self, X: Any) -> dict[str, float]:
        """Share of the values of each field that training rows did not have; gaps do not count."""
        check_is_fitted(self, "encoder_")
        return {tally.name: tally.share for tally in self._fields(X, strict=False).unseen}

    # Reading ---------------------------------------------------------------------------------

    def _read(self, X: Any, y: Any, domain: Any) -> FieldData:
        frame = self._read_table(X, fitting=True)
        labels = self._read_labels(y, frame.height)
        check_consistent_length(frame, labels)
        is_target = self._read_domain(domain, labels)
        split = self._later(frame, labels)
        if not self.schema_.features:
            raise DataError(f"X has {frame.width} columns, none of which is a feature")
        parsed = self._parse_fitted(frame)
        shown = parsed if split is None else parsed[np.setdiff1d(np.arange(len(labels)), split[1])]
        self.encoder_ = self._field_encoder().fit(shown)
        self.notes_ += self.encoder_.collisions_ + inexact_ids(frame, self._id_columns())
        return FieldData(self.encoder_.transform(parsed, strict=False), labels, is_target, split)

    def _choose_schema(self, frame: pl.DataFrame) -> Schema:
        base = super()._choose_schema(frame)
        schema, self._separators = field_schema(
            base, frame, self.sparse, self.multi_valued or {}, inferred=self.schema is None
        )
        self._time_schema = base
        if self.time_column is not None and self.time_fields is None:
            schema = left_out(schema, self.time_column)
        return schema

    def _field_encoder(self) -> FieldEncoder:
        return FieldEncoder(
            self.schema_,
            separators=self._separators,
            time_fields=TIME_FIELDS if self.time_fields is None else self.time_fields,
            min_count=self.min_count,
            max_vocabulary=self.max_vocabulary,
            key=seed_from(self.random_state).to_bytes(KEY_BYTES, "little"),
            strict=self.strict,
        )

    def _later(self, frame: pl.DataFrame, y: npt.NDArray[Any]) -> tuple[Rows, Rows] | None:
        """Rows to train on and to stop by, where there is a time column."""
        if self.time_column is None:
            return None
        time = times_of(frame, self.time_column, self._time_schema)
        training, validation = latest_rows(time, y >= 0, y, self.validation_fraction)
        if not len(validation) and self.validation_fraction:
            self.notes_.append(
                f"time_column={self.time_column!r}: its latest rows hold too few events or "
                "non-events to stop by, all epochs were run"
            )
        return training, validation

    def _id_columns(self) -> list[str]:
        return [c.name for c in self.schema_.columns if c.role == "category"]

    def _fields(self, X: Any, *, strict: bool) -> Fields:
        frame = self._read_table(X, fitting=False)
        for line in inexact_ids(frame, self._id_columns()):
            warnings.warn(line, ThinfileWarning, stacklevel=4)
        return self.encoder_.transform(self._parse_frame(frame), strict=strict)

    def _encode(self, X: Any) -> Fields:
        fields = self._fields(X, strict=self.strict)
        for tally in fields.unseen:
            if not tally.is_part and tally.n_present >= WARN_VALUES and tally.share > WARN_SHARE:
                warnings.warn(tally.describe(), ThinfileWarning, stacklevel=3)
        return fields

    def _split(self, data: TrainingData, rng: np.random.Generator) -> tuple[Rows, Rows]:
        assert isinstance(data, FieldData)
        return super()._split(data, rng) if data.split is None else data.split

    def _load_encoder(self, state: State) -> FieldEncoder:
        arrays = {k: v for k, v in state.arrays.items() if k.startswith(VOCABULARY)}
        plain = {name.removeprefix(VOCABULARY): array for name, array in arrays.items()}
        return FieldEncoder.from_state(state.values["encoder"], plain)

    def _load_schema(self) -> None:
        self.schema_ = FieldSchema(self.schema_.columns, self.schema_.notes)

    def _vocabularies(self) -> Arrays:
        return {VOCABULARY + name: array for name, array in self.encoder_.arrays().items()}


def without_vocabularies(arrays: Arrays) -> Arrays:
    """The weights among the arrays of a state."""
    return {name: array for name, array in arrays.items() if not name.startswith(VOCABULARY)}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""
