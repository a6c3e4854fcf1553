"""What detectors share: a score of each row, and the threshold that makes it a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import OutlierMixin
from sklearn.metrics import precision_recall_curve
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from thinfile import params
from thinfile.data.encode import Encoded
from thinfile.errors import DataError
from thinfile.params import Rule
from thinfile.table_model import State, TableData, TableModel

FloatArray = npt.NDArray[np.float64]

CONTAMINATION = 0.01
"""Share of the training rows that ``contamination="auto"`` calls abnormal."""
MIN_THRESHOLD_EVENTS = 2


class Detector(TableModel):
    """Base of models that tell rows which are unlike the others.

    Subclasses define `_rules`, `_fit(data)`, `_error(encoded)`, `_state()` and `_load(state)`.
    Their constructors name at least `contamination`, `threshold`, `schema` and `random_state`.

    Attributes
    ----------
    offset_ : float
        Score below which a row is called abnormal.
    """

    _common_rules: ClassVar[Mapping[str, Rule]] = {
        **TableModel._common_rules,
        "contamination": params.either(params.one_of("auto"), params.real(0, 0.5, bounds="()")),
        "threshold": params.one_of("contamination", "labels"),
    }

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit to the rows of a table, or to images, and set the threshold.

        Parameters
        ----------
        X
            Table of n rows: pandas, polars or Arrow frame, or a 2-D array of numbers. Images
            where the class has `image_shape`.
        y : array-like of shape (n,), optional
            1 for the event, 0 for none, -1, None or NaN for "no label". Known events are left
            out of training, and ``threshold="labels"`` sets the threshold by them.

        Raises
        ------
        ParameterError
            If constructor arguments break their rules.
        DataError
            If the table or the labels cannot be used.
        """
        return super().fit(X, y)

    def score_samples(self, X: Any) -> FloatArray:
        """How normal each row is, shape (n,): higher is more normal."""
        check_is_fitted(self, "encoder_")
        return -self._error(self._encode(X))

    def decision_function(self, X: Any) -> FloatArray:
        """`score_samples` above the threshold, shape (n,): negative is abnormal."""
        above: FloatArray = self.score_samples(X) - self.offset_
        return above

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """1 for a normal row, -1 for an abnormal one, shape (n,)."""
        return np.where(self.decision_function(X) < 0, -1, 1).astype(np.int64)

    def get_state(self) -> State:
        """All that was fitted, in parts that need no pickle."""
        check_is_fitted(self, "offset_")
        state = super().get_state()
        state.values["offset"] = self.offset_
        return state

    def set_state(self, state: State) -> Self:
        """Become what `get_state` described; nothing in `state` is executed."""
        self.offset_ = state.values["offset"]
        return super().set_state(state)

    def __sklearn_tags__(self) -> Tags:
        """An outlier detector, in scikit-learn's words."""
        tags = super().__sklearn_tags__()
        tags.estimator_type = "outlier_detector"
        return tags

    fit_predict = OutlierMixin.fit_predict

    # What a method defines -------------------------------------------------------------------

    def _error(self, encoded: Encoded) -> FloatArray:
        """How abnormal each row is, shape (n,)."""
        raise NotImplementedError

    # The threshold ---------------------------------------------------------------------------

    def _set_threshold(self, data: TableData) -> None:
        """To be called at the end of `_fit`."""
        error = self._error(data.encoded)
        if self.threshold == "labels":
            self.offset_ = -_best_f1(error, data.y)
            return
        share = CONTAMINATION if self.contamination == "auto" else float(self.contamination)
        self.offset_ = -float(np.quantile(error, 1 - share))


def _best_f1(error: FloatArray, y: npt.NDArray[np.int8] | None) -> float:
    """The error from which on calling rows abnormal has the best F1 on the labelled rows."""
    n_events = 0 if y is None else int((y == 1).sum())
    n_others = 0 if y is None else int((y == 0).sum())
    if y is None or n_events < MIN_THRESHOLD_EVENTS or not n_others:
        raise DataError(
            f"threshold='labels' needs {MIN_THRESHOLD_EVENTS} labelled events and a labelled row "
            f"of the other kind, y holds {n_events} and {n_others}"
        )
    known = y >= 0
    precision, recall, levels = precision_recall_curve(y[known], error[known])
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    place = int(f1[:-1].argmax())
    # Between two neighbours, so that the row at the threshold falls on the side it was counted on.
    below = levels[place - 1] if place else levels[place]
    return float((levels[place] + below) / 2)
