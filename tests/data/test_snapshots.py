"""Snapshots against a slow loop over plain Python lists."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.events import EventColumns, EventLog
from thinfile.data.snapshots import Buys, Snapshots, first_events_at, microseconds
from thinfile.errors import DataError, ParameterError

START = datetime(2024, 1, 1)
ROLES = EventColumns("who", "when", category="what", quantity="n")
DAY = timedelta(days=1)

Event = tuple[int, int, str, int]  # customer, hour, what, quantity


def log_of(events: list[Event]) -> EventLog:
    return EventLog.from_table(
        {
            "who": [who for who, *_ in events],
            "when": [START + timedelta(hours=hour) for _, hour, _, _ in events],
            "what": [what for *_, what, _ in events],
            "n": [n for *_, n in events],
        },
        ROLES,
    )


def slow(
    events: list[Event], hours: list[int], horizon: int, gap: int, what: str
) -> list[tuple[int, int, int, int]]:
    """Customer, hour of the cut, length of the history, label."""
    end = max(hour for _, hour, _, _ in events)
    rows = []
    for cut in hours:
        for customer in sorted({who for who, *_ in events}):
            own = [event for event in events if event[0] == customer]
            history = [event for event in own if event[1] < cut]
            if not history:
                continue
            label = 0
            for _, hour, bought, n in own:
                if cut + gap <= hour < cut + gap + horizon and bought == what and n >= 0:
                    label = 1
            if cut + gap + horizon > end:
                label = -1
            rows.append((customer, cut, len(history), label))
    return rows


event = st.tuples(
    st.integers(1, 5), st.integers(0, 60), st.sampled_from(["tea", "jam"]), st.integers(-1, 2)
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(event, max_size=40),
    st.lists(st.integers(-5, 70), min_size=1, max_size=4),
    st.integers(1, 20),
    st.integers(0, 10),
)
def test_equal_to_a_slow_loop(
    events: list[Event], hours: list[int], horizon: int, gap: int
) -> None:
    # One purchase and one early cut, so that there is something to be labelled.
    events = [*events, (1, 0, "tea", 1), (2, 60, "jam", 1)]
    hours = [*hours, 60 - horizon - gap]
    log = log_of(events)
    rows = log.snapshots(
        [START + timedelta(hours=hour) for hour in hours],
        timedelta(hours=horizon),
        timedelta(hours=gap),
        Buys("what", ("tea",)),
    )
    found = list(
        zip(
            log.customers.gather(rows.customer).to_list(),
            [(cut - START) // timedelta(hours=1) for cut in rows.cut.tolist()],
            (rows.stop - rows.start).tolist(),
            rows.label.tolist(),
            strict=True,
        )
    )
    assert found == slow(events, hours, horizon, gap, "tea")
    assert (rows.start == log.offsets[rows.customer]).all()


def test_history_is_strictly_before_the_cut_and_the_window_is_half_open() -> None:
    events = [(1, 0, "jam", 1), (1, 24, "tea", 1), (2, 0, "jam", 1), (2, 48, "tea", 1)]
    log = log_of([*events, (3, 200, "jam", 1)])
    rows = log.snapshots([START + DAY], DAY, buys=Buys("what", ("tea",)))
    # Customer 1 buys at the cut: no history, but in the window; customer 2 at its end: not in it.
    assert (rows.stop - rows.start).tolist() == [1, 1]
    assert rows.label.tolist() == [1, 0]
    later = log.snapshots([START + DAY], DAY, timedelta(hours=1), Buys("what", ("tea",)))
    assert later.label.tolist() == [0, 1]


def test_the_whole_history_of_a_scoring_cut_and_no_labels_without_buys() -> None:
    log = log_of([(1, 0, "tea", 1), (2, 5, "jam", 1)])
    rows = log.snapshots([log.end + DAY], 7 * DAY)
    assert rows.stop.tolist() == log.offsets[1:].tolist()
    assert rows.label.tolist() == [-1, -1]


def test_a_window_that_ends_with_the_log_is_known_and_one_beyond_it_is_not() -> None:
    log = log_of([(1, 0, "tea", 1), (1, 48, "tea", 1)])
    tea = Buys("what", ("tea",))
    assert log.snapshots([START + DAY], DAY, buys=tea).label.tolist() == [0]
    both = log.snapshots([START + DAY, START + 1.5 * DAY], DAY, buys=tea)
    assert both.label.tolist() == [0, -1]
    with pytest.raises(DataError) as caught:
        log.snapshots([START + 1.5 * DAY, START + 3 * DAY], DAY, buys=tea)
    assert str(caught.value) == (
        "the label window of 1d passes the log's end (2024-01-03 00:00:00) at each of 2 cuts "
        "(earliest: 2024-01-02 12:00:00); a cut must be at 2024-01-02 00:00:00 or earlier"
    )


def test_cuts_with_a_zone_dates_and_numpy() -> None:
    assert microseconds(datetime(1970, 1, 2)) == 86_400_000_000
    assert microseconds(datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == 0
    assert microseconds(datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)) == 1
    assert microseconds(date(1970, 1, 2)) == microseconds(np.datetime64("1970-01-02"))
    for bad in ("2024-01-01", 5, None, np.datetime64("NaT")):
        with pytest.raises(ParameterError, match="must be a datetime"):
            microseconds(bad)  # type: ignore[arg-type]


def test_all_faults_of_a_window_in_one_message() -> None:
    log = log_of([(1, 0, "tea", 1)])
    with pytest.raises(ParameterError) as caught:
        log.snapshots([START], timedelta(0), timedelta(days=-1))
    assert "horizon=datetime.timedelta(0) must be a timedelta above 0; gap=" in str(caught.value)
    with pytest.raises(ParameterError, match="at least one instant"):
        log.snapshots([], DAY)


def test_take_and_concat() -> None:
    log = log_of([(1, 0, "tea", 1), (2, 1, "jam", 1), (1, 90, "tea", 1)])
    rows = log.snapshots([START + DAY, START + 2 * DAY], DAY, buys=Buys("what", ("tea",)))
    assert len(rows) == 4
    assert rows.take([3, 0]).customer.tolist() == [1, 0]
    assert rows.take(rows.customer == 1).cut.tolist() == [START + DAY, START + 2 * DAY]
    assert len(rows.take(np.array([], dtype=np.int64))) == len(rows.take([])) == 0
    back = Snapshots.concat([rows.take([0, 1]), rows.take([2, 3])])
    assert back.customer.tolist() == rows.customer.tolist()
    assert back.label.dtype == np.int8
    other = log.snapshots([START + DAY], 2 * DAY)
    with pytest.raises(DataError, match=r"one and the same, found 1d after 0d, 2d after 0d"):
        Snapshots.concat([rows, other])
    with pytest.raises(DataError, match="nothing to put together"):
        Snapshots.concat([])


def test_flags_are_united_and_lengths_checked() -> None:
    log = log_of([(1, 0, "tea", 1)])
    rows = log.snapshots([START + DAY], DAY)
    parts = [Snapshots(**{**vars(rows), "flags": flags}) for flags in (("a",), ("b", "a"), ())]
    assert Snapshots.concat(parts).flags == ("a", "b")
    with pytest.raises(DataError, match="must have one length, but found customer 1, cut 1, start"):
        Snapshots(**{**vars(rows), "label": np.zeros(3, dtype=np.int8)})


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 20), max_size=8), max_size=8), st.integers(-1, 21))
def test_binary_search_of_all_customers_at_once(lists: list[list[int]], instant: int) -> None:
    lists = [sorted(each) for each in lists]
    times = np.array([time for each in lists for time in each], dtype=np.int64)
    offsets = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    found = first_events_at(times, offsets[:-1], offsets[1:], instant)
    counts = [sum(time < instant for time in each) for each in lists]
    assert (found - offsets[:-1]).tolist() == counts


def test_buys() -> None:
    log = log_of([(1, 0, "tea", 1), (1, 1, "tea", -1), (2, 1, "jam", 1), (2, 2, "tea cosy", 1)])
    assert Buys("what", ("tea",)).mask(log).tolist() == [True, False, False, False]
    assert Buys("what", ("tea", "jam")).mask(log).tolist() == [True, False, True, False]
    assert Buys("what", ("tea",), action=("n", "1")).mask(log).tolist() == [True] + 3 * [False]
    assert Buys.from_dict(Buys("a", ("b",), ("c", "d")).to_dict()) == Buys("a", ("b",), ("c", "d"))
    assert Buys("a", "text").values == ("text",)  # type: ignore[arg-type]


def test_a_category_that_never_occurs_is_named_with_what_comes_near() -> None:
    log = log_of([(1, 0, "LUNCH BAG", 1), (1, 1, "LUNCH BOX", 1), (2, 1, "tea", -1)])
    with pytest.raises(DataError) as caught:
        Buys("what", ("lunch bags", "tea")).mask(log)
    assert str(caught.value) == (
        "column 'what': 'lunch bags' never occurs among 3 values (near: 'LUNCH BAG', 'LUNCH BOX')"
    )
    with pytest.raises(DataError, match=r"no column 'wat' \(near: 'what'\); .* no column 'act'"):
        Buys("wat", ("tea",), action=("act", "buy")).mask(log)
    with pytest.raises(DataError, match="'tea' occurs in 1 events, all of them returns"):
        Buys("what", ("tea",)).mask(log)
    with pytest.raises(DataError, match="column 'n': '7' never occurs among 2 values"):
        Buys("what", ("LUNCH BAG",), action=("n", "7")).mask(log)
    with pytest.raises(DataError, match="'LUNCH BAG' never occurs where 'n' is '-1'"):
        Buys("what", ("LUNCH BAG",), action=("n", "-1")).mask(log)
    assert not Buys("what", ("absent",)).mask(log, must_occur=False).any()
    for bad in ({"values": ()}, {"values": ("a",), "action": "buy"}):
        with pytest.raises(ParameterError, match="Buys: "):
            Buys("what", **bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [pl.Int32, pl.UInt8, pl.Float64, pl.String])
def test_numbers_as_categories(dtype: type[pl.DataType]) -> None:
    frame = pl.DataFrame({"who": [1, 2, 3], "when": [START] * 3, "what": [7, 8, None]})
    log = EventLog.from_table(frame.cast({"what": dtype}), EventColumns("who", "when"))
    value = "7.0" if dtype == pl.Float64 else "7"
    assert Buys("what", (value,)).mask(log).tolist() == [True, False, False]
    with pytest.raises(DataError, match="'seven' never occurs"):
        Buys("what", ("seven",)).mask(log)
