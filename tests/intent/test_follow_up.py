"""What the groups did, against a slow count; planted effects; logs that cannot be followed."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.data.buys import Buys
from thinfile.data.datasets import data_folder
from thinfile.data.events import EventColumns, EventLog
from thinfile.data.retail import with_group
from thinfile.data.synthetic_events import make_events
from thinfile.errors import DataError, ParameterError
from thinfile.intent.audience import HOLD_OUT, PICKED, REST, choose_audience
from thinfile.intent.follow_up import CAMPAIGN, LESS, MORE, RANKING, UNKNOWN, FollowUp, follow_up
from thinfile.intent.follow_up_words import headline, record_of, sentences, warnings
from thinfile.intent.outcomes import what_is_bought

ROLES = EventColumns("customer", "time", "item", "category", "quantity", "amount")
BUYS = Buys("category", ("category 01",))
SINCE, UNTIL = datetime(2024, 11, 1), datetime(2024, 12, 16)


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    return make_events(12_000, 900, 8, random_state=1)


@pytest.fixture(scope="module")
def groups(events: pl.DataFrame) -> pl.DataFrame:
    """Picked by how often they bought before; ties by lot."""
    before = events.filter(pl.col("time") < SINCE)
    counts = before.group_by("customer").agg(n=(pl.col("category") == "category 01").sum())
    return choose_audience(
        counts.select("customer", probability=pl.col("n") / (1 + pl.col("n"))), 300, 0.3
    ).groups


def log_of(events: pl.DataFrame, roles: EventColumns = ROLES) -> EventLog:
    return EventLog.from_table(events, roles)


@pytest.fixture(scope="module")
def found(events: pl.DataFrame, groups: pl.DataFrame) -> FollowUp:
    return follow_up(groups, log_of(events), BUYS, SINCE, UNTIL, n=4, m=2, n_draws=500)


def slow_outcomes(events: pl.DataFrame, n: int, m: int) -> dict[int, dict[str, float]]:
    """Event by event."""
    done: dict[int, dict[str, Any]] = defaultdict(
        lambda: {"purchases": 0, "all": 0, "kinds": set(), "amount": 0.0}
    )
    for row in events.to_dicts():
        if not SINCE <= row["time"] < UNTIL:
            continue
        own = done[row["customer"]]
        if row["quantity"] < 0:
            own["amount"] -= abs(row["amount"])
            continue
        own["amount"] += row["amount"]
        own["all"] += 1
        own["kinds"].add(row["category"])
        own["purchases"] += row["category"] == "category 01"
    return {
        customer: {
            "bought": int(own["purchases"] > 0),
            "purchases": own["purchases"],
            "all_purchases": own["all"],
            "broad": int(own["all"] > n and len(own["kinds"]) > m),
            "amount": own["amount"],
        }
        for customer, own in done.items()
    }


def test_every_figure_is_what_a_slow_count_gives(
    events: pl.DataFrame, groups: pl.DataFrame, found: FollowUp
) -> None:
    slow = slow_outcomes(events, 4, 2)
    nothing = dict.fromkeys(("bought", "purchases", "all_purchases", "broad", "amount"), 0)
    for row in found.customers.to_dicts():
        expected = slow.get(row["customer"], nothing)
        assert {k: row[k] for k in expected} == pytest.approx(expected)
    for row in found.levels.to_dicts():
        members = groups.filter(group=row["group"])["customer"]
        values = [slow.get(customer, nothing)[row["measure"]] for customer in members]
        assert row["value"] == pytest.approx(np.mean(values))
        assert row["n_customers"] == len(values)
    assert found.silent == {
        name: sum(c not in slow for c in groups.filter(group=name)["customer"])
        for name in (PICKED, HOLD_OUT, REST)
    }
    assert found.n_new == len(set(slow) - set(groups["customer"]))


def test_each_pair_of_groups_answers_its_own_question(found: FollowUp) -> None:
    for measure in found.measures:
        campaign, ranking = (found.contrast(measure.name, q) for q in (CAMPAIGN, RANKING))
        assert campaign is not None
        assert ranking is not None
        assert (campaign["first"], campaign["second"]) == (PICKED, HOLD_OUT)
        assert (ranking["first"], ranking["second"]) == (HOLD_OUT, REST)
        levels = {n: found.level(measure.name, n)["value"] for n in (PICKED, HOLD_OUT, REST)}  # type: ignore[index]
        assert campaign["difference"] == pytest.approx(levels[PICKED] - levels[HOLD_OUT])
        assert ranking["lift"] == pytest.approx(levels[HOLD_OUT] / levels[REST])


def test_no_campaign_was_run_and_none_is_told(found: FollowUp) -> None:
    campaign, ranking = (found.contrast("bought", q) for q in (CAMPAIGN, RANKING))
    assert campaign is not None
    assert ranking is not None
    assert campaign["verdict"] == UNKNOWN
    assert ranking["verdict"] == MORE
    assert headline(found).startswith("No effect of the campaign can be told: ")
    words = " ".join(sentences(found))
    assert "the interval includes 1, no effect can be told. With 90 held out, less than" in words
    assert "Hold-out against rest is the model's ranking" in words


def with_purchases(events: pl.DataFrame, customers: pl.Series) -> pl.DataFrame:
    extra = events.head(len(customers)).with_columns(
        customers.alias("customer"),
        pl.lit(SINCE + timedelta(days=3)).cast(pl.Datetime("us")).alias("time"),
        category=pl.lit("category 01"),
        quantity=pl.lit(1, pl.Int64),
    )
    return pl.concat([events, extra])


@pytest.mark.parametrize(
    ("group", "verdict", "words"),
    [(PICKED, MORE, "The campaign sold more"), (HOLD_OUT, LESS, "The campaign sold less")],
)
def test_a_planted_effect_is_told(
    events: pl.DataFrame, groups: pl.DataFrame, group: str, verdict: str, words: str
) -> None:
    converted = groups.filter(group=group)["customer"].gather_every(2)
    found = follow_up(groups, log_of(with_purchases(events, converted)), BUYS, SINCE, UNTIL)
    row = found.contrast("bought", CAMPAIGN)
    assert row is not None
    assert row["verdict"] == verdict
    assert (row["lift_low"] > 1) == (verdict == MORE)
    assert headline(found).startswith(words)


def test_false_alarms_are_as_rare_as_promised(events: pl.DataFrame, groups: pl.DataFrame) -> None:
    """Hold-outs drawn anew, nothing done to anybody: about one in twenty is told."""
    log, best = log_of(events), groups.filter(pl.col("group") != REST)["customer"].to_numpy()
    rng, told = np.random.default_rng(0), 0
    for _ in range(20):
        out = rng.choice(best, 90, replace=False)
        name = np.where(np.isin(best, out), HOLD_OUT, PICKED)
        redrawn = pl.DataFrame({"customer": best, "group": name.tolist()})
        found = follow_up(redrawn, log, BUYS, SINCE, UNTIL, n_draws=200)
        told += found.contrast("purchases", CAMPAIGN)["verdict"] != UNKNOWN  # type: ignore[index]
    assert told <= 4


def test_nothing_depends_on_anything_but_the_seed(
    events: pl.DataFrame, groups: pl.DataFrame, found: FollowUp
) -> None:
    state = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    mixed = events.sample(fraction=1, shuffle=True, seed=3)
    again = follow_up(
        groups.reverse(), log_of(mixed), BUYS, SINCE, UNTIL, n=4, m=2, n_draws=500, random_state=0
    )
    shares = ["bought", "broad"]
    keep = pl.col("measure").is_in(shares)
    assert again.levels.filter(keep).equals(found.levels.filter(keep))
    assert again.levels["value"].to_list() == pytest.approx(found.levels["value"].to_list())
    same = follow_up(groups, log_of(events), BUYS, SINCE, UNTIL, n=4, m=2, n_draws=500)
    assert same.contrasts.equals(found.contrasts)
    assert (np.random.get_state()[1] == state).all()  # type: ignore[index]  # noqa: NPY002


def test_without_a_hold_out_the_campaign_cannot_be_told(
    events: pl.DataFrame, groups: pl.DataFrame
) -> None:
    found = follow_up(
        groups.filter(pl.col("group") != HOLD_OUT), log_of(events), BUYS, SINCE, UNTIL
    )
    assert found.contrast("bought", CAMPAIGN) is None
    assert "what the campaign has brought cannot be told" in headline(found)
    assert found.sizes[HOLD_OUT] == 0
    assert len(found.contrasts) == len(found.measures)


def test_a_hold_out_of_a_few_says_that_it_says_little(
    events: pl.DataFrame, groups: pl.DataFrame
) -> None:
    few = groups.filter(group=HOLD_OUT).head(12)
    found = follow_up(
        pl.concat([groups.filter(pl.col("group") != HOLD_OUT), few]),
        log_of(events.filter(~pl.col("customer").is_in(few["customer"].implode()))),
        BUYS,
        SINCE,
        UNTIL,
    )
    level = found.level("purchases", HOLD_OUT)
    assert level is not None
    assert (level["value"], level["low"]) == (0.0, None)
    row = found.contrast("purchases", CAMPAIGN)
    assert row is not None
    assert row["difference_low"] is None
    assert row["verdict"] == UNKNOWN
    share = found.contrast("bought", CAMPAIGN)
    assert share is not None
    assert np.isinf(share["lift"])
    record = record_of(found)
    assert next(r for r in record["contrasts"] if r["measure"] == "bought")["lift"] is None
    assert "∞ times" in " ".join(sentences(found))


def test_other_actions_are_no_purchases(events: pl.DataFrame, groups: pl.DataFrame) -> None:
    buys = Buys("category", BUYS.values, action=("channel", "web"))
    found = follow_up(groups, log_of(events), buys, SINCE, UNTIL)
    plain = follow_up(groups, log_of(events.filter(pl.col("channel") == "web")), BUYS, SINCE, UNTIL)
    for name in ("purchases", "all_purchases", "broad"):
        assert found.customers[name].equals(plain.customers[name])


def test_ids_as_text_in_one_file_and_numbers_in_the_other(
    events: pl.DataFrame, groups: pl.DataFrame, found: FollowUp
) -> None:
    text = events.with_columns(pl.col("customer").cast(pl.String))
    again = follow_up(groups, log_of(text), BUYS, SINCE, UNTIL, n=4, m=2, n_draws=500)
    assert again.levels["value"].to_list() == pytest.approx(found.levels["value"].to_list())
    assert again.customers["customer"].dtype == groups["customer"].dtype


def test_a_log_without_amounts_and_quantities(events: pl.DataFrame, groups: pl.DataFrame) -> None:
    bare = log_of(events.drop("amount", "quantity"), EventColumns("customer", "time"))
    found = follow_up(groups, bare, BUYS, SINCE, UNTIL)
    assert [measure.name for measure in found.measures] == [
        "bought",
        "purchases",
        "broad",
        "all_purchases",
    ]


def test_a_window_that_the_log_has_not_seen_whole(
    events: pl.DataFrame, groups: pl.DataFrame
) -> None:
    late = events.filter(pl.col("time").is_between(datetime(2024, 11, 5), datetime(2024, 11, 20)))
    found = follow_up(groups, log_of(late), BUYS, SINCE, UNTIL)
    first, second = warnings(found)
    assert re.match(r"The log ends on 2024-11-\d\d .*: 1[89]\.\d of the window's 45.0 days", first)
    assert "what was bought in the first 4." in second
    assert "seen up to" in sentences(found)[0]


def test_a_category_that_nobody_bought_is_named(events: pl.DataFrame, groups: pl.DataFrame) -> None:
    renamed = events.with_columns(pl.col("category").str.replace("category", "Category"))
    found = follow_up(groups, log_of(renamed), BUYS, SINCE, UNTIL)
    assert found.level("bought", PICKED)["value"] == 0  # type: ignore[index]
    assert "never occurs among 8 values (near: 'Category 01'" in warnings(found)[0]


def test_logs_that_cannot_be_followed(events: pl.DataFrame, groups: pl.DataFrame) -> None:
    log = log_of(events.filter(pl.col("time") < SINCE))
    with pytest.raises(DataError, match=r"the log ends on 2024-10-31 .*, before the window begins"):
        follow_up(groups, log, BUYS, SINCE, UNTIL)
    with pytest.raises(DataError, match=r"the log begins on .*, after the window ends on 2020"):
        follow_up(groups, log, BUYS, datetime(2019, 1, 1), datetime(2020, 1, 1))
    with pytest.raises(ParameterError, match="the window must end after it begins"):
        follow_up(groups, log, BUYS, UNTIL, SINCE)
    others = groups.with_columns(pl.format("C{}", "customer").alias("customer"))
    with pytest.raises(
        DataError,
        match=r"none of the 6\d\d customers of the audience .*audience: 'C\d+', log: \d+",
    ):
        follow_up(others, log_of(events), BUYS, SINCE, UNTIL)
    with pytest.raises(ParameterError, match=r"n=-1 must be .*m='many' must be .*n_draws=5 must"):
        follow_up(groups, log, BUYS, SINCE, UNTIL, n=-1, m="many", n_draws=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.drop("group"), r"groups lack \['group'\]"),
        (lambda g: g.with_columns(group=pl.lit("control")), "others .first: 'control'"),
        (lambda g: pl.concat([g, g.head(2)]), "2 rows repeat one"),
        (lambda g: g.filter(pl.col("group") != PICKED), "nobody is picked"),
    ],
)
def test_groups_that_are_none(
    events: pl.DataFrame, groups: pl.DataFrame, change: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        follow_up(change(groups), log_of(events), BUYS, SINCE, UNTIL)


def test_half_a_month_of_a_real_shop() -> None:
    """Customers ranked by their last purchase of the category, against a query of its own."""
    try:
        path = data_folder() / "online_retail.parquet"
    except DataError as error:
        pytest.skip(str(error))
    sold = with_group(pl.read_parquet(path)).filter(pl.col("CustomerID").is_not_null())
    sold = sold.with_columns(Amount=pl.col("Quantity") * pl.col("UnitPrice"))
    cut, until = datetime(2011, 10, 10), datetime(2011, 10, 25)
    own = pl.col("InvoiceDate").filter((pl.col("Group") == "LUNCH BAG") & (pl.col("Quantity") > 0))
    last = sold.filter(pl.col("InvoiceDate") < cut).group_by("CustomerID").agg(last=own.max())
    days = (cut - pl.col("last")).dt.total_days().fill_null(10_000)
    scores = last.select(pl.col("CustomerID").cast(pl.Int64).alias("customer"), 1 / (1 + days))
    scores.columns = ["customer", "probability"]
    groups = choose_audience(scores, 500, 0.2).groups
    roles = EventColumns("CustomerID", "InvoiceDate", "StockCode", "Group", "Quantity", "Amount")
    found = follow_up(
        groups, EventLog.from_table(sold, roles), Buys("Group", ("LUNCH BAG",)), cut, until
    )
    done = sold.filter(pl.col("InvoiceDate").is_between(cut, until, closed="left"))
    done = done.filter(pl.col("Quantity") > 0).group_by(customer=pl.col("CustomerID").cast(int))
    per_head = groups.join(
        done.agg(
            own=(pl.col("Group") == "LUNCH BAG").sum(), n=pl.len(), k=pl.col("Group").n_unique()
        ),
        on="customer",
        how="left",
    ).fill_null(0)
    for name in (PICKED, HOLD_OUT, REST):
        own_group = per_head.filter(group=name)
        assert found.level("bought", name)["value"] == pytest.approx(  # type: ignore[index]
            (own_group["own"] > 0).mean()
        )
        assert found.level("broad", name)["value"] == pytest.approx(  # type: ignore[index]
            ((own_group["n"] > 10) & (own_group["k"] > 3)).mean()
        )
    assert found.contrast("bought", RANKING)["verdict"] == MORE  # type: ignore[index]
    assert found.contrast("bought", CAMPAIGN)["verdict"] == UNKNOWN  # type: ignore[index]


def test_categories_are_named_shortly() -> None:
    assert what_is_bought(Buys("c", ("TEA", "COFFEE"))) == "TEA or COFFEE"
    assert what_is_bought(Buys("c", ("TEA", "COFFEE", "SUGAR"))) == "TEA or 2 others"
