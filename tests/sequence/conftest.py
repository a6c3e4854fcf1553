"""A small log in which the order and timing of events decides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest


@dataclass(frozen=True)
class Customers:
    X: pl.DataFrame
    y: npt.NDArray[np.int64]


def make_customers(n: int = 600, seed: int = 0) -> Customers:
    """The event: an "a" within 60 days of the cut; lengths from 0 to 24, some of them null."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 25, n)
    days = [np.sort(rng.uniform(0.5, 300, length))[::-1].tolist() for length in lengths]
    items = [rng.choice(list("abcd"), length).tolist() for length in lengths]
    amounts = [rng.lognormal(2, 1, length).tolist() for length in lengths]
    y = [
        any(i == "a" and d < 60 for i, d in zip(*row, strict=True))
        for row in zip(items, days, strict=True)
    ]
    X = pl.DataFrame(
        {
            "cut": rng.integers(0, 6, n),
            "age": rng.normal(40, 9, n).round(1),
            "region": rng.choice(["north", "south"], n),
            "events.days_to_cut": pl.Series(
                [None if not d and i % 2 else d for i, d in enumerate(days)],
                dtype=pl.List(pl.Float32),
            ),
            "events.item": pl.Series(
                [None if not v and i % 2 else v for i, v in enumerate(items)],
                dtype=pl.List(pl.String),
            ),
            "events.amount": pl.Series(
                [None if not v and i % 2 else v for i, v in enumerate(amounts)],
                dtype=pl.List(pl.Float32),
            ),
        }
    )
    return Customers(X, np.array(y).astype(np.int64))


@pytest.fixture(scope="session")
def customers() -> Customers:
    return make_customers()


@pytest.fixture(scope="session")
def later() -> Customers:
    """Rows that no fit has seen."""
    return make_customers(400, seed=1)
