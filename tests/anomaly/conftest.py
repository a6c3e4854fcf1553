"""A small table of transactions: frauds lie apart in two columns and in one category."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from thinfile.estimator import Estimator
from thinfile.metrics.ranking import average_precision


@dataclass(frozen=True)
class Transactions:
    X: pl.DataFrame
    y: npt.NDArray[np.int64]  # (rows,): 1, 0, -1
    truth: npt.NDArray[np.int64]

    def average_precision(self, model: Estimator) -> float:
        hidden = self.y == -1
        score = model.predict_proba(self.X.filter(pl.Series(hidden)))[:, 1]
        return average_precision(self.truth[hidden], score)


def make_transactions(
    n: int = 1500, n_events: int = 10, n_others: int = 100, seed: int = 0
) -> Transactions:
    """One row in twenty is a fraud; `amount` has gaps, `shop` is a category."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < 0.05).astype(np.int64)
    a, b, noise = rng.normal(size=(3, n))
    amount = np.exp(rng.normal(size=n) + 0.5 * truth)
    shop = np.where(rng.random(n) < 0.5 * truth, "web", rng.choice(["desk", "gate"], n))
    X = pl.DataFrame(
        {
            "a": a + 3.0 * truth,
            "b": b - 3.0 * truth,
            "noise": noise,
            "amount": [None if i % 17 == 0 else float(v) for i, v in enumerate(amount)],
            "shop": [None if i % 19 == 0 else str(v) for i, v in enumerate(shop)],
        }
    )
    y = np.full(n, -1)
    y[np.flatnonzero(truth == 1)[:n_events]] = 1
    y[np.flatnonzero(truth == 0)[:n_others]] = 0
    return Transactions(X, y, truth)


@pytest.fixture(scope="session")
def transactions() -> Transactions:
    return make_transactions()


@pytest.fixture(scope="session")
def make() -> Callable[..., Transactions]:
    return make_transactions


@pytest.fixture(scope="session")
def again() -> Callable[[Estimator], Estimator]:
    """A model made from the state of another, as an artifact does it."""

    def load(model: Any) -> Any:
        return type(model)(**model.get_params(deep=False)).set_state(model.get_state())

    return load
