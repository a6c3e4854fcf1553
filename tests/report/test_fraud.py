"""The page of a fraud comparison: budgets side by side, alerts, and what is unusual in a row."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve

from thinfile.artifact.folder import save
from thinfile.compare.result import Result
from thinfile.fraud.board import fraud_board
from thinfile.fraud.result import label_curve
from thinfile.fraud.suspects import LABEL, ROW, SCORE, SUSPECTS, load_suspects
from thinfile.generative.autoencoder import Autoencoder
from thinfile.report.figures.alerts import found_by_alerts, precision_by_recall
from thinfile.report.figures.budgets import budget_figure
from thinfile.report.fraud import fraud_subject, parts_of, write_fraud_report
from thinfile.report.shares import ceiling, n_alerts

METHODS = ["boosted", "isolation_forest", "devnet", "sgan"]
BUDGETS = [10, 50]
N = 2000
HOSTILE = "<script>alert(1)</script>"
SETTINGS: dict[str, Any] = {
    "kind": "fraud",
    "title": f"cards {HOSTILE}",
    "label": HOSTILE,
    "time": "when",
    "n_train": 8000,
    "n_train_frauds": 90,
    "n_test": N,
    "n_test_frauds": 40,
    "rate": 0.02,
    "budgets": BUDGETS,
    "n_genuine": {"10": 1000, "50": 1000},
    "alerts": 0.01,
    "top": 50,
    "seeds": [0, 1],
    "methods": METHODS,
    "level": 0.95,
    "created": "2026-03-01T09:30:00+00:00",
    "notes": [f"column {HOSTILE!r} is odd"],
    "versions": {"thinfile": "1"},
}
HISTORY = [
    {"epoch": k, "step": 10 * k, "total": 1 / k, "validation_ap": 0.5 + k / 100}
    for k in range(1, 6)
]


def make(*, flagged: bool = False) -> Result:
    rng = np.random.default_rng(0)
    y = (np.arange(N) % 50 == 0).astype(np.int8)
    scores = {
        (method, budget): 1 / (1 + np.exp(4 - rng.normal(size=(2, N)) - skill * 2 * y))
        for skill, method in enumerate(METHODS)
        for budget in BUDGETS
    }
    board = fraud_board(y, scores, alerts=0.01, top=50)
    board = board.with_columns(
        chosen=pl.col("method") == "sgan", cpu_seconds=1.0, selection=pl.lit(None)
    )
    verdict = {
        "choice": "sgan",
        "budget": 50,
        "headline": "Build on the SGAN.",
        "sentences": ["It finds half of them."],
        "warnings": ["The test rows hold 40 frauds."],
        "flagged": flagged,
    }
    probe = {
        "probe": "single column",
        "subject": HOSTILE,
        "value": 0.99 if flagged else 0.7,
        "limit": 0.95,
        "flagged": flagged,
        "words": f"{HOSTILE} alone knows the answer.",
    }
    cells = pl.DataFrame(
        {"method": METHODS, "budget": [50] * 4, "seed": [0] * 4, "status": ["ok"] * 4}
    ).with_columns(auc=0.9, error=pl.lit(None), ap=0.5)
    return Result(
        settings=SETTINGS,
        cells=cells,
        leaderboard=board,
        verdict=verdict,
        diagnosis={},
        test_y=y,
        test_scores=scores,
        source_scores={},
        histories={("sgan", 50): HISTORY, ("devnet", 10): HISTORY},
        label_curve=label_curve(board),
        probes=[probe],
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with an autoencoder and two suspects."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    X = pl.DataFrame({"amount": rng.lognormal(size=300), "shop": rng.choice(["a", "b"], 300)})
    save(Autoencoder(max_epochs=1, random_state=0).fit(X), folder / "autoencoder")
    told = pl.DataFrame(
        {ROW: [1234, 5], SCORE: [0.987, 0.9], LABEL: [1, 0], "payment": ["p7", HOSTILE]}
    )
    few = pl.DataFrame({"amount": [900.0, 1.0], "shop": [HOSTILE, "b"]})
    pl.concat([told, few], how="horizontal").write_parquet(folder / SUSPECTS)
    return folder


def test_the_page_has_its_parts_and_no_script_of_the_data(run: Path, tmp_path: Path) -> None:
    page = write_fraud_report(make(), run, tmp_path / "report.html").read_text()
    assert HOSTILE not in page
    for name in ("verdict", "leaderboard", "alerts", "unusual", "training", "leaks", "protocol"):
        assert f'<section id="{name}"' in page


def test_a_leak_comes_first(run: Path) -> None:
    parts = parts_of(fraud_subject(make(flagged=True)), run)
    assert [part.name for part in parts[:2]] == ["leaks", "verdict"]


def test_methods_are_ordered_by_average_precision() -> None:
    subject = fraud_subject(make())
    values = [row["ap"] for row in subject.board]
    assert values == sorted(values, reverse=True)
    assert subject.best_baseline is not None
    baselines = [row for row in subject.board if row["family"] == "baseline"]
    assert subject.best_baseline["ap"] == max(row["ap"] for row in baselines)


def test_a_table_for_every_budget(tmp_path: Path) -> None:
    board = next(p for p in parts_of(fraud_subject(make()), tmp_path) if p.name == "leaderboard")
    assert board.tables[0].caption.startswith("With 50 labelled frauds and 1,000 labelled genuine")
    assert "first 20 alerts" in board.tables[0].caption
    assert [folded.title for folded in board.folded] == ["With 10 labelled frauds"]
    assert len(board.tables[0].rows) == len(METHODS)


def test_facts_name_alerts_and_frauds(tmp_path: Path) -> None:
    subject = fraud_subject(make())
    verdict = next(p for p in parts_of(subject, tmp_path) if p.name == "verdict")
    assert n_alerts(subject) == 20
    assert [fact.name for fact in verdict.facts] == [
        "Average precision of SGAN",
        "Frauds among the first 20 alerts",
        "Alerts right, of 50",
        "Labelled frauds used",
        "Later rows tested",
    ]
    assert verdict.facts[-1].note == "40 frauds (2.0%)"


def test_what_so_many_alerts_can_find_is_said(tmp_path: Path) -> None:
    subject = fraud_subject(make())  # 20 alerts for 40 frauds, 40 frauds for 50 alerts
    assert (ceiling(subject, "recall"), ceiling(subject, "precision")) == (0.5, 0.8)
    verdict, board = (
        next(p for p in parts_of(subject, tmp_path) if p.name == name)
        for name in ("verdict", "leaderboard")
    )
    assert verdict.facts[1].note.endswith("; 50.0% is the most possible")
    assert verdict.facts[2].note.endswith("; 80.0% is the most possible")
    assert board.tables[0].caption.endswith(
        "20 alerts can find at most 50.0% of 40 frauds and at most 80.0% of 50 alerts can be "
        "frauds: intervals, which come from test rows drawn again with more frauds or fewer, are "
        "cut there."
    )


def test_where_alerts_suffice_nothing_is_said_of_a_ceiling(tmp_path: Path) -> None:
    result = make()
    settings = result.settings | {"alerts": 0.1, "top": 40}
    board = next(
        p
        for p in parts_of(fraud_subject(replace(result, settings=settings)), tmp_path)
        if p.name == "leaderboard"
    )
    assert board.tables[0].caption.endswith("paired with the best baseline.")


def test_suspects_are_shown_with_what_was_expected(run: Path) -> None:
    part = next(p for p in parts_of(fraud_subject(make()), run) if p.name == "unusual")
    assert [figure.title for figure in part.figures] == [
        "Row 1,234 (payment p7): score 0.987, in truth a fraud",
        f"Row 5 (payment {HOSTILE}): score 0.900, in truth genuine",
    ]
    first = [cell.text for cell in part.tables[0].rows[0]]
    assert first[:4] == ["1,234", "0.987", "amount", "900"]
    assert all(re.fullmatch(r"[\d,]+\.\d", row[-1].text) for row in part.tables[0].rows)
    first_caption, second_caption = (figure.caption for figure in part.figures)
    nothing = "No column is out of the ordinary: the largest error is that of "
    assert first_caption.startswith(f"{nothing}amount, 1.")
    assert "Below: the error of every column; 1 is usual, and from 10 on" in first_caption
    assert second_caption.startswith(nothing)
    assert "Below:" not in second_caption


def test_without_suspects_or_autoencoder_the_part_is_left_out(run: Path, tmp_path: Path) -> None:
    assert load_suspects(tmp_path) is None
    (tmp_path / SUSPECTS).write_bytes((run / SUSPECTS).read_bytes())
    assert "unusual" not in [part.name for part in parts_of(fraud_subject(make()), tmp_path)]


def test_a_damaged_autoencoder_does_not_cost_the_page(run: Path, tmp_path: Path) -> None:
    (tmp_path / SUSPECTS).write_bytes((run / SUSPECTS).read_bytes())
    (tmp_path / "autoencoder").mkdir()
    part = next(p for p in parts_of(fraud_subject(make()), tmp_path) if p.name == "unusual")
    assert part.sentences[0].startswith("Not shown: ")


def test_validation_is_followed_over_steps(tmp_path: Path) -> None:
    part = next(p for p in parts_of(fraud_subject(make()), tmp_path) if p.name == "training")
    assert part.figures[0].title == "Followed on labels held back"
    assert part.figures[0].alt == "Average precision: SGAN best 0.550, at the end 0.550."


def test_budgets_stand_side_by_side_in_one_order() -> None:
    rows = make().leaderboard.to_dicts()
    boards = {b: [row for row in rows if row["budget"] == b] for b in BUDGETS}
    spec = budget_figure(boards, {row["method"]: row["title"] for row in rows}).live
    orders = [panel["layer"][1]["encoding"]["y"]["sort"] for panel in spec["hconcat"]]
    assert orders[0] == orders[1]
    assert set(orders[0]) == {row["title"] for row in rows}


# Curves -------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(2, 60), n_events=st.integers(1, 10), ties=st.booleans(), seed=st.integers(0, 99)
)
def test_precision_at_a_recall_is_the_best_beyond_it(
    n: int, n_events: int, ties: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    y = (rng.permutation(n) < min(n_events, n - 1)).astype(np.int8)
    scores = rng.normal(size=n).round(0 if ties else 6)
    precision, recall, _ = precision_recall_curve(y, scores)
    grid, found = precision_by_recall(y, scores[None])
    expected = [precision[:-1][recall[:-1] >= r - 1e-9].max() for r in grid]
    np.testing.assert_allclose(found, expected)


def test_found_by_alerts_counts() -> None:
    y = np.array([1, 0, 1, 0, 0], dtype=np.int8)
    scores = np.array([[0.9, 0.8, 0.7, 0.2, 0.1]])
    found = found_by_alerts(y, scores, np.array([1, 2, 3, 5]))
    assert found.tolist() == [0.5, 0.5, 1.0, 1.0]


def test_alerts_among_equal_scores_find_their_share() -> None:
    y = np.array([1, 0, 0, 0], dtype=np.int8)
    assert found_by_alerts(y, np.ones((1, 4)), np.array([1, 2])).tolist() == [0.25, 0.5]
