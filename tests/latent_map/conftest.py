"""A small table of transactions with an island of frauds, and a map of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.baselines.logistic import LogisticClassifier
from thinfile.latent_map.build import LatentMap, build_map


def transactions(n_rows: int = 300, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    fraud = (rng.random(n_rows) < 0.15) * 1
    amount = rng.lognormal(size=n_rows).round(2) + 9 * fraud
    kind = np.where(rng.random(n_rows) < 0.1 + 0.85 * fraud, "web", "shop")
    return pl.DataFrame(
        {
            "id": [f"t{row}" for row in range(n_rows)],
            "amount": amount,
            "kind": kind,
            "hour": rng.integers(0, 24, n_rows),
            "fraud": fraud,
        }
    ).with_columns(
        amount=pl.when(pl.int_range(pl.len()) % 50 == 7).then(None).otherwise(pl.col("amount"))
    )


@pytest.fixture(scope="session")
def table() -> pl.DataFrame:
    return transactions()


@pytest.fixture(scope="session")
def model(table: pl.DataFrame) -> LogisticClassifier:
    return LogisticClassifier().fit(table.drop("id", "fraud"), table["fraud"].to_numpy())


@pytest.fixture(scope="session")
def made(model: LogisticClassifier, table: pl.DataFrame) -> LatentMap:
    return build_map(model, table, label="fraud", id_column="id", n_iter=50, max_laid_out=200)


class Coder:
    """An encoder of two numbers, as bare as the role allows."""

    def __init__(self, model: Any) -> None:
        self.schema_, self.encoder_, self._encode = model.schema_, model.encoder_, model._encode

    def transform(self, X: pl.DataFrame) -> np.ndarray:
        return self._encode(X).numbers[:, :2]


@pytest.fixture(scope="session")
def coder(model: LogisticClassifier) -> Coder:
    return Coder(model)
