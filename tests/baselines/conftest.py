"""Two populations of raw rows with a known law, and one small table as arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest


@dataclass(frozen=True)
class Populations:
    """Source rows first; `truth` has what `y` hides."""

    X: pl.DataFrame
    y: npt.NDArray[np.int64]  # (rows,): 1, 0, -1
    truth: npt.NDArray[np.int64]
    domain: npt.NDArray[np.str_]

    @property
    def is_target(self) -> npt.NDArray[np.bool_]:
        return self.domain == "new"

    @property
    def hidden(self) -> npt.NDArray[np.intp]:
        """Places of target rows without a label."""
        return np.flatnonzero(self.is_target & (self.y < 0))


def make_populations(
    n_source: int = 400,
    n_target: int = 300,
    n_labels: int = 80,
    *,
    conflict: bool = False,
    move: float = 0.0,
    stretch: float = 1.0,
    seed: int = 0,
) -> Populations:
    """`a` drives the event in both; `b` too, in the target the other way where in conflict.

    The target's numbers are moved and stretched, and its law with them.
    """
    rng = np.random.default_rng(seed)
    n = n_source + n_target
    is_target = np.arange(n) >= n_source
    a, b = rng.normal(size=(2, n))
    town = rng.choice(["x", "y", "z"], n)
    sign = np.where(is_target & conflict, -1.0, 1.0)
    log_odds = 1.5 * a + sign * 1.5 * b + 1.0 * (town == "x") - 1.0
    truth = (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(np.int64)
    scale = np.where(is_target, stretch, 1.0)
    X = pl.DataFrame(
        {"a": a * scale + np.where(is_target, move, 0.0), "b": b * scale, "town": town}
    )
    y = truth.copy()
    y[np.flatnonzero(is_target)[n_labels:]] = -1
    return Populations(X, y, truth, np.where(is_target, "new", "old"))


@pytest.fixture(scope="session")
def populations() -> Callable[..., Populations]:
    return make_populations


@pytest.fixture(scope="session")
def alike() -> Populations:
    return make_populations()


@pytest.fixture(scope="session")
def in_conflict() -> Populations:
    return make_populations(conflict=True)
