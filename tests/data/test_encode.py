"""The encoder against a slow reading of its own state, round trips, and hostile columns."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from thinfile.data.encode import Encoded, TableEncoder
from thinfile.errors import DataError, ParameterError, SchemaError
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

SCHEMA = Schema(
    (
        Column("number", "number"),
        Column("level", "ordinal"),
        Column("flag", "boolean"),
        Column("kind", "category"),
        Column("day", "date"),
    )
)


def parsed(n: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    days = rng.integers(0, 9000, n)
    frame = pl.DataFrame(
        {
            "number": rng.lognormal(3, 2, n),
            "level": rng.integers(0, 4, n).astype(float),
            "flag": rng.random(n) < 0.3,
            "kind": pl.Series(rng.zipf(1.5, n) % 40).cast(pl.String),
            "day": [
                datetime(1990, 1, 1).timestamp() * 1e6 + int(day) * 86_400_000_000 for day in days
            ],
        }
    ).with_columns(pl.col("day").cast(pl.Int64).cast(pl.Datetime("us")))
    gaps = {name: pl.Series(rng.random(n) < 0.1) for name in frame.columns}
    return frame.with_columns(
        pl.when(~gaps[name]).then(pl.col(name)).alias(name) for name in frame.columns
    )


def slow_transform(state: dict[str, Any], frame: pl.DataFrame) -> tuple[list[Any], list[Any]]:
    """What the documented state means, value by value."""
    rows = [slow_row(state, row) for row in frame.iter_rows(named=True)]
    return [numbers for numbers, _ in rows], [codes for _, codes in rows]


def slow_row(state: dict[str, Any], row: dict[str, Any]) -> tuple[list[float], list[int]]:
    numbers: list[float] = []
    codes: list[int] = []
    for column in state["columns"]:
        value, role = row[column["name"]], column["role"]
        if role == "category":
            codes.append(slow_code(value, column["vocabulary"]))
            continue
        if role == "date":
            month = None if value is None else str(value.month)
            weekday = None if value is None else str(value.isoweekday())
            codes += [
                slow_code(part, words)
                for part, words in ((month, column["month"]), (weekday, column["weekday"]))
                if words is not None
            ]
            if value is not None:
                origin = datetime.combine(date.fromisoformat(column["origin"]), datetime.min.time())
                value = (value - origin).total_seconds() / 86_400
        if role == "boolean":
            gap = math.nan if state["scaling"] == "none" else column["fill"]
            numbers.append(gap if value is None else float(value))
        else:
            numbers.append(slow_number(value, column["number"]))
        if column["indicator"]:
            numbers.append(float(value is None))
    return numbers, codes


def slow_code(value: str | None, vocabulary: list[str]) -> int:
    if value is None:
        return 0
    return vocabulary.index(value) + 2 if value in vocabulary else 1


def slow_number(value: float | None, scale: dict[str, Any]) -> float:
    if not scale:
        return math.nan if value is None else value
    if value is None:
        return 0.0
    if "mean" in scale:
        score = (value - scale["mean"]) / scale["deviation"]
        return min(max(score, -scale["limit"]), scale["limit"])
    grid, scores = scale["grid"], scale["scores"]
    if value <= grid[0]:
        return float(scores[0])
    for left, right, low, high in zip(grid, grid[1:], scores, scores[1:], strict=False):
        if value <= right:
            return float(low + (high - low) * (value - left) / (right - left))
    return float(scores[-1])


@pytest.mark.parametrize("scaling", ["quantile", "standard", "none"])
def test_transform_is_what_the_state_says(scaling: str) -> None:
    encoder = TableEncoder(SCHEMA, scaling=scaling, min_count=5).fit(parsed(700))
    fresh = parsed(300, seed=1)
    encoded = encoder.transform(fresh)
    numbers, codes = slow_transform(encoder.to_state(), fresh)
    np.testing.assert_allclose(encoded.numbers, numbers, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(encoded.codes, codes)
    assert encoded.numbers.dtype == np.float32
    assert encoded.codes.dtype == np.int32
    assert encoded.numbers.flags.c_contiguous
    assert encoded.codes.flags.c_contiguous


def test_names_and_cardinalities() -> None:
    encoder = TableEncoder(SCHEMA).fit(parsed(700))
    assert encoder.number_names_ == [
        *("number", "number (missing)", "level", "level (missing)"),
        *("flag", "flag (missing)", "day (days)", "day (missing)"),
    ]
    assert encoder.code_names_ == ["kind", "day (month)", "day (weekday)"]
    assert encoder.cardinalities_[1:] == [14, 9]
    bare = TableEncoder(SCHEMA, scaling="none").fit(parsed(700))
    assert bare.number_names_ == ["number", "level", "flag", "day (days)"]
    assert np.isnan(bare.transform(parsed(50)).numbers).any()


@pytest.mark.parametrize("scaling", ["quantile", "standard", "none"])
def test_the_state_is_json_and_gives_the_same_bits(scaling: str) -> None:
    encoder = TableEncoder(SCHEMA, scaling=scaling, max_categories=7).fit(parsed(500))
    again = TableEncoder.from_state(json.loads(json.dumps(encoder.to_state(), allow_nan=False)))
    fresh = parsed(200, seed=3)
    first, second = encoder.transform(fresh), again.transform(fresh)
    assert first.numbers.tobytes() == second.numbers.tobytes()
    assert first.codes.tobytes() == second.codes.tobytes()
    assert again.to_state() == encoder.to_state()
    assert (again.number_names_, again.notes_) == (encoder.number_names_, encoder.notes_)


def test_fit_is_deterministic_and_does_not_see_other_rows() -> None:
    train, test = parsed(400), parsed(100, seed=9)
    first = TableEncoder(SCHEMA).fit(train)
    state = first.to_state()
    first.transform(test)
    assert first.to_state() == state == TableEncoder(SCHEMA).fit(train).to_state()
    # Ties in frequency are broken by the text, not by the order of rows.
    shuffled = train.sample(fraction=1, shuffle=True, seed=1)
    assert TableEncoder(SCHEMA).fit(shuffled).to_state()["columns"] == state["columns"]


def test_rows_do_not_influence_each_other() -> None:
    encoder = TableEncoder(SCHEMA).fit(parsed(400))
    fresh = parsed(150, seed=4)
    whole = encoder.transform(fresh)
    for row in (0, 77, 149):
        one = encoder.transform(fresh.slice(row, 1))
        np.testing.assert_array_equal(one.numbers[0], whole.numbers[row])
        np.testing.assert_array_equal(one.codes[0], whole.codes[row])
    assert encoder.transform(fresh.head(0)).numbers.shape == (0, 8)


def test_blocks_and_chunks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = TableEncoder(SCHEMA).fit(parsed(400))
    fresh = parsed(1000, seed=5)
    whole = encoder.transform(fresh)
    monkeypatch.setattr("thinfile.data.apply._CHUNK", 301)
    monkeypatch.setattr("thinfile.data.apply._BLOCK", 97)
    pieces = encoder.transform(fresh)
    np.testing.assert_array_equal(pieces.numbers, whole.numbers)
    np.testing.assert_array_equal(pieces.codes, whole.codes)


def one(values: Any, role: str = "number", **options: Any) -> tuple[TableEncoder, Encoded]:
    schema = Schema((Column("x", role),))
    frame = schema.parse(pl.DataFrame({"x": pl.Series(values, strict=False)})).frame
    encoder = TableEncoder(schema, **options)
    return encoder, encoder.fit_transform(frame)


def test_quantile_scores_are_normal_scores_whatever_the_tails() -> None:
    rng = np.random.default_rng(0)
    values = np.exp(rng.standard_cauchy(20_000).clip(-300, 300))
    _, encoded = one(values)
    scores = encoded.numbers[:, 0]
    rank = (np.argsort(np.argsort(values)) + 0.5) / values.size
    assert np.abs(scores - ndtri(rank))[(rank > 0.02) & (rank < 0.98)].max() < 0.05
    assert np.abs(scores).max() < 3.2
    assert abs(scores.std() - 1) < 0.02


def test_a_heavy_tie_gets_the_middle_of_its_ranks() -> None:
    encoder, _ = one([0.0] * 600 + [1.0] * 400)
    scale = encoder.to_state()["columns"][0]["number"]
    assert scale["grid"] == [0.0, 1.0]
    assert scale["scores"] == pytest.approx(ndtri([0.3, 0.8]), abs=0.01)


def test_a_rare_value_is_not_lost() -> None:
    _, encoded = one([0.0] * 9_999 + [5.0])
    assert encoded.numbers[-1, 0] - encoded.numbers[0, 0] > 2


def test_values_outside_the_training_range_stay_at_the_ends() -> None:
    encoder, encoded = one([1.0, 2.0, 3.0])
    far = encoder.transform(pl.DataFrame({"x": [-1e300, 1e300]})).numbers[:, 0]
    assert far.tolist() == [encoded.numbers[:, 0].min(), encoded.numbers[:, 0].max()]
    encoder, _ = one([1.0, 2.0, 3.0], scaling="standard")
    assert encoder.transform(pl.DataFrame({"x": [-1e300, 1e300]})).numbers[:, 0].tolist() == [-5, 5]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=50, unique=True
    ),
    st.sampled_from(["quantile", "standard"]),
)
def test_any_floats_give_finite_rising_scores(values: list[float], scaling: str) -> None:
    _, encoded = one(sorted(values), scaling=scaling)
    scores = encoded.numbers[:, 0]
    assert np.isfinite(scores).all()
    assert (np.diff(scores) >= 0).all()
    assert np.abs(scores).max() <= 5


def test_rare_and_unseen_values_share_a_code() -> None:
    encoder, encoded = one(["a"] * 20 + ["b"] * 19 + ["rare", None], "category", min_count=2)
    assert encoded.codes[[0, 20, 39, 40], 0].tolist() == [2, 3, 1, 0]
    fresh = encoder.transform(pl.DataFrame({"x": ["new", "b", None]}))
    assert fresh.codes[:, 0].tolist() == [1, 3, 0]
    assert encoder.cardinalities_ == [4]


def test_ten_thousand_categories_are_bounded() -> None:
    values = [f"town {place % 10_000}" for place in range(30_000)]
    encoder, encoded = one(values, "category", max_categories=100, min_count=1)
    assert encoder.cardinalities_ == [102]
    assert encoded.codes.max() == 101
    everything_rare, encoded = one(values, "category")
    assert everything_rare.cardinalities_ == [2]
    assert set(encoded.codes[:, 0]) == {1}


def test_constant_and_empty_columns_are_left_out_and_named() -> None:
    schema = Schema.numeric(["none", "same", "fine"])
    frame = pl.DataFrame({"none": [None, None], "same": [3.0, 3.0], "fine": [1.0, 2.0]})
    encoder = TableEncoder(schema).fit(frame.cast(pl.Float64))
    assert encoder.number_names_ == ["fine"]
    assert encoder.notes_ == [
        "column 'none': every training row is missing, left out",
        "column 'same': the same in every training row, left out",
    ]
    # What was left out need not be there later.
    assert encoder.transform(frame.select("fine")).numbers.shape == (2, 1)
    with pytest.raises(DataError, match="no column varies in 2 training rows"):
        TableEncoder(Schema.numeric(["same"])).fit(frame.select("same"))


def test_a_value_or_nothing_becomes_an_indicator() -> None:
    encoder, encoded = one([7.0, None, 7.0])
    assert encoder.number_names_ == ["x", "x (missing)"]
    assert encoded.numbers[:, 1].tolist() == [0, 1, 0]


def test_months_without_days_have_no_weekday() -> None:
    days = [datetime(2010 + place // 12, place % 12 + 1, 1) for place in range(120)]
    encoder, _ = one(days, "date")
    assert encoder.code_names_ == ["x (month)"]


def test_one_hot_against_a_loop() -> None:
    encoder = TableEncoder(SCHEMA, max_categories=5).fit(parsed(300))
    encoded = encoder.transform(parsed(60, seed=8))
    wide = encoder.one_hot(encoded)
    assert wide.dtype == np.float32
    assert wide.shape == (60, encoded.numbers.shape[1] + sum(encoder.cardinalities_))
    assert len(encoder.one_hot_names()) == wide.shape[1]
    expected = []
    for numbers, codes in zip(encoded.numbers, encoded.codes, strict=True):
        row = list(numbers)
        for code, cardinality in zip(codes, encoder.cardinalities_, strict=True):
            row += [float(place == code) for place in range(cardinality)]
        expected.append(row)
    np.testing.assert_array_equal(wide, np.array(expected, dtype=np.float32))
    some = encoded.take(np.array([3, 1]))
    np.testing.assert_array_equal(encoder.one_hot(some), wide[[3, 1]])


def test_arguments_and_frames_are_checked() -> None:
    with pytest.raises(
        ParameterError, match=r"scaling is 'minmax'.*max_categories is 0.*min_count"
    ):
        TableEncoder(SCHEMA, scaling="minmax", max_categories=0, min_count=0)
    with pytest.raises(DataError, match="without rows"):
        TableEncoder(SCHEMA).fit(parsed(5).head(0))
    encoder = TableEncoder(SCHEMA).fit(parsed(50))
    with pytest.raises(SchemaError, match="lacks columns: 'level', 'day'"):
        encoder.transform(parsed(5).drop("level", "day"))


def test_damaged_states_are_refused() -> None:
    state = TableEncoder(SCHEMA).fit(parsed(50)).to_state()
    with pytest.raises(DataError, match="has format 9, this version reads 1"):
        TableEncoder.from_state({**state, "format": 9})
    with pytest.raises(DataError, match="damaged"):
        TableEncoder.from_state({key: state[key] for key in ("format", "scaling")})
    with pytest.raises(DataError, match="damaged"):
        TableEncoder.from_state({**state, "columns": [{"name": "x"}]})
