"""The page of a purchase comparison: leaks first, groups apart, networks by their cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thinfile.compare.result import Result
from thinfile.intent.board import group_board
from thinfile.intent.result import IntentResult
from thinfile.report.figures.groups import learning_figure
from thinfile.report.intent import parts_of, write_intent_report
from thinfile.report.subject import subject_of

METHODS = ["boosted_aggregates", "best_column", "mean_bag", "cnn_lstm", "lstm"]
BUDGET = 1000
HOSTILE = "<script>alert(1)</script>"
SETTINGS: dict[str, Any] = {
    "kind": "intent",
    "plan": "time",
    "title": f"Who will buy {HOSTILE}?",
    "label": HOSTILE,
    "n_events": 10_000,
    "n_customers": 900,
    "horizon_days": 60.0,
    "gap_days": 7.0,
    "log_start": "2024-01-01",
    "log_end": "2025-01-01",
    **{f"n_{part}": 500 for part in ("train", "validation", "test")},
    **{f"{part}_rate": 0.07 for part in ("train", "validation", "test")},
    **{f"{part}_cuts": ["2024-07-01"] for part in ("train", "validation", "test")},
    "seeds": [0, 1, 2],
    "level": 0.95,
    "created": "2026-03-01T09:30:00+00:00",
    "notes": [f"column {HOSTILE!r} is odd"],
}


def history(pace: float) -> list[dict[str, Any]]:
    return [
        {"epoch": k, "cpu_seconds": pace * k, "metrics": {"validation_auc": 1 - 0.4 / k}}
        for k in range(1, 6)
    ]


def finding(*, flagged: bool) -> dict[str, Any]:
    return {
        "probe": "single column",
        "subject": HOSTILE,
        "value": 0.99 if flagged else 0.7,
        "limit": 0.95,
        "flagged": flagged,
        "words": f"{HOSTILE} alone knows the answer.",
    }


def make(make_result: Callable[..., Result], *, flagged: bool = False) -> IntentResult:
    verdict = {
        "choice": "boosted_aggregates",
        "budget": BUDGET,
        "headline": "No deep method pays.",
        "sentences": ["No better than Boosted trees on aggregates: LSTM."],
        "warnings": [],
        "flagged": flagged,
    }
    result = make_result(
        methods=METHODS,
        budgets=[BUDGET],
        n_test=600,
        settings=SETTINGS,
        verdict=verdict,
        diagnosis={},
        histories={("cnn_lstm", BUDGET): history(1.0), ("lstm", BUDGET): history(4.0)},
        probes=[finding(flagged=flagged)],
    )
    past = np.random.default_rng(0).random(600) < 0.5
    return IntentResult(result, group_board(result.test_y, result.test_scores, past))


def test_the_page_is_whole_and_hostile_names_stay_text(
    make_result: Callable[..., Result], tmp_path: Path
) -> None:
    page = write_intent_report(make(make_result), tmp_path / "new" / "report.html").read_text()
    assert HOSTILE not in page
    assert page.count("<section") >= 7
    assert "http" not in page.split("</style>")[1].split("<script")[0]
    for heading in ("Verdict", "Leaderboard", "Leak probes", "How it was measured"):
        assert f"{heading}</h2>" in page


def test_leaks_stand_first_where_any_is_flagged(make_result: Callable[..., Result]) -> None:
    calm, leaky = make(make_result), make(make_result, flagged=True)
    names = [[part.name for part in parts_of(r, subject_of(r.result))] for r in (calm, leaky)]
    assert names[0][0] == "verdict"
    assert names[0][-2:] == ["leaks", "protocol"]
    assert names[1][0] == "leaks"


def test_each_group_has_a_table_with_its_own_size(make_result: Callable[..., Result]) -> None:
    result = make(make_result)
    parts = {part.name: part for part in parts_of(result, subject_of(result.result))}
    tables = parts["groups"].tables
    assert len(tables) == 3
    sizes = result.groups.unique("group", maintain_order=True)["n"].to_list()
    assert sizes[1] + sizes[2] == sizes[0] == 600
    for table, size in zip(tables, sizes, strict=True):
        assert f"{size} later customers" in table.caption
        assert len(table.rows) == len(METHODS)


def test_networks_are_drawn_by_what_they_cost() -> None:
    figure = learning_figure(
        {"cnn_lstm": history(1.0), "lstm": history(4.0), "none": [{"epoch": 1}]},
        {"cnn_lstm": "CNN + LSTM", "lstm": "LSTM", "none": "Nothing"},
    )
    assert figure is not None
    assert "CNN + LSTM 0.920 after 5.0 s" in figure.alt
    assert "LSTM 0.920 after 20.0 s" in figure.alt
    assert learning_figure({"none": [{"epoch": 1}]}, {"none": "Nothing"}) is None


@pytest.mark.parametrize("gap", [0.0, 7.0])
def test_the_protocol_says_what_was_done(make_result: Callable[..., Result], gap: float) -> None:
    result = make(make_result)
    result.result.settings["gap_days"] = gap
    parts = {part.name: part for part in parts_of(result, subject_of(result.result))}
    text = " ".join(parts["protocol"].sections[0].sentences)
    assert "10,000 events of 900 customers" in text
    assert ("begin 7 days after the cut" in text) == (gap == 7.0)
    assert "Test: 500 rows, cut at 2024-07-01, 7.0% buy." in text
