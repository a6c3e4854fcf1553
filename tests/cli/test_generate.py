"""`thinfile generate`: rows with their report, or one line that says why not."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from thinfile.cli.main import COMMANDS
from thinfile.data.row_hash import known, row_hashes
from thinfile.generative.smote import SMOTE
from thinfile.schema.model import Schema


class Apart:
    """Columns drawn apart from the rows it is given; or the training rows with a little noise."""

    leaks = False

    def fit(self, table: pl.DataFrame) -> Apart:
        self.schema_ = Schema.infer(table)
        self.rows = self.schema_.parse(table).frame
        self.row_hashes_ = np.unique(row_hashes(self.rows))
        return self

    def sample(self, n, *, random_state=None):
        return self._draw(self.rows, n, random_state or 0)

    def sample_like(self, X, n, *, random_state=None):
        rows = self.schema_.parse(X).frame
        return self._draw(rows, n, random_state or 0)

    def _draw(self, rows, n, seed):
        if self.leaks:
            made = rows.sample(n, with_replacement=True, seed=seed)
            return made.with_columns(age=pl.col("age") + 0.1)
        parts = [
            rows[name].sample(n, with_replacement=True, seed=seed + place)
            for place, name in enumerate(rows.columns)
        ]
        return pl.DataFrame(parts).with_columns(income=pl.col("income") * 1.001)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, portfolio):
    """table.parquet and .csv with 600 rows, of which the model knows the first 400."""
    where = tmp_path_factory.mktemp("generate")
    table = portfolio(600, seed=3)
    table.write_parquet(where / "table.parquet")
    table.write_csv(where / "table.csv")
    portfolio(300, seed=8).write_parquet(where / "other.parquet")
    return where


@pytest.fixture
def model(folder, monkeypatch):
    """A toy in place of a saved model."""
    monkeypatch.setitem(COMMANDS, "generate", "")
    made = Apart().fit(pl.read_parquet(folder / "table.parquet").head(400).drop("customer", "bad"))
    monkeypatch.setattr("thinfile.artifact.folder.load", lambda path: made)
    return made


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing takes longer than all the rest; the page has tests of its own."""
    monkeypatch.setattr("thinfile.report.synthetic.render_synthetic", lambda found: "<html>page")


@pytest.mark.usefixtures("no_pictures")
def test_rows_report_and_figures_are_written(call, model, folder, tmp_path):
    out = tmp_path / "more.parquet"
    like = folder / "table.parquet"
    given = ["--like", like, "--where", "bad == 1", "-n", 80, "--out", out]
    answer = call("generate", "runs/fraud/toy", *given)
    assert answer.code == 0, answer.err
    made, table = pl.read_parquet(out), pl.read_parquet(like)
    assert made.schema == table.schema
    assert made.height == 80
    assert made["bad"].unique().to_list() == [1]
    hashes = np.unique(row_hashes(table.drop("customer", "bad")))
    assert not known(made.drop("customer", "bad"), hashes).any()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "more.html",
        "more.json",
        "more.parquet",
    ]
    record = json.loads((tmp_path / "more.json").read_text())
    assert record["what"] == "80 rows with bad == 1, made by toy"
    assert record["rows"]["holdout_of_all_kinds"] == 200
    assert "80 rows of 5 columns" in answer.out
    assert "They may be used for:" in answer.out
    assert "Hold-out: 200 of the 600 rows" in answer.out
    assert "Columns left empty, since the model does not make them: customer" in answer.out


@pytest.mark.usefixtures("no_pictures")
def test_the_same_seed_gives_the_same_rows_and_csv_stays_csv(call, model, folder, tmp_path):
    tables = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / f"{name}.csv"
        given = ["--like", folder / "table.csv", "-n", 30, "--out", out, "--random-state", seed]
        answer = call("generate", "m", *given, "--label", "bad", "--json")
        assert answer.code == 0, answer.err
        tables.append(out.read_text())
        assert json.loads(answer.out)["rows"] == 30
    assert tables[0] == tables[1] != tables[2]
    assert tables[0].splitlines()[0] == "customer,age,income,region,bad"
    assert {line.split(",")[-1] for line in tables[0].splitlines()[1:]} == {"0", "1"}


