"""How the populations differ: columns that give them away, PSI, what a drop is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt

from thinfile.report.figures.figure import BASELINE, GREY, INK, METHOD, Figure, data, haloed
from thinfile.report.subject import Row
from thinfile.report.tables import Table, number, words
from thinfile.report.words import listing, percent, three

STEP = 20
MAX_BARS = 40
PSI_RULES = (0.1, 0.25)
PSI_BANDS = {"below 0.1": "#56b4e9", "0.1 to 0.25": "#e69f00", "above 0.25": "#d55e00"}

Named = Sequence[tuple[str, float]]


class Estimate(NamedTuple):
    """A figure with the ends of its interval, where there is one."""

    name: str
    value: Any
    low: Any
    high: Any


def psi_figure(psi: Named) -> Figure | None:
    """Population stability index of each column, largest first."""
    if not psi:
        return None
    ordered = sorted(psi, key=lambda pair: (-pair[1], pair[0]))
    shown, rest = ordered[:MAX_BARS], ordered[MAX_BARS:]
    high = [name for name, value in ordered if value > PSI_RULES[1]]
    left_out = (
        f" The {len(rest)} columns that are not drawn are at {three(rest[0][1])} or below."
        if rest
        else ""
    )
    return Figure(
        "psi",
        "Population stability index per column",
        f"PSI of {len(ordered)} columns between source and target. Above 0.25: "
        + (f"{len(high)}, led by {listing(high[:3])}." if high else "none."),
        _psi_chart(shown),
        "Below 0.1 a column is taken as stable, above 0.25 as shifted; between them it deserves "
        f"a look. Bars that would not fit are cut; the number is always the PSI.{left_out}",
        has_names=True,
        table=_psi_table(ordered),
    )


def _psi_chart(shown: Named) -> Any:
    # One column that shifted beyond measure must not flatten all others.
    end = min(max(0.3, shown[0][1]), 1.0)
    rows = [
        {"column": name, "length": min(value, end), "band": _band(value), "text": three(value)}
        for name, value in shown
    ]
    y = _names([name for name, _ in shown])
    scale = alt.Scale(domain=[0, end * 1.08], nice=False)
    x = alt.X("length:Q", title="PSI", scale=scale, axis=alt.Axis(tickCount=6))
    colour = alt.Scale(domain=list(PSI_BANDS), range=list(PSI_BANDS.values()))
    base = alt.Chart(data(rows)).encode(y=y, x=x)
    tooltip = [alt.Tooltip("column:N", title="Column"), alt.Tooltip("text:N", title="PSI")]
    rules = alt.Chart(data([{"at": at} for at in PSI_RULES]))
    return alt.layer(
        base.mark_bar(height=alt.RelativeBandSize(0.66)).encode(
            color=alt.Color("band:N", scale=colour), tooltip=tooltip
        ),
        rules.mark_rule(color=INK, strokeDash=[4, 3]).encode(x=alt.X("at:Q", scale=scale)),
        *haloed(base, dx=4),
    ).properties(height=alt.Step(STEP))


def _names(order: Sequence[str]) -> alt.Y:
    axis = alt.Axis(grid=False, ticks=False, domain=False, labelLimit=210)
    return alt.Y("column:N", sort=list(order), title=None, axis=axis)


def _band(value: float) -> str:
    return list(PSI_BANDS)[sum(value > rule for rule in PSI_RULES)]


def _psi_table(ordered: Named) -> Table:
    return Table(
        "Population stability index between source and target.",
        ["Column", "PSI", "Rule"],
        [
            [words(name), number(three(value), value), words(_band(value))]
            for name, value in ordered
        ],
        sortable=True,
    )


def telling_figure(columns: Named, measure: str) -> Figure | None:
    """The columns by which the populations are told apart."""
    if not columns:
        return None
    ordered = sorted(columns, key=lambda pair: -pair[1])[:15]
    rows = [{"column": name, "value": value, "text": three(value)} for name, value in ordered]
    return Figure(
        "telling",
        "Columns by which the populations are told apart",
        f"{measure} by column, largest first: "
        + listing([f"{name} {three(value)}" for name, value in ordered[:5]])
        + ".",
        _bars(rows, measure),
        "The columns that a classifier of source against target leans on most.",
        size="half",
        has_names=True,
    )


def _bars(rows: list[Row], title: str) -> Any:
    top = max([row["value"] for row in rows] + [1e-6])
    base = alt.Chart(data(rows)).encode(
        y=_names([row["column"] for row in rows]),
        x=alt.X(
            "value:Q",
            title=title,
            scale=alt.Scale(domain=[0, top * 1.2], nice=False),
            axis=alt.Axis(tickCount=4),
        ),
    )
    return alt.layer(
        base.mark_bar(color=METHOD, height=alt.RelativeBandSize(0.66)),
        *haloed(base, dx=4),
    ).properties(height=alt.Step(STEP))


def shift_figure(parts: Sequence[Estimate]) -> Figure | None:
    """What a loss of AUC from source to target is made of; the last of `parts` is the sum."""
    if not parts:
        return None
    rows = [
        {**_interval_row(part), "text": three(part.value, sign=True), "sum": k == len(parts) - 1}
        for k, part in enumerate(parts)
    ]
    told = listing([f"{part.name} {three(part.value, sign=True)}" for part in parts])
    return Figure(
        "shift",
        "What the difference in AUC is made of",
        f"Difference in AUC from source to target: {told}.",
        _shift_chart(rows),
        "X-shift: customers of another kind, which weighting and alignment can repair. "
        "Y|X-shift: the same customer turns out differently, which only target labels repair. "
        "Line: 95% interval.",
        size="half",
        has_names=True,
    )


def _interval_row(part: Estimate) -> Row:
    low = part.value if part.low is None else part.low
    high = part.value if part.high is None else part.high
    # The number stands right of all that is drawn, the zero line included.
    edge = max(high, 0.0)
    return {"column": part.name, "value": part.value, "low": low, "high": high, "edge": edge}


def _shift_chart(rows: list[Row]) -> Any:
    low, high = min([r["low"] for r in rows] + [0.0]), max([r["high"] for r in rows] + [0.0])
    room = max(high - low, 0.01)
    scale = alt.Scale(domain=[low - 0.05 * room, high + 0.3 * room], nice=False)
    base = alt.Chart(data(rows)).encode(y=_names([row["column"] for row in rows]))
    x = alt.X("value:Q", title="AUC", scale=scale, axis=alt.Axis(tickCount=4))
    colour = alt.condition("datum.sum", alt.value(GREY), alt.value(BASELINE))
    zero = alt.Chart(data([{"at": 0}])).mark_rule(color=INK).encode(x=alt.X("at:Q", scale=scale))
    return alt.layer(
        base.mark_bar(height=alt.RelativeBandSize(0.6)).encode(x=x, color=colour),
        base.mark_rule(color=INK, strokeWidth=1.5).encode(
            x=alt.X("low:Q", scale=scale), x2="high:Q"
        ),
        zero,
        *haloed(base.encode(x=alt.X("edge:Q", scale=scale)), dx=6),
    ).properties(height=alt.Step(34))


def rates_figure(rates: Sequence[Estimate]) -> Figure | None:
    """Event rate of the source, and of the target by what can be known of it."""
    if len(rates) < 2:
        return None
    rows = [
        {**_interval_row(rate), "text": percent(rate.value), "source": k == 0}
        for k, rate in enumerate(rates)
    ]
    told = listing([f"{rate.name} {percent(rate.value)}" for rate in rates])
    return Figure(
        "rates",
        "Event rates",
        f"Event rates: {told}.",
        _rates_chart(rows),
        "Prior shift. EM and BBSE estimate the target's rate without its labels and are relied on "
        "where they agree; labels go before them. Line: 95% interval.",
        size="half",
        has_names=True,
    )


def _rates_chart(rows: list[Row]) -> Any:
    end = max(row["high"] for row in rows) * 1.25
    scale = alt.Scale(domain=[0, end], nice=False)
    colour = alt.condition("datum.source", alt.value(BASELINE), alt.value(METHOD))
    base = alt.Chart(data(rows)).encode(y=_names([row["column"] for row in rows]), color=colour)
    whole = "datum.value > 1 ? '' : datum.label"
    axis = alt.Axis(format="~%", tickCount=5, labelExpr=whole)
    x = alt.X("low:Q", title="Event rate", scale=scale, axis=axis)
    return alt.layer(
        base.mark_rule(strokeWidth=2.5).encode(x=x, x2="high:Q"),
        base.mark_point(filled=True, size=90, opacity=1).encode(x="value:Q"),
        alt.Chart(data(rows))
        .mark_text(align="left", dx=8)
        .encode(y=_names([row["column"] for row in rows]), x="high:Q", text="text:N"),
    ).properties(height=alt.Step(34))
