"""A follow-up in charts: what each group did, and by how much the groups differ."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from thinfile.intent.audience import GROUPS, HOLD_OUT, PICKED, REST
from thinfile.intent.follow_up import BOTH, CAMPAIGN, RANKING, UNKNOWN, FollowUp
from thinfile.intent.follow_up_words import ends, figure, lift, lift_ends
from thinfile.intent.outcomes import SHARE, Measure
from thinfile.report.figures.figure import (
    BASELINE,
    FONT,
    GREY,
    INK,
    METHOD,
    THEME,
    Figure,
    data,
    haloed,
)
from thinfile.report.words import listing

Row = dict[str, Any]

COLOURS = {PICKED: METHOD, HOLD_OUT: BASELINE, REST: "#8a939e"}
TITLES = {
    CAMPAIGN: "Campaign: picked / hold-out",
    RANKING: "Ranking: hold-out / rest",
    BOTH: "Both: picked / rest",
}
QUESTION_COLOURS = {CAMPAIGN: METHOD, RANKING: BASELINE, BOTH: "#8a939e"}

BAR_STEP, LIFT_STEP = 34, 22
WIDEST = 100.0
"""A ratio without an upper limit is drawn to this many times the largest known figure at most."""


def level_figures(found: FollowUp) -> list[Figure]:
    """One chart per measure: a bar and an interval for each group."""
    return [_level_figure(found, measure) for measure in found.measures]


def _level_figure(found: FollowUp, measure: Measure) -> Figure:
    rows = level_rows(found, measure)
    words = [f"{row['group']} {row['text']}" for row in rows]
    return Figure(
        f"level-{measure.name.replace('_', '-')}",
        measure.title,
        f"{measure.title}: {listing(words)}.",
        level_chart(rows, measure),
        size="small",
        has_names=True,
    )


def level_rows(found: FollowUp, measure: Measure) -> list[Row]:
    """What a chart of one measure shows, one row per group."""
    rows = []
    for name in GROUPS:
        row = found.level(measure.name, name)
        if row is not None:
            value, low, high = row["value"], row["low"], row["high"]
            rows.append(
                {
                    "group": name,
                    "value": value,
                    "low": value if low is None else low,
                    "high": value if high is None else high,
                    "text": figure(value, measure),
                    "range": ends(low, high, measure) or "too few for an interval",
                    "n": found.sizes[name],
                }
            )
    return rows


def level_chart(rows: list[Row], measure: Measure) -> Any:
    """Bars of the groups with their intervals."""
    low, high = min(0.0, *(r["low"] for r in rows)), max(r["high"] for r in rows)
    room = (high - low) or 1.0
    # The right edge is carried past the printed figures.
    scale = alt.Scale(domain=[low, high + 0.32 * room], nice=False)
    fine = ".1~%" if room <= 0.04 else ".0%"
    axis = alt.Axis(format=fine if measure.kind == SHARE else ",.2~f", tickCount=4)
    names = alt.Axis(grid=False, ticks=False, domain=False)
    y = alt.Y("group:N", sort=list(GROUPS), title=None, axis=names)
    base = alt.Chart(data(rows)).encode(y=y)
    colour = alt.Color(
        "group:N",
        scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())),
        legend=None,
    )
    tooltip = [
        alt.Tooltip("group:N", title="Group"),
        alt.Tooltip("text:N", title="Value"),
        alt.Tooltip("range:N", title="Interval"),
        alt.Tooltip("n:Q", title="Customers", format=","),
    ]
    bars = base.mark_bar(height=18, opacity=0.85).encode(
        x=alt.X("value:Q", scale=scale, title=None, axis=axis), color=colour, tooltip=tooltip
    )
    spans = base.mark_rule(strokeWidth=2, color=INK).encode(
        x=alt.X("low:Q", scale=scale), x2="high:Q"
    )
    texts = haloed(base.encode(x=alt.X("high:Q", scale=scale)), dx=6)
    return alt.layer(bars, spans, *texts).properties(height=alt.Step(BAR_STEP))


def lift_figure(found: FollowUp) -> Figure | None:
    """How many times as much one group did as the other, on a logarithmic axis."""
    rows = lift_rows(found)
    if not rows:
        return None
    words = [f"{r['title']}, {r['question']}: {r['text']}" for r in rows]
    return Figure(
        "lift",
        "How many times as much",
        f"Ratios between groups. {'; '.join(words)}.",
        lift_chart(rows),
        "Point: one group's figure over the other's; line: 95% interval. The dashed line at 1 is "
        "no difference: where an interval crosses it (hollow point), no effect can be told.",
        has_names=True,
    )


def lift_rows(found: FollowUp) -> list[Row]:
    """Comparisons that have a ratio."""
    rows = []
    titles = {measure.name: measure.title for measure in found.measures}
    for row in found.contrasts.to_dicts():
        if row["lift"] is None or row["lift_low"] is None:
            continue
        rows.append(
            {
                "title": titles[row["measure"]],
                "question": TITLES[row["question"]],
                "value": row["lift"] if row["lift"] > 0 else None,
                "low": row["lift_low"],
                "high": row["lift_high"],
                "told": row["verdict"] != UNKNOWN,
                "text": f"{lift(row['lift'])} ({lift_ends(row)})",
            }
        )
    return _within_sight(rows)


def _within_sight(rows: list[Row]) -> list[Row]:
    """Ends at 0 and infinity are drawn to the edge of what the other figures need."""
    known = [v for r in rows for v in (r["value"], r["low"], r["high"]) if v and math.isfinite(v)]
    if not known:
        return []
    least, most = min(0.5, *known), max(2.0, *known)
    least, most = max(least, 1 / WIDEST), min(most, WIDEST * max(1.0, least))
    for row in rows:
        row["from"] = min(max(row["low"], least), most)
        row["to"] = min(max(row["high"], least), most)
        if row["value"] is not None and not least <= row["value"] <= most:
            row["value"] = None
    return rows


def lift_chart(rows: list[Row]) -> Any:
    """Points and intervals by measure and question."""
    titles = list(dict.fromkeys(row["title"] for row in rows))
    questions = [each for each in TITLES.values() if any(r["question"] == each for r in rows)]
    low, high = min(r["from"] for r in rows), max(r["to"] for r in rows)
    # Room for the figures right of the longest line, on a logarithmic axis.
    scale = alt.Scale(
        type="log", domain=[low * (low / high) ** 0.03, high * (high / low) ** 0.35], nice=False
    )
    ticks = [v for v in (0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000) if low <= v <= high]
    names = alt.Axis(ticks=False, domain=False, labelLimit=320)
    y = alt.Y("title:N", sort=titles, title=None, axis=names)
    offset = alt.YOffset("question:N", sort=questions)
    colours = {TITLES[key]: colour for key, colour in QUESTION_COLOURS.items()}
    palette = alt.Scale(domain=questions, range=[colours[each] for each in questions])
    legend = alt.Legend(symbolType="circle", symbolOpacity=1)
    stroke = alt.Stroke("question:N", scale=palette, legend=None)
    fill = alt.Fill("question:N", scale=palette, legend=None)
    base = alt.Chart(data(rows)).encode(y=y, yOffset=offset)
    axis = alt.Axis(format="~g", values=ticks)
    spans = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X("from:Q", scale=scale, title="Times as much (logarithmic)", axis=axis),
        x2="to:Q",
        color=alt.Color("question:N", scale=palette, legend=legend),
    )
    points = base.mark_point(size=80, opacity=1, strokeWidth=2).encode(
        x=alt.X("value:Q", scale=scale),
        stroke=stroke,
        fill=alt.condition("datum.told", fill, alt.value("white")),
        tooltip=[
            alt.Tooltip("title:N", title="Measure"),
            alt.Tooltip("question:N", title="Groups"),
            alt.Tooltip("text:N", title="Times (interval)"),
        ],
    )
    texts = haloed(base.encode(x=alt.X("to:Q", scale=scale)), dx=8)
    one = alt.Chart(data([{"at": 1}])).mark_rule(color=GREY, strokeDash=[4, 3]).encode(x="at:Q")
    height = LIFT_STEP * len(titles) * len(questions) + 12 * len(titles)
    return alt.layer(one, spans, points, *texts).properties(height=height)


def picture_spec(found: FollowUp, title: str) -> dict[str, Any]:
    """All charts as one specification, for a picture that stands alone."""
    bars = [
        level_chart(level_rows(found, measure), measure).properties(width=230, title=measure.title)
        for measure in found.measures
    ]
    charts = [alt.concat(*bars, columns=3, spacing=30)]
    rows = lift_rows(found)
    if rows:
        charts.append(lift_chart(rows).properties(width=620, title="How many times as much"))
    whole = alt.vconcat(*charts, spacing=28).resolve_scale(color="independent")
    spec: dict[str, Any] = whole.properties(
        title=alt.TitleParams(_wrapped(title), fontSize=16, anchor="start", offset=18, font=FONT)
    ).to_dict()
    return {**spec, "config": THEME, "background": "white", "padding": 24}


def _wrapped(text: str, width: int = 100) -> list[str]:
    lines: list[str] = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
