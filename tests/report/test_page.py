"""The page as a whole: complete in itself, safe with hostile text, drawn by a real browser."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.compare.result import Result
from thinfile.errors import ArtifactError, MissingPackageError
from thinfile.report import page as page_module
from thinfile.report.page import json_for_html, render, write_report

MAX_BYTES = 3_000_000
MakeResult = Callable[..., Result]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def library() -> str:
    return page_module._library()


@pytest.fixture(autouse=True)
def _one_bundle(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """Bundling the chart library is the slowest part and the same each time."""
    monkeypatch.setattr(page_module, "_library", lambda: library)


@pytest.fixture(scope="module")
def html(make_result: MakeResult, library: str) -> str:
    """The page of the whole fake comparison, drawn once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_module, "_library", lambda: library)
        return render(make_result())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the pictures out, where they are not what is tested."""
    monkeypatch.setattr(page_module, "_picture", lambda spec: "data:,")


class Page(HTMLParser):
    """Elements with attributes, the text outside scripts, and each script's own text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def headings(self) -> list[str]:
        return [a["id"] or "" for a in self.all("section")]

    @property
    def specs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found


def test_the_whole_page_is_complete_and_small(html: str) -> None:
    page = Page(html)
    assert len(html.encode()) < MAX_BYTES
    assert page.headings == [
        "verdict",
        "leaderboard",
        "labels",
        "ranking",
        "probability",
        "populations",
        "psi",
        "training",
        "card",
        "protocol",
    ]
    assert len(page.specs) == len(page.all("figure")) == 18
    assert "Build on: Boosted trees, pooled" in page.text
    assert "Boosted trees, pooled, the default, stays" in page.text


def test_every_chart_has_a_picture_and_words(html: str) -> None:
    page = Page(html)
    pictures = page.all("img")
    assert len(pictures) == len(page.specs)
    for picture in pictures:
        assert (picture["src"] or "").startswith("data:image/svg+xml;base64,")
        assert len(picture["alt"] or "") > 30
    links = {(a["href"] or "")[1:] for a in page.all("a")}
    assert links <= {a["id"] for _, a in page.elements if "id" in a}


def test_nothing_is_loaded_from_elsewhere(html: str, library: str) -> None:
    own = html.replace(library, "")
    assert "http:" not in own
    assert "https:" not in own
    assert "@import" not in own
    assert "url(" not in own
    for _, attributes in Page(html).elements:
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))


def test_the_policy_allows_the_page_s_own_scripts_only(html: str) -> None:
    page = Page(html)
    policy = next(a["content"] or "" for a in page.all("meta") if "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy
    for script in page.scripts[1:]:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


@pytest.mark.usefixtures("quick")
def test_text_from_data_is_shown_and_never_run(make_result: MakeResult) -> None:
    hostile = '</script><script>alert("x")</script><img src=x onerror=alert(2)>'
    result = make_result()
    columns = [{**c, "name": f"{hostile}{k}"} for k, c in enumerate(result.diagnosis["columns"])]
    page = Page(
        render(
            make_result(
                diagnosis={**result.diagnosis, "columns": columns},
                verdict={**result.verdict, "headline": hostile, "warnings": [hostile]},
                settings={
                    **result.settings,
                    "title": hostile,
                    "label": hostile,
                    "notes": [hostile],
                },
            )
        )
    )
    assert len(page.scripts) == 3
    assert not [a for _, a in page.elements if "onerror" in a]
    assert page.text.count(hostile) >= 5
    assert hostile in json.dumps(page.specs["psi"], ensure_ascii=False).replace('\\"', '"')


def test_json_in_html_comes_back_as_it_was() -> None:
    value = {"</script><!--": ["\u2028 & <b>", 'quote "', "é"]}
    text = json_for_html(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028") & set(text)
    with pytest.raises(ValueError):
        json_for_html([np.nan])


@pytest.mark.usefixtures("quick")
def test_what_is_missing_is_left_out_with_a_sentence(make_result: MakeResult) -> None:
    result = make_result(
        methods=["boosted_source", "mlp"],
        budgets=[0],
        with_histories=False,
        diagnosis={},
        source_scores={},
        verdict={},
    )
    page = Page(render(result))
    assert "psi" not in page.headings
    assert "One label budget was compared" in page.text
    assert "No training curves were kept." in page.text
    assert "The populations were not diagnosed." in page.text
    assert "No verdict was reached." in page.text
    assert "With no target label" in page.text
    assert {"labels", "populations"} & set(page.specs) == set()


@pytest.mark.usefixtures("quick")
def test_a_comparison_without_any_result_still_makes_a_page(make_result: MakeResult) -> None:
    whole = make_result(methods=["dann"], budgets=[100])
    page = Page(render(whole))
    assert "No method has a result." in page.text
    assert "failed for 3 of 3 seeds" in page.text
    bare = Result(
        {},
        pl.DataFrame(),
        pl.DataFrame(),
        {},
        {},
        np.array([0, 1], np.int8),
        {},
        {},
        {},
        pl.DataFrame(),
    )
    assert "No method has a result." in Page(render(bare)).text


@pytest.mark.usefixtures("quick")
def test_cross_validation_is_told(make_result: MakeResult) -> None:
    settings = {**make_result().settings, "mode": "cross-validation"}
    text = Page(render(make_result(settings=settings))).text
    assert "Test by cross-validation" in text
    assert "Test on held-out rows" not in text


def test_writing_replaces_whole_and_leaves_nothing_half_written(
    make_result: MakeResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = make_result(methods=["boosted_source"], budgets=[100])
    target = tmp_path / "new" / "report.html"
    assert write_report(result, target) == target
    old = target.read_text("utf-8")
    assert old.startswith("<!DOCTYPE html>")
    assert [p.name for p in target.parent.iterdir()] == ["report.html"]

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(
        ArtifactError, match=r"report '.*report\.html' cannot be written: .*No space"
    ):
        write_report(result, target)
    assert target.read_text("utf-8") == old
    assert [p.name for p in target.parent.iterdir()] == ["report.html"]


def test_a_missing_package_is_named_with_its_cure(
    make_result: MakeResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(MissingPackageError, match=r"'altair': pip install 'thinfile\[report\]'"):
        write_report(make_result(), tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_draws_every_chart(html: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html, "utf-8")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    flags += " --disable-background-networking --disable-component-update --disable-sync"
    command = [CHROMIUM or "", *flags.split(), f"--user-data-dir={tmp_path / 'profile'}"]
    command += [
        "--virtual-time-budget=20000",
        "--window-size=1200,900",
        "--dump-dom",
        path.as_uri(),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    dom = Page(shown.stdout)
    places = [a for a in dom.all("div") if "data-chart" in a]
    assert len(places) == 18
    assert [a.get("data-error") for a in places] == [None] * 18
    assert all("data-live" in a for a in places)
    assert sum("marks" in (a.get("class") or "").split() for a in dom.all("svg")) == 18
    assert not re.search(r">\s*(NaN|undefined|null)\s*<", shown.stdout)
    assert len(dom.all("button")) > 5
