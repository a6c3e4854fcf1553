"""A sampling plan that gives the answer away is caught, and a sound one raises nothing."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from thinfile.compare.probes.finding import Finding, leak_headline
from thinfile.compare.probes.splits import ALONE, probe_split
from thinfile.data.buys import Buys
from thinfile.data.datasets import data_folder
from thinfile.data.event_split import Split, time_split
from thinfile.data.events import EventColumns, EventLog
from thinfile.data.sampling import literal_recipe_split, recipe_split
from thinfile.data.synthetic_events import make_events
from thinfile.errors import DataError

OWN = Buys("category", ("category 01",))
MONTH = timedelta(days=30)


@pytest.fixture(scope="module")
def log() -> EventLog:
    table = make_events(20_000, 500, 12, n_days=500, random_state=0)
    return EventLog.from_table(table, EventColumns("customer", "time", category="category"))


@pytest.fixture(scope="module")
def sound(log: EventLog) -> Split:
    return time_split(log, OWN, MONTH)


def flagged(found: list[Finding]) -> list[str]:
    return [each.probe for each in found if each.flagged]


def test_a_split_in_time_raises_nothing(log: EventLog, sound: Split) -> None:
    found = probe_split(log, sound)
    assert flagged(found) == []
    assert {each.probe for each in found} == {"sampling plan", *ALONE}
    assert all(each.words.endswith(".") for each in found)


def test_the_recipe_raises_nothing(log: EventLog) -> None:
    split = recipe_split(log, OWN, MONTH, related=["category 02"], max_shift=2)
    assert flagged(probe_split(log, split)) == []


@pytest.mark.parametrize(
    ("negative_cut", "probe"),
    [("last_event", "days since last event"), ("window_end", "cut date")],
)
def test_a_cut_that_depends_on_the_label_is_caught(
    log: EventLog, negative_cut: str, probe: str
) -> None:
    split = literal_recipe_split(
        log, OWN, MONTH, related=[], window=2 * MONTH, negative_cut=negative_cut
    )
    # As if somebody had built the rows by hand and flagged nothing.
    unflagged = _unflagged(split)
    found = {each.probe: each for each in probe_split(log, unflagged)}
    assert found[probe].flagged
    assert found[probe].value is not None
    assert found[probe].value > 0.98
    assert f"The {probe} alone tells who bought" in found[probe].words


def test_flags_of_the_plan_are_findings_and_stand_in_the_headline(log: EventLog) -> None:
    split = literal_recipe_split(log, OWN, MONTH, related=[], window=2 * MONTH)
    words = [each.words for each in probe_split(log, split) if each.flagged]
    for flag in split.train.flags:
        assert f"{flag[0].upper()}{flag[1:]}." in words
    headline = leak_headline(probe_split(log, split))
    assert headline is not None
    assert "the cut alone tells the classes apart" in headline


def test_matched_cuts_leave_the_plans_other_faults_only(log: EventLog) -> None:
    split = literal_recipe_split(
        log, OWN, MONTH, related=[], window=2 * MONTH, negative_cut="positives"
    )
    assert set(flagged(probe_split(log, _unflagged(split)))) == {"sampling plan"}
    assert set(flagged(probe_split(log, split))) == {"sampling plan"}


def _unflagged(split: Split) -> Split:
    parts = [replace(part, flags=()) for part in (split.train, split.validation, split.test)]
    return Split(*parts, split.name, split.notes)


def test_parts_that_overlap_in_time_are_caught(log: EventLog, sound: Split) -> None:
    mixed = replace(sound, train=sound.test, test=sound.train)
    (leak,) = [each for each in probe_split(log, mixed) if each.flagged]
    assert leak.subject == "order in time"
    assert "past the first cut of the validation rows" in leak.words


def test_the_number_of_events_alone_is_caught(log: EventLog, sound: Split) -> None:
    """As where histories of buyers were kept whole and those of others thinned out."""
    train = sound.train
    short = np.minimum(train.stop, train.start + 1)
    cut = replace(train, stop=np.where(train.label == 1, train.stop, short))
    found = {each.probe: each for each in probe_split(log, replace(sound, train=cut))}
    assert found["number of events"].flagged
    assert found["number of events"].subject == "training"


def test_what_was_fitted_after_the_training_window_is_caught(log: EventLog, sound: Split) -> None:
    closes = sound.validation.cut.min().astype(datetime)
    found = probe_split(
        log,
        sound,
        fitted_until={
            "categories": closes,
            "vocabulary": closes + timedelta(hours=12),
            "with zone": closes.replace(tzinfo=UTC),
        },
    )
    fitted = {each.subject: each for each in found if each.probe == "fitted until"}
    assert [name for name, each in fitted.items() if each.flagged] == ["vocabulary"]
    assert fitted["vocabulary"].value == pytest.approx(0.5)
    assert "0.5 days after the training window closed" in fitted["vocabulary"].words


def test_a_season_is_no_leak(log: EventLog) -> None:
    """Where all rows share a few cuts, more buyers at one of them is the season."""
    split = time_split(log, OWN, MONTH)
    train = split.train
    chance = np.where(train.cut == train.cut.max(), 0.3, 0.01)
    label = (np.random.default_rng(0).random(len(train)) < chance).astype(np.int8)
    seasonal = replace(split, train=replace(train, label=label))
    found = {each.probe: each for each in probe_split(log, seasonal)}
    assert found["cut date"].value is not None
    assert found["cut date"].value > 0.75
    assert flagged(list(found.values())) == []


def test_cuts_of_their_own_must_be_alike_in_both_classes(log: EventLog) -> None:
    """Negatives cut at any time, positives when they happened to come."""
    split = _unflagged(recipe_split(log, OWN, MONTH, related=["category 02"]))
    train = split.train
    span = 3 * np.timedelta64(MONTH)
    cut = np.where(train.label == 0, train.cut + span, train.cut)
    found = {
        each.probe: each for each in probe_split(log, replace(split, train=replace(train, cut=cut)))
    }
    assert found["cut date"].flagged
    assert found["cut date"].limit == 0.65


def test_few_buyers_are_no_leak(log: EventLog, sound: Split) -> None:
    """Perfect order of two buyers is chance, and no labels at all are no error."""
    train = sound.train
    order = np.argsort(train.stop - train.start)
    kept = np.concatenate([order[:8], order[-2:]])
    few = replace(train.take(kept), label=np.repeat([0, 1], [8, 2]).astype(np.int8))
    none, later = (
        replace(part, label=np.full(len(part), -1, dtype=np.int8))
        for part in (sound.validation, sound.test)
    )
    split = replace(sound, train=few, validation=none, test=later)
    assert flagged(probe_split(log, split)) == []
    empty = replace(split, train=none)
    found = {each.probe: each for each in probe_split(log, empty)}
    assert found["cut date"].value is None
    assert found["cut date"].words == "Rows of both classes are too few to look."


def test_honest_splits_of_public_logs_raise_nothing() -> None:
    for name, log, buys, horizon in _public():
        for days in horizon:
            split = time_split(log, buys, timedelta(days=days))
            assert flagged(probe_split(log, split)) == [], (name, days)


def _public() -> list[tuple[str, EventLog, Buys, tuple[int, ...]]]:
    try:
        folder = data_folder()
    except DataError as error:
        pytest.skip(str(error))
    return [_retail(folder), _cdnow(folder), _taobao(folder)]


def _retail(folder: Path) -> tuple[str, EventLog, Buys, tuple[int, ...]]:
    name = pl.col("Description")
    table = pl.read_parquet(folder / "online_retail.parquet").with_columns(
        Group=pl.when(name.str.contains("LUNCH BAG")).then(pl.lit("LUNCH BAG")).otherwise(name)
    )
    roles = EventColumns("CustomerID", "InvoiceDate", category="Group", quantity="Quantity")
    return "retail", EventLog.from_table(table, roles), Buys("Group", ("LUNCH BAG",)), (60, 30)


def _cdnow(folder: Path) -> tuple[str, EventLog, Buys, tuple[int, ...]]:
    with gzip.open(folder / "cdnow_master.txt.gz", "rt") as file:
        rows = [line.split() for line in file]
    table = pl.DataFrame(rows, schema=["customer", "date", "units", "dollars"], orient="row")
    table = table.with_columns(pl.col("date").str.to_date("%Y%m%d"), kind=pl.lit("CD"))
    log = EventLog.from_table(table, EventColumns("customer", "date", category="kind"))
    return "cdnow", log, Buys("kind", ("CD",)), (30, 90)


def _taobao(folder: Path) -> tuple[str, EventLog, Buys, tuple[int, ...]]:
    table = pl.read_parquet(folder / "taobao_behaviour_head.parquet")
    log = EventLog.from_table(table, EventColumns("user_id", "ts", category="category_id"))
    bought = table.filter(pl.col("behavior") == "buy")["category_id"]
    often = bought.value_counts(sort=True)["category_id"].head(20).cast(pl.String).to_list()
    return "taobao", log, Buys("category_id", tuple(often), ("behavior", "buy")), (1, 2)


def test_what_is_easily_told_is_no_trick_of_the_cuts() -> None:
    """A log of subscribers: recency alone knows who buys again, at cuts that all share."""
    from datetime import datetime, timedelta

    import polars as pl

    from thinfile.data.buys import Buys
    from thinfile.data.event_columns import EventColumns
    from thinfile.data.event_split import time_split
    from thinfile.data.events import EventLog

    start = datetime(2024, 1, 1)
    regular = [
        (who, start + timedelta(days=14 * step, hours=who % 24), "SUB")
        for who in range(120)
        for step in range(26)
    ]
    rare = [(1000 + who, start + timedelta(days=(who * 37) % 150), "OTHER") for who in range(480)]
    late = [(2000 + who, start + timedelta(days=300 + who % 60), "OTHER") for who in range(30)]
    table = pl.DataFrame(
        [*regular, *rare, *late], schema=["customer", "time", "kind"], orient="row"
    )
    log = EventLog.from_table(table, EventColumns("customer", "time", category="kind"))
    split = time_split(log, Buys("kind", ("SUB",)), timedelta(days=28))
    found = {each.probe: each for each in probe_split(log, split)}
    strongest = found["number of events"]
    assert strongest.value is not None
    assert strongest.value > 0.95
    assert not strongest.flagged
    assert "seen at the same cuts" in strongest.words
