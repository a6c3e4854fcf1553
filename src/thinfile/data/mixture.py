"""The modes of one column: single values that fill many rows, and a mixture of normals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

SPIKE_SHARE = 0.05
"""Share of the rows from which on a single value is a mode of its own."""

REACH = 4.0
"""Deviations from a mode's middle that are told apart on a linear scale."""

INNER, OUTER = 0.8, 0.2
"""Parts of the scale for what lies within `REACH` and beyond."""

_N_POINTS = 400
_N_STEPS = 80
_MIN_WEIGHT = 0.005
_MODE_COST = 1.5 * math.log(1000) / 1000
"""Evidence per row that a mode must bring: BIC for 1,000 rows, however many there are."""


@dataclass(frozen=True)
class Mixture:
    """Modes of a column, the single values first.

    Attributes
    ----------
    means, deviations : ndarray of shape (modes,)
        In the unit of the column; the deviation of a single value is 0.
    weights : ndarray of shape (modes,)
        Share of the rows.
    farthest : ndarray of shape (modes,)
        Largest distance of a training value from the middle of its likeliest mode, in deviations.
    """

    means: FloatArray
    deviations: FloatArray
    weights: FloatArray
    farthest: FloatArray

    def __len__(self) -> int:
        return len(self.means)

    def assign(
        self, values: npt.NDArray[Any], rng: np.random.Generator | None = None
    ) -> npt.NDArray[np.int64]:
        """The mode of each value, (rows,): the likeliest, or one drawn where `rng` is given."""
        n_spikes = int((self.deviations == 0).sum())
        x = np.asarray(values, dtype=np.float64)
        mode = np.full(len(x), -1, dtype=np.int64)
        for k in range(n_spikes):
            mode[np.abs(x - self.means[k]) <= 1e-7 * max(1.0, abs(self.means[k]))] = k
        rest = np.flatnonzero(mode < 0)
        if len(rest) and n_spikes < len(self):
            mode[rest] = n_spikes + self._draw(x[rest], n_spikes, rng)
        elif len(rest):
            mode[rest] = np.abs(x[rest, None] - self.means).argmin(1)
        return mode

    def _draw(
        self, x: FloatArray, first: int, rng: np.random.Generator | None
    ) -> npt.NDArray[np.int64]:
        centre = self.means.mean()  # near zero, where squares lose no digits
        share = _densities(
            x - centre, self.means[first:] - centre, self.deviations[first:], self.weights[first:]
        )
        if rng is None:
            likeliest: npt.NDArray[np.int64] = share.argmax(1)
            return likeliest
        np.cumsum(share, axis=1, out=share)
        drawn = rng.random((len(x), 1)) * share[:, -1:]
        mode: npt.NDArray[np.int64] = np.minimum((share < drawn).sum(1), share.shape[1] - 1)
        return mode

    def place(self, values: npt.NDArray[Any], mode: npt.NDArray[Any]) -> FloatArray:
        """Where values lie in their modes, −1 to 1: 4 deviations are 0.8, what is farther follows.

        Beyond 4 deviations the scale is logarithmic and ends at the farthest training value.
        """
        deviation = np.where(self.deviations > 0, self.deviations, 1.0)[mode]
        distance = (np.asarray(values, dtype=np.float64) - self.means[mode]) / deviation
        far = np.log1p(np.maximum(np.abs(distance) - REACH, 0.0)) / self._tail()[mode]
        place = np.minimum(np.abs(distance), REACH) / REACH * INNER + np.minimum(far, 1) * OUTER
        inside: FloatArray = np.where(self.deviations[mode] > 0, np.sign(distance) * place, 0.0)
        return inside

    def value(self, place: npt.NDArray[Any], mode: npt.NDArray[Any]) -> FloatArray:
        """The values at these places of these modes: undoes `place`."""
        size = np.minimum(np.abs(np.asarray(place, dtype=np.float64)), 1.0)
        far = np.expm1(np.maximum(size - INNER, 0.0) / OUTER * self._tail()[mode])
        distance = np.minimum(size, INNER) / INNER * REACH + far
        value: FloatArray = self.means[mode] + np.sign(place) * distance * self.deviations[mode]
        return value

    def _tail(self) -> FloatArray:
        return np.log1p(np.maximum(self.farthest - REACH, 1.0))

    def to_state(self) -> dict[str, list[float]]:
        """Lists of numbers."""
        return {name: value.tolist() for name, value in vars(self).items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Mixture:
        """The mixture that wrote the state."""
        return cls(**{name: np.asarray(value, dtype=np.float64) for name, value in state.items()})


def fit_mixture(levels: FloatArray, counts: npt.NDArray[Any], max_modes: int = 10) -> Mixture:
    """Find the modes of a column.

    Expectation–maximisation starts with `max_modes` normals; then two neighbours become one as
    long as the likelihood that is lost is below what BIC gives for a mode less.

    Parameters
    ----------
    levels : (values,)
        Different values, rising.
    counts : (values,)
        Rows that hold each.
    max_modes : int
        At least 1.

    References
    ----------
    Schwarz, "Estimating the dimension of a model", Annals of Statistics 1978.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.concatenate([np.zeros(100), rng.normal(5, 1, 400), rng.normal(90, 1, 400)])
    >>> found = fit_mixture(*np.unique(x, return_counts=True))
    >>> found.means.round().astype(int).tolist(), found.deviations.round().astype(int).tolist()
    ([0, 5, 90], [0, 1, 1])
    """
    share = counts / counts.sum()
    spikes = np.flatnonzero(share >= SPIKE_SHARE)[:max_modes]
    rest = np.delete(np.arange(len(levels)), spikes)
    n_modes = max_modes - len(spikes)
    if not len(rest) or n_modes < 1:
        nothing = np.zeros(len(spikes))
        return Mixture(levels[spikes], nothing, share[spikes], nothing)
    means, deviations, weights = _fit_normals(levels[rest], share[rest], n_modes)
    return _with_farthest(
        np.concatenate([levels[spikes], means]),
        np.concatenate([np.zeros(len(spikes)), deviations]),
        np.concatenate([share[spikes], weights * share[rest].sum()]),
        levels[rest],
    )


def _with_farthest(
    means: FloatArray, deviations: FloatArray, weights: FloatArray, levels: FloatArray
) -> Mixture:
    mixture = Mixture(means, deviations, weights, np.zeros(len(means)))
    mode = mixture.assign(levels)
    safe = np.where(deviations > 0, deviations, np.inf)[mode]
    farthest = np.zeros(len(means))
    np.maximum.at(farthest, mode, np.abs(levels - means[mode]) / safe)
    return Mixture(means, deviations, weights, farthest)


def _fit_normals(
    levels: FloatArray, share: FloatArray, n_modes: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    points, inner, weight = _points(levels, share / share.sum())
    spread = max(float(np.sqrt(np.cov(points, aweights=weight, ddof=0) + inner @ weight)), 1e-12)
    at = np.searchsorted(np.cumsum(weight), (np.arange(n_modes) + 0.5) / n_modes)
    centre = points @ weight
    state = (
        points[at.clip(max=len(points) - 1)] - centre,
        np.full(n_modes, spread / n_modes),
        np.full(n_modes, 1.0 / n_modes),
    )
    data = (points - centre, inner, weight, 1e-4 * spread)
    state = _improve(*data, *_merge(data[0], weight, *_improve(*data, *state)))
    return state[0] + centre, state[1], state[2]


def _improve(
    points: FloatArray, inner: FloatArray, weight: FloatArray, floor: float, *state: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Expectation and maximisation in turn, until the middles rest."""
    means, deviations, weights = state
    for _ in range(_N_STEPS):
        before = means
        held = _densities(points, means, deviations, weights)
        held *= (weight / held.sum(1))[:, None]
        total = held.sum(0)
        held = held[:, total >= _MIN_WEIGHT]  # the fitted share never exceeds 1, so one remains
        total = held.sum(0)
        weights = total / total.sum()
        means = points @ held / total
        square = (points[:, None] - means) ** 2 + inner[:, None]
        deviations = np.sqrt(np.maximum((square * held).sum(0) / total, floor**2))
        if len(means) == len(before) and np.abs(means - before).max() < 100 * floor:
            break
    return means, deviations, weights


def _merge(
    points: FloatArray, weight: FloatArray, *state: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Make one of two modes as long as that says no less about the column than it saves."""
    means, deviations, weights = state
    while len(means) > 1:
        found = _best_pair(points, weight, means, deviations, weights)
        if found[0] > _MODE_COST:
            break
        _, i, j, middle, deviation = found
        means[i], deviations[i], weights[i] = middle, deviation, weights[i] + weights[j]
        means, deviations, weights = (np.delete(each, j) for each in (means, deviations, weights))
    return means, deviations, weights


def _best_pair(
    points: FloatArray,
    weight: FloatArray,
    means: FloatArray,
    deviations: FloatArray,
    weights: FloatArray,
) -> tuple[float, int, int, float, float]:
    """The two neighbours that can be made one at the least loss of likelihood, and what comes."""
    order = np.argsort(means)
    i, j = order[:-1], order[1:]
    both = weights[i] + weights[j]
    middle = (weights[i] * means[i] + weights[j] * means[j]) / both
    second = deviations**2 + means**2
    variance = (weights[i] * second[i] + weights[j] * second[j]) / both - middle**2
    deviation = np.sqrt(np.maximum(variance, 1e-300))
    own = _normal(points, means, deviations, weights)
    total = own.sum(1, keepdims=True)
    merged = total - own[:, i] - own[:, j] + _normal(points, middle, deviation, both)
    loss = weight @ (np.log(total + 1e-300) - np.log(np.maximum(merged, 1e-300)))
    k = int(loss.argmin())
    return float(loss[k]), int(i[k]), int(j[k]), float(middle[k]), float(deviation[k])


def _normal(
    x: FloatArray, means: FloatArray, deviations: FloatArray, weights: FloatArray
) -> FloatArray:
    density: FloatArray = (
        weights / deviations * np.exp(-0.5 * ((x[:, None] - means) / deviations) ** 2)
    )
    return density


def _points(levels: FloatArray, share: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """At most 400 points with their inner variance and weight, for any number of values."""
    group = np.minimum((np.cumsum(share) - share / 2) * _N_POINTS, _N_POINTS - 1).astype(np.intp)
    _, group = np.unique(group, return_inverse=True)
    weight: FloatArray = np.bincount(group, share).astype(np.float64)
    points = np.bincount(group, share * levels) / weight
    inner = np.bincount(group, share * (levels - points[group]) ** 2) / weight
    return points, inner, weight


def _densities(
    x: FloatArray, means: FloatArray, deviations: FloatArray, weights: FloatArray
) -> FloatArray:
    """Density of each mode at each value, up to a factor per value, (values, modes)."""
    # A product with the values' powers is one pass, where (x − mean)² is three.
    curve = -0.5 / deviations**2
    height = np.log(weights / deviations) + curve * means**2
    powers = np.column_stack([x * x, x, np.ones_like(x)])
    score = powers @ np.vstack([curve, -2 * curve * means, height])
    score -= score.max(1, keepdims=True)
    density: FloatArray = np.exp(score, out=score)
    return density
