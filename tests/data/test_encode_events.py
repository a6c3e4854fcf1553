from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.encode_events import EventEncoder
from thinfile.data.histories_check import TIME
from thinfile.errors import DataError, ParameterError, SchemaError

FRAME = pl.DataFrame(
    {
        "age": [30, 40, 50, 60],
        TIME: pl.Series([[30.0, 10.0, 1.0], [], None, [2.0]], dtype=pl.List(pl.Float32)),
        "events.item": [["a", "b", "a"], [], None, [None]],
        "events.amount": pl.Series([[1.0, None, 4.0], [], None, [2.0]], dtype=pl.List(pl.Float64)),
    }
)


def test_rows_lie_behind_each_other_and_missing_is_not_unseen():
    encoder = EventEncoder(min_count=1).fit(FRAME)
    events = encoder.transform(FRAME)
    assert events.offsets.tolist() == [0, 3, 3, 3, 4]
    assert events.lengths.tolist() == [3, 0, 0, 1]
    assert events.codes.ravel().tolist() == [2, 3, 2, 0]
    assert encoder.cardinalities_ == [4]
    names = ["log time to cut", "log time since the event before"]
    assert encoder.number_names_ == [*names, "events.amount", "events.amount (missing)"]
    assert events.numbers[:, 3].tolist() == [0, 1, 0, 0]
    unseen = FRAME.with_columns(pl.Series("events.item", [["z", "b", "z"], [], None, [None]]))
    assert encoder.transform(unseen).codes.ravel().tolist() == [1, 3, 1, 0]


def test_times_are_logs_of_hours_scaled_by_training_rows():
    encoder = EventEncoder().fit(FRAME)
    events = encoder.transform(FRAME)
    to_cut = np.log1p(24 * np.array([30.0, 10.0, 1.0, 2.0]))
    gap = np.log1p(24 * np.array([0.0, 20.0, 9.0, 0.0]))  # the first of a row has none before it
    for place, expected in enumerate((to_cut, gap)):
        scaled = (expected - expected.mean()) / expected.std()
        np.testing.assert_allclose(events.numbers[:, place], scaled, atol=1e-6)
    np.testing.assert_array_equal(events.days, np.float32([30, 10, 1, 2]))


def test_only_the_latest_events_are_kept():
    encoder = EventEncoder(min_count=1, max_events=2).fit(FRAME)
    events = encoder.transform(FRAME)
    assert events.days.tolist() == [10, 1, 2]
    assert events.codes.ravel().tolist() == [3, 2, 0]


def test_rare_values_share_the_code_of_unseen_ones():
    frame = pl.DataFrame(
        {TIME: [[3.0, 2.0, 1.0]] * 5, "events.item": [["a", "b", "b"]] * 4 + [["c", "b", "b"]]}
    )
    events = EventEncoder(min_count=2).fit(frame).transform(frame)
    assert events.codes[-3:].ravel().tolist() == [1, 2, 2]


def test_state_makes_the_same_encoder_again():
    encoder = EventEncoder(min_count=1, max_events=2).fit(FRAME)
    twin = EventEncoder.from_state(json.loads(json.dumps(encoder.to_state())))
    first, second = encoder.transform(FRAME), twin.transform(FRAME)
    for name in ("codes", "numbers", "days", "offsets"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert twin.to_state() == encoder.to_state()
    with pytest.raises(DataError, match="format 9, this version reads 1"):
        EventEncoder.from_state({**encoder.to_state(), "format": 9})
    damaged = {k: v for k, v in encoder.to_state().items() if k != "columns"}
    with pytest.raises(DataError, match="damaged"):
        EventEncoder.from_state(damaged)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.data())
def test_take_is_what_a_loop_takes(lengths, data):
    rng = np.random.default_rng(len(lengths))
    days = [np.sort(rng.uniform(1, 9, n))[::-1].tolist() for n in lengths]
    frame = pl.DataFrame({TIME: pl.Series(days, dtype=pl.List(pl.Float64))})
    events = EventEncoder().fit(frame).transform(frame)
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=6))
    taken = events.take(np.array(rows, dtype=np.intp))
    expected = [events.days[events.offsets[r] : events.offsets[r + 1]] for r in rows]
    found = np.split(taken.days, taken.offsets[1:-1]) if rows else []
    assert [part.tolist() for part in found] == [part.tolist() for part in expected]
    if sum(lengths):
        mask = np.zeros(len(lengths), dtype=bool)
        mask[rows] = True
        assert len(events.take(mask)) == mask.sum()


