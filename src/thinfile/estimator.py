"""The contract that every estimator of thinfile keeps.

`fit(X, y, *, domain=None)` on raw tables: typing and encoding of columns, reading of labels and
populations, correction for the target's base rate and the state that an artifact holds are here,
once. A method adds its `_fit` and its `_probability`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from thinfile import params
from thinfile.data.encode import Encoded, TableEncoder
from thinfile.errors import DataError, ParameterError
from thinfile.frame import as_frame
from thinfile.metrics.calibration import Calibration, match_base_rate
from thinfile.params import Rule, check_params
from thinfile.schema.model import Schema

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

UNLABELLED = -1
RATE_PRIOR_ROWS = 10
"""Rows that the source's base rate counts for when the target's own labels are few."""


@dataclass(frozen=True)
class TrainingData:
    """What `fit` was given, read once: n rows, all arrays in their order."""

    encoded: Encoded
    y: npt.NDArray[np.int8]  # (n,): 1, 0, or -1 where there is no label
    is_target: BoolArray  # (n,)

    @property
    def is_labelled(self) -> BoolArray:
        """Rows that have a label, shape (n,)."""
        known: BoolArray = self.y != UNLABELLED
        return known

    @property
    def source(self) -> npt.NDArray[np.intp]:
        """Positions of the labelled rows of the sources."""
        return np.flatnonzero(self.is_labelled & ~self.is_target)

    @property
    def target(self) -> npt.NDArray[np.intp]:
        """Positions of all rows of the target, labelled or not."""
        return np.flatnonzero(self.is_target)

    @property
    def target_labelled(self) -> npt.NDArray[np.intp]:
        """Positions of the labelled rows of the target."""
        return np.flatnonzero(self.is_labelled & self.is_target)


@dataclass
class State:
    """A fitted estimator in parts that can be written without pickle."""

    values: dict[str, Any] = field(default_factory=dict)  # JSON
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)  # safetensors
    files: dict[str, bytes] = field(default_factory=dict)  # a library's own open format


class Estimator(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Base of every classifier: reads the table, the labels and the populations.

    Subclasses define `_rules` (a rule for each constructor argument of their own), `_fit(data)`
    and `_probability(encoded)`; and `_state()` / `_load(state)` for what they have fitted. Their
    constructors name at least `schema`, `target_domain`, `target_rate` and `random_state`.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The two labels; the second is the event.
    schema_ : Schema
        Role and type of each column.
    encoder_ : TableEncoder
        Fitted on the rows given to `fit`.
    calibration_ : Calibration
        Slope and intercept, on the log-odds, between the fitted model and `predict_proba`.
    notes_ : list of str
        What was done that the user should know of.
    history_ : list of dict
        One record for each epoch or check; empty where there are no epochs.
    """

    _rules: ClassVar[Mapping[str, Rule]] = {}

    def fit(self, X: Any, y: Any, *, domain: Any = None) -> Self:
        """Fit to the rows of all populations.

        Parameters
        ----------
        X
            Table of n rows: pandas, polars or Arrow frame, or a 2-D array of numbers.
        y : array-like of shape (n,)
            1 for the event, 0 for none, -1, None or NaN for "no label". Two other labels work
            too; the one that sorts last is the event.
        domain : array-like of shape (n,), optional
            The population of each row; `target_domain` names the one to be scored. Without it,
            rows that have labels are the source and rows without are the target.

        Raises
        ------
        ParameterError
            If constructor arguments break their rules.
        DataError
            If the table, the labels or the populations cannot be used.
        """
        self.notes_: list[str] = []
        self.history_: list[dict[str, Any]] = []
        check_params(type(self).__name__, self.get_params(deep=False), _RULES | dict(self._rules))
        data = self._read(X, y, domain)
        self.calibration_ = Calibration(1.0, 0.0)
        self._fit(data)
        self._correct_base_rate(data)
        return self

    def predict_proba(self, X: Any) -> FloatArray:
        """Probability of each class, shape (n, 2), corrected for the target's base rate."""
        check_is_fitted(self, "calibration_")
        probability = self.calibration_.apply(self._probability(self._encode(X)))
        return np.column_stack([1.0 - probability, probability])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The likelier class of each row, shape (n,)."""
        event = self.predict_proba(X)[:, 1] > 0.5
        labels: npt.NDArray[Any] = self.classes_[event.astype(np.intp)]
        return labels

    def recalibrate(self, correction: Calibration) -> Self:
        """Put a correction behind the present one, on the log-odds.

        Parameters
        ----------
        correction : Calibration
            Fitted to `predict_proba` of labelled target rows that the fit has not seen.
        """
        check_is_fitted(self, "calibration_")
        before = self.calibration_
        self.calibration_ = Calibration(
            before.slope * correction.slope,
            before.intercept * correction.slope + correction.intercept,
        )
        return self

    def get_state(self) -> State:
        """All that was fitted, in parts that need no pickle."""
        check_is_fitted(self, "calibration_")
        state = self._state()
        state.values |= {
            "classes": self.classes_.tolist(),
            "schema": self.schema_.to_dict(),
            "encoder": self.encoder_.to_state(),
            "calibration": [self.calibration_.slope, self.calibration_.intercept],
            "n_features_in": self.n_features_in_,
            "from_array": self._from_array,
            "notes": self.notes_,
            "history": self.history_,
        }
        return state

    def set_state(self, state: State) -> Self:
        """Become what `get_state` described; nothing in `state` is executed."""
        values = state.values
        self.classes_ = np.asarray(values["classes"])
        self.schema_ = Schema.from_dict(values["schema"])
        self.encoder_ = self._load_encoder(state)
        self.calibration_ = Calibration(*values["calibration"])
        self.n_features_in_ = values["n_features_in"]
        self._from_array = values["from_array"]
        self.notes_, self.history_ = values["notes"], values["history"]
        self._load(state)
        return self

    def __sklearn_tags__(self) -> Tags:
        """Binary only; empty cells are a value like any other."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        return tags

    # What a method defines -------------------------------------------------------------------

    def _make_encoder(self) -> TableEncoder:
        return TableEncoder(self.schema_)

    def _load_encoder(self, state: State) -> TableEncoder:
        return TableEncoder.from_state(state.values["encoder"])

    def _fit(self, data: TrainingData) -> None:
        raise NotImplementedError

    def _probability(self, encoded: Encoded) -> FloatArray:
        """Probability of the event before calibration, shape (n,)."""
        raise NotImplementedError

    def _state(self) -> State:
        raise NotImplementedError

    def _load(self, state: State) -> None:
        raise NotImplementedError

    # Reading ---------------------------------------------------------------------------------

    def _read(self, X: Any, y: Any, domain: Any) -> TrainingData:
        frame = self._read_table(X, fitting=True)
        labels = self._read_labels(y)
        check_consistent_length(frame, labels)
        is_target = self._read_domain(domain, labels)
        parsed = self.schema_.parse(frame).frame
        self.encoder_ = self._make_encoder().fit(parsed)
        return TrainingData(self.encoder_.transform(parsed), labels, is_target)

    def _encode(self, X: Any) -> Encoded:
        frame = self._read_table(X, fitting=False)
        return self.encoder_.transform(self.schema_.parse(frame).frame)

    def _encode_parsed(self, parsed: pl.DataFrame, table: pl.DataFrame) -> Encoded:
        """Encode rows that the schema has parsed; `table` has them raw, with all columns."""
        return self.encoder_.transform(parsed)

    def _read_table(self, X: Any, *, fitting: bool) -> pl.DataFrame:
        if not _is_table(X):
            X = validate_data(
                self, X, reset=fitting, dtype=np.float64, ensure_all_finite="allow-nan"
            )
        frame = as_frame(X)
        if fitting:
            self._from_array = isinstance(X, np.ndarray)
            self.n_features_in_ = frame.width
            self.schema_ = self._choose_schema(frame)
        if not frame.height:
            raise DataError(f"Found array with 0 sample(s) (shape={frame.shape}): X has no rows")
        return frame

    def _choose_schema(self, frame: pl.DataFrame) -> Schema:
        schema: Schema | None = self.schema
        if schema is not None:
            return schema
        return Schema.numeric(frame.columns) if self._from_array else Schema.infer(frame)

    def _read_labels(self, y: Any) -> npt.NDArray[np.int8]:
        if y is None:
            raise DataError("requires y to be passed, but the target y is None")
        values = np.asarray(y)
        if values.ndim == 2 and values.shape[1] == 1:
            import warnings

            from sklearn.exceptions import DataConversionWarning

            warnings.warn(
                "A column-vector y was passed when a 1d array was expected.",
                DataConversionWarning,
                stacklevel=4,
            )
            values = values[:, 0]
        if values.ndim != 1:
            raise DataError(f"y has shape {values.shape}: one label for each row is needed")
        unlabelled = _is_missing(values)
        self.classes_ = _two_classes(values[~unlabelled])
        labels = np.full(len(values), UNLABELLED, dtype=np.int8)
        labels[~unlabelled] = values[~unlabelled] == self.classes_[1]
        return labels

    def _read_domain(self, domain: Any, y: npt.NDArray[np.int8]) -> BoolArray:
        target_domain = self.target_domain
        is_target: BoolArray = y == UNLABELLED
        if domain is None:
            return is_target
        populations = np.asarray(domain)
        check_consistent_length(populations, y)
        names = sorted(set(populations.tolist()), key=str)
        if target_domain is None and len(names) > 1:
            raise ParameterError(
                f"{type(self).__name__}: target_domain=None must name one of the populations "
                f"{names} when there are several"
            )
        if target_domain is not None and target_domain not in names:
            raise DataError(
                f"target_domain={target_domain!r} is none of the populations {names} in `domain`"
            )
        is_target = populations == (names[0] if target_domain is None else target_domain)
        return is_target

    # Base rate -------------------------------------------------------------------------------

    def _correct_base_rate(self, data: TrainingData) -> None:
        rate = self._target_rate(data)
        if rate is None or not len(data.target):
            return
        # Rows that were not trained on tell what new rows will get.
        hidden = np.flatnonzero(data.is_target & ~data.is_labelled)
        rows = hidden if len(hidden) >= len(data.target) // 2 else data.target
        shift = match_base_rate(self._probability(data.encoded.take(rows)), rate)
        self.calibration_ = Calibration(1.0, shift)

    def _target_rate(self, data: TrainingData) -> float | None:
        given = self.target_rate
        if given != "auto":
            return None if given is None else float(given)
        labels = data.y[data.target_labelled]
        if not len(labels) or not len(data.source):
            return None
        prior = float(data.y[data.source].mean())
        return float((labels.sum() + RATE_PRIOR_ROWS * prior) / (len(labels) + RATE_PRIOR_ROWS))


