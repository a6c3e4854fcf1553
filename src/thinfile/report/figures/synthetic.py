"""Made rows in charts: nearness to training rows, attacks, and what training on them brings."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from thinfile.report.figures.figure import (
    BASELINE,
    GREY,
    METHOD,
    STROKES,
    Figure,
    data,
    haloed,
    palette,
)
from thinfile.report.figures.synthetic_columns import MADE
from thinfile.report.words import interval, listing, percent, three
from thinfile.synthetic.judge import Judgement
from thinfile.synthetic.membership import Attack
from thinfile.synthetic.privacy import Distances
from thinfile.synthetic.usefulness import IN_PLACE, Trained

LOWEST = 1e-3
"""Share from which membership attacks are drawn, where there are rows enough to measure it."""

HOLDOUT = "Other real rows (hold-out)"
TRAINED_STEP = 34
SHORT = {IN_PLACE: "Made in place of real"}


def distance_figure(found: Judgement) -> Figure | None:
    """Distances to the closest training row, made against hold-out."""
    distances = found.privacy.distances
    if distances is None:
        return None
    medians = np.median(distances.made), np.median(distances.holdout)
    return Figure(
        "distances",
        "How near to the training rows",
        f"Median distance to the closest training row: made {three(medians[0])}, other real rows "
        f"{three(medians[1])}.",
        _distance_chart(distances),
        "The line of the made rows far above the other means copies with noise. An equal or lower "
        "line says nothing of membership: that is what the attacks are for.",
        size="half",
    )


def _distance_chart(distances: Distances) -> Any:
    rows = []
    for side, values in ((HOLDOUT, distances.holdout), (MADE, distances.made)):
        at = np.linspace(0, 1, 101)
        for share, value in zip(at, np.quantile(values, at), strict=True):
            rows.append({"side": side, "distance": float(value), "share": float(share)})
    end = float(np.quantile(np.concatenate([distances.made, distances.holdout]), 0.98))
    scale = alt.Scale(domain=[0, max(end, 1e-6)], nice=False, clamp=True)
    return (
        alt.Chart(data(rows))
        .mark_line(interpolate="step-after")
        .encode(
            x=alt.X(
                "distance:Q",
                title="Distance to the closest training row",
                scale=scale,
                axis=alt.Axis(tickCount=8),
            ),
            y=alt.Y("share:Q", title="Share of rows within", axis=alt.Axis(format="~%")),
            color=alt.Color(
                "side:N",
                scale=alt.Scale(domain=[HOLDOUT, MADE], range=[BASELINE, METHOD]),
                legend=alt.Legend(columns=1, **STROKES),
            ),
        )
        .properties(height=300)
    )


def attack_figure(found: Judgement) -> Figure | None:
    """Members found by false-alarm rate, for each attack."""
    attacks = found.privacy.attacks
    if not attacks:
        return None
    lowest = max(LOWEST, *(each.lowest for each in attacks))
    told = [f"{each.name} AUC {three(each.auc)}" for each in attacks]
    return Figure(
        "attacks",
        "Can training rows be told from others?",
        f"Membership attacks: {listing(told)}.",
        _attack_chart(attacks, lowest),
        "Each attack ranks training rows and rows that no generator has seen. On the thin line it "
        "guesses; above it, at the left most of all, it knows. Both axes are logarithmic. "
        + _from_where(lowest),
        size="half",
    )


def _from_where(lowest: float) -> str:
    """From which share of false alarms on the curves are drawn, and why."""
    if lowest == LOWEST:
        return f"Drawn from {100 * lowest:g}% false alarms on."
    return (
        f"Drawn from {percent(lowest)} false alarms on: that is one of the {round(1 / lowest):,} "
        "rows that no generator has seen, and less cannot be measured."
    )


def _attack_chart(attacks: list[Attack], lowest: float) -> Any:
    rows = [
        {"attack": attack.name, "rate": rate, "share": max(share, LOWEST)}
        for attack in attacks
        for rate, share in attack.curve
        if rate >= lowest
    ]
    guess = [{"attack": "guessing", "rate": at, "share": at} for at in np.geomspace(lowest, 1, 30)]
    colour, dash = palette([each.name for each in attacks])
    x, y = (
        field(
            name,
            title=title,
            scale=alt.Scale(type="log", domain=[first, 1], nice=False),
            axis=alt.Axis(format=".1~%", values=_ticks(first), grid=True),
        )
        for field, name, title, first in (
            (alt.X, "rate:Q", "False alarms", lowest),
            (alt.Y, "share:Q", "Members found", LOWEST),
        )
    )
    legend = alt.Legend(columns=1, **STROKES)
    return alt.layer(
        alt.Chart(data(guess)).mark_line(color=GREY, strokeWidth=1).encode(x=x, y=y),
        alt.Chart(data(rows))
        .mark_line(clip=True)
        .encode(
            x=x,
            y=y,
            color=alt.Color("attack:N", scale=colour, legend=legend),
            strokeDash=alt.StrokeDash("attack:N", scale=dash, legend=legend),
        ),
    ).properties(height=300)


def _ticks(first: float) -> list[float]:
    """The end of an axis and the powers of ten that leave it room."""
    return [first, *(at for at in (0.01, 0.1, 1.0) if at > 1.5 * first)]


def usefulness_figures(found: Judgement) -> list[Figure]:
    """AUC and average precision by what was trained on."""
    trained = found.usefulness.trained
    if not trained:
        return []
    return [
        _trained_figure(trained, "ap", "Average precision on real rows"),
        _trained_figure(trained, "auc", "AUC on real rows"),
    ]


def _trained_figure(trained: list[Trained], measure: str, title: str) -> Figure:
    rows = [
        {
            "title": SHORT.get(each.name, each.name[:1].upper() + each.name[1:]),
            "value": getattr(each, measure),
            "low": getattr(each, f"{measure}_low"),
            "high": getattr(each, f"{measure}_high"),
            "text": three(getattr(each, measure)),
            "range": interval(getattr(each, f"{measure}_low"), getattr(each, f"{measure}_high")),
            "real": place == 0,
        }
        for place, each in enumerate(trained)
    ]
    low, high = min(row["low"] for row in rows), max(row["high"] for row in rows)
    room = 0.1 * max(high - low, 0.01)
    # Neither measure is below 0 or beyond 1.
    ends = [max(0.0, low - room), min(1.0, high + room)]
    scale = alt.Scale(domain=ends, nice=False, zero=False)
    colour = alt.condition("datum.real", alt.value(BASELINE), alt.value(METHOD))
    names = alt.Axis(grid=False, ticks=False, domain=False, labelLimit=200)
    y = alt.Y("title:N", sort=[row["title"] for row in rows], title=None, axis=names)
    base = alt.Chart(data(rows)).encode(y=y, color=colour)
    x = alt.X("low:Q", title=title, scale=scale, axis=alt.Axis(tickCount=4))
    chart = alt.layer(
        base.mark_rule(strokeWidth=2.5).encode(x=x, x2="high:Q"),
        base.mark_point(filled=True, size=90, opacity=1).encode(x="value:Q"),
        *haloed(alt.Chart(data(rows)).encode(y=y, x="value:Q"), dx=-13, dy=-11),
    ).properties(height=alt.Step(TRAINED_STEP))
    told = [f"{row['title']} {row['text']} ({row['range']})" for row in rows]
    return Figure(
        f"trained-{measure}",
        title,
        f"{title} by what was trained on: {listing(told)}.",
        chart,
        "Boosted trees, mean of three seeds; line: 95% interval. Whether two differ stands in the "
        "table: intervals of single figures are wider than those of differences.",
        size="half",
        has_names=True,
    )
