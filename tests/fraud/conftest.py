"""A small table of payments with few frauds, and a comparison of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from thinfile.compare.result import Result
from thinfile.fraud.options import FraudOptions
from thinfile.fraud.run import compare_fraud
from thinfile.fraud.task import FraudTask, build_fraud_task


def make_payments(n: int = 3000, n_frauds: int = 60, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    fraud = np.zeros(n, dtype=np.int64)
    fraud[rng.choice(n, n_frauds, replace=False)] = 1
    channel = rng.choice(["shop", "web", "phone"], n, p=[0.6, 0.3, 0.1])
    return pl.DataFrame(
        {
            "payment": np.arange(n),
            "at": np.sort(rng.integers(0, 1_000_000, n)),
            "amount": np.round(rng.lognormal(3, 1, n) * (1 + 2 * fraud), 2),
            "distance": np.where(rng.random(n) < 0.05, np.nan, rng.normal(0, 1, n) + 2.5 * fraud),
            "channel": np.where(fraud & (rng.random(n) < 0.7), "web", channel),
            "fraud": fraud,
        }
    )


OPTIONS = FraudOptions(
    labels=(10, "all"),
    genuine=200,
    time="at",
    n_seeds=2,
    n_evidence_seeds=1,
    n_jobs=1,
    top=20,
    alerts=0.01,
    methods=("logistic", "boosted", "isolation_forest", "devnet"),
    overrides={"devnet": {"max_epochs": 2}},
)


@pytest.fixture(scope="session")
def payments() -> pl.DataFrame:
    return make_payments()


@pytest.fixture(scope="session")
def options() -> FraudOptions:
    return OPTIONS


@pytest.fixture(scope="session")
def task(payments: pl.DataFrame, options: FraudOptions) -> FraudTask:
    return build_fraud_task(payments, label="fraud", options=options, title="payments")


@pytest.fixture(scope="session")
def run(task: FraudTask, options: FraudOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "fraud"
    compare_fraud(task, out, options)
    return out


@pytest.fixture(scope="session")
def result(run: Path) -> Result:
    from thinfile.compare.result import load_result

    return load_result(run)
