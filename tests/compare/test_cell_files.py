from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from thinfile.compare.cell import Cell, Settings, run_cell
from thinfile.compare.plan import make_plan
from thinfile.compare.task import Task
from thinfile.errors import ArtifactError

Same = Callable[[Cell, Cell], bool]


@pytest.fixture(scope="module")
def cell(small_task: Task, overrides: dict[str, dict[str, Any]]) -> Cell:
    plan = make_plan(small_task, [40])
    return run_cell(small_task, plan, Settings(overrides=overrides), "mlp", 40, 0)


def test_a_cell_comes_back_from_its_files(cell: Cell, tmp_path: Path, same: Same) -> None:
    cell.save(tmp_path)
    again = Cell.load(tmp_path, cell.key)
    assert again is not None
    assert same(cell, again)
    assert sorted(os.listdir(tmp_path)) == ["mlp-40-0.json", "mlp-40-0.safetensors"]
    for each in fields(Cell):
        assert type(getattr(again, each.name)) is type(getattr(cell, each.name)), each.name


@pytest.mark.parametrize("status", ["failed", "not applicable"])
def test_a_cell_without_scores_comes_back_too(status: str, tmp_path: Path, same: Same) -> None:
    cell = Cell("mlp", 0, 1, status, "Gründe")
    cell.save(tmp_path)
    again = Cell.load(tmp_path, "mlp-0-1")
    assert again is not None
    assert same(again, cell)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def drop_field(path: Path) -> None:
    record = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in record.items() if k != "calibration"}))


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".json", Path.unlink),
        (".json", cut),
        (".json", drop_field),
        (".json", lambda path: path.write_bytes(b"")),
        (".json", lambda path: path.write_text("[]")),
        (".safetensors", Path.unlink),
        (".safetensors", cut),
        (".safetensors", lambda path: path.write_bytes(os.urandom(100))),
    ],
)
def test_half_a_cell_is_none(
    cell: Cell, tmp_path: Path, suffix: str, damage: Callable[[Path], Any]
) -> None:
    cell.save(tmp_path)
    damage(tmp_path / f"{cell.key}{suffix}")
    assert Cell.load(tmp_path, cell.key) is None


@pytest.mark.parametrize("refused", ["safetensors", "json"])
def test_a_full_disk_leaves_no_half_of_a_cell(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    real = Path.write_bytes

    def write(path: Path, content: Any, *arguments: Any, **named: Any) -> int:
        content = content if isinstance(content, bytes) else content.encode()
        if refused in path.name:
            real(path, content[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", write)
    monkeypatch.setattr(Path, "write_text", write)
    with pytest.raises(ArtifactError, match=r"cannot be written: No space left on device"):
        cell.save(tmp_path)
    assert not [name for name in os.listdir(tmp_path) if refused in name]
    assert Cell.load(tmp_path, cell.key) is None
