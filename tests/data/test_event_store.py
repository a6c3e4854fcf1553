"""Stored logs: the same as in memory, mapped and not read, there whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data import event_spool, event_store
from thinfile.data.events import EventColumns, EventLog
from thinfile.data.synthetic_events import make_events
from thinfile.errors import ArtifactError, DataError

pytest.importorskip("duckdb", reason="the extra 'sql' is not installed")
pytest.importorskip("pyarrow", reason="the extra 'sql' is not installed")

ROLES = EventColumns("customer", "time", "item", "category", "quantity", "amount")


def same(stored: EventLog, log: EventLog) -> None:
    assert stored.table.equals(log.table)
    assert stored.table.schema == log.table.schema
    assert stored.customers.equals(log.customers)
    assert stored.customers.dtype == log.customers.dtype
    assert stored.offsets.tolist() == log.offsets.tolist()
    assert np.array_equal(stored.times, log.times)
    assert stored.notes == log.notes
    assert (stored.start, stored.end, stored.roles) == (log.start, log.end, log.roles)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_spool, "_SPOOL_ROWS", 700)
    monkeypatch.setattr(event_spool, "_SORTED_ROWS", 2048)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "log.parquet"
    make_events(5_000, 40, 5, missing_share=0.05, random_state=0).write_parquet(path)
    return path


def left(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.usefixtures("small_pieces")
def test_parquet_and_csv_as_in_memory(source: Path, tmp_path: Path) -> None:
    log = EventLog.from_source(source, ROLES)
    same(EventLog.from_source(source, ROLES, store=tmp_path / "store"), log)
    same(EventLog.open(tmp_path / "store"), log)
    same(EventLog.open(tmp_path / "store", verify=True), log)
    table = tmp_path / "log.csv"
    pl.read_parquet(source).write_csv(table)
    stored = EventLog.from_source(table, ROLES, store=tmp_path / "of text")
    same(stored, EventLog.from_source(table, ROLES))
    assert stored.table["amount"].dtype == pl.Float64
    files = ["customers.arrow", "manifest.json", "offsets.i64", "table.arrow", "times.i64"]
    assert left(tmp_path / "store") == files
    assert left(tmp_path) == ["log.csv", "log.parquet", "of text", "store"]


rows = st.lists(
    st.tuples(st.none() | st.sampled_from(["a", "é", "B", "b "]), st.integers(0, 3)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=12, deadline=None)
@given(rows)
def test_any_order_ties_and_text(keys: list[tuple[str | None, int]]) -> None:
    keys = [*keys, ("a", 0)]
    frame = pl.DataFrame(
        {
            "Who": [who for who, _ in keys],
            "when": [datetime(2024, 1, 1) + timedelta(hours=hour) for _, hour in keys],
            "who": range(len(keys)),
        }
    )
    roles = EventColumns("Who", "when")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_spool, "_SPOOL_ROWS", 3)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            frame.write_parquet(folder / "log.parquet")
            stored = EventLog.from_source(folder / "log.parquet", roles, store=folder / "s")
            same(stored, EventLog.from_table(frame, roles))


def test_types_that_the_database_does_not_have(tmp_path: Path) -> None:
    at = datetime(2024, 1, 1, 5, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "customer": pl.Series([2**64 - 1, 3], dtype=pl.UInt64),
            "time": pl.Series([at, at]).dt.convert_time_zone("Asia/Tokyo"),
            "span": [timedelta(hours=1), None],
            "paid": pl.Series([at, None]).dt.cast_time_unit("ns"),
            "clock": [at.time(), None],
            "flag": [True, None],
            "small": pl.Series([1.5, None], dtype=pl.Float32),
            "blob": [b"x", None],
            "nothing": [None, None],
        }
    )
    frame.write_parquet(tmp_path / "log.parquet")
    roles = EventColumns("customer", "time")
    stored = EventLog.from_source(tmp_path / "log.parquet", roles, store=tmp_path / "store")
    same(stored, EventLog.from_table(frame, roles))


def test_what_is_mapped_cannot_be_written_and_is_not_copied(source: Path, tmp_path: Path) -> None:
    log = EventLog.from_source(source, ROLES, store=tmp_path / "store")
    with pytest.raises(ValueError, match="read-only"):
        log.times[0] = 0
    assert isinstance(log.times.base, np.memmap)


def test_faults_are_those_of_memory_and_leave_nothing(source: Path, tmp_path: Path) -> None:
    frame = pl.read_parquet(source)
    texts = frame["time"].dt.strftime("%d.%m.%Y %H:%M").to_list()
    texts[4321], texts[7] = "31.02.2023 10:00", None
    bad = frame.with_columns(time=pl.Series(texts))
    bad.write_parquet(tmp_path / "bad.parquet")
    with pytest.raises(DataError) as caught:
        EventLog.from_source(tmp_path / "bad.parquet", ROLES, store=tmp_path / "store")
    assert str(caught.value) == (
        "column 'time': 1 of 5000 rows have no time (first: row 7); "
        "column 'time': 1 of 5000 rows cannot be read as times "
        "(first: row 4321, '31.02.2023 10:00')"
    )
    renamed = tmp_path / "renamed.parquet"
    frame.rename({"category": "group"}).write_parquet(renamed)
    with pytest.raises(DataError, match="lacks 1 of 6 columns: 'category'"):
        EventLog.from_source(renamed, ROLES, store=tmp_path / "store")
    with pytest.raises(DataError, match="no such file"):
        EventLog.from_source(tmp_path / "none.parquet", ROLES, store=tmp_path / "store")
    assert left(tmp_path) == ["bad.parquet", "log.parquet", "renamed.parquet"]


def test_nothing_half_written_is_left(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("spool", "sorted_batches", "_write_manifest", "_sync"):
        with monkeypatch.context() as patch:

            def fail(*args: Any, **options: Any) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr(event_store, name, fail)
            with pytest.raises(DataError, match=r"store cannot be written: .* No space left"):
                EventLog.from_source(source, ROLES, store=tmp_path / "store")
        assert left(tmp_path) == ["log.parquet"], name
    with pytest.raises(DataError, match="cannot be written"):
        EventLog.from_source(source, ROLES, store=tmp_path / "absent" / "store")


def test_a_store_serves_its_own_source_only(source: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    first = EventLog.from_source(source, ROLES, store=store)
    before = (store / "manifest.json").read_bytes()
    again = EventLog.from_source(source, ROLES, store=store)
    assert again.table.equals(first.table)
    with pytest.raises(DataError, match=r"cannot be told: name another folder"):
        EventLog.from_source(tmp_path / "nothing.parquet", ROLES, store=store)
    other = tmp_path / "other.parquet"
    other.write_bytes(source.read_bytes())
    with pytest.raises(DataError, match=r"holds another log .*than .*other\.parquet"):
        EventLog.from_source(other, ROLES, store=store)
    with pytest.raises(DataError, match="holds a log with other columns"):
        EventLog.from_source(source, EventColumns(ROLES.customer, ROLES.time), store=store)
    pl.read_parquet(source).head(50).write_parquet(source)
    with pytest.raises(DataError, match=r"holds another log .*or an older state of it"):
        EventLog.from_source(source, ROLES, store=store)
    assert (store / "manifest.json").read_bytes() == before


def test_a_folder_of_other_files_is_left_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "letter.txt").write_text("mine")
    with pytest.raises(DataError, match=r"store is there already"):
        EventLog.from_source(source, ROLES, store=tmp_path / "store")
    assert left(tmp_path / "store") == ["letter.txt"]


def _change(path: Path, place: int = -100) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_damaged_and_unknown_stores_are_refused(source: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    EventLog.from_source(source, ROLES, store=store)
    whole = {name: (store / name).read_bytes() for name in left(store)}

    def refused(words: str, **options: Any) -> None:
        with pytest.raises(ArtifactError, match=words):
            EventLog.open(store, **options)
        for name, content in whole.items():
            (store / name).write_bytes(content)

    (store / "times.i64").write_bytes(whole["times.i64"][:-8])
    refused(r"is damaged: times\.i64 has \d+ bytes, not \d+")
    (store / "table.arrow").unlink()
    refused(r"is damaged: table\.arrow is missing")
    _change(store / "offsets.i64")
    refused(r"is damaged: offsets\.i64 has been changed")
    _change(store / "table.arrow", 5_000)
    refused(r"is damaged: table\.arrow has been changed", verify=True)
    (store / "manifest.json").write_text("{")
    refused(r"is damaged: manifest\.json")
    record = json.loads(whole["manifest.json"])
    for change, words in (
        ({"version": 2}, "has version 2, but this thinfile reads version 1"),
        ({"format": "zip"}, "is no stored event log"),
        ({"files": None}, "names no files"),
        ({"files": {}}, r"does not name table\.arrow"),
        ({"n_events": 3}, "events, not 3"),
        ({"columns": {"gone": "String"}}, "column 'gone' is missing"),
        ({"roles": {"who": "x"}}, "is damaged: EventColumns: unknown roles 'who'"),
        ({"start": None}, "is damaged"),
    ):
        (store / "manifest.json").write_text(json.dumps(record | change))
        refused(words)
    with pytest.raises(ArtifactError, match="is no stored event log: it has no manifest"):
        EventLog.open(tmp_path)


def test_columns_that_change_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [pl.DataFrame({"who": [1], "when": [datetime(2024, 1, 1)], "x": [x]}) for x in (1, "a")]
    monkeypatch.setattr(event_spool, "iter_tables", lambda *a, **k: iter(parts))
    with pytest.raises(DataError, match="column 'x' changes from Int64 to String"):
        EventLog.from_source("any", EventColumns("who", "when"), store=tmp_path / "store")
    assert left(tmp_path) == []
