from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.split_later import MIN_EVENTS, latest_rows, times_of
from thinfile.errors import DataError
from thinfile.schema.column import Column
from thinfile.schema.model import Schema


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 8), min_size=60, max_size=200),
    st.floats(0.05, 0.9),
    st.randoms(use_true_random=False),
)
def test_every_later_row_lies_after_every_earlier_one(
    stamps: list[int], fraction: float, random: object
) -> None:
    time = np.array(stamps, dtype=float)
    y = np.arange(len(time)) % 2
    labelled = np.arange(len(time)) % 7 > 0
    training, validation = latest_rows(time, labelled, y, fraction)
    assert sorted([*training, *validation]) == np.flatnonzero(labelled).tolist()
    if len(validation):
        assert time[training].max() < time[validation].min()


def test_the_share_is_met_as_nearly_as_whole_stamps_allow() -> None:
    time = np.repeat([1.0, 2.0, 3.0, 4.0], [50, 20, 20, 30])
    y = np.arange(120) % 2
    sizes = {
        share: len(latest_rows(time, y >= 0, y, share)[1]) for share in (0.1, 0.25, 0.4, 0.6, 0.9)
    }
    assert sizes == {0.1: 30, 0.25: 30, 0.4: 50, 0.6: 70, 0.9: 70}


def test_rows_without_a_time_are_trained_on() -> None:
    days = np.datetime64("2024-01-01") + np.arange(100)
    time = np.where(np.arange(100) % 5 == 0, np.datetime64("NaT"), days)
    y = (np.arange(100) // 2) % 2
    training, validation = latest_rows(time, y >= 0, y, 0.5)
    assert set(np.flatnonzero(np.isnat(time))) <= set(training)
    assert len(validation) == 40


@pytest.mark.parametrize("kind", ["few events", "one stamp", "no share", "no time"])
def test_where_nothing_can_be_held_back_all_train(kind: str) -> None:
    time, y = np.arange(100.0), np.arange(100) % 2
    share = 0.3
    if kind == "few events":
        y = (np.arange(100) >= 100 - MIN_EVENTS + 1).astype(int)
    elif kind == "one stamp":
        time = np.zeros(100)
    elif kind == "no share":
        share = 0.0
    else:
        time = np.full(100, np.nan)
    training, validation = latest_rows(time, y >= 0, y, share)
    assert len(validation) == 0
    assert training.tolist() == list(range(100))


def test_a_class_that_is_only_known_later_is_not_taken_away_from_training() -> None:
    y = (np.arange(100) >= 80).astype(int)
    y[95:] = 0
    y[80:95:2] = 0
    training, validation = latest_rows(np.arange(100.0), y >= 0, y, 0.2)
    assert len(validation) == 0
    assert len(training) == 100


def test_times_come_from_dates_numbers_and_ids_that_count_up() -> None:
    frame = pl.DataFrame(
        {
            "date": ["03-Feb-97", None, "28-Feb-14"],
            "zoned": [datetime(2020, 1, 1, hour, tzinfo=UTC) for hour in range(3)],
            "row_id": [1, 2, 3],
        }
    ).with_columns(pl.col("zoned").dt.convert_time_zone("Asia/Tokyo"))
    schema = Schema((Column("date", "date", "%d-%b-%y", pivot=2045), Column("row_id", "id")))
    time = times_of(frame, "date", schema)
    assert time[0] == np.datetime64("1997-02-03")
    assert np.isnat(time[1])
    assert times_of(frame, "zoned", schema)[0] == np.datetime64("2020-01-01T00")
    assert times_of(frame, "row_id", schema).tolist() == [1.0, 2.0, 3.0]


def test_a_time_column_that_is_none_is_named() -> None:
    frame = pl.DataFrame({"job": ["nurse", "clerk", "nurse", "cook"]})
    with pytest.raises(DataError, match=r"time_column='day' is no column of X \(it has 'job'\)"):
        times_of(frame, "day")
    with pytest.raises(DataError, match=r"time_column='job': .*'category' \(first value 'nurse'\)"):
        times_of(frame, "job")
