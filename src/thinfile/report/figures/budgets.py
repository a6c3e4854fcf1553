"""Average precision of every method under every label budget, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from thinfile.report.figures.figure import BASELINE, GREY, METHOD, Figure, data, haloed
from thinfile.report.subject import Row
from thinfile.report.words import count, interval, listing, three

STEP = 23
NAMES = 225
WIDTHS = {1: 560, 2: 340, 3: 235, 4: 170}
KINDS = ["Baseline", "Method"]


def budget_figure(
    boards: Mapping[int, Sequence[Row]], titles: Mapping[str, str], *, event: str = "fraud"
) -> Figure:
    """One panel for each budget, the methods in the same order in all of them.

    Parameters
    ----------
    boards
        Label budget → rows with method, family, ap, ap_low, ap_high, is_reference and chosen.
    titles
        Method → what to call it.
    event : str
        What a label is of.

    Returns
    -------
    Figure
    """
    order = _order(boards)
    top = max(row["ap_high"] for rows in boards.values() for row in rows)
    scale = alt.Scale(domain=[0, min(1.0, top) + 0.16], nice=False)
    panels = [
        _panel(
            f"{count(budget)} labelled {event}s",
            [_row(row, titles) for row in rows],
            [titles[name] for name in order],
            scale,
            width=WIDTHS.get(len(boards), 520 // len(boards)),
            named=place == 0,
        )
        for place, (budget, rows) in enumerate(boards.items())
    ]
    return Figure(
        "budgets",
        "Average precision by number of labels",
        _words(boards, titles),
        alt.hconcat(*panels, spacing=10),
        "Point: mean over draws of the labels. Line: interval over test rows and draws. Diamond: "
        "chosen without the test rows. Dashed line: the best baseline of that panel. Methods stand "
        "in the order of their mean over the panels.",
        fixed=True,
        has_names=True,
    )


def _order(boards: Mapping[int, Sequence[Row]]) -> list[str]:
    """Methods by their mean over the budgets that they were run at."""
    values: dict[str, list[float]] = {}
    for rows in boards.values():
        for row in rows:
            values.setdefault(row["method"], []).append(row["ap"])
    return sorted(values, key=lambda name: -sum(values[name]) / len(values[name]))


def _row(row: Row, titles: Mapping[str, str]) -> Row:
    return {
        "title": titles[row["method"]],
        "kind": KINDS[row["family"] != "baseline"],
        "chosen": bool(row.get("chosen")),
        "reference": bool(row.get("is_reference")),
        "value": row["ap"],
        "low": max(0.0, row["ap_low"]),
        "high": min(1.0, row["ap_high"]),
        "text": three(row["ap"]),
        "range": interval(row["ap_low"], row["ap_high"]),
    }


def _panel(
    title: str, rows: list[Row], order: list[str], scale: alt.Scale, *, width: int, named: bool
) -> Any:
    axis = alt.Axis(
        grid=False, ticks=False, domain=False, labels=named, labelLimit=NAMES, labelPadding=8
    )
    y = alt.Y("title:N", sort=order, title=None, axis=axis, scale=alt.Scale(domain=order))
    colour = alt.Color("kind:N", scale=alt.Scale(domain=KINDS, range=[BASELINE, METHOD]))
    base = alt.Chart(data(rows)).encode(y=y, color=colour)
    ticks = alt.Axis(format=".1~f", tickCount=5 if width > 150 else 3)
    x = alt.X("low:Q", scale=scale, title="Average precision", axis=ticks)
    best = [row for row in rows if row["reference"]]
    layers = [
        alt.Chart(data([{"at": row["value"]} for row in best]))
        .mark_rule(color=GREY, strokeDash=[4, 3])
        .encode(x="at:Q"),
        base.mark_rule(strokeWidth=2.5).encode(x=x, x2="high:Q"),
        base.mark_point(filled=True, opacity=1).encode(
            x="value:Q",
            shape=alt.Shape(
                "chosen:N",
                scale=alt.Scale(domain=[False, True], range=["circle", "diamond"]),
                legend=None,
            ),
            size=alt.condition("datum.chosen", alt.value(200), alt.value(65)),
            tooltip=[
                alt.Tooltip("title:N", title="Method"),
                alt.Tooltip("text:N", title="Average precision"),
                alt.Tooltip("range:N", title="Interval"),
            ],
        ),
        *_values(rows, y),
    ]
    head = alt.TitleParams(title, fontSize=12, fontWeight=600, anchor="start", frame="group")
    return alt.layer(*layers).properties(width=width, height=alt.Step(STEP), title=head)


def _values(rows: list[Row], y: alt.Y) -> list[Any]:
    """The figure beside each line, bold for the choice."""
    layers = []
    for which, weight in (("!datum.chosen", "normal"), ("datum.chosen", "bold")):
        base = alt.Chart(data(rows)).transform_filter(which).encode(y=y, x="high:Q")
        layers += haloed(base, dx=6, fontSize=11, fontWeight=weight)
    return layers


def _words(boards: Mapping[int, Sequence[Row]], titles: Mapping[str, str]) -> str:
    told = []
    for budget, rows in boards.items():
        best = sorted(rows, key=lambda row: -row["ap"])[:3]
        named = listing([f"{titles[row['method']]} {three(row['ap'])}" for row in best])
        told.append(f"With {count(budget)} labels the highest are {named}.")
    return "Average precision. " + " ".join(told)
