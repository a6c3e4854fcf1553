"""Three files that belong together: round trip, nothing half-written, mixed-up runs."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.data.buys import Buys
from thinfile.data.events import EventColumns
from thinfile.errors import ArtifactError, ParameterError
from thinfile.intent.audience import Audience, choose_audience
from thinfile.intent.audience_files import Campaign, read_audience, write_audience

CAMPAIGN = Campaign(
    EventColumns("CustomerID", "InvoiceDate", category="Group", amount="Price"),
    Buys("Group", ("LUNCH BAG", "LUNCH BOX"), action=("kind", "buy")),
    datetime(2011, 12, 1, 12, 30),
    timedelta(days=60),
    timedelta(hours=36),
    "ab12",
)


def audience(seed: int = 0) -> Audience:
    values = np.random.default_rng(seed).random(100)
    table = {"customer": [f"C{row:03}" for row in range(100)], "probability": values}
    found = choose_audience(table, 20, 0.2, seed)
    return found.with_reasons(pl.DataFrame({"reason_1": ["because, they said"] * 20}))


@pytest.mark.parametrize("name", ["a.parquet", "week 3.audience.csv"])
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    made = audience()
    paths = write_audience(made, tmp_path / name, CAMPAIGN)
    assert sorted(os.listdir(tmp_path)) == sorted(each.name for each in paths.all)
    saved = read_audience(tmp_path / name)
    assert saved.groups.equals(made.groups)
    assert saved.campaign == CAMPAIGN
    assert saved.notes == ()
    assert saved.record["counts"] == {"picked": 16, "hold-out": 4, "rest": 80, "scored": 100}
    assert saved.record["random_state"] == 0
    assert saved.record["holdout"] == 0.2
    read = pl.read_csv if name.endswith(".csv") else pl.read_parquet
    table = read(tmp_path / name)
    assert table.columns == ["customer", "rank", "probability", "group", "reason_1"]
    assert table["reason_1"][0] == "because, they said"


def test_an_older_audience_is_replaced_whole(tmp_path: Path) -> None:
    write_audience(audience(0), tmp_path / "a.parquet", CAMPAIGN)
    write_audience(audience(1), tmp_path / "a.parquet", CAMPAIGN)
    saved = read_audience(tmp_path / "a.parquet")
    assert saved.groups.equals(audience(1).groups)
    assert saved.notes == ()
    assert len(os.listdir(tmp_path)) == 3


def test_other_files_are_never_replaced(tmp_path: Path) -> None:
    for name, content in (("a.parquet", b"events"), ("a.json", b'{"name": "my package"}')):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_bytes(content)
        with pytest.raises(ParameterError, match="exists and is no audience"):
            write_audience(audience(), folder / "a.parquet", CAMPAIGN)
        assert [each.name for each in folder.iterdir()] == [name]
        assert (folder / name).read_bytes() == content


def test_a_full_disk_leaves_the_old_audience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_audience(audience(0), tmp_path / "a.csv", CAMPAIGN)
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    plain, calls = Path.write_bytes, []

    def write(path: Path, content: bytes) -> int:
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return plain(path, content)

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(ArtifactError, match="No space left on device; nothing was changed"):
        write_audience(audience(1), tmp_path / "a.csv", CAMPAIGN)
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.xlsx", "must end in .parquet or .csv"),
        ("audience", "must end in .parquet or .csv"),
        ("nowhere/a.csv", "there is no folder"),
    ],
)
def test_names_that_cannot_be_written_to(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        write_audience(audience(), tmp_path / name, CAMPAIGN)
    assert not list(tmp_path.iterdir())


def test_a_list_that_was_edited_is_noted_and_counts_as_drawn(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_audience(audience(), path, CAMPAIGN)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))
    saved = read_audience(path)
    assert saved.groups.equals(audience().groups)
    assert saved.notes == (
        "a.csv was changed after it was written; customers count in the group that they were "
        "drawn into (a.groups.parquet)",
    )


def _other_run(folder: Path) -> None:
    (folder / "b").mkdir()
    other = write_audience(audience(1), folder / "b" / "a.csv", CAMPAIGN)
    (folder / "a.groups.parquet").write_bytes(other.groups.read_bytes())


def _edit(key: str, value: Any) -> Any:
    def edit(folder: Path) -> None:
        record = json.loads((folder / "a.json").read_text())
        record[key] = value
        (folder / "a.json").write_text(json.dumps(record))

    return edit


DAMAGES = [
    (_other_run, r"a\.groups\.parquet: is not the file that a\.json was written with"),
    (lambda f: (f / "a.json").unlink(), r"a\.csv: a\.json is not beside it"),
    (lambda f: (f / "a.groups.parquet").unlink(), r"a\.groups\.parquet is not beside it"),
    (lambda f: (f / "a.csv").unlink(), r"a\.csv: no such file"),
    (lambda f: (f / "a.json").write_text("{"), r"a\.json: is no JSON"),
    (lambda f: (f / "a.json").write_text("[]"), r"a\.json: is no record of an audience"),
    (_edit("kind", "package"), "is no record of an audience"),
    (_edit("format", 2), "has the format 2, this version reads 1"),
    (_edit("buys", {}), "is damaged"),
    (_edit("cut", "soon"), "is damaged"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_files_that_do_not_belong_together(tmp_path: Path, damage: Any, message: str) -> None:
    write_audience(audience(), tmp_path / "a.csv", CAMPAIGN)
    damage(tmp_path)
    with pytest.raises(ArtifactError, match=message):
        read_audience(tmp_path / "a.csv")
