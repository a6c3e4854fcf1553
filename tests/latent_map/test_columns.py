from __future__ import annotations

from datetime import date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinfile.latent_map.columns import as_typed, columns_of, cuts_of, short_between

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(finite, finite)
def test_a_cut_lies_between_its_values(a, b):
    low, high = min(a, b), max(a, b)
    if low < high:
        assert low <= short_between(low, high) < high


@given(st.lists(finite, min_size=1, max_size=200))
def test_every_cut_parts_values_that_occur(values):
    column = np.array(values, dtype=np.float32)
    cuts = cuts_of(column)
    assert len(cuts) <= 63
    assert cuts == sorted(set(cuts))
    wide = column.astype(float)
    for cut in cuts:
        assert (wide <= cut).any()
        assert (wide > cut).any()


def test_few_values_are_parted_completely_and_many_in_equal_shares():
    assert cuts_of(np.array([3, 1, 2, 2], dtype=np.float32)) == [1.5, 2.5]
    cuts = cuts_of(np.random.default_rng(0).normal(size=6400).astype(np.float32))
    assert len(cuts) == 63
    assert abs(cuts[31]) < 0.05


def test_cuts_of_nothing():
    assert cuts_of(np.full(4, np.nan, dtype=np.float32)) == []
    assert cuts_of(np.ones(4, dtype=np.float32)) == []


def test_kinds_of_columns():
    frame = pl.DataFrame(
        {
            "number": [1.5, None, float("inf")],
            "day": [date(1970, 1, 3), None, date(1969, 12, 31)],
            "time": [datetime(1970, 1, 1, 12), None, None],
            "flag": [True, None, False],
            "text": ["b", "a", "b"],
            "list": [[1], [2], [3]],
        }
    )
    found = {c.name: c for c in columns_of(frame, {"number": "feature"})}
    assert list(found) == ["number", "day", "time", "flag", "text"]
    assert found["number"].role == "feature"
    np.testing.assert_array_equal(found["number"].values, np.array([1.5, np.nan, np.nan], "f4"))
    assert found["day"].kind == "date"
    np.testing.assert_array_equal(found["day"].values, np.array([2, np.nan, -1], "f4"))
    assert found["time"].values[0] == 0.5
    assert [found["flag"].words[v] for v in found["flag"].values] == ["true", "", "false"]
    assert found["text"].words == ["", "b", "a"]


def test_rare_values_share_a_name():
    text = [f"w{place % 300}" for place in range(900)] + ["common"] * 5
    (column,) = columns_of(pl.DataFrame({"count": text}), {})
    assert column.words[1] == "common"
    assert len(column.words) == 256
    assert column.words[-1] == "(other)"
    assert column.values.dtype == np.uint8
    assert (column.values == 255).sum() == (300 - 253) * 3


@pytest.mark.parametrize(
    ("raw", "typed"),
    [(["1", " 2.5", ""], [1.0, 2.5, None]), (["1", "x", ""], ["1", "x", None])],
)
def test_text_that_holds_numbers_only_becomes_numbers(raw, typed):
    assert as_typed(pl.Series("c", raw)).to_list() == typed
