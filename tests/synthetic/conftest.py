"""Small mixed tables of one law, ways of making rows with known faults, and a toy generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.data.row_hash import row_hashes
from thinfile.schema.model import Schema


def make_people(n: int, seed: int = 0) -> pl.DataFrame:
    """Numbers, categories, a flag and dates with gaps, that belong together; and a label."""
    rng = np.random.default_rng(seed)
    age = rng.normal(45, 12, n).round(1)
    income = np.exp(rng.normal(7.5, 0.5, n) + age / 100).round(2)
    job = np.where(income > 3_500, "lead", rng.choice(["clerk", "nurse", "smith"], n))
    log_odds = (age - 47) / 6 - 2.0 * (job == "nurse") + 0.3
    bad = (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(np.int64)
    days = rng.integers(0, 700, n).astype("timedelta64[D]") + np.datetime64("2019-01-01")
    frame = pl.DataFrame({"age": age, "income": income, "job": job, "since": days, "bad": bad})
    return frame.with_columns(
        income=pl.when(pl.Series(rng.random(n) > 0.1)).then("income"),
        job=pl.when(pl.Series(rng.random(n) > 0.05)).then("job"),
        owns=pl.Series(rng.random(n) < 0.4),
    ).select("age", "income", "job", "owns", "since", "bad")


def apart(table: pl.DataFrame, n: int, seed: int = 0) -> pl.DataFrame:
    """Rows whose columns were drawn independently: the law of each column and no other."""
    return pl.DataFrame(
        [
            table[name].sample(n, with_replacement=True, seed=seed + place)
            for place, name in enumerate(table.columns)
        ]
    )


class Toy:
    """Draws columns apart from training rows; the first `copies` of a batch are such rows whole."""

    def __init__(self, *, copies: int = 0, keeps_hashes: bool = True) -> None:
        self.copies, self.keeps_hashes = copies, keeps_hashes
        self.given: list[pl.DataFrame] = []

    def fit(self, table: pl.DataFrame) -> Toy:
        self.schema_ = Schema.infer(table)
        self.rows = self.schema_.parse(table).frame
        if self.keeps_hashes:
            self.row_hashes_ = np.unique(row_hashes(self.rows))
        return self

    def sample(self, n: int, *, random_state: Any = None) -> pl.DataFrame:
        return self._draw(self.rows, n, random_state)

    def sample_like(self, X: Any, n: int, *, random_state: Any = None) -> pl.DataFrame:
        self.given.append(X)
        return self._draw(self.schema_.parse(X).frame, n, random_state)

    def _draw(self, rows: pl.DataFrame, n: int, seed: Any) -> pl.DataFrame:
        made = apart(rows, n, 0 if seed is None else seed)
        made = made.with_columns(pl.col(pl.Float64) * 1.001)
        return pl.concat([self.rows.head(self.copies), made]).head(n)


@pytest.fixture(scope="session")
def toy() -> type[Toy]:
    return Toy


@pytest.fixture(scope="session")
def people() -> Callable[..., pl.DataFrame]:
    return make_people


@pytest.fixture(scope="session")
def independent() -> Callable[..., pl.DataFrame]:
    return apart
