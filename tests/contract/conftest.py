"""A small raw table of two populations, and every method at a size that fits in seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from thinfile.estimator import Estimator
from thinfile.methods import METHODS

SMALL: dict[str, Any] = {
    "n_trees": 5,
    "n_rounds": 2,
    "widths": (8, 4),
    "max_epochs": 2,
    "tuning_epochs": 2,
    "max_steps": 20,
    "n_members": 1,
    "device": "cpu",
}
"""Arguments that make a fit short; each method takes those that it has."""


@dataclass(frozen=True)
class Rows:
    """Raw rows as they come from a file, the source first."""

    X: pl.DataFrame
    y: npt.NDArray[np.int64]  # (rows,): 1, 0, -1
    domain: npt.NDArray[np.str_]  # (rows,): "old", "new"

    @property
    def is_target(self) -> npt.NDArray[np.bool_]:
        return self.domain == "new"

    @property
    def hidden(self) -> pl.DataFrame:
        """The rows of the target that have no label."""
        return self.X.filter(pl.Series(self.y == -1))

    def fit(self, model: Estimator) -> Estimator:
        return model.fit(self.X, self.y, domain=self.domain)


def _build(name: str, **arguments: Any) -> Estimator:
    given = {"target_domain": "new", "random_state": 0, **SMALL, **arguments}
    known = METHODS[name].estimator_class()().get_params()
    return METHODS[name].build(**{k: v for k, v in given.items() if k in known})


def _make_rows(n_source: int = 240, n_target: int = 120, n_labels: int = 60) -> Rows:
    rng = np.random.default_rng(0)
    n = n_source + n_target
    is_target = np.arange(n) >= n_source
    age = np.round(rng.normal(45, 12, n), 1)
    income = rng.lognormal(8, 0.5, n)
    region = rng.choice(["north", "south", "east"], n)
    days = rng.integers(0, 3000, n)
    log_odds = (age - 45) / 8 + 0.8 * (region == "south") - 0.5 - 0.5 * is_target
    y = (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(np.int64)
    y[np.flatnonzero(is_target)[n_labels:]] = -1
    X = pl.DataFrame(
        {
            "age": [None if i % 11 == 0 else float(v) for i, v in enumerate(age)],
            "income": [f"{v:,.2f}" for v in income],
            "region": [None if i % 13 == 0 else str(v) for i, v in enumerate(region)],
            "opened": [str(np.datetime64("2015-01-01") + int(d)) for d in days],
            "active": rng.random(n) < 0.5,
        }
    )
    return Rows(X, y, np.where(is_target, "new", "old"))


@pytest.fixture(scope="session")
def build() -> Callable[..., Estimator]:
    """Gives the method of a name, small, for the target "new"."""
    return _build


@pytest.fixture(scope="session")
def rows() -> Rows:
    return _make_rows()


@pytest.fixture(scope="session")
def fitted(rows: Rows) -> Callable[[str], Estimator]:
    """Each method fitted once on `rows`; tests must leave it as it is."""
    models: dict[str, Estimator] = {}

    def get(name: str) -> Estimator:
        if name not in models:
            models[name] = rows.fit(_build(name))
        return models[name]

    return get


@pytest.fixture(scope="session")
def state_bytes() -> Callable[[Estimator], str]:
    """Gives a text that is the same for two models exactly if they are, bit for bit."""
    return _state_bytes


def _state_bytes(model: Estimator) -> str:
    state = model.get_state()
    values = _without_seconds(state.values)
    arrays = {k: (v.dtype.str, v.shape, v.tobytes()) for k, v in state.arrays.items()}
    return repr(
        (json.dumps(values, sort_keys=True), sorted(arrays.items()), sorted(state.files.items()))
    )


def _without_seconds(value: Any) -> Any:
    """The state without what a clock said, in models within models too."""
    if isinstance(value, dict):
        return {k: _without_seconds(v) for k, v in value.items() if "seconds" not in k}
    return [_without_seconds(each) for each in value] if isinstance(value, list) else value
