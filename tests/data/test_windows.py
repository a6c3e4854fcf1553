"""Windows: cut from tables as a slow loop would, and every bad input named."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.windows import Windows, make_windows
from thinfile.errors import DataError, ParameterError


def slow_windows(times: list[float], length: int, step: int) -> list[list[int]]:
    """Rows of each window of one entity, by the obvious loop."""
    order = sorted(range(len(times)), key=lambda i: times[i])
    found, start = [], 0
    while True:
        found.append(order[start : start + length])
        if start + max(length, step) >= len(order):
            return found
        start += step


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    length=st.integers(1, 6),
    step=st.integers(1, 7),
    seed=st.integers(0, 9),
)
def test_windows_are_those_of_a_slow_loop(
    sizes: list[int], length: int, step: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(len(sizes)), sizes)
    rng.shuffle(who)
    table = pl.DataFrame(
        {"who": who, "at": rng.permutation(len(who)), "x": rng.normal(size=len(who))}
    )
    windows = make_windows(table, "who", "at", ["x"], length, step)
    expected = []
    for entity in range(len(sizes)):
        rows = np.flatnonzero(who == entity)
        for part in slow_windows(table["at"].to_numpy()[rows].tolist(), length, step):
            expected.append(rows[part].tolist())
    assert windows.rows is not None
    assert windows.entities is not None
    found = [r[:n].tolist() for r, n in zip(windows.rows, windows.lengths, strict=True)]
    assert found == expected
    for place, rows in enumerate(found):
        assert windows.values[place, : len(rows), 0].tolist() == pytest.approx(
            table["x"].to_numpy()[rows].tolist(), abs=1e-6
        )
        assert np.isnan(windows.values[place, len(rows) :]).all()
        assert set(who[rows]) == {windows.entities[place]}


def test_windows_without_an_entity_with_gaps_and_a_least_length() -> None:
    table = {"day": [3, 1, 2, 5, 4], "x": [3.0, None, 2.0, 5.0, 4.0], "up": [True] * 5}
    windows = make_windows(table, None, "day", ["x", "up"], 3, min_length=3)
    assert windows.entities is None
    assert windows.lengths.tolist() == [3]
    assert np.isnan(windows.values[0, 0, 0])
    assert windows.values[0, 1:, 0].tolist() == [2.0, 3.0]
    assert windows.observed.sum() == 5


def test_windows_of_lists_are_filled_up() -> None:
    windows = Windows.of([[1.0, 2.0, 3.0], [4.0]])
    assert windows.values.shape == (2, 3, 1)
    assert windows.channels == ("channel 0",)
    assert len(windows.take([1])) == 1
    assert Windows.of(windows) is windows
    assert Windows.of(np.zeros((2, 4))).values.shape == (2, 4, 1)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([], "model: X holds no windows"),
        ([[1.0], [], [2.0]], "1 of 3 windows have length zero (first: window 1)"),
        (np.zeros((2, 0, 1)), "2 of 2 windows have length zero (first: window 0)"),
        (np.zeros((0, 3, 1)), "X holds no windows (shape=(0, 3, 1))"),
        (np.zeros((2, 3, 0)), "X has no channels"),
        ([np.zeros((2, 1)), np.zeros((2, 3))], "(window 0 has 1, window 1 has 3)"),
        (
            [np.array([[0.0, 1.0], [np.inf, 2.0]])],
            "channel 'channel 0': 1 of 4 cells are infinite (first: window 0, step 1)",
        ),
        (np.full((1, 2, 1), 1e300), "cells are infinite"),
        ("text", "values that are no numbers"),
        (np.zeros(3), "X has shape (3,), must be (n, steps, channels)"),
        (5, "X is a int, must be an array"),
        ([np.zeros((2, 1)), np.zeros((2, 1, 1))], "window 1 has shape (2, 1, 1)"),
    ],
)
def test_bad_windows_are_named(X: Any, message: str) -> None:
    with pytest.raises(DataError) as error:
        Windows.of(X, owner="model")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_number_of_channels_is_that_of_the_model() -> None:
    with pytest.raises(DataError, match="X has 2 channels, the model was fitted on 3"):
        Windows.of(np.zeros((1, 2, 2)), n_channels=3)


TABLE = {"who": ["a", "a"], "day": [1, None], "x": [1.0, 2.0], "word": ["u", "v"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("who", "when", ["x", "z"], 2), r"no column \['when', 'z'\] in the table"),
        (("who", "day", ["x"], 2), r"column 'day': 1 of 2 times are empty \(first: row 1\)"),
        (("who", "x", ["word"], 2), "column 'word' holds texts such as 'u', which is no number"),
    ],
)
def test_bad_tables_are_named(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_windows(TABLE, *arguments)


def test_bad_arguments_are_named_together() -> None:
    with pytest.raises(ParameterError) as error:
        make_windows(TABLE, "who", "x", [], 0, step=0)
    assert all(name in str(error.value) for name in ("channels=", "length=0", "step=0"))
    with pytest.raises(DataError, match="no entity has min_length=5 rows"):
        make_windows(TABLE, "who", "x", ["x"], 5, min_length=5)


@pytest.mark.parametrize(
    "months",
    [
        ["01.2024", "02.2024", "10.2024", "01.2025"],
        ["1/2024", "2/2024", "10/2024", "1/2025"],
        ["31.01.2024", "01.02.2024", "05.10.2024", "01.01.2025"],
        ["2024-01", "2024-02", "2024-10", "2025-01"],
        ["2", "9", "10", "100"],
    ],
)
def test_times_as_text_are_read_before_rows_are_sorted(months: list[str]) -> None:
    table = pl.DataFrame({"who": ["a"] * 4, "month": months[::-1], "x": [4.0, 3.0, 2.0, 1.0]})
    assert make_windows(table, "who", "month", ["x"], 4).values.ravel().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("texts", [["Q1/24", "Q2/24", "Q1/25"], ["Jan 2024", "Feb 2024", "x"]])
def test_texts_that_are_no_times_are_refused(texts: list[str]) -> None:
    table = pl.DataFrame({"month": texts, "x": [1.0, 2.0, 3.0]})
    with pytest.raises(DataError, match=f"'month' holds texts such as '{texts[0]}'.*2024-01-31"):
        make_windows(table, None, "month", ["x"], 4)


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1,200.50 €", "3.00 €"], [1200.5, 3.0]),
        (["1.200,50 €", "3,00 €"], [1200.5, 3.0]),
        (["1,200.50 €", "1,200.50 €"], [1200.5, 1200.5]),
        (["7", "-8.5"], [7.0, -8.5]),
    ],
)
def test_a_channel_of_money_as_text_is_read(texts: list[str], numbers: list[float]) -> None:
    table = pl.DataFrame({"t": range(20), "money": texts * 10})
    assert make_windows(table, None, "t", ["money"], 2).values[0].ravel().tolist() == numbers


def test_a_channel_of_words_is_refused_with_a_remedy() -> None:
    table = pl.DataFrame({"t": [1, 2, 3], "x": ["1.5", "high", "2.5"]})
    with pytest.raises(DataError, match=r"'high', which is no number.*leave it out of the chan"):
        make_windows(table, None, "t", ["x"], 2)


def test_windows_are_printed_in_one_line() -> None:
    assert repr(Windows.of([[[1.0], [2.0]], [[3.0]]])) == (
        "Windows(2 windows of 1 to 2 steps, channels: channel 0)"
    )
