"""How much made rows look like real ones: without labels, without a trained judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from thinfile.metrics.ranking import roc_auc
from thinfile.trees import TreeSettings, fit_trees, predict_trees

FloatArray = npt.NDArray[np.float64]
Features = npt.NDArray[Any]

_TREES = TreeSettings(n_trees=40, n_leaves=8, learning_rate=0.15, min_leaf_rows=10)


def realness(real: Features, made: Features, *, seed: int = 0) -> dict[str, float]:
    """Measure made rows beside real ones.

    Use it to follow a generator. It is no judgement of usefulness or privacy: see the synthetic
    data report for these.

    Parameters
    ----------
    real, made : ndarray of shape (rows, features)
        Numbers, codes as numbers; at least 20 rows each.
    seed : int
        For the classifier.

    Returns
    -------
    dict
        ``told_apart``: AUC on held-out rows of boosted trees that tell made from real, 0.5 is
        best. ``distance``: mean over the columns of the largest difference between the two
        distribution functions (Kolmogorov–Smirnov). ``quality``: mean of 1 − distance and
        2 · (1 − told_apart), 0 to 1. ``spread``: mean over the columns of the deviation beside
        that of real rows.

    References
    ----------
    Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> real, other = rng.normal(size=(2, 400, 3))
    >>> same, shifted = realness(real, other), realness(real, other + 2)
    >>> same["quality"] > 0.8 > 0.4 > shifted["quality"]
    True
    """
    real, made = np.asarray(real, np.float32), np.asarray(made, np.float32)
    auc = told_apart(real, made, seed=seed)
    distance = marginal_distance(real, made)
    return {
        "quality": float(0.5 * (1 - distance) + min(1.0 - auc, 0.5)),
        "told_apart": auc,
        "distance": distance,
        "spread": spread(real, made),
    }


def told_apart(real: Features, made: Features, *, seed: int = 0) -> float:
    """AUC, on rows held out, of boosted trees that tell made rows (1) from real ones (0)."""
    x = np.concatenate([real, made]).astype(np.float32)
    y = np.repeat([0, 1], [len(real), len(made)])
    held = np.random.default_rng(seed).permutation(len(x)) < len(x) // 3
    if len(np.unique(y[held])) < 2 or len(np.unique(y[~held])) < 2:
        return 0.5
    trees = fit_trees(x[~held], y[~held], categories=range(0), seed=seed, settings=_TREES)
    return roc_auc(y[held], predict_trees(trees, x[held]))


def marginal_distance(real: Features, made: Features) -> float:
    """Mean Kolmogorov–Smirnov distance of the columns, 0 (alike) to 1."""
    return float(np.mean([_ks(a, b) for a, b in zip(real.T, made.T, strict=True)]))


def spread(real: Features, made: Features) -> float:
    """Mean of made by real deviation over the columns that vary, each taken as at most 1."""
    varies = real.std(0) > 1e-9
    if not varies.any():
        return 1.0
    return float(np.minimum(made.std(0)[varies] / real.std(0)[varies], 1.0).mean())


def repeated(rows: Features, *, tolerance: float = 0.0) -> float:
    """Share of rows that have another within `tolerance` (Euclidean), 0 for exact repetition."""
    if tolerance > 0:
        return float((nearest_distances(rows) <= tolerance).mean())
    packed = np.ascontiguousarray(rows).view(
        np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))
    )
    _, counts = np.unique(packed.ravel(), return_counts=True)
    return float(counts[counts > 1].sum() / len(rows))


def nearest_distances(rows: Features) -> FloatArray:
    """Distance of each row to its nearest fellow, (rows,)."""
    x = np.asarray(rows, dtype=np.float64)
    square = (x**2).sum(1)
    distance = square[:, None] + square - 2 * x @ x.T
    np.fill_diagonal(distance, np.inf)
    nearest: FloatArray = np.sqrt(np.maximum(distance.min(1), 0.0))
    return nearest


def _ks(a: Features, b: Features) -> float:
    points = np.concatenate([a, b])
    below_a = np.searchsorted(np.sort(a), points, side="right") / len(a)
    below_b = np.searchsorted(np.sort(b), points, side="right") / len(b)
    return float(np.abs(below_a - below_b).max())
