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
    assert first.startswith(
        f"240 rows, {events} of them with bad = 1, by the columns as LogisticClassifier"
    )
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


def test_what_can_be_checked_first_is(call, model, files, page, monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("laid out")

    monkeypatch.setattr("thinfile.latent_map.build.lay_out", never)
    (page.parent / "full").mkdir()
    (page.parent / "full" / "file").touch()
    old = files / "old.parquet"
    for arguments, message in [
        (["--color", "hue"], "colour 'hue' is no column of the map (it has 'customer', 'age'"),
        (["--color", "customer", "--id", "customer"], "'customer' is no column of the map"),
        (["--id", "nobody"], "the table lacks 'nobody'"),
        (["--event", "1"], "--event is a value of --label, which is not named"),
        (["--label", "bad", "--event", "x"], "none of them is the event that was named"),
        (["--save", page.parent / "full"], "full exists; name a folder that does not"),
    ]:
        done = call("map", model, old, "--out", page, *arguments)
        assert (done.code, done.err.count("\n")) == (2, 1), done.err
        assert message in done.err


def test_a_score_is_a_colour_and_a_map_that_is_kept_knows_its_own(call, model, files, page):
    kept = page.parent / "kept"
    given = ["--color", "(probability)", "--out", page, *QUICK, "--save", kept]
    assert call("map", model, files / "old.csv", *given).code == 0
    for colour, code in [("(probability)", 0), ("(placed)", 0), ("hue", 2)]:
        given = ["--onto", kept, "--color", colour, "--out", page]
        done = call("map", model, files / "new.csv", *given)
        assert done.code == code, done.err


def test_the_values_of_the_label_are_shown(call, model, files, page):
    words = pl.col("bad").replace_strict({0: "ok", 1: "stolen"}, default=None)
    table = page.parent / "words.parquet"
    pl.read_parquet(files / "old.parquet").with_columns(bad=words).write_parquet(table)
    given = ["--color", "bad", "--event", "stolen", "--out", page, *QUICK]
    done = call("map", model, table, *given)
    assert done.code == 0, done.err
    assert "of them with bad = stolen, by" in done.out
    assert '"labelValues":["ok","stolen"]' in page.read_text("utf-8").replace(": ", ":").replace(
        '", "', '","'
    )
