"""Past buyers and those who never bought: how well each method ranks them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from thinfile.report.figures.figure import Figure, data, palette
from thinfile.report.figures.training import flat_record
from thinfile.report.subject import Row, is_number
from thinfile.report.tables import Cell, Table, number, words
from thinfile.report.words import count, interval, listing, percent, three

STEP = 26
LEARNING_HEIGHT = 300
MAX_LINES = 6


def group_figure(rows: Sequence[Row], titles: Mapping[str, str]) -> Figure | None:
    """AUC of each method within each group, the groups in a colour each."""
    groups = list(dict.fromkeys(row["group"] for row in rows))
    if not groups:
        return None
    best = [max((r for r in rows if r["group"] == g), key=lambda r: r["auc"]) for g in groups]
    told = [f"{titles[r['method']]} {three(r['auc'])} ({r['group']})" for r in best]
    return Figure(
        "groups",
        "AUC within past buyers, and within those who never bought",
        f"AUC of every method within each group. Best: {listing(told)}.",
        _group_chart(rows, groups, titles),
        "Telling past buyers from the rest is easy and worth little; telling them apart among "
        "themselves is what a campaign needs.",
        has_names=True,
    )


def _group_chart(rows: Sequence[Row], groups: Sequence[str], titles: Mapping[str, str]) -> Any:
    order = list(dict.fromkeys(titles[row["method"]] for row in rows))
    shown = [
        {
            "title": titles[row["method"]],
            "group": row["group"],
            "value": row["auc"],
            "low": row["auc_low"],
            "high": row["auc_high"],
        }
        for row in rows
    ]
    colour, _ = palette(groups)
    base = alt.Chart(data(shown)).encode(
        y=alt.Y("title:N", sort=order, title=None, axis=alt.Axis(grid=True, ticks=False)),
        yOffset=alt.YOffset("group:N", sort=groups),
        color=alt.Color("group:N", scale=colour),
    )
    tooltip = [
        "title:N",
        "group:N",
        *(alt.Tooltip(f"{n}:Q", format=".3f") for n in ("value", "low", "high")),
    ]
    return alt.layer(
        base.mark_rule(strokeWidth=2.5).encode(
            x=alt.X("low:Q", title="AUC within the group", scale=alt.Scale(zero=False)),
            x2="high:Q",
        ),
        base.mark_point(filled=True, opacity=1, size=60).encode(x="value:Q", tooltip=tooltip),
    ).properties(height=alt.Step(STEP))


def group_table(rows: Sequence[Row], titles: Mapping[str, str], choice: str | None) -> Table:
    """Figures of one group, best AUC first."""
    first = rows[0]
    return Table(
        f"{first['group'].capitalize()}: {count(first['n'])} later customers, "
        f"{percent(first['rate'])} of them buy. Difference in AUC to the group's best baseline.",
        [
            "Method",
            "AUC",
            "AP",
            f"Precision at {first['k']}",
            f"Lift at {first['k']}",
            "Mean probability",
            "Calibration error",
            "Difference",
        ],
        [_cells(row, titles) for row in rows],
        frozenset(i for i, row in enumerate(rows) if row["method"] == choice),
        sortable=True,
    )


def _cells(row: Row, titles: Mapping[str, str]) -> list[Cell]:
    kind = "best baseline" if row["is_reference"] else row["family"]
    lift = row["lift"]
    ends = f"{row['lift_low']:.1f}…{row['lift_high']:.1f}" if is_number(row["lift_low"]) else ""
    return [
        words(titles[row["method"]], kind),
        _measure(row, "auc"),
        _measure(row, "ap"),
        _measure(row, "precision"),
        number(f"{lift:.1f}", lift, ends),
        number(percent(row["mean_probability"]), row["mean_probability"]),
        number(three(row["calibration_error"]), row["calibration_error"]),
        _measure(row, "difference", sign=True),
    ]


def _measure(row: Row, name: str, *, sign: bool = False) -> Cell:
    ends = interval(row[f"{name}_low"], row[f"{name}_high"], sign=sign)
    return number(three(row[name], sign=sign), row[name], ends)


def learning_figure(
    histories: Mapping[str, Sequence[Mapping[str, Any]]], titles: Mapping[str, str]
) -> Figure | None:
    """Validation AUC of each network against the CPU-seconds that it had taken by then."""
    rows = [
        {"title": titles[name], "seconds": record["cpu_seconds"], "auc": record["validation_auc"]}
        for name, history in histories.items()
        for record in map(flat_record, history)
        if is_number(record.get("cpu_seconds")) and is_number(record.get("validation_auc"))
    ]
    names = list(dict.fromkeys(row["title"] for row in rows))[:MAX_LINES]
    if not names:
        return None
    colour, dash = palette(names)
    kept = [row for row in rows if row["title"] in names]
    chart = (
        alt.Chart(data(kept))
        .mark_line(point=True, clip=True)
        .encode(
            x=alt.X("seconds:Q", title="CPU-seconds of training"),
            y=alt.Y("auc:Q", title="AUC on later training rows", scale=alt.Scale(zero=False)),
            color=alt.Color("title:N", scale=colour, sort=names),
            strokeDash=alt.StrokeDash("title:N", scale=dash, sort=names),
            tooltip=[
                "title:N",
                alt.Tooltip("seconds:Q", format=".1f"),
                alt.Tooltip("auc:Q", format=".3f"),
            ],
        )
        .properties(height=LEARNING_HEIGHT)
    )
    best = [max((r for r in kept if r["title"] == n), key=lambda r: r["auc"] or 0) for n in names]
    told = [f"{r['title']} {three(r['auc'])} after {r['seconds']:.1f} s" for r in best]
    return Figure(
        "learning",
        "How fast the networks learn",
        f"Best AUC on the rows held back for stopping: {listing(told)}.",
        chart,
        "One point per check, first seed. Rows held back for stopping are the latest of the "
        "training rows; no test row is among them.",
    )
