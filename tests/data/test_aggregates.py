from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data import aggregate_query
from thinfile.data.aggregates import Aggregates
from thinfile.data.buys import Buys
from thinfile.data.datasets import data_folder
from thinfile.data.events import EventColumns, EventLog
from thinfile.data.snapshots import Snapshots
from thinfile.data.synthetic_events import make_events
from thinfile.errors import DataError, MissingPackageError, ParameterError

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")

ROLES = EventColumns("customer", "time", "item", "category", "quantity", "amount")
OWN = Buys("category", ("category 01",))
MONTH = timedelta(days=30)
DAY = timedelta(days=1)
BIRTH = datetime(1970, 1, 1)


def _log(n_events: int = 2000, n_customers: int = 40, *, state: int = 0) -> EventLog:
    table = make_events(n_events, n_customers, 6, n_days=400, random_state=state)
    return EventLog.from_table(table, ROLES)


def _cuts(log: EventLog) -> list[datetime]:
    return [log.end - timedelta(days=days) for days in (200, 120, 60)]


# The slow, obvious version ----------------------------------------------------------------------


def slow_row(
    log: EventLog, snapshots: Snapshots, row: int, features: Aggregates
) -> dict[str, float | None]:
    """One row of features, by looking at each event of the history in turn."""
    cut = BIRTH + timedelta(microseconds=int(snapshots.cut[row].astype(np.int64)))
    events = [_event(log, place, features) for place in _range(snapshots, row)]
    kept = [event for event in events if not event["returned"]]
    own = [event for event in events if event["own"]]
    purchases = [event for event in events if event["purchase"]]
    related = [event for event in kept if event["category"] in features.related_]
    found: dict[str, float | None] = {"any_returns": len(events) - len(kept)}
    found["any_n_categories"] = len({e["category"] for e in kept} - {None})
    for name, chosen in (("own", own), ("any", kept), ("related", related)):
        found |= _seen(name, chosen, cut, features.windows)
    for name, chosen in (("own", own), ("any", purchases)):
        found |= _weeks(name, chosen, cut)
    money = [event for event in events if event["purchase"] or event["returned"]]
    for name, chosen in (("own", own), ("any", money)):
        for span, days in _spans(features.windows):
            inside = [e for e in chosen if days is None or cut - e["time"] <= days * DAY]
            found[f"{name}_amount{span}"] = sum(e["amount"] for e in inside)
    for category in features.categories_:
        mine = [event for event in kept if event["category"] == category]
        found[f"count[{category}]"] = len(mine)
        found[f"days_since[{category}]"] = (cut - mine[-1]["time"]) / DAY if mine else None
    return {name: found[name] for name in features.names_}


def _range(snapshots: Snapshots, row: int) -> range:
    return range(int(snapshots.start[row]), int(snapshots.stop[row]))


def _event(log: EventLog, place: int, features: Aggregates) -> dict[str, Any]:
    row = log.table.row(place, named=True)
    quantity, amount = row["quantity"], row["amount"]
    returned = quantity is not None and quantity < 0
    buys = features.buys
    acted = buys.action is None or row[buys.action[0]] == buys.action[1]
    return {
        "time": BIRTH + timedelta(microseconds=int(log.times[place])),
        "category": row["category"],
        "returned": returned,
        "purchase": acted and not returned,
        "own": acted and not returned and row[buys.column] in buys.values,
        "amount": 0.0 if amount is None or amount != amount else amount,
    }


def _spans(windows: Sequence[int]) -> list[tuple[str, int | None]]:
    return [("", None), *((f"_{days}d", days) for days in windows)]


def _seen(
    name: str, chosen: list[dict[str, Any]], cut: datetime, windows: Sequence[int]
) -> dict[str, float | None]:
    found: dict[str, float | None] = {
        f"{name}_days_since_last": (cut - chosen[-1]["time"]) / DAY if chosen else None,
        f"{name}_days_since_first": (cut - chosen[0]["time"]) / DAY if chosen else None,
    }
    for span, days in _spans(windows):
        inside = [e for e in chosen if days is None or cut - e["time"] <= days * DAY]
        found[f"{name}_count{span}"] = len(inside)
    return found


def _weeks(name: str, chosen: list[dict[str, Any]], cut: datetime) -> dict[str, float | None]:
    days = sorted({e["time"].replace(hour=0, minute=0, second=0, microsecond=0) for e in chosen})
    if not days:
        return dict.fromkeys(
            (f"{name}_repeat_purchases", f"{name}_recency_weeks", f"{name}_age_weeks")
        )
    return {
        f"{name}_repeat_purchases": len(days) - 1,
        f"{name}_recency_weeks": (days[-1] - days[0]) / (7 * DAY),
        f"{name}_age_weeks": (cut - days[0]) / (7 * DAY),
    }


