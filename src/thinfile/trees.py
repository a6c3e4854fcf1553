"""Boosted trees on an encoded table: the practitioner's default, used by baselines and TrAdaBoost.

LightGBM does the work; here are the settings for small tables, the layout of the matrix (numbers,
then category codes, then extra columns) and the text form that an artifact holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from thinfile.data.encode import Encoded
from thinfile.errors import ArtifactError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TreeSettings:
    """Settings of a boosted model; the defaults are for thousands of rows, not millions.

    Parameters
    ----------
    n_trees
        Boosting rounds.
    n_leaves
        Leaves of a tree.
    learning_rate
        Shrinkage of each tree.
    min_leaf_rows
        Rows that a leaf must hold.
    """

    n_trees: int = 150
    n_leaves: int = 15
    learning_rate: float = 0.05
    min_leaf_rows: int = 20

    def to_lightgbm(self, seed: int) -> dict[str, Any]:
        """The same in LightGBM's words, repeatable and on one thread."""
        return {
            "objective": "binary",
            "num_leaves": self.n_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_leaf_rows,
            "min_sum_hessian_in_leaf": 1.0,
            "feature_fraction": 0.7,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "lambda_l2": 1.0,
            "cat_smooth": 20.0,
            "cat_l2": 20.0,
            "max_cat_threshold": 16,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }


def tree_matrix(encoded: Encoded, *extra: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Numbers, category codes and `extra` columns side by side, shape (rows, columns)."""
    columns = [encoded.numbers, encoded.codes, *(e.reshape(len(e), -1) for e in extra)]
    return np.concatenate(columns, axis=1, dtype=np.float32)


def fit_trees(
    x: npt.NDArray[np.float32],
    y: npt.NDArray[Any],
    *,
    categories: range,
    seed: int,
    weight: npt.NDArray[Any] | None = None,
    settings: TreeSettings | None = None,
) -> lgb.Booster:
    """Fit boosted trees.

    Parameters
    ----------
    x : ndarray of shape (rows, columns)
    y : ndarray of shape (rows,)
        1 or 0.
    categories
        Positions of the columns that hold codes.
    seed
        Makes the fit repeatable.
    weight : ndarray of shape (rows,), optional
        Weight of each row; only ratios matter (scaled to a mean of 1).
    """
    settings = settings or TreeSettings()
    if weight is not None:
        weight = weight / weight.mean()
    data = lgb.Dataset(
        x,
        label=y,
        weight=weight,
        categorical_feature=list(categories),
        free_raw_data=True,
        params={"verbosity": -1, "min_data_in_bin": 3, "feature_pre_filter": False},
    )
    return lgb.train(settings.to_lightgbm(seed), data, num_boost_round=settings.n_trees)


def predict_trees(booster: lgb.Booster, x: npt.NDArray[np.float32]) -> FloatArray:
    """Probability of the event, shape (rows,)."""
    return np.asarray(booster.predict(x, num_threads=1), dtype=np.float64)


def trees_to_text(booster: lgb.Booster) -> bytes:
    """LightGBM's own text model."""
    return bytes(booster.model_to_string().encode())


def trees_from_text(text: bytes) -> lgb.Booster:
    """The model that `trees_to_text` wrote.

    Raises
    ------
    ArtifactError
        If the text is no LightGBM model.
    """
    try:
        return lgb.Booster(model_str=text.decode())
    except (lgb.basic.LightGBMError, UnicodeDecodeError) as error:
        raise ArtifactError(f"trees.txt is no LightGBM model: {error}") from error
