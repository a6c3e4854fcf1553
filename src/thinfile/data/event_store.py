"""Event logs larger than memory: sorted on disk by DuckDB, stored as Arrow, mapped into memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile.data.event_checks import repeat_notes
from thinfile.data.event_columns import EventColumns
from thinfile.data.event_reading import EventReader
from thinfile.data.event_spool import learn_reader, sorted_batches, spool
from thinfile.errors import ArtifactError, DataError, MissingPackageError

FORMAT = "thinfile event log"
VERSION = 1

TABLE, TIMES, OFFSETS, CUSTOMERS = "table.arrow", "times.i64", "offsets.i64", "customers.arrow"
MANIFEST = "manifest.json"
_FILES = (TABLE, TIMES, OFFSETS, CUSTOMERS)
_INT64 = np.dtype("<i8")


@dataclass(frozen=True)
class StoredEvents:
    """What a store holds: the parts of an event log, mapped into memory."""

    roles: EventColumns
    table: pl.DataFrame
    customers: pl.Series
    offsets: NDArray[np.int64]
    times: NDArray[np.int64]
    notes: tuple[str, ...]
    start: int
    end: int


def write_store(
    store: Path, source: str | Path, roles: EventColumns, options: dict[str, str]
) -> None:
    """Sort a source into a new folder; there is no folder unless all went well.

    Parameters
    ----------
    store : Path
        Must not exist, or be an empty folder.
    source : str or Path
        As for :func:`thinfile.data.read.iter_tables`.
    roles : EventColumns
    options : dict
        ``on_missing_customer`` and ``on_bad_time``, as for :class:`EventReader`.

    Raises
    ------
    DataError
        If the log is refused, or the folder is taken or cannot be written.
    MissingPackageError
        If duckdb or pyarrow is not installed.
    """
    _packages()
    reader = learn_reader(source, roles, options)
    with _new_folder(store) as folder:
        work = folder / "sort"
        work.mkdir()
        schema = spool(source, reader, work)
        reader.checks.check()
        _write_sorted(sorted_batches(work, schema, roles), schema, roles, folder)
        shutil.rmtree(work)
        _write_manifest(folder, roles, reader, source_mark(source))


def source_mark(source: str | Path) -> dict[str, Any] | None:
    """What tells one file from another, or from itself at another time; None for a database."""
    path = Path(source)
    try:
        found = path.stat()
    except OSError:
        return None
    return {"name": path.name, "bytes": found.st_size, "modified_ns": found.st_mtime_ns}


def check_source(store: Path, source: str | Path, roles: EventColumns) -> None:
    """Refuse a store that holds anything but this very source, read by these columns.

    Raises
    ------
    ArtifactError
        If the folder holds no log.
    DataError
        If it holds another one, or nobody can tell.
    """
    record, mark = _read_manifest(store), source_mark(source)
    if mark is None:
        raise DataError(
            f"{store} is there already, and whether {source!r} has changed since cannot be told: "
            "name another folder"
        )
    if record.get("source") != mark:
        held = record.get("source") or {}
        raise DataError(
            f"{store} holds another log ({held.get('name', 'unknown')!r}, "
            f"{held.get('bytes', 0):,} bytes) than {str(source)!r} ({mark['bytes']:,} bytes), or "
            "an older state of it: name another folder"
        )
    if record.get("roles") != roles.to_dict():
        raise DataError(
            f"{store} holds a log with other columns ({record.get('roles')}, not "
            f"{roles.to_dict()}): name another folder"
        )


def _packages() -> Any:
    try:
        import duckdb  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("duckdb", "sql", "sorting an event log on disk") from error
    return _pyarrow()


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingPackageError("pyarrow", "sql", "an event log on disk") from error
    return pyarrow


@contextmanager
def _new_folder(store: Path) -> Iterator[Path]:
    """Hand out a folder beside `store` that takes its name if all goes well, and else vanishes."""
    if store.exists() and not (store.is_dir() and not any(store.iterdir())):
        raise DataError(
            f"{store} is there already: open it with EventLog.open, or name another folder"
        )
    folder: Path | None = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{store.name}-", dir=store.parent))
        os.chmod(folder, 0o755)  # mkdtemp's own mode shuts out everybody else
        yield folder
        for path in (*folder.iterdir(), folder):
            _sync(path)
        os.replace(folder, store)
        _sync(store.parent)
    except OSError as error:
        raise DataError(f"the store {store} cannot be written: {error}") from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_sorted(
    batches: Iterator[pl.DataFrame], schema: pl.Schema, roles: EventColumns, folder: Path
) -> None:
    """Write sorted batches as they come, with one entry per customer kept in memory."""
    pyarrow = _pyarrow()
    kept: list[pl.DataFrame] = []
    wanted = [name for name in schema if name != roles.customer]
    shape = _arrow(schema.to_frame().select(wanted)).schema
    with (
        (folder / TIMES).open("wb") as times,
        pyarrow.OSFile(str(folder / TABLE), "wb") as file,
        pyarrow.ipc.new_file(file, shape) as writer,
    ):
        for batch in batches:
            kept.append(batch[roles.customer].rle().struct.unnest())
            times.write(_bytes(batch[roles.time].to_physical().to_numpy()))
            writer.write_table(_arrow(batch.select(wanted)))
    runs = pl.concat(kept)
    # A customer may lie across two batches, and then has a run in each.
    fresh = (runs["value"] != runs["value"].shift()).fill_null(True)
    ends = np.cumsum(runs["len"].to_numpy().astype(np.int64))
    starts = np.append(0, ends[:-1])[fresh.to_numpy()]
    (folder / OFFSETS).write_bytes(_bytes(np.append(starts, ends[-1])))
    runs.filter(fresh).select("value").write_ipc(folder / CUSTOMERS)


def _arrow(frame: pl.DataFrame) -> Any:
    # Text as views: the only layout that can be used where it lies in the file.
    return frame.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())


def _bytes(values: NDArray[Any]) -> bytes:
    return values.astype(_INT64).tobytes()


def _write_manifest(
    folder: Path, roles: EventColumns, reader: EventReader, mark: dict[str, Any] | None
) -> None:
    table, customers, offsets, times = _map(folder)
    notes = [*reader.notes(), *repeat_notes(table, customers, offsets, times)]
    record = {
        "format": FORMAT,
        "version": VERSION,
        "roles": roles.to_dict(),
        "source": mark,
        "notes": notes,
        "n_events": table.height,
        "n_customers": customers.len(),
        "start": int(times.min()),
        "end": int(times.max()),
        "columns": {name: str(dtype) for name, dtype in table.schema.items()},
        "files": {
            name: {"bytes": (folder / name).stat().st_size, "sha256": _digest(folder / name)}
            for name in _FILES
        },
    }
    text = json.dumps(record, indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


Parts = tuple[pl.DataFrame, pl.Series, NDArray[np.int64], NDArray[np.int64]]


def _map(folder: Path) -> Parts:
    pyarrow = _pyarrow()
    file = pyarrow.ipc.open_file(pyarrow.memory_map(str(folder / TABLE)))
    table = pl.from_arrow(file.read_all(), rechunk=False)
    assert isinstance(table, pl.DataFrame)
    customers = pl.read_ipc(folder / CUSTOMERS).to_series()
    offsets = np.fromfile(folder / OFFSETS, dtype=_INT64)
    times = np.memmap(folder / TIMES, dtype=_INT64, mode="r").view(np.ndarray)
    return table, customers, offsets, times


def open_store(store: Path, *, verify: bool = False) -> StoredEvents:
    """Map a stored log into memory; see :meth:`thinfile.data.events.EventLog.open`.

    Raises
    ------
    ArtifactError
        If the folder holds no log, one of an unknown version, or a damaged one.
    """
    record = _read_manifest(store)
    faults = _file_faults(store, record["files"], verify)
    if faults:
        raise ArtifactError(f"the event log {store} is damaged: {'; '.join(faults)}")
    try:
        roles = EventColumns.from_dict(record["roles"])
        parts = _map(store)
        start, end, notes = int(record["start"]), int(record["end"]), tuple(record["notes"])
    except (ValueError, KeyError, TypeError, OSError, pl.exceptions.PolarsError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ArtifactError(f"the event log {store} is damaged: {reason}") from error
    faults = _part_faults(parts, record)
    if faults:
        raise ArtifactError(f"the event log {store} is damaged: {'; '.join(faults)}")
    table, customers, offsets, times = parts
    return StoredEvents(roles, table, customers, offsets, times, notes, start, end)


def _read_manifest(store: Path) -> dict[str, Any]:
    path = store / MANIFEST
    if not path.is_file():
        raise ArtifactError(f"{store} is no stored event log: it has no {MANIFEST}")
    try:
        record: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"the event log {store} is damaged: {MANIFEST}: {error}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ArtifactError(f"{store} is no stored event log: its {MANIFEST} says nothing of one")
    if record.get("version") != VERSION:
        raise ArtifactError(
            f"the event log {store} has version {record.get('version')!r}, but this thinfile reads "
            f"version {VERSION}: sort the source again"
        )
    if not isinstance(record.get("files"), dict):
        raise ArtifactError(f"the event log {store} is damaged: {MANIFEST} names no files")
    return record


def _file_faults(store: Path, files: dict[str, Any], verify: bool) -> list[str]:
    faults = []
    for name in _FILES:
        wanted = files.get(name)
        if not isinstance(wanted, dict):
            faults.append(f"{MANIFEST} does not name {name}")
        elif not (store / name).is_file():
            faults.append(f"{name} is missing")
        elif (size := (store / name).stat().st_size) != wanted.get("bytes"):
            faults.append(f"{name} has {size} bytes, not {wanted.get('bytes')}")
        elif (verify or name != TABLE) and _digest(store / name) != wanted.get("sha256"):
            faults.append(f"{name} has been changed")
    return faults


def _part_faults(parts: Parts, record: dict[str, Any]) -> list[str]:
    table, customers, offsets, times = parts
    sizes = {
        "events": (table.height, record.get("n_events")),
        "times": (times.size, record.get("n_events")),
        "customers": (customers.len(), record.get("n_customers")),
        "offsets": (offsets.size - 1, record.get("n_customers")),
    }
    faults = [f"{n} {what}, not {wanted}" for what, (n, wanted) in sizes.items() if n != wanted]
    lacking = [name for name in record["columns"] if name not in table.columns]
    return faults + [f"column {name!r} is missing" for name in lacking]
