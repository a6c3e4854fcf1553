"""Tables from files and databases, whole or in batches of constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from thinfile.data.csv_file import iter_csv
from thinfile.data.sql import file_query, is_sql, iter_sql
from thinfile.errors import DataError

BATCH_ROWS = 65_536
"""Rows per table of :func:`iter_tables` unless another number is given."""

_CSV = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
_PARQUET = (".parquet", ".pq")
_OTHER = (".json", ".ndjson", ".jsonl")

# Rows decoded at a time: fewer, larger reads waste less of a row group that they cut.
_PARQUET_ROWS = 131_072


def read_table(source: str | Path) -> pl.DataFrame:
    """Read a whole table into memory.

    Parameters
    ----------
    source : str or Path
        - ``.csv`` or ``.tsv``, also ``.gz``: with a header; delimiter ``,`` ``;`` tab or ``|`` is
          found out; every column comes as text, which the schema gives a meaning.
        - ``.parquet``: types as stored.
        - ``.json``, ``.ndjson``, ``.jsonl``: through DuckDB.
        - ``duckdb:bank.db?loans``: a table of a DuckDB file.
        - ``postgresql://user@host/db#public.loans``: a table of a PostgreSQL database, through
          DuckDB's extension.
        - ``sql:SELECT …``: any query that DuckDB runs, such as over ``read_xlsx('a.xlsx')``.
        A query may stand in place of a table's name.

    Returns
    -------
    polars.DataFrame
        Shape (rows, columns).

    Raises
    ------
    DataError
        If the source is absent, empty, damaged or of no known kind, or names a column twice.
    MissingPackageError
        If DuckDB is needed and not installed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "loans.csv"
    >>> _ = path.write_text("amount;city\\n1.500,00;Graz\\n", encoding="utf-8")
    >>> read_table(path).rows()
    [('1.500,00', 'Graz')]
    """
    return pl.concat(iter_tables(source, batch_rows=2**31), how="vertical")


def iter_tables(source: str | Path, *, batch_rows: int = BATCH_ROWS) -> Iterator[pl.DataFrame]:
    """Read a table of any size piece by piece, in memory that does not grow with it.

    Parameters
    ----------
    source : str or Path
        As for :func:`read_table`.
    batch_rows : int, default 65,536
        Most rows per piece; some pieces hold fewer.

    Yields
    ------
    polars.DataFrame
        Shape (at most `batch_rows`, columns), in the order of the source.

    Raises
    ------
    DataError, MissingPackageError
        As for :func:`read_table`; a fault late in a file is raised when it is reached.
    """
    if batch_rows < 1:
        raise DataError(f"batch_rows is {batch_rows}, must be at least 1")
    return _sliced(_pieces(source, batch_rows), batch_rows)


def is_source(path: Path, source: str | Path) -> bool:
    """Would writing to `path` replace the file that `source` names?

    Files that a query reads (``sql:…``) are not known here.
    """
    name = str(source)
    if name.startswith("duckdb:"):
        name = name.removeprefix("duckdb:").partition("?")[0]
    return os.path.exists(path) and os.path.exists(name) and os.path.samefile(path, name)


def _sliced(pieces: Iterator[pl.DataFrame], batch_rows: int) -> Iterator[pl.DataFrame]:
    for piece in pieces:
        yield from (piece.slice(at, batch_rows) for at in range(0, piece.height, batch_rows))


def _pieces(source: str | Path, batch_rows: int) -> Iterator[pl.DataFrame]:
    if is_sql(str(source)):
        return _not_empty(iter_sql(str(source), min(batch_rows, _PARQUET_ROWS)), "the query")
    path = Path(source)
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if not path.is_file():
        raise DataError(f"{path} is not a file")
    name = path.name.lower()
    if name.endswith(_CSV):
        return iter_csv(path)
    if name.endswith(_PARQUET):
        return _iter_parquet(path, max(batch_rows, _PARQUET_ROWS))
    if name.endswith(_OTHER):
        return _not_empty(iter_sql(file_query(path), min(batch_rows, _PARQUET_ROWS)), str(path))
    raise DataError(
        f"{path}: unknown kind of file; known are .csv, .tsv (also .gz), .parquet, .json, .ndjson "
        "and the sources duckdb:, postgresql:// and sql:"
    )


def _iter_parquet(path: Path, n_rows: int) -> Iterator[pl.DataFrame]:
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty: no content")
    try:
        lazy = pl.scan_parquet(path, glob=False)
        total = int(lazy.select(pl.len()).collect().item())
        for start in range(0, total, n_rows):
            yield lazy.slice(start, n_rows).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"{path} is no Parquet file, damaged or cut short: {reason}") from error
    if total == 0:
        raise DataError(f"{path} is empty: columns but no rows")


def _not_empty(tables: Iterator[pl.DataFrame], what: str) -> Iterator[pl.DataFrame]:
    n_rows = 0
    for table in tables:
        n_rows += table.height
        yield table
    if not n_rows:
        raise DataError(f"{what} gives no rows")
