"""Tables from databases and other formats, read by DuckDB."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from thinfile.errors import DataError, MissingPackageError
from thinfile.frame import as_frame

_POSTGRES = ("postgres://", "postgresql://")


def is_sql(source: str) -> bool:
    """Is this a source that needs DuckDB: ``duckdb:``, ``postgres://`` or ``sql:``?"""
    return source.startswith((*_POSTGRES, "duckdb:", "sql:"))


def iter_sql(source: str, batch_rows: int) -> Iterator[pl.DataFrame]:
    """Yield what a DuckDB source gives, `batch_rows` rows at a time.

    Parameters
    ----------
    source : str
        ``duckdb:bank.db?loans``, ``postgresql://user@host/db#public.loans`` (a query may stand in
        place of the table: ``…#SELECT * FROM loans WHERE year > 2010``), or ``sql:SELECT * FROM
        'loans.json'`` for anything else that DuckDB reads.
    batch_rows : int
        Most rows per table.

    Raises
    ------
    MissingPackageError
        If duckdb or pyarrow is not installed.
    DataError
        If the database cannot be reached or the query fails; a password is never shown.
    """
    shown = _without_password(source)
    with _connection(shown) as connection:
        query = _attach(connection, source)
        relation = connection.sql(query)
        if relation is None:
            raise DataError(f"{shown}: the query gives no table; it must be a SELECT")
        for batch in _reader(relation, batch_rows):
            yield as_frame(pl.DataFrame(batch), name=shown)


def file_query(path: Path) -> str:
    """The source that reads a file of a kind that only DuckDB knows, such as JSON."""
    return "sql:SELECT * FROM '" + str(path).replace("'", "''") + "'"


@contextmanager
def _connection(shown: str) -> Iterator[Any]:
    try:
        import duckdb
    except ImportError as error:
        raise MissingPackageError("duckdb", "sql", f"reading {shown}") from error
    connection = duckdb.connect()
    try:
        yield connection
    except duckdb.Error as error:
        raise DataError(f"{shown}: {_one_line(error)}") from error
    finally:
        connection.close()


def _reader(relation: Any, batch_rows: int) -> Any:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("pyarrow", "frames", "reading through DuckDB") from error
    # The method was renamed in DuckDB 1.4; both versions are supported.
    read = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
    return read(batch_rows)


def _attach(connection: Any, source: str) -> str:
    """Attach the database, read-only, and give the query."""
    if source.startswith("sql:"):
        return source.removeprefix("sql:")
    mark = "#" if source.startswith(_POSTGRES) else "?"
    place, _, wanted = source.partition(mark)
    if not wanted:
        raise DataError(
            f"{_without_password(source)} names no table: "
            f"put {mark}table or {mark}SELECT … behind it"
        )
    if mark == "#":
        _load_postgres(connection, _without_password(place))
        kind = "TYPE postgres, READ_ONLY"
    else:
        place, kind = place.removeprefix("duckdb:"), "READ_ONLY"
        if not Path(place).is_file():
            raise DataError(f"{place}: no such DuckDB file")
    connection.execute(f"ATTACH {_quoted(place)} AS source ({kind})")
    connection.execute("USE source")
    return wanted if re.match(r"\s*(select|with|from)\b", wanted, re.I) else _table_query(wanted)


def _table_query(table: str) -> str:
    parts = ['"' + part.replace('"', '""') + '"' for part in table.split(".")]
    return f"SELECT * FROM {'.'.join(parts)}"


def _load_postgres(connection: Any, shown: str) -> None:
    import duckdb

    try:
        connection.execute("LOAD postgres")
    except duckdb.Error:
        try:
            connection.execute("INSTALL postgres")
            connection.execute("LOAD postgres")
        except duckdb.Error as error:
            raise DataError(
                f"{shown}: DuckDB's extension 'postgres' is not installed here and cannot be "
                'downloaded; run "INSTALL postgres" in DuckDB once where there is a network, or '
                "export the table to Parquet"
            ) from error


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _without_password(source: str) -> str:
    source = re.sub(r"(?<=://)([^/@:]*):[^@]*@", r"\1:…@", source)
    return re.sub(r"(?i)(password=)[^&#\s]+", r"\1…", source)


def _one_line(error: Exception) -> str:
    # The driver may repeat the whole address, password included.
    return _without_password(" ".join(str(error).split()))[:300]