def assert_as_slow(
    log: EventLog, snapshots: Snapshots, features: Aggregates, rows: Sequence[int] | None = None
) -> None:
    table = features.transform(log, snapshots)
    assert table.columns == features.names_
    assert table.height == len(snapshots)
    rows = range(len(snapshots)) if rows is None else rows
    slow = [slow_row(log, snapshots, row, features) for row in rows]
    for name in features.names_:
        fast = table[name].gather(list(rows)).to_list()
        expected = [row[name] for row in slow]
        assert [v is None for v in fast] == [v is None for v in expected], name
        pairs = [(f, e) for f, e in zip(fast, expected, strict=True) if e is not None]
        np.testing.assert_allclose(
            [f for f, _ in pairs], [e for _, e in pairs], rtol=1e-6, atol=2e-6, err_msg=name
        )


# Against the slow version -----------------------------------------------------------------------


def test_a_made_up_log_gives_what_a_slow_loop_gives():
    log = _log()
    snapshots = log.snapshots(_cuts(log), MONTH, buys=OWN)
    pair = ("category 00", "category 04")
    features = Aggregates(OWN, windows=(7, 30, 365), related=pair, max_categories=3)
    assert_as_slow(log, snapshots, features.fit(log, snapshots))


def test_related_categories_are_mined_where_none_are_given():
    table = make_events(20_000, 200, 20, n_days=400, random_state=0)
    log = EventLog.from_table(table, ROLES)
    snapshots = log.snapshots(_cuts(log), MONTH, buys=OWN)
    features = Aggregates(OWN, windows=(30,)).fit(log, snapshots)
    assert features.related_ == ("category 00",)  # that is how the log was made
    rows = np.random.default_rng(0).choice(len(snapshots), 20, replace=False)
    assert_as_slow(log, snapshots, features, rows.tolist())


ODD = ["a", "b", "", "'); DROP TABLE events; --", 'x"]', "count[a]", "né\n%s", None]


@st.composite
def _small_logs(draw: st.DrawFn) -> pl.DataFrame:
    n = draw(st.integers(1, 40))
    # Few distinct instants, so that ties, single days and window borders all occur.
    instants = st.integers(0, 40).map(lambda k: datetime(2024, 1, 1) + k * timedelta(hours=12))
    rows = st.fixed_dictionaries(
        {
            "customer": st.integers(0, 4),
            "time": instants,
            "item": st.just("i"),
            "category": st.sampled_from(ODD),
            "quantity": st.sampled_from([1, 2, -1, None]),
            "amount": st.sampled_from([1.25, 0.1, 1e6, -3.0, None, float("nan")]),
            "action": st.sampled_from(["view", "buy"]),
        }
    )
    table = draw(st.lists(rows, min_size=n, max_size=n))
    schema = {"quantity": pl.Int64, "amount": pl.Float64, "category": pl.String}
    return pl.DataFrame(table, schema_overrides=schema)


@settings(max_examples=25, deadline=None)
@given(table=_small_logs(), data=st.data())
def test_any_log_gives_what_a_slow_loop_gives(table, data):
    log = EventLog.from_table(table, ROLES)
    cut = st.integers(1, 42).map(lambda k: datetime(2024, 1, 1) + k * timedelta(hours=12))
    cuts = data.draw(st.lists(cut, min_size=1, max_size=3, unique=True))
    snapshots = log.snapshots(cuts, DAY)
    if not len(snapshots):
        return
    # Shifted copies stop earlier, and a window of observation may open later.
    shift = data.draw(st.integers(0, 3))
    stop = np.maximum(snapshots.stop - shift, snapshots.start)
    start = np.minimum(snapshots.start + data.draw(st.integers(0, 2)), stop)
    snapshots = replace(snapshots, start=start, stop=stop)
    action = data.draw(st.sampled_from([None, ("action", "buy")]))
    buys = Buys("category", ("a", "'); DROP TABLE events; --"), action)
    known = table["category"].drop_nulls().unique().to_list()
    features = Aggregates(buys, windows=(1, 7), related=known[:2], max_categories=4)
    assert_as_slow(log, snapshots, features.fit(log, snapshots))


