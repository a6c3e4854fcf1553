"""The parts of the page in their order, and what each holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from thinfile._version import __version__
from thinfile.report.card import Section, card_sections
from thinfile.report.diagnosis import diagnosis_part
from thinfile.report.figures.figure import Figure, Key
from thinfile.report.figures.leaderboard import (
    difference_figure,
    label_curve_figure,
    leaderboard_figure,
)
from thinfile.report.figures.probability import calibration_figure, distribution_figures
from thinfile.report.figures.ranking import ranking_figures
from thinfile.report.figures.training import training_figures
from thinfile.report.protocol import (
    chance_note,
    protocol_sentences,
    settings_pairs,
    versions,
)
from thinfile.report.subject import Subject, is_number
from thinfile.report.tables import (
    Failure,
    Table,
    failures,
    leaderboard_table,
    probe_table,
)
from thinfile.report.words import count, interval, percent, spoken, three

MAX_FINDINGS = 12


@dataclass(frozen=True)
class Fact:
    """A figure to be seen from afar."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Folded:
    """A table that opens when asked."""

    title: str
    table: Table


@dataclass(frozen=True)
class Part:
    """A section of the page; what is empty is not shown."""

    name: str
    title: str
    headline: str = ""
    sentences: Sequence[str] = ()
    facts: Sequence[Fact] = ()
    warnings: Sequence[str] = ()
    legend: Sequence[Key] = ()
    figures: Sequence[Figure] = ()
    failures: Sequence[Failure] = ()
    tables: Sequence[Table] = ()
    folded: Sequence[Folded] = ()
    sections: Sequence[Section] = ()


def parts_of(subject: Subject) -> list[Part]:
    """Every part of the page that there is something to say in."""
    leaks = leak_parts(subject.result.probes)
    is_flagged = any(found["flagged"] for found in subject.result.probes)
    return [
        *(leaks if is_flagged else []),
        _verdict(subject),
        _leaderboard(subject),
        _labels(subject),
        _ranking(subject),
        _probability(subject),
        *_populations(subject),
        _training(subject),
        Part("card", "Model card", sections=card_sections(subject)),
        *([] if is_flagged else leaks),
        protocol_part(subject, protocol_sentences(subject)),
    ]


def leak_parts(probes: Sequence[dict[str, Any]]) -> list[Part]:
    """What the leak probes found; put it first on the page where one is flagged.

    Parameters
    ----------
    probes
        Findings as `Finding.to_dict` gives them; none gives no part.
    """
    if not probes:
        return []
    flagged = [found for found in probes if found["flagged"]]
    if flagged:
        return [
            Part(
                "leaks",
                "Leak suspected",
                headline="Do not trust the figures on this page before this is cleared up.",
                warnings=[str(found["words"]) for found in flagged],
                tables=[probe_table(probes)],
            )
        ]
    said = f"Leak probes: {count(len(probes))} checked, none raised."
    return [Part("leaks", "Leak probes", sentences=[said], tables=[probe_table(probes)])]


def page_title(subject: Subject) -> str:
    """The run's own title, or else its label and populations."""
    settings = subject.result.settings
    title = str(settings.get("title") or "A comparison")
    label = settings.get("label")
    return f"{title}: {label}" if label and str(label) not in title else title


def created(subject: Subject) -> str:
    """When the comparison was made, as a date and a time."""
    text = str(subject.result.settings.get("created") or "")
    try:
        return datetime.fromisoformat(text).strftime("%-d %B %Y, %H:%M %Z").strip()
    except ValueError:
        return text


def _verdict(subject: Subject) -> Part:
    verdict = subject.result.verdict
    note = chance_note(subject)
    return Part(
        "verdict",
        "Verdict",
        headline=str(verdict.get("headline") or "No verdict was reached."),
        sentences=[spoken(str(text), subject) for text in verdict.get("sentences") or []],
        facts=_facts(subject),
        warnings=[
            *(spoken(str(text), subject) for text in verdict.get("warnings") or []),
            *([note] if note else []),
        ],
    )


def _facts(subject: Subject) -> list[Fact]:
    chosen, best = subject.chosen, subject.best_baseline
    facts = []
    if chosen is not None:
        facts.append(_fact(f"AUC of {subject.title(chosen['method'])}", chosen, "auc"))
        facts.append(_fact("KS", chosen, "ks"))
    if chosen is not None and best is not None and best["method"] != chosen["method"]:
        name = f"Beside {subject.title(best['method'])}"
        facts.append(_fact(name, chosen, "difference", sign=True))
    y = subject.result.test_y
    n_events = int((y == 1).sum())
    facts.append(Fact("Target labels used", count(subject.budget)))
    share = percent(n_events / len(y)) if len(y) else ""
    facts.append(Fact("Test rows", count(len(y)), f"{count(n_events)} events ({share})"))
    return facts


