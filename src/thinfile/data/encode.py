"""From a typed table to the arrays that a model takes: numbers scaled, categories as codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.apply import StateWriter, date_part, number_expression
from thinfile.data.categories import FIRST, count_values, fit_vocabulary
from thinfile.data.scaling import fit_scaler
from thinfile.errors import DataError, ParameterError, SchemaError
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

STATE_FORMAT = 1
"""Version of the state's format."""

SCALINGS = ("quantile", "standard", "none")


@dataclass(frozen=True, slots=True)
class Encoded:
    """What a model takes.

    Attributes
    ----------
    numbers : numpy.ndarray of float32, shape (rows, n_numbers)
        C-contiguous. NaN only where ``scaling="none"``.
    codes : numpy.ndarray of int32, shape (rows, n_codes)
        C-contiguous; 0 missing, 1 unseen or rare, 2… vocabulary.
    """

    numbers: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: npt.NDArray[Any]) -> Encoded:
        """The rows named by index or mask, as an Encoded of their own."""
        return Encoded(self.numbers[rows], self.codes[rows])


class TableEncoder:
    """Turn typed columns into scaled numbers and category codes, by what training rows show.

    Use it for every method that takes arrays, fitted on training rows only, so that nothing of
    validation or test rows leaks into it. With ``scaling="none"`` it serves boosted trees, which
    need neither scaling nor imputation. It is not for text or sequences.

    Numbers, ordinals and the days of a date become one number each; where training rows had gaps
    a second number, ``name (missing)``, is 1 for a gap. Booleans become 0 and 1. Categories, and
    the month and weekday of a date, become codes. Columns that are constant or entirely missing
    in training are left out and named in `notes_`.

    Parameters
    ----------
    schema : Schema
        Its feature columns are encoded, in its order.
    scaling : {"quantile", "standard", "none"}, default "quantile"
        quantile: piecewise linear between at most 256 training quantiles to normal scores, from
        −2.9 to 2.9, whatever the tails. standard: mean 0 and deviation 1, clipped to ±5. none:
        values as they are, NaN for a gap.
    max_categories : int, default 255
        Largest vocabulary of a column; the most frequent values stay.
    min_count : int, optional
        Training values rarer than this share code 1 with unseen ones, so that code 1 is trained.
        Default: 10, but no more than one row in a hundred, and at least 2.

    Attributes
    ----------
    number_names_, code_names_ : list of str
        Names of the columns of `Encoded.numbers` and `Encoded.codes`.
    cardinalities_ : list of int
        Number of codes per column of `Encoded.codes`, 0 and 1 included.
    notes_ : list of str
        Columns left out, and why.

    Notes
    -----
    The state (:meth:`to_state`) holds JSON values only::

        {"format": 1, "scaling": …, "max_categories": …, "min_count": …, "schema": {…},
         "notes": […], "columns": [{"name": …, "role": …, …}, …]}

    with one entry per column that is kept, in order:

    - number, ordinal, date: ``number`` is null or a scaler: ``{"grid": […], "scores": […]}``
      (linear between the points, flat outside, gap → 0), ``{"mean", "deviation", "limit"}``
      ((x − mean) / deviation clipped to ±limit, gap → 0) or ``{}`` (as it is, gap → NaN).
      ``indicator`` says whether ``name (missing)`` follows.
    - date: the number is days since ``origin`` (ISO date) as a fraction; ``month`` and
      ``weekday`` (1 = Monday) are vocabularies or null.
    - boolean: ``{"fill": p}`` for a gap (NaN where scaling is none).
    - category: ``vocabulary`` lists the texts of codes 2, 3, ….

    Examples
    --------
    >>> import polars as pl
    >>> raw = pl.DataFrame({"age": [20, 30, None, 60], "job": ["a", "b", "a", None]})
    >>> schema = Schema((Column("age", "number"), Column("job", "category")))
    >>> parsed = schema.parse(raw).frame
    >>> encoder = TableEncoder(schema, min_count=1).fit(parsed)
    >>> encoder.number_names_, encoder.code_names_, encoder.cardinalities_
    (['age', 'age (missing)'], ['job'], [4])
    >>> encoder.transform(parsed).codes.ravel().tolist()
    [2, 3, 2, 0]
    """

    def __init__(
        self,
        schema: Schema,
        *,
        scaling: str = "quantile",
        max_categories: int = 255,
        min_count: int | None = None,
    ) -> None:
        _check_arguments(scaling, max_categories, min_count)
        self.schema = schema
        self.scaling = scaling
        self.max_categories = max_categories
        self.min_count = min_count

    def fit(self, frame: pl.DataFrame) -> Self:
        """Learn scales and vocabularies from training rows.

        Parameters
        ----------
        frame : polars.DataFrame
            A parsed frame (:meth:`Schema.parse`), shape (rows, features).

        Raises
        ------
        DataError
            If there is no row, or no column varies.
        """
        columns = [self.schema[name] for name in self.schema.features]
        _check_frame(frame, [column.name for column in columns])
        if frame.height == 0:
            raise DataError("the encoder cannot be fitted on a table without rows")
        notes: list[str] = []
        states = [self._fit_column(column, frame[column.name], notes) for column in columns]
        self._keep([state for state in states if state is not None], notes)
        if not self.number_names_ and not self.code_names_:
            raise DataError(f"no column varies in {frame.height} training rows: {'; '.join(notes)}")
        return self

    def transform(self, frame: pl.DataFrame) -> Encoded:
        """Encode a parsed frame with what `fit` learned; rows do not influence each other.

        Parameters
        ----------
        frame : polars.DataFrame
            A parsed frame, shape (rows, features).

        Returns
        -------
        Encoded
        """
        _check_frame(frame, self._writer.names)
        numbers = np.empty((frame.height, len(self.number_names_)), dtype=np.float32)
        codes = np.empty((frame.height, len(self.code_names_)), dtype=np.int32)
        self._writer.write(frame, numbers, codes)
        return Encoded(numbers, codes)

    def fit_transform(self, frame: pl.DataFrame) -> Encoded:
        """Fit on a parsed frame and encode it."""
        return self.fit(frame).transform(frame)

    def one_hot(self, encoded: Encoded) -> npt.NDArray[np.float32]:
        """Numbers and codes as one matrix, each code a column of its own.

        Returns
        -------
        numpy.ndarray of float32, shape (rows, n_numbers + sum(cardinalities_))
        """
        n_numbers = len(self.number_names_)
        width = n_numbers + sum(self.cardinalities_)
        matrix = np.zeros((len(encoded), width), dtype=np.float32)
        matrix[:, :n_numbers] = encoded.numbers
        rows = np.arange(len(encoded))
        offset = n_numbers
        for place, cardinality in enumerate(self.cardinalities_):
            matrix[rows, offset + encoded.codes[:, place]] = 1.0
            offset += cardinality
        return matrix

    def one_hot_names(self) -> list[str]:
        """Names of the columns of :meth:`one_hot`: ``job = nurse``, ``job (missing)``, ….

        Returns
        -------
        list of str, one per column
        """
        names = list(self.number_names_)
        for name, vocabulary in zip(self.code_names_, self._writer.vocabularies, strict=True):
            names += [f"{name} (missing)", f"{name} (unseen or rare)"]
            names += [f"{name} = {word}" for word in vocabulary]
        return names

    def to_state(self) -> dict[str, Any]:
        """Everything that :meth:`transform` needs, as JSON values; see the notes of the class."""
        return {
            "format": STATE_FORMAT,
            "scaling": self.scaling,
            "max_categories": self.max_categories,
            "min_count": self.min_count,
            "schema": self.schema.to_dict(),
            "notes": list(self.notes_),
            "columns": [_copy(state) for state in self._states],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> TableEncoder:
        """An encoder that gives bit for bit what the one gave that wrote the state."""
        if state.get("format") != STATE_FORMAT:
            raise DataError(
                f"encoder state has format {state.get('format')!r}, "
                f"this version reads {STATE_FORMAT}"
            )
        try:
            encoder = cls(
                Schema.from_dict(state["schema"]),
                scaling=state["scaling"],
                max_categories=state["max_categories"],
                min_count=state["min_count"],
            )
            encoder._keep([_copy(each) for each in state["columns"]], list(state["notes"]))
        except (KeyError, TypeError) as error:
            raise DataError(f"encoder state is damaged: {error!r}") from error
        return encoder

    def _keep(self, states: list[dict[str, Any]], notes: list[str]) -> None:
        self._states = states
        self._writer = StateWriter(states, self.scaling)
        self.notes_ = notes
        self.number_names_ = self._writer.number_names
        self.code_names_ = self._writer.code_names
        self.cardinalities_ = [len(words) + FIRST for words in self._writer.vocabularies]

    def _fit_column(
        self, column: Column, values: pl.Series, notes: list[str]
    ) -> dict[str, Any] | None:
        state: dict[str, Any] = {"name": column.name, "role": column.role}
        if values.null_count() == values.len():
            notes.append(f"column {column.name!r}: every training row is missing, left out")
            return None
        # Least equal to greatest is cheaper to find out than the number of distinct values.
        if not values.null_count() and values.min() == values.max():
            notes.append(f"column {column.name!r}: the same in every training row, left out")
            return None
        if column.role == "category":
            return state | {"vocabulary": self._vocabulary(values), "indicator": False}
        if column.role == "boolean":
            state["fill"] = float(values.mean())  # type: ignore[arg-type]
        elif column.role == "date":
            state |= self._fit_date(values)
        if column.role != "boolean":
            number = values.to_frame().select(number_expression(state)).to_series()
            state["number"] = fit_scaler(number, self.scaling)
        state["indicator"] = self.scaling != "none" and values.null_count() > 0
        return state

    def _fit_date(self, values: pl.Series) -> dict[str, Any]:
        present = values.drop_nulls().sort()
        state: dict[str, Any] = {"origin": present[present.len() // 2].date().isoformat()}
        for part in ("month", "weekday"):
            text = values.to_frame("date").select(date_part(pl.col("date"), part)).to_series()
            state[part] = self._vocabulary(text) if text.n_unique() > 1 else None
        if present.dt.day().n_unique() == 1:
            # A month without a day is read as its first; the weekday of that says nothing.
            state["weekday"] = None
        return state

    def _vocabulary(self, values: pl.Series) -> list[str]:
        automatic = max(2, min(10, values.len() // 100))
        min_count = automatic if self.min_count is None else self.min_count
        return fit_vocabulary(count_values(values), self.max_categories, min_count)


def _check_arguments(scaling: str, max_categories: int, min_count: int | None) -> None:
    faults = []
    if scaling not in SCALINGS:
        faults.append(f"scaling is {scaling!r}, must be one of {', '.join(SCALINGS)}")
    if not isinstance(max_categories, int) or max_categories < 1:
        faults.append(f"max_categories is {max_categories!r}, must be a whole number from 1 on")
    if min_count is not None and (not isinstance(min_count, int) or min_count < 1):
        faults.append(f"min_count is {min_count!r}, must be None or a whole number from 1 on")
    if faults:
        raise ParameterError(f"TableEncoder: {'; '.join(faults)}")


def _check_frame(frame: pl.DataFrame, names: Sequence[str]) -> None:
    lacking = [name for name in names if name not in frame.columns]
    if lacking:
        raise SchemaError(f"the parsed frame lacks columns: {', '.join(map(repr, lacking))}")


def _copy(state: Mapping[str, Any]) -> dict[str, Any]:
    copied = dict(state)
    for key, value in copied.items():
        if isinstance(value, dict):
            copied[key] = _copy(value)
        elif isinstance(value, list):
            copied[key] = list(value)
    return copied
