"""The base rate for everybody: what any model must beat."""

from __future__ import annotations

from typing import Any

import numpy as np

from thinfile.baselines.rows import training_rows
from thinfile.data.encode import Encoded
from thinfile.estimator import Estimator, FloatArray, State, TrainingData


class PriorClassifier(Estimator):
    """Give every row the share of events among the labelled rows.

    Use it as the floor of every table of results: its AUC is 0.5, and its Brier score and log
    loss are what a model must beat to be worth anything. Do not use it for anything else.

    Parameters
    ----------
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.

    Attributes
    ----------
    rate_ : float
        Share of events in the labelled rows, in (0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(8.0).reshape(4, 2)
    >>> PriorClassifier().fit(X, [0, 0, 0, 1]).predict_proba(X)[:, 1]
    array([0.25, 0.25, 0.25, 0.25])
    """

    def __init__(
        self,
        *,
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        random_state: Any = None,
    ) -> None:
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        """It learns nothing from the columns, and says so."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags

    def _fit(self, data: TrainingData) -> None:
        rows = training_rows(type(self).__name__, data, "pooled")
        self.rate_ = float(data.y[rows].mean())

    def _probability(self, encoded: Encoded) -> FloatArray:
        return np.full(len(encoded), self.rate_)

    def _state(self) -> State:
        return State(values={"rate": self.rate_})

    def _load(self, state: State) -> None:
        self.rate_ = float(state.values["rate"])
