from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from thinfile.compare.result import Result
from thinfile.report import page as page_module
from thinfile.report.page import render
from thinfile.report.parts import leak_parts, parts_of
from thinfile.report.subject import subject_of

HOSTILE = "<script>alert(1)</script>"
CALM = {
    "probe": "single column",
    "subject": "age",
    "value": 0.7031,
    "limit": 0.95,
    "flagged": False,
    "words": "The strongest of 5 columns is 'age' with AUC 0.703.",
}
LEAK = CALM | {
    "subject": HOSTILE,
    "value": 0.997,
    "flagged": True,
    "words": f"Column '{HOSTILE}' alone tells the two outcomes apart.",
}
PLAN = {
    "probe": "sampling plan",
    "subject": "order in time",
    "value": None,
    "limit": None,
    "flagged": False,
    "words": "Training, validation and test follow each other in time.",
}
MakeResult = Callable[..., Result]


@pytest.fixture
def result(make_result: MakeResult) -> Callable[[list[dict[str, Any]]], Result]:
    return lambda probes: make_result(
        methods=["boosted_pooled", "boosted_source", "dan"], n_columns=4, probes=probes
    )


def test_a_leak_stands_at_the_very_top(result: Callable[..., Result]) -> None:
    parts = parts_of(subject_of(result([CALM, LEAK, PLAN])))
    assert [part.name for part in parts[:2]] == ["leaks", "verdict"]
    (leak, *_) = parts
    assert leak.title == "Leak suspected"
    assert leak.headline.startswith("Do not trust the figures")
    assert list(leak.warnings) == [LEAK["words"]]
    (table,) = leak.tables
    assert table.strong == {1}
    assert [cell.text for cell in table.rows[1][:4]] == ["single column", HOSTILE, "0.997", "0.95"]
    assert [cell.text for cell in table.rows[2][1:4]] == ["order in time", "–", ""]


def test_without_a_leak_a_short_part_says_what_was_checked(result: Callable[..., Result]) -> None:
    parts = parts_of(subject_of(result([CALM, PLAN])))
    names = [part.name for part in parts]
    assert names[0] == "verdict"
    assert names.index("leaks") > names.index("card")
    part = parts[names.index("leaks")]
    assert part.sentences == ["Leak probes: 2 checked, none raised."]
    assert not part.warnings


def test_a_run_without_probes_has_no_such_part(result: Callable[..., Result]) -> None:
    assert leak_parts([]) == []
    assert "leaks" not in [part.name for part in parts_of(subject_of(result([])))]


def test_the_page_shows_the_words_and_runs_no_foreign_script(
    result: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "_picture", lambda spec: "data:,")
    monkeypatch.setattr(page_module, "_library", lambda: "")
    html = render(result([LEAK]))
    assert "Leak suspected" in html
    assert html.index('id="leaks"') < html.index('id="verdict"')
    assert HOSTILE not in html
