"""Why a source model is worse on the target: other customers, or the same behaving differently.

A drop is split at the customers that both populations have. Weighting the source by
P(target | x) and the target by P(source | x) makes both look like that shared population, so what
still differs there is a difference of P(y | x).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thinfile.compare.selection import effective_size, row_log_loss
from thinfile.errors import DataError
from thinfile.metrics.inputs import Floats, check_labels, check_probability
from thinfile.metrics.intervals import draw_row_weights
from thinfile.metrics.ranking import roc_auc_many

N_DRAWS = 200
MIN_EVENTS = 5
"""Fewer labelled target rows of a class than this cannot be split into anything."""

MIN_SHARED_EVENTS = 5.0
MIN_SHARED_SHARE = 0.2
"""Fewer effective events than the one, or a smaller share of effective rows than the other, on
shared ground: it is a corner of both populations, and what holds there tells little of them."""

MIN_PART = 0.01
"""A loss of AUC smaller than this is not worth a word, however sure it is."""


@dataclass(frozen=True)
class Judged:
    """Rows of one population with a model's answer.

    Attributes
    ----------
    y : (rows,)
        1 or 0.
    probability : (rows,)
        Of a model fitted on *other* source rows.
    is_target_probability : (rows,)
        Held-out P(target | x), both populations counted as equally large.
    """

    y: npt.NDArray[Any]
    probability: Floats
    is_target_probability: Floats


@dataclass(frozen=True)
class Split:
    """A drop from source to target and its two parts; positive is worse on the target.

    Attributes
    ----------
    source, shared_source, shared_target, target : float
        The measure on the source, on shared ground with the source's outcomes, there with the
        target's outcomes, and on the target.
    drop, x_shift, y_given_x_shift : tuple of float
        Estimate and the ends of a 95 % interval each; the two parts add up to the drop.
    """

    source: float
    shared_source: float
    shared_target: float
    target: float
    drop: tuple[float, float, float]
    x_shift: tuple[float, float, float]
    y_given_x_shift: tuple[float, float, float]


@dataclass(frozen=True)
class Decomposition:
    """How much of a drop is X-shift and how much Y|X-shift.

    Attributes
    ----------
    auc, log_loss : Split
        AUC sees ranking only; log-loss also sees a base rate that has moved.
    shared_rows_source, shared_rows_target, shared_events_target : float
        Effective sample sizes on shared ground.
    verdict : {"y|x-shift", "x-shift", "no drop seen", "unclear", "no shared ground"}
        By the AUC.
    sentence : str
    """

    auc: Split
    log_loss: Split
    shared_rows_source: float
    shared_rows_target: float
    shared_events_target: float
    verdict: str
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)


def decompose(
    source: Judged, target: Judged, *, n_draws: int = N_DRAWS, random_state: int | None = None
) -> Decomposition:
    """Split a source model's drop on the target into X-shift and Y|X-shift.

    Use it where the target has labels. Do not read a narrow interval into few of them: with 100
    labels it mostly says "unclear". The intervals know the chance of the rows, and not the error
    of the classifier of the populations.

    Parameters
    ----------
    source, target
        Labelled rows of each.
    n_draws
        Bootstrap draws, at least 2.
    random_state
        Whole number for repeatable draws.

    Returns
    -------
    Decomposition

    Raises
    ------
    DataError
        If a population has fewer than 5 rows of a class.

    References
    ----------
    Cai, Namkoong, Yadlowsky, "Diagnosing model performance under distribution shift", 2023.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=4000)
    >>> p = 1 / (1 + np.exp(1 - x))
    >>> half = np.full(4000, 0.5)
    >>> old, new = rng.random(4000) < p, rng.random(4000) < 1 - p
    >>> decompose(Judged(old, p, half), Judged(new, p, half), random_state=0).verdict
    'y|x-shift'
    """
    for name, side in (("source", source), ("target", target)):
        _check(name, side)
    shared_source = source.is_target_probability
    shared_target = 1 - target.is_target_probability
    generator = np.random.default_rng(random_state)
    draws = [_draws(len(side.y), n_draws, generator) for side in (source, target)]
    auc = _split(_auc, source, target, shared_source, shared_target, draws, sign=1.0)
    loss = _split(_log_loss, source, target, shared_source, shared_target, draws, sign=-1.0)
    events = effective_size(shared_target[target.y == 1])
    share = min(effective_size(side) / len(side) for side in (shared_source, shared_target))
    is_shared = events >= MIN_SHARED_EVENTS and share >= MIN_SHARED_SHARE
    verdict = _verdict(auc) if is_shared else "no shared ground"
    return Decomposition(
        auc=auc,
        log_loss=loss,
        shared_rows_source=effective_size(shared_source),
        shared_rows_target=effective_size(shared_target),
        shared_events_target=events,
        verdict=verdict,
        sentence=_sentence(auc, verdict, share),
    )


def can_decompose(y: npt.NDArray[Any]) -> bool:
    """Are there enough labelled rows of both classes?"""
    return bool(min(np.sum(y == 1), np.sum(y == 0)) >= MIN_EVENTS)


def _check(name: str, side: Judged) -> None:
    labels = check_labels(side.y)
    check_probability(side.probability, labels.size)
    check_probability(side.is_target_probability, labels.size)
    if not can_decompose(labels):
        raise DataError(
            f"decompose: the {name} has {int(labels.sum())} rows of class 1 of {labels.size}; "
            f"at least {MIN_EVENTS} of each class are needed"
        )


def _draws(n_rows: int, n_draws: int, generator: np.random.Generator) -> Floats:
    """All rows once, then redrawn counts: (1 + draws, rows)."""
    return np.concatenate([np.ones((1, n_rows)), draw_row_weights(n_rows, n_draws, generator)])


def _auc(side: Judged, weights: Floats) -> Floats:
    return roc_auc_many(side.y, side.probability, weights)


def _log_loss(side: Judged, weights: Floats) -> Floats:
    mean: Floats = weights @ row_log_loss(side.y, side.probability) / weights.sum(axis=1)
    return mean


def _split(
    measure: Any,
    source: Judged,
    target: Judged,
    shared_source: Floats,
    shared_target: Floats,
    draws: list[Floats],
    *,
    sign: float,
) -> Split:
    steps = np.stack(
        [
            measure(source, draws[0]),
            measure(source, draws[0] * shared_source),
            measure(target, draws[1] * shared_target),
            measure(target, draws[1]),
        ]
    )  # (steps, 1 + draws); the first column is all rows once
    fall = -sign * np.diff(steps, axis=0)
    at_source, on_shared, on_shared_target, at_target = steps[:, 0].tolist()
    return Split(
        source=at_source,
        shared_source=on_shared,
        shared_target=on_shared_target,
        target=at_target,
        drop=_interval(fall.sum(axis=0)),
        x_shift=_interval(fall[0] + fall[2]),
        y_given_x_shift=_interval(fall[1]),
    )


def _interval(values: Floats) -> tuple[float, float, float]:
    drawn = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn.size else (np.nan, np.nan)
    return float(values[0]), float(low), float(high)


def _verdict(auc: Split) -> str:
    conditional, covariate = auc.y_given_x_shift, auc.x_shift
    if conditional[1] > 0 and conditional[0] >= max(covariate[0], MIN_PART):
        return "y|x-shift"
    if covariate[1] > 0 and covariate[0] >= MIN_PART:
        return "x-shift"
    return "no drop seen" if auc.drop[2] < 0.02 else "unclear"


def _sentence(auc: Split, verdict: str, share: float) -> str:
    fall = f"a source model goes from AUC {auc.source:.3f} to {auc.target:.3f} on the target"
    if verdict == "no shared ground":
        return (
            f"{fall}; why cannot be told, as the populations share too little "
            f"({share:.0%} of the rows, in effect)"
        )
    parts = (
        f"{fall}: {_range(auc.x_shift)} is lost because the customers differ, "
        f"{_range(auc.y_given_x_shift)} because like customers behave differently"
    )
    meaning = {
        "y|x-shift": "so it has to be learned anew from target labels",
        "x-shift": "so source rows more like the target's would help most",
        "no drop seen": "so there is hardly a drop to explain",
        "unclear": "and the labels are too few to tell which",
    }[verdict]
    return f"{parts}, {meaning}"


def _range(part: tuple[float, float, float]) -> str:
    return f"{part[0]:+.3f} ({part[1]:+.3f}…{part[2]:+.3f})"