def _fact(name: str, row: dict[str, Any], measure: str, *, sign: bool = False) -> Fact:
    ends = interval(row.get(f"{measure}_low"), row.get(f"{measure}_high"), sign=sign)
    return Fact(name, three(row.get(measure), sign=sign), ends)


def _leaderboard(subject: Subject) -> Part:
    budget = f"{count(subject.budget)} target labels" if subject.budget else "no target label"
    if not subject.board:
        return Part(
            "leaderboard",
            "Leaderboard",
            sentences=["No method has a result."],
            failures=failures(subject),
        )
    return Part(
        "leaderboard",
        "Leaderboard",
        sentences=[f"With {budget}, on the same test rows for all."],
        figures=_present([leaderboard_figure(subject), difference_figure(subject)]),
        failures=failures(subject),
        tables=[leaderboard_table(subject)],
        folded=_other_budgets(subject),
    )


def _other_budgets(subject: Subject) -> list[Folded]:
    rows = [r for r in subject.result.leaderboard.to_dicts() if is_number(r.get("auc"))]
    others = sorted({row["budget"] for row in rows} - {subject.budget})
    return [
        Folded(
            f"With {count(budget)} target labels",
            leaderboard_table(
                subject,
                sorted(
                    (row for row in rows if row["budget"] == budget), key=lambda row: -row["auc"]
                ),
            ),
        )
        for budget in others
    ]


def _labels(subject: Subject) -> Part:
    figure = label_curve_figure(subject)
    without = "One label budget was compared: what more labels are worth was not measured."
    return Part(
        "labels",
        "Value of labels",
        sentences=[] if figure else [without],
        figures=_present([figure]),
    )


def _ranking(subject: Subject) -> Part:
    figures, keys = ranking_figures(subject)
    shown = "The chosen method, the best baseline and the best of each family; means over seeds."
    return Part(
        "ranking",
        "How well it ranks",
        sentences=[shown if figures else "No scores of test rows were kept."],
        legend=keys,
        figures=figures,
    )


def _probability(subject: Subject) -> Part:
    figures = [calibration_figure(subject), *distribution_figures(subject)]
    kept = _present(figures)
    return Part(
        "probability",
        "What its probabilities say",
        sentences=[] if kept else ["No scores of the chosen method were kept."],
        figures=kept,
    )


def _populations(subject: Subject) -> list[Part]:
    part = diagnosis_part(subject)
    has_any = part.sentences or part.findings or part.advice or part.figures
    overlap = Part(
        "populations",
        "How the populations differ",
        sentences=part.sentences if has_any else ["The populations were not diagnosed."],
        figures=part.figures,
        tables=[part.advice] if part.advice else [],
        sections=[Section("Findings by column", _first_few(part.findings))]
        if part.findings
        else [],
    )
    if part.psi is None:
        return [overlap]
    return [overlap, Part("psi", "Stability of the columns", figures=[part.psi])]


def _first_few(findings: Sequence[str]) -> list[str]:
    rest = len(findings) - MAX_FINDINGS
    return [*findings[:MAX_FINDINGS], *([f"And {rest} more."] if rest > 0 else [])]


def _training(subject: Subject) -> Part:
    figures = training_figures(subject)
    words = (
        "First seed of each method that learns step by step: its losses, the weight λ of terms "
        "that follow a schedule, and AUC and KS on rows held back to stop by. No test row is "
        "among them."
    )
    return Part(
        "training",
        "How the methods were trained",
        sentences=[words if figures else "No training curves were kept."],
        figures=figures,
    )


def protocol_part(
    subject: Subject, sentences: Sequence[str], *, notes_on: str = "the data"
) -> Part:
    """How it was measured: sentences, notes on what was read, settings and versions."""
    sections = [Section("Measurement", sentences)]
    notes = subject.result.settings.get("notes")
    if isinstance(notes, list) and notes:
        sections.append(Section(f"Notes on {notes_on}", [str(note) for note in notes]))
    sections.append(Section("Settings", (), settings_pairs(subject)))
    sections.append(Section("Versions", (), versions(subject) or [("report made by", _made_by())]))
    return Part("protocol", "How it was measured", sections=sections)


def _made_by() -> str:
    return f"thinfile {__version__}"


def _present(figures: Sequence[Figure | None]) -> list[Figure]:
    return [figure for figure in figures if figure is not None]