def test_a_table_without_lists_has_empty_histories():
    encoder = EventEncoder().fit(FRAME.select("age"))
    events = encoder.transform(FRAME.select("age"))
    assert events.lengths.tolist() == [0] * 4
    assert encoder.number_names_ == encoder.cardinalities_ == encoder.notes_ == []
    empty = pl.DataFrame({TIME: [[], []], "events.item": [[], []]})
    encoder = EventEncoder().fit(empty)
    assert encoder.notes_ == ["no row has an event before its cut: static columns only"]
    assert len(encoder.transform(empty)) == 2


def test_columns_that_say_nothing_are_left_out_with_a_note():
    frame = pl.DataFrame(
        {
            TIME: [[2.0, 1.0], [3.0]],
            "events.none": pl.Series([[None, None], [None]], dtype=pl.List(pl.String)),
            "events.same": [["x", "x"], ["x"]],
            "events.when": pl.Series([[1, 2], [3]], dtype=pl.List(pl.Int64)).cast(
                pl.List(pl.Datetime("us"))
            ),
            "events.flag": [[True, False], [True]],
            "events.odd": [[float("inf"), float("nan")], [float("-inf")]],
        }
    )
    encoder = EventEncoder(min_count=1).fit(frame)
    assert encoder.code_names_ == ["events.flag"]
    text = "; ".join(encoder.notes_)
    for part in (
        "'events.none': every value is missing",
        "'events.same': the same in every event",
        "'events.when': lists of Datetime",
        "'events.odd': no value is finite",
    ):
        assert part in text


def test_unsound_histories_are_refused_with_every_fault():
    frame = pl.DataFrame(
        {
            TIME: [[1.0, 3.0], [0.0], [-2.5], [None], [float("nan")]],
            "events.item": [["a"], ["b"], ["c"], ["d"], ["e"]],
        }
    )
    with pytest.raises(DataError) as caught:
        EventEncoder().fit(frame)
    message = str(caught.value)
    assert "\n" not in message
    assert (
        "column 'events.item': 1 of 5 rows have another number of events than "
        "'events.days_to_cut' (first: row 0, 1 and 2)"
    ) in message
    assert "2 of 6 events have no time (first: row 3, None)" in message
    assert "2 of 6 events are not before the cut (days must be above 0) (first: row 1, 0.0)" in (
        message
    )
    assert "1 of 6 events are out of order (oldest first is needed) (first: row 0, 3.0)" in message
    with pytest.raises(DataError, match=r"'events.item' need 'events.days_to_cut' beside them"):
        EventEncoder().fit(frame.drop(TIME))
    texts = pl.DataFrame({TIME: [["a"]]})
    with pytest.raises(DataError, match="must be a list of numbers"):
        EventEncoder().fit(texts)


def test_scoring_needs_the_columns_of_training():
    encoder = EventEncoder(min_count=1).fit(FRAME)
    with pytest.raises(SchemaError, match=r"'events.days_to_cut', 'events.item', 'events.amount'"):
        encoder.transform(FRAME.select("age"))
    swapped = FRAME.with_columns(
        pl.Series("events.item", [[1, 2, 3], [], None, [4]]),
        pl.Series("events.amount", [["1", "2", "3"], [], None, ["4"]]),
    )
    with pytest.raises(SchemaError) as caught:
        encoder.transform(swapped)
    assert "'events.item' is List(Int64), in training it was a list of texts" in str(caught.value)
    assert "'events.amount' is List(String), in training it was a list of numbers" in str(
        caught.value
    )
    # A column that training did not use may be absent, or anything.
    further = FRAME.with_columns(pl.Series("events.new", [[1], [], None, []]))
    encoder.transform(further)


def test_every_fault_of_the_arguments_in_one_message():
    with pytest.raises(ParameterError) as caught:
        EventEncoder(max_categories=0, min_count=-1, max_events=1.5)
    assert all(name in str(caught.value) for name in ("max_categories", "min_count", "max_events"))
