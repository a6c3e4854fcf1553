"""Models that are damaged or of another time, and disks that are full: one line, exit code 2."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
Refused = Callable[..., None]


# Models ---------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def newer(path: Path) -> None:
    record = json.loads(path.read_text())
    (name,) = [key for key in record if key in ("format", "format_version")]
    path.write_text(json.dumps({**record, name: 999}))


def tampered(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("as_json", [False, True], ids=["words", "json"])
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("manifest.json", Path.unlink),
        ("manifest.json", cut),
        ("manifest.json", newer),
        ("manifest.json", lambda path: path.write_text("[]")),
        ("weights.safetensors", Path.unlink),
        ("weights.safetensors", cut),
        ("weights.safetensors", tampered),
    ],
)
def test_models_that_are_damaged(
    call: Call,
    model: Path,
    files: Path,
    tmp_path: Path,
    name: str,
    damage: Callable[[Path], Any],
    as_json: bool,
    refused: Refused,
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    damage(folder / name)
    out = tmp_path / "s.parquet"
    answer = call(
        "score", folder, files / "new.csv", "--out", out, "--quiet", *["--json"] * as_json
    )
    refused(answer, "model", as_json=as_json)
    assert os.listdir(tmp_path) == ["model"]


def test_a_model_that_is_none(call: Call, files: Path, tmp_path: Path, refused: Refused) -> None:
    for path in (tmp_path, tmp_path / "nowhere", files / "old.csv"):
        answer = call("score", path, files / "new.csv", "--out", tmp_path / "s.parquet", "--quiet")
        refused(answer, str(path), as_json=False)
    assert os.listdir(tmp_path) == []


def test_a_table_without_the_models_columns(
    call: Call, model: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "t.csv").write_text("income,colour\n1,red\n")
    answer = call("score", model, tmp_path / "t.csv", "--out", tmp_path / "s.parquet", "--quiet")
    refused(answer, "'age'", as_json=False)
    assert "'region'" in answer.err
    assert os.listdir(tmp_path) == ["t.csv"]


# A full disk ----------------------------------------------------------------------------


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file can be written any more."""
    real = Path.open

    def open_file(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        if "w" in mode:
            real(path, mode, *arguments, **named).close()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, mode, *arguments, **named)

    monkeypatch.setattr(Path, "open", open_file)


@pytest.mark.parametrize("as_json", [False, True], ids=["words", "json"])
@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_while_comparing(
    call: Call, files: Path, quick: list[str], tmp_path: Path, as_json: bool, refused: Refused
) -> None:
    tables = [files / "old.parquet", files / "new.parquet"]
    options = ["--label=bad", "--labels=40", "--out", tmp_path / "run", *quick]
    answer = call("compare", *tables, *options, *["--json"] * as_json)
    refused(answer, "cannot be written: No space left on device", as_json=as_json)
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_while_saving_a_model(
    call: Call, files: Path, tmp_path: Path, refused: Refused
) -> None:
    tables = [files / "old.parquet", files / "new.parquet"]
    answer = call("fit", "logistic_pooled", *tables, "--label=bad", "--out", tmp_path / "m")
    refused(answer, "cannot be written: No space left on device", as_json=False)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_while_scoring(
    call: Call, files: Path, model: Path, tmp_path: Path, full_disk: None, refused: Refused
) -> None:
    answer = call("score", model, files / "new.csv", "--out", tmp_path / "s.csv", "--quiet")
    refused(answer, "cannot be written: No space left on device", as_json=False)
    assert os.listdir(tmp_path) == []
