"""Tables through DuckDB: files, queries, and messages without a password."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

from thinfile.data.read import iter_tables, read_table
from thinfile.errors import DataError, MissingPackageError

duckdb = pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "it's a bank.db"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE loans AS SELECT i AS id, i * 1.5::DECIMAL(9, 2) AS amount, "
            "DATE '2014-01-31' AS day FROM range(1000) t(i)"
        )
        connection.execute('CREATE SCHEMA s; CREATE TABLE s."odd "" name" AS SELECT 1 AS one')
    return path


def test_a_table_of_a_duckdb_file(database: Path) -> None:
    frame = read_table(f"duckdb:{database}?loans")
    assert frame.shape == (1000, 3)
    assert frame.dtypes == [pl.Int64, pl.Float64, pl.Date]
    assert frame["amount"].sum() == 1.5 * 999 * 500
    assert read_table(f'duckdb:{database}?s.odd " name').rows() == [(1,)]


def test_a_query_and_batches(database: Path) -> None:
    source = f"duckdb:{database}?SELECT id FROM loans WHERE id >= 900 ORDER BY id"
    batches = list(iter_tables(source, batch_rows=30))
    assert max(batch.height for batch in batches) <= 30
    assert pl.concat(batches)["id"].to_list() == list(range(900, 1000))


def test_other_files_and_free_queries(tmp_path: Path) -> None:
    path = tmp_path / "t's.ndjson"
    path.write_text('{"a": 1, "b": "x"}\n{"a": 2, "b": null}\n')
    assert read_table(path).rows() == [(1, "x"), (2, None)]
    assert read_table("sql:SELECT 1 AS a").rows() == [(1,)]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("duckdb:none.db?loans", "none.db: no such DuckDB file"),
        ("duckdb:none.db", r"names no table: put \?table"),
        ("postgresql://ann:secret@127.0.0.1/db", "names no table: put #table"),
        ("sql:SELEC 1", "Parser Error"),
        ("sql:SELECT 1 WHERE false", "gives no rows"),
        ("sql:CREATE TABLE t (a INT)", "gives no rows"),
    ],
)
def test_faults_are_one_line_without_a_password(source: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_table(source)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_absent_table_and_read_only(database: Path) -> None:
    with pytest.raises(DataError, match="customers does not exist"):
        read_table(f"duckdb:{database}?customers")
    with pytest.raises(DataError):
        read_table(f"duckdb:{database}?WITH a AS (SELECT 1) DELETE FROM loans")
    assert read_table(f"duckdb:{database}?loans").height == 1000


def test_postgres_without_its_extension_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Offline:
        def execute(self, command: str) -> None:
            raise duckdb.IOException(f"{command}: no network")

        def close(self) -> None:
            pass

    monkeypatch.setattr(duckdb, "connect", Offline)
    for source in ("postgresql://ann:secret@host/db#loans", "postgres://host/db?password=secret#l"):
        with pytest.raises(DataError, match="extension 'postgres' is not installed") as caught:
            read_table(source)
        assert "secret" not in str(caught.value)


def test_a_missing_package_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'thinfile\[sql\]'"):
        read_table("sql:SELECT 1")
