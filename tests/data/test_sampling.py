from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.buys import Buys
from thinfile.data.event_split import Split, time_split
from thinfile.data.events import EventColumns, EventLog
from thinfile.data.sampling import literal_recipe_split, recipe_split, shift_copies
from thinfile.data.snapshots import Snapshots
from thinfile.errors import DataError, ParameterError

ROLES = EventColumns("customer", "time", category="category", quantity="quantity")
OWN = Buys("category", ("own",))
RELATED = ["near", "nearer"]
DAY = timedelta(days=1)
MONTH = 30 * DAY
START = datetime(2024, 1, 1)


def make_log(n: int = 1500, n_customers: int = 120, *, seed: int = 0) -> EventLog:
    """A log of a year; some events are returns, some times are the same."""
    rng = np.random.default_rng(seed)
    table = {
        "customer": rng.integers(0, n_customers, n),
        "time": [START + int(hours) * timedelta(hours=6) for hours in rng.integers(0, 1460, n)],
        "category": rng.choice(
            ["own", "near", "nearer", "a", "b"], n, p=[0.04, 0.03, 0.03, 0.5, 0.4]
        ),
        "quantity": rng.choice([1, 2, -1], n, p=[0.8, 0.15, 0.05]),
    }
    return EventLog.from_table(pl.DataFrame(table), ROLES)


def events_of(log: EventLog, customer: int) -> list[tuple[datetime, str]]:
    """Purchases of a customer, returns left out."""
    own = slice(int(log.offsets[customer]), int(log.offsets[customer + 1]))
    rows = log.table[own].select("time", "category", "quantity").rows()
    return [(time, category) for time, category, quantity in rows if quantity > 0]


def first_event(log: EventLog, customer: int) -> datetime:
    return log.table["time"][int(log.offsets[customer])]


def times(cuts: Any) -> list[datetime]:
    return [each.astype(datetime) for each in cuts]


def slow_recipe(
    log: EventLog, opens: datetime, closes: datetime, horizon: timedelta, gap: timedelta
) -> tuple[dict[int, datetime], set[int]]:
    """Positives with their feature days, and negatives, by looking at each customer in turn."""
    positive, negative = {}, set()
    for customer in range(log.n_customers):
        inside = [e for e in events_of(log, customer) if opens <= e[0] < closes]
        signs = [time for time, category in inside if category in ("own", *RELATED)]
        if not signs:
            negative.add(customer)
        if not any(category == "own" for _, category in inside):
            continue
        day = min(signs)
        opening = day + gap
        buys = any(
            category == "own" and opening <= time < opening + horizon
            for time, category in events_of(log, customer)
        )
        is_known = first_event(log, customer) < day
        if buys and is_known and opening + horizon <= closes:
            positive[customer] = day
    return positive, negative


def recipe(log: EventLog, **options: Any) -> Split:
    given = {"window": 150 * DAY, "related": RELATED}
    return recipe_split(log, OWN, MONTH, **(given | options))


