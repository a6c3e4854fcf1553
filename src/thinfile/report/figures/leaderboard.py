"""Methods side by side: AUC, difference to the best baseline, worth of more labels."""

from __future__ import annotations

from typing import Any

import altair as alt

from thinfile.report.figures.figure import (
    BASELINE,
    GREY,
    INK,
    METHOD,
    STROKES,
    Figure,
    data,
    haloed,
    palette,
)
from thinfile.report.subject import Row, Subject, is_number
from thinfile.report.tables import label_curve_rows, label_curve_table
from thinfile.report.words import count, interval, listing, measured, three

STEP = 24
KINDS = ["Baseline", "Method"]
MAX_LINES = 6


def leaderboard_figure(subject: Subject) -> Figure:
    """AUC of each method with its interval, best at the top."""
    rows = [_row(subject, row, "auc") for row in subject.board]
    best = subject.best_baseline
    chart = _dots(rows, "AUC on test rows", best["auc"] if best else None)
    return Figure(
        "leaderboard",
        "AUC of every method",
        _leaderboard_alt(subject),
        chart,
        "Point: mean over seeds. Line: interval over test rows and seeds. "
        "Diamond: the method that the verdict chose. Dashed line: the best baseline.",
        size="half",
        has_names=True,
    )


def difference_figure(subject: Subject) -> Figure | None:
    """Paired difference of each method to the best baseline."""
    rows = [_row(subject, r, "difference", sign=True) for r in subject.board]
    rows = [row for row in rows if row["value"] is not None]
    best = subject.best_baseline
    if not rows or best is None:
        return None
    chart = _dots(rows, "Difference in AUC, paired", 0.0)
    better = [r["title"] for r in rows if is_number(r["low"]) and r["low"] > 0]
    return Figure(
        "difference",
        f"Difference to {subject.title(best['method'])}",
        f"Paired difference in AUC to {subject.title(best['method'])}. Surely better: "
        + (f"{listing(better)}." if better else "none."),
        chart,
        "The line at 0 is the best baseline. A method whose whole interval lies to the right of "
        "it is better; one whose interval crosses it cannot be told from it.",
        size="half",
        has_names=True,
    )


def _row(subject: Subject, row: Row, measure: str, *, sign: bool = False) -> Row:
    low, high = row.get(f"{measure}_low"), row.get(f"{measure}_high")
    chosen = row["method"] == subject.choice
    value = row.get(measure)
    return {
        "title": subject.title(row["method"]),
        "kind": KINDS[row["family"] != "baseline"],
        "chosen": chosen,
        "value": value if is_number(value) else None,
        "low": low if is_number(low) else value,
        "high": high if is_number(high) else value,
        "text": three(value, sign=sign),
        "range": interval(low, high, sign=sign),
    }


def _dots(rows: list[Row], title: str, reference: float | None) -> Any:
    order = [row["title"] for row in rows]
    # The last two carry the chart's right edge past the printed numbers.
    low, high = min(r["low"] for r in rows), max(r["high"] for r in rows)
    room = max(high - low, 0.01)
    scale = alt.Scale(domain=[low - 0.04 * room, high + 0.3 * room], nice=False, zero=False)
    y = alt.Y(
        "title:N", sort=order, title=None, axis=alt.Axis(grid=False, ticks=False, domain=False)
    )
    base = alt.Chart(data(rows)).encode(y=y, color=_kind_colour())
    layers = [
        base.mark_rule(strokeWidth=2.5).encode(
            x=alt.X("low:Q", scale=scale, title=title, axis=alt.Axis(format=".2~f", tickCount=5)),
            x2="high:Q",
        ),
        base.mark_point(filled=True, opacity=1).encode(
            x="value:Q",
            shape=alt.Shape(
                "chosen:N",
                scale=alt.Scale(domain=[False, True], range=["circle", "diamond"]),
                legend=None,
            ),
            size=alt.condition("datum.chosen", alt.value(210), alt.value(70)),
            tooltip=[
                alt.Tooltip("title:N", title="Method"),
                alt.Tooltip("text:N", title="Value"),
                alt.Tooltip("range:N", title="Interval"),
            ],
        ),
        _values(rows, y, "!datum.chosen", "normal"),
        _values(rows, y, "datum.chosen", "bold"),
    ]
    if reference is not None:
        layers.insert(0, _reference(reference))
    return alt.layer(*layers).properties(height=alt.Step(STEP))


def _kind_colour() -> alt.Color:
    return alt.Color("kind:N", scale=alt.Scale(domain=KINDS, range=[BASELINE, METHOD]))


