"""Files as people have them: encodings, delimiters, compression, and everything that is broken."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.csv_file import find_delimiter
from thinfile.data.read import is_source, iter_tables, read_table
from thinfile.errors import DataError, ThinfileWarning

FRAME = pl.DataFrame({"name": ["Ann", "Zoë", None], "amount": ["1.5", "-2", "3,000"]})


def test_delimiters_bom_quotes_and_compression(tmp_path: Path) -> None:
    for delimiter in ",;\t|":
        text = FRAME.write_csv(separator=delimiter)
        for start in (b"", b"\xef\xbb\xbf"):
            path = tmp_path / "t.csv"
            path.write_bytes(start + text.encode())
            assert read_table(path).equals(FRAME)
            path = tmp_path / "t.csv.gz"
            path.write_bytes(gzip.compress(start + text.encode()))
            assert read_table(path).equals(FRAME)


def test_line_ends_and_no_last_line_end(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'a,"b ""c"""\r\n1,"two\r\nlines"\r\n,x')
    assert read_table(path).to_dict(as_series=False) == {
        "a": ["1", None],
        'b "c"': ["two\r\nlines", "x"],
    }


def test_latin_1_is_read_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("name\nMüller\n".encode("latin-1"))
    with pytest.warns(ThinfileWarning, match="is not UTF-8 and is read as Latin-1"):
        frame = read_table(path)
    assert frame["name"].to_list() == ["Müller"]


def test_everything_in_a_csv_is_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("zip,flag,n\n00123,true,1\n")
    assert read_table(path).row(0) == ("00123", "true", "1")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.text('ab,;"\n é', max_size=4), min_size=2, max_size=2), min_size=1),
    st.integers(1, 40),
)
def test_blocks_never_cut_a_record(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], block: int
) -> None:
    rows = [[f"k{place}", *row] for place, row in enumerate(rows)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["k", "x", "y"], *rows])
    path = tmp_path_factory.mktemp("blocks") / "t.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("thinfile.data.csv_file._BLOCK_BYTES", block)
        found = read_table(path)
    assert found.rows() == [tuple(value or None for value in row) for row in rows]


def test_batches_join_to_the_table(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": range(1000), "y": [str(place) for place in range(1000)]})
    frame.write_parquet(tmp_path / "t.parquet", row_group_size=130)
    frame.write_csv(tmp_path / "t.csv")
    for name in ("t.parquet", "t.csv"):
        batches = list(iter_tables(tmp_path / name, batch_rows=64))
        assert max(batch.height for batch in batches) == 64
        assert pl.concat(batches).equals(read_table(tmp_path / name))
    assert read_table(tmp_path / "t.parquet").equals(frame)


def test_large_parquet_is_read_window_by_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thinfile.data.read._PARQUET_ROWS", 100)
    frame = pl.DataFrame({"x": range(1000)})
    frame.write_parquet(tmp_path / "t.parquet", row_group_size=333)
    assert pl.concat(iter_tables(tmp_path / "t.parquet", batch_rows=64)).equals(frame)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "t.csv is empty: no content"),
        ("t.csv", b"a,b\n", "t.csv is empty: a header but no rows"),
        ("t.csv", b"\n\n", "is empty|no column names"),
        ("t.csv", b"a,b,a\n1,2,3\n", r"must be unique, but found 'a' \(2 times\)"),
        ("t.csv", b"a,b\n1,2\n3,4,5\n", "row 1 has 3 fields, the header has 2"),
        ("t.csv", b"a,b,c\n1,2,3\n4,5", "is cut short: its last line has 2 of 3 fields"),
        ("t.csv", b"\xff\xfea\x00", "is UTF-16: save it as UTF-8"),
        (
            "t.csv.gz",
            gzip.compress(b"a,b\n" + b"1,2\n" * 999, mtime=0)[:-12],
            "damaged or cut short",
        ),
        ("t.parquet", b"", "is empty: no content"),
        ("t.parquet", b"PAR1 and then nothing", "is no Parquet file, damaged or cut short"),
        ("t.xyz", b"a", "unknown kind of file"),
    ],
)
def test_broken_files_are_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


def test_truncated_parquet_and_parquet_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"x": range(5000)}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="damaged or cut short"):
        list(iter_tables(path))
    pl.DataFrame({"x": pl.Series([], dtype=pl.Int64)}).write_parquet(path)
    with pytest.raises(DataError, match="columns but no rows"):
        read_table(path)


def test_absent_files_folders_and_batch_sizes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="is not a file"):
        read_table(tmp_path)
    with pytest.raises(DataError, match="batch_rows is 0"):
        iter_tables("t.csv", batch_rows=0)


def test_delimiter_is_not_counted_inside_quotes() -> None:
    assert find_delimiter('"a,b,c";"d"') == ";"
    assert find_delimiter("only") == ","


def test_fewer_fields_are_missing_values(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1\n2,3\n")
    assert read_table(path).rows() == [("1", None), ("2", "3")]


@pytest.mark.parametrize("name", ["a[1]", "a*", "a?"])
def test_signs_of_a_pattern_in_a_name_mean_themselves(name: str, tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / f"{name}.parquet")
    FRAME.write_csv(tmp_path / f"{name}.csv")
    # What the name would mean as a pattern.
    FRAME.head(1).write_parquet(tmp_path / "a1.parquet")
    FRAME.head(1).write_csv(tmp_path / "a1.csv")
    for ending in ("parquet", "csv"):
        assert read_table(tmp_path / f"{name}.{ending}").equals(FRAME)


def test_the_file_of_a_source_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "b.csv").write_text("x\n1\n")
    for source in ("a.csv", tmp_path / "a.csv", "./a.csv", "duckdb:a.csv?loans"):
        assert is_source(Path("a.csv"), source)
        assert not is_source(Path("b.csv"), source)
        assert not is_source(Path("nowhere.csv"), source)
    assert not is_source(Path("a.csv"), "sql:SELECT 1" + " " * 5000)
