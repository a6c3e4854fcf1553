"""`thinfile map`, from a saved model and files to a page and a folder."""

from __future__ import annotations

import json

import polars as pl
import pytest

QUICK = ["--laid-out", 60, "--id", "customer"]


@pytest.fixture
def page(tmp_path):
    return tmp_path / "map.html"


def test_a_page_and_a_folder_are_written(call, model, files, page):
    done = call(
        "map", model, files / "old.parquet", "--color", "bad", "--out", page, *QUICK,
        "--save", page.parent / "kept",
    )  # fmt: skip
    assert done.code == 0, done.err
    events = pl.read_parquet(files / "old.parquet")["bad"].sum()
    first, *_, last, kept = done.out.splitlines()
    assert first.startswith(f"240 rows, {events} of them bad, by the columns as LogisticClassifier")
    assert last.startswith(str(page))
    assert kept.startswith(f"{page.parent / 'kept'}: place later rows on this map with --onto")
    assert "old.parquet: 240 rows" in page.read_text("utf-8")


def test_a_perplexity_that_had_to_be_lowered_is_said(call, model, files, page):
    said = "perplexity 30 was lowered to 19.7: 60 rows laid out together allow no more"
    done = call("map", model, files / "old.parquet", "--out", page, *QUICK)
    assert done.code == 0, done.err
    assert done.err == f"thinfile: {said}\n"
    assert said not in done.out
    assert f"P{said[1:]}." in page.read_text("utf-8")
    done = call("map", model, files / "old.parquet", "--out", page, *QUICK, "--json")
    assert said in done.err
    assert said in json.loads(done.out)["notes"]
    given = [*QUICK, "--perplexity", 19, "--random-state", 1]
    done = call("map", model, files / "old.parquet", "--out", page, *given)
    assert (done.code, done.err) == (0, "")


def test_new_rows_are_placed_on_a_map_that_was_kept(call, model, files, page):
    kept = page.parent / "kept"
    call("map", model, files / "old.csv", "--label", "bad", "--out", page, *QUICK, "--save", kept)
    done = call("map", model, files / "new.csv", "--onto", kept, "--out", page, "--json")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["rows"] == 500
    assert record["page"] == str(page)
    assert "(placed)" in page.read_text("utf-8")


def test_a_colour_that_is_no_label_is_a_colour(call, model, files, page):
    done = call("map", model, files / "old.parquet", "--colour", "income", "--out", page, *QUICK)
    assert done.code == 0, done.err
    assert "of them" not in done.out


def test_what_cannot_be_done_is_said_in_one_line(call, model, files, page, tmp_path):
    old = files / "old.parquet"
    for arguments, message in [
        ([old, "--color", "hue"], "'hue' is no column of the map"),
        ([old, "--id", "nobody"], "the table lacks 'nobody'"),
        ([old, "--label", "region"], "label 'region' has 3 values"),
        ([old, "--onto", tmp_path / "none"], "no such folder"),
        ([tmp_path / "none.parquet"], "no such file"),
        ([old, "--perplexity", 0], "perplexity=0.0 must be a number > 1"),
    ]:
        done = call("map", model, *arguments, "--laid-out", 60, "--out", page)
        assert done.code == 2
        assert message in done.err
        assert len(done.err.strip().splitlines()) == 1
        assert not page.exists()


def test_a_table_is_never_taken_for_the_page(call, model, files):
    before = (files / "old.csv").read_bytes()
    done = call("map", model, files / "old.csv", "--out", files / "old.csv")
    assert (done.code, (files / "old.csv").read_bytes()) == (2, before)
    assert "exists and is no page" in done.err


def test_onto_takes_the_maps_own_label(call, model, files, page):
    kept = page.parent / "kept"
    call("map", model, files / "old.csv", "--label", "bad", "--out", page, *QUICK, "--save", kept)
    done = call("map", model, files / "new.csv", "--onto", kept, "--label", "region")
    assert done.code == 2
    assert "with --onto the map's own are taken: --label region (the map: bad)" in done.err
