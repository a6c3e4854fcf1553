"""The contract that every estimator of thinfile keeps.

`fit(X, y, *, domain=None)` on raw tables: typing and encoding of columns, reading of labels and
populations, correction for the target's base rate and the state that an artifact holds are here,
once. A method adds its `_fit` and its `_probability`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from thinfile import params
from thinfile.data.encode import Encoded
from thinfile.errors import DataError, ParameterError
from thinfile.metrics.calibration import Calibration, match_base_rate
from thinfile.params import Rule
from thinfile.table_model import UNLABELLED as UNLABELLED
from thinfile.table_model import State as State
from thinfile.table_model import TableReader, read_labels

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

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


class Estimator(ClassifierMixin, TableReader):  # type: ignore[misc]
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

    _multi_class: ClassVar[bool] = False
    _common_rules: ClassVar[Mapping[str, Rule]] = {
        **TableReader._common_rules,
        "target_rate": params.either(params.one_of("auto", None), params.real(0, 1, bounds="()")),
    }

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
        self._begin()
        data = self._read(X, y, domain)
        self.calibration_ = Calibration(1.0, 0.0)
        self._fit(data)
        self._correct_base_rate(data)
        return self

    def predict_proba(self, X: Any) -> FloatArray:
        """Probability of each class, shape (n, classes); with two, for the target's base rate."""
        check_is_fitted(self, "calibration_")
        probability = self._probability(self._encode(X))
        if probability.ndim == 2:
            return probability
        probability = self.calibration_.apply(probability)
        return np.column_stack([1.0 - probability, probability])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The likeliest class of each row, shape (n,)."""
        place = self.predict_proba(X).argmax(axis=1)
        labels: npt.NDArray[Any] = self.classes_[place]
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
        state = super().get_state()
        state.values |= {
            "classes": self.classes_.tolist(),
            "calibration": [self.calibration_.slope, self.calibration_.intercept],
        }
        return state

    def set_state(self, state: State) -> Self:
        """Become what `get_state` described; nothing in `state` is executed."""
        self.classes_ = np.asarray(state.values["classes"])
        self.calibration_ = Calibration(*state.values["calibration"])
        return super().set_state(state)

    def __sklearn_tags__(self) -> Tags:
        """Two classes, unless the class says that it can do with more."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = self._multi_class
        return tags

    # What a method defines -------------------------------------------------------------------

    def _fit(self, data: TrainingData) -> None:
        raise NotImplementedError

    def _probability(self, encoded: Encoded) -> FloatArray:
        """Probability of the event before calibration, shape (n,); else (n, K)."""
        raise NotImplementedError

    # Reading ---------------------------------------------------------------------------------

    def _read(self, X: Any, y: Any, domain: Any) -> TrainingData:
        rows = self._read_rows(X)
        labels = self._read_labels(y, len(rows))
        is_target = self._read_domain(domain, labels)
        return TrainingData(self._fit_encoder(rows)[0], labels, is_target)

    def _read_labels(self, y: Any, n_rows: int | None = None) -> npt.NDArray[np.int8]:
        at_most = None if self._multi_class else 2
        labels, self.classes_ = read_labels(y, at_most=at_most, n_rows=n_rows)
        if len(self.classes_) == 2 and self.classes_.dtype.kind not in "biuf":
            other, event = self.classes_
            self.notes_.append(
                f"label {str(event)!r} is the event, as it sorts after {str(other)!r}; give 1 for "
                "the event and 0 for the other to have it your way"
            )
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
        rate = self._target_rate(data) if len(self.classes_) == 2 else None
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
