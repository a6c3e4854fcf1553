"""The folder of a comparison: what lies where, and that a killed run can go on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy.typing as npt
import polars as pl
from safetensors.numpy import save as to_bytes

from thinfile._version import __version__
from thinfile.artifact.atomic import writing
from thinfile.compare.cell import Cell
from thinfile.compare.plan import Plan
from thinfile.compare.task import Task
from thinfile.errors import DataError, ThinfileError

FORMAT = 1


class RunFolder:
    """Files of one comparison below `path`.

    `run.json` says what the comparison is; `cells/` holds each finished cell. Opening the folder
    for another comparison is refused, so results never mix.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cells = path / "cells"

    def open(self, settings: Mapping[str, Any], fingerprint: str) -> None:
        """Make the folder, or go on with the comparison that it holds.

        Raises
        ------
        DataError
            If the path is a file, or holds another comparison or anything else.
        """
        if self.path.exists() and not self.path.is_dir():
            raise DataError(f"--out {str(self.path)!r} is a file; a folder is needed")
        known = self.path / "run.json"
        if known.exists():
            self._check_same(known, fingerprint)
        elif self.path.is_dir() and any(self.path.iterdir()):
            raise DataError(
                f"--out {str(self.path)!r} holds other files and no comparison; name another folder"
            )
        is_new = not self.path.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            # First of all: a folder that a kill leaves without it could not be gone on with.
            self.write_json("run.json", {**settings, "format": FORMAT, "fingerprint": fingerprint})
            self.cells.mkdir(exist_ok=True)
        except (ThinfileError, OSError):
            if is_new:
                shutil.rmtree(self.path, ignore_errors=True)
            raise

    def finished(self, key: str) -> Cell | None:
        """The cell of that key, if it was run to its end."""
        return Cell.load(self.cells, key)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file whole or not at all."""
        with writing(self.path / name) as temporary:
            temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False))

    def write_table(self, name: str, table: pl.DataFrame) -> None:
        """Write a Parquet file whole or not at all."""
        # Polars' own error for a full disk is no OSError, so the file is written by Python.
        buffer = BytesIO()
        table.write_parquet(buffer)
        self._write_bytes(name, buffer.getvalue())

    def write_arrays(self, name: str, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Write a safetensors file whole or not at all."""
        self._write_bytes(name, to_bytes(arrays))

    def _write_bytes(self, name: str, content: bytes) -> None:
        with writing(self.path / name) as temporary:
            temporary.write_bytes(content)

    def read_json(self, name: str) -> Any:
        """A JSON file of the folder.

        Raises
        ------
        DataError
            If it is not there or damaged.
        """
        try:
            return json.loads((self.path / name).read_text())
        except FileNotFoundError:
            raise DataError(
                f"{str(self.path)!r} has no {name}: it is no finished comparison"
            ) from None
        except ValueError as error:
            raise DataError(f"{str(self.path / name)!r} is damaged: {error}") from None

    def _check_same(self, known: Path, fingerprint: str) -> None:
        found = self.read_json(known.name).get("fingerprint")
        if found != fingerprint:
            raise DataError(
                f"--out {str(self.path)!r} holds another comparison (other data, label, schema or "
                "random state); name another folder"
            )


def fingerprint_of(task: Task, plan: Plan, settings: Mapping[str, Any]) -> str:
    """Tells two comparisons apart: data, labels, test rows, schema, options and version."""
    digest = hashlib.sha256()
    for array in (task.features.hash_rows(seed=0).to_numpy(), task.y, task.is_target, plan.test):
        digest.update(array.tobytes())
    options = {
        "schema": task.schema.to_dict(),
        "label": task.label,
        "mode": plan.mode,
        "version": __version__,
        **settings,
    }
    digest.update(json.dumps(options, sort_keys=True, default=str).encode())
    return digest.hexdigest()
