"""The page of a purchase comparison."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from thinfile.intent.board import ALL, GROUPS
from thinfile.intent.result import IntentResult
from thinfile.report.figures.groups import group_figure, group_table, learning_figure
from thinfile.report.figures.leaderboard import (
    difference_figure,
    label_curve_figure,
    leaderboard_figure,
)
from thinfile.report.figures.probability import calibration_figure, distribution_figures
from thinfile.report.figures.ranking import ranking_figures
from thinfile.report.figures.training import training_figures
from thinfile.report.page import fill, require_packages, write_page
from thinfile.report.parts import Fact, Part, created, leak_parts, protocol_part
from thinfile.report.subject import Row, Subject, subject_of
from thinfile.report.tables import failures
from thinfile.report.words import count, interval, listing, percent, three


def write_intent_report(result: IntentResult, path: str | os.PathLike[str]) -> Path:
    """Write the report of a purchase comparison as one HTML page that loads nothing.

    Parameters
    ----------
    result
        A finished comparison.
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
    subject = subject_of(result.result)
    page = fill(parts_of(result, subject), result.result.settings["title"], created(subject))
    return write_page(page, path)


def parts_of(result: IntentResult, subject: Subject) -> list[Part]:
    """Every part of the page; the leak probes come first where one of them is raised."""
    leaks = leak_parts(result.probes)
    is_flagged = bool(result.verdict["flagged"])
    parts = [
        *(leaks if is_flagged else []),
        _verdict(result, subject),
        _leaderboard(subject),
        _groups(result, subject),
        _labels(subject),
        _ranking(subject),
        _probability(subject),
        _training(subject),
        *([] if is_flagged else leaks),
        protocol_part(subject, _protocol_sentences(subject.result.settings), notes_on="the log"),
    ]
    return [part for part in parts if part is not None]


def _verdict(result: IntentResult, subject: Subject) -> Part:
    verdict = result.verdict
    return Part(
        "verdict",
        "Verdict",
        headline=verdict["headline"],
        sentences=verdict["sentences"],
        facts=_facts(result, subject),
        warnings=verdict["warnings"],
    )


def _facts(result: IntentResult, subject: Subject) -> list[Fact]:
    row = next((r for r in _rows(result, subject, ALL) if r["method"] == subject.choice), None)
    if row is None:
        return []
    return [
        Fact(
            f"AUC of {row['title']}",
            three(row["auc"]),
            interval(row["auc_low"], row["auc_high"]),
        ),
        Fact(
            f"Buyers among the top {count(row['k'])}",
            percent(row["precision"]),
            f"{percent(row['precision_low'])}…{percent(row['precision_high'])}",
        ),
        Fact("Lift there", f"{row['lift']:.1f}", f"{row['lift_low']:.1f}…{row['lift_high']:.1f}"),
        Fact("Labels used", count(subject.budget)),
        Fact(
            "Later customers",
            count(row["n"]),
            f"{count(row['n_events'])} buyers ({percent(row['rate'])})",
        ),
    ]


def _rows(result: IntentResult, subject: Subject, group: str) -> list[Row]:
    rows = result.groups.to_dicts()
    return [row for row in rows if (row["group"], row["budget"]) == (group, subject.budget)]


def _leaderboard(subject: Subject) -> Part:
    figures = [leaderboard_figure(subject), difference_figure(subject)]
    return Part(
        "leaderboard",
        "Leaderboard",
        sentences=[
            f"Trained on {count(subject.budget)} labelled rows of earlier customers, measured on "
            "the same later customers for all."
        ],
        figures=[figure for figure in figures if figure is not None],
        failures=failures(subject),
    )


def _groups(result: IntentResult, subject: Subject) -> Part:
    boards = {group: _rows(result, subject, group) for group in GROUPS}
    shown = {group: rows for group, rows in boards.items() if rows}
    figure = group_figure(
        [row for group, rows in shown.items() if group != ALL for row in rows], subject.titles
    )
    return Part(
        "groups",
        "All, past buyers, and those who never bought",
        sentences=_rate_sentence(subject),
        figures=[figure] if figure else [],
        tables=[group_table(rows, subject.titles, subject.choice) for rows in shown.values()],
    )


def _rate_sentence(subject: Subject) -> list[str]:
    if str(subject.result.settings.get("plan", "")).startswith("literal"):
        return ["The test rows were sampled: these are not the rates that a campaign will meet."]
    return ["All figures are at the true base rate."]


def _labels(subject: Subject) -> Part | None:
    figure = label_curve_figure(subject)
    return Part("labels", "Value of labels", figures=[figure]) if figure else None


def _ranking(subject: Subject) -> Part | None:
    figures, keys = ranking_figures(subject)
    if not figures:
        return None
    shown = "The chosen method, the best baseline and the best of each family; means over seeds."
    return Part("ranking", "How well it ranks", sentences=[shown], legend=keys, figures=figures)


def _probability(subject: Subject) -> Part | None:
    figures = [calibration_figure(subject), *distribution_figures(subject)]
    kept = [figure for figure in figures if figure is not None]
    return Part("probability", "What its probabilities say", figures=kept) if kept else None


def _training(subject: Subject) -> Part | None:
    mine = {m: h for (m, b), h in subject.result.histories.items() if b == subject.budget}
    learning = learning_figure(mine, subject.titles)
    figures = [*([learning] if learning else []), *training_figures(subject)]
    if not figures:
        return None
    return Part("training", "How the networks were trained", figures=figures)


def _protocol_sentences(settings: dict[str, Any]) -> list[str]:
    horizon, gap = settings["horizon_days"], settings["gap_days"]
    window = f"{horizon:g} days" + (f" that begin {gap:g} days after the cut" if gap else "")
    return [
        f"Log: {count(settings['n_events'])} events of {count(settings['n_customers'])} customers, "
        f"{settings['log_start']} to {settings['log_end']}.",
        f"A row is a customer at a cut: columns come from events strictly before it, the label "
        f"says whether the customer buys in the {window} after it.",
        *(_part_sentence(settings, name) for name in ("train", "validation", "test")),
        _fits_sentence(settings),
        f"Figures are means over {len(settings['seeds'])} seeds; intervals hold "
        f"{100 * settings['level']:.0f}% and come from a bootstrap over test customers and seeds. "
        "Differences are paired.",
    ]


def _fits_sentence(settings: dict[str, Any]) -> str:
    if settings["plan"] == "time":
        return (
            "Label windows of one part end before the cut of the next. Every method is fitted "
            "twice: on the training rows, to be chosen and calibrated on the validation rows; and "
            "on both, to be measured on the test rows."
        )
    return (
        "Every method is fitted on the training rows, chosen and calibrated on the validation rows "
        "and measured on the test rows."
    )


def _part_sentence(settings: dict[str, Any], name: str) -> str:
    cuts = settings[f"{name}_cuts"]
    shown = listing(cuts[:4]) if len(cuts) <= 4 else f"{cuts[0]} to {cuts[-1]}, {len(cuts)} days"
    return (
        f"{name.capitalize()}: {count(settings[f'n_{name}'])} rows, cut at {shown}, "
        f"{percent(settings[f'{name}_rate'])} buy."
    )
