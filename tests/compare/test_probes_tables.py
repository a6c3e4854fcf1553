"""Each leak is caught, and the same table without it raises nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.compare.probes.coding import Tables
from thinfile.compare.probes.constancy import agreement
from thinfile.compare.probes.finding import Finding, leak_headline
from thinfile.compare.probes.single_column import column_strength
from thinfile.compare.probes.strength import group_rates, lower_end
from thinfile.compare.probes.tables import probe_tables
from thinfile.data.datasets import data_folder, split_demo
from thinfile.errors import DataError
from thinfile.metrics.ranking import roc_auc

Part = tuple[pl.DataFrame, np.ndarray]


def honest(n: int = 1500, seed: int = 0) -> Part:
    """Rows whose columns tell something, but not all; keys repeat."""
    rng = np.random.default_rng(seed)
    age, region = rng.normal(45, 12, n), rng.choice(["north", "south", "east"], n)
    y = (rng.random(n) < 1 / (1 + np.exp(-(age - 50) / 10))).astype(np.int8)
    columns = {
        "age": age,
        "region": region,
        "customer": rng.integers(0, 200, n),
        "item": rng.integers(0, 300, n).astype(str),
        "plan": rng.choice(["a", "b"], n),
    }
    return pl.DataFrame(columns), y


def both(change: Any = None, n: int = 1500) -> tuple[pl.DataFrame, Any, pl.DataFrame, Any]:
    """Train and test, each with `change(frame, y)` applied."""
    parts = [honest(n, seed) for seed in (0, 1)]
    (train, y_train), (test, y_test) = [
        (change(frame, y) if change else frame, y) for frame, y in parts
    ]
    return train, y_train, test, y_test


def flagged(found: list[Finding]) -> list[tuple[str, str]]:
    return [(each.probe, each.subject) for each in found if each.flagged]


def test_an_honest_table_raises_nothing_and_says_what_was_looked_at() -> None:
    found = probe_tables(*both(), label="bad")
    assert flagged(found) == []
    assert leak_headline(found) is None
    assert {each.probe for each in found} == {
        "label among the features",
        "single column",
        "pair memory",
        "constant in one class",
        "statistics of all rows",
    }
    (column,) = [each for each in found if each.probe == "single column"]
    assert column.subject == "age"
    assert column.words.startswith("The strongest of 5 columns is 'age' with AUC 0.")


# One column ------------------------------------------------------------------------------------


def _noisy(y: np.ndarray, share: float, seed: int) -> np.ndarray:
    wrong = np.random.default_rng(seed).random(len(y)) < share
    return np.where(wrong, 1 - y, y)


LEAKS = {
    "a number": lambda y, noise: noise + 5 * y,
    "a falling number": lambda y, noise: -noise - 5 * y,
    "a number in the middle": lambda y, noise: np.where(y == 1, noise / 9, np.sign(noise) + noise),
    "a number with gaps": lambda y, noise: np.where(y == 1, noise, np.nan) * 1e6,
    "codes": lambda y, noise: np.where(
        y == 1, (noise * 7 // 1).astype(int).astype(str), (99 + noise * 7 // 1).astype(str)
    ),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_a_column_that_knows_the_answer_is_caught(kind: str) -> None:
    def add(frame: pl.DataFrame, y: np.ndarray) -> pl.DataFrame:
        noise = np.random.default_rng(len(y)).normal(size=len(y))
        told = _noisy(y, 0.01, 5)
        return frame.with_columns(known=pl.Series(LEAKS[kind](told, noise), nan_to_null=True))

    found = probe_tables(*both(add))
    assert [subject for _, subject in flagged(found)] == ["known"]
    headline = leak_headline(found)
    assert headline is not None
    assert headline.startswith("Leak suspected, do not trust the figures: Column 'known'")


def test_a_date_of_the_outcome_is_caught() -> None:
    def add(frame: pl.DataFrame, y: np.ndarray) -> pl.DataFrame:
        days = np.arange(len(y)) % 300
        dates = pl.Series(days).cast(pl.Int32).cast(pl.Date)
        return frame.with_columns(closed=pl.when(pl.Series(y == 1)).then(dates))

    found = probe_tables(*both(add))
    (leak,) = [each for each in found if each.flagged]
    assert (leak.probe, leak.subject) == ("label among the features", "closed")
    assert "filled in exactly where the outcome is of one kind" in leak.words


def test_a_strong_but_honest_column_raises_nothing() -> None:
    def add(frame: pl.DataFrame, y: np.ndarray) -> pl.DataFrame:
        noise = np.random.default_rng(3).normal(size=len(y))
        return frame.with_columns(score=pl.Series(noise + 1.8 * y))

    train, y_train, test, y_test = both(add)
    assert 0.85 < roc_auc(y_test, test["score"].to_numpy()) < 0.93
    assert flagged(probe_tables(train, y_train, test, y_test)) == []


def test_chance_in_a_few_rows_raises_nothing() -> None:
    rng = np.random.default_rng(0)
    columns = {f"c{k}": rng.normal(size=30) for k in range(200)}
    y = np.repeat([1, 0], [2, 28]).astype(np.int8)
    frame = pl.DataFrame(columns)
    best = max(abs(roc_auc(y, frame[c].to_numpy()) - 0.5) for c in frame.columns) + 0.5
    assert best > 0.95
    found = probe_tables(frame[:0], y[:0], frame, y)
    assert flagged(found) == []
    found = probe_tables(frame, y, frame.select(pl.all().shuffle(1)), y)
    assert flagged(found) == []
    (column,) = [each for each in found if each.probe == "single column"]
    assert column.words.endswith("its rows are too few to be sure.")


def test_a_leak_in_many_train_rows_is_caught_where_test_rows_are_few() -> None:
    def add(frame: pl.DataFrame, y: np.ndarray) -> pl.DataFrame:
        noise = np.random.default_rng(3).normal(size=len(y))
        return frame.with_columns(known=pl.Series(noise + 4 * y))

    train, y_train, test, y_test = both(add)
    few = np.concatenate([np.flatnonzero(y_test == 1)[:4], np.flatnonzero(y_test == 0)[:9]])
    found = probe_tables(train, y_train, test[few.tolist()], y_test[few])
    assert ("single column", "known") in flagged(found)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.5, 1.0), st.integers(2, 500), st.integers(2, 500))
def test_the_lower_end_lies_below_and_rises_with_rows(auc: float, n: int, m: int) -> None:
    low = lower_end(auc, n, m)
    assert 0 <= low <= auc
    assert lower_end(auc, 4 * n, 4 * m) >= low - 1e-9


def test_the_lower_end_covers_as_it_says() -> None:
    """Of 400 samples with true AUC 0.921, about 2.5 % have a lower end above it."""
    rng = np.random.default_rng(0)
    y = np.repeat([1, 0], [30, 100]).astype(np.int8)
    above = 0
    for _ in range(400):
        score = rng.normal(size=130) + 2 * y
        above += lower_end(roc_auc(y, score), 30, 100) > 0.9214
    assert above <= 20


def test_rates_are_those_of_counting() -> None:
    train, y = np.array([0, 0, 1, 2, 2, 2]), np.array([1, 0, 1, 0, 0, 1], dtype=np.int8)
    rates = group_rates(train, y, np.array([0, 1, 2, 3]), 4)
    assert rates == pytest.approx([1.5 / 3, 1.5 / 2, 1.5 / 4, 0.5])


# Memory of pairs -------------------------------------------------------------------------------


def test_pairs_that_repeat_are_caught_and_the_same_rows_split_by_pair_are_not() -> None:
    rng = np.random.default_rng(0)
    customer, item = rng.integers(0, 80, 700), rng.integers(0, 90, 700)
    likes = np.unique(np.stack([customer, item], axis=1), axis=0)
    rows = likes[rng.integers(0, len(likes), 6000)]
    others = np.stack([rng.integers(0, 80, 12_000), rng.integers(0, 90, 12_000)], axis=1)
    known = set(map(tuple, likes.tolist()))
    others = others[[tuple(row) not in known for row in others.tolist()]]
    table = pl.DataFrame(np.concatenate([rows, others]), schema=["customer", "item"])
    table = table.with_columns(weather=pl.Series(rng.choice(["sun", "rain"], table.height)))
    y = np.repeat([1, 0], [len(rows), len(others)]).astype(np.int8)
    is_test = rng.random(len(y)) < 0.3
    given_rows = [pl.Series(~is_test), pl.Series(is_test)]
    found = probe_tables(
        table.filter(given_rows[0]), y[~is_test], table.filter(given_rows[1]), y[is_test]
    )
    assert flagged(found) == [("pair memory", "item × customer")]
    (leak,) = [each for each in found if each.flagged]
    assert leak.value is not None
    assert leak.value > 0.97
    assert "'item' and 'customer'" in leak.words
    assert "0% of the others do" in leak.words
    # The same pairs never on both sides: nothing to remember.
    by_pair = (table["customer"] * 31 + table["item"]) % 10 < 3
    honest_ = probe_tables(
        table.filter(~by_pair), y[~by_pair.to_numpy()], table.filter(by_pair), y[by_pair.to_numpy()]
    )
    assert flagged(honest_) == []


def test_a_customer_who_is_in_both_tables_with_one_answer_is_caught() -> None:
    rng = np.random.default_rng(0)
    answer = (rng.random(400) < 0.3).astype(np.int8)
    parts = []
    for seed in (1, 2):
        customer = np.random.default_rng(seed).integers(0, 400, 2000)
        frame = pl.DataFrame({"customer": customer, "age": rng.normal(size=2000)})
        parts += [frame, answer[customer]]
    found = probe_tables(*parts, keys=["customer"])
    assert ("pair memory", "customer") in flagged(found) or (
        "single column",
        "customer",
    ) in flagged(found)


# Constant per key ------------------------------------------------------------------------------


def test_made_up_negatives_with_foreign_attributes_are_caught() -> None:
    rng = np.random.default_rng(0)
    price = rng.choice(["free", "paid"], 60, p=[0.8, 0.2])
    parts = []
    for n in (4000, 2000):
        item, y = rng.integers(0, 60, n), (rng.random(n) < 0.4).astype(np.int8)
        cost = np.where(y == 1, price[item], price[rng.integers(0, 60, n)])
        frame = {"item": item, "cost": cost, "day": rng.integers(0, 7, n).astype(str)}
        parts += [pl.DataFrame(frame), y]
    found = probe_tables(*parts)
    assert flagged(found) == [("constant in one class", "cost by item")]
    (leak,) = [each for each in found if each.flagged]
    assert "For each 'item', 'cost' is the same in all positives" in leak.words
    # An attribute of the item that all rows carry rightly raises nothing.
    right = [
        part.with_columns(cost=pl.Series(price[part["item"].to_numpy()]))
        if isinstance(part, pl.DataFrame)
        else part
        for part in parts
    ]
    assert flagged(probe_tables(*right)) == []


def slow_agreement(key: np.ndarray, attribute: np.ndarray, y: np.ndarray) -> tuple[float, ...]:
    shares: dict[int, dict[int, float]] = {0: {}, 1: {}}
    for label in (0, 1):
        for one in np.unique(key):
            values = attribute[(key == one) & (y == label)]
            pairs = [(i, j) for i in range(len(values)) for j in range(len(values)) if i != j]
            if pairs:
                shares[label][int(one)] = np.mean([values[i] == values[j] for i, j in pairs])
    common = set(shares[0]) & set(shares[1])
    return tuple(float(np.mean([shares[c][k] for k in common])) if common else 0.0 for c in (0, 1))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_agreement_is_that_of_all_pairs_of_rows(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    key, attribute = rng.integers(1, 8, n), rng.integers(1, 4, n)
    y = rng.integers(0, 2, n).astype(np.int8)
    found = agreement(key, attribute, y)
    assert (found.negative, found.positive) == pytest.approx(slow_agreement(key, attribute, y))
    assert 0 <= found.chance <= 1


# The label among the features ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((0, 1), "is the label once more, or its opposite"),
        ((1.0, 0.0), "is the label once more, or its opposite"),
        ((False, True), "is the label once more, or its opposite"),
        (("good", " BAD "), "is the label in other words"),
        (("no", None), "is filled in exactly where the outcome is of one kind"),
    ],
)
def test_a_copy_of_the_label_is_caught(values: tuple[Any, Any], words: str) -> None:
    def add(frame: pl.DataFrame, y: np.ndarray) -> pl.DataFrame:
        return frame.with_columns(again=pl.Series([values[label] for label in y.tolist()]))

    found = probe_tables(*both(add), label="bad")
    assert flagged(found) == [("label among the features", "again")]
    (leak,) = [each for each in found if each.flagged]
    assert leak.words.startswith(f"Column 'again' {words}")
    assert leak.words.endswith("leave it out.")


@pytest.mark.parametrize("name", ["Is Default", "default_flag", "isDefault", "DEFAULT"])
def test_a_column_with_the_labels_name_is_caught(name: str) -> None:
    found = probe_tables(*both(lambda f, y: f.rename({"plan": name})), label="is_default")
    assert flagged(found) == [("label among the features", name)]
    assert "has the name of the label 'is_default'" in found[0].words


@pytest.mark.parametrize("name", ["default_before", "y2", "age of default"])
def test_a_name_that_only_holds_the_labels_raises_nothing(name: str) -> None:
    table = both(lambda f, y: f.rename({"plan": name}))
    assert flagged(probe_tables(*table, label="default")) == []
    assert flagged(probe_tables(*table, label="y")) == []


def test_a_rare_flag_and_a_rare_event_agree_mostly_and_are_no_copies() -> None:
    rng = np.random.default_rng(0)
    parts: list[Any] = []
    for _ in range(2):
        y = (rng.random(6000) < 0.004).astype(np.int8)
        rare = np.where(rng.random(6000) < 0.003, "5.0", "0.0")
        filled = pl.Series([None if value == "0.0" else "x" for value in rare.tolist()])
        parts += [pl.DataFrame({"rare": rare, "filled": filled}), y]
    assert flagged(probe_tables(*parts)) == []


def test_what_is_nought_for_almost_all_negatives_is_not_fixed_per_key() -> None:
    rng = np.random.default_rng(0)
    parts: list[Any] = []
    for n in (6000, 3000):
        y = (rng.random(n) < 0.2).astype(np.int8)
        recent = np.where(rng.random(n) < np.where(y == 1, 0.1, 0.002), 1.0, 0.0)
        parts += [pl.DataFrame({"visits": rng.poisson(20, n) * 1.0, "recent": recent}), y]
    assert flagged(probe_tables(*parts)) == []


def test_a_column_that_agrees_by_nine_in_ten_is_no_copy() -> None:
    def add(frame: pl.DataFrame, y: np.ndarray) -> pl.DataFrame:
        return frame.with_columns(near=pl.Series(_noisy(y, 0.1, 7)))

    assert flagged(probe_tables(*both(add), label="bad")) == []


# Statistics ------------------------------------------------------------------------------------


def test_scaling_with_the_test_rows_is_caught_and_scaling_without_them_is_not() -> None:
    train, y_train, test, y_test = both()
    ages = np.concatenate([train["age"].to_numpy(), test["age"].to_numpy() + 3])
    for name, sample, n_flagged in (("all", ages, 1), ("train", train["age"].to_numpy(), 0)):
        scaled = (ages - sample.mean()) / sample.std()
        parts = [scaled[: train.height], scaled[train.height :]]
        tables = [
            f.with_columns(age=pl.Series(a)) for f, a in zip((train, test), parts, strict=True)
        ]
        found = flagged(probe_tables(tables[0], y_train, tables[1], y_test))
        assert found == [("statistics of all rows", "age")] * n_flagged, name


# Inputs ----------------------------------------------------------------------------------------


def test_rows_without_a_label_columns_of_one_table_and_lists_are_left_out() -> None:
    train, y_train, test, y_test = both()
    unknown = pl.concat([train, train.with_columns(age=pl.lit(1e9))])
    y_unknown = np.concatenate([y_train, np.full(len(y_train), -1)])
    more = unknown.with_columns(
        only_here=pl.lit(1), history=pl.Series([[1.0, 2.0]] * unknown.height)
    )
    found = probe_tables(more, y_unknown, test, y_test, label="bad")
    assert found == probe_tables(train, y_train, test, y_test, label="bad")


def test_columns_of_two_types_are_read_as_text() -> None:
    train, y_train, test, y_test = both()
    found = probe_tables(
        train.with_columns(pl.col("customer").cast(pl.String)), y_train, test, y_test
    )
    assert flagged(found) == []


@pytest.mark.parametrize("n", [0, 1, 3])
def test_hardly_any_rows_are_no_error(n: int) -> None:
    train, y_train, test, y_test = both()
    assert flagged(probe_tables(train[:n], y_train[:n], test[:n], y_test[:n])) == []
    assert flagged(probe_tables(train, y_train, test[:n], y_test[:n])) == []
    assert flagged(probe_tables(train[:n], y_train[:n], test, y_test)) == []


def test_columns_that_hold_nothing_are_no_error() -> None:
    def add(frame: pl.DataFrame, y: np.ndarray) -> pl.DataFrame:
        return frame.with_columns(
            none=pl.lit(None),
            null=pl.lit(None, pl.Float64),
            nan=pl.lit(float("nan")),
            infinite=pl.lit(float("inf")),
            same=pl.lit("x"),
            kind=pl.lit("a", pl.Categorical),
        )

    assert flagged(probe_tables(*both(add), label="bad")) == []


def test_one_class_is_no_error() -> None:
    train, y_train, test, _ = both()
    found = probe_tables(train, y_train, test, np.zeros(test.height, dtype=np.int8))
    assert flagged(found) == []


def test_wrong_labels_and_keys_are_named() -> None:
    train, y_train, test, y_test = both()
    with pytest.raises(DataError, match=r"train: 1500 rows but labels of shape \(3,\)"):
        probe_tables(train, [1, 0, 1], test, y_test)
    wrong = y_test.copy()
    wrong[[4, 9]] = 7
    with pytest.raises(
        DataError, match=r"test: 2 of 1500 labels are none of 1, 0, -1 \(first: row 4"
    ):
        probe_tables(train, y_train, test, wrong)
    with pytest.raises(DataError, match=r"keys \['who'\] are not columns of both tables"):
        probe_tables(train, y_train, test, y_test, keys=["who", "item"])


def test_findings_are_plain_json_and_headlines_count_the_rest() -> None:
    found = [Finding("p", str(k), 0.5, None, True, f"Leak {k}.") for k in range(5)]
    assert Finding.from_dict(found[0].to_dict()) == found[0]
    assert leak_headline(found) == (
        "Leak suspected, do not trust the figures: Leak 0. Leak 1. Leak 2. And 2 more."
    )


def test_many_rows_are_sampled_without_a_change_of_the_figure() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(200_000) < 0.2).astype(np.int8)
    frame = pl.DataFrame({"score": rng.normal(size=len(y)) + y})
    found = column_strength(Tables(frame, y, frame, y), "score")
    assert found.auc == pytest.approx(roc_auc(y, frame["score"].to_numpy()), abs=0.01)


# Public tables ---------------------------------------------------------------------------------


def test_the_demo_that_ships_raises_nothing() -> None:
    old, new = split_demo()
    y = [frame["defaulted"].fill_null(-1).to_numpy() for frame in (old, new)]
    found = probe_tables(
        old.drop("defaulted"), y[0], new.drop("defaulted"), y[1], label="defaulted"
    )
    assert flagged(found) == []


def _folder() -> Any:
    try:
        return data_folder()
    except DataError as error:
        pytest.skip(str(error))


def test_bank_marketing_by_time_raises_nothing_and_duration_stays_below_the_limit() -> None:
    table = pl.read_csv(_folder() / "uci_bank_full.csv.gz", separator=";")
    y = (table["y"] == "yes").to_numpy().astype(np.int8)
    features, n = table.drop("y"), 31_647
    found = probe_tables(features[:n], y[:n], features[n:], y[n:], label="y")
    assert flagged(found) == []
    (column,) = [each for each in found if each.probe == "single column"]
    assert column.subject == "duration"
    assert column.value == pytest.approx(0.763, abs=0.005)


def test_outcomes_in_the_national_loans_are_caught() -> None:
    table = pl.read_parquet(_folder() / "sba_national.parquet").gather_every(40)
    status = pl.col("MIS_Status").replace_strict({"CHGOFF": 1, "P I F": 0}, default=-1)
    y = table.select(status)["MIS_Status"].to_numpy()
    n = table.height // 2
    found = probe_tables(table[:n], y[:n], table[n:], y[n:], label="MIS_Status")
    assert {subject for _, subject in flagged(found)} == {
        "MIS_Status",
        "ChgOffDate",
        "ChgOffPrinGr",
    }


def test_the_limit_of_a_single_column_can_be_raised() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(4000) % 40 == 0).astype(np.int8)
    table = pl.DataFrame(
        {"strong": rng.normal(size=4000) + 2.8 * y, "noise": rng.normal(size=4000)}
    )
    halves = table[:2000], y[:2000], table[2000:], y[2000:]
    (usual,) = [each for each in probe_tables(*halves) if each.probe == "single column"]
    (rare,) = [
        each for each in probe_tables(*halves, column_limit=0.99) if each.probe == "single column"
    ]
    assert usual.flagged
    assert 0.95 < usual.value < 0.99
    assert not rare.flagged
    assert rare.limit == 0.99
