"""Two populations whose events depend on the columns in part alike and in part oppositely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest


@dataclass(frozen=True)
class Populations:
    """Source rows first, then target rows; `truth` has the labels that `y` hides."""

    X: npt.NDArray[np.float64]  # (rows, 4)
    y: npt.NDArray[np.int64]  # (rows,): 1, 0, -1
    domain: npt.NDArray[np.str_]  # (rows,)
    truth: npt.NDArray[np.int64]  # (rows,)

    @property
    def is_target(self) -> npt.NDArray[np.bool_]:
        return self.domain == "new"

    def hide(self, n_labels: int) -> Populations:
        """The same with the first `n_labels` labels of the target left."""
        y = self.truth.copy()
        y[np.flatnonzero(self.is_target)[n_labels:]] = -1
        return Populations(self.X, y, self.domain, self.truth)


def make_populations(
    n_source: int = 600, n_target: int = 300, *, conflict: float = 1.0, seed: int = 0
) -> Populations:
    """`x0` means the same in both; `x1` drives the event up in the target, down in the source."""
    rng = np.random.default_rng(seed)
    n = n_source + n_target
    is_target = np.arange(n) >= n_source
    X = rng.normal(size=(n, 4))
    X[is_target, 2] += 2.0  # tells the populations apart and says nothing of the event
    log_odds = 2.0 * X[:, 0] + np.where(is_target, 2.0, -2.0 * conflict) * X[:, 1] - 1.0
    truth = (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(np.int64)
    return Populations(X, truth.copy(), np.where(is_target, "new", "old"), truth)


@pytest.fixture(scope="session")
def conflicting() -> Populations:
    return make_populations().hide(100)


@pytest.fixture(scope="session")
def alike() -> Populations:
    return make_populations(conflict=-1.0).hide(100)
