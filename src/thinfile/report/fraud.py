"""The page of a comparison for rare events."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from thinfile.artifact.folder import load
from thinfile.compare.result import Result
from thinfile.errors import ThinfileError
from thinfile.fraud.suspects import LABEL, ROW, SCORE, load_suspects
from thinfile.report.figures.alerts import alert_figures
from thinfile.report.figures.budgets import budget_figure
from thinfile.report.figures.figure import Figure
from thinfile.report.figures.reconstruction import UNUSUAL_FROM, row_figure
from thinfile.report.figures.training import training_figures
from thinfile.report.figures.watched import watched_figure
from thinfile.report.page import fill, require_packages, write_page
from thinfile.report.parts import Fact, Folded, Part, created, leak_parts, protocol_part
from thinfile.report.shares import n_alerts, on_ceilings, percents, share_interval
from thinfile.report.subject import Row, Subject, is_number
from thinfile.report.tables import Table, failures, number, words
from thinfile.report.words import count, duration, interval, percent, three

MEASURES = {"ap": "AP", "recall": "Recall", "precision": "Precision", "auc": "AUC"}
AUTOENCODER = "autoencoder"
"""Model of a run's folder that shows what is unusual in a row."""
UNUSUAL = "What is unusual in the most suspicious rows"
MAX_SUSPECTS = 3
TOLD_COLUMNS = 3


def write_fraud_report(
    result: Result, run: str | os.PathLike[str], path: str | os.PathLike[str]
) -> Path:
    """Write the report of a comparison for rare events as one HTML page that loads nothing.

    Parameters
    ----------
    result
        A finished comparison.
    run
        Its folder. What it holds of an autoencoder and of the most suspicious rows is shown too.
    path
        File to write; its folder is made. A page that is there is replaced whole or not at all.

    Raises
    ------
    MissingPackageError
        If altair, vl-convert or jinja2 is not installed.
    ArtifactError
        If the file cannot be written.
    """
    require_packages()
    subject = fraud_subject(result)
    parts = parts_of(subject, Path(run))
    return write_page(fill(parts, str(result.settings["title"]), created(subject)), path)


def fraud_subject(result: Result) -> Subject:
    """The comparison at the budget of its verdict; methods by average precision."""
    rows = result.leaderboard.to_dicts()
    budget = int(result.verdict["budget"])
    here = [row for row in rows if row["budget"] == budget]
    return Subject(
        result=result,
        budget=budget,
        choice=result.verdict.get("choice"),
        board=sorted(
            (row for row in here if is_number(row["ap"])), key=lambda r: (-r["ap"], r["method"])
        ),
        failed=[row for row in here if not is_number(row["ap"])],
        titles={row["method"]: str(row["title"]) for row in rows},
    )


def parts_of(subject: Subject, run: Path) -> list[Part]:
    """Every part of the page; the leak probes come first where one of them is raised."""
    leaks = leak_parts(subject.result.probes)
    is_flagged = bool(subject.result.verdict.get("flagged"))
    parts = [
        *(leaks if is_flagged else []),
        _verdict(subject),
        _leaderboard(subject),
        _alerts(subject),
        _unusual(subject, run),
        _training(subject),
        *([] if is_flagged else leaks),
        protocol_part(subject, protocol_sentences(subject.result.settings), notes_on="the table"),
    ]
    return [part for part in parts if part is not None]


# Verdict and leaderboard --------------------------------------------------------------------


def _verdict(subject: Subject) -> Part:
    verdict = subject.result.verdict
    return Part(
        "verdict",
        "Verdict",
        headline=str(verdict["headline"]),
        sentences=[str(text) for text in verdict.get("sentences") or []],
        facts=_facts(subject),
        warnings=[str(text) for text in verdict.get("warnings") or []],
    )


