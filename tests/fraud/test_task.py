from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from thinfile.errors import DataError, ParameterError
from thinfile.fraud.options import FraudOptions
from thinfile.fraud.task import FraudTask, build_fraud_task


def test_the_latest_rows_are_tested_and_time_is_no_feature(
    task: FraudTask, payments: pl.DataFrame
) -> None:
    at = payments["at"].to_numpy()
    assert at[task.train].max() < at[task.test].min()
    assert len(task.test) == pytest.approx(600, abs=3)
    assert "at" not in task.features.columns
    assert "fraud" not in task.features.columns
    assert task.rate == task.y[task.train].mean()


def test_dates_as_text_are_read_as_dates(payments: pl.DataFrame) -> None:
    """Sorted as text, the first of March would come before the second of January."""
    days = pl.datetime_range(
        pl.datetime(2026, 1, 1), pl.datetime(2026, 3, 31), "1h", eager=True
    ).sample(payments.height, with_replacement=True, seed=0)
    told = payments.drop("at").with_columns(booked=days.dt.strftime("%d.%m.%Y %H:%M"))
    task = build_fraud_task(told, label="fraud", options=FraudOptions(time="booked"))
    assert days.gather(task.train).max() < days.gather(task.test).min()
    (note,) = [note for note in task.notes if note.startswith("split by 'booked'")]
    assert f"from {days.gather(task.test).min()} to {days.max()}" in note


def test_times_that_cannot_be_read_are_named(payments: pl.DataFrame) -> None:
    gap = payments.with_columns(
        pl.when(pl.col("payment") == 7).then(None).otherwise(pl.col("at")).alias("at")
    )
    with pytest.raises(DataError, match=r"time 'at': 1 of 3,000 rows have no time .*row 7, None"):
        build_fraud_task(gap, label="fraud", options=FraudOptions(time="at"))
    words = payments.with_columns(at=pl.lit("soon"))
    with pytest.raises(DataError, match=r"time_column='at'.*must hold dates or numbers"):
        build_fraud_task(words, label="fraud", options=FraudOptions(time="at"))


def test_columns_can_be_kept_from_every_model(payments: pl.DataFrame) -> None:
    options = FraudOptions(time="at", ignore=("channel", "at"))
    task = build_fraud_task(payments, label="fraud", options=options)
    assert "channel" not in task.features.columns
    assert task.names.columns[-1] == "at"
    with pytest.raises(DataError, match="column 'chanel' is not in the table"):
        build_fraud_task(payments, label="fraud", options=FraudOptions(ignore=("chanel",)))


def test_without_a_time_the_split_is_by_chance_and_keeps_the_rate(payments: pl.DataFrame) -> None:
    task = build_fraud_task(payments, label="fraud", options=FraudOptions())
    assert task.y[task.test].sum() == 12
    assert len(np.intersect1d(task.train, task.test)) == 0
    assert any("name the column with --time" in note for note in task.notes)


def test_copies_of_test_rows_are_not_trained_on(payments: pl.DataFrame) -> None:
    plain = payments.drop("payment", "at")
    twice = pl.concat([plain, plain])
    task = build_fraud_task(twice, label="fraud", options=FraudOptions())
    hashes = task.features.hash_rows().to_numpy()
    assert not np.isin(hashes[task.train], hashes[task.test]).any()
    assert any("exact copies" in note for note in task.notes)


def test_rows_of_few_kinds_are_no_copies(payments: pl.DataFrame) -> None:
    few = payments.select("channel", "fraud", large=pl.col("amount") > 40)
    task = build_fraud_task(few, label="fraud", options=FraudOptions())
    assert len(task.train) + len(task.test) == few.height
    assert any("the columns have few values" in note for note in task.notes)


def test_test_rows_can_be_thinned_but_never_of_frauds(payments: pl.DataFrame) -> None:
    task = build_fraud_task(payments, label="fraud", options=FraudOptions(max_test=100))
    assert len(task.test) == 100
    assert task.y[task.test].sum() == 12


def test_rows_without_a_label_are_trained_on_and_not_tested(payments: pl.DataFrame) -> None:
    hidden = payments.with_columns(
        pl.when(pl.col("payment") % 3 == 0).then(None).otherwise(pl.col("fraud")).alias("fraud")
    )
    task = build_fraud_task(hidden, label="fraud", options=FraudOptions(time="at"))
    assert (task.y[task.train] == -1).any()
    assert (task.y[task.test] >= 0).all()
    assert "200 of the rows to test have no label and are not measured" in task.notes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.lit(1).alias("fraud"), "frauds and 0 genuine rows, of which 2 and 1 are needed"),
        (
            (pl.col("payment") == 3).cast(pl.Int64).alias("fraud"),
            r"has 1 frauds and [\d,]+ genuine rows, of which 2 and 1 are needed",
        ),
        (pl.lit(None, dtype=pl.Int64).alias("fraud"), "empty in every row"),
    ],
)
def test_too_few_frauds_are_refused(payments: pl.DataFrame, change: pl.Expr, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build_fraud_task(payments.with_columns(change), label="fraud")


def test_columns_that_are_not_there_are_named(payments: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="column 'when' is not in the table"):
        build_fraud_task(payments, label="fraud", options=FraudOptions(time="when"))
    with pytest.raises(DataError, match="column 'bad' is not in the table"):
        build_fraud_task(payments, label="bad")


def test_options_hold_their_rules(options: FraudOptions) -> None:
    with pytest.raises(ParameterError, match="whole numbers of labelled frauds ≥ 2, or 'all'"):
        replace(options, labels=(1,)).check()
    with pytest.raises(ParameterError, match=r"alerts.*genuine|genuine.*alerts"):
        replace(options, alerts=0.0, genuine=3).check()
    with pytest.raises(ParameterError, match="dan do not take one table with rare events"):
        replace(options, methods=("dan",)).names()
    assert FraudOptions().share_of_alerts(57_000) == 0.001
    assert FraudOptions().share_of_alerts(800) == 20 / 800
    assert FraudOptions(alerts=0.01).share_of_alerts(800) == 0.01
    assert FraudOptions().n_genuine(10) == 1000
    assert FraudOptions().n_genuine(100) == 2000
    assert FraudOptions().n_genuine(400) == 5000
