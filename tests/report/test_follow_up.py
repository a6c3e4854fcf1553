"""The follow-up's page and picture: what they draw, complete in themselves, hostile names."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.data.buys import Buys
from thinfile.data.events import EventColumns, EventLog
from thinfile.errors import ArtifactError, MissingPackageError, ParameterError
from thinfile.intent.audience import HOLD_OUT, PICKED, REST
from thinfile.intent.follow_up import FollowUp, follow_up
from thinfile.report import page as page_module
from thinfile.report.figures.follow_up import (
    level_figures,
    lift_figure,
    lift_rows,
    picture_spec,
)
from thinfile.report.follow_up import render_follow_up, render_picture, write_follow_up

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
SINCE, UNTIL = datetime(2024, 3, 1), datetime(2024, 4, 1)


def make_follow_up(
    rates: dict[str, float] | None = None, *, name: str = "TEA", n: int = 120
) -> FollowUp:
    """Groups of `n` that buy with these rates, the rest five times as many."""
    rates = rates or {PICKED: 0.4, HOLD_OUT: 0.2, REST: 0.02}
    rng = np.random.default_rng(0)
    rows, groups = [], []
    for place, (group, rate) in enumerate(rates.items()):
        for customer in range(n * (5 if group == REST else 1)):
            who = 10_000 * place + customer
            groups.append({"customer": who, "group": group})
            rows.append({"who": who, "at": datetime(2024, 2, 1), "what": "CUPS", "money": 1.0})
            for _ in range(rng.poisson(2) if rng.random() < rate else 0):
                day = datetime(2024, 3, 1 + int(rng.integers(30)))
                what = name if rng.random() < 0.6 else f"OTHER {rng.integers(5)}"
                rows.append({"who": who, "at": day, "what": what, "money": rng.lognormal(2, 1)})
    rows.append({"who": -1, "at": datetime(2024, 3, 31), "what": "CUPS", "money": 1.0})
    log = EventLog.from_table(
        pl.DataFrame(rows), EventColumns("who", "at", category="what", amount="money")
    )
    buys = Buys("what", (name,))
    return follow_up(pl.DataFrame(groups), log, buys, SINCE, UNTIL, n=3, m=1, n_draws=300)


@pytest.fixture(scope="module")
def found() -> FollowUp:
    return make_follow_up()


@pytest.fixture(scope="module")
def library() -> str:
    return page_module._library()


@pytest.fixture(autouse=True)
def _one_bundle(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """Bundling the chart library is the slowest part and the same each time."""
    monkeypatch.setattr(page_module, "_library", lambda: library)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the pictures out, where they are not what is tested."""
    monkeypatch.setattr(page_module, "_picture", lambda spec: "data:,")


