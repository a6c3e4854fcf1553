from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data import histories
from thinfile.data.events import EventColumns, EventLog
from thinfile.data.histories import Histories
from thinfile.data.snapshots import Snapshots
from thinfile.data.synthetic_events import make_events
from thinfile.errors import DataError, ParameterError

ROLES = EventColumns("customer", "time", "item", "category", "quantity", "amount")
DAY = 86_400_000_000
COLUMNS = ("category", "amount", "quantity")


def _log(n_events: int = 1500) -> EventLog:
    table = make_events(n_events, 30, 6, n_days=400, random_state=0)
    gaps = pl.col("category").cum_count() % 7 == 0
    table = table.with_columns(category=pl.when(~gaps).then("category"))
    return EventLog.from_table(table, ROLES)


def _snapshots(log: EventLog) -> Snapshots:
    cuts = [log.end - timedelta(days=days) for days in (300, 100)]
    return log.snapshots(cuts, timedelta(days=30))


def slow_rows(log: EventLog, snapshots: Snapshots, made: Histories) -> list[dict[str, list]]:
    rows = []
    for k in range(len(snapshots)):
        cut = int(snapshots.cut[k].astype(np.int64))
        places = list(range(int(snapshots.start[k]), int(snapshots.stop[k])))[-made.max_events :]
        row = {"events.days_to_cut": [np.float32((cut - int(log.times[p])) / DAY) for p in places]}
        for name in made.columns:
            row[f"events.{name}"] = [log.table[name][p] for p in places]
        rows.append(row)
    return rows


def assert_as_slow(log: EventLog, snapshots: Snapshots, made: Histories) -> None:
    table = made.transform(log, snapshots)
    expected = slow_rows(log, snapshots, made)
    assert table.height == len(snapshots)
    assert table.columns == made.names_
    for name in made.names_:
        kind = table.schema[name].inner
        slow = pl.Series(name, [row[name] for row in expected], dtype=table.schema[name])
        assert kind in (pl.Float32, pl.String)
        assert table[name].equals(slow), name


def test_histories_are_what_a_slow_loop_collects():
    log = _log()
    snapshots = _snapshots(log)
    assert_as_slow(log, snapshots, Histories(COLUMNS, max_events=20))
    assert_as_slow(log, snapshots, Histories((), max_events=1000))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(0, 5), st.integers(0, 3), st.integers(0, 2**31))
def test_any_shift_any_length_any_order(max_events, shift, opens, seed):
    log = _log(200)
    snapshots = _snapshots(log)
    order = np.random.default_rng(seed).permutation(len(snapshots))[:20]
    snapshots = snapshots.take(order)
    stop = np.maximum(snapshots.stop - shift, snapshots.start)
    start = np.minimum(snapshots.start + opens, stop)
    snapshots = replace(snapshots, start=start, stop=stop)
    assert_as_slow(log, snapshots, Histories(COLUMNS, max_events=max_events))


def test_blocks_change_nothing(monkeypatch):
    log = _log()
    snapshots = _snapshots(log)
    whole = Histories(COLUMNS).transform(log, snapshots)
    for bound in (1, 50):
        monkeypatch.setattr(histories, "MAX_ROWS", bound)
        assert Histories(COLUMNS).transform(log, snapshots).equals(whole)


def test_empty_histories_and_no_rows_keep_their_types():
    log = _log()
    snapshots = _snapshots(log)
    nothing = replace(snapshots, stop=snapshots.start.copy())
    table = Histories(COLUMNS).transform(log, nothing)
    assert table["events.category"].list.len().sum() == 0
    assert table["events.category"].null_count() == 0
    expected = [pl.List(pl.Float32), pl.List(pl.String), pl.List(pl.Float32), pl.List(pl.Float32)]
    assert table.dtypes == expected
    assert Histories(COLUMNS).transform(log, snapshots.take([])).dtypes == expected


def test_the_future_changes_no_bit():
    raw = make_events(1500, 30, 6, n_days=400, random_state=0)
    log = EventLog.from_table(raw, ROLES)
    cut = log.table["time"].sort()[log.n_events // 2]  # one event is at the cut itself
    before = Histories(COLUMNS).transform(log, log.snapshots([cut], timedelta(days=30)))
    later = pl.col("time") >= cut
    changed = raw.with_columns(
        category=pl.when(later).then(pl.lit("new")).otherwise("category"),
        amount=pl.when(later).then(1e9).otherwise("amount"),
    )
    other = EventLog.from_table(changed, ROLES)
    after = Histories(COLUMNS).transform(other, other.snapshots([cut], timedelta(days=30)))
    assert after.equals(before)
    assert before["events.days_to_cut"].list.min().min() > 0


def test_booleans_and_categoricals_are_numbers_and_text():
    table = pl.DataFrame(
        {
            "customer": ["a", "a"],
            "time": [datetime(2024, 1, 1), datetime(2024, 1, 2)],
            "flag": [True, None],
            "kind": pl.Series(["x", None], dtype=pl.Categorical),
        }
    )
    log = EventLog.from_table(table, EventColumns("customer", "time"))
    snapshots = log.snapshots([datetime(2024, 1, 3)], timedelta(days=1))
    made = Histories(["flag", "kind"]).transform(log, snapshots)
    assert made.row(0) == ([2.0, 1.0], [1.0, None], ["x", None])


def test_the_state_is_json():
    made = Histories(COLUMNS, max_events=7)
    twin = Histories.from_state(json.loads(json.dumps(made.to_state())))
    assert (twin.columns, twin.max_events, twin.names_) == (COLUMNS, 7, made.names_)
    with pytest.raises(DataError, match="state has format 2, this version reads 1"):
        Histories.from_state(made.to_state() | {"format": 2})
    with pytest.raises(DataError, match="state is damaged"):
        Histories.from_state({"format": 1, "columns": 5})


def test_messages_name_every_fault():
    log = _log()
    snapshots = _snapshots(log)
    with pytest.raises(DataError) as caught:
        Histories(["colour", "time", "size"]).transform(log, snapshots)
    message = str(caught.value)
    for fault in ("'colour'", "'size'", "column 'time' is of type Datetime", "text or numbers"):
        assert fault in message
    with pytest.raises(ParameterError, match=r"columns='abc' must be .*; max_events=0 must be"):
        Histories("abc", max_events=0)
    with pytest.raises(ParameterError, match="must not name one twice"):
        Histories(["a", "a"])
    with pytest.raises(ParameterError, match="must not name 'days_to_cut'"):
        Histories(["days_to_cut"])
