from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.artifact.atomic import point, writing
from thinfile.artifact.fingerprint import fingerprint
from thinfile.artifact.values import from_json, to_json
from thinfile.errors import ArtifactError
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), PLAIN))
def test_values_come_back(values: dict[str, object]) -> None:
    assert from_json(to_json(values)) == values


def test_the_text_is_strict_json() -> None:
    text = to_json({"a": float("nan"), "b": [np.float32("inf"), np.int64(3)], "c": (1, 2)})
    assert json.loads(text)["b"] == [{"__float__": "inf"}, 3]
    back = from_json(text)
    assert math.isnan(back["a"])
    assert back["b"][0] == math.inf
    assert back["c"] == [1, 2]


def test_a_schema_comes_back_as_one() -> None:
    schema = Schema((Column("grade", "ordinal", order=("low", "high")),), ("a note",))
    assert from_json(to_json({"schema": schema})) == {"schema": schema}


def test_what_json_cannot_hold_is_named() -> None:
    with pytest.raises(ArtifactError, match=r"state\.parts\[1\] is a set: it cannot be written"):
        to_json({"state": {"parts": [1, {2}]}})


def test_a_fingerprint_knows_its_table() -> None:
    frame = pl.DataFrame({"a": [1, 2, None], "b": ["x", "y", "z"]})
    record = fingerprint(frame, [1, 0, -1])
    assert record["rows"] == 3
    assert record["columns"] == {"a": "Int64", "b": "String"}
    assert (record["labelled"], record["events"]) == (2, 1)
    assert record["sha256"] == fingerprint(frame.to_dict())["sha256"]
    others = [frame.reverse(), frame.rename({"a": "c"}), frame.with_columns(a=pl.Series([1, 2, 3]))]
    assert all(fingerprint(other)["sha256"] != record["sha256"] for other in others)
    assert fingerprint(frame, ["bad", "good", None])["events"] == 1


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with writing(path) as temporary:
        temporary.write_text("first", encoding="utf-8")
        assert not path.exists()
    with pytest.raises(TypeError), writing(path) as temporary:
        temporary.write_text("half", encoding="utf-8").bit_length("stop here")  # type: ignore
    assert path.read_text(encoding="utf-8") == "first"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ArtifactError, match="nowhere"), writing(tmp_path / "nowhere" / "a") as part:
        part.write_text("", encoding="utf-8")


def test_a_link_cannot_replace_a_folder(tmp_path: Path) -> None:
    (tmp_path / "best").mkdir()
    with pytest.raises(ArtifactError, match="best: cannot be written"):
        point(tmp_path / "best", tmp_path / "models")
    assert [each.name for each in tmp_path.iterdir()] == ["best"]