@pytest.mark.parametrize("gap", [timedelta(0), 3 * DAY])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rows_are_those_of_looking_at_each_customer(seed: int, gap: timedelta) -> None:
    log = make_log(seed=seed)
    split = recipe_split(log, OWN, MONTH, gap, window=150 * DAY, related=RELATED)
    closes = times(split.validation.cut)[0]
    positive, negative = slow_recipe(log, closes - 150 * DAY, closes, MONTH, gap)
    train = split.train
    found = train.take(train.label == 1)
    assert dict(zip(found.customer.tolist(), times(found.cut), strict=True)) == positive
    assert set(train.customer[train.label == 0].tolist()) <= negative


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(400, 1500),
    n_customers=st.integers(30, 150),
    per=st.integers(1, 4),
    shift=st.integers(0, 3),
)
def test_both_classes_have_the_same_cuts_and_true_labels(
    seed: int, n: int, n_customers: int, per: int, shift: int
) -> None:
    log = make_log(n, n_customers, seed=seed)
    try:
        split = recipe(log, negatives_per_positive=per, max_shift=shift, random_state=seed)
    except DataError:
        return
    whole = recipe(log, negatives_per_positive=per, random_state=seed).train
    cuts = {label: Counter(whole.cut[whole.label == label].tolist()) for label in (0, 1)}
    assert cuts[0] == Counter({cut: per * n for cut, n in cuts[1].items()})
    for rows in (whole, split.train):
        _check_history(log, rows)
    pairs = list(zip(whole.customer.tolist(), whole.cut.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert split.flags == ()


def _check_history(log: EventLog, rows: Snapshots) -> None:
    """History before the cut and never empty; labels as `EventLog.snapshots` gives them."""
    assert (rows.stop > rows.start).all()
    assert (log.times[rows.stop - 1] < rows.cut.astype(np.int64)).all()
    for cut in np.unique(rows.cut):
        there = log.snapshots([cut.astype(datetime)], rows.horizon, rows.gap, OWN)
        truth = dict(zip(there.customer.tolist(), there.label.tolist(), strict=True))
        mine = rows.take(rows.cut == cut)
        assert [truth[customer] for customer in mine.customer.tolist()] == mine.label.tolist()


def test_parts_follow_each_other_and_keep_the_true_base_rate() -> None:
    log = make_log(3000)
    split, plain = recipe(log), time_split(log, OWN, MONTH, n_train_cuts=1)
    assert split.name == "recipe"
    assert split.train.cut.max() + np.timedelta64(MONTH) <= split.validation.cut.min()
    assert split.validation.cut.max() + np.timedelta64(MONTH) <= split.test.cut.min()
    for part in ("validation", "test"):
        mine, other = getattr(split, part), getattr(plain, part)
        assert np.array_equal(mine.customer, other.customer)
        assert np.array_equal(mine.label, other.label)
    assert split.train.label.mean() == 0.5


def test_held_out_customers_are_in_the_test_only() -> None:
    log = make_log(3000)
    split = recipe(log, holdout_customers=0.3, random_state=4)
    held = set(split.test.customer.tolist())
    assert held
    assert not held & set(split.train.customer.tolist())
    assert not held & set(split.validation.customer.tolist())


def test_one_state_draws_one_sample() -> None:
    log = make_log(3000)
    first, same, other = (recipe(log, random_state=state).train for state in (1, 1, 2))
    assert np.array_equal(first.customer, same.customer)
    assert not np.array_equal(first.customer, other.customer)


def test_too_few_negatives_stand_in_again_and_are_counted() -> None:
    log = make_log(2500, 60)
    split = recipe(log, negatives_per_positive=6)
    notes = " ".join(split.notes)
    assert "negatives stand in again, at another cut" in notes
    assert "customers bought the category inside the window" in notes


def test_notes_say_who_is_left_out_and_that_the_log_is_short() -> None:
    split = recipe(make_log(), window=365 * DAY)
    notes = " ".join(split.notes)
    assert "are left out: the purchase is not within the horizon of the feature day" in notes
    assert "are left out: their label window passes the training window" in notes
    assert "days long and not 365d: the log is shorter" in notes


def test_related_categories_are_mined_before_the_window_closes() -> None:
    log = make_log(6000)
    with_basket = log.table.with_columns(
        customer=pl.Series(np.repeat(log.customers.to_numpy(), np.diff(log.offsets)))
    )
    own = with_basket.filter(pl.col("category") == "own")
    # From June on own comes with "summer"; all the time it comes with "always".
    always = own.with_columns(category=pl.lit("always"))
    late = own.filter(pl.col("time") > START + 320 * DAY).with_columns(category=pl.lit("summer"))
    table = pl.concat([with_basket, always, late])
    split = recipe_split(EventLog.from_table(table, ROLES), OWN, MONTH, window=150 * DAY)
    (told,) = [note for note in split.notes if note.startswith("related categories before")]
    assert "'always' (lift" in told
    assert "summer" not in told


# Shifted copies ---------------------------------------------------------------------------------


def test_shifted_copies_lack_the_last_purchases() -> None:
    # Customer 1: three visits, the second with two items. Customer 2: one visit.
    rows = [(1, 0, "a"), (1, 2, "a"), (1, 2, "b"), (1, 5, "a"), (2, 1, "a")]
    table = pl.DataFrame(
        {
            "customer": [row[0] for row in rows],
            "time": [START + row[1] * DAY for row in rows],
            "category": [row[2] for row in rows],
            "quantity": [1] * 5,
        }
    )
    log = EventLog.from_table(table, ROLES)
    seen = log.snapshots([START + 6 * DAY], MONTH)
    shifted = shift_copies(log, seen, 5)
    assert list(zip(shifted.customer.tolist(), shifted.stop.tolist(), strict=True)) == [
        (0, 4),
        (1, 5),
        (0, 3),
        (0, 1),
    ]
    assert len(set(shifted.cut.tolist())) == 1
    assert len(shift_copies(log, seen, 0)) == len(seen)


def test_only_training_rows_are_shifted() -> None:
    log = make_log(3000)
    plain, shifted = recipe(log), recipe(log, max_shift=2)
    assert len(shifted.train) > 2 * len(plain.train)
    for part in ("validation", "test"):
        assert len(getattr(plain, part)) == len(getattr(shifted, part))
        assert np.array_equal(getattr(plain, part).stop, getattr(shifted, part).stop)


# The literal reading ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("negative_cut", "n_flags"), [("last_event", 3), ("window_end", 3), ("positives", 2)]
)
def test_the_literal_recipe_is_flagged_in_every_part(negative_cut: str, n_flags: int) -> None:
    log = make_log(3000)
    split = literal_recipe_split(
        log, OWN, MONTH, window=200 * DAY, related=RELATED, negative_cut=negative_cut
    )
    for part in (split.train, split.validation, split.test):
        assert len(part.flags) == n_flags
        assert ("the cut alone tells the classes apart" in part.flags[0]) == (n_flags == 3)
    assert negative_cut in split.name
    groups = [set(part.customer.tolist()) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, groups)) == len(set.union(*groups))
    labels = np.concatenate([split.train.label, split.validation.label, split.test.label])
    assert labels.mean() == pytest.approx(0.5, abs=0.02)


