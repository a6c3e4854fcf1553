"""The page on made rows: whole, safe with hostile names, and readable without a hold-out."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.errors import ArtifactError
from thinfile.report import page as page_module
from thinfile.report.figures.synthetic import attack_figure, distance_figure, usefulness_figures
from thinfile.report.figures.synthetic_columns import (
    column_figure,
    distribution_figures,
    pair_figure,
)
from thinfile.report.synthetic import render_synthetic, write_synthetic
from thinfile.synthetic.judge import Judgement, judge_synthetic

HOSTILE = "<script>alert(1)</script>"


def make_rows(n: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    income = rng.lognormal(8, 0.5, n).round(2)
    days = rng.integers(0, 900, n).astype("timedelta64[D]") + np.datetime64("2020-01-01")
    return pl.DataFrame(
        {
            "income": income,
            HOSTILE: rng.choice([HOSTILE, "b", "c"], n),
            "since": days,
            "bad": (rng.random(n) < np.clip(income / 8000, 0, 1)).astype(int),
        }
    ).with_columns(income=pl.when(pl.Series(rng.random(n) > 0.1)).then("income"))


@pytest.fixture(scope="module")
def judged() -> Judgement:
    real, holdout = make_rows(300, 0), make_rows(240, 1)
    made = make_rows(200, 2).with_columns(since=pl.col("since").shuffle(seed=0))
    made = made.with_columns(income=pl.col("income") * 2)
    return judge_synthetic(
        made, real, holdout=holdout, label="bad", what=f"rows with {HOSTILE}", notes=["a note"]
    )


@pytest.fixture(scope="module")
def blind() -> Judgement:
    """Nothing but tables of a few rows: no hold-out, no label."""
    return judge_synthetic(make_rows(20, 2), make_rows(25, 0))


@pytest.fixture
def quick(monkeypatch):
    """Leaves pictures and the chart library out, where they are not what is tested."""
    monkeypatch.setattr(page_module, "_picture", lambda spec: "data:,")
    monkeypatch.setattr(page_module, "_library", lambda: "")


def shown(html: str) -> str:
    """The page's text without scripts, styles and tags."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def rows_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """What a chart shows, wherever its specification keeps it."""
    if "values" in spec["data"]:
        return spec["data"]["values"]
    return spec["datasets"][spec["data"]["name"]]


@pytest.mark.usefixtures("quick")
def test_the_page_says_what_the_rows_are_good_for(judged):
    text = shown(render_synthetic(judged))
    assert judged.verdict.headline in text
    for line in (*judged.verdict.uses, *judged.verdict.not_for, *judged.notes):
        assert line in text
    for title in (
        "What these rows are good for",
        "How like the real rows they are",
        "What they are worth for training",
        "What they give away of the training rows",
        "How it was measured",
    ):
        assert title in text
    for attack in judged.privacy.attacks:
        assert f"{attack.auc:.3f}" in text


@pytest.mark.usefixtures("quick")
def test_hostile_names_stay_text(judged):
    html = render_synthetic(judged)
    assert HOSTILE not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


@pytest.mark.usefixtures("quick")
def test_what_was_not_measured_is_said_where_it_would_stand(blind):
    text = shown(render_synthetic(blind))
    assert "Not measured: usefulness: there is no label column." in text
    assert "Not measured: distances and membership attacks: there are no hold-out rows" in text
    assert "Risk to single customers Not measured" in text
    assert attack_figure(blind) is None
    assert distance_figure(blind) is None
    assert usefulness_figures(blind) == []
    assert column_figure(blind) is not None


def test_every_chart_is_drawn_and_has_words(judged):
    figures = [
        column_figure(judged),
        pair_figure(judged),
        *distribution_figures(judged),
        distance_figure(judged),
        attack_figure(judged),
        *usefulness_figures(judged),
    ]
    assert len({figure.name for figure in figures}) == len(figures) == 10
    for figure in figures:
        json.dumps(figure.live, allow_nan=False)
        assert len(figure.alt) > 20
        assert page_module._picture(figure.still).startswith("data:image/svg+xml;base64,")