def test_categories_may_be_numbers():
    table = make_events(600, 20, 6, random_state=0)
    number = pl.col("category").str.slice(9).cast(pl.Int64)
    log = EventLog.from_table(table.with_columns(category=number), ROLES)
    as_text = EventLog.from_table(table.with_columns(category=number.cast(pl.String)), ROLES)
    buys = Buys("category", ("1",))
    tables = []
    for each in (log, as_text):
        snapshots = each.snapshots(_cuts(each), MONTH)
        features = Aggregates(buys, related=("2",), max_categories=3).fit(each, snapshots)
        assert "count[0]" in features.names_
        tables.append(features.transform(each, snapshots))
    assert tables[0].equals(tables[1])
    assert tables[0]["own_count"].sum() > 0


def test_online_retail_gives_what_a_slow_loop_gives():
    try:
        path = data_folder() / "online_retail.parquet"
    except DataError as error:
        pytest.skip(str(error))
    roles = EventColumns(
        "CustomerID", "InvoiceDate", "StockCode", "Description", "Quantity", "amount"
    )
    table = pl.read_parquet(path).with_columns(amount=pl.col("Quantity") * pl.col("UnitPrice"))
    table = table.drop_nulls("CustomerID").sort("CustomerID").head(60_000)
    log = EventLog.from_table(table, roles)
    renamed = log.table.rename({"Description": "category", "Quantity": "quantity"})
    log = EventLog(
        EventColumns("CustomerID", "InvoiceDate", "StockCode", "category", "quantity", "amount"),
        renamed,
        log.customers,
        log.offsets,
        log.times,
    )
    buys = Buys("category", ("WHITE HANGING HEART T-LIGHT HOLDER",))
    snapshots = log.snapshots([datetime(2011, 9, 1), datetime(2011, 6, 1)], MONTH, buys=buys)
    features = Aggregates(buys, max_categories=5).fit(log, snapshots)
    rows = np.random.default_rng(0).choice(len(snapshots), 60, replace=False)
    assert_as_slow(log, snapshots, features, rows.tolist())


# Nothing of the future ---------------------------------------------------------------------------