def _facts(subject: Subject) -> list[Fact]:
    row, settings = subject.chosen, subject.result.settings
    n_events = int(subject.result.test_y.sum())
    if row is None:
        return []
    return [
        Fact(
            f"Average precision of {subject.title(row['method'])}",
            three(row["ap"]),
            share_interval(row, "ap"),
        ),
        Fact(
            f"Frauds among the first {count(n_alerts(subject))} alerts",
            percent(row["recall"]),
            percents(subject, row, "recall"),
        ),
        Fact(
            f"Alerts right, of {count(settings['top'])}",
            percent(row["precision"]),
            percents(subject, row, "precision"),
        ),
        Fact("Labelled frauds used", count(subject.budget)),
        Fact(
            "Later rows tested" if settings.get("time") else "Rows tested",
            count(len(subject.result.test_y)),
            f"{count(n_events)} frauds ({_rare(n_events / len(subject.result.test_y))})",
        ),
    ]


def _rare(share: float) -> str:
    """A share that may be far below one in a hundred."""
    return f"{100 * share:.2g}%" if share < 0.01 else percent(share)


def _leaderboard(subject: Subject) -> Part:
    rows = [r for r in subject.result.leaderboard.to_dicts() if is_number(r["ap"])]
    boards = {
        budget: [row for row in rows if row["budget"] == budget]
        for budget in sorted({row["budget"] for row in rows})
    }
    others = [b for b in sorted(boards, reverse=True) if b != subject.budget]
    return Part(
        "leaderboard",
        "Leaderboard",
        sentences=[
            "Every method saw the same labelled rows and was measured on the same later ones."
            if subject.result.settings.get("time")
            else "Every method saw the same labelled rows and was measured on the same others."
        ],
        figures=[budget_figure(boards, subject.titles)],
        failures=failures(subject),
        tables=[_table(subject, boards[subject.budget], subject.budget)],
        folded=[
            Folded(f"With {count(b)} labelled frauds", _table(subject, boards[b], b))
            for b in others
        ],
    )


def _table(subject: Subject, rows: Sequence[Row], budget: int) -> Table:
    settings = subject.result.settings
    board = sorted(rows, key=lambda row: -row["ap"])
    genuine = settings["n_genuine"][str(budget)]
    return Table(
        f"With {count(budget)} labelled frauds and {count(genuine)} labelled genuine rows. Recall: "
        f"share of the frauds among the first {count(n_alerts(subject))} alerts. Precision: share "
        f"of frauds among the first {count(settings['top'])}. The difference is in AP, paired with "
        f"the best baseline.{on_ceilings(subject)}",
        ["Method", *MEASURES.values(), "Difference", "Draws", "CPU s"],
        [_table_row(subject, row) for row in board],
        frozenset(i for i, row in enumerate(board) if row.get("chosen")),
        sortable=True,
    )


def _table_row(subject: Subject, row: Row) -> list[Any]:
    notes = [str(row["family"]), *(["chosen"] if row.get("chosen") else [])]
    draws = f"{three(row['worst'])}…{three(row['best'])}"
    difference = interval(row["difference_low"], row["difference_high"], sign=True)
    is_best = bool(row["is_reference"])
    return [
        words(subject.title(row["method"]), ", ".join(notes)),
        *(number(three(row[m]), row[m], share_interval(row, m)) for m in MEASURES),
        words("best baseline")
        if is_best
        else number(three(row["difference"], sign=True), row["difference"], difference),
        number(draws if row["n_seeds"] > 1 else "–", row["worst"]),
        number(duration(row.get("cpu_seconds")), row.get("cpu_seconds")),
    ]


def _alerts(subject: Subject) -> Part | None:
    figures, keys = alert_figures(subject, subject.result.settings["alerts"])
    if not figures:
        return None
    shown = (
        f"With {count(subject.budget)} labelled frauds: the chosen method, the best baseline and "
        "the best of each family; means over the draws of labels."
    )
    return Part("alerts", "What alerts find", sentences=[shown], legend=keys, figures=figures)


# What is unusual ----------------------------------------------------------------------------