def _values(rows: list[Row], y: alt.Y, which: str, weight: str) -> Any:
    base = alt.Chart(data(rows)).transform_filter(which).encode(y=y, x="high:Q")
    return alt.layer(*haloed(base, dx=7, fontWeight=weight))


def _reference(value: float) -> Any:
    return (
        alt.Chart(data([{"at": value}])).mark_rule(color=GREY, strokeDash=[4, 3]).encode(x="at:Q")
    )


def _leaderboard_alt(subject: Subject) -> str:
    first, last = subject.board[0], subject.board[-1]
    words = (
        f"AUC of {len(subject.board)} methods, from {three(last['auc'])} "
        f"({subject.title(last['method'])}) to {three(first['auc'])} "
        f"({subject.title(first['method'])})."
    )
    chosen = subject.chosen
    if chosen is not None:
        words += f" Chosen: {subject.title(chosen['method'])}, {measured(chosen, 'auc')}."
    return words


def label_curve_figure(subject: Subject) -> Figure | None:
    """AUC against the number of target labels, of methods that were run at two or more."""
    rows = label_curve_rows(subject)
    if not rows:
        return None
    names = _lines(subject, rows)
    shown = [
        {
            "title": subject.title(r["method"]),
            "labels": r["budget"],
            # A logarithmic axis has no 0: it stands where 10 times fewer labels would.
            "place": r["budget"] or _place_of_zero(rows),
            "auc": r["auc"],
            "low": r["low"],
            "high": r["high"],
            "text": three(r["auc"]),
            "range": interval(r["low"], r["high"]),
        }
        for r in rows
        if r["method"] in names
    ]
    return Figure(
        "labels",
        "What more labels are worth",
        _label_curve_alt(subject, rows, names),
        _label_chart([subject.title(name) for name in names], shown),
        "AUC on the same test rows after training with more labels of the target; band: "
        "interval. The axis is logarithmic" + _zero_note(rows),
        table=label_curve_table(subject),
    )


def _lines(subject: Subject, rows: list[Row]) -> list[str]:
    known = {row["method"] for row in rows}
    wanted = [row["method"] for row in subject.curves]
    wanted += [row["method"] for row in subject.board if row["method"] not in wanted]
    return [name for name in wanted if name in known][:MAX_LINES]


def _place_of_zero(rows: list[Row]) -> float:
    return min((row["budget"] for row in rows if row["budget"]), default=1) / 4


def _zero_note(rows: list[Row]) -> str:
    return "; its leftmost place is 0 labels." if any(not r["budget"] for r in rows) else "."


def _label_chart(titles: list[str], shown: list[Row]) -> Any:
    colour, dash = palette(titles)
    places = {row["place"]: row["labels"] for row in shown}
    zero = next((place for place, labels in places.items() if not labels), -1)
    axis = alt.Axis(
        values=sorted(places),
        labelExpr=f"abs(datum.value - {zero:g}) < 1e-6 ? '0' : format(datum.value, ',')",
        labelOverlap="greedy",
        grid=False,
    )
    x = alt.X("place:Q", scale=alt.Scale(type="log", nice=False), axis=axis, title="Target labels")
    base = alt.Chart(data(shown)).encode(
        x=x,
        color=alt.Color("title:N", scale=colour, legend=alt.Legend(columns=3, **STROKES)),
        tooltip=[
            alt.Tooltip("title:N", title="Method"),
            alt.Tooltip("labels:Q", title="Labels", format=","),
            alt.Tooltip("text:N", title="AUC"),
            alt.Tooltip("range:N", title="Interval"),
        ],
    )
    y = alt.Y(
        "auc:Q", title="AUC", scale=alt.Scale(zero=False), axis=alt.Axis(format=".3~f", tickCount=6)
    )
    low, high = alt.Y("low:Q", scale=alt.Scale(zero=False)), "high:Q"
    return alt.layer(
        base.mark_area(opacity=0.1).encode(y=low, y2=high),
        base.mark_line().encode(
            y=y,
            strokeDash=alt.StrokeDash(
                "title:N", scale=dash, legend=alt.Legend(columns=3, **STROKES)
            ),
        ),
        base.mark_point(filled=True, size=60, opacity=1, stroke=INK, strokeWidth=0).encode(y=y),
    ).properties(height=320)


def _label_curve_alt(subject: Subject, rows: list[Row], names: list[str]) -> str:
    words = []
    for name in names:
        own = sorted((r["budget"], r["auc"]) for r in rows if r["method"] == name)
        (few, first), (many, last) = own[0], own[-1]
        words.append(
            f"{subject.title(name)}: {three(first)} with {count(few)} labels, "
            f"{three(last)} with {count(many)}"
        )
    return "AUC by number of target labels. " + "; ".join(words) + "."