class Page(HTMLParser):
    """Elements and the text outside scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style"):
            self.text += data


def rows_of(figure: Any, field: str) -> list[dict[str, Any]]:
    sets = figure.live["datasets"].values()
    return next(rows for rows in sets if rows and field in rows[0])


def test_the_page_says_what_the_numbers_say(found: FollowUp) -> None:
    html = render_follow_up(found, about={"cut": "2024-03-01", "file": "audience.csv"})
    page = Page(html)
    assert len(html.encode()) < 2_000_000
    sections = [a["id"] for tag, a in page.elements if tag == "section"]
    assert sections == ["verdict", "groups", "contrasts", "method"]
    assert "The campaign sold more: " in page.text
    assert "Picked against hold-out is the campaign's effect" in page.text
    assert "Hold-out against rest is the model's ranking" in page.text
    assert "audience.csv" in page.text
    pictures = [a for tag, a in page.elements if tag == "img"]
    assert len(pictures) == len(found.measures) + 1
    for picture in pictures:
        assert (picture["src"] or "").startswith("data:image/svg+xml;base64,")
        assert len(picture["alt"] or "") > 30
    links = {(a["href"] or "")[1:] for tag, a in page.elements if tag == "a"}
    assert links <= {a["id"] for _, a in page.elements if "id" in a}


@pytest.mark.usefixtures("quick")
def test_nothing_is_loaded_from_elsewhere(found: FollowUp, library: str) -> None:
    own = render_follow_up(found).replace(library, "")
    for word in ("http:", "https:", "@import", "url("):
        assert word not in own


@pytest.mark.usefixtures("quick")
def test_names_from_the_log_cannot_leave_their_place() -> None:
    name = "</script><img src=x onerror=alert(1)>"
    html = render_follow_up(make_follow_up(name=name), about={"<b>": "</title>"})
    assert name not in html
    assert "<b>" not in html
    assert "&lt;/script&gt;&lt;img" in html
    json.dumps(picture_spec(make_follow_up(name=name), name), allow_nan=False)


def test_bars_are_the_levels(found: FollowUp) -> None:
    figures = level_figures(found)
    assert [figure.title for figure in figures] == [each.title for each in found.measures]
    for figure, measure in zip(figures, found.measures, strict=True):
        rows = rows_of(figure, "group")
        assert [row["group"] for row in rows] == [PICKED, HOLD_OUT, REST]
        for row in rows:
            level = found.level(measure.name, row["group"])
            assert level is not None
            assert row["value"] == pytest.approx(level["value"], rel=1e-4)
            assert row["low"] == pytest.approx(level["low"], rel=1e-4)


def test_a_point_is_hollow_where_no_effect_can_be_told() -> None:
    told = {row["question"]: row["told"] for row in lift_rows(make_follow_up()) if row["value"]}
    assert all(told.values())
    same = make_follow_up({PICKED: 0.3, HOLD_OUT: 0.3, REST: 0.02})
    rows = [row for row in lift_rows(same) if row["title"] == "Bought TEA"]
    assert [row["told"] for row in rows] == [False, True, True]


def test_ratios_without_an_end_stay_in_sight() -> None:
    none = make_follow_up({PICKED: 0.4, HOLD_OUT: 0.0, REST: 0.02})
    rows = {row["question"]: row for row in lift_rows(none) if row["title"] == "Bought TEA"}
    campaign = rows["Campaign: picked / hold-out"]
    assert campaign["value"] is None
    assert campaign["text"].startswith("∞ (")
    for row in rows.values():
        assert 0 < row["from"] <= row["to"] < 1e6
    figure = lift_figure(none)
    assert figure is not None
    json.dumps(figure.live, allow_nan=False)
    json.dumps(picture_spec(none, "x"), allow_nan=False)


@pytest.mark.usefixtures("quick")
def test_a_follow_up_of_silence_is_drawn_all_the_same() -> None:
    silent = make_follow_up({PICKED: 0.0, HOLD_OUT: 0.0, REST: 0.0})
    assert lift_figure(silent) is None
    assert "No effect of the campaign can be told" in Page(render_follow_up(silent)).text
    assert render_picture(silent).startswith(b"\x89PNG")


@pytest.mark.usefixtures("quick")
def test_without_a_hold_out_there_are_two_bars() -> None:
    two = make_follow_up({PICKED: 0.4, REST: 0.02})
    assert len(rows_of(level_figures(two)[0], "group")) == 2
    assert "No hold-out group was set aside" in Page(render_follow_up(two)).text
    spec = picture_spec(two, "x")
    assert spec["background"] == "white"


@pytest.mark.usefixtures("quick")
def test_the_folder_is_there_whole_or_not_at_all(
    found: FollowUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_follow_up(found, tmp_path / "a" / "fu", picture=tmp_path / "p.png")
    assert all(path.exists() for path in files)
    assert pl.read_parquet(tmp_path / "a" / "fu" / "levels.parquet").equals(found.levels)
    assert pl.read_parquet(tmp_path / "a" / "fu" / "customers.parquet").equals(found.customers)
    with pytest.raises(ParameterError, match="exists; name a folder that does not"):
        write_follow_up(found, tmp_path / "a" / "fu")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("thinfile.artifact.atomic._write", full)
    with pytest.raises(ArtifactError, match="No space left on device"):
        write_follow_up(found, tmp_path / "b" / "fu", page=False)
    assert sorted(os.listdir(tmp_path)) == ["a", "p.png"]


def test_a_missing_package_is_named_before_anything_is_written(
    found: FollowUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "PACKAGES", {"no_such_module": "altair"})
    with pytest.raises(MissingPackageError, match=r"needs the package 'altair': pip install"):
        write_follow_up(found, tmp_path / "fu")
    assert not list(tmp_path.iterdir())
    write_follow_up(found, tmp_path / "fu", page=False)
    assert not (tmp_path / "fu" / "report.html").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_draws_every_chart(found: FollowUp, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_follow_up(found), encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=20000", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert 'data-drawn="yes"' in done.stdout
    assert len(re.findall(r'data-live=""', done.stdout)) == len(found.measures) + 1
    assert "data-error" not in done.stdout.replace("dataset.error", "")
