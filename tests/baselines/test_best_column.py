from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.baselines.best_column import BestColumnClassifier, best_order
from thinfile.metrics.ranking import roc_auc


def _recency(n: int = 3000, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Who bought lately buys again; a third has never bought and hardly does."""
    rng = np.random.default_rng(seed)
    days = rng.exponential(60, n)
    never = rng.random(n) < 1 / 3
    chance = np.where(never, 0.02, 0.6 * np.exp(-days / 40))
    X = pl.DataFrame(
        {
            "visits": rng.poisson(3, n),
            "own_days_since_last": pl.Series(days).set(pl.Series(never), None),
            "town": rng.choice(["x", "y", "z"], n),
        }
    )
    return X, (rng.random(n) < chance).astype(int)


def test_recency_is_found_with_its_direction_and_the_place_of_who_never_bought():
    X, y = _recency()
    model = BestColumnClassifier(random_state=0).fit(X, y)
    assert (model.column_, model.direction_) == ("own_days_since_last", -1)
    assert model.missing_ == "last"
    score = -X["own_days_since_last"].fill_null(1e9).to_numpy()
    assert model.auc_ == pytest.approx(roc_auc(y, score), abs=1e-6)
    note = "sorted by 'own_days_since_last', low values first, empty cells last: best of 3 columns"
    assert model.notes_[-1].startswith(note)


def test_the_order_of_unseen_rows_is_the_order_of_the_column_and_rates_are_met():
    X, y = _recency()
    model = BestColumnClassifier(random_state=0).fit(X, y)
    other, later = _recency(4000, seed=1)
    chance = model.predict_proba(other)[:, 1]
    score = -other["own_days_since_last"].fill_null(1e9).to_numpy()
    assert roc_auc(later, chance) == pytest.approx(roc_auc(later, score), abs=2e-3)
    order = np.argsort(score)
    assert (np.diff(chance[order]) >= -1e-12).all()
    assert chance.mean() == pytest.approx(later.mean(), abs=0.02)
    top = chance > np.quantile(chance, 0.9)
    assert chance[top].mean() == pytest.approx(later[top].mean(), abs=0.06)


def test_values_beyond_those_of_training_are_still_in_order():
    X, y = _recency()
    model = BestColumnClassifier(random_state=0).fit(X, y)
    days = [-50.0, -1.0, 0.001, 1.0, 500.0, 5000.0, 1e7]
    rows = pl.DataFrame({"visits": 1, "own_days_since_last": days, "town": "x"})
    assert (np.diff(model.predict_proba(rows)[:, 1]) < 0).all()


def test_high_values_first_with_empty_cells_in_front():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 500)
    value = np.where((y == 1) & (rng.random(500) < 0.5), np.nan, rng.normal(y, 1.0))
    X = pl.DataFrame({"noise": rng.normal(size=500), "value": value})
    model = BestColumnClassifier(random_state=0).fit(X, y)
    assert (model.column_, model.direction_, model.missing_) == ("value", 1, "first")
    empty, low = model.predict_proba(pl.DataFrame({"noise": [0.0, 0.0], "value": [None, 0.0]}))[
        :, 1
    ]
    assert empty > low


def test_a_category_is_sorted_by_its_event_rate():
    rng = np.random.default_rng(0)
    town = rng.choice(["x", "y", "z", "w"], 2000)
    rate = pl.Series(town).replace_strict({"x": 0.1, "y": 0.8, "z": 0.3, "w": 0.5}).to_numpy()
    y = (rng.random(2000) < rate).astype(int)
    X = pl.DataFrame({"town": town, "noise": rng.normal(size=2000)})
    model = BestColumnClassifier(random_state=0).fit(X, y)
    assert model.column_ == "town"
    rows = pl.DataFrame({"town": ["y", "w", "z", "x", "elsewhere"], "noise": 0.0})
    chance = model.predict_proba(rows)[:, 1]
    assert (np.diff(chance[:4]) < 0).all()
    assert np.isfinite(chance).all()


def test_a_category_of_many_values_does_not_win_by_chance():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 1000)
    X = pl.DataFrame(
        {
            "shop": rng.choice([f"shop {k}" for k in range(90)], 1000),
            "number": rng.normal(0.3 * y, 1.0),
        }
    )
    assert BestColumnClassifier(random_state=0).fit(X, y).column_ == "number"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 1.0, 2.5, float("nan")]), st.integers(0, 1)), min_size=2
    )
)
def test_the_best_of_four_orders_is_found(rows):
    values = np.array([value for value, _ in rows])
    y = np.array([label for _, label in rows], dtype=np.int8)
    if len(set(y.tolist())) < 2:
        return
    auc, direction, missing = best_order(values, y)
    ways = {}
    for sign, place in itertools.product((1, -1), ("first", "last")):
        score = np.where(np.isnan(values), 99.0 if place == "first" else -99.0, sign * values)
        ways[sign, place] = roc_auc(y, score)
    assert auc == pytest.approx(max(ways.values()))
    assert auc == pytest.approx(ways[direction, missing])
