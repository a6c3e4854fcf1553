from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from thinfile.compare.task import build_task
from thinfile.errors import DataError

OLD = pl.DataFrame({"age": [20.0, 30.0, 40.0, 50.0], "bad": [0, 1, 0, 1]})


def new(labels: Any, **columns: Any) -> pl.DataFrame:
    n = len(labels)
    return pl.DataFrame({"age": [float(i) for i in range(n)], "bad": labels, **columns})


WORDS = ["a", "b", "a", "b"]


def test_words_that_nobody_knows_need_an_event() -> None:
    old = OLD.with_columns(pl.Series("bad", WORDS))
    message = "label 'bad' has the values 'a' and 'b': say which is the event with --event"
    with pytest.raises(DataError, match=message):
        build_task(old, new(["a", None]), label="bad")
    task = build_task(old, new(["a", None]), label="bad", event="a")
    assert task.y.tolist() == [1, 0, 1, 0, 1, -1]
    assert "label 'bad': 'a' is taken as the event" in task.notes


@pytest.mark.parametrize("column", [[0, 1, 0, 1], [0.0, 1.0, 0.0, 1.0], [False, True, False, True]])
@pytest.mark.parametrize("event", ["0", "0.0", "1"])
def test_an_event_that_is_given_goes_before_the_usual(column: list[Any], event: str) -> None:
    task = build_task(
        OLD.with_columns(pl.Series("bad", column)), new([0]), label="bad", event=event
    )
    assert task.y.tolist() == ([0, 1, 0, 1, 0] if event == "1" else [1, 0, 1, 0, 1])


def test_an_event_of_booleans_is_a_word() -> None:
    old = OLD.with_columns(pl.col("bad").cast(pl.Boolean))
    task = build_task(old, new([True]), label="bad", event="False")
    assert task.y.tolist() == [1, 0, 1, 0, 0]


@pytest.mark.parametrize("event", ["2", "yes", "", "-1"])
def test_an_event_that_is_no_value_is_refused(event: str) -> None:
    with pytest.raises(DataError, match=f"event '{event}' is no value of label 'bad' .0, 1.") as e:
        build_task(OLD, new([1, 0]), label="bad", event=event)
    assert ("-1 means no label" in str(e.value)) == (event == "-1")


@pytest.mark.parametrize("column", [[-1, 1, -1, 1], [-1.0, 1.0, -1.0, 1.0], ["-1", "1", "-1", "1"]])
def test_minus_one_as_a_class_is_explained(column: list[Any]) -> None:
    old = OLD.with_columns(pl.Series("bad", column))
    message = r"2 events and 0 non-events; both classes are needed \(-1 means no label\)"
    with pytest.raises(DataError, match=message):
        build_task(old, new(column[:2]), label="bad")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([0.0, 1.0, float("inf"), 1.0], r"1 of 4 values in 'source' are infinite .first: row 2"),
        ([[0], [1], [0], [1]], r"label 'bad' is List\(Int64\) in 'source'; numbers, words or"),
        ([{"v": 0}] * 4, r"label 'bad' is Struct"),
        ([dt.date(2020, 1, 1)] * 4, r"label 'bad' is Date"),
    ],
    ids=["infinite", "lists", "structs", "dates"],
)
def test_what_cannot_be_a_label_is_refused(column: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        build_task(OLD.with_columns(pl.Series("bad", column)), new([1, 0]), label="bad")
    assert "\n" not in str(caught.value)


def test_labels_too_large_for_integers_are_still_labels() -> None:
    old = OLD.with_columns(pl.Series("bad", [0.0, 1e300, 0.0, 1e300]))
    assert build_task(old, new([0.0]), label="bad").y.tolist() == [0, 1, 0, 1, 0]
