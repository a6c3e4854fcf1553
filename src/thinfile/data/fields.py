"""From a typed table to fields: numbers scaled, ids of any size as codes, bags of values, times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.apply import StateWriter, number_expression
from thinfile.data.encode import Encoded
from thinfile.data.field_codes import (
    PARTS,
    BagField,
    CodeField,
    FieldRules,
    Tally,
    fit_lookup,
    split_values,
    text_of,
)
from thinfile.data.hashing import KEY_BYTES
from thinfile.data.scaling import fit_scaler
from thinfile.data.vocabulary import Arrays
from thinfile.errors import DataError, SchemaError
from thinfile.params import check_params, integer, one_of, optional, sequence_of
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

STATE_FORMAT = 1
"""Version of the state's format."""

DAYS = "days"
TIME_FIELDS = (DAYS, *PARTS)
"""What a date can give: days since a day of training as a number, and parts as codes."""

MAX_VOCABULARY = 1_000_000

_CHUNK = 131_072


@dataclass(frozen=True, slots=True)
class Bag:
    """A multi-valued field: codes of all values, row after row, and where each row starts."""

    values: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]  # (rows + 1,)

    def take(self, rows: npt.NDArray[np.intp]) -> Bag:
        """The rows at these positions."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        shift = np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Bag(self.values[shift + np.arange(len(shift))], offsets)


@dataclass(frozen=True, slots=True)
class Fields(Encoded):
    """`Encoded`, with bags and with what training rows did not have.

    Attributes
    ----------
    bags : tuple of Bag
        One per multi-valued column.
    unseen : tuple of Tally
        One per field of codes or bags.
    """

    bags: tuple[Bag, ...] = ()
    unseen: tuple[Tally, ...] = ()

    def take(self, rows: npt.NDArray[Any]) -> Fields:
        """The rows named by index or mask."""
        places = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        bags = tuple(bag.take(places) for bag in self.bags)
        return Fields(self.numbers[places], self.codes[places], bags)


class FieldEncoder:
    """Turn typed columns into numbers, codes and bags, by what training rows show.

    Use it for models with an embedding per value: ids of any size and kind get codes, unseen ones
    too, and two values never share a code unless a note says so. For few categories, and for
    models that take one matrix, `TableEncoder` is simpler.

    Numbers and ordinals are scaled, with a second number that is 1 for a gap where training rows
    had gaps. Categories and booleans become codes: 0 missing, 1 unseen or rare, 2… values. The
    identity of a value is its text, so 1, 1.0 and "1" are one value in a column of ids, and
    16777216 and 16777217 are two. Dates give `time_fields`. Multi-valued columns become bags.
    Columns that say nothing in training are left out and named in `notes_`.

    Parameters
    ----------
    schema : Schema
        Its feature columns are encoded, in its order.
    separators : mapping of str to str, optional
        Multi-valued columns, and what stands between their values.
    time_fields : sequence of {"days", "month", "day", "weekday", "hour"}
        What each date gives.
    min_count : int, optional
        Values rarer than this in training share code 1 with unseen ones, so that code 1 is
        trained. Default: 10, but no more than one row in a hundred, and at least 2.
    max_vocabulary : int
        A column with more values than this has its values hashed into so many codes.
    key : bytes
        Of the hash, 16 bytes.
    scaling : {"quantile", "standard", "none"}
        Of numbers; see `TableEncoder`.
    strict : bool
        Refuse values that training rows did not have. Parts of a time are not looked at.

    Attributes
    ----------
    number_names_, code_names_, bag_names_ : list of str
    cardinalities_, bag_cardinalities_ : list of int
        Codes of each field, 0 and 1 included.
    notes_ : list of str
        Columns left out, and shares of rare values.
    collisions_ : list of str
        One line per column whose values share codes.

    Examples
    --------
    >>> import polars as pl
    >>> raw = pl.DataFrame({"user": [7, 8, 7, 8], "tags": ["a|b", "b", None, "a"]})
    >>> schema = Schema((Column("user", "category"), Column("tags", "category")))
    >>> encoder = FieldEncoder(schema, separators={"tags": "|"}, min_count=1)
    >>> fields = encoder.fit(schema.parse(raw).frame).transform(schema.parse(raw).frame)
    >>> fields.codes.ravel().tolist(), fields.bags[0].offsets.tolist()
    ([2, 3, 2, 3], [0, 2, 3, 3, 4])
    """

    def __init__(
        self,
        schema: Schema,
        *,
        separators: Mapping[str, str] | None = None,
        time_fields: Sequence[str] = TIME_FIELDS,
        min_count: int | None = None,
        max_vocabulary: int = MAX_VOCABULARY,
        key: bytes = bytes(KEY_BYTES),
        scaling: str = "quantile",
        strict: bool = False,
    ) -> None:
        values = {k: v for k, v in locals().items() if k in _RULES}
        check_params("FieldEncoder", values, _RULES)
        self.schema = schema
        self.separators = dict(separators or {})
        self.time_fields = tuple(time_fields)
        self.rules = FieldRules(min_count, max_vocabulary, key)
        self.scaling = scaling
        self.strict = strict

    def fit(self, frame: pl.DataFrame) -> Self:
        """Learn scales and vocabularies from a parsed frame of training rows.

        Raises
        ------
        DataError
            If there is no row, or no column says anything.
        """
        _check_frame(frame, self.schema.features)
        if frame.height == 0:
            raise DataError("the encoder cannot be fitted on a table without rows")
        self.notes_: list[str] = []
        self.collisions_: list[str] = []
        numbers: list[dict[str, Any]] = []
        codes: list[CodeField] = []
        bags: list[BagField] = []
        for name in self.schema.features:
            column = self.schema[name]
            if name in self.separators:
                bags += self._fit_bag(name, frame[name])
            elif column.role in ("category", "boolean"):
                codes += self._fit_code(name, None, frame)
            elif column.role == "date":
                codes += self._fit_parts(name, frame)
            if column.role in ("number", "ordinal") or self._has_days(column):
                numbers += self._fit_number(column, frame[name])
        self._keep(numbers, codes, bags)
        if not numbers and not codes and not bags:
            raise DataError(
                f"no column varies in {frame.height} training rows: {'; '.join(self.notes_)}"
            )
        return self

    def transform(self, frame: pl.DataFrame, *, strict: bool | None = None) -> Fields:
        """Encode a parsed frame; rows do not influence each other.

        Parameters
        ----------
        frame : polars.DataFrame
            Shape (rows, features).
        strict : bool, optional
            In place of the encoder's own.

        Raises
        ------
        DataError
            If strict, and there are values that training rows did not have; all columns at once.
        """
        _check_frame(frame, self._sources)
        numbers = np.empty((frame.height, len(self.number_names_)), dtype=np.float32)
        codes = np.empty((frame.height, len(self._codes)), dtype=np.int32)
        self._writer.write(frame, numbers, np.empty((frame.height, 0), dtype=np.int32))
        tallies = [Tally(field.name, field.is_part) for field in self._fields]
        chunks = [(at, frame.slice(at, _CHUNK)) for at in range(0, frame.height, _CHUNK)]
        for at, chunk in chunks:
            for place, field in enumerate(self._codes):
                codes[at : at + _CHUNK, place] = field.encode(chunk, tallies[place])
        bags = [
            _bag([field.encode(chunk, tally) for _, chunk in chunks])
            for field, tally in zip(self._bags, tallies[len(self._codes) :], strict=True)
        ]
        if self.strict if strict is None else strict:
            self._refuse(tallies)
        return Fields(numbers, codes, tuple(bags), tuple(tallies))

    def to_state(self) -> dict[str, Any]:
        """All that `transform` needs but `arrays`, as JSON values."""
        return {
            "format": STATE_FORMAT,
            "schema": self.schema.to_dict(),
            "separators": self.separators,
            "time_fields": list(self.time_fields),
            "min_count": self.rules.min_count,
            "max_vocabulary": self.rules.max_vocabulary,
            "key": self.rules.key.hex(),
            "scaling": self.scaling,
            "strict": self.strict,
            "notes": list(self.notes_),
            "collisions": list(self.collisions_),
            "numbers": self._numbers,
            "codes": [field.to_state() for field in self._codes],
            "bags": [field.to_state() for field in self._bags],
        }

    def arrays(self) -> Arrays:
        """The vocabularies, as arrays by name."""
        return {
            f"{kind}.{place}.{name}": value
            for kind, vocabularies in (
                ("codes", [field.vocabulary for field in self._codes]),
                ("bags", [field.vocabulary for field in self._bags]),
            )
            for place, vocabulary in enumerate(vocabularies)
            for name, value in vocabulary.arrays().items()
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays) -> FieldEncoder:
        """An encoder that gives bit for bit what the one gave that wrote the state."""
        if state.get("format") != STATE_FORMAT:
            raise DataError(
                f"field encoder state has format {state.get('format')!r}, this version reads "
                f"{STATE_FORMAT}"
            )
        try:
            given = {name: state[name] for name in _RULES if name in state}
            schema, key = Schema.from_dict(state["schema"]), bytes.fromhex(state["key"])
            encoder = cls(schema, separators=state["separators"], key=key, **given)
            encoder.notes_ = list(state["notes"])
            encoder.collisions_ = list(state["collisions"])
            encoder._keep(
                [dict(each) for each in state["numbers"]],
                [CodeField.from_state(*each) for each in _parts(state, arrays, "codes")],
                [BagField.from_state(*each) for each in _parts(state, arrays, "bags")],
            )
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise DataError(f"field encoder state is damaged: {error!r}") from error
        return encoder

    def _has_days(self, column: Column) -> bool:
        return column.role == "date" and DAYS in self.time_fields

    def _fit_number(self, column: Column, values: pl.Series) -> list[dict[str, Any]]:
        if values.null_count() == values.len():
            self._leave_out(column.name, "every training row is missing")
            return []
        if not values.null_count() and values.min() == values.max():
            self._leave_out(column.name, "the same in every training row")
            return []
        state: dict[str, Any] = {"name": column.name, "role": column.role}
        if column.role == "date":
            present = values.drop_nulls().sort()
            state["origin"] = present[present.len() // 2].date().isoformat()
        number = values.to_frame().select(number_expression(state)).to_series()
        gaps = self.scaling != "none" and values.null_count() > 0
        return [{**state, "number": fit_scaler(number, self.scaling), "indicator": gaps}]

    def _fit_code(self, name: str, part: str | None, frame: pl.DataFrame) -> list[CodeField]:
        texts = text_of(frame, name, part)
        has_gaps = texts.null_count() > 0
        lookup, notes, collisions = fit_lookup(name, texts, self.rules, has_gaps=has_gaps)
        self.notes_ += notes if part is None else []
        self.collisions_ += collisions
        return [] if lookup is None else [CodeField(name, part, lookup)]

    def _fit_parts(self, name: str, frame: pl.DataFrame) -> list[CodeField]:
        parts = [part for part in PARTS if part in self.time_fields]
        present = frame[name].drop_nulls()
        if present.len() and present.dt.day().n_unique() == 1:
            # A month without a day is read as its first; the weekday of that says nothing.
            parts = [part for part in parts if part not in ("day", "weekday")]
        return [field for part in parts for field in self._fit_code(name, part, frame)]

    def _fit_bag(self, name: str, values: pl.Series) -> list[BagField]:
        separator = self.separators[name]
        rows, texts = split_values(values, separator)
        has_gaps = len(np.unique(rows)) < values.len()
        lookup, notes, collisions = fit_lookup(name, texts, self.rules, has_gaps=has_gaps)
        self.notes_ += notes
        self.collisions_ += collisions
        return [] if lookup is None else [BagField(name, separator, lookup)]

    def _leave_out(self, name: str, reason: str) -> None:
        self.notes_.append(f"column {name!r}: {reason}, left out")

    def _keep(
        self, numbers: list[dict[str, Any]], codes: list[CodeField], bags: list[BagField]
    ) -> None:
        self._numbers, self._codes, self._bags = numbers, codes, bags
        self._fields: list[CodeField | BagField] = [*codes, *bags]
        self._writer = StateWriter(numbers, self.scaling)
        self._sources = [*self._writer.names, *(field.source for field in self._fields)]
        self.number_names_ = self._writer.number_names
        self.code_names_ = [field.name for field in codes]
        self.bag_names_ = [field.name for field in bags]
        self.cardinalities_ = [field.vocabulary.n_codes for field in codes]
        self.bag_cardinalities_ = [field.vocabulary.n_codes for field in bags]

    def _refuse(self, tallies: Sequence[Tally]) -> None:
        faults = [t.describe() for t in tallies if t.n_unseen and not t.is_part]
        if faults:
            raise DataError(f"strict=True: {'; '.join(faults)}")


_RULES = {
    "time_fields": sequence_of(one_of(*TIME_FIELDS)),
    "min_count": optional(integer(1)),
    "max_vocabulary": integer(1),
    "scaling": one_of("quantile", "standard", "none"),
    "strict": one_of(True, False),
}


def _bag(parts: Sequence[tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]]) -> Bag:
    values = [values for values, _ in parts]
    lengths = [lengths for _, lengths in parts]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([*lengths, []]))])
    return Bag(np.concatenate([np.empty(0, np.int32), *values]), offsets.astype(np.int64))


def _parts(
    state: Mapping[str, Any], arrays: Arrays, kind: str
) -> list[tuple[Mapping[str, Any], Arrays]]:
    """State and arrays of each field of a kind."""
    parts = []
    for place, each in enumerate(state[kind]):
        start = f"{kind}.{place}."
        own = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
        parts.append((each, own))
    return parts


def _check_frame(frame: pl.DataFrame, names: Sequence[str]) -> None:
    lacking = [name for name in names if name not in frame.columns]
    if lacking:
        raise SchemaError(f"the parsed frame lacks columns: {', '.join(map(repr, lacking))}")
