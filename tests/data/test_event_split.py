"""Splits that are global in time, and the words for logs that are too short."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.event_split import Split, split_cuts, time_split
from thinfile.data.events import EventColumns, EventLog
from thinfile.data.snapshots import Buys
from thinfile.data.synthetic_events import make_events
from thinfile.errors import DataError, ParameterError

START = datetime(2024, 1, 1)
DAY = timedelta(days=1)
ROLES = EventColumns("customer", "time", category="category", quantity="quantity")
BUYS = Buys("category", ("category 01",))


@pytest.fixture(scope="module")
def log() -> EventLog:
    return EventLog.from_table(make_events(20_000, 400, 6, random_state=0), ROLES)


def log_of(days: list[float], what: list[str] | None = None) -> EventLog:
    frame = {
        "who": [k % 3 for k in range(len(days))],
        "when": [START + day * DAY for day in days],
        "what": what or ["tea"] * len(days),
    }
    return EventLog.from_table(frame, EventColumns("who", "when", category="what"))


def cuts_of(split: Split) -> list[list[datetime]]:
    parts = (split.train, split.validation, split.test)
    return [sorted(set(part.cut.tolist())) for part in parts]


@pytest.mark.parametrize("gap", [timedelta(0), 10 * DAY])
def test_no_label_window_reaches_beyond_the_next_cut(log: EventLog, gap: timedelta) -> None:
    horizon = 60 * DAY
    split = time_split(log, BUYS, horizon, gap)
    train, validation, test = cuts_of(split)
    assert test == [log.end - gap - horizon]
    assert validation == [test[0] - gap - horizon]
    assert train == [validation[0] - k * (gap + horizon) for k in (3, 2, 1)]
    assert split.name == "time"
    assert split.flags == ()
    for part in (split.train, split.validation, split.test):
        assert set(part.label.tolist()) == {0, 1}
        last = log.times[part.stop - 1].view("datetime64[us]")
        assert (last < part.cut).all()


def test_rows_are_those_of_the_snapshots(log: EventLog) -> None:
    split = time_split(log, BUYS, 30 * DAY)
    wanted = log.snapshots([log.end - 60 * DAY], 30 * DAY, buys=BUYS)
    assert split.validation.customer.tolist() == wanted.customer.tolist()
    assert split.validation.label.tolist() == wanted.label.tolist()
    n_unseen = log.n_customers - len({*split.test.customer.tolist()})
    assert f"{n_unseen} of {log.n_customers} customers have no event before" in split.notes[-1]


@pytest.mark.parametrize("random_state", [0, 1])
def test_customers_held_out_are_in_the_test_and_nowhere_else(
    log: EventLog, random_state: int
) -> None:
    options: dict[str, Any] = {"holdout_customers": 0.25, "random_state": random_state}
    split = time_split(log, BUYS, 60 * DAY, **options)
    known = {*split.train.customer.tolist(), *split.validation.customer.tolist()}
    tested = set(split.test.customer.tolist())
    assert not known & tested
    n_held = round(0.25 * log.n_customers)
    assert len(tested) <= n_held
    assert split.notes[0] == (
        f"{n_held} of {log.n_customers} customers are held out: the test sees them and no others"
    )
    n_unseen = log.n_customers - len(known | tested)
    assert f"column 'customer': {n_unseen} of {log.n_customers} customers" in split.notes[-1]
    again = time_split(log, BUYS, 60 * DAY, **options)
    assert again.test.customer.tolist() == split.test.customer.tolist()
    other = time_split(log, BUYS, 60 * DAY, **{**options, "random_state": 7})
    assert other.test.customer.tolist() != split.test.customer.tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 60), st.integers(0, 30), st.integers(1, 6))
def test_as_many_training_cuts_as_have_a_history(
    days: int, horizon: int, gap: int, n_wanted: int
) -> None:
    log = log_of([0, days])
    step = (horizon + gap) * DAY
    # Slow and obvious: go back from the validation while the cut lies after the first event.
    expected, cut = [], log.end - 3 * step
    while cut > log.start and len(expected) < n_wanted:
        expected.insert(0, cut)
        cut -= step
    if not expected:
        with pytest.raises(DataError, match="the log spans"):
            split_cuts(log, horizon * DAY, gap * DAY, n_wanted)
        return
    test, validation, train = split_cuts(log, horizon * DAY, gap * DAY, n_wanted)
    assert (test, validation, train) == (log.end - step, log.end - 2 * step, expected)


def test_a_log_too_short_says_how_many_days_are_needed_and_there() -> None:
    with pytest.raises(DataError) as caught:
        time_split(log_of([0, 100]), Buys("what", ("tea",)), 30 * DAY, 5 * DAY)
    assert str(caught.value) == (
        "the log spans 100 days (2024-01-01 00:00:00 to 2024-04-10 00:00:00), but a horizon of 30d "
        "and a gap of 5d need more than 105 days: one window each to train, validate and test, and "
        "events before it"
    )


def test_fewer_training_cuts_are_noted() -> None:
    log = log_of([0, 1, 2, *np.arange(3, 100, 0.7)])
    split = time_split(log, Buys("what", ("tea",)), 30 * DAY)
    assert split.notes == ("1 of 3 cuts to train on fit into the log",)
    assert len(cuts_of(split)[0]) == 1


def test_no_positives_in_a_window_is_told() -> None:
    days = [0, 0, 0, *range(1, 100, 5)]
    what = ["tea" if day <= 30 else "jam" for day in days]
    with pytest.raises(DataError) as caught:
        time_split(log_of(days, what), Buys("what", ("tea",)), 20 * DAY)
    assert str(caught.value) == (
        "column 'what': none of 3 rows of the validation part buys 'tea' in its window "
        "(2024-02-26 00:00:00 to 2024-03-17 00:00:00): take a longer horizon or a wider category"
    )


def test_all_faults_of_the_options_in_one_message(log: EventLog) -> None:
    with pytest.raises(ParameterError) as caught:
        time_split(log, BUYS, DAY, n_train_cuts=0, holdout_customers=1.0)
    assert str(caught.value) == (
        "time_split: n_train_cuts=0 must be a whole number ≥ 1; "
        "holdout_customers=1.0 must be a number in [0, 1)"
    )
    with pytest.raises(ParameterError, match="must be a timedelta above 0"):
        time_split(log, BUYS, timedelta(0))
    with pytest.raises(ParameterError, match="must be a timedelta of at least 0"):
        time_split(log, BUYS, DAY, -DAY)
