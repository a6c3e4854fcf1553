"""Boosted trees that take every unlabelled row for genuine: the practice beside few labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from thinfile import params
from thinfile.baselines.rows import TREE_RULES
from thinfile.data.encode import Encoded, TableEncoder
from thinfile.errors import DataError
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

MIN_EVENTS = 2
"""Labelled events that a method for few labels needs at least."""
FEW_LABEL_RULES: dict[str, Rule] = {"max_unlabelled": params.optional(params.integer(0))}


class BoostedRestClassifier(Estimator):
    """Boosted trees (LightGBM) on labelled events against everything else, unlabelled or genuine.

    Where events are rare, few of the unlabelled rows are events, and taking all of them for
    genuine gives a ranking as good as that of the true labels if the labelled events are a random
    sample of all events (Elkan, Noto 2008). Use it as the first thing to try with some dozen
    labelled frauds and hundreds of thousands of rows without a label. Do not use it where the
    event is common, nor where only the obvious events were found: it then learns to pass over the
    others.

    Parameters
    ----------
    max_unlabelled : int ≥ 0, optional
        Unlabelled rows that are used at most, a random sample; None takes all, 0 none.
    unlabelled_weight : float in (0, 1]
        How much an unlabelled row counts beside a labelled one.
    event_weight : "balanced" or float > 0
        How much a labelled event counts beside a labelled row of the other kind. "balanced"
        gives the events half of the total weight.
    n_trees, n_leaves, learning_rate, min_leaf_rows
        As in :class:`thinfile.trees.TreeSettings`.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.

    Attributes
    ----------
    booster_ : lightgbm.Booster

    References
    ----------
    Elkan, Noto: Learning classifiers from only positive and unlabeled data, KDD 2008.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> y = np.where(np.arange(300) < 60, X[:, 0] > 1, -1)
    >>> model = BoostedRestClassifier(n_trees=5, random_state=0).fit(X, y)
    >>> model.predict_proba(X).shape
    (300, 2)
    """

    _rules: ClassVar[Mapping[str, Rule]] = (
        TREE_RULES
        | FEW_LABEL_RULES
        | {
            "unlabelled_weight": params.real(0, 1, bounds="(]"),
            "event_weight": params.either(params.one_of("balanced"), params.real(0, bounds="()")),
        }
    )

    def __init__(
        self,
        *,
        max_unlabelled: int | None = 100_000,
        unlabelled_weight: float = 1.0,
        event_weight: float | str = 1.0,
        n_trees: int = 150,
        n_leaves: int = 15,
        learning_rate: float = 0.05,
        min_leaf_rows: int = 20,
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        random_state: Any = None,
    ) -> None:
        self.max_unlabelled = max_unlabelled
        self.unlabelled_weight = unlabelled_weight
        self.event_weight = event_weight
        self.n_trees = n_trees
        self.n_leaves = n_leaves
        self.learning_rate = learning_rate
        self.min_leaf_rows = min_leaf_rows
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.random_state = random_state

    def _make_encoder(self) -> TableEncoder:
        return TableEncoder(self.schema_, scaling="none")

    def _fit(self, data: TrainingData) -> None:
        check_few_labels(type(self).__name__, data)
        seed = seed_from(self.random_state)
        rng = np.random.default_rng(seed)
        rest = sample_rows(np.flatnonzero(data.y == -1), self.max_unlabelled, rng)
        rows = np.sort(np.concatenate([np.flatnonzero(data.is_labelled), rest]))
        n_numbers, n_codes = data.encoded.numbers.shape[1], data.encoded.codes.shape[1]
        self.booster_ = fit_trees(
            tree_matrix(data.encoded.take(rows)),
            (data.y[rows] == 1).astype(np.int8),
            categories=range(n_numbers, n_numbers + n_codes),
            seed=seed,
            weight=self._weight(data.y[rows]),
            settings=TreeSettings(
                self.n_trees, self.n_leaves, self.learning_rate, self.min_leaf_rows
            ),
        )

    def _weight(self, y: npt.NDArray[np.int8]) -> FloatArray:
        weight = np.where(y == -1, float(self.unlabelled_weight), 1.0)
        if self.event_weight == "balanced":
            weight[y == 1] = weight[y != 1].sum() / (y == 1).sum()
        else:
            weight[y == 1] = float(self.event_weight)
        return weight

    def _probability(self, encoded: Encoded) -> FloatArray:
        return predict_trees(self.booster_, tree_matrix(encoded))

    def _state(self) -> State:
        return State(files={"trees.txt": trees_to_text(self.booster_)})

    def _load(self, state: State) -> None:
        self.booster_ = trees_from_text(state.files["trees.txt"])


def check_few_labels(owner: str, data: TrainingData) -> None:
    """Refuse a table in which fewer than two events are labelled.

    Raises
    ------
    DataError
    """
    n_events, n_labelled = int((data.y == 1).sum()), int(data.is_labelled.sum())
    if n_events < MIN_EVENTS:
        raise DataError(
            f"{owner}: y holds {n_events} labelled event{'s' * (n_events != 1)} (1) in "
            f"{n_labelled} labelled rows, at least {MIN_EVENTS} are needed"
        )


def sample_rows(
    rows: npt.NDArray[np.intp], most: int | None, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """At most `most` of the rows, drawn without replacement, in their order."""
    if most is None or len(rows) <= most:
        return rows
    return np.sort(rng.choice(rows, most, replace=False))
