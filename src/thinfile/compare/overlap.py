"""How far two populations overlap: what a held-out classifier tells, and by which columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from sklearn.model_selection import StratifiedKFold

from thinfile.compare.selection import mean_auc_influence
from thinfile.data.encode import Encoded, TableEncoder
from thinfile.density import density_ratio
from thinfile.metrics.inputs import Floats
from thinfile.metrics.ranking import roc_auc
from thinfile.trees import TreeSettings, fit_trees, predict_trees, tree_matrix

N_FOLDS = 3
N_LEADING = 3
"""How many leading columns are taken away to see whether the rest still tells."""

TREES = TreeSettings(n_trees=80, n_leaves=15, learning_rate=0.1)
"""Fewer and faster trees than a model would get: the question is coarse."""

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Overlap:
    """How well the populations are told apart.

    Attributes
    ----------
    auc, low, high : float
        Held-out AUC of a boosted classifier of the populations with its 95 % interval; 0.5 is
        not at all.
    linear_auc : float
        The same by a penalised linear classifier.
    effective_rows, effective_share : float
        Kish's effective sample size of the source under the density ratio, and its share.
    leading : tuple of str
        The columns that tell most.
    auc_without_leading : float or None
        The boosted AUC when those are taken away; None where nothing is left.
    mmd_p_value : float or None
        Of a permutation test of the maximum mean discrepancy, if it was asked for.
    """

    auc: float
    low: float
    high: float
    linear_auc: float
    effective_rows: float
    effective_share: float
    leading: tuple[str, ...]
    auc_without_leading: float | None
    mmd_p_value: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {**asdict(self), "leading": list(self.leading)}


@dataclass(frozen=True)
class Told:
    """A boosted classifier's held-out answer.

    Attributes
    ----------
    is_target_probability : (rows,)
        With both populations counted as equally large.
    gain : (columns,)
        Share of the gain by column of the matrix.
    """

    is_target_probability: Floats
    gain: Floats


def tell_apart(
    x: Matrix, is_target: npt.NDArray[np.bool_], *, categories: range, seed: int
) -> Told:
    """Cross-fit a boosted classifier of the populations.

    Parameters
    ----------
    x : (rows, columns)
    is_target : (rows,)
        At least three rows of each.
    categories
        Positions of the columns that hold codes.
    seed
        Makes it repeatable.
    """
    target = is_target.astype(np.int8)
    weight = np.where(is_target, 1 / target.sum(), 1 / (len(target) - target.sum()))
    probability = np.empty(len(x))
    gain = np.zeros(x.shape[1])
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    for train, held_out in folds.split(x, target):
        booster = fit_trees(
            x[train],
            target[train],
            categories=categories,
            seed=seed,
            weight=weight[train],
            settings=TREES,
        )
        probability[held_out] = predict_trees(booster, x[held_out])
        gain += booster.feature_importance("gain")
    return Told(probability, gain / max(gain.sum(), 1e-12))


def auc_with_interval(y: npt.ArrayLike, score: npt.ArrayLike) -> tuple[float, float, float]:
    """AUC with a 95 % interval (DeLong on the logit, so that it stays inside 0 to 1).

    Examples
    --------
    >>> auc_with_interval([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    (1.0, 1.0, 1.0)
    """
    auc, pull = mean_auc_influence(y, score)
    if not 0 < auc < 1:
        return auc, auc, auc
    error = float(np.sqrt(np.sum(pull**2))) / (auc * (1 - auc))
    low, high = expit(logit(auc) + np.array([-1.96, 1.96]) * error)
    return auc, float(low), float(high)


def column_places(encoder: TableEncoder, features: Sequence[str]) -> dict[str, list[int]]:
    """Where each feature's parts lie in the matrix of numbers and codes."""
    names = [*encoder.number_names_, *encoder.code_names_]
    parts = ("", " (missing)", " (days)", " (month)", " (weekday)")
    return {
        feature: [i for i, name in enumerate(names) if name in {feature + p for p in parts}]
        for feature in features
    }


def measure_overlap(
    encoded: Encoded,
    wide: Matrix,
    is_target: npt.NDArray[np.bool_],
    places: dict[str, list[int]],
    *,
    seed: int,
) -> tuple[Overlap, Told]:
    """Measure the overlap of two populations.

    Parameters
    ----------
    encoded
        Both populations' rows, numbers as they are.
    wide : (rows, columns)
        The same rows on a common scale of about 1, for the linear classifier.
    is_target : (rows,)
    places
        Feature → positions in the matrix of numbers and codes.
    seed
        Makes it repeatable.

    Returns
    -------
    Overlap
    Told
        The boosted classifier's held-out probabilities and the columns' gains.
    """
    x = tree_matrix(encoded)
    told = tell_apart(x, is_target, categories=_codes(encoded), seed=seed)
    auc, low, high = auc_with_interval(is_target.astype(np.int8), told.is_target_probability)
    ratio = density_ratio(wide[~is_target], wide[is_target], random_state=seed)
    gain = {name: float(told.gain[at].sum()) for name, at in places.items()}
    leading = tuple(n for n in sorted(gain, key=lambda n: -gain[n])[:N_LEADING] if gain[n] > 0)
    without = _without(encoded, [i for n in leading for i in places[n]], is_target, seed)
    found = Overlap(
        auc=auc,
        low=low,
        high=high,
        linear_auc=ratio.auc,
        effective_rows=ratio.effective_rows,
        effective_share=ratio.effective_rows / int((~is_target).sum()),
        leading=leading,
        auc_without_leading=without,
    )
    return found, told


def _codes(encoded: Encoded) -> range:
    n_numbers = encoded.numbers.shape[1]
    return range(n_numbers, n_numbers + encoded.codes.shape[1])


def _without(
    encoded: Encoded, places: list[int], is_target: npt.NDArray[np.bool_], seed: int
) -> float | None:
    n_numbers = encoded.numbers.shape[1]
    numbers = [i for i in range(n_numbers) if i not in places]
    codes = [i for i in range(encoded.codes.shape[1]) if i + n_numbers not in places]
    if not numbers and not codes:
        return None
    rest = Encoded(encoded.numbers[:, numbers], encoded.codes[:, codes])
    told = tell_apart(tree_matrix(rest), is_target, categories=_codes(rest), seed=seed)
    return roc_auc(is_target.astype(np.int8), told.is_target_probability)
