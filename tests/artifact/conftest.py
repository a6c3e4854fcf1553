"""A table with every kind of column, and one small fitted estimator per method."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.estimator import Estimator
from thinfile.methods import METHODS
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

SCHEMA = Schema(
    (
        Column("customer", "id"),
        Column("income", "number", minimum=0.0),
        Column("age", "number"),
        Column("rarely", "number"),
        Column("grade", "ordinal", order=("low", "mid", "high")),
        Column("owner", "boolean"),
        Column("town", "category"),
        Column("job", "category"),
        Column("opened", "date"),
        Column("stamp", "date"),
        Column("constant", "number"),
    )
)
TOWNS = [*"abcdefghijklmnop", "Grün", "山"]


def make_table(n_rows: int, seed: int, *, unseen: bool = False) -> tuple[pl.DataFrame, Any]:
    """Rows with gaps everywhere, and labels that depend on age and town."""
    rng = np.random.default_rng(seed)

    def gaps(values: Any) -> list[Any]:
        values = values.tolist() if isinstance(values, np.ndarray) else values
        return [None if rng.random() < 0.1 else value for value in values]

    start, days = dt.datetime(1955, 1, 1), rng.integers(0, 30_000, n_rows)
    seconds = rng.uniform(0, 6e7, n_rows)
    frame = pl.DataFrame(
        {
            "customer": [f"C{number}" for number in range(n_rows)],
            "income": gaps(rng.lognormal(3, 1, n_rows).round(2)),
            "age": rng.integers(18, 80, n_rows).astype(float),
            "rarely": (rng.random(n_rows) < 0.01).astype(float),
            "grade": gaps(rng.choice(["low", "mid", "high"], n_rows)),
            "owner": gaps(rng.choice([True, False], n_rows)),
            "town": gaps(rng.choice(TOWNS + ["new 1", "new 2"] * unseen, n_rows)),
            "job": gaps(rng.choice(["x", "y", "z"] + ["q"] * unseen, n_rows)),
            "opened": gaps([start + dt.timedelta(days=int(day)) for day in days]),
            "stamp": gaps([dt.datetime(2019, 1, 1) + dt.timedelta(seconds=s) for s in seconds]),
            "constant": np.ones(n_rows),
        }
    )
    is_known = frame["town"].is_in(TOWNS[:4]).fill_null(False).to_numpy()
    log_odds = frame["age"].to_numpy() / 20 + is_known - 3.2
    return frame, (rng.normal(size=n_rows) < log_odds).astype(int)


@cache
def fit_method(name: str) -> Estimator:
    """The method, fitted quickly: 600 source rows and 300 target rows, half of them labelled."""
    X, y = make_table(900, 0)
    y[750:] = -1
    domain = np.repeat(["old", "new"], [600, 300])
    arguments: dict[str, Any] = {"schema": SCHEMA, "target_domain": "new", "random_state": 0}
    known = METHODS[name].estimator_class()().get_params()
    arguments |= {key: value for key, value in FAST.items() if key in known}
    return METHODS[name].build(**arguments).fit(X, y, domain=domain)


FAST = {"max_epochs": 2, "n_trees": 12, "n_rounds": 3}


@pytest.fixture
def fitted() -> Callable[[str], Estimator]:
    return fit_method


@pytest.fixture(scope="session")
def new_rows() -> pl.DataFrame:
    """Rows that no fit has seen, some of them with unseen categories."""
    return make_table(500, 1, unseen=True)[0]
