"""The source's score refitted on the target's labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from thinfile.baselines.logistic import linear_probability
from thinfile.baselines.rows import TREE_RULES, training_rows
from thinfile.data.encode import Encoded, TableEncoder
from thinfile.estimator import Estimator, FloatArray, State, TrainingData
from thinfile.params import Rule
from thinfile.random_state import seed_from
from thinfile.trees import (
    TreeSettings,
    fit_trees,
    predict_trees,
    tree_matrix,
    trees_from_text,
    trees_to_text,
)

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
SCORE_SCALE = 10.0
"""Makes the penalty on the source's score negligible beside that on the columns."""


class ScoreRefitClassifier(Estimator):
    """The source's score refitted on the target's labels: score first, then small corrections.

    A logistic regression on the target's labels takes the log-odds of boosted trees trained on
    the source, all but unpenalised, and every column under a penalty chosen by cross-validation.
    Use it where a good source score exists and target labels are a few hundred. Do not use it
    below some twenty target events: the corrections are noise there.

    Parameters
    ----------
    n_trees, n_leaves, learning_rate, min_leaf_rows
        Of the source's trees, as in :class:`thinfile.trees.TreeSettings`.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.

    Attributes
    ----------
    booster_ : lightgbm.Booster
        The source's score.
    coef_ : ndarray of shape (1 + columns,)
        Of the source's log-odds, then of the columns.

    References
    ----------
    Thomas, Edelman, Crook: Credit scoring and its applications, SIAM 2002 (recalibration of a
    generic score).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> domain = np.repeat(["old", "new"], [200, 100])
    >>> model = ScoreRefitClassifier(target_domain="new", random_state=0)
    >>> model.fit(X, (X[:, 0] > 0) * 1, domain=domain).coef_.shape
    (4,)
    """

    _rules: ClassVar[Mapping[str, Rule]] = TREE_RULES

    def __init__(
        self,
        *,
        n_trees: int = 150,
        n_leaves: int = 15,
        learning_rate: float = 0.05,
        min_leaf_rows: int = 20,
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_trees = n_trees
        self.n_leaves = n_leaves
        self.learning_rate = learning_rate
        self.min_leaf_rows = min_leaf_rows
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.random_state = random_state

    def _make_encoder(self) -> TableEncoder:
        return TableEncoder(self.schema_, max_categories=60)

    def _fit(self, data: TrainingData) -> None:
        source = training_rows(type(self).__name__, data, "source")
        target = training_rows(type(self).__name__, data, "target")
        n_numbers, n_codes = data.encoded.numbers.shape[1], data.encoded.codes.shape[1]
        self.booster_ = fit_trees(
            tree_matrix(data.encoded)[source],
            data.y[source],
            categories=range(n_numbers, n_numbers + n_codes),
            seed=seed_from(self.random_state),
            settings=TreeSettings(
                self.n_trees, self.n_leaves, self.learning_rate, self.min_leaf_rows
            ),
        )
        x = self._features(data.encoded.take(target))
        n_folds = int(min(5, np.bincount(data.y[target], minlength=2).min()))
        model = _refit(x, data.y[target], n_folds)
        self.coef_ = model.coef_[0].astype(np.float64)
        self.intercept_ = float(model.intercept_[0])

    def _features(self, encoded: Encoded) -> FloatArray:
        score = predict_trees(self.booster_, tree_matrix(encoded))
        log_odds = logit(np.clip(score, 1e-6, 1 - 1e-6))
        return np.column_stack([SCORE_SCALE * log_odds, self.encoder_.one_hot(encoded)])

    def _probability(self, encoded: Encoded) -> FloatArray:
        return linear_probability(self._features(encoded), self.coef_, self.intercept_)

    def _state(self) -> State:
        return State(
            values={"intercept": self.intercept_},
            arrays={"coef": self.coef_},
            files={"trees.txt": trees_to_text(self.booster_)},
        )

    def _load(self, state: State) -> None:
        self.coef_, self.intercept_ = state.arrays["coef"], state.values["intercept"]
        self.booster_ = trees_from_text(state.files["trees.txt"])


def _refit(x: FloatArray, y: npt.NDArray[Any], n_folds: int) -> Any:
    """Logistic regression with the penalty that does best on held-out folds."""
    if n_folds < 3:
        return LogisticRegression(C=1e-3, max_iter=500).fit(x, y)
    candidates = [LogisticRegression(C=C, max_iter=500) for C in PENALTIES]
    losses = [
        -cross_val_score(model, x, y, cv=n_folds, scoring="neg_log_loss").mean()
        for model in candidates
    ]
    return candidates[int(np.argmin(losses))].fit(x, y)
