from __future__ import annotations

from collections.abc import Callable

import polars as pl

from thinfile.compare.task import Task, build_task
from thinfile.schema.column import Column
from thinfile.schema.model import Schema


def too_good(task: Task) -> list[str]:
    return [note for note in task.notes if "too good" in note or "repeat" in note]


def test_rows_that_stand_in_both_populations_are_counted(
    tables: Callable[..., tuple[pl.DataFrame, pl.DataFrame]],
) -> None:
    old, target = tables(300, 200, 200)
    assert too_good(build_task(old, target, label="bad")) == []
    both = pl.concat([target, old.head(41)], how="vertical_relaxed")
    assert too_good(build_task(old, both, label="bad")) == [
        "41 rows of 'target' stand in 'source' too, with the same label: figures may be too good"
    ]
    other = both.with_columns((1 - pl.col("bad")).alias("bad"))
    assert too_good(build_task(old, other, label="bad")) == []


def test_rows_of_coarse_columns_are_alike_by_chance() -> None:
    old = pl.DataFrame({"kind": ["a", "b"] * 50, "bad": [0, 1, 1, 0] * 25})
    assert too_good(build_task(old, old.head(20), label="bad")) == []


def test_ids_that_repeat_are_counted() -> None:
    ids = Schema((Column("customer", "id"), Column("age", "number")))
    age = [20.0, 30.0, 40.0, 50.0]
    old = pl.DataFrame({"age": age, "bad": [0, 1, 0, 1], "customer": ["a", "b", "b", None]})
    target = pl.DataFrame({"age": age, "bad": [1, 0, None, 0], "customer": ["b", "c", "c", None]})
    assert too_good(build_task(old, target, label="bad", schema=ids))[:3] == [
        "id 'customer': 1 rows of 'source' repeat the id of another row",
        "id 'customer': 1 rows of 'target' repeat the id of another row",
        "id 'customer': 1 rows of 'target' have an id of 'source' too: figures may be too good "
        "if they are the same customers",
    ]