@pytest.mark.usefixtures("no_pictures")
def test_rows_that_give_members_away_are_not_written_unless_accepted(call, model, folder, tmp_path):
    model.leaks = True
    out, page = tmp_path / "more.parquet", tmp_path / "pages" / "told.html"
    page.parent.mkdir()
    given = ["--like", folder / "table.parquet", "-n", 400, "--out", out, "--report", page]
    answer = call("generate", "m", *given)
    assert answer.code == 2
    assert f"{out} was not written. Do not pass these rows on" in answer.err
    assert "--accept-risk --force writes them all the same" in answer.err
    assert not out.exists()
    assert page.exists()
    assert json.loads(page.with_suffix(".json").read_text())["verdict"]["risk"] == "strong"
    answer = call("generate", "m", *given, "--accept-risk", "--force")
    assert answer.code == 0, answer.err
    assert pl.read_parquet(out).height == 400


@pytest.mark.usefixtures("no_pictures")
def test_a_holdout_of_its_own_is_used(call, model, folder, tmp_path):
    given = ["--like", folder / "table.parquet", "--holdout", folder / "other.parquet"]
    answer = call("generate", "m", *given, "-n", 50, "--out", tmp_path / "m.parquet", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["notes"][0] == "Hold-out: 300 rows of a table of their own."


def test_without_a_report_only_when_told(call, model, folder, tmp_path, refused):
    out = tmp_path / "more.parquet"
    answer = call("generate", "m", "-n", 5, "--out", out)
    refused(answer, "name these with --like TABLE, or say --no-report", as_json=False)
    answer = call("generate", "m", "-n", 5, "--out", out, "--no-report")
    assert answer.code == 0, answer.err
    assert "nothing is known of their likeness, use or privacy" in answer.out
    assert [path.name for path in tmp_path.iterdir()] == ["more.parquet"]
    assert pl.read_parquet(out).columns == ["age", "income", "region"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--where", "bad == "], "the condition 'bad == ' cannot be read"),
        (["--where", "worse == 1"], "names 'worse', which the table lacks"),
        (["--where", "bad == 5"], "none of the 600 rows fulfils the condition 'bad == 5'"),
        (["--label", "worse"], "the table has no column 'worse' for the label"),
        (["--report", "x.pdf"], "--report x.pdf must end in .html"),
        (["--report", "x.html", "--no-report"], "--report and --no-report exclude each other"),
        (["--out", "more.xlsx"], "--out more.xlsx must end in .parquet or .csv"),
        (["--out", "no/such/more.csv"], "cannot be written: there is no such folder"),
        (["--holdout", "nowhere.csv"], "nowhere.csv: no such file"),
    ],
)
def test_faults_are_one_line_and_nothing_is_written(
    call, model, folder, tmp_path, monkeypatch, refused, arguments, message
):
    monkeypatch.chdir(tmp_path)
    given = ["--like", folder / "table.parquet", "-n", 5, "--out", "more.parquet"]
    for as_json in (False, True):
        answer = call("generate", "m", *given, *arguments, *(["--json"] if as_json else []))
        refused(answer, message, as_json=as_json)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("there", ["more.parquet", "more.html", "more.json"])
def test_a_file_that_is_there_is_replaced_only_when_told(
    call, model, folder, tmp_path, refused, there
):
    old = tmp_path / there
    old.write_bytes(b"mine")
    given = ["--like", folder / "table.parquet", "-n", 60, "--out", tmp_path / "more.parquet"]
    answer = call("generate", "m", *given)
    message = f"{old} exists; name another --out, or replace what is there with --force"
    refused(answer, message, as_json=False)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {there: b"mine"}
    answer = call("generate", "m", *given, "--force")
    assert answer.code == 0, answer.err
    assert old.read_bytes() != b"mine"


