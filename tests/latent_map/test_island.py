from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest

from thinfile.errors import DataError
from thinfile.latent_map.columns import columns_of
from thinfile.latent_map.island import (
    Term,
    _best_term,
    differences,
    event_share,
    find_rule,
)
from thinfile.metrics.calibration import wilson_interval

RNG = np.random.default_rng(2)
N = 400
FRAME = pl.DataFrame(
    {
        "a": RNG.normal(size=N),
        "b": RNG.integers(0, 6, N),
        "kind": RNG.choice(["x", "y", "z"], N),
        "outcome": RNG.normal(size=N),
        "fraud": RNG.integers(0, 2, N),
    }
).with_columns(a=pl.when(pl.int_range(N) % 40 == 0).then(None).otherwise(pl.col("a")))
ROLES = {"a": "feature", "b": "feature", "kind": "feature", "fraud": "label"}
COLUMNS = columns_of(FRAME, ROLES)
BY_NAME = {column.name: column for column in COLUMNS}
BOX = ((FRAME["a"] > 0.2) & (FRAME["b"] <= 3) & (FRAME["kind"] == "y")).fill_null(False).to_numpy()


def test_the_share_has_wilsons_interval():
    label = np.array([1, 1, 0, 0, 0, -1, 1], dtype=np.int8)
    found = event_share(label, np.arange(7) < 6)
    low, high = wilson_interval(2, 5)
    assert (found.n_rows, found.n_labelled, found.n_events) == (6, 5, 2)
    assert (found.share, found.low, found.high) == pytest.approx((0.4, float(low), float(high)))


def test_a_share_of_a_sample_that_kept_every_event_is_put_right():
    label = np.r_[np.ones(30), np.zeros(70)].astype(np.int8)
    found = event_share(label, np.ones(100, dtype=bool), kept=0.1)
    assert found.share == pytest.approx(30 / (30 + 700))
    assert found.low < found.share < found.high


def test_no_label_gives_no_share():
    found = event_share(np.full(3, -1, dtype=np.int8), np.ones(3, dtype=bool))
    assert found.n_labelled == 0
    assert np.isnan(found.share)


def test_differences_are_those_of_the_slow_way():
    found = {each.column: each for each in differences(COLUMNS, BOX)}
    assert set(found) == {"a", "b", "kind", "outcome"}
    a = FRAME["a"].cast(pl.Float32).cast(pl.Float64)
    inside, rest = a.filter(BOX).mean(), a.filter(~BOX).mean()
    assert found["a"].inside == pytest.approx(inside)
    assert found["a"].standardised == pytest.approx((inside - rest) / a.std(ddof=0))
    share = (FRAME["kind"] == "y").mean()
    rest = (FRAME["kind"].filter(~BOX) == "y").mean()
    assert (found["kind"].word, found["kind"].inside) == ("y", 1.0)
    assert found["kind"].standardised == pytest.approx((1 - rest) / (share * (1 - share)) ** 0.5)


def test_the_largest_difference_is_first():
    sizes = [abs(each.standardised) for each in differences(COLUMNS, BOX)]
    assert sizes == sorted(sizes, reverse=True)


def test_a_box_is_found_again():
    rule = find_rule(COLUMNS, BOX)
    assert {term.column for term in rule.terms} == {"a", "b", "kind"}
    assert rule.precision > 0.9
    assert rule.coverage > 0.9
    covered = np.logical_and.reduce([term.holds(BY_NAME[term.column]) for term in rule.terms])
    assert covered.sum() == rule.n_covered
    assert (covered & BOX).sum() / BOX.sum() == rule.coverage


def test_a_rule_uses_features_only():
    inside = FRAME["outcome"].to_numpy() > 1
    assert all(term.column in ROLES for term in find_rule(COLUMNS, inside).terms)


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_range_is_the_best_of_all_ranges(name):
    column, covered = BY_NAME[name], np.ones(N, dtype=bool)
    f1, term = _best_term(column, BOX, covered, int(BOX.sum()))
    ends = [-np.inf, *column.cuts, np.inf]
    every = [
        2 * (held & BOX).sum() / (held.sum() + BOX.sum())
        for low, high in product(ends, ends)
        if low < high
        for held in [Term(name, low, high).holds(column)]
    ]
    assert f1 == pytest.approx(max(every))
    held = term.holds(column)
    assert 2 * (held & BOX).sum() / (held.sum() + BOX.sum()) == pytest.approx(f1)


def test_noise_has_no_rule_that_is_worth_it():
    inside = np.zeros(N, dtype=bool)
    inside[:200] = True
    rule = find_rule(COLUMNS[:1], RNG.permutation(inside), max_terms=1)
    assert len(rule.terms) <= 1
    assert rule.coverage > 0.5


@pytest.mark.parametrize("n_inside", [0, N])
def test_an_island_is_some_rows_not_all(n_inside):
    with pytest.raises(DataError, match=rf"the island holds {n_inside} of 400 rows: some, not all"):
        find_rule(COLUMNS, np.arange(N) < n_inside)
    with pytest.raises(DataError, match="some, not all"):
        differences(COLUMNS, np.arange(N) < n_inside)
