"""Logistic regression: on the source, on the target's labels, or pooled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from thinfile import params
from thinfile.baselines.rows import ROWS, TARGET_WEIGHT, training_rows
from thinfile.data.encode import Encoded, TableEncoder
from thinfile.density import density_ratio
from thinfile.estimator import Estimator, FloatArray, State, TrainingData, target_row_weight
from thinfile.params import Rule


class LogisticClassifier(Estimator):
    """Logistic regression on scaled numbers and one-hot categories.

    Use it where labels are few and the score must be explained. Do not use it where columns act
    together; trees see that, this does not.

    Parameters
    ----------
    rows : {"pooled", "source", "target"}
        The labelled rows to train on.
    C : float > 0
        Inverse of the L2 penalty.
    importance : bool
        Weight source rows by the density ratio of a domain classifier.
    target_weight : "auto" or float ≥ 0
        How many source rows a labelled target row counts for, when pooled.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.

    Attributes
    ----------
    coef_ : ndarray of shape (columns,)
    intercept_ : float

    References
    ----------
    Thomas, Edelman, Crook: Credit scoring and its applications, SIAM 2002.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> bool(LogisticClassifier().fit(X, (X[:, 0] > 0) * 1).coef_[0] > 0)
    True
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "rows": ROWS,
        "C": params.real(0, bounds="()"),
        "importance": params.boolean(),
        "target_weight": TARGET_WEIGHT,
    }

    def __init__(
        self,
        *,
        rows: str = "pooled",
        C: float = 0.1,
        importance: bool = False,
        target_weight: float | str = "auto",
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        random_state: Any = None,
    ) -> None:
        self.rows = rows
        self.C = C
        self.importance = importance
        self.target_weight = target_weight
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.random_state = random_state

    def _make_encoder(self) -> TableEncoder:
        return TableEncoder(self.schema_, max_categories=60)

    def _fit(self, data: TrainingData) -> None:
        rows = training_rows(type(self).__name__, data, self.rows)
        wide = self.encoder_.one_hot(data.encoded)
        weight = target_row_weight(data, self.target_weight)
        if self.importance and len(data.target) and len(data.source):
            weight[data.source] = density_ratio(wide[data.source], wide[data.target]).weight
        # The last column tells the populations apart; it is constant where there is one only.
        x = np.column_stack([wide[rows], data.is_target[rows]])
        model = LogisticRegression(C=self.C, max_iter=500)
        model.fit(x, data.y[rows], sample_weight=weight[rows])
        self.coef_ = model.coef_[0, :-1].astype(np.float64)
        is_last_target = float(self.rows == "pooled" and data.is_target[rows].any())
        self.intercept_ = float(model.intercept_[0] + is_last_target * model.coef_[0, -1])

    def _probability(self, encoded: Encoded) -> FloatArray:
        return linear_probability(self.encoder_.one_hot(encoded), self.coef_, self.intercept_)

    def _state(self) -> State:
        return State(values={"intercept": self.intercept_}, arrays={"coef": self.coef_})

    def _load(self, state: State) -> None:
        self.coef_, self.intercept_ = state.arrays["coef"], state.values["intercept"]


def linear_probability(x: npt.NDArray[Any], coef: FloatArray, intercept: float) -> FloatArray:
    """Probability of the event of a linear model, shape (rows,)."""
    return np.asarray(expit(x @ coef + intercept), dtype=np.float64)
