"""Scales for one number column: normal scores by quantiles, mean and deviation, or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import ndtri

MAX_QUANTILES = 256
"""Most points of a quantile scale."""

LARGEST = 1e30
"""What is not scaled is kept inside ± this: the encoded table is float32, and is computed with."""

LIMIT = 5.0
"""Standard scores are clipped to this many deviations."""


def fit_scaler(values: pl.Series, scaling: str) -> dict[str, Any]:
    """The state of a scale for the values of one column; see :class:`Scaler`.

    Parameters
    ----------
    values : polars.Series of type Float64
        Null is missing and does not count; at least one value.
    scaling : {"quantile", "standard", "none"}
    """
    if scaling == "none":
        return {}
    present = values.drop_nulls().to_numpy()
    return _fit_quantiles(present) if scaling == "quantile" else _fit_standard(present)


def _fit_quantiles(present: npt.NDArray[np.float64]) -> dict[str, Any]:
    n_points = min(MAX_QUANTILES, present.size)
    # Centres of equal slices, so that the outermost scores stay finite without a rule of thumb.
    levels = (np.arange(n_points) + 0.5) / n_points
    ordered = np.sort(present)
    inner = ordered[(levels * present.size).astype(np.int64)]
    grid, place, count = np.unique(inner, return_index=True, return_counts=True)
    # A value that fills several slices gets the middle of them.
    level = (place + count / 2) / n_points
    # The ends belong to the grid: else a column that is nearly always 0 would be 0 throughout.
    edge = 0.25 / n_points
    if ordered[0] < grid[0]:
        grid, level = np.append(ordered[0], grid), np.append(edge, level)
    if ordered[-1] > grid[-1]:
        grid, level = np.append(grid, ordered[-1]), np.append(level, 1 - edge)
    return {"grid": grid.tolist(), "scores": ndtri(level).tolist()}


def _fit_standard(present: npt.NDArray[np.float64]) -> dict[str, Any]:
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = float(present.mean()), float(present.std())
    # Values near the largest float overflow; the median then stands for the mean.
    mean = mean if np.isfinite(mean) else float(np.median(present))
    usable = np.isfinite(deviation) and deviation > 0
    return {"mean": mean, "deviation": deviation if usable else 1.0, "limit": LIMIT}


class Scaler:
    """Apply a scale; the state says which.

    Parameters
    ----------
    state : mapping
        ``{"grid", "scores"}``: linear between the points and flat outside, NaN becomes 0.
        ``{"mean", "deviation", "limit"}``: standard score, clipped, NaN becomes 0.
        ``{"fill"}``: as it is, NaN becomes the fill. Empty: as it is, NaN stays.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self._grid = np.asarray(state.get("grid", ()), dtype=np.float64)
        self._scores = np.asarray(state.get("scores", ()), dtype=np.float64)
        self._standard = [state[key] for key in ("mean", "deviation", "limit") if key in state]
        self._fill = state.get("fill", 0.0 if state else np.nan)

    def __call__(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Scale values of shape (rows,), NaN for missing."""
        if self._grid.size:
            values = np.interp(values, self._grid, self._scores)
        elif self._standard:
            mean, deviation, limit = self._standard
            values = np.clip((values - mean) / deviation, -limit, limit)
        else:
            values = np.clip(values, -LARGEST, LARGEST)
        return values if np.isnan(self._fill) else np.where(np.isnan(values), self._fill, values)
