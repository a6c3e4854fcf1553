"""Stylised facts, against slow loops and against series whose facts are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from thinfile.errors import DataError, ParameterError
from thinfile.metrics.stylised_facts import (
    FACTS,
    absolute_autocorrelation,
    autocorrelation,
    compare_facts,
    stylised_facts,
)


def test_autocorrelations_are_those_of_a_slow_loop() -> None:
    x = np.random.default_rng(0).normal(size=(4, 12)).cumsum(axis=1)
    x[1, 8:] = np.nan
    mean, spread = np.nanmean(x), np.nanstd(x)
    for lag in (1, 3):
        products = [
            (row[t] - mean) * (row[t + lag] - mean) / spread**2
            for row in x
            for t in range(len(row) - lag)
            if np.isfinite(row[t]) and np.isfinite(row[t + lag])
        ]
        assert autocorrelation(x, 3)[lag - 1] == pytest.approx(np.mean(products))


def test_normal_noise_has_none_of_the_facts() -> None:
    facts = stylised_facts(np.random.default_rng(1).normal(size=(500, 60)))
    assert set(facts) == set(FACTS)
    assert facts["excess kurtosis"] == pytest.approx(0, abs=0.15)
    assert facts["skewness"] == pytest.approx(0, abs=0.05)
    for name in FACTS:
        if "autocorrelation" in name or name == "leverage":
            assert facts[name] == pytest.approx(0, abs=0.02), name


def test_clustered_moves_show_it() -> None:
    rng = np.random.default_rng(0)
    level = np.exp(0.6 * rng.normal(size=(300, 1)))
    mild = np.exp(0.5 * rng.normal(size=(300, 6, 1)))
    moves = (mild * rng.normal(size=(300, 6, 10))).reshape(300, 60) * level
    facts = stylised_facts(moves)
    assert facts["excess kurtosis"] > 2
    assert facts["autocorrelation of |moves|, lag 1"] > 0.2
    assert facts["volatility of volatility"] > 0.4
    assert abs(facts["autocorrelation of moves, lag 1"]) < 0.1


def test_falls_that_raise_volatility_are_leverage() -> None:
    rng = np.random.default_rng(2)
    moves, spread = np.zeros((400, 60)), np.ones(400)
    for step in range(60):
        moves[:, step] = spread * rng.normal(size=400)
        spread = 0.8 * spread + 0.2 * np.where(moves[:, step] < 0, 1.8, 0.6)
    assert stylised_facts(moves)["leverage"] < -0.03
    assert stylised_facts(-moves)["leverage"] > 0.03


def test_the_tail_index_of_a_pareto_law_is_found() -> None:
    rng = np.random.default_rng(3)
    sizes = rng.pareto(3.0, size=(200, 200)) + 1
    moves = sizes * rng.choice([-1.0, 1.0], size=sizes.shape)
    assert stylised_facts(moves)["tail index"] == pytest.approx(3.0, abs=0.3)


def test_a_sample_of_the_same_law_lies_inside_and_another_does_not() -> None:
    rng = np.random.default_rng(4)
    real, same = rng.standard_t(4, size=(2, 300, 40))
    found = compare_facts(real, same, n_draws=100, random_state=0)
    assert found["within"].sum() >= 7
    assert (found["low"].fill_nan(0) <= found["high"].fill_nan(0)).all()
    other = compare_facts(real, rng.normal(size=(300, 40)), n_draws=50, random_state=0)
    assert not dict(zip(other["fact"], other["within"], strict=True))["excess kurtosis"]


def test_unequal_lengths_and_short_paths() -> None:
    facts = stylised_facts([np.array([1.0, -1.0, 0.5]), np.array([0.2])])
    assert np.isnan(facts["excess kurtosis of 5-step sums"])
    assert np.isfinite(facts["autocorrelation of moves, lag 1"])
    assert np.isnan(absolute_autocorrelation(np.array([[1.0, 2.0, 4.0]]), 5)[3:]).all()


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], r"paths have shape \(0, 0\)"),
        (np.zeros((2, 3)), "all 6 moves are alike"),
        (np.array([[1.0, np.inf]]), r"1 of 2 moves are infinite \(first: path 0, step 1\)"),
        (np.zeros((2, 3, 2)), "must be"),
    ],
)
def test_bad_paths_are_named(paths: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        stylised_facts(paths)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ParameterError, match=r"n_draws=0.*level=1"):
        compare_facts(np.ones((1, 2)), np.ones((1, 2)), n_draws=0, level=1)
