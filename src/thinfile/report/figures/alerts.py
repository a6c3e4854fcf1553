"""What a fraud team sees: precision against recall, and frauds found by number of alerts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt

from thinfile.report.figures.figure import GREY, HOVER, Figure, Key, data, legend, palette
from thinfile.report.subject import FloatArray, Row, Subject
from thinfile.report.words import count, listing, percent

HEIGHT = 330
N_GRID = 101
MAX_SHARE = 0.02
"""Alerts are drawn up to this share of the rows, or to twice those that can be looked into."""

Labels = npt.NDArray[np.int8]


def alert_figures(
    subject: Subject, alerts: float, *, event: str = "fraud"
) -> tuple[list[Figure], list[Key]]:
    """Two charts and the legend they share; nothing where no scores are kept.

    Parameters
    ----------
    subject
        Its curves are drawn: the choice, the best baseline, the best of each family.
    alerts
        Share of the rows that can be looked into; a line marks it.
    event : str
        What is looked for.
    """
    y = subject.result.test_y
    runs = {subject.title(row["method"]): subject.runs(row["method"]) for row in subject.curves}
    if not runs or not 0 < y.sum() < len(y):
        return [], []
    figures = [_precision_recall(y, runs, event), _found(y, runs, alerts, event)]
    return figures, legend(list(runs))


def precision_by_recall(y: Labels, runs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean precision over the runs at each share of events found, from 0.01 to 1.

    Parameters
    ----------
    y : ndarray of shape (rows,)
        1 or 0.
    runs : ndarray of shape (runs, rows)
        Scores, higher = more likely the event. Rows with equal scores are taken together.

    Returns
    -------
    recall, precision : ndarray of shape (100,)
        The highest precision with at least that recall.
    """
    grid = np.linspace(0, 1, N_GRID)[1:]
    curves = []
    for scores in runs:
        n_rows, n_found = _cumulated(y, scores)
        best = np.maximum.accumulate((n_found / n_rows)[::-1])[::-1]
        place = np.searchsorted(n_found, grid * y.sum() - 1e-9)
        curves.append(best[np.minimum(place, len(best) - 1)])
    return grid, np.mean(curves, axis=0)


def found_by_alerts(y: Labels, runs: FloatArray, n_alerts: npt.NDArray[Any]) -> FloatArray:
    """Mean share of events found among the first so many alerts, shape of `n_alerts`.

    Of rows with equal scores the expected share is taken.
    """
    curves = []
    for scores in runs:
        n_rows, n_found = _cumulated(y, scores)
        curves.append(np.interp(n_alerts, np.r_[0, n_rows], np.r_[0, n_found]) / y.sum())
    mean: FloatArray = np.mean(curves, axis=0)
    return mean


def _cumulated(y: Labels, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rows, and events among them, at or above each distinct score, the highest first."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])
    return (ends + 1).astype(float), np.cumsum(y[order])[ends].astype(float)


def _precision_recall(y: Labels, runs: Mapping[str, FloatArray], event: str) -> Figure:
    rows: list[Row] = []
    words = []
    for title, scores in runs.items():
        recall, precision = precision_by_recall(y, scores)
        rows += [{"title": title, "x": r, "y": p} for r, p in zip(recall, precision, strict=True)]
        half = precision[np.searchsorted(recall, 0.5)]
        words.append(f"{percent(half)} ({title})")
    return Figure(
        "precision-recall",
        "Precision and recall",
        f"Precision where half of the {event}s are found: {listing(words)}.",
        _chart(
            list(runs), rows, f"Share of the {event}s found", f"Share of alerts that are {event}s"
        ),
        "Far right and high up is good. Precision at a recall is the best that can be had with "
        f"at least that recall; without any skill it is {percent(float(y.mean()))}.",
        size="half",
    )


def _found(y: Labels, runs: Mapping[str, FloatArray], alerts: float, event: str) -> Figure:
    share = max(MAX_SHARE, min(1.0, 2 * alerts))
    most = max(2, round(share * len(y)))
    n_alerts = np.unique(np.geomspace(1, most, 80).round())
    rows: list[Row] = []
    words = []
    limit = max(1, round(alerts * len(y)))
    for title, scores in runs.items():
        found = found_by_alerts(y, scores, n_alerts)
        rows += [{"title": title, "x": n, "y": f} for n, f in zip(n_alerts, found, strict=True)]
        at = float(found_by_alerts(y, scores, np.array([limit]))[0])
        words.append(f"{percent(at)} ({title})")
    return Figure(
        "alerts",
        "Found by number of alerts",
        f"Share of {event}s found among the first {count(limit)} alerts: {listing(words)}.",
        _chart(
            list(runs),
            rows,
            "Rows looked into, most suspicious first (logarithmic)",
            f"Share of the {event}s found",
            limit=limit,
            n_events=int(y.sum()),
        ),
        f"The dashed line is {count(limit)} alerts, {100 * alerts:g}% of the rows; the thin curve "
        f"is what cannot be surpassed. Drawn up to {share:.0%} of the rows.",
        size="half",
    )


def _chart(
    titles: list[str],
    rows: list[Row],
    x_title: str,
    y_title: str,
    *,
    limit: int | None = None,
    n_events: int = 0,
) -> Any:
    colour, dash = palette(titles)
    is_count = limit is not None
    x = alt.X(
        "x:Q",
        title=x_title,
        scale=alt.Scale(type="log", nice=False) if is_count else alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="~s" if is_count else ".0%", tickCount=5),
    )
    y = alt.Y(
        "y:Q",
        title=y_title,
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    lines = alt.Chart(data(rows)).encode(
        x=x, y=y, color=alt.Color("title:N", scale=colour, legend=None)
    )
    tooltip = [
        alt.Tooltip("title:N", title="Method"),
        alt.Tooltip("x:Q", title=x_title, format=",.0f" if is_count else ".0%"),
        alt.Tooltip("y:Q", title=y_title, format=".1%"),
    ]
    layers = [
        lines.mark_line().encode(strokeDash=alt.StrokeDash("title:N", scale=dash, legend=None)),
        lines.mark_point(size=70, opacity=0, filled=True, aria=False)
        .encode(tooltip=tooltip)
        .properties(name=HOVER),
    ]
    if limit is not None:
        layers[:0] = _limits(limit, n_events, sorted({row["x"] for row in rows}))
    return alt.layer(*layers).properties(height=HEIGHT)


def _limits(limit: int, n_events: int, places: list[float]) -> list[Any]:
    """How many alerts there may be, and what so many could find at most."""
    rule = alt.Chart(data([{"x": limit}])).mark_rule(color=GREY, strokeDash=[4, 3])
    most = [{"x": n, "y": min(1.0, n / n_events)} for n in places]
    ceiling = alt.Chart(data(most)).mark_line(color=GREY, strokeWidth=1)
    return [rule.encode(x="x:Q"), ceiling.encode(x="x:Q", y="y:Q")]
