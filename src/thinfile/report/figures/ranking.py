"""How the chosen method and its nearest rivals rank: ROC, KS, gain and lift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from thinfile.report.curves import Ranking, ranking
from thinfile.report.figures.figure import GREY, HOVER, Figure, Key, data, legend, palette
from thinfile.report.subject import FloatArray, Row, Subject
from thinfile.report.words import listing, percent, three

HEIGHT = 330
Curves = dict[str, Ranking]


def ranking_figures(subject: Subject) -> tuple[list[Figure], list[Key]]:
    """Four charts and the legend they share; nothing where no scores are kept."""
    y = subject.result.test_y
    curves = {
        subject.title(row["method"]): ranking(y, subject.runs(row["method"]))
        for row in subject.curves
    }
    if not curves:
        return [], []
    figures = [_roc(curves), _ks(curves), _gain(curves), _lift(curves, float(y.mean()))]
    return figures, legend(list(curves))


def _roc(curves: Curves) -> Figure:
    rows = _points(curves, [c.caught_by_false for c in curves.values()])
    words = [f"{percent(_at(c.caught_by_false, 0.2))} ({t})" for t, c in curves.items()]
    return Figure(
        "roc",
        "ROC",
        f"ROC curves. With 20% of the non-events flagged, these shares of events are caught: "
        f"{listing(words)}.",
        _chart(
            curves, rows, "Share of non-events flagged", "Share of events caught", diagonal=True
        ),
        "Dashed diagonal: no ranking at all.",
        size="half",
    )


def _ks(curves: Curves) -> Figure:
    rows = _points(curves, [c.caught - c.passed for c in curves.values()])
    tops = [
        {
            "x": c.grid[k],
            "y": (c.caught - c.passed)[k],
            "title": t,
            "text": three((c.caught - c.passed)[k]),
        }
        for t, c in curves.items()
        for k in [int(np.argmax(c.caught - c.passed))]
    ]
    words = [f"{row['text']} at {percent(row['x'])} ({row['title']})" for row in tops]
    return Figure(
        "ks",
        "KS",
        f"Distance of the cumulative shares of events and non-events by share of customers. "
        f"Largest distance: {listing(words)}.",
        _chart(
            curves,
            rows,
            "Share of customers, highest scores first",
            "Events caught − non-events flagged",
            marks=tops[:1],
        ),
        "The highest point of a curve is the KS of the mean over seeds; the first method's is "
        "marked. The table's KS is the mean of each seed's highest point and lies a little above.",
        size="half",
    )


def _gain(curves: Curves) -> Figure:
    rows = _points(curves, [c.caught for c in curves.values()])
    words = [f"{percent(_at(c.caught, 0.1))} ({t})" for t, c in curves.items()]
    return Figure(
        "gain",
        "Gain",
        f"Share of events found by share of customers looked at. Among the first 10%: "
        f"{listing(words)}.",
        _chart(
            curves,
            rows,
            "Share of customers, highest scores first",
            "Share of events caught",
            diagonal=True,
        ),
        "How many of the events are among the customers with the highest scores.",
        size="half",
    )


def _lift(curves: Curves, rate: float) -> Figure:
    rows = [row for row in _points(curves, [c.lift for c in curves.values()]) if row["x"] >= 0.02]
    words = [f"{_at(c.lift, 0.1):.2f} ({t})" for t, c in curves.items()]
    return Figure(
        "lift",
        "Lift",
        "Event rate among the customers with the highest scores over the overall rate. "
        f"At 10%: {listing(words)}.",
        _chart(
            curves,
            rows,
            "Share of customers, highest scores first",
            "Times the overall event rate",
            percent_y=False,
            level=1.0,
        ),
        f"1 is the overall event rate of the test rows, {percent(rate)}. Drawn from 2% of the "
        "customers on.",
        size="half",
    )


def _at(values: FloatArray, share: float) -> float:
    return float(values[round(share * (len(values) - 1))])


def _points(curves: Curves, values: Sequence[FloatArray]) -> list[Row]:
    rows = []
    for (title, curve), heights in zip(curves.items(), values, strict=True):
        for k, (x, y) in enumerate(zip(curve.grid, heights, strict=True)):
            rows.append({"title": title, "x": x, "y": y, "stop": k % 2 == 0})
    return rows


def _chart(
    curves: Curves,
    rows: list[Row],
    x_title: str,
    y_title: str,
    *,
    diagonal: bool = False,
    percent_y: bool = True,
    level: float | None = None,
    marks: Sequence[Row] = (),
) -> Any:
    colour, dash = palette(list(curves))
    x = alt.X("x:Q", title=x_title, axis=alt.Axis(format=".0%", tickCount=5))
    y_axis = alt.Axis(format=".0%" if percent_y else ".1f", tickCount=5)
    y = alt.Y("y:Q", title=y_title, axis=y_axis)
    lines = alt.Chart(data(rows)).encode(
        x=x, y=y, color=alt.Color("title:N", scale=colour, legend=None)
    )
    layers = [
        lines.mark_line().encode(strokeDash=alt.StrokeDash("title:N", scale=dash, legend=None)),
        _stops(lines, x_title, y_title, percent_y=percent_y),
    ]
    if diagonal:
        layers.insert(0, _guide([{"x": 0, "y": 0}, {"x": 1, "y": 1}]))
    if level is not None:
        layers.insert(0, _guide([{"x": 0, "y": level}, {"x": 1, "y": level}]))
    if marks:
        layers.append(_gap(list(marks)))
    return alt.layer(*layers).properties(height=HEIGHT)


def _stops(lines: Any, x_title: str, y_title: str, *, percent_y: bool) -> Any:
    """Unseen points that answer the mouse; the still picture leaves them out."""
    tooltip = [
        alt.Tooltip("title:N", title="Method"),
        alt.Tooltip("x:Q", title=x_title, format=".0%"),
        alt.Tooltip("y:Q", title=y_title, format=".1%" if percent_y else ".2f"),
    ]
    points = lines.transform_filter("datum.stop").mark_point(
        size=90, opacity=0, filled=True, aria=False
    )
    return points.encode(tooltip=tooltip).properties(name=HOVER)


def _guide(ends: list[Row]) -> Any:
    line = alt.Chart(data(ends)).mark_line(color=GREY, strokeDash=[4, 3], strokeWidth=1)
    return line.encode(x="x:Q", y="y:Q")


def _gap(marks: list[Row]) -> Any:
    base = alt.Chart(data(marks)).encode(x="x:Q")
    rule = base.mark_rule(color=GREY).encode(y="y:Q")
    text = base.mark_text(align="left", dx=6, dy=14, baseline="top").encode(
        y=alt.value(HEIGHT - 30), text="text:N"
    )
    return alt.layer(rule, text)
