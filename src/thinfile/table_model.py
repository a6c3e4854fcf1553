"""What reads raw tables and images: the base of classifiers, detectors, encoders and generators.

Typing and encoding of columns, reading of labels and the state that an artifact holds are here,
once.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from thinfile import params
from thinfile.data.encode import Encoded, TableEncoder
from thinfile.data.images import KIND as IMAGES
from thinfile.data.images import FloatArray, ImageEncoder, is_images, pixel_names, read_images
from thinfile.errors import DataError, ThinfileWarning
from thinfile.frame import as_frame
from thinfile.params import Rule, check_params
from thinfile.schema.model import Schema
from thinfile.training.device import seeded

BoolArray = npt.NDArray[np.bool_]

UNLABELLED = -1


@dataclass
class State:
    """A fitted model in parts that can be written without pickle."""

    values: dict[str, Any] = field(default_factory=dict)  # JSON
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)  # safetensors
    files: dict[str, bytes] = field(default_factory=dict)  # a library's own open format


@dataclass(frozen=True)
class TableData:
    """What `fit` of a model without classes was given, read once: n rows."""

    encoded: Encoded
    parsed: pl.DataFrame  # typed columns; a column for each pixel is not made for images
    y: npt.NDArray[np.int8] | None  # (n,): 1, 0, -1; None where no labels were given


class TableReader(BaseEstimator):  # type: ignore[misc]
    """Reads tables and images, and keeps how it did.

    Constructors of subclasses name at least `schema` and `random_state`.

    Attributes
    ----------
    schema_ : Schema
        Role and type of each column.
    encoder_ : TableEncoder, MixedEncoder or ImageEncoder
        Fitted on the rows given to `fit`.
    notes_ : list of str
        What was done that the user should know of.
    history_ : list of dict
        One record for each epoch or check; empty where there are no epochs.
    """

    notes_: list[str]
    history_: list[dict[str, Any]]

    _rules: ClassVar[Mapping[str, Rule]] = {}
    _common_rules: ClassVar[Mapping[str, Rule]] = {
        "schema": params.optional(params.instance(Schema)),
        "random_state": params.random_state(),
    }
    _image_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def get_state(self) -> State:
        """All that was fitted, in parts that need no pickle."""
        check_is_fitted(self, "encoder_")
        state = self._state()
        # Whoever changes a state must not change the model.
        state.arrays = {name: np.array(value) for name, value in state.arrays.items()}
        state.values |= {
            "schema": self.schema_.to_dict(),
            "encoder": self.encoder_.to_state(),
            "n_features_in": self.n_features_in_,
            "from_array": self._from_array,
            "notes": self.notes_,
            "history": self.history_,
        }
        return state

    def set_state(self, state: State) -> Self:
        """Become what `get_state` described; nothing in `state` is executed."""
        values = state.values
        self.schema_ = Schema.from_dict(values["schema"])
        self.encoder_: Any
        if values["encoder"].get("kind") == IMAGES:
            self.encoder_ = ImageEncoder.from_state(values["encoder"])
        else:
            self.encoder_ = self._load_encoder(state)
        self.n_features_in_ = values["n_features_in"]
        self._from_array = values["from_array"]
        self.notes_ = values["notes"]
        self.history_ = values["history"]
        with seeded(0):  # a network that is built draws weights, which the state's then replace
            self._load(state)
        return self

    def __sklearn_tags__(self) -> Tags:
        """Empty cells are a value like any other."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # What a method defines -------------------------------------------------------------------

    def _make_encoder(self) -> Any:
        return TableEncoder(self.schema_)

    def _load_encoder(self, state: State) -> Any:
        return TableEncoder.from_state(state.values["encoder"])

    def _state(self) -> State:
        raise NotImplementedError

    def _load(self, state: State) -> None:
        raise NotImplementedError

    # Reading ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Forget the last fit's notes, and check the constructor's arguments."""
        self.notes_ = []
        self.history_ = []
        rules = {**self._common_rules, **self._rules}
        check_params(type(self).__name__, self.get_params(deep=False), rules)

    def _read_rows(self, X: Any) -> pl.DataFrame | FloatArray:
        """The raw rows that are fitted to: a table, or images with channels first."""
        if not is_images(X) and getattr(self, "image_shape", None) is None:
            return self._read_table(X, fitting=True)
        if "image_shape" not in self._get_param_names():
            raise DataError(
                f"X has shape {np.shape(X)}: {type(self).__name__} takes tables, not images"
            )
        return read_images(X, self.image_shape)

    def _fit_encoder(self, rows: pl.DataFrame | FloatArray) -> tuple[Encoded, pl.DataFrame]:
        """What a model takes, and the typed columns (none for images)."""
        if isinstance(rows, pl.DataFrame):
            self._check_features(rows)
            parsed = self._parse_fitted(rows)
            self.encoder_ = self._make_encoder().fit(parsed)
            return self.encoder_.transform(parsed), parsed
        _check_pixels_vary(rows)
        low, high = self._image_range
        self.encoder_ = ImageEncoder(low=low, high=high).fit(rows)
        names = pixel_names(self.encoder_.shape_)
        self.schema_, self.n_features_in_ = Schema.numeric(names), len(names)
        self._from_array = True
        return self.encoder_.encode(rows), pl.DataFrame()

    def _check_features(self, rows: pl.DataFrame) -> None:
        if not self.schema_.features:
            reasons = "; ".join(self.schema_.notes) or f"none of {rows.width} is a feature"
            raise DataError(f"no column that a model can use: {reasons}")

    def _encode(self, X: Any) -> Encoded:
        if isinstance(self.encoder_, ImageEncoder):
            return self.encoder_.encode(X)
        encoded: Encoded = self.encoder_.transform(self._parse(X))
        return encoded

    def _parse_fitted(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Typed columns of the rows that are fitted to; what had to be mended is noted."""
        read = self.schema_.parse(rows)
        self.notes_ += [f"{fault}: taken as missing" for fault in read.faults]
        return read.frame

    def _parse(self, X: Any) -> pl.DataFrame:
        """Typed columns of a raw table."""
        return self._parse_frame(self._read_table(X, fitting=False))

    def _parse_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Typed columns of rows to be scored; what had to be mended is warned of."""
        read = self.schema_.parse(frame)
        for fault in read.faults:
            warnings.warn(f"{fault}: taken as missing", ThinfileWarning, stacklevel=4)
        return read.frame

    def _encode_parsed(self, parsed: pl.DataFrame, table: pl.DataFrame) -> Encoded:
        """Encode rows that the schema has parsed; `table` has them raw, with all columns."""
        encoded: Encoded = self.encoder_.transform(parsed)
        return encoded

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
            if self.schema is None:  # a schema that was given has been looked at
                self.notes_ += _left_out(self.schema_)
        if not frame.height:
            raise DataError(f"Found array with 0 sample(s) (shape={frame.shape}): X has no rows")
        return frame

    def _choose_schema(self, frame: pl.DataFrame) -> Schema:
        schema: Schema | None = self.schema
        if schema is not None:
            return schema
        return Schema.numeric(frame.columns) if self._from_array else Schema.infer(frame)


class TableModel(TableReader):
    """Base of detectors, encoders and generators: models that need no labels.

    Subclasses define `_rules` (a rule for each constructor argument of their own), `_fit(data)`,
    and `_state()` / `_load(state)` for what they have fitted.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit to the rows of a table, or to images.

        Parameters
        ----------
        X
            Table of n rows: pandas, polars or Arrow frame, or a 2-D array of numbers. Images
            where the class has `image_shape`.
        y : array-like of shape (n,), optional
            1 for the event, 0 for none, -1, None or NaN for "no label". What it is used for
            stands with the class.

        Raises
        ------
        ParameterError
            If constructor arguments break their rules.
        DataError
            If the table or the labels cannot be used.
        """
        self._begin()
        rows = self._read_rows(X)
        labels = None
        if y is not None:
            labels, self.classes_ = read_labels(y, at_least=1, n_rows=len(rows))
        encoded, parsed = self._fit_encoder(rows)
        self._fit(TableData(encoded, parsed, labels))
        return self

    def __sklearn_tags__(self) -> Tags:
        """Labels, where there are any, are of two kinds."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags = ClassifierTags(multi_class=False)
        return tags

    def _fit(self, data: TableData) -> None:
        raise NotImplementedError


def _check_pixels_vary(images: FloatArray) -> None:
    if len(images) > 1 and (images == images[0]).all():
        raise DataError(f"no column that a model can use: no pixel varies in {len(images)} images")


def _left_out(schema: Schema) -> list[str]:
    """Why columns are seen by no model: constant, free text, nothing but gaps."""
    names = [column.name for column in schema.columns if column.role == "ignored"]
    notes = [(name, note) for name in names for note in schema.notes_of(name)]
    return [f"column {name!r}: {note}" for name, note in notes if note.endswith("ignored")]


def read_labels(
    y: Any, *, at_least: int = 2, at_most: int | None = 2, n_rows: int | None = None
) -> tuple[npt.NDArray[np.int8], npt.NDArray[Any]]:
    """Labels as the place of their class, -1 where there is none; and the classes, sorted.

    One class alone is the event if it is 1 or True.

    Parameters
    ----------
    y : array-like of shape (n,)
    at_least, at_most
        Number of classes; None: any.
    n_rows : int, optional
        Rows that the labels are for.

    Raises
    ------
    DataError
        If `y` is no list of labels, is not as long as there are rows, or has too few or too many
        classes.
    """
    if y is None:
        raise DataError("requires y to be passed, but the target y is None")
    values = _one_column(np.asarray(y))
    if n_rows is not None and len(values) != n_rows:
        raise DataError(
            f"y has {len(values)} labels and X has {n_rows} rows: inconsistent numbers of samples"
        )
    unlabelled = _is_missing(values)
    classes = _classes(values[~unlabelled], at_most)
    _check_enough(classes, at_least, unlabelled)
    labels = np.full(len(values), UNLABELLED, dtype=np.int8)
    places = np.searchsorted(classes, values[~unlabelled].astype(classes.dtype))
    is_event = len(classes) == 1 and classes[0] == 1
    labels[~unlabelled] = 1 if is_event else places
    return labels, classes


def _one_column(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.ndim == 2 and values.shape[1] == 1:
        from sklearn.exceptions import DataConversionWarning

        warnings.warn(
            "A column-vector y was passed when a 1d array was expected.",
            DataConversionWarning,
            stacklevel=6,
        )
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(f"y has shape {values.shape}: one label for each row is needed")
    return values


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


def _classes(values: npt.NDArray[Any], at_most: int | None) -> npt.NDArray[Any]:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError("y contains infinity")
    if values.dtype.kind == "O":
        values = np.array(values.tolist())
    kind = type_of_target(values, input_name="y") if len(values) else "empty"
    if kind == "continuous":
        raise DataError(f"Unknown label type: continuous. y={values[:3].tolist()}… are no classes")
    classes = np.unique(values)
    if at_most == 2 and len(classes) > 2:
        raise DataError(
            f"Only binary classification is supported. The type of the target is {kind}: "
            f"y holds {len(classes)} labels ({classes[:5].tolist()}…)"
        )
    if len(classes) > np.iinfo(np.int8).max:
        raise DataError(f"y holds {len(classes)} classes ({classes[:5].tolist()}…), at most 127")
    return classes


def _check_enough(classes: npt.NDArray[Any], at_least: int, unlabelled: BoolArray) -> None:
    if at_least < 2 or len(classes) >= at_least:
        return
    n_rows, n_without = len(unlabelled), int(unlabelled.sum())
    if not len(classes):
        raise DataError(f"y holds no label: all {n_rows} rows are without one")
    others = f"; {n_without} of {n_rows} rows are without a label" if n_without else ""
    raise DataError(
        f"y holds one class only ({classes.tolist()}{others}): labelled rows of two classes are "
        "needed"
    )
