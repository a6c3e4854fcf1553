"""The page as text; what it does is in test_browser.py."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest

from thinfile.errors import ArtifactError, DataError
from thinfile.latent_map.columns import columns_of
from thinfile.report.latent_map import render_map, write_map


@pytest.fixture(scope="module")
def page(faked):
    return render_map(faked, title="Frauds </title> & others")


def meta_of(page):
    return json.loads(re.search(r'id="meta">(.*?)</script>', page)[1])


def blob_of(page, name):
    found = re.search(rf'id="blob-{name}" data-kind="(\w+)">([^<]*)<', page)
    content = zlib.decompress(base64.b64decode(found[2]))
    width = {"u1": 1, "u2": 2, "i4": 4, "f4": 4, "text": 1}[found[1]]
    if found[1] == "text":
        return content.decode().split("\n")
    planes = np.frombuffer(content, dtype=np.uint8).reshape(width, -1)
    return np.ascontiguousarray(planes.T).view(f"<{found[1]}").ravel()


def test_the_page_loads_nothing(page):
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?https?:", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert "connect-src" not in policy


def test_its_policy_allows_its_own_script_only(page):
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page


def test_text_from_the_data_is_no_markup(page):
    assert "<img" not in page
    assert "<title>Frauds &lt;/title&gt; &amp; others</title>" in page


def test_arrays_come_back_as_they_were(page, faked):
    np.testing.assert_array_equal(blob_of(page, "positions"), faked.positions.ravel())
    np.testing.assert_array_equal(blob_of(page, "neighbours"), faked.neighbours.ravel())
    np.testing.assert_array_equal(blob_of(page, "rows"), faked.rows)
    np.testing.assert_array_equal(blob_of(page, "label").astype(int) - 1, faked.label)
    assert blob_of(page, "ids") == faked.ids
    scale = meta_of(page)["farthest"] / 65535
    np.testing.assert_allclose(
        blob_of(page, "distances") * scale, faked.distances.ravel(), atol=scale
    )


def test_columns_lose_nothing_beyond_32_bits(page, faked):
    for place, (column, told) in enumerate(
        zip(columns_of(faked.frame, faked.roles), meta_of(page)["columns"], strict=True)
    ):
        values = blob_of(page, f"column-{place}")
        if told["table"]:
            values = blob_of(page, f"table-{place}")[values]
        np.testing.assert_array_equal(values, column.values)
        assert (told["name"], told["kind"], told["words"]) == (
            column.name,
            column.kind,
            column.words,
        )


def test_numbers_with_many_values_are_kept_as_they_are(make_map):
    page = render_map(make_map(20_000))
    assert [c["table"] for c in meta_of(page)["columns"]][:2] == [False, True]


def test_the_label_colours_unless_told_otherwise(faked):
    assert meta_of(render_map(faked))["colour"] == "label"
    assert meta_of(render_map(faked, colour="fraud"))["colour"] == "label"
    assert meta_of(render_map(faked, colour="hour"))["colour"] == "1"
    without = replace(faked, label=None)
    assert meta_of(render_map(without))["colour"] == "0"
    with pytest.raises(DataError, match="colour 'hue' is no column of the map"):
        render_map(faked, colour="hue")


def test_braces_in_the_data_are_left_alone(faked):
    page = render_map(faked, title="{{ script }}")
    assert "<title>{{ script }}</title>" in page


def test_the_page_is_written_whole_or_not_at_all(faked, tmp_path):
    path = write_map(faked, tmp_path / "deep" / "map.html")
    assert path.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert [p.name for p in path.parent.iterdir()] == ["map.html"]
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_map(faked, path / "map.html")