def _unusual(subject: Subject, run: Path) -> Part | None:
    suspects = load_suspects(run)
    if suspects is None or not suspects.height or not (run / AUTOENCODER).exists():
        return None
    shown = suspects.head(MAX_SUSPECTS)
    features = shown.drop(ROW, SCORE, LABEL)
    try:
        model = load(run / AUTOENCODER)
        explained = model.explain(features, n=TOLD_COLUMNS)
        figures = [
            _titled(
                row_figure(
                    model, features, place, name=f"unusual-{place + 1}", how_to_read=place == 0
                ),
                told,
                [name for name in features.columns if name not in model.schema_.features],
            )
            for place, told in enumerate(shown.to_dicts())
        ]
    except ThinfileError:  # a page without this part is better than none
        return Part(
            "unusual",
            UNUSUAL,
            sentences=["Not shown: the autoencoder in the run's folder cannot be used."],
        )
    return Part(
        "unusual",
        UNUSUAL,
        sentences=[
            f"The {count(shown.height)} test rows that {subject.title(str(subject.choice))} "
            "suspects most, as an autoencoder of the training rows sees them. It was told of no "
            "fraud when it learnt what is usual: it says where a row is out of the ordinary, and "
            "not why it is suspected. Rows are counted from 0."
        ],
        figures=figures,
        tables=[_unusual_table(shown, explained)],
    )


def _titled(figure: Figure, told: Row, names: Sequence[str]) -> Figure:
    """With the row's ids and time, by which a person finds it again."""
    kind = "a fraud" if told[LABEL] == 1 else "genuine"
    known = ", ".join(f"{name} {told[name]}" for name in names)
    row = f"Row {count(told[ROW])}" + (f" ({known})" if known else "")
    return replace(figure, title=f"{row}: score {three(told[SCORE])}, in truth {kind}")


def _unusual_table(shown: pl.DataFrame, explained: pl.DataFrame) -> Table:
    rows = []
    for place, told in enumerate(shown.to_dicts()):
        for line in explained.filter(pl.col("row") == place).to_dicts():
            rows.append(
                [
                    words(count(told[ROW]), "fraud" if told[LABEL] == 1 else "genuine"),
                    number(three(told[SCORE]), told[SCORE]),
                    words(line["column"]),
                    words(line["value"]),
                    words(line["expected"]),
                    number(f"{line['error']:,.1f}", line["error"]),
                ]
            )
    return Table(
        "The columns of each row that come back worst. The error is in units of the column's "
        f"usual error: 1 is usual, from {UNUSUAL_FROM:g} on a column is out of the ordinary.",
        ["Row", "Score", "Column", "Value", "Expected", "Error"],
        rows,
    )


# Training and protocol ----------------------------------------------------------------------


def _training(subject: Subject) -> Part | None:
    histories = {
        subject.title(method): history
        for (method, budget), history in subject.result.histories.items()
        if budget == subject.budget
    }
    watched = watched_figure(histories)
    figures = [*([watched] if watched else []), *training_figures(subject)]
    if not figures:
        return None
    return Part(
        "training",
        "How the networks were trained",
        sentences=[
            "The first draw of labels. No test row is among what is followed here; a curve that "
            "rises and falls to nothing is a network that has collapsed."
        ],
        figures=figures,
    )


def protocol_sentences(settings: Mapping[str, Any]) -> list[str]:
    """What was trained on what, how it was tested, where the intervals come from."""
    budgets = settings["budgets"]
    few, many = (settings["n_genuine"][str(b)] for b in (budgets[0], budgets[-1]))
    genuine = count(few) if few == many else f"{count(few)} to {count(many)}"
    return [
        f"Table: {count(settings['n_train'])} rows to train on with "
        f"{count(settings['n_train_frauds'])} frauds, {count(settings['n_test'])} to test on with "
        f"{count(settings['n_test_frauds'])}. The label is “{settings['label']}”.",
        f"Tested are the latest rows by “{settings['time']}”, which is no column of any model."
        if settings.get("time")
        else "Tested are rows drawn at random, by class.",
        f"Of the training rows {', '.join(count(b) for b in budgets)} frauds and {genuine} genuine "
        "rows keep their label; the rest are given without one. All methods get the same.",
        f"Labels are drawn {count(len(settings['seeds']))} times. Figures are means over the "
        f"draws; intervals hold {100 * settings['level']:.0f}% and come from a bootstrap over test "
        "rows and draws. Differences are paired.",
        "The method is chosen by average precision on labelled training rows, out of fold, "
        "without a look at the test rows.",
    ]
