"""Choosing among made rows those that are of the kind of some given rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

Features = npt.NDArray[Any]

CANDIDATES = 10
"""Made rows for each one that is kept."""


def choose_alike(made: Features, wanted: Features, n_rows: int, seed: int) -> npt.NDArray[np.intp]:
    """Positions of `n_rows` made rows, drawn by how much they look like `wanted`.

    A logistic regression on the features and their squares tells wanted from made rows; a row's
    odds are its weight in a draw without replacement, so that the rows kept are distributed as the
    wanted ones are, as far as the candidates allow.

    Parameters
    ----------
    made : (candidates, features)
    wanted : (rows, features)
        At least one row.
    n_rows : int
        At most the number of candidates.
    seed : int

    References
    ----------
    Sugiyama, Suzuki and Kanamori, Density ratio estimation in machine learning, 2012.
    """
    rng = np.random.default_rng(seed)
    scale = np.maximum(made.std(0), 1e-6)
    near, far = ((rows - made.mean(0)) / scale for rows in (wanted, made))
    near, far = (np.clip(rows, -20, 20) for rows in (near, far))
    x = np.concatenate([near, far])
    y = np.repeat([1, 0], [len(near), len(far)])
    model = LogisticRegression(C=0.1, max_iter=200)
    squares = np.concatenate([x, x**2], axis=1)
    odds = model.fit(squares, y).decision_function(squares[len(near) :])
    # The largest of (log weight + Gumbel noise) are a draw without replacement.
    keys = odds + rng.gumbel(size=len(odds))
    chosen: npt.NDArray[np.intp] = np.argsort(-keys)[:n_rows]
    return chosen