def test_the_literal_cuts_are_those_asked_for() -> None:
    log = make_log(3000)
    given: dict[str, Any] = {"window": 200 * DAY, "related": RELATED}
    ended = literal_recipe_split(log, OWN, MONTH, negative_cut="window_end", **given).train
    assert len(set(ended.cut[ended.label == 0].tolist())) == 1
    whole = literal_recipe_split(log, OWN, MONTH, **given).train
    negative = whole.take(whole.label == 0)
    assert np.array_equal(negative.stop, log.offsets[negative.customer + 1])
    assert (negative.cut.astype(np.int64) - log.times[negative.stop - 1] == 1).all()


# Faults -----------------------------------------------------------------------------------------


def test_faults_are_named_at_once() -> None:
    message = (
        r"recipe_split: negatives_per_positive=0 must be a whole number ≥ 1; "
        r"max_shift=-1 must be a whole number ≥ 0"
    )
    with pytest.raises(ParameterError, match=message):
        recipe(make_log(), negatives_per_positive=0, max_shift=-1)
    with pytest.raises(ParameterError, match="window=20d must be longer than gap and horizon "):
        recipe(make_log(), window=20 * DAY)
    with pytest.raises(
        ParameterError, match="literal_recipe_split: negative_cut='end' must be one"
    ):
        literal_recipe_split(make_log(), OWN, MONTH, negative_cut="end")


def test_where_no_positive_is_left_the_message_says_why() -> None:
    log = make_log(3000)
    table = log.table.with_columns(
        customer=pl.Series(np.repeat(log.customers.to_numpy(), np.diff(log.offsets)))
    )
    is_own = pl.col("category") == "own"
    # Inside the window the category is bought in its last month only.
    early = pl.col("time").is_between(START + 155 * DAY, START + 285 * DAY)
    with pytest.raises(DataError, match=r"no positive is left: .*their label window passes the"):
        recipe(EventLog.from_table(table.filter(~(is_own & early)), ROLES), related=[])


def test_a_window_without_positives_or_negatives_is_refused() -> None:
    log = make_log(3000)
    window = log.table.with_columns(
        customer=pl.Series(np.repeat(log.customers.to_numpy(), np.diff(log.offsets)))
    )
    is_own, early = pl.col("category") == "own", pl.col("time") < START + 305 * DAY
    # The training part of the plain split needs a purchase, so one lies before the window.
    none = EventLog.from_table(window.filter(~(is_own & early)), ROLES)
    with pytest.raises(DataError, match=r"none of .* buys 'own'"):
        recipe(none, window=40 * DAY)
    all_ = window.with_columns(category=pl.when(early).then(pl.lit("near")).otherwise("category"))
    all_ = pl.concat([all_, window.filter(is_own)])
    with pytest.raises(DataError, match="all of 120 customers buy 'own' or a related category in"):
        recipe(EventLog.from_table(all_, ROLES))
