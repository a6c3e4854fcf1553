from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from thinfile.data.buys import Buys
from thinfile.data.datasets import data_folder
from thinfile.data.events import EventColumns, EventLog
from thinfile.data.related import Related, related_categories
from thinfile.errors import DataError, ParameterError

ROLES = EventColumns("customer", "time", category="category", quantity="quantity")
OWN = Buys("category", ("own",))
DAY = timedelta(days=1)
START = datetime(2024, 1, 1)


def make_log(rows: list[tuple[int, float, str]], quantity: int = 1) -> EventLog:
    """Customer, day, category."""
    table = {
        "customer": [row[0] for row in rows],
        "time": [START + row[1] * DAY for row in rows],
        "category": [row[2] for row in rows],
        "quantity": [quantity] * len(rows),
    }
    return EventLog.from_table(pl.DataFrame(table), ROLES)


def random_log(n: int = 600, seed: int = 0) -> EventLog:
    rng = np.random.default_rng(seed)
    categories = rng.choice(["own", "a", "b", "c", "d"], n, p=[0.1, 0.3, 0.3, 0.2, 0.1])
    days = np.round(rng.uniform(0, 60, n), 2)
    customers = rng.integers(0, 25, n)
    return make_log(list(zip(customers.tolist(), days.tolist(), categories.tolist(), strict=True)))


def slow_lifts(log: EventLog, before: datetime, per: str) -> dict[str, tuple[float, int, int]]:
    """Baskets as sets of categories, counted one by one."""
    baskets: dict[tuple[object, ...], set[str]] = {}
    for place, row in enumerate(log.table.iter_rows(named=True)):
        if row["time"] < before:
            customer = int(np.searchsorted(log.offsets, place, side="right"))
            key = (customer, row["time"].date()) if per == "basket" else (customer,)
            baskets.setdefault(key, set()).add(row["category"])
    n_target = sum("own" in basket for basket in baskets.values())
    found = {}
    for name in "abcd":
        n = sum(name in basket for basket in baskets.values())
        n_both = sum({name, "own"} <= basket for basket in baskets.values())
        found[name] = (n_both * len(baskets) / (n * n_target), n_both, n)
    return found


@pytest.mark.parametrize("per", ["basket", "customer"])
@pytest.mark.parametrize("seed", [0, 1])
def test_lifts_are_those_of_counting_one_by_one(per: str, seed: int) -> None:
    log, before = random_log(seed=seed), START + 40 * DAY
    found = related_categories(log, OWN, before, per=per, min_support=1, min_lift=1e-9)
    wanted = {name: each for name, each in slow_lifts(log, before, per).items() if each[1]}
    assert {each.value: (each.lift, each.n_both, each.n) for each in found} == {
        name: (pytest.approx(lift), n_both, n) for name, (lift, n_both, n) in wanted.items()
    }
    assert list(found) == sorted(found, key=lambda each: (-each.lift, -each.n_both, each.value))


def test_nothing_at_or_after_the_instant_is_looked_at() -> None:
    log = random_log()
    later = [(99, 41.0, "own"), (99, 41.0, "x")] * 50
    rows = [
        (int(np.searchsorted(log.offsets, place, side="right")), (t - START) / DAY, c)
        for place, (t, c) in enumerate(log.table.select("time", "category").iter_rows())
    ]
    longer = make_log(rows + later)
    before = START + 41 * DAY
    assert related_categories(log, OWN, before, min_support=1) == related_categories(
        longer, OWN, before, min_support=1
    )
    names = [each.value for each in related_categories(longer, OWN, before + DAY, min_support=1)]
    assert names[0] == "x"


def test_support_lift_and_number_are_kept_to() -> None:
    # 10 baskets: own with a in 3 of 3, with b in 2 of 8, with c in 1 of 1.
    rows = [(k, 0.0, "b") for k in range(8)] + [(k, 0.0, "own") for k in (0, 1, 8, 9)]
    rows += [(k, 0.0, "a") for k in (0, 1, 8)] + [(9, 0.0, "c")]
    log = make_log(rows)
    found = related_categories(log, OWN, START + DAY, min_support=1, min_lift=0.1)
    assert found == (
        Related("a", 2.5, 3, 3),
        Related("c", 2.5, 1, 1),
        Related("b", 0.625, 2, 8),
    )
    assert [e.value for e in related_categories(log, OWN, START + DAY, min_support=2)] == ["a"]
    assert len(related_categories(log, OWN, START + DAY, min_support=1, most=1)) == 1


def test_returns_and_other_actions_do_not_count() -> None:
    log = make_log([(k, 0.0, c) for k in range(5) for c in ("own", "a")])
    table = log.table.with_columns(
        customer=pl.Series(np.repeat(np.arange(5), 2)),
        quantity=pl.Series([1, -1] * 5),
        action=pl.Series(["buy", "view"] * 5),
    )
    returned = EventLog.from_table(table, ROLES)
    assert related_categories(returned, OWN, START + DAY, min_support=1, min_lift=0.1) == ()
    kept = EventLog.from_table(table.with_columns(quantity=pl.lit(1)), ROLES)
    names = [e.value for e in related_categories(kept, OWN, START + DAY, min_support=1, min_lift=1)]
    assert names == ["a"]
    buying = Buys("category", ("own",), ("action", "buy"))
    assert related_categories(kept, buying, START + DAY, min_support=1, min_lift=0.1) == ()


def test_no_purchase_before_the_instant_gives_nothing() -> None:
    log = make_log([(1, 0.0, "a"), (1, 5.0, "own")])
    assert related_categories(log, OWN, START + DAY, min_support=1) == ()
    assert related_categories(log, OWN, START - DAY, min_support=1) == ()


def test_faults_are_named_at_once() -> None:
    log = random_log(50)
    message = (
        r"related_categories: per='day' must be one of 'basket', 'customer'; "
        r"min_support=0 must be a whole number ≥ 1"
    )
    with pytest.raises(ParameterError, match=message):
        related_categories(log, OWN, START + DAY, per="day", min_support=0)
    with pytest.raises(DataError, match="'nothing' never occurs"):
        related_categories(log, Buys("category", ("nothing",)), START + DAY)


def test_lunch_bags_go_with_other_bags() -> None:
    try:
        path = data_folder() / "online_retail.parquet"
    except DataError as error:
        pytest.skip(str(error))
    name = pl.col("Description")
    table = pl.read_parquet(path).with_columns(
        Group=pl.when(name.str.contains("LUNCH BAG")).then(pl.lit("LUNCH BAG")).otherwise(name)
    )
    roles = EventColumns("CustomerID", "InvoiceDate", category="Group", quantity="Quantity")
    log = EventLog.from_table(table.drop("InvoiceNo"), roles)
    found = related_categories(log, Buys("Group", ("LUNCH BAG",)), datetime(2011, 8, 1))
    assert len(found) == 10
    assert all(each.lift > 2 and each.n_both >= 20 for each in found)
    assert sum("BAG" in each.value for each in found) >= 5
