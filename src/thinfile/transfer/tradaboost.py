"""TrAdaBoost: boosting that trusts a source row less each time it disagrees with the target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from thinfile import params
from thinfile.data.encode import Encoded, TableEncoder
from thinfile.errors import DataError
from thinfile.estimator import (
    BoolArray,
    Estimator,
    FloatArray,
    State,
    TrainingData,
    target_row_weight,
)
from thinfile.params import Rule
from thinfile.random_state import seed_from
from thinfile.schema.model import Schema
from thinfile.trees import (
    TreeSettings,
    fit_trees,
    predict_trees,
    tree_matrix,
    trees_from_text,
    trees_to_text,
)

SMALLEST_ERROR = 0.01
"""A smaller error on the few target labels says that they were learnt by heart."""


@dataclass(frozen=True)
class Reweighting:
    """How the weights of all rows change after a round.

    Parameters
    ----------
    beta : float
        Factor of a source row that the round got wholly wrong; fixed for the whole run.
    dynamic : bool
        Multiply the source by 2·(1 - error), which keeps its share of the weight.
    rate : float
        Power that every factor is raised to: 1 is the papers' rule, less is gentler.
    """

    beta: float
    dynamic: bool
    rate: float = 1.0

    def __call__(
        self, weight: FloatArray, miss: FloatArray, is_target: BoolArray, error: float
    ) -> FloatArray:
        """Weights for the next round, with a sum of 1.

        Parameters
        ----------
        weight, miss : ndarray of shape (n,)
            Present weights, and \\|prediction - label\\| of each row.
        is_target : ndarray of shape (n,)
        error : float
            Weighted mean of `miss` over the target, below ½.
        """
        target_factor = (error / (1 - error)) ** -miss
        source_factor = self.beta**miss * (2 * (1 - error) if self.dynamic else 1.0)
        factor = np.where(is_target, target_factor, source_factor)
        new: FloatArray = weight * factor**self.rate
        new /= new.sum()
        return new


class TrAdaBoostClassifier(Estimator):
    """Boosted trees in rounds: misjudged target rows gain weight, misjudged source rows lose it.

    Use it where source and target differ in how the event depends on the columns, and there are
    at least some dozens of target labels. Do not use it without target labels (it refuses), nor
    where the source is right about the target anyway: pooled boosting is simpler then and as
    good.

    The paper's rule loses the whole source after some rounds, because its rows can only lose
    weight relative to the target's. `correction="dynamic"` repairs this (Al-Stouhi and Reddy).
    `history_` shows the weight that is left.

    Parameters
    ----------
    n_rounds : int, default 5
        Rounds of reweighting; the later half of them votes.
    reweighting_rate : float, default 0.1
        How much of the papers' reweighting is done in a round, above 0, at most 1 (all of it).
        Where outcomes are hard to foresee, as in credit, the full rule chases the rows that
        cannot be foreseen: on a transfer of small-business loans it costs 0.05 AUC and more.
    n_trees : int, default 100
        Trees in each round's model.
    n_leaves : int, default 8
        Leaves of a tree, at least 2.
    learning_rate : float, default 0.05
        Shrinkage of each tree.
    min_leaf_rows : int, default 20
        Rows that a leaf must hold.
    correction : {"dynamic", None}, default "dynamic"
        How source rows are kept from vanishing; None is the rule of Dai et al.
    target_weight : "auto" or float, default "auto"
        Weight at the start of a labelled target row beside a source row's 1. "auto" lets all of
        them count as much as √(n_source · n_target) rows.
    schema : Schema, optional
        Role of each column; inferred by default.
    target_domain : optional
        The population to be scored, where `fit` gets several.
    target_rate : "auto", float or None, default "auto"
        Share of events that the scores of the target are shifted to.
    random_state : int, RandomState or None
        Makes a fit repeatable.

    Attributes
    ----------
    boosters_ : list of lightgbm.Booster
        The models that vote.
    votes_ : ndarray of shape (n_boosters,)
        Weight of each in the mean, with a sum of 1.
    history_ : list of dict
        For each round: error on the target, share of the weight that the source has left, and
        how many source rows this weight is worth (Kish).

    References
    ----------
    Dai, Yang, Xue, Yu: Boosting for transfer learning, ICML 2007. Al-Stouhi, Reddy: Adaptive
    boosting for transfer learning using dynamic updates, ECML PKDD 2011.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(600, 3))
    >>> domain = np.repeat(["old", "new"], [500, 100])
    >>> y = (X[:, 0] + np.where(domain == "new", X[:, 1], -X[:, 1]) > 0).astype(int)
    >>> model = TrAdaBoostClassifier(target_domain="new", reweighting_rate=1.0, random_state=0)
    >>> model.fit(X, y, domain=domain).predict([[0.0, 2.0, 0.0], [0.0, -2.0, 0.0]]).tolist()
    [1, 0]
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "n_rounds": params.integer(1),
        "reweighting_rate": params.real(0, 1, bounds="(]"),
        "n_trees": params.integer(1),
        "n_leaves": params.integer(2),
        "learning_rate": params.real(0, bounds="()"),
        "min_leaf_rows": params.integer(1),
        "correction": params.one_of("dynamic", None),
        "target_weight": params.either(params.one_of("auto"), params.real(0)),
    }

    def __init__(
        self,
        *,
        n_rounds: int = 5,
        reweighting_rate: float = 0.1,
        n_trees: int = 100,
        n_leaves: int = 8,
        learning_rate: float = 0.05,
        min_leaf_rows: int = 20,
        correction: str | None = "dynamic",
        target_weight: float | str = "auto",
        schema: Schema | None = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_rounds = n_rounds
        self.reweighting_rate = reweighting_rate
        self.n_trees = n_trees
        self.n_leaves = n_leaves
        self.learning_rate = learning_rate
        self.min_leaf_rows = min_leaf_rows
        self.correction = correction
        self.target_weight = target_weight
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.random_state = random_state

    def _make_encoder(self) -> TableEncoder:
        return TableEncoder(self.schema_, scaling="none")

    def _fit(self, data: TrainingData) -> None:
        if len(data.target) and not len(data.target_labelled):
            raise DataError(
                f"TrAdaBoostClassifier: none of the {len(data.target)} target rows is labelled; "
                "it needs target labels to tell which source rows are wrong"
            )
        rows = np.flatnonzero(data.is_labelled)
        x = tree_matrix(data.encoded.take(rows))
        y, is_target = data.y[rows].astype(np.float64), data.is_target[rows]
        weight = target_row_weight(data, self.target_weight)[rows]
        n_rounds = self.n_rounds
        if not is_target.any():
            self.notes_.append("no target rows: nothing to adapt")
            n_rounds, is_target = 1, np.ones_like(is_target)
        fitted, errors = self._boost(x, y, is_target, weight / weight.sum(), n_rounds)
        self._choose_voters(fitted, errors)

    def _boost(
        self,
        x: npt.NDArray[np.float32],
        y: FloatArray,
        is_target: BoolArray,
        weight: FloatArray,
        n_rounds: int,
    ) -> tuple[list[lgb.Booster], list[float]]:
        """The model of each round and its error on the target's labels."""
        n_source = int((~is_target).sum())
        beta = 1 / (1 + math.sqrt(2 * math.log(max(n_source, 1)) / n_rounds))
        reweight = Reweighting(beta, self.correction == "dynamic", self.reweighting_rate)
        seed = seed_from(self.random_state)
        fitted: list[lgb.Booster] = []
        errors: list[float] = []
        for number in range(n_rounds):
            booster = self._fit_round(x, y, weight, (seed + number) % (2**31 - 1))
            miss = np.abs(predict_trees(booster, x) - y)
            error = float(weight[is_target] @ miss[is_target] / weight[is_target].sum())
            self._record(number, error, weight[~is_target])
            if error >= 0.5 and fitted:
                self.notes_.append(
                    f"round {number + 1} was wrong on {error:.0%} of the target's weight: stopped"
                )
                break
            fitted.append(booster)
            errors.append(min(max(error, SMALLEST_ERROR), 0.5 - SMALLEST_ERROR))
            weight = reweight(weight, miss, is_target, errors[-1])
        return fitted, errors

    def _fit_round(
        self, x: npt.NDArray[np.float32], y: FloatArray, weight: FloatArray, seed: int
    ) -> lgb.Booster:
        settings = TreeSettings(self.n_trees, self.n_leaves, self.learning_rate, self.min_leaf_rows)
        # Rows without weight would still count as rows of a leaf.
        kept = weight > weight.max() * 1e-9
        first_code = len(self.encoder_.number_names_)
        return fit_trees(
            x[kept],
            y[kept],
            categories=range(first_code, x.shape[1]),
            seed=seed,
            weight=weight[kept],
            settings=settings,
        )

    def _record(self, number: int, error: float, source_weight: FloatArray) -> None:
        total, squares = float(source_weight.sum()), float((source_weight**2).sum())
        self.history_.append(
            {
                "round": number + 1,
                "target_error": error,
                "source_share": total,
                "effective_source_rows": total**2 / squares if squares else 0.0,
            }
        )

    def _choose_voters(self, fitted: list[lgb.Booster], errors: list[float]) -> None:
        """Rounds ⌈N/2⌉ to N vote, each with log(1/β): a mean above ½ is the paper's decision."""
        first = (len(fitted) + 1) // 2 - 1
        strength = np.array([math.log((1 - error) / error) for error in errors[first:]])
        self.boosters_ = fitted[first:]
        self.votes_: FloatArray = strength / strength.sum()

    def _probability(self, encoded: Encoded) -> FloatArray:
        x = tree_matrix(encoded)
        said = np.stack([predict_trees(booster, x) for booster in self.boosters_])
        mean: FloatArray = self.votes_ @ said
        return mean

    def _state(self) -> State:
        return State(
            values={"votes": self.votes_.tolist()},
            files={
                f"trees_{number:03d}.txt": trees_to_text(booster)
                for number, booster in enumerate(self.boosters_)
            },
        )

    def _load(self, state: State) -> None:
        self.votes_ = np.asarray(state.values["votes"], dtype=np.float64)
        names = [f"trees_{number:03d}.txt" for number in range(len(self.votes_))]
        self.boosters_ = [trees_from_text(state.files[name]) for name in names]
