from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from thinfile.compare.cell import Cell
from thinfile.compare.folder import FORMAT, RunFolder, fingerprint_of
from thinfile.compare.plan import make_plan
from thinfile.compare.task import Task
from thinfile.errors import ArtifactError, DataError
from thinfile.schema.column import Column

SETTINGS = {"title": "a → b"}


def test_a_new_folder_says_what_it_holds(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "x")
    folder.open(SETTINGS, "abc")
    assert folder.read_json("run.json") == {**SETTINGS, "format": FORMAT, "fingerprint": "abc"}
    assert sorted(os.listdir(folder.path)) == ["cells", "run.json"]
    assert folder.finished("mlp-0-0") is None


def test_the_same_comparison_goes_on(tmp_path: Path) -> None:
    RunFolder(tmp_path).open(SETTINGS, "abc")
    Cell("mlp", 0, 0, "failed", "x").save(tmp_path / "cells")
    folder = RunFolder(tmp_path)
    folder.open(SETTINGS, "abc")
    cell = folder.finished("mlp-0-0")
    assert cell is not None
    assert cell.error == "x"


def test_a_folder_that_was_killed_before_its_first_cell_goes_on(tmp_path: Path) -> None:
    RunFolder(tmp_path).open(SETTINGS, "abc")
    (tmp_path / "cells").rmdir()
    RunFolder(tmp_path).open(SETTINGS, "abc")
    assert (tmp_path / "cells").is_dir()


def test_another_comparison_is_refused_and_left_alone(tmp_path: Path) -> None:
    RunFolder(tmp_path).open(SETTINGS, "abc")
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(DataError, match=r"holds another comparison .* name another folder"):
        RunFolder(tmp_path).open({"title": "c → d"}, "def")
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("chapter 1")
    with pytest.raises(DataError, match="holds other files and no comparison"):
        RunFolder(tmp_path).open(SETTINGS, "abc")
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(DataError, match="is a file; a folder is needed"):
        RunFolder(tmp_path / "out").open(SETTINGS, "abc")


def test_damage_and_absence_are_told_apart(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(DataError, match=r"has no verdict\.json: it is no finished comparison"):
        folder.read_json("verdict.json")
    (tmp_path / "verdict.json").write_text('{"choice": ')
    with pytest.raises(DataError, match=r"verdict\.json' is damaged"):
        folder.read_json("verdict.json")


def test_a_full_disk_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", write)
    with pytest.raises(ArtifactError, match="No space left on device"):
        RunFolder(tmp_path / "x").open(SETTINGS, "abc")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    folder.write_json("a.json", [1])

    def write(path: Path, content: str) -> None:
        with path.open("w") as file:
            file.write(content[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", write)
    with pytest.raises(ArtifactError):
        folder.write_json("a.json", [2])
    assert json.loads((tmp_path / "a.json").read_bytes()) == [1]
    assert os.listdir(tmp_path) == ["a.json"]


def first_value(task: Task) -> Task:
    age = task.features["age"].to_list()
    return replace(task, features=task.features.with_columns(pl.Series("age", [1.0, *age[1:]])))


def first_label(task: Task) -> Task:
    y = task.y.copy()
    y[0] = 1 - y[0]
    return replace(task, y=y)


@pytest.mark.parametrize(
    "change",
    [
        first_value,
        first_label,
        lambda task: replace(task, label="default"),
        lambda task: replace(
            task, schema=task.schema.with_column(Column("income", "number", minimum=0.0))
        ),
    ],
    ids=["a value", "a label", "the label's name", "the schema"],
)
def test_a_fingerprint_knows_every_part(small_task: Task, change: Callable[[Task], Task]) -> None:
    plan, other = make_plan(small_task, [40]), change(small_task)
    assert fingerprint_of(small_task, plan, {}) != fingerprint_of(other, plan, {})


def test_a_fingerprint_knows_the_test_rows_and_the_options(small_task: Task) -> None:
    plans = [make_plan(small_task, [40], random_state=state) for state in (0, 1)]
    prints = {fingerprint_of(small_task, plan, {}) for plan in plans}
    prints.add(fingerprint_of(small_task, plans[0], {"overrides": {"mlp": {"dropout": 0.2}}}))
    assert len(prints) == 3
    assert fingerprint_of(small_task, plans[0], {}) in prints


def test_a_fingerprint_is_the_same_in_another_process(small_task: Task, tmp_path: Path) -> None:
    """A run could not be gone on with otherwise."""
    code = (
        "import sys, polars as pl\n"
        "print(pl.read_parquet(sys.argv[1]).hash_rows(seed=0).to_list()[:50])"
    )
    small_task.features.write_parquet(tmp_path / "features.parquet")
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "features.parquet")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(small_task.features.hash_rows(seed=0).to_list()[:50])
