"""Dates in several patterns, two-digit years, and which patterns are concluded."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.schema.dates import check_date_format, read_date
from thinfile.schema.guess_date import DateGuess, guess_date

TODAY = datetime(2024, 6, 30)


def read(texts: list[str], form: str | None, pivot: int | None = None) -> list[str | None]:
    dates = pl.Series("t", texts).to_frame().select(read_date(pl.col("t"), form, pivot)).to_series()
    return [None if each is None else each.date().isoformat() for each in dates]


def guess(texts: list[str]) -> DateGuess | None:
    counts = pl.Series("value", texts).value_counts(name="count").sort("value")
    return guess_date(counts, TODAY)


@pytest.mark.parametrize(
    ("form", "pivot", "text", "day"),
    [
        (None, None, "2014-01-31", "2014-01-31"),
        (None, None, "2014-01-31T10:11:12.5", "2014-01-31"),
        ("%d-%b-%y", 2045, "28-Feb-97", "1997-02-28"),
        ("%d-%b-%y", 2045, "1-Dec-61", "1961-12-01"),
        ("%d-%b-%y", 2045, "7-Feb-06", "2006-02-07"),
        ("%d-%b-%y", 2005, "7-Feb-06", "1906-02-07"),
        ("%d-%b-%y", 2045, "28-Feb-1997", None),
        ("%d-%b-%y", 2045, "30-Feb-97", None),
        ("%d/%m/%Y", None, "3/4/14", None),
        ("%d/%m/%Y", None, "3/4/2014", "2014-04-03"),
        ("%m/%d/%Y", None, "3/4/2014", "2014-03-04"),
        ("%b-%Y | %b-%y | %y-%b", 2030, "Mar-1995", "1995-03-01"),
        ("%b-%Y | %b-%y | %y-%b", 2030, "Apr-90", "1990-04-01"),
        ("%b-%Y | %b-%y | %y-%b", 2030, "1-Dec", "2001-12-01"),
        ("%Y%m%d", None, "20140131", "2014-01-31"),
        ("%y%m%d", 2000, "930705", "1993-07-05"),
    ],
)
def test_known_dates(form: str | None, pivot: int | None, text: str, day: str | None) -> None:
    assert read([text], form, pivot) == [day]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dates(datetime(1950, 1, 1).date(), datetime(2024, 6, 1).date()), min_size=1))
def test_two_digit_years_round_trip_within_a_pivot(days: list[object]) -> None:
    texts = [f"{day:%d-%b-%y}" for day in days]
    assert read(texts, "%d-%b-%y", 2034) == [str(day) for day in days]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.dates(datetime(1926, 1, 1).date(), TODAY.date()), min_size=1, max_size=40),
)
def test_no_two_digit_year_is_read_into_the_future(days: list[object]) -> None:
    texts = [f"{day:%d-%b-%y}" for day in days]
    found = guess(texts)
    assert found is not None
    dates = read(texts, found.form, found.pivot)
    assert all(day is not None and day <= "2024-06-30" for day in dates)


def test_pivot_keeps_1962_to_2014_and_leaves_room_for_later_tables() -> None:
    found = guess([f"28-Feb-{year % 100:02d}" for year in range(1962, 2015)])
    assert found is not None
    assert (found.form, found.pivot) == ("%d-%b-%y", 2034)
    assert "two-digit years mean 1935 to 2034" in found.notes[0]
    # 60 would be 2060, so it is 1960, and the pivot must not reach it.
    assert guess(["28-Feb-30", "28-Feb-97"]).pivot == 2029  # type: ignore[union-attr]


def test_day_or_month_first_is_told_by_evidence() -> None:
    day = guess(["13/01/2014", "02/03/2014"])
    month = guess(["01/13/2014", "02/03/2014"])
    assert day is not None
    assert month is not None
    assert (day.form, month.form) == ("%d/%m/%Y", "%m/%d/%Y")
    assert "day first, as 1 rows" in day.notes[0]
    assert "month first" in month.notes[0]


def test_ambiguous_order_is_reported_with_the_cure() -> None:
    found = guess(["02/03/2014", "04/05/2014"])
    assert found is not None
    assert found.form == "%d/%m/%Y"
    assert "ambiguous" in found.notes[0]
    assert "'%m/%d/%Y'" in found.notes[0]


def test_conflicting_order_is_never_mixed() -> None:
    found = guess(["13/01/2014", *[f"{day:02d}/02/2014" for day in range(14, 29)], "01/31/2014"])
    assert found is not None
    assert found.form == "%d/%m/%Y"
    assert "1 rows only the other way" in found.notes[0]


def test_mixed_patterns_are_all_kept_and_reported() -> None:
    found = guess(["2014-01-31", "2014/2/1", "28-Feb-1997"] * 5)
    assert found is not None
    assert set(found.form.split(" | ")) == {"%Y-%m-%d", "%Y/%m/%d", "%d-%b-%Y"}
    assert any("3 patterns" in note for note in found.notes)


@pytest.mark.parametrize("texts", [["a", "b"], ["12", "13"], ["A-12-3", "B-14-5"], ["", "x1"]])
def test_other_text_is_no_date(texts: list[str]) -> None:
    assert guess(texts) is None


def test_a_format_needs_a_year() -> None:
    assert check_date_format("%d-%b-%y | %Y-%m-%d") == []
    assert "it needs %Y or %y" in check_date_format("%d-%b")[0]
    assert check_date_format("%q-%Y")
    assert check_date_format("")
