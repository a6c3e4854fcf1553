"""A classifier that tries to tell made rows from real ones: what single columns and pairs hide."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.encode import TableEncoder
from thinfile.data.row_hash import row_hashes
from thinfile.errors import DataError
from thinfile.metrics.intervals import paired_bootstrap
from thinfile.synthetic.sides import Sides, some
from thinfile.trees import TreeSettings, fit_trees, predict_trees, tree_matrix

MAX_ROWS = 10_000
"""Rows of each side; the AUC of so many is known to ±0.008."""

MIN_ROWS = 50
"""Rows that each side needs."""

N_FOLDS, N_DRAWS, MAX_COLUMNS = 5, 200, 10

SETTINGS = TreeSettings(n_trees=100)


@dataclass(frozen=True)
class Detection:
    """How well boosted trees tell two tables apart, on rows they were not trained on.

    Attributes
    ----------
    auc, low, high : float
        With a 95% interval; 0.5 is not at all, 1 without a fault.
    n_real, n_made : int
        Rows used.
    columns : tuple of (str, float)
        What the trees lean on most, and its share of their gain.
    """

    auc: float
    low: float
    high: float
    n_real: int
    n_made: int
    columns: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self) | {"columns": [list(pair) for pair in self.columns]}


def detect(sides: Sides, other: pl.DataFrame, *, random_state: int = 0) -> Detection:
    """Cross-validate a classifier of real rows against `other` ones.

    Equal rows lie in the same fold, so that a copy is not told by having met its original.

    Parameters
    ----------
    sides : Sides
        Its real rows are the one side.
    other : polars.DataFrame
        Typed rows: the made ones, or the hold-out as a yardstick.
    random_state : int
        For the rows drawn, the folds and the trees.

    Returns
    -------
    Detection

    Raises
    ------
    DataError
        If a side has fewer than 50 rows, or no column varies.

    References
    ----------
    Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017.
    """
    n = min(MAX_ROWS, sides.real.height, other.height)
    if n < MIN_ROWS:
        raise DataError(f"{n} rows on the smaller side; {MIN_ROWS} of each are needed")
    real = some(sides.real, n, random_state)
    rows = pl.concat([real, some(other, n, random_state + 1)])
    y = np.repeat([0, 1], n)
    encoder = TableEncoder(sides.schema, scaling="none", min_count=1).fit(rows)
    x = tree_matrix(encoder.transform(rows))
    n_numbers = len(encoder.number_names_)
    score, gain = _cross_fit(x, y, range(n_numbers, x.shape[1]), _folds(rows), random_state)
    found = paired_bootstrap(y, score[None, None], n_draws=N_DRAWS, random_state=random_state)
    names = [*encoder.number_names_, *encoder.code_names_]
    return Detection(
        float(found.point[0]),
        float(found.low[0]),
        float(found.high[0]),
        n,
        n,
        _leading(names, gain),
    )


def _folds(rows: pl.DataFrame) -> npt.NDArray[np.int64]:
    """A fold for each row; equal rows share one, and all folds have about as many rows."""
    _, group, sizes = np.unique(row_hashes(rows), return_inverse=True, return_counts=True)
    # The largest groups are dealt out first, each to the fold with the fewest rows so far.
    order = np.argsort(-sizes, kind="stable")
    n_large = int((sizes > 1).sum())
    fold, filled = np.empty(len(sizes), dtype=np.int64), np.zeros(N_FOLDS)
    for place in order[:n_large]:
        fold[place] = np.argmin(filled)
        filled[fold[place]] += sizes[place]
    single = order[n_large:]
    fold[single] = (np.arange(len(single)) + int(np.argmin(filled))) % N_FOLDS
    found: npt.NDArray[np.int64] = fold[group]
    return found


def _cross_fit(
    x: npt.NDArray[np.float32],
    y: npt.NDArray[Any],
    categories: range,
    fold: npt.NDArray[np.int64],
    seed: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    score, gain = np.full(len(y), 0.5), np.zeros(x.shape[1])
    for held in range(N_FOLDS):
        train, test = fold != held, fold == held
        if not test.any() or len(np.unique(y[train])) < 2:
            continue
        trees = fit_trees(x[train], y[train], categories=categories, seed=seed, settings=SETTINGS)
        score[test] = predict_trees(trees, x[test])
        gain += trees.feature_importance("gain")
    return score, gain


def _leading(names: list[str], gain: npt.NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
    shares = gain / max(gain.sum(), 1e-12)
    order = np.argsort(-shares)[:MAX_COLUMNS]
    return tuple((names[place], float(shares[place])) for place in order if shares[place] > 0)
