"""CSV in blocks of whole lines: any size in constant memory, encoding and delimiter found out."""

from __future__ import annotations

import csv
import gzip
import io
import re
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import polars as pl

from thinfile.errors import DataError, ThinfileWarning
from thinfile.frame import check_unique

DELIMITERS = ",;\t|"

_BLOCK_BYTES = 8 * 2**20
_BOM = b"\xef\xbb\xbf"


def iter_csv(path: Path) -> Iterator[pl.DataFrame]:
    """Yield a CSV file as tables of text, a few megabytes each; a header is needed.

    Parameters
    ----------
    path : Path
        Plain or gzip-compressed. UTF-8, with or without byte-order mark; a file that is not
        UTF-8 is read as Latin-1, which is reported once as a ThinfileWarning.

    Yields
    ------
    polars.DataFrame
        Every column as String; empty text is null.

    Raises
    ------
    DataError
        If the file is empty, cut short, has a column name twice, or a line of another width.
    """
    names: list[str] = []
    header, delimiter, n_rows = "", ",", 0
    for text in _decoded(_whole_records(path), path):
        if not names:
            header, text = _split_header(text)
            delimiter = find_delimiter(header)
            names = next(csv.reader([header], delimiter=delimiter), [])
            check_unique(names, str(path))
            if not any(names):
                raise DataError(f"{path} has no column names in its first line")
        if text.strip():
            _check_end(text, len(names), delimiter, path)
            frame = _parse(header, text, delimiter, path, n_rows)
            frame.columns = names
            n_rows += frame.height
            yield frame
    if not n_rows:
        raise DataError(f"{path} is empty: {'a header but no rows' if names else 'no content'}")


def find_delimiter(header: str) -> str:
    """The delimiter that occurs most often in a header line outside quotes; comma if none does."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(DELIMITERS, key=bare.count)


def _split_header(text: str) -> tuple[str, str]:
    # A name in quotes may hold a line break, so the reader decides where the header ends.
    end = 0
    while True:
        end = text.find("\n", end) + 1
        if not end:
            return text, ""
        if text.count('"', 0, end) % 2 == 0:
            return text[:end].rstrip("\r\n"), text[end:]


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(path)) if compressed else path.open("rb")


def _whole_records(path: Path) -> Iterator[bytes]:
    """Blocks of the file that end where a record ends."""
    kept = b""
    with _open(path) as file:
        while True:
            try:
                block = file.read(_BLOCK_BYTES)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise DataError(f"{path} is damaged or cut short: {error}") from error
            if not block:
                break
            kept += block
            end = _last_record_end(kept)
            if end:
                yield kept[:end]
                kept = kept[end:]
    if kept:
        yield kept


def _last_record_end(block: bytes) -> int:
    end = block.rfind(b"\n") + 1
    quotes = block.count(b'"', 0, end)
    while end and quotes % 2:
        # The line break lies inside quotes: step back over it and over the quotes behind.
        before = block.rfind(b"\n", 0, end - 1) + 1
        quotes -= block.count(b'"', before, end)
        end = before
    return end


def _decoded(blocks: Iterator[bytes], path: Path) -> Iterator[str]:
    encoding = "utf-8"
    for place, block in enumerate(blocks):
        if place == 0:
            if block[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise DataError(f"{path} is UTF-16: save it as UTF-8")
            block = block.removeprefix(_BOM)
        try:
            yield block.decode(encoding)
        except UnicodeDecodeError:
            encoding = "latin-1"
            _warn(path)
            yield block.decode(encoding)


def _warn(path: Path) -> None:
    warnings.warn(
        f"{path} is not UTF-8 and is read as Latin-1; save it as UTF-8 if letters look wrong",
        ThinfileWarning,
        stacklevel=2,
    )


def _check_end(text: str, width: int, delimiter: str, path: Path) -> None:
    last = text[text.rfind("\n") + 1 :]
    # A line with an odd number of quotes belongs to a record of several lines.
    if not last.strip() or last.count('"') % 2:
        return
    n_fields = len(next(csv.reader([last], delimiter=delimiter)))
    if n_fields < width:
        raise DataError(f"{path} is cut short: its last line has {n_fields} of {width} fields")


def _parse(header: str, text: str, delimiter: str, path: Path, row: int) -> pl.DataFrame:
    try:
        return pl.read_csv(
            io.BytesIO(f"{header}\n{text}".encode()), separator=delimiter, infer_schema=False
        )
    except pl.exceptions.PolarsError as error:
        width = len(next(csv.reader([header], delimiter=delimiter)))
        fault = _find_fault(text, width, delimiter, row)
        raise DataError(f"{path}: {fault or ' '.join(str(error).split())[:200]}") from error


def _find_fault(text: str, width: int, delimiter: str, row: int) -> str:
    for place, record in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter)):
        if len(record) > width:
            return f"row {row + place} has {len(record)} fields, the header has {width}"
    return ""
