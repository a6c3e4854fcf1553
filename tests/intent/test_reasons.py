"""Contributions: exact for trees, against a slow loop for other models, and in words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.baselines.boosted import BoostedTreesClassifier
from thinfile.baselines.logistic import LogisticClassifier
from thinfile.data.aggregates import Aggregates
from thinfile.data.buys import Buys
from thinfile.data.event_split import time_split
from thinfile.data.events import EventColumns, EventLog
from thinfile.data.histories import Histories
from thinfile.data.synthetic_events import make_events
from thinfile.intent.audience import choose_audience
from thinfile.intent.model import IntentModel
from thinfile.intent.reason_words import phrase
from thinfile.intent.reasons import (
    HISTORY,
    OTHER_EVENTS,
    OWN_EVENTS,
    ColumnGroup,
    Contributions,
    audience_reasons,
    column_groups,
    contributions,
    in_words,
    log_odds,
    mix,
    walk_orders,
)
from thinfile.intent.recipe import Recipe

TEA = Buys("group", ("TEA",))
COLUMNS = {"recency": ["days"], "money": ["spent", "saved"], "place": ["city"]}


def make_table(n: int = 400, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    days = rng.exponential(30, n)
    city = rng.choice(["Graz", "Linz", "Wels"], n)
    table = pl.DataFrame(
        {
            "days": np.where(rng.random(n) < 0.2, np.nan, days),
            "spent": rng.lognormal(3, 1, n),
            "saved": rng.normal(size=n),
            "city": city,
        }
    ).with_columns(pl.col("days").fill_nan(None))
    odds = 1.5 - days / 20 + 0.8 * (city == "Graz") + 0.5 * table["saved"].to_numpy()
    return table, (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(int)


def groups_of(table: pl.DataFrame) -> list[ColumnGroup]:
    return column_groups(table, COLUMNS, TEA)


def scorer(model: Any) -> Any:
    return lambda table: model.predict_proba(table)[:, 1]


def test_exact_contributions_of_trees_add_up_to_the_log_odds() -> None:
    table, y = make_table()
    model = BoostedTreesClassifier(n_trees=40, random_state=0).fit(table, y)
    found = contributions(model, scorer(model), table, table.head(3), groups_of(table))
    assert found.is_exact
    # What is left is one number for all rows: the log-odds of an average training row.
    assert np.ptp(found.rest) < 1e-6
    total = found.rest + found.values.sum(axis=1)
    assert total == pytest.approx(log_odds(model.predict_proba(table)[:, 1]), abs=1e-6)


def test_a_difference_of_log_odds_is_the_difference_of_contributions() -> None:
    table, y = make_table()
    model = BoostedTreesClassifier(n_trees=40, random_state=0).fit(table, y)
    found = contributions(model, scorer(model), table, table.head(3), groups_of(table))
    odds = log_odds(model.predict_proba(table)[:, 1])
    apart = found.values[3].sum() - found.values[11].sum()
    assert apart == pytest.approx(odds[3] - odds[11], abs=1e-6)


def test_exact_contributions_follow_a_recalibrated_model() -> None:
    from thinfile.metrics.calibration import Calibration

    table, y = make_table()
    model = BoostedTreesClassifier(n_trees=20, random_state=0).fit(table, y)
    model.recalibrate(Calibration(1.7, -0.4))
    found = contributions(model, scorer(model), table, table.head(3), groups_of(table))
    assert np.ptp(found.rest) < 1e-6


def test_trees_with_a_population_column_leave_it_in_the_rest() -> None:
    table, y = make_table()
    domain = np.where(np.arange(len(y)) < 300, "old", "new")
    model = BoostedTreesClassifier(n_trees=20, random_state=0, target_domain="new")
    model.fit(table, y, domain=domain)
    found = contributions(model, scorer(model), table, table.head(3), groups_of(table))
    total = found.rest + found.values.sum(axis=1)
    assert total == pytest.approx(log_odds(model.predict_proba(table)[:, 1]), abs=1e-6)


def ask(model: Any, row: dict[str, Any], table: pl.DataFrame) -> float:
    return float(log_odds(scorer(model)(pl.DataFrame([row], schema=table.schema)))[0])


@pytest.mark.parametrize("align", [None, "scale"])
def test_any_model_is_walked_as_a_slow_loop_walks(align: str | None) -> None:
    table, y = make_table()
    model: Any = LogisticClassifier(random_state=0)
    if align:
        model = BoostedTreesClassifier(align=align, n_trees=10, random_state=0)
    model.fit(table, y)
    rows, reference, groups = table.head(7), table[100:105], groups_of(table)
    found = contributions(model, scorer(model), rows, reference, groups)
    assert not found.is_exact
    for at, row in enumerate(rows.to_dicts()):
        slow = np.zeros(len(groups))
        for other, order in zip(reference.to_dicts(), walk_orders(3, 5), strict=True):
            here = dict(row)
            for place in order:
                before = ask(model, here, table)
                here |= {name: other[name] for name in groups[place].columns}
                slow[place] += (before - ask(model, here, table)) / 5
        assert found.values[at] == pytest.approx(slow, abs=1e-5)
    # What is left is the average reference row.
    assert found.rest == pytest.approx(log_odds(scorer(model)(reference)).mean(), abs=1e-5)


def test_two_groups_that_say_the_same_share_the_credit() -> None:
    """Either alone keeps the score up: replacing one at a time would credit neither."""
    table = pl.DataFrame({"a": [1.0, 1.0], "b": [1.0, 0.0]})
    groups = [ColumnGroup(name, (name,)) for name in "ab"]
    found = contributions(
        None,
        lambda t: 0.5 + 0.4 * np.maximum(t["a"].to_numpy(), t["b"].to_numpy()),
        table,
        pl.DataFrame({"a": [0.0, 0.0], "b": [0.0, 0.0]}),
        groups,
    )
    whole = log_odds(np.array([0.9]))[0]
    assert found.values == pytest.approx(np.array([[whole / 2, whole / 2], [whole, 0]]))


def test_each_order_is_followed_by_its_reverse() -> None:
    orders = walk_orders(6, 5, random_state=1)
    assert len(orders) == 5
    assert (orders[0] == orders[1][::-1]).all()
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert any((orders[0] != orders[2]).tolist())


def test_rows_are_asked_in_batches_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    table, _ = make_table(60)
    sizes = []

    def probability(rows: pl.DataFrame) -> np.ndarray:
        sizes.append(rows.height)
        return 1 / (1 + np.exp(-rows["saved"].to_numpy()))

    whole = contributions(None, probability, table, table.head(9), groups_of(table))
    assert sizes == [60] + 9 * [180]
    monkeypatch.setattr("thinfile.intent.reasons._BATCH", 130)
    sizes.clear()
    parts = contributions(None, probability, table, table.head(9), groups_of(table))
    assert max(sizes) == 120
    assert parts.values == pytest.approx(whole.values)
    # One column alone says it all: its group has everything, the others nothing.
    money = [group.title for group in whole.groups].index("money")
    gap = table["saved"].to_numpy() - table["saved"].head(9).mean()  # type: ignore[operator]
    assert whole.values[:, money] == pytest.approx(gap)
    assert np.delete(whole.values, money, axis=1) == pytest.approx(0)


def test_certain_models_have_finite_contributions() -> None:
    table, _ = make_table(30)
    found = contributions(
        None,
        lambda rows: (rows["saved"].to_numpy() > 0).astype(float),
        table,
        table.head(4),
        groups_of(table),
    )
    assert np.isfinite(found.values).all()


HISTORIES = pl.DataFrame(
    {
        "country": ["AT", "DE", "AT"],
        "events.days_to_cut": [[90.0, 40.0, 12.0], [5.0], []],
        "events.group": [["TEA", "CUPS", "TEA"], ["CUPS"], []],
    },
    schema_overrides={
        "events.days_to_cut": pl.List(pl.Float32),
        "events.group": pl.List(pl.String),
    },
)


def test_a_history_is_parted_into_own_and_other_events() -> None:
    groups = column_groups(HISTORIES, {}, TEA)
    assert [group.title for group in groups] == ["country", OWN_EVENTS, OTHER_EVENTS]

    def probability(table: pl.DataFrame) -> np.ndarray:
        assert table.schema == HISTORIES.schema
        lengths = table.select(pl.col("^events.*$").list.len())
        assert lengths["events.group"].equals(lengths["events.days_to_cut"], check_names=False)
        n_tea = table["events.group"].list.count_matches("TEA").to_numpy()
        n = lengths["events.group"].to_numpy()
        return 1 / (1 + np.exp(-(1.0 * n_tea + 0.1 * (n - n_tea))))

    found = contributions(None, probability, HISTORIES, HISTORIES.tail(1), groups, TEA)
    expected = [[0, 2, 0.1], [0, 0, 0.1], [0, 0, 0]]
    assert found.values == pytest.approx(np.array(expected))
    words = in_words(found, HISTORIES, TEA)
    assert words.rows() == [
        (
            "TEA twice in the latest 3 events, the last 12 days ago (+2.0)",
            "1 other event, the last 40 days ago (+0.1)",
            None,
        ),
        ("1 other event, the last 5 days ago (+0.1)", None, None),
        (None, None, None),
    ]


@pytest.mark.parametrize("keep_own", [True, False])
def test_a_mixed_history_is_that_of_a_slow_loop(keep_own: bool) -> None:
    lists = ["events.days_to_cut", "events.group"]
    rng = np.random.default_rng(0)
    kinds = np.array(["TEA", "CUPS", None], dtype=object)
    rows = []
    for n in [0, 1, 7, 3, 0, 12]:
        days = sorted(rng.integers(0, 400, n).tolist(), reverse=True)
        rows.append([days, rng.choice(kinds, n).tolist()])
    schema = {name: HISTORIES.schema[name] for name in lists}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    for other in range(len(rows)):
        mixed = mix(table, table[other : other + 1], TEA, keep_own=keep_own)
        for row, (days, groups) in zip(rows, mixed.rows(), strict=True):
            own = [pair for pair in zip(*row, strict=True) if (pair[1] == "TEA") == keep_own]
            taken = zip(*rows[other], strict=True)
            own += [pair for pair in taken if (pair[1] == "TEA") != keep_own]
            assert days == sorted(days, reverse=True)
            assert sorted(map(str, zip(days, groups, strict=True))) == sorted(
                str((float(day), group)) for day, group in own
            )
        assert mixed.schema == table.schema


def test_a_history_without_the_category_is_one_reason() -> None:
    groups = column_groups(HISTORIES.drop("events.group"), {}, TEA)
    assert [group.title for group in groups] == ["country", HISTORY]
    found = contributions(
        None,
        lambda t: 0.5 + 0.1 * t["events.days_to_cut"].list.len().to_numpy(),
        HISTORIES,
        HISTORIES.tail(1),
        groups,
        TEA,
    )
    assert found.values[:, 1] == pytest.approx(log_odds(np.array([0.8, 0.6, 0.5])))
    assert in_words(found, HISTORIES, TEA)["reason_1"][0] == (
        "3 events, the last 12 days ago (+1.4)"
    )


def test_columns_that_only_order_the_rows_are_no_reason() -> None:
    groups = column_groups(
        pl.DataFrame({"cut": [1], "country": ["AT"]}), {"gone": ["lost"]}, TEA, leave_out=["cut"]
    )
    assert [group.title for group in groups] == ["country"]


def test_the_largest_come_first_and_small_or_negative_ones_not_at_all() -> None:
    table = pl.DataFrame({name: [1.0, 2.0] for name in "abcd"})
    groups = tuple(ColumnGroup(name, (name,)) for name in "abcd")
    values = np.array([[0.3, 1.25, -2.0, 0.6], [0.04, -0.1, 0.0, 3.0]])
    words = in_words(Contributions(groups, values, np.zeros(2), True), table, TEA)
    assert words.rows() == [("b 1 (+1.2)", "d 1 (+0.6)", "a 1 (+0.3)"), ("d 2 (+3.0)", None, None)]


ROWS: list[tuple[dict[str, Any], str]] = [
    ({"own_days_since_last": 12.4}, "last bought TEA 12 days ago"),
    ({"own_days_since_last": 0.3}, "last bought TEA less than a day ago"),
    ({"own_days_since_last": 1.9}, "last bought TEA 1 day ago"),
    ({"own_days_since_last": None, "own_days_since_first": None}, "never bought TEA"),
    ({"own_days_since_first": 80.0}, "first bought TEA 80 days ago"),
    ({"own_count": 5, "own_count_7d": 0, "own_count_30d": 2}, "bought TEA twice in 30 days"),
    ({"own_count": 1234, "own_count_30d": 0}, "bought TEA 1,234 times"),
    ({"own_count": 0, "own_count_30d": 0}, "never bought TEA"),
    ({"own_count_30d": 0, "own_count_90d": 0}, "no TEA in 90 days"),
    ({"related_count": 9, "related_count_30d": 3}, "bought 3 related articles in 30 days"),
    (
        {"related_count_30d": 1, "related_days_since_last": 4.0},
        "bought 1 related article in 30 days, the last 4 days ago",
    ),
    ({"related_count": 0}, "never bought a related article"),
    ({"related_count_30d": 0}, "no related article in 30 days"),
    (
        {"any_count": 40, "any_count_7d": 1, "any_days_since_last": 3.0, "any_n_categories": 7},
        "1 purchase in 7 days, the last 3 days ago",
    ),
    ({"any_count": 40, "any_n_categories": 1}, "40 purchases, from 1 category"),
    ({"any_days_since_first": 300.0}, "customer since 300 days"),
    ({"any_returns": 2.0}, "2 returns"),
    ({"any_amount": 5000.0, "any_amount_30d": 1234.6}, "spent 1,235 in all in 30 days"),
    ({"own_amount_30d": 9.5, "own_amount": 50.0}, "spent 10 on TEA in 30 days"),
    ({"count[CUPS]": 3, "days_since[CUPS]": 8.0}, "bought CUPS 3 times, the last 8 days ago"),
    ({"count[A [B]\n]": 0, "days_since[A [B]\n]": None}, "never bought A [B]\n"),
    ({"country": "Austria"}, "country Austria"),
    ({"age": 41.0, "income": None}, "age 41, income is not known"),
    ({"own_repeat_purchases": 3.0}, "the title"),
    ({}, "the title"),
]


@pytest.mark.parametrize(("values", "words"), ROWS, ids=[words for _, words in ROWS])
def test_what_a_customer_has_done_in_words(values: dict[str, Any], words: str) -> None:
    assert phrase("the title", values, TEA) == words


def test_logs_of_many_actions_speak_of_events() -> None:
    buys = Buys("group", ("TEA",), action=("behaviour", "buy"))
    assert phrase("activity", {"any_count_7d": 12}, buys) == "12 events in 7 days"


@pytest.fixture(scope="module")
def log() -> EventLog:
    roles = EventColumns("customer", "time", "item", "category", "quantity", "amount")
    return EventLog.from_table(make_events(15_000, 900, 6, random_state=2), roles)


@pytest.fixture(scope="module")
def recipe(log: EventLog) -> tuple[Recipe, Any]:
    buys, horizon = Buys("category", ("category 01",)), timedelta(days=45)
    split = time_split(log, buys, horizon)
    aggregates = Aggregates(buys, windows=(7, 30)).fit(log, split.train)
    histories = Histories(["category"], max_events=20)
    return (
        Recipe(log.roles, buys, horizon, timedelta(0), aggregates, histories, ("channel",)),
        split.train,
    )


@pytest.mark.parametrize("kind", [BoostedTreesClassifier, LogisticClassifier])
def test_reasons_of_a_whole_audience(log: EventLog, recipe: tuple[Recipe, Any], kind: Any) -> None:
    made, train = recipe
    estimator = kind(random_state=0).fit(made.flat(log, train), train.label)
    model = IntentModel(estimator, made, frozenset({"aggregates"}))
    known, scores = model.known(log), model.score(log)
    scores.columns = ["customer", "probability"]
    audience = choose_audience(scores, 50)
    reasons = audience_reasons(model, log, known, audience.table["customer"])
    assert reasons.columns == ["reason_1", "reason_2", "reason_3"]
    assert reasons["reason_1"].null_count() == 0
    sizes = reasons.select(
        pl.all().str.extract(r"\(\+(\d+\.\d)\)$").cast(pl.Float64, strict=False).fill_null(0.0)
    ).to_numpy()
    assert (np.diff(sizes, axis=1) <= 0).all()
    again = audience_reasons(model, log, known, audience.table["customer"].head(5))
    assert again.equals(reasons.head(5))
    _check_one(model, log, audience.table["customer"], reasons)


def _check_one(
    model: IntentModel, log: EventLog, customers: pl.Series, reasons: pl.DataFrame
) -> None:
    """A number in the words is the customer's own, counted from the log."""
    pattern = r"^(?:(\d+) purchases?|(?:bought category 01)) in 7 days"
    for customer, *texts in zip(customers, *reasons.get_columns(), strict=True):
        place = log.customers.index_of(customer)
        rows = log.table[int(log.offsets[place]) : int(log.offsets[place + 1])]  # type: ignore[index]
        recent = rows.filter(
            (pl.col("time") > log.end - timedelta(days=7)) & (pl.col("quantity") > 0)
        )
        for text in filter(None, texts):
            found = pl.Series([text]).str.extract(pattern)[0]
            if found is not None:
                assert int(found) == recent.height
