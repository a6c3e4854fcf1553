"""Bring an event log of any size onto disk in typed pieces, and read it back in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from thinfile.data.event_columns import EventColumns
from thinfile.data.event_reading import EventReader, sample_of
from thinfile.data.read import iter_tables
from thinfile.errors import DataError
from thinfile.frame import as_frame
from thinfile.schema.infer import MAX_ROWS

MEMORY_LIMIT = "512MB"
"""What DuckDB may hold in memory while it sorts; the rest goes to disk."""

_SPOOL_ROWS = 524_288
_SORTED_ROWS = 1_000_000
_SAMPLE_PER_BATCH = 20_000
_ROW = "row"


def learn_reader(source: str | Path, roles: EventColumns, options: dict[str, str]) -> EventReader:
    """Learn how a source is read, from its first rows, or from all of it where that is text."""
    batches = _batches(source)
    first = next(batches)
    roles.check(first.columns)
    if _is_plain(first, roles):
        return EventReader(sample_of(first), roles, **options)
    sample = [sample_of(first, _SAMPLE_PER_BATCH)]
    for batch in batches:
        sample.append(sample_of(batch, _SAMPLE_PER_BATCH))
        if sum(each.height for each in sample) > 2 * MAX_ROWS:
            sample = [pl.concat(sample).gather_every(2)]
    return EventReader(pl.concat(sample), roles, **options)


def _batches(source: str | Path) -> Iterator[pl.DataFrame]:
    return (as_frame(each) for each in iter_tables(source, batch_rows=_SPOOL_ROWS))


def _is_plain(frame: pl.DataFrame, roles: EventColumns) -> bool:
    """Do types say how the log is read, so that its first rows tell all?"""
    read = [roles.time, roles.customer, roles.quantity, roles.amount]
    types = [frame.schema[name] for name in read if name is not None]
    return all(dtype not in (pl.String, pl.Null) for dtype in types)


def spool(source: str | Path, reader: EventReader, folder: Path) -> pl.Schema:
    """Write what is kept of a log as typed Parquet files with a row number; give its columns."""
    schema: pl.Schema | None = None
    n_kept = 0
    for place, batch in enumerate(_batches(source)):
        frame, keep = reader.read(batch)
        if schema is not None and frame.schema != schema:
            raise DataError(_changed(schema, frame.schema))
        schema = frame.schema
        frame = _stored(frame.filter(keep)).with_row_index(_ROW, n_kept)
        n_kept += frame.height
        frame.write_parquet(folder / f"{place:08d}.parquet", compression="lz4")
    if schema is None:
        raise DataError("the log is empty: no rows")
    return schema


def _changed(schema: pl.Schema, found: pl.Schema) -> str:
    differ = [
        f"column {name!r} changes from {dtype} to {found.get(name, 'nothing')}"
        for name, dtype in schema.items()
        if found.get(name) != dtype
    ]
    return "the log's columns change from one part to the next: " + ", ".join(differ)


def _stored(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns by number, and times as whole numbers: DuckDB has other types and ignores case."""
    return pl.DataFrame(
        [
            (each.to_physical() if _is_clock(each.dtype) else each).alias(f"c{place}")
            for place, each in enumerate(frame)
        ]
    )


def _restored(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    return pl.DataFrame(
        [
            frame[f"c{place}"].cast(dtype).alias(name)
            for place, (name, dtype) in enumerate(schema.items())
        ]
    )


def _is_clock(dtype: pl.DataType) -> bool:
    return isinstance(dtype, (pl.Datetime, pl.Duration, pl.Time))


def sorted_batches(folder: Path, schema: pl.Schema, roles: EventColumns) -> Iterator[pl.DataFrame]:
    """Read the spooled log by customer, time and row, in one sort that spills into `folder`."""
    import duckdb

    files = str(folder / "*.parquet").replace("'", "''")
    columns = ", ".join(f"c{place}" for place in range(len(schema)))
    names = list(schema)
    keys = f"c{names.index(roles.customer)}, c{names.index(roles.time)}, {_ROW}"
    query = f"SELECT {columns} FROM read_parquet('{files}') ORDER BY {keys}"
    config: dict[str, Any] = {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": str(folder / "temporary"),
    }
    connection = duckdb.connect(config=config)
    try:
        connection.execute("SET preserve_insertion_order = false")
        for batch in _reader(connection.sql(query)):
            yield _restored(pl.DataFrame(batch), schema)
    except duckdb.Error as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(f"the event log cannot be sorted on disk: {reason}") from error
    finally:
        connection.close()


def _reader(relation: Any) -> Any:
    # The method was renamed in DuckDB 1.4; both versions are supported.
    read = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
    return read(_SORTED_ROWS)
