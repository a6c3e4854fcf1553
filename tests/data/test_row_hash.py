"""Hashes of rows: equal rows and no others, whatever the order of columns or the precision."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinfile.data.row_hash import known, row_hashes
from thinfile.errors import DataError

ROWS = pl.DataFrame(
    {
        "amount": [1.5, None, 1.5, float("nan"), -0.0],
        "job": ["a", "b", "a", "b", None],
        "is_new": [True, None, True, None, False],
        "day": [datetime(2020, 1, 1), None, datetime(2020, 1, 1), None, datetime(1960, 1, 1)],
    }
)
EXPECTED = [
    3892236764211625661,
    13520816472139357090,
    3892236764211625661,
    13520816472139357090,
    16490674642899827555,
]


def test_equal_rows_have_equal_hashes_and_others_have_not():
    hashes = row_hashes(ROWS)
    assert hashes.dtype == np.uint64
    assert hashes[0] == hashes[2]
    assert hashes[1] == hashes[3]
    assert len(set(hashes.tolist())) == 3


def test_the_numbers_are_those_of_every_other_run():
    # Written down once: saved models hold such numbers.
    assert row_hashes(ROWS).tolist() == EXPECTED


def test_the_order_of_columns_and_rows_does_not_count():
    assert (row_hashes(ROWS.select(reversed(ROWS.columns))) == row_hashes(ROWS)).all()
    assert (row_hashes(ROWS.reverse()) == row_hashes(ROWS)[::-1]).all()


def test_names_and_places_of_values_count():
    pair = pl.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]})
    assert len(np.unique(row_hashes(pair))) == 2
    assert (row_hashes(pair) != row_hashes(pair.rename({"a": "c"}))).all()


def test_types_that_hold_the_same_values_agree():
    whole = pl.DataFrame({"a": [0, 1, 7]})
    same = [pl.Float64, pl.Float32, pl.Int8, pl.UInt64]
    for dtype in same:
        assert (row_hashes(whole.cast(dtype)) == row_hashes(whole)).all()
    assert (row_hashes(whole.head(2).cast(pl.Boolean)) == row_hashes(whole.head(2))).all()
    text = pl.DataFrame({"a": ["x", None, "y"]})
    assert (row_hashes(text.cast(pl.Categorical)) == row_hashes(text)).all()
    days = pl.DataFrame({"a": [date(2020, 1, 1), None]})
    assert (row_hashes(days.cast(pl.Datetime("ms"))) == row_hashes(days)).all()


def test_less_precision_is_known_again():
    values = np.random.default_rng(0).lognormal(3, 2, 200)
    full, single = pl.DataFrame({"a": values}), pl.DataFrame({"a": values.astype(np.float32)})
    assert (row_hashes(full) == row_hashes(single)).all()
    assert known(single, np.unique(row_hashes(full))).all()


def test_values_beyond_single_precision_do_not_warn():
    assert len(row_hashes(pl.DataFrame({"a": [1e300, -1e300, float("inf")]}))) == 3


def test_known_finds_made_rows_as_a_join_would():
    rng = np.random.default_rng(1)

    def draw(n):
        return pl.DataFrame({"a": rng.integers(0, 12, n) * 1.0, "b": rng.choice(list("xyz"), n)})

    training, made = draw(30), draw(200)
    slow = [row in set(training.rows()) for row in made.rows()]
    hashes = np.unique(row_hashes(training))
    assert known(made, hashes).tolist() == slow
    assert known(row_hashes(made), hashes).tolist() == slow
    assert 0 < sum(slow) < 200


def test_no_rows_and_no_known_rows():
    assert known(ROWS, np.empty(0, dtype=np.uint64)).tolist() == [False] * 5
    assert row_hashes(ROWS.clear()).shape == (0,)
    assert known(ROWS.clear(), row_hashes(ROWS)).shape == (0,)


def test_a_column_without_values_to_compare_is_refused():
    with pytest.raises(DataError, match=r"column 'a' is of type List\(Int64\), which has no hash"):
        row_hashes(pl.DataFrame({"a": [[1], [2]]}))


@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(width=32, allow_nan=False), st.none() | st.text(max_size=3)
        ),
        max_size=30,
    )
)
def test_hashes_tell_rows_apart_exactly_as_their_values_do(rows):
    # Text of half a character (a lone surrogate) cannot be stored by any table.
    rows = [(a, b) for a, b in rows if b is None or b.isprintable()]
    frame = pl.DataFrame(rows, schema={"a": pl.Float64, "b": pl.String}, orient="row")
    alike = {}
    for row, code in zip(frame.rows(), row_hashes(frame).tolist(), strict=True):
        assert alike.setdefault(row, code) == code
    assert len(set(alike.values())) == len(alike)
