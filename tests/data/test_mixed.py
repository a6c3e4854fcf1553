"""Mixed columns there and back: round trips, ranges, types, rare values and hostile columns."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.encode import Encoded
from thinfile.data.mixed import MixedEncoder
from thinfile.errors import DataError, ParameterError, SchemaError
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

SCHEMA = Schema(
    (
        Column("amount", "number"),
        Column("count", "number"),
        Column("level", "ordinal"),
        Column("flag", "boolean"),
        Column("kind", "category"),
        Column("day", "date"),
    )
)
SCALINGS = ["minmax", "standard", "quantile"]


def table(n: int, seed: int = 0, gaps: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "amount": rng.normal(50, 20, n).round(2),
            "count": rng.integers(0, 9, n).astype(float),
            "level": rng.integers(0, 4, n).astype(float),
            "flag": rng.random(n) < 0.3,
            "kind": rng.choice(["a", "b", "c"], n),
            "day": pl.Series(rng.integers(0, 900, n) * 86_400_000_000).cast(pl.Datetime("us")),
        }
    )
    if not gaps:
        return frame
    holes = [pl.Series(rng.random(n) < gaps) for _ in frame.columns]
    return frame.with_columns(
        pl.when(~hole).then(pl.col(name)).alias(name)
        for name, hole in zip(frame.columns, holes, strict=True)
    )


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_training_rows_come_back_whole(scaling, gaps):
    frame = table(200, gaps=gaps)
    encoder = MixedEncoder(SCHEMA, scaling=scaling, min_count=1).fit(frame)
    back = encoder.inverse(encoder.transform(frame))
    assert back.schema == frame.schema
    exact = ["flag", "kind", "count", "level"]
    assert back.select(exact).equals(frame.select(exact))
    tolerance = 0.5 if scaling == "quantile" else 1e-2  # 256 quantiles of 200 values
    assert ((back["amount"] - frame["amount"]).abs().fill_null(0) <= tolerance).all()
    assert back["amount"].is_null().equals(frame["amount"].is_null())
    assert ((back["day"] - frame["day"]).dt.total_days().abs().fill_null(0) <= 1).all()


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(3, 40),
    seed=st.integers(0, 999),
    scaling=st.sampled_from(SCALINGS),
    low=st.sampled_from([-1.0, 0.0]),
)
def test_whatever_a_network_gives_becomes_a_row_like_those_of_training(n, seed, scaling, low):
    frame = table(n, seed, gaps=0.1).with_columns(flag=pl.Series([True, False] + [None] * (n - 2)))
    try:
        encoder = MixedEncoder(SCHEMA, scaling=scaling, low=low, min_count=1).fit(frame)
    except DataError:
        return  # so few rows that nothing varies
    rng = np.random.default_rng(seed)
    numbers = rng.normal(0, 5, (50, len(encoder.number_names_))).astype(np.float32)
    codes = np.stack(
        [rng.integers(0, c, 50) for c in encoder.cardinalities_] or [np.empty(50)], axis=1
    )
    codes = codes[:, : len(encoder.cardinalities_)].astype(np.int32)
    made = encoder.inverse(Encoded(numbers, codes), random_state=0)
    assert made.schema == frame.schema
    for name in ("amount", "count", "level"):
        seen = frame[name].drop_nulls()
        if seen.len():
            inside = made[name].drop_nulls().is_between(seen.min(), seen.max())
            assert inside.all()
    assert (made["count"].drop_nulls() % 1 == 0).all()
    assert (made["amount"].drop_nulls().round(2) == made["amount"].drop_nulls()).all()
    assert set(made["kind"].drop_nulls()) <= set(frame["kind"].drop_nulls())
    assert encoder.transform(made).numbers.shape == numbers.shape


def test_ends_of_the_scale_and_clipping():
    frame = pl.DataFrame({"x": [0.0, 5.0, 10.0]})
    encoder = MixedEncoder(Schema.numeric(["x"]), low=-1.0, high=1.0).fit(frame)
    beyond = pl.DataFrame({"x": [-90.0, 0.0, 2.5, 10.0, 1e300]})
    assert encoder.transform(beyond).numbers.ravel().tolist() == [-1.0, -1.0, -0.5, 1.0, 1.0]


def test_no_and_yes_follow_the_scale():
    frame = pl.DataFrame({"x": [1.0, None, 3.0], "f": [True, False, True]})
    schema = Schema((Column("x", "number"), Column("f", "boolean")))
    encoder = MixedEncoder(schema, low=-1.0).fit(frame)
    assert encoder.number_names_ == ["x", "x (missing)", "f"]
    assert encoder.number_columns_ == ["x", "x", "f"]
    assert encoder.binary_ == [False, True, True]
    assert encoder.transform(frame).numbers.tolist() == [
        [-1.0, -1.0, 1.0],
        [0.0, 1.0, -1.0],
        [1.0, -1.0, 1.0],
    ]
    standard = MixedEncoder(schema, scaling="standard").fit(frame).transform(frame).numbers
    assert set(standard[:, 1:].ravel().tolist()) == {0.0, 1.0}


def test_prices_that_came_through_float32_have_two_decimals_again():
    prices = np.array([12.34, 0.1, 999.99], dtype=np.float32).astype(np.float64)
    encoder = MixedEncoder(Schema.numeric(["x"])).fit(pl.DataFrame({"x": prices}))
    made = encoder.inverse(Encoded(np.float32([[0.5]]), np.empty((1, 0), np.int32)))
    assert made["x"][0] == 500.05 or made["x"][0] == 500.04
    free = MixedEncoder(Schema.numeric(["x"])).fit(pl.DataFrame({"x": [0.1, 2 / 3]}))
    assert free._states[0]["decimals"] is None


def test_constant_missing_and_text_columns_are_named_and_put_back():
    n = 300
    frame = pl.DataFrame(
        {
            "x": np.arange(float(n)),
            "same": [2.5] * n,
            "since": [datetime(2020, 1, 2)] * n,
            "gone": pl.Series([None] * n, dtype=pl.String),
            "letter": [f"Dear {i}" for i in range(n)],
        }
    )
    roles = ["number", "number", "date", "category", "category"]
    schema = Schema(tuple(Column(*pair) for pair in zip(frame.columns, roles, strict=True)))
    encoder = MixedEncoder(schema).fit(frame)
    assert encoder.number_names_ == ["x"]
    assert encoder.notes_ == [
        "column 'same': 2.5 in every training row, left out and put back as it is",
        "column 'since': '2020-01-02T00:00:00' in every training row, left out and put back as it "
        "is",
        "column 'gone': every training row is missing, left out and kept missing",
        "column 'letter': 300 different values in 300 rows and none of them in min_count=3 rows: "
        "taken for free text, not learned from and empty (missing) where rows are made or given "
        "back",
    ]
    back = encoder.inverse(encoder.transform(frame))
    assert back.columns == frame.columns
    assert back.schema == frame.schema
    assert back.drop("letter").equals(frame.drop("letter"))
    assert back["letter"].null_count() == n


def test_rare_values_are_drawn_by_their_frequency():
    kinds = ["often"] * 950 + ["rare"] * 9 + ["rarer"] * 3 + ["often too"] * 38
    encoder = MixedEncoder(Schema((Column("kind", "category"),)), min_count=10)
    encoder.fit(pl.DataFrame({"kind": kinds}))
    assert encoder.cardinalities_ == [4]
    ones = Encoded(np.empty((4000, 0), np.float32), np.ones((4000, 1), np.int32))
    made = encoder.inverse(ones, random_state=3)["kind"]
    assert made.equals(encoder.inverse(ones, random_state=3)["kind"])
    assert set(made) == {"rare", "rarer"}
    assert 0.70 < (made == "rare").mean() < 0.80


def test_a_rare_code_without_rare_values_is_the_most_frequent_word():
    encoder = MixedEncoder(Schema((Column("kind", "category"),)), min_count=1)
    encoder.fit(pl.DataFrame({"kind": ["a", "b", "b"]}))
    ones = Encoded(np.empty((2, 0), np.float32), np.ones((2, 1), np.int32))
    assert encoder.inverse(ones)["kind"].to_list() == ["b", "b"]


@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_state_is_json_and_gives_the_same_bits(scaling):
    frame = table(80, gaps=0.1)
    encoder = MixedEncoder(SCHEMA, scaling=scaling, low=-1.0).fit(frame)
    again = MixedEncoder.from_state(json.loads(json.dumps(encoder.to_state())))
    other = table(30, seed=5, gaps=0.1)
    first, second = encoder.transform(other), again.transform(other)
    assert np.array_equal(first.numbers, second.numbers)
    assert np.array_equal(first.codes, second.codes)
    assert encoder.inverse(first, random_state=1).equals(again.inverse(second, random_state=1))
    assert again.notes_ == encoder.notes_


def test_huge_numbers_and_a_single_value_beside_gaps_do_not_overflow():
    frame = pl.DataFrame({"x": [-1.7e308, 1.7e308, 0.0], "y": [4.0, None, 4.0]})
    encoder = MixedEncoder(Schema.numeric(["x", "y"])).fit(frame)
    encoded = encoder.transform(frame)
    assert np.isfinite(encoded.numbers).all()
    assert encoder.inverse(encoded).equals(frame)


def test_a_gap_where_training_had_none_is_filled():
    encoder = MixedEncoder(Schema.numeric(["x"])).fit(pl.DataFrame({"x": [0.0, 1.0, 4.0]}))
    gap = pl.DataFrame({"x": pl.Series([None], dtype=pl.Float64)})
    assert encoder.transform(gap).numbers.tolist() == [[0.25]]


def test_faults_are_named():
    schema = Schema.numeric(["x"])
    with pytest.raises(ParameterError, match=r"scaling='log' must be one of .*; max_categories=0"):
        MixedEncoder(schema, scaling="log", max_categories=0)
    with pytest.raises(ParameterError, match=r"low=1.0 must lie below high=1.0"):
        MixedEncoder(schema, low=1.0)
    with pytest.raises(DataError, match="table without rows"):
        MixedEncoder(schema).fit(pl.DataFrame({"x": []}, schema={"x": pl.Float64}))
    with pytest.raises(DataError, match="cannot be fitted on one row"):
        MixedEncoder(schema).fit(pl.DataFrame({"x": [1.0]}))
    with pytest.raises(DataError, match="no column varies in 2 training rows: column 'x'"):
        MixedEncoder(schema).fit(pl.DataFrame({"x": [1.0, 1.0]}))
    with pytest.raises(SchemaError, match="lacks columns: 'x'"):
        MixedEncoder(schema).fit(pl.DataFrame({"z": [1.0, 2.0]}))
    encoder = MixedEncoder(Schema((Column("k", "category"),)), min_count=1)
    encoder.fit(pl.DataFrame({"k": ["a", "b"]}))
    none = np.empty((1, 0), np.float32)
    with pytest.raises(DataError, match=r"column 'k': a code is outside 0 … 3"):
        encoder.inverse(Encoded(none, np.int32([[4]])))
    with pytest.raises(DataError, match="1 numbers and 1 codes per row must be 0 and 1"):
        encoder.inverse(Encoded(np.float32([[0]]), np.int32([[2]])))
    with pytest.raises(DataError, match="format 9, this version reads 1"):
        MixedEncoder.from_state({"format": 9})
    with pytest.raises(DataError, match="damaged: KeyError"):
        MixedEncoder.from_state({"format": 1})


def test_a_category_without_a_frequent_value_is_told_of_by_every_model_that_reads_it():
    from thinfile.generative.vae import VAE

    shops = pl.DataFrame({"sum": np.arange(300.0), "shop": [f"M{i % 150}" for i in range(300)]})
    schema = Schema((Column("sum", "number"), Column("shop", "category")))
    model = VAE(max_epochs=1, schema=schema, random_state=0).fit(shops)
    said = "column 'shop': 150 different values in 300 rows and none of them in min_count=3 rows"
    assert any(note.startswith(said) for note in model.notes_)
    assert model.sample(20)["shop"].null_count() == 20
