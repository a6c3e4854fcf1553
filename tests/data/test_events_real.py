"""Event logs of real shops: known counts, and the split that every method is judged by."""

from __future__ import annotations

import gzip
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from thinfile.data.datasets import data_folder
from thinfile.data.event_split import time_split
from thinfile.data.events import EventColumns, EventLog
from thinfile.data.snapshots import Buys
from thinfile.errors import DataError

RETAIL = EventColumns("CustomerID", "InvoiceDate", "StockCode", "Description", "Quantity")


def public(name: str) -> Path:
    try:
        path = data_folder() / name
    except DataError as error:
        pytest.skip(str(error))
    if not path.exists():
        pytest.skip(f"{name} is not among the public tables")
    return path


@pytest.fixture(scope="module")
def retail() -> EventLog:
    return EventLog.from_source(public("online_retail.parquet"), RETAIL)


def test_online_retail_is_counted(retail: EventLog) -> None:
    assert (retail.n_events, retail.n_customers) == (406_829, 4_372)
    assert retail.customers.dtype == pl.Int64
    assert retail.notes == (
        "column 'CustomerID': 135080 of 541909 rows name no customer and are left out "
        "(first: row 622)",
        "column 'Quantity': 8905 of 406829 events are negative and count as returns, not as "
        "purchases (first: row 141, -1)",
        "403555 of 406829 events share customer and time with another and keep the order of the "
        "file",
        "5225 of 406829 events repeat another one in every column and are kept "
        "(first: customer 12359, 2011-10-13 12:47:00)",
    )
    assert retail.start == datetime(2010, 12, 1, 8, 26)
    assert retail.end == datetime(2011, 12, 9, 12, 50)
    # Cancellations are the invoices that begin with C.
    cancelled = retail.table["InvoiceNo"].str.starts_with("C").to_numpy()
    assert (cancelled == retail.returns()).all()


def test_online_retail_against_a_slow_loop(retail: EventLog) -> None:
    lunch = Buys("Description", ("LUNCH BAG RED RETROSPOT", "LUNCH BAG  BLACK SKULL."))
    split = time_split(retail, lunch, timedelta(days=60))
    raw = pl.read_parquet(public("online_retail.parquet"))
    cut = retail.end - timedelta(days=60)
    bought = raw.filter(
        pl.col("Description").is_in(lunch.values)
        & (pl.col("Quantity") >= 0)
        & (pl.col("InvoiceDate") >= cut)
        & (pl.col("InvoiceDate") < retail.end)
    )
    known = raw.filter(pl.col("InvoiceDate") < cut)["CustomerID"].drop_nulls().unique()
    assert len(split.test) == known.len()
    buyers = set(bought["CustomerID"].drop_nulls()) & set(known)
    found = retail.customers.gather(split.test.customer[split.test.label == 1])
    assert set(found) == buyers
    spans = raw.filter(pl.col("InvoiceDate") < cut).group_by("CustomerID").len()
    lengths = dict(spans.drop_nulls().iter_rows())
    ids = retail.customers.gather(split.test.customer)
    assert (split.test.stop - split.test.start).tolist() == [lengths[each] for each in ids]


def test_online_retail_needs_more_than_a_year_for_a_horizon_of_160_days(retail: EventLog) -> None:
    buys = Buys("StockCode", ("20725",))
    with pytest.raises(DataError, match=r"the log spans 373\.2 days .* need more than 480 days"):
        time_split(retail, buys, timedelta(days=160))
    with pytest.raises(DataError, match=r"'LUNCH BAG' never occurs among \d+ values \(near: '"):
        Buys("Description", ("LUNCH BAG",)).mask(retail)


def test_taobao_by_seconds_since_1970() -> None:
    log = EventLog.from_source(
        public("taobao_behaviour_head.parquet"),
        EventColumns("user_id", "ts", "item_id", "category_id"),
    )
    assert (log.n_events, log.n_customers) == (84_475, 815)
    assert "numbers are read as seconds since 1970, UTC" in log.notes[0]
    top = str(log.table.filter(behavior="buy")["category_id"].mode().sort()[0])
    mask = Buys("category_id", (top,), action=("behavior", "buy")).mask(log)
    wanted = (pl.col("category_id").cast(pl.String) == top) & (pl.col("behavior") == "buy")
    assert mask.tolist() == log.table.select(wanted).to_series().to_list()


def test_cdnow_dates_as_digits() -> None:
    with gzip.open(public("cdnow_master.txt.gz"), "rt") as file:
        words = [line.split() for line in file if line.strip()]
    frame = pl.DataFrame(words, schema=["who", "day", "units", "dollars"], orient="row")
    log = EventLog.from_table(frame, EventColumns("who", "day", quantity="units", amount="dollars"))
    assert (log.n_events, log.n_customers) == (69_659, 23_570)
    assert (log.start, log.end) == (datetime(1997, 1, 1), datetime(1998, 6, 30))
    assert log.customers[0] == "00001"
    assert log.table["dollars"].sum() == pytest.approx(2_500_315.63)
