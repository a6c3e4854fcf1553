"""Schemas as files: what is saved is what is loaded, and faults of a file come all at once."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.errors import SchemaError
from thinfile.schema.column import ROLES, Column
from thinfile.schema.model import Schema

SCHEMA = Schema(
    (
        Column("loan", "number", "money", missing=("-9", "unknown"), minimum=0, maximum=1e6),
        Column('grade "A"\n', "ordinal", order=("C", "B", "A"), on_fault="reject"),
        Column("when", "date", "%d-%b-%y", pivot=2034, minimum="1960-01-01"),
        Column("状态", "category", "code"),
        Column("bad", "label"),
    ),
    ("column 'loan': read as money: '$1' is 1.0", "two\nlines \\ \x7f"),
)


@pytest.mark.parametrize("ending", ["json", "toml"])
def test_round_trip_through_files(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"schema.{ending}"
    SCHEMA.save(path)
    assert Schema.load(path) == SCHEMA


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.builds(
            Column,
            name=st.text(max_size=8),
            role=st.sampled_from(ROLES),
            missing=st.lists(st.text(max_size=4), max_size=3, unique=True).map(tuple),
            on_fault=st.sampled_from(["missing", "reject", "raise"]),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda column: column.name,
    ),
    st.lists(st.text(max_size=20), max_size=3),
)
def test_round_trip_of_any_text(
    tmp_path_factory: pytest.TempPathFactory, columns: list[Column], notes: list[str]
) -> None:
    schema = Schema(tuple(columns), tuple(notes))
    for ending in ("json", "toml"):
        path = tmp_path_factory.mktemp("schema") / f"s.{ending}"
        schema.save(path)
        assert Schema.load(path) == schema


def test_notes_stand_above_their_column_in_toml(tmp_path: Path) -> None:
    path = tmp_path / "schema.toml"
    SCHEMA.save(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    place = lines.index("[[columns]]")
    assert lines[place - 1] == "# read as money: '$1' is 1.0"
    assert lines[place + 1 : place + 3] == ['name = "loan"', 'role = "number"']


def test_a_person_can_correct_the_file(tmp_path: Path) -> None:
    raw = pl.DataFrame({"pdays": [999, 999, 1, 2, 27]})
    path = tmp_path / "schema.toml"
    Schema.infer(raw).save(path)
    text = path.read_text(encoding="utf-8")
    assert 'missing = ["999"]' in text
    path.write_text(text.replace('missing = ["999"]', "missing = []"), encoding="utf-8")
    assert Schema.load(path).parse(raw).frame["pdays"].to_list() == [999, 999, 1, 2, 27]


def test_all_faults_of_a_file_in_one_message(tmp_path: Path) -> None:
    path = tmp_path / "schema.toml"
    path.write_text(
        'formt = 1\n[[columns]]\nname = "a"\nrole = "numeric"\nunit = "EUR"\n'
        '[[columns]]\nname = "b"\nrole = "date"\nformat = "%d"\nminimum = "soon"\n'
        '[[columns]]\nname = "c"\nrole = "number"\nminimum = 2\nmaximum = 1\non_fault = "stop"\n'
    )
    with pytest.raises(SchemaError) as caught:
        Schema.load(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "unknown key 'formt'",
        "column 'a': unknown key 'unit'",
        "column 'a': role is 'numeric', must be one of number, category",
        "column 'b': format '%d' is no date pattern",
        "column 'b': minimum is 'soon', must be a date",
        "column 'c': on_fault is 'stop'",
        "column 'c': minimum 2 lies above maximum 1",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.toml", "= 3", "is no TOML"),
        ("s.json", "{", "is no JSON"),
        ("s.json", "[]", "holds a list, not a schema"),
        ("s.json", "{}", "columns must be a list of at least one column"),
        ("s.json", '{"columns": [3]}', "column 0 is 3, must be a table"),
        (
            "s.json",
            '{"format": 2, "columns": [{"name": "a", "role": "id"}]}',
            "this version reads 1",
        ),
        (
            "s.json",
            '{"columns": [{"name": "a", "role": "id"}], "notes": 1}',
            "notes must be a list",
        ),
        ("s.yaml", "", "ends in .toml or .json"),
    ],
)
def test_files_that_are_no_schema(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(SchemaError, match=message):
        Schema.load(path)


def test_absent_file_and_absent_folder(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="cannot be read: No such file"):
        Schema.load(tmp_path / "none.toml")
    with pytest.raises(SchemaError, match="cannot be written"):
        SCHEMA.save(tmp_path / "none" / "s.toml")


def test_names_twice_are_refused() -> None:
    with pytest.raises(SchemaError, match="names columns twice: 'a'"):
        Schema((Column("a", "id"), Column("a", "number")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"role": "text"}, "role is 'text'"),
        ({"role": "number", "format": "dollars"}, "format is 'dollars', must be one of thousands"),
        ({"role": "number", "missing": "NA"}, "missing is 'NA', must be a list"),
        ({"role": "number", "missing": ("a", "a")}, "names a value twice"),
        ({"role": "number", "minimum": float("nan")}, "must be a finite number"),
        ({"role": "date", "pivot": 45}, "pivot is 45, must be a year"),
    ],
)
def test_columns_state_their_rules(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        Column("a", **arguments)  # type: ignore[arg-type]


def test_with_column_replaces_or_appends() -> None:
    schema = Schema.numeric(["a", "b"])
    changed = schema.with_column(Column("a", "id")).with_column(Column("c", "category"))
    assert [(c.name, c.role) for c in changed.columns] == [
        ("a", "id"),
        ("b", "number"),
        ("c", "category"),
    ]
    assert schema["a"].role == "number"
    with pytest.raises(SchemaError, match="no column 'z'"):
        schema["z"]


def test_numeric_takes_every_value_as_it_is() -> None:
    frame = pl.DataFrame({"x0": [0.0, 1.0, -9.0, -9.0, 999.0], "x1": [1.0] * 5})
    assert Schema.numeric(frame.columns).parse(frame).frame.equals(frame)


def test_describe_gives_a_row_per_column() -> None:
    raw = pl.DataFrame({"loan": ["$1.00", "", "$2.50", "$2.50"], "bad": [0, 1, 0, 1]})
    schema = Schema.infer(raw, label="bad")
    assert schema.describe(raw) == [
        {
            "name": "loan",
            "role": "number",
            "format": "money",
            "missing": 0.25,
            "examples": ["$1.00", "$2.50"],
            "note": "read as money: '$1.00' is 1.0",
        },
        {
            "name": "bad",
            "role": "label",
            "format": "",
            "missing": 0.0,
            "examples": ["0", "1"],
            "note": "",
        },
    ]
    assert schema.describe(raw.drop("bad"))[1]["missing"] is None


@pytest.mark.parametrize("ending", ["json", "toml"])
def test_a_full_disk_leaves_the_old_file(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"schema.{ending}"
    path.write_text("corrected by hand")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SchemaError, match="cannot be written: No space left"):
        SCHEMA.save(path)
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_text() == "corrected by hand"
