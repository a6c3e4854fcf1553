"""Mode-specific normalisation of numbers."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.encode import Encoded
from thinfile.data.mixture import fit_mixture
from thinfile.data.modes import ModeEncoder
from thinfile.errors import DataError, ParameterError
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

RNG = np.random.default_rng(0)
SCHEMA = Schema(
    (
        Column("amount", "number"),
        Column("count", "number"),
        Column("job", "category"),
        Column("retired", "boolean"),
        Column("age", "number"),
    )
)


def parsed(n: int = 600) -> pl.DataFrame:
    amount = np.where(RNG.random(n) < 0.3, 0.0, RNG.lognormal(3, 1.5, n).round(2))
    age = pl.Series("age", RNG.normal(45, 10, n)).set(pl.Series(RNG.random(n) < 0.1), None)
    raw = pl.DataFrame(
        {
            "amount": amount,
            "count": RNG.integers(0, 6, n).astype(float),
            "job": RNG.choice(["clerk", "nurse", "smith"], n),
            "retired": RNG.random(n) < 0.2,
            "age": age,
        }
    )
    return SCHEMA.parse(raw).frame


@pytest.mark.parametrize(
    ("values", "n_modes"),
    [
        (RNG.normal(3, 2, 4000), 1),
        (np.concatenate([RNG.normal(0, 1, 3000), RNG.normal(20, 2, 1000)]), 2),
        (np.concatenate([RNG.normal(k * 10, 1, 1500) for k in range(5)]), 5),
    ],
)
def test_as_many_modes_are_found_as_there_are(values, n_modes):
    found = fit_mixture(*np.unique(values, return_counts=True))
    assert len(found) == n_modes
    assert found.weights.sum() == pytest.approx(1)


def test_known_means_deviations_and_weights_come_back():
    values = np.concatenate([RNG.normal(-5, 1, 6000), RNG.normal(8, 3, 2000)])
    found = fit_mixture(*np.unique(values, return_counts=True))
    order = np.argsort(found.means)
    np.testing.assert_allclose(found.means[order], [-5, 8], atol=0.25)
    np.testing.assert_allclose(found.deviations[order], [1, 3], rtol=0.1)
    np.testing.assert_allclose(found.weights[order], [0.75, 0.25], atol=0.02)


def test_a_value_that_fills_many_rows_is_a_mode_of_its_own():
    values = np.concatenate([np.zeros(500), RNG.normal(10, 1, 1000)])
    found = fit_mixture(*np.unique(values, return_counts=True))
    assert found.means[0] == found.deviations[0] == 0
    mode = found.assign(values)
    assert (mode[:500] == 0).all()
    assert (mode[500:] > 0).all()


def test_drawn_modes_follow_their_probabilities():
    values = np.concatenate([RNG.normal(0, 1, 3000), RNG.normal(2.5, 1, 3000)])
    found = fit_mixture(*np.unique(values, return_counts=True))
    assert len(found) == 2
    middle = np.full(20_000, found.means.mean())
    density = found.weights / found.deviations
    density *= np.exp(-0.5 * ((middle[0] - found.means) / found.deviations) ** 2)
    drawn = np.bincount(found.assign(middle, np.random.default_rng(1)), minlength=2) / len(middle)
    np.testing.assert_allclose(drawn, density / density.sum(), atol=0.02)


def test_a_tail_beyond_four_deviations_is_kept():
    values = np.concatenate([RNG.normal(0, 1, 5000), [60.0, -45.0]])
    encoder = ModeEncoder(Schema.numeric(["x"])).fit(pl.DataFrame({"x": values}))
    encoded = encoder.transform(pl.DataFrame({"x": values}))
    assert np.abs(encoded.numbers).max() <= 1
    back = encoder.inverse(encoded)["x"].to_numpy()
    np.testing.assert_allclose(back, values, atol=0.01)


@settings(max_examples=15, deadline=None)
@given(st.integers(30, 300), st.integers(0, 10_000))
def test_every_row_comes_back(n_rows, seed):
    table = parsed(n_rows)
    encoder = ModeEncoder(SCHEMA).fit(table)
    back = encoder.inverse(encoder.transform(table, random_state=seed), random_state=0)
    assert back.schema == table.schema
    for name in ("count", "retired"):
        assert back[name].equals(table[name])
    assert back["amount"].to_numpy() == pytest.approx(
        table["amount"].to_numpy(), rel=1e-3, abs=0.02
    )
    assert (back["age"].is_null() == table["age"].is_null()).all()


def test_names_sizes_and_kinds_of_columns():
    encoder = ModeEncoder(SCHEMA).fit(parsed())
    assert encoder.number_names_ == ["amount", "age"]
    assert sorted(encoder.code_names_) == sorted(
        ["amount (mode)", "age (mode)", "count", "job", "retired"]
    )
    assert encoder.cardinalities_ == sorted(encoder.cardinalities_)
    modes = [n for n, m in zip(encoder.code_names_, encoder.is_mode_, strict=True) if m]
    assert sorted(modes) == ["age (mode)", "amount (mode)"]


def test_state_is_json_and_comes_back_bit_for_bit():
    table = parsed()
    encoder = ModeEncoder(SCHEMA).fit(table)
    again = ModeEncoder.from_state(json.loads(json.dumps(encoder.to_state())))
    one, two = encoder.transform(table, random_state=3), again.transform(table, random_state=3)
    assert (one.numbers == two.numbers).all()
    assert (one.codes == two.codes).all()
    assert again.inverse(two, random_state=0).equals(encoder.inverse(one, random_state=0))


def test_a_gap_is_a_code_and_its_filling_never_comes_out():
    values = pl.DataFrame({"x": [1.0, None, 2.5, None] * 30})
    encoder = ModeEncoder(Schema.numeric(["x"])).fit(values)
    assert encoder.cardinalities_ == [3]
    every = Encoded(np.zeros((3, 0), np.float32), np.array([[0], [1], [2]], np.int32))
    assert encoder.inverse(every)["x"].to_list() == [1.0, 2.5, None]


def test_values_that_training_never_held_get_a_code():
    encoder = ModeEncoder(SCHEMA).fit(parsed())
    row = parsed(5).with_columns(pl.lit("astronaut").alias("job"), pl.lit(99.0).alias("count"))
    codes = encoder.transform(row).codes
    assert (codes.max(0) < np.array(encoder.cardinalities_)).all()
    assert encoder.inverse(encoder.transform(row))["count"].to_list() == [5.0] * 5


def test_code_of_a_value():
    encoder = ModeEncoder(SCHEMA).fit(parsed())
    place, code = encoder.code_of("job", "nurse")
    assert encoder.code_names_[place] == "job"
    assert 0 <= code < encoder.cardinalities_[place]
    assert encoder.code_of("job", "astronaut") == "column 'job': training held no 'astronaut'"
    assert encoder.code_of("amount", 3.0).startswith("column 'amount' cannot be asked for, only ")


def test_hostile_input():
    encoder = ModeEncoder(SCHEMA).fit(parsed())
    encoded = encoder.transform(parsed(3))
    with pytest.raises(DataError, match="2 numbers and 4 codes per row must be 2 and 5"):
        encoder.inverse(Encoded(encoded.numbers, encoded.codes[:, 1:]))
    codes = encoded.codes.copy()
    codes[0, 0] = 99
    with pytest.raises(DataError, match="a code is outside 0 … 1"):
        encoder.inverse(Encoded(encoded.numbers, codes))
    with pytest.raises(DataError, match="encoder state has format 7, this version reads 1"):
        ModeEncoder.from_state({"format": 7})
    with pytest.raises(DataError, match="encoder state is damaged"):
        ModeEncoder.from_state({"format": 1})
    with pytest.raises(ParameterError, match="max_modes=0 must be a whole number in"):
        ModeEncoder(SCHEMA, max_modes=0)
