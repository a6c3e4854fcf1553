"""Boosted trees on the columns, an autoencoder's codes and several detectors' scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from thinfile import params
from thinfile.anomaly.outlier_score import DETECTORS, OutlierScore, plain_encoder
from thinfile.anomaly.rows import few_labels
from thinfile.baselines.boosted_rest import FEW_LABEL_RULES
from thinfile.baselines.rows import TREE_RULES
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

WITH_CODES = ("autoencoder", "vae")


class BoostedCodesClassifier(Estimator):
    """Boosted trees (LightGBM) on the labels, with what detectors saw in all rows as columns.

    Detectors are fitted on the rows without a label (and on those known to be no events where the
    former are fewer than 1,000). Their scores, and the codes of those that have them, stand beside
    the columns, and boosted trees learn from the labelled rows. Use it
    where unlabelled rows are many and labelled events some dozen. Do not expect a score to help
    that finds nothing alone: compare with boosted trees on the columns.

    Parameters
    ----------
    detectors : sequence of {"isolation_forest", "ecod", "autoencoder", "vae"}
        Whose scores, and codes, become columns.
    codes : bool
        Whether codes become columns, or only scores.
    settings : dict, optional
        Arguments of the detectors: a dict by name for each detector's name.
    max_unlabelled : int ≥ 0, optional
        Unlabelled rows that the detectors are fitted on at most, a random sample; None takes
        all.
    n_trees, n_leaves, learning_rate, min_leaf_rows
        As in :class:`thinfile.trees.TreeSettings`.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.

    Attributes
    ----------
    booster_ : lightgbm.Booster
    feature_names_ : list of str
        Of the booster's columns.

    References
    ----------
    Zhao, Hryniewicki: XGBOD: improving supervised outlier detection with unsupervised
    representation learning, IJCNN 2018.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> y = np.where(np.arange(300) < 60, X[:, 0] > 1, -1)
    >>> model = BoostedCodesClassifier(detectors=("ecod",), n_trees=5, random_state=0).fit(X, y)
    >>> model.feature_names_[-1]
    'score of ecod'
    """

    _rules: ClassVar[Mapping[str, Rule]] = (
        TREE_RULES
        | FEW_LABEL_RULES
        | {
            "detectors": params.sequence_of(params.one_of(*DETECTORS), min_length=1),
            "codes": params.boolean(),
            "settings": params.optional(params.instance(dict)),
        }
    )

    def __init__(
        self,
        *,
        detectors: Sequence[str] = ("autoencoder", "isolation_forest", "ecod"),
        codes: bool = True,
        settings: dict[str, dict[str, Any]] | None = None,
        max_unlabelled: int | None = 20_000,
        n_trees: int = 150,
        n_leaves: int = 15,
        learning_rate: float = 0.05,
        min_leaf_rows: int = 20,
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        random_state: Any = None,
    ) -> None:
        self.detectors = detectors
        self.codes = codes
        self.settings = settings
        self.max_unlabelled = max_unlabelled
        self.n_trees = n_trees
        self.n_leaves = n_leaves
        self.learning_rate = learning_rate
        self.min_leaf_rows = min_leaf_rows
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.random_state = random_state

    def _make_encoder(self) -> TableEncoder:
        return plain_encoder(self.schema_)

    def _fit(self, data: TrainingData) -> None:
        seed = seed_from(self.random_state)
        kinds = few_labels(
            type(self).__name__, data, self.max_unlabelled, np.random.default_rng(seed)
        )
        # Not the labelled rows: trees would learn from scores of rows that a detector has seen,
        # and apply that to rows that it has not.
        rows = data.encoded.take(kinds.usual)
        cardinalities = tuple(self.encoder_.cardinalities_)
        self._outliers = [outlier.fit(rows, cardinalities, seed) for outlier in self._unfitted()]
        labelled = data.encoded.take(np.flatnonzero(data.is_labelled))
        extra = self._extra(labelled)
        self.feature_names_ = self._names(extra)
        n_numbers, n_codes = labelled.numbers.shape[1], labelled.codes.shape[1]
        self.booster_ = fit_trees(
            tree_matrix(labelled, *extra.values()),
            data.y[data.is_labelled],
            categories=range(n_numbers, n_numbers + n_codes),
            seed=seed,
            settings=TreeSettings(
                self.n_trees, self.n_leaves, self.learning_rate, self.min_leaf_rows
            ),
        )

    def _unfitted(self) -> list[OutlierScore]:
        settings = self.settings or {}
        return [OutlierScore(name, settings.get(name)) for name in self.detectors]

    def _extra(self, rows: Encoded) -> dict[str, npt.NDArray[Any]]:
        """Codes and scores by name, each (rows,) or (rows, latent)."""
        extra: dict[str, npt.NDArray[Any]] = {}
        for outlier in self._outliers:
            if self.codes and outlier.name in WITH_CODES:
                extra[f"code of {outlier.name}"] = outlier.codes(rows)
            extra[f"score of {outlier.name}"] = outlier.score(rows)
        return extra

    def _names(self, extra: Mapping[str, npt.NDArray[Any]]) -> list[str]:
        names = [*self.encoder_.number_names_, *self.encoder_.code_names_]
        for name, values in extra.items():
            width = values.shape[1] if values.ndim == 2 else 0
            names += [f"{name} {i + 1}" for i in range(width)] or [name]
        return names

    def _probability(self, encoded: Encoded) -> FloatArray:
        return predict_trees(self.booster_, tree_matrix(encoded, *self._extra(encoded).values()))

    def _state(self) -> State:
        state = State(
            values={"feature_names": self.feature_names_},
            files={"trees.txt": trees_to_text(self.booster_)},
        )
        for outlier in self._outliers:
            part = outlier.state(outlier.name)
            state.values |= part.values
            state.arrays |= part.arrays
            state.files |= part.files
        return state

    def _load(self, state: State) -> None:
        self._outliers = [outlier.load(state, outlier.name) for outlier in self._unfitted()]
        self.feature_names_ = list(state.values["feature_names"])
        self.booster_ = trees_from_text(state.files["trees.txt"])
