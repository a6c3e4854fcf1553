"""Boosted trees: on the source, on the target's labels, pooled; aligned or weighted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from thinfile import params
from thinfile.baselines.rows import ROWS, TARGET_WEIGHT, TREE_RULES, training_rows
from thinfile.data.encode import Encoded, TableEncoder
from thinfile.density import density_ratio
from thinfile.estimator import Estimator, FloatArray, State, TrainingData, target_row_weight
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


class BoostedTreesClassifier(Estimator):
    """Boosted trees (LightGBM) on the source, on the target's labels, or pooled.

    Use it first: with some hundred target labels the pooled form is hard to beat. Do not use
    `rows="source"` where the relation between columns and outcome differs between populations,
    nor `importance=True` where `effective_rows_` is a small part of the source.

    Parameters
    ----------
    rows : {"pooled", "source", "target"}
        The labelled rows to train on. Pooled adds a column that tells the populations apart.
    align : {None, "scale", "coral"}
        "scale": each number is centred and scaled within its own population. "coral": the
        source's numbers get the target's covariance (Sun, Feng, Saenko, AAAI 2016).
    importance : bool
        Weight source rows by the density ratio of a domain classifier.
    target_weight : "auto" or float ≥ 0
        How many source rows a labelled target row counts for, when pooled. More than 1 was
        measured to cost AUC on three of five real transfers and to help on one.
    n_trees, n_leaves, learning_rate, min_leaf_rows
        As in :class:`thinfile.trees.TreeSettings`.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.

    Attributes
    ----------
    booster_ : lightgbm.Booster
    effective_rows_ : float
        Effective sample size of the source under the importance weights, where they are used.

    References
    ----------
    Ke et al.: LightGBM: a highly efficient gradient boosting decision tree, NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> model = BoostedTreesClassifier(n_trees=5, random_state=0).fit(X, (X[:, 0] > 0) * 1)
    >>> model.predict_proba(X).shape
    (200, 2)
    """

    _rules: ClassVar[Mapping[str, Rule]] = TREE_RULES | {
        "rows": ROWS,
        "align": params.one_of(None, "scale", "coral"),
        "importance": params.boolean(),
        "target_weight": TARGET_WEIGHT,
    }

    def __init__(
        self,
        *,
        rows: str = "pooled",
        align: str | None = None,
        importance: bool = False,
        target_weight: float | str = 1.0,
        n_trees: int = 150,
        n_leaves: int = 15,
        learning_rate: float = 0.05,
        min_leaf_rows: int = 20,
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        random_state: Any = None,
    ) -> None:
        self.rows = rows
        self.align = align
        self.importance = importance
        self.target_weight = target_weight
        self.n_trees = n_trees
        self.n_leaves = n_leaves
        self.learning_rate = learning_rate
        self.min_leaf_rows = min_leaf_rows
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.random_state = random_state

    def _make_encoder(self) -> TableEncoder:
        # Trees take numbers as they are; covariances and the domain classifier need a scale.
        scaled = self.importance or self.align == "coral"
        return TableEncoder(self.schema_, scaling="quantile" if scaled else "none")

    def _fit(self, data: TrainingData) -> None:
        rows = training_rows(type(self).__name__, data, self.rows)
        self._has_domain = self.rows == "pooled" and 0 < data.is_target[rows].sum() < len(rows)
        self.location_, self.scale_ = _population_scale(data.encoded.numbers, data.is_target)
        weight = target_row_weight(data, self.target_weight)
        if self.importance:
            weight[data.source] = self._importance(data)
        numbers = self._aligned(data)
        encoded = Encoded(numbers, data.encoded.codes)
        settings = TreeSettings(self.n_trees, self.n_leaves, self.learning_rate, self.min_leaf_rows)
        self.booster_ = fit_trees(
            self._matrix(encoded, data.is_target)[rows],
            data.y[rows],
            categories=range(numbers.shape[1], numbers.shape[1] + encoded.codes.shape[1]),
            seed=seed_from(self.random_state),
            weight=weight[rows],
            settings=settings,
        )

    def _importance(self, data: TrainingData) -> FloatArray:
        if not len(data.target) or not len(data.source):
            self.notes_.append("no source or no target rows: nothing to weight")
            return np.ones(len(data.source))
        wide = self.encoder_.one_hot(data.encoded)
        ratio = density_ratio(wide[data.source], wide[data.target])
        self.effective_rows_ = ratio.effective_rows
        self.notes_.append(
            f"importance weights: {ratio.effective_rows:.0f} effective rows of "
            f"{len(data.source)}; a domain classifier reaches AUC {ratio.auc:.3f}"
        )
        return ratio.weight

    def _aligned(self, data: TrainingData) -> npt.NDArray[np.float32]:
        numbers = data.encoded.numbers
        is_source = ~data.is_target
        if self.align is None or not data.is_target.any() or not is_source.any():
            return numbers
        aligned = numbers.copy()
        if self.align == "coral":
            aligned[is_source] = coral_align(numbers[is_source], numbers[data.is_target])
        else:
            location, scale = _population_scale(numbers, is_source)
            aligned[is_source] = (numbers[is_source] - location) / scale
            aligned[data.is_target] = (numbers[data.is_target] - self.location_) / self.scale_
        return aligned

    def _matrix(
        self, encoded: Encoded, is_target: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float32]:
        if not self._has_domain:
            return tree_matrix(encoded)
        domain = np.ones(len(encoded.numbers)) if is_target is None else is_target
        return tree_matrix(encoded, domain)

    def _probability(self, encoded: Encoded) -> FloatArray:
        if self.align == "scale":
            scaled = ((encoded.numbers - self.location_) / self.scale_).astype(np.float32)
            encoded = Encoded(scaled, encoded.codes)
        return predict_trees(self.booster_, self._matrix(encoded))

    def _state(self) -> State:
        return State(
            values={"has_domain": bool(self._has_domain)},
            arrays={"location": self.location_, "scale": self.scale_},
            files={"trees.txt": trees_to_text(self.booster_)},
        )

    def _load(self, state: State) -> None:
        self._has_domain = state.values["has_domain"]
        self.location_, self.scale_ = state.arrays["location"], state.arrays["scale"]
        self.booster_ = trees_from_text(state.files["trees.txt"])


def coral_align(
    source: npt.NDArray[np.float32], target: npt.NDArray[np.float32], ridge: float = 1.0
) -> npt.NDArray[np.float32]:
    """Give the source's columns the target's mean and covariance (CORAL), shape of `source`.

    `ridge` is added to both diagonals, as in the paper.
    """
    if not source.shape[1]:
        return source
    eye = ridge * np.eye(source.shape[1])
    whiten = _symmetric_power(np.atleast_2d(np.cov(source, rowvar=False)) + eye, -0.5)
    colour = _symmetric_power(np.atleast_2d(np.cov(target, rowvar=False)) + eye, 0.5)
    aligned = (source - source.mean(0)) @ (whiten @ colour) + target.mean(0)
    return np.asarray(aligned, dtype=np.float32)


def _symmetric_power(matrix: FloatArray, power: float) -> FloatArray:
    """Power of a positive matrix; scipy's draws from numpy's global generator."""
    values, vectors = np.linalg.eigh(matrix)
    result: FloatArray = (vectors * values**power) @ vectors.T
    return result


def _population_scale(
    numbers: npt.NDArray[np.float32], rows: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and spread of each column over `rows`; 0 and 1 where there is nothing to tell."""
    width = numbers.shape[1]
    location, scale = np.zeros(width, np.float32), np.ones(width, np.float32)
    part = numbers[rows].astype(np.float64)  # squares of large values overflow in float32
    known = np.isfinite(part).sum(0) > 1
    if known.any():
        location[known] = np.nanmean(part[:, known], axis=0)
        spread = np.nanstd(part[:, known], axis=0)
        scale[known] = np.where(spread > 0, spread, 1.0)
    return location, scale
