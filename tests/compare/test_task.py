from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.compare.task import Task, build_task, split_by_domain
from thinfile.errors import DataError
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

OLD = pl.DataFrame({"age": [20.0, 30.0, 40.0, 50.0], "bad": [0, 1, 0, 1]})


def new(labels: Any, **columns: Any) -> pl.DataFrame:
    n = len(labels)
    return pl.DataFrame({"age": [float(i) for i in range(n)], "bad": labels, **columns})


def labels_of(task: Task) -> list[int]:
    return task.y[task.is_target].tolist()


def test_rows_of_a_task_are_source_then_target() -> None:
    task = build_task(OLD, new([1, None, 0]), label="bad", source_name="o", target_name="n")
    assert task.features.columns == ["age"]
    assert task.y.tolist() == [0, 1, 0, 1, 1, -1, 0]
    assert task.source.tolist() == [0, 1, 2, 3]
    assert task.target.tolist() == [4, 5, 6]
    assert task.target_labelled.tolist() == [4, 6]
    assert task.domain(np.array([0, 4])).tolist() == ["o", "n"]
    assert task.rate(task.source) == 0.5
    assert np.isnan(task.rate(np.array([5])))


def test_an_unlabelled_source_row_is_no_source_row() -> None:
    old = OLD.with_columns(pl.Series("bad", [0, 1, None, 1]))
    assert build_task(old, new([1, 0]), label="bad").source.tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    "column",
    [
        [1, None, 0, -1],
        [1.0, float("nan"), 0.0, -1.0],
        ["1", "", "0", "NA"],
        ["1.0", " ", "0.0", "-1.0"],
        ["1", "null", "0", "none"],
        [True, None, False, None],
    ],
    ids=["integers", "floats", "text", "text with a point", "words", "booleans"],
)
def test_labels_are_read_alike_however_they_are_written(column: list[Any]) -> None:
    assert labels_of(build_task(OLD, new(column), label="bad")) == [1, -1, 0, -1]


@settings(deadline=None)
@given(st.lists(st.sampled_from([1, 0, -1]), min_size=1, max_size=30))
def test_a_label_survives_a_csv_of_floats(values: list[int]) -> None:
    texts = ["" if value < 0 else f"{value}.0" for value in values]
    old = OLD.with_columns(pl.col("bad").cast(pl.String))
    assert labels_of(build_task(old, new(texts), label="bad")) == values


@pytest.mark.parametrize(
    ("none", "event"),
    [
        ("no", "yes"),
        ("P I F", "CHGOFF"),
        ("good", "bad"),
        ("paid", "default"),
        ("1", "2"),
        ("Fully Paid", "Charged Off"),
        ("Performing", "Non-performing"),
        ("current", "Late"),
        ("Active", "churned"),
        ("9", "10"),
        ("-5", "0"),
    ],
)
def test_words_as_labels_are_understood_and_said(none: str, event: str) -> None:
    old = OLD.with_columns(pl.Series("bad", [none, event, none, event]))
    task = build_task(old, new([event, None, none]), label="bad")
    assert labels_of(task) == [1, -1, 0]
    assert any(f"{event!r} is taken as the event" in note for note in task.notes)


def test_a_target_may_go_without_the_label_where_it_is_not_needed() -> None:
    task = build_task(OLD, new([1, 0]).drop("bad"), label="bad", label_in_target=False)
    assert labels_of(task) == [-1, -1]
    assert "'target' has no column 'bad': its rows have no label" in task.notes
    with pytest.raises(DataError, match="not in 'source'"):
        build_task(OLD.drop("bad"), new([1]), label="bad", label_in_target=False)


def test_a_target_may_hold_one_class_only() -> None:
    assert labels_of(build_task(OLD, new([0, 0, None]), label="bad")) == [0, 0, -1]