def test_charts_show_the_figures(judged):
    rows = rows_of(column_figure(judged).live)
    assert [row["column"] for row in rows] == [each.name for each in judged.fidelity.columns]
    assert rows[0]["distance"] == pytest.approx(judged.fidelity.columns[0].distance, rel=1e-3)
    shares = distribution_figures(judged)
    for figure in shares:
        values = rows_of(figure.live)
        for side in ("Real rows", "Made rows"):
            total = sum(row["share"] for row in values if row["side"] == side)
            assert total == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("n_holdout", "lowest"), [(60, 1 / 30), (240, 1 / 120)])
def test_attacks_are_drawn_from_one_false_alarm_on(n_holdout, lowest):
    found = judge_synthetic(make_rows(80, 2), make_rows(100, 0), holdout=make_rows(n_holdout, 1))
    figure = attack_figure(found)
    drawn = [row["rate"] for rows in figure.live["datasets"].values() for row in rows]
    assert min(drawn) == pytest.approx(lowest, rel=1e-3)
    x = figure.live["layer"][1]["encoding"]["x"]
    assert x["scale"]["domain"] == [pytest.approx(lowest), 1]
    assert min(x["axis"]["values"]) == pytest.approx(lowest)
    assert (
        f"Drawn from {100 * lowest:.1f}% false alarms on: that is one of the {1 / lowest:.0f} rows "
        "that no generator has seen" in figure.caption
    )
    at_one_percent = any("at 1% false alarms" in line for line in found.privacy.unmeasured)
    assert at_one_percent == (min(drawn) > 0.0101)


def test_one_row_is_no_reason_to_fail():
    found = judge_synthetic(make_rows(1, 2), make_rows(3, 0), holdout=make_rows(2, 1), label="bad")
    assert found.verdict.risk == "unknown"
    assert column_figure(found) is not None
    for figure in distribution_figures(found):
        json.dumps(figure.live, allow_nan=False)


@pytest.mark.usefixtures("quick")
def test_the_page_is_written_whole_or_refused(judged, tmp_path):
    path = write_synthetic(judged, tmp_path / "deep" / "made.html")
    assert path.read_text().startswith("<!DOCTYPE html>")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_synthetic(judged, tmp_path / "file" / "made.html")


def test_the_figure_of_a_column_stands_at_its_own_bar():
    from types import SimpleNamespace

    from thinfile.report.figures.synthetic_columns import _figure_place

    def place(distance, holdout):
        return _figure_place(SimpleNamespace(distance=distance, holdout=holdout), 0.1)

    assert place(0.3, 0.9) == {"inside": False, "at": 0.3}
    assert place(0.3, 0.1) == {"inside": False, "at": 0.3}
    assert place(0.3, 0.35) == {"inside": True, "at": 0.3}
    assert place(0.02, 0.05) == {"inside": False, "at": 0.05}


def test_axes_end_where_the_measure_or_the_data_end():
    from thinfile.report.figures.synthetic import _trained_figure
    from thinfile.report.figures.synthetic_columns import _pair_chart
    from thinfile.synthetic.usefulness import Trained

    trained = [Trained("real rows", 9, 3, 0.9, 0.8, 1.0, 0.999, 0.99, 1.0, None, None)]
    x = _trained_figure(trained, "ap", "AP").chart.to_dict()["layer"][0]["encoding"]["x"]
    assert x["scale"]["domain"] == [pytest.approx(0.989), 1.0]
    rows = [{"pair": "a – b", "measure": "m", "real": 0.1, "made": 0.2}]
    y = _pair_chart(rows).to_dict()["layer"][1]["encoding"]["y"]
    assert y["scale"]["domain"] == [pytest.approx(-0.006), pytest.approx(0.206)]
