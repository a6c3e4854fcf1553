"""Schema files: TOML for people, JSON for machines."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from thinfile.errors import SchemaError

_HEAD = """\
# Schema of a table: what each column is. Correct it where it is wrong.
# role: number category ordinal date boolean | id label domain ignored (no feature)
# missing: values that stand for "missing"; take one out of the list to keep it as a value.
# on_fault: missing (value becomes missing, reported) | reject (row) | raise (stop)
"""


def read_file(path: Path) -> dict[str, Any]:
    """Read a .toml or .json file into plain values.

    Raises
    ------
    SchemaError
        If the file is absent, cannot be read, or its ending is neither.
    """
    _check_ending(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        record = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise SchemaError(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise SchemaError(f"is no {path.suffix[1:].upper()}: {error}") from error
    if not isinstance(record, dict):
        raise SchemaError(f"holds a {type(record).__name__}, not a schema")
    return record


def write_file(path: Path, record: Mapping[str, Any], comments: Mapping[str, list[str]]) -> None:
    """Write a schema whole or not at all; in TOML each column's notes stand above it."""
    _check_ending(path)
    if path.suffix == ".json":
        text = json.dumps(record, ensure_ascii=False, indent=2) + "\n"
    else:
        text = to_toml(record, comments)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise SchemaError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def to_toml(record: Mapping[str, Any], comments: Mapping[str, list[str]]) -> str:
    """The schema as TOML text."""
    notes = [f"  {_value(note)}," for note in record.get("notes", ())]
    lines = [_HEAD, f"format = {record['format']}", "notes = [", *notes, "]"]
    for column in record["columns"]:
        lines += ["", *(f"# {_one_line(note)}" for note in comments.get(column["name"], ()))]
        lines.append("[[columns]]")
        lines += [f"{key} = {_value(value)}" for key, value in column.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for DEL, which JSON leaves bare.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _check_ending(path: Path) -> None:
    if path.suffix not in (".json", ".toml"):
        raise SchemaError(f"{path}: a schema file ends in .toml or .json")
