"""manifest.json: what is in an artifact, and the sums by which damage is noticed."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from thinfile._version import __version__
from thinfile.artifact.values import from_json, to_json
from thinfile.errors import ArtifactError

FORMAT = 1
"""Version of the folder's format."""

FILE_NAME = "manifest.json"
CHECKSUM = "sha256"

_LIBRARIES = ("numpy", "polars", "scikit-learn", "lightgbm", "torch", "onnx", "onnxruntime")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SHAPE: dict[str, type | tuple[type, ...]] = {
    "format": int,
    "class": str,
    "arguments": dict,
    "state": dict,
    "metrics": dict,
    "fingerprint": (dict, type(None)),
    "versions": dict,
    "onnx": dict,
    "files": dict,
    "created": str,
    CHECKSUM: str,
}


def make_manifest(parts: Mapping[str, Any], contents: Mapping[str, bytes]) -> bytes:
    """The text of a manifest for `parts` and the files beside it."""
    record = {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **parts,
        "versions": library_versions(),
        "files": {
            name: {"bytes": len(content), "sha256": _sum(content)}
            for name, content in contents.items()
        },
    }
    return to_json({**record, CHECKSUM: _sum(to_json(record).encode())}).encode()


def library_versions() -> dict[str, str]:
    """Versions of thinfile, Python and the libraries that a model's numbers depend on."""
    versions = {"thinfile": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check the manifest of an artifact.

    Raises
    ------
    ArtifactError
        If it is absent, no JSON, of another format or shape, or was changed.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_bytes().decode()
        record = from_json(text)
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder}: is no artifact: it has no {FILE_NAME}") from error
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: is no text in UTF-8: it is damaged") from error
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}: it is truncated or damaged") from error
    _check_format(path, record)
    _check_shape(path, record)
    _check_sum(path, record)
    return dict(record)


def read_contents(folder: Path, manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """Every file that the manifest names, checked by size and SHA-256.

    Raises
    ------
    ArtifactError
        With every fault: a file is missing, truncated or not the one that was saved.
    """
    contents: dict[str, bytes] = {}
    faults = []
    for name, expected in manifest["files"].items():
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            why = "is missing" if missing else f"cannot be read: {error.strerror}"
            faults.append(f"{name} {why}")
        else:
            faults += _file_faults(name, contents[name], expected)
    if faults:
        raise ArtifactError(f"{folder}: {'; '.join(faults)}")
    return contents


def _file_faults(name: str, content: bytes, expected: Mapping[str, Any]) -> list[str]:
    if len(content) != expected["bytes"]:
        return [f"{name} has {len(content)} bytes, must have {expected['bytes']}: it is damaged"]
    if _sum(content) != expected["sha256"]:
        return [f"{name} is not the file that was saved: its SHA-256 differs"]
    return []


def _check_format(path: Path, record: Any) -> None:
    if not isinstance(record, dict) or "format" not in record:
        raise ArtifactError(f"{path}: is no manifest of thinfile: it has no format version")
    version = record["format"]
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT:
        raise ArtifactError(
            f"{path}: has format {version}, this thinfile ({__version__}) reads up to {FORMAT}: "
            "update thinfile"
        )
    if version != FORMAT or isinstance(version, bool):
        raise ArtifactError(f"{path}: has the unknown format {version!r}, must be {FORMAT}")


def _check_shape(path: Path, record: Mapping[str, Any]) -> None:
    faults = [f"{key} is missing" for key in _SHAPE if key not in record]
    faults += [
        f"{key} is of type {type(record[key]).__name__}"
        for key, kind in _SHAPE.items()
        if key in record and not isinstance(record[key], kind)
    ]
    if not faults:
        faults = [
            f"the file name {name!r} or its entry is not valid"
            for name, entry in record["files"].items()
            if not _valid_entry(name, entry)
        ]
    if faults:
        raise ArtifactError(f"{path}: is damaged: {'; '.join(faults)}")


def _valid_entry(name: str, entry: Any) -> bool:
    # A plain name only: a path would reach files outside the folder.
    return bool(
        _PLAIN_NAME.fullmatch(name)
        and isinstance(entry, dict)
        and isinstance(entry.get("bytes"), int)
        and isinstance(entry.get("sha256"), str)
    )


def _check_sum(path: Path, record: Mapping[str, Any]) -> None:
    rest = {key: value for key, value in record.items() if key != CHECKSUM}
    if _sum(to_json(rest).encode()) != record[CHECKSUM]:
        raise ArtifactError(f"{path}: was changed after it was saved: its SHA-256 differs")


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
