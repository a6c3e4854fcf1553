"""Likeness: fast figures against slow obvious ones, and tables whose faults are known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, ks_2samp, spearmanr

from thinfile.errors import DataError
from thinfile.schema.model import Schema
from thinfile.synthetic.columns import judge_columns, ks_distance, tv_distance
from thinfile.synthetic.detection import _folds, detect
from thinfile.synthetic.fidelity import judge_fidelity
from thinfile.synthetic.pairs import cramers_v, judge_pairs
from thinfile.synthetic.sides import Sides, read_sides


@pytest.fixture(scope="module")
def sides(people, independent) -> Sides:
    real = people(400)
    schema = Schema.infer(real, label="bad")
    return read_sides(independent(real, 300), real, people(350, seed=1), schema, "bad")


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
)
def test_the_distance_of_numbers_is_the_largest_gap(first, second):
    gaps = [
        np.mean([x <= at for x in first]) - np.mean([x <= at for x in second]) for at in range(10)
    ]
    sides = [np.sort(np.array(side, dtype=float)) for side in (first, second)]
    assert ks_distance(*sides) == pytest.approx(max(map(abs, gaps)))
    assert ks_distance(sides[0], np.empty(0)) is None


def test_the_distance_of_numbers_is_scipys():
    rng = np.random.default_rng(0)
    first, second = np.sort(rng.normal(size=90)), np.sort(rng.normal(0.3, 1, size=70))
    assert ks_distance(first, second) == pytest.approx(ks_2samp(first, second).statistic)


def test_the_distance_of_categories_is_half_the_summed_gaps():
    assert tv_distance(np.array([2, 2]), np.array([1, 3])) == pytest.approx(0.25)
    assert tv_distance(np.array([5, 0]), np.array([0, 2])) == 1.0


def test_each_column_is_judged_by_its_kind(sides):
    found = {each.name: each for each in judge_columns(sides)}
    assert set(found) == {"age", "income", "job", "owns", "since", "bad"}
    assert found["since"].kind == "date"
    assert found["job"].measure == "total variation"
    assert found["age"].measure == "Kolmogorov–Smirnov"
    # Independent draws keep the law of each column: nothing beyond chance, but for 1 in 20.
    assert sum(each.distance > each.chance for each in found.values()) <= 1
    assert found["income"].missing_real == pytest.approx(0.1, abs=0.05)


def test_a_shifted_column_comes_first_and_new_values_are_counted(people):
    real = people(300)
    made = real.with_columns(
        age=pl.col("age") + 30, job=pl.lit("pilot"), income=pl.lit(None, pl.Float64)
    )
    sides = read_sides(made, real, None, Schema.infer(real, label="bad"), "bad")
    found = judge_columns(sides)
    assert found[0].name == "job"
    assert (found[0].distance, found[0].outside) == (1.0, 1.0)
    assert found[1].name == "age"
    assert found[1].distance > 0.6
    income = next(each for each in found if each.name == "income")
    assert (income.distance, income.missing_made) == (None, 1.0)


def test_pairs_are_those_of_slow_ways(sides):
    found = {(each.first, each.second): each for each in judge_pairs(sides)}
    real = sides.real
    whole = real.drop_nulls(["age", "income"])
    # Ranks are taken in the whole column, so that gaps in the other shift them a little.
    assert found["age", "income"].real == pytest.approx(
        spearmanr(whole["age"], whole["income"]).statistic, abs=0.01
    )
    job = real["job"].fill_null("none")
    table = pl.DataFrame({"a": job, "b": real["owns"]}).pivot(
        "b", index="a", values="b", aggregate_function="len"
    )
    counts = table.drop("a").fill_null(0).to_numpy()
    n = counts.sum()
    phi = chi2_contingency(counts, correction=False).statistic / n
    r, k = counts.shape
    phi = max(0.0, phi - (k - 1) * (r - 1) / (n - 1))
    rows, columns = r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)
    assert found["job", "owns"].real == pytest.approx(np.sqrt(phi / (min(rows, columns) - 1)))
    assert found["income", "job"].measure == "correlation ratio"
    assert found["income", "job"].real == pytest.approx(_slow_ratio(real), abs=1e-9)


def _slow_ratio(real: pl.DataFrame) -> float:
    rows = real.select("income", pl.col("job").fill_null("none")).drop_nulls("income")
    rows = rows.with_columns(rank=pl.col("income").rank())
    whole = ((rows["rank"] - rows["rank"].mean()) ** 2).sum()
    groups = rows.group_by("job").agg(pl.col("rank").mean().alias("m"), pl.len())
    between = sum(
        n * (mean - rows["rank"].mean()) ** 2 for mean, n in groups.select("m", "len").rows()
    )
    n, k = rows.height, groups.height
    return float(np.sqrt(max(0.0, 1 - (whole - between) / whole * (n - 1) / (n - k))))


def test_independent_columns_lose_their_pairs_and_the_holdout_keeps_them(sides):
    worst = judge_pairs(sides)[0]
    assert {worst.first, worst.second} <= {"age", "income", "job", "bad"}
    assert worst.difference > 0.3
    assert abs(worst.holdout - worst.real) < 0.15
    assert judge_fidelity(sides).pair_difference > judge_fidelity(sides).pair_holdout


def test_chance_alone_is_no_association():
    rng = np.random.default_rng(0)
    values = [cramers_v(rng.multinomial(60, np.ones(40) / 40).reshape(8, 5)) for _ in range(50)]
    assert np.mean(values) < 0.15
    assert np.isnan(cramers_v(np.array([[3, 4]])))


def test_the_classifier_tells_independent_columns_and_not_the_holdout(sides):
    made = detect(sides, sides.made)
    other = detect(sides, sides.holdout)
    assert made.low > 0.55
    assert other.low < 0.5 + 0.04
    assert made.n_real == made.n_made == 300
    assert {"income", "age"} == {name for name, _ in made.columns[:2]}


def test_copies_are_not_told_by_their_originals(people):
    real = people(400)
    made = real.sample(400, with_replacement=True, seed=0)
    sides = read_sides(made, real, None, Schema.infer(real, label="bad"), "bad")
    assert 0.4 < detect(sides, sides.made).auc < 0.6


def test_equal_rows_share_a_fold_and_folds_are_even():
    rows = pl.DataFrame({"a": [*range(40), *[7] * 20, *[8] * 3]})
    fold = _folds(rows)
    for value in (7, 8):
        assert len(set(fold[rows["a"].to_numpy() == value])) == 1
    sizes = np.bincount(fold, minlength=5)
    assert sorted(sizes)[:4] == [10, 10, 10, 12] or max(sorted(sizes)[:4]) - min(sizes) <= 12


def test_what_cannot_be_measured_is_named(people):
    real = people(40)
    sides = read_sides(people(30, seed=2), real, None, Schema.infer(real, label="bad"), "bad")
    found = judge_fidelity(sides)
    assert found.detection is None
    assert found.unmeasured == [
        "telling made from real rows: 30 rows on the smaller side; 50 of each are needed"
    ]
    assert found.column_distance is not None


def test_tables_without_rows_or_common_columns_are_refused(people):
    real = people(30)
    schema = Schema.infer(real, label="bad")
    with pytest.raises(DataError, match="made rows and hold-out rows: there are none"):
        read_sides(real.clear(), real, real.clear(), schema, "bad")
    with pytest.raises(DataError, match=r"the made rows \('x'\) share no column"):
        read_sides(pl.DataFrame({"x": [1]}), real, None, schema, "bad")
