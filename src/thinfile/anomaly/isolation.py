"""Isolation forest as arrays: scikit-learn grows the trees, a few look-ups score with them."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest

from thinfile.estimator import FloatArray

ROWS_AT_ONCE = 4096
EULER_GAMMA = float(np.euler_gamma)

Arrays = dict[str, npt.NDArray[Any]]


class IsolationTrees:
    """Isolation forest whose fitted state is plain arrays.

    Rows that few random cuts set apart are abnormal. Use it as the detector to try first: it is
    fast, and needs neither scaling nor labels. It does not see rows that are abnormal only in
    how several columns go together. Scores are scikit-learn's with the sign turned, checked to
    1e-12.

    Parameters
    ----------
    n_trees : int ≥ 1
    n_rows : int ≥ 2
        Rows that each tree is grown on, at most.

    References
    ----------
    Liu, Ting, Zhou: Isolation forest, ICDM 2008.

    Examples
    --------
    >>> x = np.r_[np.random.default_rng(0).normal(size=(99, 2)), [[9.0, 9.0]]].astype(np.float32)
    >>> int(IsolationTrees(n_trees=20).fit(x, seed=0).score(x).argmax())
    99
    """

    def __init__(self, n_trees: int = 100, n_rows: int = 256) -> None:
        self.n_trees = n_trees
        self.n_rows = n_rows

    def fit(self, x: npt.NDArray[np.float32], seed: int) -> Self:
        """Grow the trees on rows without gaps, shape (rows, columns)."""
        n_rows = min(self.n_rows, len(x))
        forest = IsolationForest(
            n_estimators=self.n_trees, max_samples=n_rows, random_state=seed, n_jobs=1
        ).fit(x)
        self.arrays = _flatten([tree.tree_ for tree in forest.estimators_])
        self.arrays["scale"] = np.array(self.n_trees * _path_length(np.array([n_rows]))[0])
        return self

    def score(self, x: npt.NDArray[np.float32]) -> FloatArray:
        """How abnormal each row is, in (0, 1), shape (rows,)."""
        parts = [
            _total_depth(self.arrays, x[start : start + ROWS_AT_ONCE])
            for start in range(0, len(x), ROWS_AT_ONCE)
        ]
        depth = np.concatenate(parts) if parts else np.empty(0)
        scale = float(self.arrays["scale"])
        # Trees of one row have no path: scikit-learn calls everything 0.5 then.
        score: FloatArray = 2.0 ** (-depth / scale) if scale else np.full(len(x), 0.5)
        return score


def _flatten(trees: list[Any]) -> Arrays:
    """All trees' nodes one after the other; leaves lead to themselves."""
    columns: dict[str, list[npt.NDArray[Any]]] = {
        "feature": [],
        "threshold": [],
        "left": [],
        "right": [],
        "depth": [],
    }
    roots, start = [], 0
    for tree in trees:
        left, right = tree.children_left, tree.children_right
        leaf = left < 0
        here = np.arange(len(left))
        columns["feature"].append(np.where(leaf, 0, tree.feature).astype(np.int32))
        columns["threshold"].append(np.where(leaf, 0.0, tree.threshold))
        columns["left"].append((np.where(leaf, here, left) + start).astype(np.int32))
        columns["right"].append((np.where(leaf, here, right) + start).astype(np.int32))
        n_inside = tree.n_node_samples
        columns["depth"].append(_node_depths(left, right) + _path_length(n_inside))
        roots.append(start)
        start += len(left)
    arrays: Arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
    return arrays | {"root": np.array(roots, dtype=np.int32)}


def _node_depths(left: npt.NDArray[np.intp], right: npt.NDArray[np.intp]) -> FloatArray:
    depth = np.zeros(len(left))
    for node in range(len(left)):  # parents come before their children
        if left[node] >= 0:
            depth[left[node]] = depth[right[node]] = depth[node] + 1
    return depth


def _path_length(n_rows: npt.NDArray[np.intp]) -> FloatArray:
    """Mean depth of an unsuccessful search in a binary tree of `n_rows`, as in the paper."""
    n = np.asarray(n_rows, dtype=np.float64)
    inside = np.maximum(n, 3.0)
    many = 2.0 * (np.log(inside - 1.0) + EULER_GAMMA) - 2.0 * (inside - 1.0) / inside
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, many))


def _total_depth(arrays: Arrays, x: npt.NDArray[np.float32]) -> FloatArray:
    """Sum of a row's depths over all trees, shape (rows,)."""
    feature, threshold = arrays["feature"], arrays["threshold"]
    left, right = arrays["left"], arrays["right"]
    node = np.broadcast_to(arrays["root"], (len(x), len(arrays["root"])))  # (rows, trees)
    row = np.arange(len(x))[:, None]
    while True:
        goes_left = x[row, feature[node]] <= threshold[node]
        after = np.where(goes_left, left[node], right[node])
        if (after == node).all():
            depth: FloatArray = arrays["depth"][node].sum(axis=1)
            return depth
        node = after
