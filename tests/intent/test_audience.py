"""Who is chosen, who is held out, and what is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.errors import DataError, ParameterError
from thinfile.intent.audience import GROUPS, HOLD_OUT, PICKED, REST, choose_audience


def scores(n: int = 200, *, seed: int = 0) -> pl.DataFrame:
    probability = np.random.default_rng(seed).beta(1, 8, n)
    return pl.DataFrame({"customer": np.arange(1000, 1000 + n), "probability": probability})


def test_the_best_are_chosen_best_first() -> None:
    table = scores()
    audience = choose_audience(table, 40, holdout=0.25)
    slow = sorted(table.iter_rows(), key=lambda row: -row[1])[:40]
    assert audience.table["customer"].to_list() == [customer for customer, _ in slow]
    assert audience.table["probability"].to_list() == [probability for _, probability in slow]
    assert audience.table["rank"].to_list() == list(range(1, 41))
    assert audience.counts == {"picked": 30, "hold-out": 10, "rest": 160, "scored": 200}


def test_everybody_with_a_score_is_in_one_group() -> None:
    table = scores()
    audience = choose_audience(table, 40)
    assert sorted(audience.groups["customer"]) == sorted(table["customer"])
    best = set(audience.table["customer"])
    in_rest = audience.groups.filter(pl.col("group") == REST)["customer"]
    assert best.isdisjoint(in_rest)
    named = dict(audience.groups.iter_rows())
    assert all(named[row["customer"]] == row["group"] for row in audience.table.to_dicts())


@given(
    n=st.integers(10, 80),
    top=st.integers(10, 80),
    holdout=st.floats(0, 0.9),
    seed=st.integers(0, 5),
    n_values=st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_sizes_and_order_of_rows(
    n: int, top: int, holdout: float, seed: int, n_values: int
) -> None:
    top = min(top, n)
    values = np.random.default_rng(seed).integers(0, n_values, n) / 10
    table = pl.DataFrame({"customer": np.arange(n), "probability": values})
    audience = choose_audience(table, top, holdout, seed)
    counts = audience.counts
    assert counts["picked"] + counts["hold-out"] == top
    assert counts["hold-out"] == (max(1, round(top * holdout)) if holdout else 0)
    assert counts["picked"] >= 1
    assert audience.table["probability"].is_sorted(descending=True)
    other = choose_audience(table.sample(fraction=1, shuffle=True, seed=1), top, holdout, seed)
    assert other.table.equals(audience.table)
    assert other.groups.equals(audience.groups)


def test_ties_are_broken_by_lot_and_not_by_customer() -> None:
    table = pl.DataFrame({"customer": np.arange(400), "probability": np.full(400, 0.2)})
    first, again = (choose_audience(table, 100, random_state=3) for _ in range(2))
    assert first.table.equals(again.table)
    assert not choose_audience(table, 100, random_state=4).table.equals(first.table)
    assert 120 < first.table["customer"].mean() < 280  # type: ignore[operator]
    assert any("400 customers share the probability 0.2" in note for note in first.notes)


def test_the_hold_out_is_drawn_from_all_ranks_alike() -> None:
    ranks = [
        choose_audience(scores(), 100, 0.3, seed).table.filter(group=HOLD_OUT)["rank"].to_numpy()
        for seed in range(60)
    ]
    # Mean of 60 draws of 30 ranks out of 1 … 100: 50.5 with a standard error of 0.57.
    assert abs(np.mean(ranks) - 50.5) < 2.5
    assert len({tuple(sorted(each)) for each in ranks}) == 60


def test_without_a_hold_out_it_says_what_will_be_missing() -> None:
    audience = choose_audience(scores(), 40, holdout=0)
    assert audience.counts["hold-out"] == 0
    assert "cannot be told later" in audience.notes[0]
    assert "20 customers are held out" in choose_audience(scores(), 40, 0.5).notes[0]
    assert choose_audience(scores(), 200, 0.5).notes == ()


def test_reasons_are_put_beside_the_ranks() -> None:
    audience = choose_audience(scores(), 10)
    reasons = pl.DataFrame({"reason_1": [f"because {k}" for k in range(10)]})
    assert audience.with_reasons(reasons).table["reason_1"][3] == "because 3"
    with pytest.raises(DataError, match="reasons have 9 rows, the audience has 10"):
        audience.with_reasons(reasons.head(9))


def test_both_arguments_are_named_in_one_message() -> None:
    with pytest.raises(
        ParameterError,
        match=r"choose_audience: top=5 must be a whole number ≥ 10; "
        r"holdout=0.95 must be a number in \[0, 0.9\]",
    ):
        choose_audience(scores(), 5, 0.95)
    with pytest.raises(ParameterError, match=r"top=20\.5 must be a whole number"):
        choose_audience(scores(), 20.5)  # type: ignore[arg-type]


def damaged(**columns: list[object]) -> pl.DataFrame:
    return scores(12).with_columns(
        pl.Series(name, values, strict=False) for name, values in columns.items()
    )


NUMBERS = [0.1] * 12
BAD = [
    (scores(12), r"top=13: 12 customers have a score; ask for at most as many"),
    (scores(20).rename({"probability": "score"}), r"scores lack \['probability'\]"),
    (
        damaged(probability=[0.1, 1.2, *NUMBERS[:9], None]),
        r"'probability': 2 of 12 rows are no number from 0 to 1 \(first: row 1, 1.2\)",
    ),
    (damaged(probability=[*NUMBERS[:11], float("nan")]), r"\(first: row 11, nan\)"),
    (damaged(probability=["high"] * 12), "probability is of type String"),
    (damaged(customer=[7, 7, *range(20, 30)]), r"1 of 12 rows repeat one \(first: row 0, 7\)"),
    (damaged(customer=[None, *range(11)]), r"missing in 1 of 12 rows \(first: row 0\)"),
]


@pytest.mark.parametrize(("table", "message"), BAD, ids=lambda each: str(each)[:20])
def test_scores_that_are_none(table: pl.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        choose_audience(table, 13 if "top=13" in message else 10)


def test_all_faults_of_the_scores_come_at_once() -> None:
    table = damaged(customer=[None, 7, 7, *range(9)], probability=[2.0, *NUMBERS[:11]])
    with pytest.raises(DataError, match=r"missing in 1 .*repeat one .*no number from 0 to 1"):
        choose_audience(table, 10)


def test_customers_may_be_text_and_pandas_may_hold_them() -> None:
    table = scores().with_columns(pl.format("C{}", "customer").alias("customer"))
    audience = choose_audience(table.to_pandas(), 20)
    assert audience.table["customer"].dtype == pl.String
    assert set(audience.groups["group"]) == set(GROUPS)
    assert (audience.table["group"] == PICKED).sum() == 18
