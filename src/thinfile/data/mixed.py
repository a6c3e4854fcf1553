"""Typed tables to numbers and codes and back again: what generative models read and give."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile import params
from thinfile.data.categories import code_expression
from thinfile.data.encode import Encoded
from thinfile.data.mixed_columns import (
    as_numbers,
    cardinality,
    fit_column,
    left_out,
    out_of_range,
    scale,
    typed_numbers,
    typed_texts,
    unscale,
    why_left_out,
)
from thinfile.errors import DataError, ParameterError, SchemaError
from thinfile.random_state import RandomState, seed_from
from thinfile.schema.model import Schema

STATE_FORMAT = 1
"""Version of the state's format."""

_RULES = {
    "scaling": params.one_of("minmax", "standard", "quantile"),
    "low": params.real(),
    "high": params.real(),
    "max_categories": params.integer(1),
    "min_count": params.optional(params.integer(1)),
}
_IN_ARRAYS = ("number", "boolean", "category")


class MixedEncoder:
    """Turn typed columns into numbers and codes, and numbers and codes into typed columns.

    Use it for models that give rows as well as read them: autoencoders, VAEs, GANs. It is fitted
    on training rows only. For classifiers take `TableEncoder`, which has more to say about dates
    and cannot be inverted. It is not for text or sequences.

    A number, an ordinal, or the days of a date become one number each; where training rows had
    gaps, a second number, ``name (missing)``, is 1 for a gap, and the gap is filled by the
    median. Booleans become one number. Categories become codes. Columns that are constant, all
    missing, or free text in training are left out, named in `notes_`, and put back by `inverse`:
    a column of which no value is in `min_count` rows counts as free text and comes back empty.

    Parameters
    ----------
    schema : Schema
        Its feature columns are encoded, in its order.
    scaling : {"minmax", "standard", "quantile"}, default "minmax"
        minmax: training minimum and maximum become `low` and `high`, clipped outside; no and yes
        of booleans and gaps do too. standard: mean 0 and deviation 1, clipped to ±10.
        quantile: normal scores between at most 256 training quantiles, −2.9 to 2.9. With the
        latter two, no and yes are 0 and 1.
    low, high : float, default 0.0 and 1.0
        Ends of the minmax scale: 0 and 1 in front of a sigmoid, −1 and 1 of a tanh.
    max_categories : int, default 255
        Largest vocabulary of a column; the most frequent values stay.
    min_count : int, optional
        Training values rarer than this share code 1 with unseen ones. Default: 10, but no more
        than one row in a hundred, and at least 2.

    Attributes
    ----------
    number_names_, code_names_ : list of str
        Names of the columns of `Encoded.numbers` and `Encoded.codes`.
    number_columns_, code_columns_ : list of str
        The raw column that each of them comes from.
    binary_ : list of bool
        Which numbers hold no and yes only: booleans and gaps.
    cardinalities_ : list of int
        Number of codes per column of `Encoded.codes`, 0 (missing) and 1 (unseen, rare) included.
    notes_ : list of str
        Columns left out, and why.

    Examples
    --------
    >>> import polars as pl
    >>> from thinfile.schema.column import Column
    >>> raw = pl.DataFrame({"age": [20, 30, None, 60], "job": ["a", "b", "a", None]})
    >>> schema = Schema((Column("age", "number"), Column("job", "category")))
    >>> parsed = schema.parse(raw).frame
    >>> encoder = MixedEncoder(schema, min_count=1).fit(parsed)
    >>> encoder.transform(parsed).numbers.tolist()
    [[0.0, 0.0], [0.25, 0.0], [0.25, 1.0], [1.0, 0.0]]
    >>> encoder.inverse(encoder.transform(parsed)).equals(parsed)
    True
    """

    def __init__(
        self,
        schema: Schema,
        *,
        scaling: str = "minmax",
        low: float = 0.0,
        high: float = 1.0,
        max_categories: int = 255,
        min_count: int | None = None,
    ) -> None:
        self.schema = schema
        self.scaling = scaling
        self.low, self.high = low, high
        self.max_categories = max_categories
        self.min_count = min_count
        params.check_params("MixedEncoder", vars(self), _RULES)
        if not low < high:
            raise ParameterError(f"MixedEncoder: low={low!r} must lie below high={high!r}")

    def fit(self, parsed: pl.DataFrame) -> Self:
        """Learn scales and vocabularies from training rows.

        Parameters
        ----------
        parsed : polars.DataFrame
            A parsed frame (:meth:`Schema.parse`), shape (rows, features).

        Raises
        ------
        DataError
            If there is no row, or no column varies.
        """
        columns = [self.schema[name] for name in self.schema.features]
        _check_frame(parsed, [column.name for column in columns])
        if parsed.height < 2:
            what = "a table without rows" if not parsed.height else "one row (n_samples = 1)"
            raise DataError(f"the encoder cannot be fitted on {what}")
        rules = {"max_categories": self.max_categories, "min_count": self.min_count}
        states = [fit_column(c, parsed[c.name], self.scaling, rules) for c in columns]
        notes = [why_left_out(state, parsed[state["name"]]) for state in states]
        self._keep(states, [note for note in notes if note is not None])
        if not self.number_names_ and not self.code_names_:
            reasons = "; ".join(self.notes_)
            raise DataError(f"no column varies in {parsed.height} training rows: {reasons}")
        return self

    def transform(self, parsed: pl.DataFrame) -> Encoded:
        """Encode a parsed frame with what `fit` learned; rows do not influence each other.

        Parameters
        ----------
        parsed : polars.DataFrame
            A parsed frame, shape (rows, features).

        Returns
        -------
        Encoded
            Numbers (rows, n_numbers) without NaN and codes (rows, n_codes).
        """
        _check_frame(parsed, [state["name"] for state in self._kept])
        numbers = np.empty((parsed.height, len(self.number_names_)), dtype=np.float32)
        at = 0
        for state in self._numeric:
            at = self._write(state, parsed[state["name"]], numbers, at)
        codes = np.empty((parsed.height, len(self.code_names_)), dtype=np.int32)
        if self._coded:
            texts = [
                code_expression(pl.col(state["name"]), state["vocabulary"]).alias(state["name"])
                for state in self._coded
            ]
            codes[:] = parsed.select(texts).to_numpy()
        return Encoded(numbers, codes)

    def inverse(self, encoded: Encoded, *, random_state: RandomState = None) -> pl.DataFrame:
        """Typed rows for numbers and codes, be they encoded or made by a network.

        Numbers stay inside the training range and have at most the decimals that training had;
        a gap's or a boolean's number counts as yes above the middle. Code 1 becomes one of the
        (at most 100) rare values of training, drawn by their frequency.

        Parameters
        ----------
        encoded : Encoded
            Numbers (rows, n_numbers), any finite values; codes (rows, n_codes).
        random_state : int, numpy generator or None
            For rare values only.

        Returns
        -------
        polars.DataFrame
            All feature columns, in the schema's order and with the parsed types.

        Raises
        ------
        DataError
            If the arrays have another shape, or hold a code that its column does not have.
        """
        self._check_encoded(encoded)
        rng = np.random.default_rng(seed_from(random_state))
        made = {state["name"]: left_out(state, len(encoded)) for state in self._states_left_out}
        at = 0
        for state in self._numeric:
            made[state["name"]], at = self._read(state, encoded.numbers, at)
        for place, state in enumerate(self._coded):
            made[state["name"]] = typed_texts(state, encoded.codes[:, place], rng)
        return pl.DataFrame([made[state["name"]] for state in self._states])

    def fit_transform(self, parsed: pl.DataFrame) -> Encoded:
        """Fit on a parsed frame and encode it."""
        return self.fit(parsed).transform(parsed)

    def to_state(self) -> dict[str, Any]:
        """Everything that `transform` and `inverse` need, as JSON values."""
        return {
            "format": STATE_FORMAT,
            **{name: getattr(self, name) for name in _RULES},
            "schema": self.schema.to_dict(),
            "notes": list(self.notes_),
            "columns": copy.deepcopy(self._states),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> MixedEncoder:
        """An encoder that gives bit for bit what the one gave that wrote the state.

        Raises
        ------
        DataError
            If the state is of another format, or damaged.
        """
        if state.get("format") != STATE_FORMAT:
            raise DataError(
                f"encoder state has format {state.get('format')!r}, "
                f"this version reads {STATE_FORMAT}"
            )
        try:
            encoder = cls(
                Schema.from_dict(state["schema"]), **{name: state[name] for name in _RULES}
            )
            encoder._keep(copy.deepcopy(list(state["columns"])), list(state["notes"]))
        except (KeyError, TypeError) as error:
            raise DataError(f"encoder state is damaged: {error!r}") from error
        return encoder

    def _keep(self, states: Sequence[Mapping[str, Any]], notes: list[str]) -> None:
        self._states = list(states)
        self.notes_ = notes
        self._kept = [state for state in states if state["kind"] in _IN_ARRAYS]
        self._states_left_out = [state for state in states if state["kind"] not in _IN_ARRAYS]
        self._coded = [state for state in self._kept if state["kind"] == "category"]
        self._numeric = [state for state in self._kept if state["kind"] != "category"]
        self.number_names_: list[str] = []
        self.number_columns_: list[str] = []
        self.binary_: list[bool] = []
        for state in self._numeric:
            self._name_numbers(state)
        self.code_names_ = [state["name"] for state in self._coded]
        self.code_columns_ = list(self.code_names_)
        self.cardinalities_ = [cardinality(state) for state in self._coded]

    def _name_numbers(self, state: Mapping[str, Any]) -> None:
        name = state["name"]
        self.number_names_.append(f"{name} (days)" if state["role"] == "date" else name)
        self.number_columns_.append(name)
        self.binary_.append(state["kind"] == "boolean")
        if state["indicator"]:
            self.number_names_.append(f"{name} (missing)")
            self.number_columns_.append(name)
            self.binary_.append(True)

    @property
    def _no_and_yes(self) -> tuple[float, float]:
        return (self.low, self.high) if self.scaling == "minmax" else (0.0, 1.0)

    def _write(
        self,
        state: Mapping[str, Any],
        values: pl.Series,
        numbers: npt.NDArray[np.float32],
        at: int,
    ) -> int:
        """Fill the numbers of one column, and return where the next column begins."""
        no, yes = self._no_and_yes
        raw = as_numbers(state, values)
        gap = np.isnan(raw)
        if state["kind"] == "boolean":
            numbers[:, at] = np.where(np.where(gap, float(state["fill"]), raw) > 0.5, yes, no)
        else:
            numbers[:, at] = scale(state, raw, self.low, self.high)
        if state["indicator"]:
            numbers[:, at + 1] = np.where(gap, yes, no)
        return at + 1 + int(state["indicator"])

    def _read(
        self, state: Mapping[str, Any], numbers: npt.NDArray[np.float32], at: int
    ) -> tuple[pl.Series, int]:
        """The typed column whose numbers begin at `at`, and where the next one begins."""
        middle = sum(self._no_and_yes) / 2
        missing = np.zeros(len(numbers), dtype=np.bool_)
        if state["indicator"]:
            missing = numbers[:, at + 1] > middle
        if state["kind"] == "boolean":
            yes = pl.Series(state["name"], numbers[:, at] > middle)
            column = yes.set(pl.Series(missing), None)
        else:
            values = unscale(state, numbers[:, at].astype(np.float64), self.low, self.high)
            column = typed_numbers(state, values, missing)
        return column, at + 1 + int(state["indicator"])

    def _check_encoded(self, encoded: Encoded) -> None:
        widths = (encoded.numbers.shape[1], encoded.codes.shape[1])
        if widths != (len(self.number_names_), len(self.code_names_)):
            raise DataError(
                f"{widths[0]} numbers and {widths[1]} codes per row must be "
                f"{len(self.number_names_)} and {len(self.code_names_)}"
            )
        faults = [
            f"column {state['name']!r}: a code is outside 0 … {cardinality(state) - 1}"
            for place, state in enumerate(self._coded)
            if out_of_range(state, encoded.codes[:, place])
        ]
        if faults:
            raise DataError("; ".join(faults))


def _check_frame(frame: pl.DataFrame, names: Sequence[str]) -> None:
    lacking = [name for name in names if name not in frame.columns]
    if lacking:
        raise SchemaError(f"the parsed frame lacks columns: {', '.join(map(repr, lacking))}")
