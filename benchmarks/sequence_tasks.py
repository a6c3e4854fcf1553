"""Two purchase logs as tables: who will buy a category, for benchmarks of sequence methods."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.aggregates import Aggregates
from thinfile.data.datasets import data_folder
from thinfile.data.event_columns import EventColumns
from thinfile.data.event_split import time_split
from thinfile.data.events import EventLog
from thinfile.data.histories import Histories
from thinfile.data.retail import with_group
from thinfile.data.snapshots import Buys, Snapshots
from thinfile.data.synthetic_events import make_events

CUT = "cut"
HORIZON = timedelta(days=60)
ROLES = EventColumns("customer", "time", "item", "category", "quantity", "amount")


@dataclass(frozen=True)
class SequenceTask:
    """Rows in the order of time: training, validation and test cuts; n rows in all."""

    title: str
    flat: pl.DataFrame  # (n, aggregates)
    histories: pl.DataFrame  # (n, list columns)
    cut: npt.NDArray[np.datetime64]  # (n,)
    y: npt.NDArray[np.int8]  # (n,)
    n_train: int
    n_validation: int

    @property
    def is_test(self) -> npt.NDArray[np.bool_]:
        return np.arange(len(self.y)) >= self.n_train + self.n_validation

    def table(self, *, flat: bool = True, histories: bool = True) -> pl.DataFrame:
        """What an estimator gets: the cut, and what is asked for."""
        parts = [pl.DataFrame({CUT: self.cut})]
        parts += [self.flat] if flat else []
        parts += [self.histories] if histories else []
        return pl.concat(parts, how="horizontal")

    def words(self) -> str:
        """Rows, base rate and lengths."""
        lengths = self.histories["events.days_to_cut"].list.len()
        return (
            f"{self.title}: {self.n_train} rows at the training cuts, {self.n_validation} at the "
            f"validation cut, {int(self.is_test.sum())} at the test cut, "
            f"{self.y[self.is_test].mean():.1%} of these buy; events of a history: median "
            f"{lengths.median():.0f}, mean {lengths.mean():.0f}, at most {lengths.max()}"
        )


def online_retail(n_train_cuts: int = 3) -> SequenceTask:
    """Online Retail: who buys a lunch bag within 60 days."""
    raw = pl.read_parquet(data_folder() / "online_retail.parquet")
    raw = with_group(raw.filter(pl.col("CustomerID").is_not_null()))
    table = raw.select(
        customer="CustomerID",
        time="InvoiceDate",
        item="StockCode",
        category="Group",
        quantity="Quantity",
        amount=pl.col("Quantity") * pl.col("UnitPrice"),
    )
    log = EventLog.from_table(table, ROLES)
    return _task("Online Retail, lunch bags", log, "LUNCH BAG", n_train_cuts)


def synthetic(n_customers: int = 6000, n_train_cuts: int = 3) -> SequenceTask:
    """The synthetic log: what is bought next follows what was bought before."""
    table = make_events(60 * n_customers, n_customers, random_state=0)
    log = EventLog.from_table(table, ROLES)
    names = table["category"].unique().sort()
    return _task("Synthetic log", log, names[0], n_train_cuts)


def _task(title: str, log: EventLog, category: str, n_train_cuts: int) -> SequenceTask:
    buys = Buys("category", (category,))
    split = time_split(log, buys, HORIZON, n_train_cuts=n_train_cuts)
    rows = Snapshots.concat([split.train, split.validation, split.test])
    aggregates = Aggregates(buys).fit(log, split.train)
    return SequenceTask(
        title,
        aggregates.transform(log, rows),
        Histories(["item", "category", "quantity", "amount"]).transform(log, rows),
        rows.cut,
        rows.label,
        len(split.train),
        len(split.validation),
    )