@pytest.mark.parametrize(
    ("old", "target", "message"),
    [
        (OLD.drop("bad"), new([1]), r"label column 'bad' is not in 'source'; its columns are age"),
        (OLD, new([1]).drop("bad"), r"label column 'bad' is not in 'target'"),
        (OLD, new([1, 0, 2]), r"label 'bad' has 3 values \(0, 1, 2\); two are needed"),
        (OLD.head(0), new([1]), r"population 'source' has no rows"),
        (OLD, new([1]).head(0), r"population 'target' has no rows"),
        (OLD.with_columns(bad=pl.lit(0)), new([1, 0]), r"'source' has 0 events and 4 non-events"),
        (OLD.with_columns(bad=pl.lit(1)), new([1, 0]), r"'source' has 4 events and 0 non-events"),
        (
            OLD.with_columns(bad=pl.lit(None, pl.Int8)),
            new([None]),
            r"label 'bad' is empty in every row",
        ),
        (
            OLD.rename({"age": "years"}),
            new([1, 0]),
            r"share no column but the label: years, bad against age, bad",
        ),
    ],
)
def test_tables_that_cannot_be_compared_are_refused(
    old: pl.DataFrame, target: pl.DataFrame, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        build_task(old, target, label="bad")


def test_columns_that_change_type_are_all_named() -> None:
    old = OLD.with_columns(
        opened=pl.lit(dt.date(2020, 1, 1)), town=pl.Series(["Graz", "Linz", "Wels", "Graz"])
    )
    target = new([1, 0], opened=[1.5, 2.5], town=[7, 8])
    with pytest.raises(DataError) as caught:
        build_task(old, target, label="bad")
    assert str(caught.value) == (
        "column 'opened' changes type: Date in 'source' (first: datetime.date(2020, 1, 1)), "
        "Float64 in 'target' (first: 1.5); column 'town' changes type: words in "
        "'source' (first: 'Graz'), Int64 in 'target' (first: 7)"
    )


def test_text_that_reads_as_the_other_file_does_is_taken_and_said() -> None:
    old = OLD.with_columns(pl.Series("age", ["20", "30", "40", "50"]))
    task = build_task(old, new([1, 0]), label="bad")
    assert task.schema["age"].role == "number"
    assert "column 'age' is String in 'source' and Float64 in 'target'" in task.notes


def test_numbers_and_words_in_two_text_files_are_another_type() -> None:
    old = OLD.with_columns(pl.Series("age", ["20", "30", "40", "50"]))
    target = pl.DataFrame({"age": ["old", "young", "old"], "bad": [0, 1, 0]})
    message = r"'age' changes type: numbers in 'source' \(first: '20'\), words in"
    with pytest.raises(DataError, match=message):
        build_task(old, target, label="bad")
    with pytest.raises(DataError, match="'age' changes type"):
        build_task(target, old, label="bad")
    schema = Schema((Column("age", "number"),))
    assert build_task(old, target, label="bad", schema=schema).schema is not None


@pytest.mark.parametrize(
    "values",
    [["1", "0", "1"], ["unknown", "unknown", "31"], [None, None, None], ["", "NA", "44"]],
    ids=["two values", "words for missing", "empty", "mostly empty"],
)
def test_a_thin_text_column_is_no_other_type(values: list[str | None]) -> None:
    old = OLD.with_columns(pl.Series("age", ["20", "30", "40", "50"]))
    target = pl.DataFrame({"age": values, "bad": [0, 1, 0]}, schema_overrides={"age": pl.String})
    assert build_task(old, target, label="bad").features["age"].to_list()[4:] == values


def test_days_and_instants_are_both_dates() -> None:
    old = OLD.with_columns(opened=pl.lit(dt.date(2020, 1, 1)))
    target = new([1, 0], opened=[dt.datetime(2021, 1, 1, 12), None])
    assert build_task(old, target, label="bad").schema["opened"].role == "date"


@pytest.mark.parametrize(
    ("zones", "hours"),
    [
        (("Europe/Vienna", None), (11, 12)),
        ((None, "America/New_York"), (12, 17)),
        (("Europe/Vienna", "America/New_York"), (11, 17)),
    ],
)
def test_time_zones_are_put_on_one_clock(
    zones: tuple[str | None, str | None], hours: tuple[int, int]
) -> None:
    noon = pl.Series("opened", [dt.datetime(2021, 1, 1, 12)], pl.Datetime("ms"))
    first, second = (noon.dt.replace_time_zone(zone) for zone in zones)
    old = OLD.with_columns(first.new_from_index(0, 4))
    task = build_task(old, new([1]).with_columns(second), label="bad")
    found = task.features["opened"]
    assert found.dtype == pl.Datetime("us")
    assert found.dt.hour().to_list() == [hours[0]] * 4 + [hours[1]]
    a, b = (zone or "none" for zone in zones)
    note = f"column 'opened' has time zone {a} in 'source' and {b} in 'target': all is taken as UTC"
    assert note in task.notes


def test_days_and_instants_with_a_time_zone_are_both_dates() -> None:
    old = OLD.with_columns(opened=pl.lit(dt.date(2020, 1, 1)))
    target = new([1], opened=[dt.datetime(2021, 1, 1, 12, tzinfo=dt.UTC)])
    assert build_task(old, target, label="bad").features["opened"][4] == dt.datetime(2021, 1, 1, 12)


def test_an_empty_column_of_one_file_takes_the_type_of_the_other() -> None:
    old = OLD.with_columns(income=pl.lit(None))
    task = build_task(old, new([1, 0], income=[1.5, 2.5]), label="bad")
    assert task.features["income"].to_list() == [None] * 4 + [1.5, 2.5]


def test_columns_of_one_file_only_are_left_out_and_said() -> None:
    task = build_task(OLD.with_columns(x=1), new([1, 0], z=[1, 2]), label="bad")
    assert task.features.columns == ["age"]
    assert "columns of 'source' only, left out: x" in task.notes
    assert "columns of 'target' only, left out: z" in task.notes


def test_a_schema_decides_what_is_used() -> None:
    old, target = OLD.with_columns(x=pl.lit(1.0)), new([1, 0], x=[1.0, 2.0])
    schema = Schema((Column("age", "ignored"), Column("x", "number")))
    task = build_task(old, target, label="bad", schema=schema)
    assert list(task.schema.features) == ["x"]
    none = Schema((Column("age", "ignored"), Column("x", "ignored")))
    with pytest.raises(DataError, match=r"share no column that can be used \(shared: age, x\)"):
        build_task(old, target, label="bad", schema=none)


def test_one_table_is_split_by_its_population() -> None:
    table = pl.DataFrame({"p": ["a", "b", None, "c", "b"], "v": [1, 2, 3, 4, 5]})
    source, target, name, notes = split_by_domain(table, "p", "b")
    assert source["v"].to_list() == [1, 4]
    assert target["v"].to_list() == [2, 5]
    assert name == "a + c"
    assert source.columns == target.columns == ["v"]
    assert notes == [
        "1 rows left out: their population in column 'p' is empty",
        "2 populations are treated as one source: a, c",
    ]


def test_many_other_populations_have_one_name() -> None:
    table = pl.DataFrame({"Bank": ["a", "b", "c", "d", "e", " "], "v": range(6)})
    source, _, name, notes = split_by_domain(table, "Bank", "c")
    assert source["v"].to_list() == [0, 1, 3, 4]
    assert name == "all other Bank"
    assert notes[1] == "4 populations are treated as one source: a, b, d, e"


def test_notes_of_the_split_end_in_the_task() -> None:
    assert build_task(OLD, new([1, 0]), label="bad", notes=["7 rows left out"]).notes[0] == (
        "7 rows left out"
    )


def test_a_population_may_be_a_number() -> None:
    table = pl.DataFrame({"p": [7, 8], "v": [1, 2]})
    source, target, name, notes = split_by_domain(table, "p", "8")
    assert notes == []
    assert (source["v"].to_list(), target["v"].to_list(), name) == ([1], [2], "7")


@pytest.mark.parametrize(
    ("domain", "target", "message"),
    [
        ("q", "a", r"population column 'q' is not among p, v"),
        ("p", "z", r"--target 'z' is none of the populations a, b"),
        ("v", "1", r"population column 'v' holds '1' only: no source"),
    ],
)
def test_a_population_that_is_not_there_is_refused(domain: str, target: str, message: str) -> None:
    table = pl.DataFrame({"p": ["a", "b"], "v": [1, 1]})
    with pytest.raises(DataError, match=message):
        split_by_domain(table, domain, target)


def test_ids_stay_in_the_schema_and_out_of_the_features(
    tables: Callable[..., tuple[pl.DataFrame, pl.DataFrame]],
) -> None:
    old, target = tables(60, 60, 60)
    old = old.with_columns(pl.Series("customer", [f"A{i:05}" for i in range(60)]))
    target = target.with_columns(pl.Series("customer", [f"B{i:05}" for i in range(60)]))
    task = build_task(old, target, label="bad")
    assert task.schema["customer"].role == "id"
    assert "customer" not in task.features.columns


def test_dates_written_in_another_way_are_one_column() -> None:
    days = pl.date_range(pl.date(2011, 1, 1), pl.date(2011, 4, 10), eager=True)
    label = pl.Series("bad", [0, 1] * 50)
    old = pl.DataFrame({"day": days.dt.strftime("%Y-%m-%d"), "bad": label})
    new = pl.DataFrame({"day": days.dt.strftime("%Y/%m/%d"), "bad": label})
    task = build_task(old, new, label="bad")
    parsed = task.schema.parse(task.features)
    assert parsed.frame["day"].null_count() == 0
    assert parsed.frame["day"].dtype == pl.Datetime("us")