def test_the_future_changes_no_bit():
    log = _log()
    cut = log.table["time"].sort()[log.n_events // 2]  # one event is at the cut itself
    snapshots = log.snapshots([cut, cut - MONTH], MONTH, buys=OWN)
    features = Aggregates(OWN).fit(log, snapshots)
    before = features.transform(log, snapshots)
    raw = make_events(2000, 40, 6, n_days=400, random_state=0)
    later = pl.col("time") >= cut
    changed = raw.with_columns(
        category=pl.when(later).then(pl.lit("new")).otherwise("category"),
        quantity=pl.when(later).then(-7).otherwise("quantity"),
        amount=pl.when(later).then(1e9).otherwise("amount"),
    )
    fewer = changed.filter(~later | (pl.col("quantity").cum_count() % 3 == 0))
    kept = changed.with_columns(quantity=pl.when(later).then(7).otherwise("quantity"))
    for table in (changed, kept, fewer, pl.concat([raw, changed.filter(later)])):
        other = EventLog.from_table(table, ROLES)
        again = other.snapshots([cut, cut - MONTH], MONTH)
        fresh = Aggregates(OWN).fit(other, again)
        assert fresh.to_state() == features.to_state()
        assert fresh.transform(other, again).equals(before)
    assert features.fitted_until_ == cut


def test_events_between_the_cuts_reach_no_vocabulary_of_training():
    log = _log()
    early, late = log.start + timedelta(days=100), log.start + timedelta(days=300)
    train = log.snapshots([early], MONTH, buys=OWN)
    features = Aggregates(OWN).fit(log, train)
    assert features.fitted_until_ == early
    cut_off = EventLog.from_table(
        make_events(2000, 40, 6, n_days=400, random_state=0).filter(pl.col("time") < early), ROLES
    )
    assert Aggregates(OWN).fit(cut_off, train).to_state() == features.to_state()
    assert features.transform(log, log.snapshots([late], MONTH)).width == len(features.names_)


def test_a_row_has_the_same_bits_alone_and_in_any_block(monkeypatch):
    log = _log()
    snapshots = log.snapshots(_cuts(log), MONTH, buys=OWN)
    features = Aggregates(OWN).fit(log, snapshots)
    whole = features.transform(log, snapshots)
    order = np.random.default_rng(0).permutation(len(snapshots))
    assert features.transform(log, snapshots.take(order)).equals(whole[order])
    assert features.transform(log, snapshots.take([5])).equals(whole[5])
    monkeypatch.setattr(aggregate_query, "MAX_PAIRS", 100)
    assert features.transform(log, snapshots).equals(whole)
    monkeypatch.setattr(aggregate_query, "MAX_EVENTS", 1)
    assert features.transform(log, snapshots).equals(whole)


# State, names and messages ------------------------------------------------------------------------


def test_the_state_is_json_and_gives_the_same_bits():
    log = _log()
    snapshots = log.snapshots(_cuts(log), MONTH, buys=OWN)
    features = Aggregates(OWN, related=("category 02",)).fit(log, snapshots)
    twin = Aggregates.from_state(json.loads(json.dumps(features.to_state())))
    assert twin.transform(log, snapshots).equals(features.transform(log, snapshots))
    assert (twin.names_, twin.groups_) == (features.names_, features.groups_)
    assert twin.to_state() == features.to_state()
    with pytest.raises(DataError, match="state has format 7, this version reads 1"):
        Aggregates.from_state(features.to_state() | {"format": 7})
    with pytest.raises(DataError, match="state is damaged: KeyError"):
        Aggregates.from_state({"format": 1, "buys": OWN.to_dict()})


def test_every_column_is_in_one_group_and_has_the_promised_name():
    log = _log()
    snapshots = log.snapshots(_cuts(log), MONTH, buys=OWN)
    features = Aggregates(OWN).fit(log, snapshots)
    assert sorted(n for names in features.groups_.values() for n in names) == sorted(
        features.names_
    )
    assert len(set(features.names_)) == len(features.names_)
    promised = """own_count own_days_since_last own_days_since_first own_count_7d own_count_30d
    own_count_90d own_count_365d own_amount_30d any_count any_days_since_last any_days_since_first
    any_count_30d any_amount_30d any_n_categories any_returns related_count related_days_since_last
    related_count_30d own_repeat_purchases own_recency_weeks own_age_weeks any_repeat_purchases
    any_recency_weeks any_age_weeks days_since[category~00] count[category~00]"""
    assert {name.replace("~", " ") for name in promised.split()} <= set(features.names_)
    assert "count[category 01]" not in features.names_  # the own category has names of its own
    assert set(features.transform(log, snapshots).dtypes) == {pl.Float32}


def test_without_amounts_and_categories_there_are_no_such_columns():
    table = make_events(500, 20, 4, random_state=0)
    log = EventLog.from_table(table, EventColumns("customer", "time"))
    snapshots = log.snapshots([log.start + timedelta(days=300)], MONTH, buys=OWN)
    features = Aggregates(OWN, windows=(), max_categories=0).fit(log, snapshots)
    assert not [name for name in features.names_ if "amount" in name or "[" in name]
    assert "amounts" not in features.groups_
    assert features.transform(log, snapshots)["own_count"].sum() > 0


def test_no_snapshots_give_no_rows_and_cannot_be_fitted_to():
    log = _log()
    snapshots = log.snapshots(_cuts(log), MONTH, buys=OWN)
    features = Aggregates(OWN).fit(log, snapshots)
    table = features.transform(log, snapshots.take([]))
    assert table.shape == (0, len(features.names_))
    with pytest.raises(DataError, match="no snapshots to fit to"):
        Aggregates(OWN).fit(log, snapshots.take([]))


def test_a_log_without_what_was_fitted_to_is_refused_with_all_faults():
    log = _log()
    snapshots = log.snapshots(_cuts(log), MONTH, buys=OWN)
    features = Aggregates(OWN).fit(log, snapshots)
    table = make_events(500, 20, 4, random_state=0).rename({"category": "group"})
    other = EventLog.from_table(table, EventColumns("customer", "time", category="group"))
    with pytest.raises(DataError) as caught:
        features.transform(other, other.snapshots([other.end], MONTH))
    message = str(caught.value)
    assert "no column 'category'" in message
    assert "'group'" in message
    assert "no amount" in message


def test_arguments_are_checked_all_at_once():
    with pytest.raises(ParameterError, match=r"windows=\(0,\) must be .*; related='a' must be"):
        Aggregates(OWN, windows=(0,), related="a")
    with pytest.raises(ParameterError, match="must not name one twice"):
        Aggregates(OWN, windows=(7, 7))


def test_a_related_category_that_never_occurs_is_named_with_near_ones():
    log = _log()
    snapshots = log.snapshots(_cuts(log), MONTH, buys=OWN)
    with pytest.raises(DataError, match=r"'category 2' never occurs .*category 02"):
        Aggregates(OWN, related=("category 2",)).fit(log, snapshots)


def test_a_missing_duckdb_is_named_with_the_command(monkeypatch):
    log = _log()
    snapshots = log.snapshots(_cuts(log), MONTH, buys=OWN)
    features = Aggregates(OWN).fit(log, snapshots)
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'thinfile\[sql\]'"):
        features.transform(log, snapshots)
