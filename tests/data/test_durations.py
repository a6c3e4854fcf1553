"""Spans of time as people type them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinfile.data.durations import format_duration, parse_duration
from thinfile.errors import ParameterError


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("60d", timedelta(days=60)),
        ("8w", timedelta(weeks=8)),
        ("36h", timedelta(hours=36)),
        (" 1.5 D ", timedelta(hours=36)),
        ("90min", timedelta(minutes=90)),
        ("45s", timedelta(seconds=45)),
        ("0d", timedelta(0)),
    ],
)
def test_spans(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize(
    "text", ["", "60", "d", "-3d", "2 months", "1y", "1e3d", "٣d", "60 d x", "999999w", "60dd"]
)
def test_anything_else_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(ParameterError, match=r"duration '.*' must be a number and one of s, min"):
        parse_duration(text)


@given(st.integers(0, 3_000_000_000))
def test_round_trip(seconds: int) -> None:
    span = timedelta(seconds=seconds)
    assert parse_duration(format_duration(span)) == span


def test_largest_whole_unit() -> None:
    assert format_duration(timedelta(days=60)) == "60d"
    assert format_duration(timedelta(hours=36)) == "36h"
    assert format_duration(timedelta(minutes=90)) == "5400s"
