"""The report's tables as plain cells; the page's template turns them into HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from thinfile.report.curves import CalibrationBins
from thinfile.report.subject import Row, Subject, is_number
from thinfile.report.words import NOTHING, count, duration, interval, percent, three

MAX_NOTE = 100
"""Letters of a note that the leaderboard shows; the whole is in results.parquet."""

MEASURES = {"auc": "AUC", "gini": "Gini", "ks": "KS", "ap": "AP"}


@dataclass(frozen=True)
class Cell:
    """A cell: text, a smaller note below it, and what a reader's sorting goes by."""

    text: str
    note: str = ""
    sort: float | str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of cells under headings; `strong` holds the positions of rows to be marked."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    strong: frozenset[int] = field(default_factory=frozenset)
    sortable: bool = False


def words(text: Any, note: str = "") -> Cell:
    """A cell of text."""
    return Cell(str(text), note, str(text), numeric=False)


def number(text: str, value: Any, note: str = "") -> Cell:
    """A cell of a number that is written as `text`."""
    return Cell(text, note, float(value) if is_number(value) else "")


def leaderboard_table(subject: Subject, rows: Sequence[Row] | None = None) -> Table:
    """All measures of every method that has any."""
    board = subject.board if rows is None else rows
    return Table(
        "Measures on the target's test rows; intervals below them. The difference is in AUC, "
        "paired with the best baseline.",
        ["Method", *MEASURES.values(), "Difference", "CPU s"],
        [_leaderboard_row(subject, row) for row in board],
        frozenset(i for i, row in enumerate(board) if row["method"] == subject.choice),
        sortable=True,
    )


def _leaderboard_row(subject: Subject, row: Row) -> list[Cell]:
    kind = "baseline" if row["family"] == "baseline" else str(row["family"])
    notes = [kind, *(["chosen"] if row["method"] == subject.choice else [])]
    if row.get("note"):
        notes.append(_short(str(row["note"])))
    cpu = row.get("cpu_seconds")
    return [
        words(subject.title(row["method"]), ", ".join(notes)),
        *(_measure(row, name) for name in MEASURES),
        _measure(row, "difference", sign=True),
        number(duration(cpu), cpu),
    ]


def _short(text: str) -> str:
    return text if len(text) <= MAX_NOTE else text[:MAX_NOTE].rsplit(" ", 1)[0] + " …"


def _measure(row: Row, name: str, *, sign: bool = False) -> Cell:
    ends = interval(row.get(f"{name}_low"), row.get(f"{name}_high"), sign=sign)
    return number(three(row.get(name), sign=sign), row.get(name), ends)


def label_curve_rows(subject: Subject) -> list[Row]:
    """AUC by label budget, of the methods that were run at two or more."""
    if not subject.result.label_curve.width:
        return []
    rows = [row for row in subject.result.label_curve.to_dicts() if is_number(row["auc"])]
    names = [row["method"] for row in rows]
    return [row for row in rows if names.count(row["method"]) > 1]


def label_curve_table(subject: Subject) -> Table:
    """AUC of every such method at every label budget."""
    rows = label_curve_rows(subject)
    budgets = sorted({row["budget"] for row in rows})
    found = {(row["method"], row["budget"]): row for row in rows}
    ranked = [row["method"] for row in subject.board]
    names = sorted(
        {row["method"] for row in rows},
        key=lambda name: (ranked.index(name) if name in ranked else len(ranked), name),
    )
    return Table(
        "AUC by number of target labels.",
        ["Method", *(f"{count(budget)} labels" for budget in budgets)],
        [
            [words(subject.title(name)), *(_curve_cell(found.get((name, b))) for b in budgets)]
            for name in names
        ],
        frozenset(i for i, name in enumerate(names) if name == subject.choice),
    )


def _curve_cell(row: Row | None) -> Cell:
    if row is None:
        return Cell(NOTHING)
    return number(three(row["auc"]), row["auc"], interval(row["low"], row["high"]))


def calibration_table(bins: CalibrationBins) -> Table:
    """The groups of a calibration curve with their counts."""
    columns = zip(*vars(bins).values(), strict=True)
    return Table(
        "Groups of test rows by predicted probability.",
        ["Predicted", "Observed", "Interval", "Events", "Rows"],
        [
            [
                number(percent(predicted), predicted),
                number(percent(observed), observed),
                number(f"{percent(low)}…{percent(high)}".replace("%…", "…"), low),
                number(count(n_events), n_events),
                number(count(n_rows), n_rows),
            ]
            for predicted, observed, low, high, n_rows, n_events in columns
        ],
    )


def probe_table(probes: Sequence[Row]) -> Table:
    """Every leak probe with its figure and limit; flagged ones are marked."""
    return Table(
        "Leak probes. A figure above its limit is taken for a leak; a leak that is merely strong "
        "stays below it.",
        ["Probe", "Asked of", "Figure", "Limit", "What was found"],
        [_probe_row(found) for found in probes],
        frozenset(i for i, found in enumerate(probes) if found["flagged"]),
    )


def _probe_row(found: Row) -> list[Cell]:
    value, limit = found["value"], found["limit"]
    return [
        words(found["probe"], "suspected" if found["flagged"] else "none raised"),
        words(found["subject"] or "all"),
        number(three(value), value),
        number("" if limit is None else f"{limit:g}", limit),
        words(found["words"]),
    ]


@dataclass(frozen=True)
class Failure:
    """Why a method has no result, or not one for every seed."""

    title: str
    reason: str


def failures(subject: Subject) -> list[Failure]:
    """Methods without a result at this budget, or not for every seed, with the reason."""
    cells = [row for row in subject.result.cells.to_dicts() if row.get("budget") == subject.budget]
    notes = {row["method"]: row.get("note") for row in subject.failed}
    found = []
    for name in dict.fromkeys([*notes, *(row["method"] for row in cells)]):
        own = [row for row in cells if row["method"] == name]
        reason = _reason(own, notes.get(name), name in notes)
        if reason:
            found.append(Failure(subject.title(name), reason))
    return found


def _reason(cells: Sequence[Row], note: Any, is_missing: bool) -> str:
    broken = [row for row in cells if not is_number(row.get("auc"))]
    if not broken:
        return str(note or "no result was kept") if is_missing else ""
    reasons = dict.fromkeys(str(row["error"]) for row in broken if row.get("error"))
    reason = "; ".join(reasons) or str(note or "no reason was kept")
    if all(row.get("status") == "not applicable" for row in broken):
        return f"not run: {reason}"
    return f"failed for {len(broken)} of {len(cells)} seeds: {reason}"