def test_a_table_that_is_read_is_not_replaced(call, model, folder, refused):
    path = folder / "table.parquet"
    answer = call("generate", "m", "--like", path, "-n", 5, "--out", path)
    refused(answer, "is a table that is read: it would be replaced", as_json=False)


def test_a_table_that_lacks_columns_of_the_model_is_refused(call, model, folder, tmp_path, refused):
    pl.read_parquet(folder / "table.parquet").drop("age").write_csv(tmp_path / "less.csv")
    given = ["--like", tmp_path / "less.csv", "-n", 5, "--out", tmp_path / "m.csv"]
    answer = call("generate", "m", *given)
    refused(answer, "the table lacks 1 of 3 columns: 'age'", as_json=False)


def test_what_makes_no_rows_is_refused(call, model, folder, monkeypatch, refused, tmp_path):
    monkeypatch.setattr("thinfile.artifact.folder.load", lambda path: object())
    given = ["--like", folder / "table.parquet", "-n", 5, "--out", tmp_path / "m.csv"]
    refused(call("generate", "m", *given), "object makes no rows: a generator", as_json=False)


@pytest.mark.usefixtures("no_pictures")
def test_a_failed_write_leaves_nothing(call, model, folder, tmp_path, monkeypatch, refused):
    def broken(self, path, **_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", broken)
    given = ["--like", folder / "table.parquet", "-n", 60, "--out", tmp_path / "m.parquet"]
    refused(call("generate", "m", *given), "No space left on device", as_json=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_pictures")
def test_a_saved_generator_is_loaded_and_used(call, folder, tmp_path, monkeypatch):
    from thinfile.artifact.folder import save

    table = pl.read_parquet(folder / "table.parquet").head(400)
    features = table.drop("customer", "bad")
    save(SMOTE(random_state=0).fit(features, table["bad"].to_numpy()), tmp_path / "smote")
    given = ["--like", folder / "table.parquet", "--where", "bad == 1 and region == 'north'"]
    answer = call(
        "generate",
        tmp_path / "smote",
        *given,
        "-n",
        60,
        "--out",
        tmp_path / "m.parquet",
        "--accept-risk",
    )
    assert answer.code == 0, answer.err
    assert pl.read_parquet(tmp_path / "m.parquet")["bad"].unique().to_list() == [1]


@pytest.fixture
def worded(folder, model):
    table = pl.read_parquet(folder / "table.parquet")
    words = pl.col("bad").replace_strict({0: "ok", 1: "stolen"}, default=None)
    path = folder / "worded.parquet"
    table.with_columns(bad=words).write_parquet(path)
    return path


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("given", [["--where", "bad == 'stolen'"], ["--event", "stolen"]])
def test_the_event_of_a_label_in_words(call, worded, tmp_path, given):
    out = tmp_path / "more.csv"
    answer = call("generate", "m", "--like", worded, "--label=bad", "-n", 60, "--out", out, *given)
    assert answer.code == 0, answer.err
    assert json.loads((tmp_path / "more.json").read_text())["usefulness"]["event"] == "stolen"
    assert "Usefulness for 'bad' (event: stolen)" in answer.out


def test_an_event_that_is_not_plain_is_asked_for_before_anything_is_made(call, worded, tmp_path):
    out = tmp_path / "more.csv"
    answer = call("generate", "m", "--like", worded, "--label", "bad", "-n", 60, "--out", out)
    assert answer.code != 0
    assert "'ok' and 'stolen': say which is the event with --event" in answer.err
    answer = call(
        *("generate", "m", "--like", worded, "--label=bad", "--event=x", "-n", 60, "--out", out)
    )
    assert "event 'x' is no value of label 'bad' (ok, stolen)" in answer.err
    assert not list(tmp_path.iterdir())


def test_a_label_in_words_reaches_the_generator_as_0_and_1():
    from thinfile.synthetic.generate import _labels

    column = pl.Series("bad", ["stolen", "ok", None, ""])
    assert _labels(column, "stolen").tolist() == [1, 0, -1, -1]