_RULES: dict[str, Rule] = {
    "schema": params.optional(params.instance(Schema)),
    "target_rate": params.either(params.one_of("auto", None), params.real(0, 1, bounds="()")),
    "random_state": params.random_state(),
}


def _is_table(X: Any) -> bool:
    if issparse(X):  # one kind of sparse matrix is a dict
        return False
    if isinstance(X, pl.LazyFrame):  # asking it for its columns warns
        return True
    return hasattr(X, "columns") or hasattr(X, "column_names") or isinstance(X, dict)


def _is_missing(values: npt.NDArray[Any]) -> BoolArray:
    """Where there is no label: -1, None or NaN."""
    missing: BoolArray = np.zeros(len(values), dtype=bool)
    if values.dtype.kind in "iu":
        missing = values == UNLABELLED
    elif values.dtype.kind == "f":
        missing = np.isnan(values) | (values == UNLABELLED)
    elif values.dtype.kind == "O":
        missing = np.array([_is_no_label(value) for value in values], dtype=bool)
    return missing


def _is_no_label(value: Any) -> bool:
    if value is None or isinstance(value, str):
        return value is None
    # pandas' NA is neither equal nor unequal to itself.
    return type(value).__name__ == "NAType" or bool(value != value or value == UNLABELLED)


def _two_classes(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError("y contains infinity")
    if values.dtype.kind == "O":
        values = np.array(values.tolist())
    kind = type_of_target(values, input_name="y") if len(values) else "empty"
    if kind == "continuous":
        raise DataError(f"Unknown label type: continuous. y={values[:3].tolist()}… are no classes")
    classes = np.unique(values)
    if len(classes) > 2:
        raise DataError(
            f"Only binary classification is supported. The type of the target is {kind}: "
            f"y holds {len(classes)} labels ({classes[:5].tolist()}…)"
        )
    if len(classes) < 2:
        raise DataError(
            f"y holds one class only ({classes.tolist()}): labelled rows of two classes are needed"
        )
    return classes


def target_row_weight(data: TrainingData, factor: float | str) -> FloatArray:
    """Weight of each row in a loss over source and target labels, shape (n,).

    ``"auto"`` lets the labelled target rows count as much as √(n_source · n_target) rows: more
    than their number, less than half of all.
    """
    weight = np.ones(len(data.y))
    n_source, n_target = len(data.source), len(data.target_labelled)
    if n_source and n_target:
        automatic = max(1.0, (n_source / n_target) ** 0.5)
        weight[data.target_labelled] = automatic if factor == "auto" else float(factor)
    return weight
