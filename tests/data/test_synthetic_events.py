"""The made-up log: what is asked for to the row, one log however read, and the truth in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from thinfile.data import synthetic_events
from thinfile.data.synthetic_events import SyntheticEvents, make_events
from thinfile.errors import ParameterError


def test_shape_order_and_types() -> None:
    log = make_events(3_000, 100, 7, missing_share=0.1, return_share=0.05, random_state=0)
    assert log.height == 3_000
    assert log.schema == synthetic_events._SCHEMA
    assert log["time"].is_sorted()
    assert log["customer"].n_unique() <= 101
    assert log["category"].n_unique() == 7
    assert 0.05 < log["customer"].null_count() / 3_000 < 0.15
    assert 0.02 < float((log["quantity"] < 0).mean()) < 0.09  # type: ignore[arg-type]
    assert ((log["quantity"] < 0) == (log["amount"] < 0)).all()
    assert (log["item"].str.slice(0, 2) == log["category"].str.slice(9)).all()
    assert log["time"].dt.year().is_between(2023, 2024).all()


def test_one_log_however_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic_events, "_SLICE_EVENTS", 400)
    events = SyntheticEvents(2_000, 60, 5)
    log = events.table()
    assert log.height == 2_000
    assert len(list(events.batches())) == 5
    events.write(tmp_path / "log.parquet")
    assert pl.read_parquet(tmp_path / "log.parquet").equals(log)
    assert events.table().equals(log)
    assert not SyntheticEvents(2_000, 60, 5).table().equals(log)
    again = make_events(2_000, 60, 5, random_state=events.random_state)
    assert again.equals(log)


def test_the_truth_is_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    # Several slices, so that what was bought last is carried from one to the next.
    monkeypatch.setattr(synthetic_events, "_SLICE_EVENTS", 10_000)
    events = SyntheticEvents(60_000, 600, 21, random_state=3, return_share=0.0)
    log, truth = events.table().sort("customer", "time"), events.truth()
    people = truth.customers
    day = (pl.col("time") - synthetic_events.FIRST_DAY).dt.total_seconds() / 86_400
    seen = log.join(people, on="customer").with_columns(day=day)
    assert seen.height == log.height
    # Times are cut to whole seconds.
    assert (seen["day"] >= seen["first_day"] - 1e-4).all()
    assert (seen["day"] <= seen["dropout_day"]).all()
    counts = people.join(log.group_by("customer").len(), on="customer", how="left").fill_null(0)
    active = counts["dropout_day"].clip(upper_bound=730.0) - counts["first_day"]
    expected = counts["rate"] * active
    expected = expected * (60_000 / expected.sum())
    z = ((counts["len"] - expected) / expected.sqrt()).to_numpy()
    assert abs(float(np.mean(z))) < 0.2
    assert 0.8 < float(np.std(z)) < 1.2
    pairs = seen.with_columns(
        before=pl.col("category").shift().over("customer"),
        quick=(pl.col("day") - pl.col("day").shift().over("customer")) < 1,
    ).filter(pl.col("before").is_not_null())
    follows = pairs["category"] == pairs["before"].replace(truth.related)
    # Half of what comes at once follows, and by chance a little more.
    assert 0.5 < float(follows.filter(pairs["quick"]).mean()) < 0.6  # type: ignore[arg-type]
    assert float(follows.filter(~pairs["quick"]).mean()) < 0.5  # type: ignore[arg-type]
    liked = seen.select(pl.col("favourites").list.contains(pl.col("category"))).to_series()
    assert float(liked.mean()) > 0.4  # type: ignore[arg-type]
    assert truth.popularity.sum() == pytest.approx(1.0)
    assert truth.related["category 20"] == "category 20"


def test_without_following_or_dropout_of_favourites_is_chance() -> None:
    log = make_events(20_000, 200, 4, follow=0.0, random_state=0).sort("customer", "time")
    before = log["category"].shift()
    truth = SyntheticEvents(20_000, 200, 4, random_state=0).truth()
    share = float((log["category"] == before.replace(truth.related)).mean())  # type: ignore[arg-type]
    assert share < 0.35


def test_all_faults_in_one_message() -> None:
    with pytest.raises(ParameterError) as caught:
        make_events(0, -1, 1, n_days=0, follow=2, return_share=1, missing_share=-1, random_state=-1)
    for name in ("n_events=0", "n_customers=-1", "n_categories=1", "n_days=0", "follow=2"):
        assert f"{name} must be" in str(caught.value)
    assert "return_share=1 must be a number in [0, 1)" in str(caught.value)
    with pytest.raises(ParameterError, match=r"n_events=1\.5 must be a whole number"):
        make_events(1.5)  # type: ignore[arg-type]


def test_the_smallest() -> None:
    assert make_events(1, random_state=0).height == 1
