"""Event logs in memory: order, types, and everything that is counted, noted or refused."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.event_checks import repeat_notes
from thinfile.data.event_columns import near_names
from thinfile.data.event_sort import sort_order
from thinfile.data.events import EventColumns, EventLog
from thinfile.errors import DataError, ParameterError

ROLES = EventColumns("who", "when")
START = datetime(2024, 1, 1)


def log_of(roles: EventColumns = ROLES, **columns: Any) -> EventLog:
    n = len(next(iter(columns.values())))
    return EventLog.from_table({"who": [1] * n, "when": [START] * n, **columns}, roles)


def refused(roles: EventColumns = ROLES, **columns: Any) -> str:
    with pytest.raises(DataError) as caught:
        log_of(roles, **columns)
    assert "\n" not in str(caught.value)
    return str(caught.value)


key = st.tuples(st.integers(-3, 3), st.integers(0, 5))


@settings(max_examples=60, deadline=None)
@given(st.lists(key, min_size=1, max_size=40), st.sampled_from([pl.Int64, pl.String, pl.UInt8]))
def test_sorted_as_python_sorts(keys: list[tuple[int, int]], dtype: type[pl.DataType]) -> None:
    frame = pl.DataFrame(
        {
            "who": pl.Series([who + 3 for who, _ in keys]).cast(dtype),
            "when": [START + timedelta(hours=hour) for _, hour in keys],
            "row": range(len(keys)),
        }
    )
    log = EventLog.from_table(frame, ROLES)
    # Python's sort is stable too, and compares text by code points.
    expected = sorted(frame.rows(), key=lambda row: row[:2])
    ids = log.customers.gather(np.repeat(np.arange(log.n_customers), np.diff(log.offsets)))
    assert list(zip(ids, *log.table.get_columns(), strict=True)) == expected
    assert log.customers.dtype == dtype
    assert log.customers.to_list() == sorted(set(frame["who"]))
    assert log.times.tolist() == log.table["when"].to_physical().to_list()
    assert (log.start, log.end) == (min(frame["when"]), max(frame["when"]))


@pytest.mark.parametrize(
    "ids", [[0, 2**63], [-(2**60), 2**60], [2**64 - 1, 5], ["b", "a"], [5, 5], [-7, 3]]
)
def test_ids_of_any_size(ids: list[Any]) -> None:
    customers = pl.Series(ids * 3)
    distinct, offsets, order = sort_order(customers, np.arange(6), np.arange(6))
    assert distinct.to_list() == sorted(set(ids))
    assert offsets.tolist() == [0, *np.cumsum([ids.count(i) * 3 for i in sorted(set(ids))])]
    assert order.tolist() == sorted(range(6), key=lambda row: customers[row])


def test_whole_floats_become_whole_numbers_and_missing_customers_are_counted() -> None:
    log = log_of(who=[17850.0, float("nan"), None, 13047.0])
    assert (log.customers.dtype, log.customers.to_list()) == (pl.Int64, [13047, 17850])
    assert log.notes == (
        "column 'who': 2 of 4 rows name no customer and are left out (first: row 1)",
    )
    assert "1 of 2 rows hold no whole number, which a customer must be (first: row 1, 2.5)" in (
        refused(who=[1.0, 2.5])
    )
    with pytest.raises(DataError, match="column 'who': 1 of 2 rows name no customer"):
        EventLog.from_table(
            {"who": [None, 1], "when": [START] * 2}, ROLES, on_missing_customer="raise"
        )


def test_customers_as_text() -> None:
    log = log_of(who=[" a", "b ", "", "NULL", None, "a"])
    assert log.customers.to_list() == ["a", "b"]
    assert "3 of 6 rows name no customer and are left out (first: row 2)" in log.notes[0]
    whole = log_of(who=["17850.0", "", "NULL", "13047.0"])
    assert (whole.customers.dtype, whole.customers.to_list()) == (pl.Int64, [13047, 17850])
    assert log_of(who=["007", "7"]).customers.to_list() == ["007", "7"]


def test_missing_and_renamed_columns_with_names_that_come_near() -> None:
    roles = EventColumns("CustomerID", "InvoiceDate", category="Group")
    frame = {"customer_id": [1], "InvoiceDate": [START], "grp": ["a"], "Price": [1.0]}
    with pytest.raises(DataError) as caught:
        EventLog.from_table(frame, roles)
    assert str(caught.value) == (
        "the log lacks 2 of 3 columns: 'CustomerID' (customer) (near: 'customer_id'), 'Group' "
        "(category) (near: 'grp'); it has 'customer_id', 'InvoiceDate', 'grp', 'Price'"
    )
    assert near_names("zzz", ["a"]) == ""


def test_times_of_all_kinds() -> None:
    at = datetime(2011, 2, 1, 9, 5)
    texts = {
        "2011-02-01 09:05": "2011-02-03 00:00",
        "2011-02-01T09:05:00.000": "2011-02-03T00:00:00.000",
        "2/1/2011 9:05": "2/13/2011 0:00",
        "01.02.2011 09:05": "13.02.2011 00:00",
        "1296551100": "1296561100",
        "1296551100000": "1296551100001",
    }
    for text, other in texts.items():
        assert log_of(when=[text, f" {text}", other]).start == at, text
    for values in ([1296551100, 1296551101], [1296551100.0, 1296551101.25]):
        log = log_of(when=values)
        assert log.start == at
        assert log.notes[0] == ("column 'when': numbers are read as seconds since 1970, UTC")
    nano = log_of(when=[1296551100123456789, 1296551100123457789])
    assert [str(each)[-6:] for each in nano.table["when"]] == ["123456", "123457"]
    days = log_of(when=[20110201, 20110203])
    assert days.start == datetime(2011, 2, 1)
    named = EventLog.from_table(
        {"who": [1, 1], "date": [930101, 930102]}, EventColumns("who", "date")
    )
    assert named.start == datetime(1993, 1, 1)
    assert log_of(when=[at.date(), at.date()]).start == datetime(2011, 2, 1)


def test_times_that_cannot_be_read_are_refused_or_counted() -> None:
    good = "31/01/2011 10:00"
    assert refused(when=[good, "31-02-2011 25:00", good]) == (
        "column 'when': 1 of 3 rows cannot be read as times (first: row 1, '31-02-2011 25:00')"
    )
    assert refused(when=["soon", "later"]) == (
        "column 'when': 2 of 2 rows cannot be read as times (first: row 0, 'soon')"
    )
    assert refused(when=["2024-01-01", "", None, "no"]) == (
        "column 'when': 2 of 4 rows have no time (first: row 1); "
        "column 'when': 1 of 4 rows cannot be read as times (first: row 3, 'no')"
    )
    assert "1 of 3 rows cannot be read as times (first: row 2, 5)" in (
        refused(when=[1296551100, 1296551100, 5])
    )
    assert "its numbers (1 to 3) are no times: they must count" in refused(when=[1, 2, 3])
    log = EventLog.from_table({"who": [1, 2], "when": [good, "x"]}, ROLES, on_bad_time="drop")
    assert log.n_events == 1
    assert log.notes[1].endswith(
        "1 of 2 rows cannot be read as times and are left out (first: row 1, 'x')"
    )


def test_several_patterns_and_orders_that_stay_open_are_noted() -> None:
    log = log_of(when=["2011-02-01", "2011-02-02", "13.02.2011 10:00", "14.02.2011 10:00"])
    assert log.end == datetime(2011, 2, 14, 10)
    assert any("dates in 2 patterns" in note for note in log.notes)
    assert any("ambiguous" in note for note in log_of(when=["01/02/2011", "03/04/2011"]).notes)


@pytest.mark.parametrize("zone", ["Z", "+00:00", " UTC", "+0000"])
def test_one_zone_becomes_utc(zone: str) -> None:
    log = log_of(when=[f"2011-01-31T10:00:00{zone}"])
    assert log.start == datetime(2011, 1, 31, 10)
    assert log.notes == ("column 'when': times in the zone +00:00 are turned to UTC",)


def test_zones_are_taken_away() -> None:
    log = log_of(when=["2011-01-31 10:00:00+01:00", "2011-01-31 10:30:00.5+01:00"])
    assert (log.start, log.end) == (
        datetime(2011, 1, 31, 9),
        datetime(2011, 1, 31, 9, 30, 0, 500_000),
    )
    assert log_of(when=["2011-01-31 10:00-0530"]).start == datetime(2011, 1, 31, 15, 30)
    typed = pd.to_datetime(["2011-07-01", "2011-01-01"]).tz_localize("Europe/Berlin")
    log = EventLog.from_table(pd.DataFrame({"who": [1, 1], "when": typed}), ROLES)
    assert (log.start, log.end) == (datetime(2010, 12, 31, 23), datetime(2011, 6, 30, 22))
    assert log.table.schema["when"] == pl.Datetime("us")
    assert "times in the zone Europe/Berlin are turned to UTC" in log.notes[0]


def test_a_mix_of_zones_is_refused_with_counts_and_rows() -> None:
    mixed = ["2011-01-31T10:00:00+01:00", "2011-01-31T10:00:00", "2011-02-01T10:00:00"]
    assert refused(when=mixed) == (
        "column 'when': a mix of time zones: no zone in 2 of 3 rows (first: row 1, "
        "'2011-01-31T10:00:00'), +01:00 in 1 of 3 rows (first: row 0, "
        "'2011-01-31T10:00:00+01:00'); bring all to UTC first"
    )
    two = [pd.Timestamp("2011-01-01", tz="UTC"), pd.Timestamp("2011-01-01", tz="Asia/Tokyo")]
    frame = pd.DataFrame({"who": [1, 1], "when": pd.Series(two, dtype=object)})
    with pytest.raises(DataError, match=r"a mix of time zones: \+00:00 in 1 of 2 rows"):
        EventLog.from_table(frame, ROLES)
    assert "a mix of time zones" in refused(when=[two[0].to_pydatetime(), START])
    assert log_of(when=[START, None, START][:1]).notes == ()


def test_ties_and_repeated_events_are_counted_and_kept() -> None:
    log = log_of(who=[1, 1, 1, 1, 2], what=["a", "b", "a", "a", "a"])
    assert log.table["what"].to_list() == ["a", "b", "a", "a", "a"]
    assert log.notes == (
        "4 of 5 events share customer and time with another and keep the order of the file",
        "2 of 5 events repeat another one in every column and are kept "
        "(first: customer 1, 2024-01-01 00:00:00)",
    )


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(*3 * [st.integers(0, 2)]), min_size=1, max_size=40))
def test_repeats_across_chunks(rows: list[tuple[int, int, int]]) -> None:
    who, hours, what = zip(*rows, strict=True)
    log = log_of(who=who, when=[START + timedelta(hours=hour) for hour in hours], what=what)
    n_tied = sum([row[:2] for row in rows].count(row[:2]) > 1 for row in rows)
    n_repeated = len(rows) - len(set(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("thinfile.data.event_checks._CHUNK_EVENTS", 3)
        notes = repeat_notes(log.table, log.customers, log.offsets, log.times)
    text = " ".join(notes)
    assert (f"{n_tied} of {len(rows)} events share" in text) == (n_tied > 0)
    assert (f"{n_repeated} of {len(rows)} events repeat" in text) == (n_repeated > 0)
    assert tuple(notes) == log.notes


def test_returns_and_numbers_as_text() -> None:
    roles = EventColumns("who", "when", quantity="n", amount="money")
    log = log_of(roles, n=["1", "-2", "3"], money=["€ 1,234.50", "(5.00)", ""])
    assert log.returns().tolist() == [False, True, False]
    assert log.table["money"].to_list() == [1234.5, -5.0, None]
    assert log.notes[:3] == (
        "column 'n': text is read as numbers",
        "column 'money': text is read as numbers (money)",
        "column 'n': 1 of 3 events are negative and count as returns, not as purchases "
        "(first: row 1, -2.0)",
    )
    assert log_of(what=["a"]).returns().tolist() == [False]


def test_numbers_that_are_none() -> None:
    roles = EventColumns("who", "when", quantity="n")
    assert refused(roles, n=["a", "b", None]) == (
        "column 'n': 2 of 3 rows are no numbers (first: row 0, 'a')"
    )
    log = log_of(roles, n=[1.0, float("inf"), float("nan"), 2.0])
    assert log.table["n"].to_list() == [1.0, None, None, 2.0]
    assert (
        "1 of 4 rows are no finite numbers and are left empty (first: row 1, inf)" in (log.notes[0])
    )


def test_csv_gives_text_and_still_numbers_and_times(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    text = io.StringIO()
    text.write("customer;when;invoice;price;code;paid on\n")
    for k in range(12):
        invoice = f"C{k}" if k == 3 else str(100 + k)
        text.write(
            f"{k % 3}.0;{k + 1:02d}.01.2011 10:00;{invoice};1,5{k % 7};00{k};2011-01-{k + 10}\n"
        )
    path.write_text(text.getvalue())
    log = EventLog.from_source(path, EventColumns("customer", "when", item="invoice"))
    assert log.customers.to_list() == [0, 1, 2]
    assert log.start == datetime(2011, 1, 1, 10)
    assert log.table.schema == {
        "when": pl.Datetime("us"),
        "invoice": pl.String,
        "price": pl.Float64,
        "code": pl.String,
        "paid on": pl.Datetime("us"),
    }
    assert log.table["price"][0] == 1.5


def test_all_columns_that_cannot_be_read_in_one_message() -> None:
    roles = EventColumns("who", "when", quantity="n")
    assert refused(roles, who=[True], when=[True], n=[True]) == (
        "column 'who' is of type Boolean, which cannot be a customer's id; "
        "column 'when' is of type Boolean, which cannot be a time; "
        "column 'n' is of type Boolean, which cannot be numbers"
    )


def test_columns_of_other_types() -> None:
    log = log_of(tags=[["a"], []], blob=[b"x", b"y"], flag=[True, None])
    assert log.table.columns == ["when", "blob", "flag"]
    assert log.notes[0] == "column 'tags' is of type List(String): left out"
    roles = EventColumns("who", "when", item="tags")
    assert "column 'tags' is of type List(String), which cannot be a column of a log" in (
        refused(roles, tags=[["a"]])
    )


def test_empty_logs() -> None:
    for who, when in (([], []), (pl.Series([], dtype=pl.Int64), pl.Series([], dtype=pl.Date))):
        with pytest.raises(DataError, match="the log is empty: columns but no rows"):
            EventLog.from_table({"who": who, "when": when}, ROLES)
    assert refused(who=[None, None]).startswith(
        "the log is empty: no event has a customer and a time; column 'who': 2 of 2 rows"
    )


def test_roles_are_checked() -> None:
    with pytest.raises(ParameterError) as caught:
        EventColumns("", 3, item="")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "EventColumns: customer='' must be the name of a column; "
        "time=3 must be the name of a column; item='' must be the name of a column"
    )
    with pytest.raises(ParameterError, match="customer and time are both 'a'"):
        EventColumns("a", "a")
    with pytest.raises(ParameterError, match="time and amount are both 'b'"):
        EventColumns("a", "b", amount="b")
    assert EventColumns.from_dict(EventColumns("a", "b", "c").to_dict()) == EventColumns(
        "a", "b", "c"
    )
    with pytest.raises(ParameterError, match=r"unknown roles 'shop' \(known: customer, time"):
        EventColumns.from_dict({"customer": "a", "time": "b", "shop": "c"})
    with pytest.raises(ParameterError, match="on_bad_time='keep' must be one of 'drop', 'raise'"):
        EventLog.from_table({"who": [1], "when": [START]}, ROLES, on_bad_time="keep")


def test_what_was_handed_in_is_left_alone() -> None:
    frame = pl.DataFrame({"who": [2, 1], "when": ["2024-01-02", "2024-01-01"], "x": [1, 2]})
    copy = frame.clone()
    log = EventLog.from_table(frame, ROLES)
    assert frame.equals(copy)
    assert (
        repr(log) == "EventLog(2 events of 2 customers, 2024-01-01 00:00:00 to 2024-01-02 00:00:00)"
    )
