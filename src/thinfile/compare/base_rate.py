"""The target's base rate: observed where there are labels, else estimated twice from scores."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold

from thinfile.metrics.calibration import wilson_interval
from thinfile.metrics.inputs import Floats
from thinfile.metrics.prior_shift import PriorShift, estimate_prior_shift
from thinfile.trees import TreeSettings, fit_trees, predict_trees

N_FOLDS = 3
MIN_EVENTS = 10
"""Source rows of each class below which no source model is fitted for the diagnosis."""

N_DRAWS = 50
TREES = TreeSettings(n_trees=80, n_leaves=15, learning_rate=0.08)


@dataclass(frozen=True)
class BaseRate:
    """What is known of the target's base rate.

    Attributes
    ----------
    source_rate : float
    estimated : PriorShift or None
        The two estimates from scores; None where the source has too few events for a model.
    observed, observed_low, observed_high : float or None
        Rate among the labelled target rows with its Wilson interval; None without labels.
    n_labels : int
    """

    source_rate: float
    estimated: PriorShift | None
    observed: float | None
    observed_low: float | None
    observed_high: float | None
    n_labels: int

    @property
    def verdict(self) -> str:
        """Do the two estimates agree? "agree", "disagree", "contradicted" by labels, or "none"."""
        if self.estimated is None:
            return "none"
        estimate = self.estimated.estimate
        if estimate is None:
            return "disagree"
        low, high = self.observed_low, self.observed_high
        if low is not None and high is not None and not low <= estimate <= high:
            return "contradicted"
        return "agree"

    @property
    def rate(self) -> float | None:
        """The rate to believe: observed, else estimated with agreement, else None."""
        if self.observed is not None:
            return self.observed
        return self.estimated.estimate if self.estimated else None

    def differs(self, ratio: float) -> bool:
        """Is the target's rate, beyond chance, at least `ratio` times higher or lower?"""
        if self.rate is None or self.source_rate <= 0:
            return False
        low, high = self.observed_low, self.observed_high
        if low is not None and high is not None and low <= self.source_rate <= high:
            return False
        apart = max(self.rate, 1e-9) / self.source_rate
        return not 1 / ratio < apart < ratio

    @property
    def sentence(self) -> str:
        """The same in words."""
        parts = [f"the source's event rate is {self.source_rate:.1%}"]
        if self.observed is not None:
            parts.append(
                f"{self.n_labels} target labels show {self.observed:.1%} "
                f"({self.observed_low:.1%}…{self.observed_high:.1%})"
            )
        if self.estimated is not None:
            e = self.estimated
            parts.append(
                f"without labels EM puts the target's at {e.em:.1%} and BBSE at {e.bbse:.1%}, "
                f"which {self._worth()}"
            )
        return "; ".join(parts)

    def _worth(self) -> str:
        faults = self.estimated.faults if self.estimated else ()
        return {
            "agree": "agree",
            "contradicted": "agree with each other and not with the labels, so more than the rate "
            "has changed",
        }.get(self.verdict, f"cannot be relied on: {'; '.join(faults)}")

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        record = asdict(self)
        if self.estimated is not None:
            record["estimated"]["faults"] = list(self.estimated.faults)
        return {**record, "verdict": self.verdict, "rate": self.rate, "sentence": self.sentence}


@dataclass(frozen=True)
class SourceModel:
    """A source model's answers for rows that it was not fitted on.

    Attributes
    ----------
    y : (n_source,)
    source, target : (n_source,) and (n_target,)
        Probabilities; each row has the answer of one fold's model, so both are alike in spread.
    """

    y: npt.NDArray[np.int8]
    source: Floats
    target: Floats


def cross_fit_source(
    source: npt.NDArray[np.float32],
    y: npt.NDArray[np.int8],
    target: npt.NDArray[np.float32],
    *,
    categories: range,
    seed: int,
) -> SourceModel | None:
    """Fit boosted trees on folds of the source; None if it has too few rows of a class.

    Parameters
    ----------
    source, target : (n_source, columns) and (n_target, columns)
    y : (n_source,)
        1 or 0.
    categories
        Positions of the columns that hold codes.
    seed
        Makes it repeatable.
    """
    if min(np.sum(y == 1), np.sum(y == 0)) < MIN_EVENTS:
        return None
    of_source, of_target = np.empty(len(source)), np.empty(len(target))
    asked = np.random.default_rng(seed).permutation(len(target)) % N_FOLDS
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    for fold, (train, held_out) in enumerate(folds.split(source, y)):
        booster = fit_trees(
            source[train], y[train], categories=categories, seed=seed, settings=TREES
        )
        of_source[held_out] = predict_trees(booster, source[held_out])
        if (asked == fold).any():
            of_target[asked == fold] = predict_trees(booster, target[asked == fold])
    return SourceModel(y, of_source, of_target)


def find_base_rate(
    y_source: npt.NDArray[np.int8],
    y_target: npt.NDArray[np.int8],
    model: SourceModel | None,
    *,
    seed: int,
) -> BaseRate:
    """Put together what labels and scores say of the target's base rate.

    Parameters
    ----------
    y_source, y_target : (n_source,) and (n_target,)
        1, 0, or -1 where there is no label.
    model
        The source model's held-out answers.
    seed
        Makes the bootstrap repeatable.
    """
    known, seen = y_source[y_source >= 0], y_target[y_target >= 0]
    estimated = None
    if model is not None:
        estimated = estimate_prior_shift(
            model.y, model.source, model.target, n_draws=N_DRAWS, random_state=seed
        )
    low, high = wilson_interval(seen.sum(), len(seen)) if len(seen) else (None, None)
    return BaseRate(
        source_rate=float(known.mean()) if len(known) else float("nan"),
        estimated=estimated,
        observed=float(seen.mean()) if len(seen) else None,
        observed_low=None if low is None else float(low),
        observed_high=None if high is None else float(high),
        n_labels=len(seen),
    )
