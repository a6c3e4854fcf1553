"""Columns and pairs of made rows in charts, beside the real ones."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt

from thinfile.report.figures.figure import (
    BASELINE,
    GREY,
    INK,
    METHOD,
    Figure,
    data,
    haloed,
    palette,
)
from thinfile.report.tables import Table, number, words
from thinfile.report.words import listing, percent, three
from thinfile.synthetic.columns import ColumnFidelity
from thinfile.synthetic.judge import Judgement
from thinfile.synthetic.sides import CATEGORY, DATE, Sides, as_numbers, as_texts

REAL, MADE = "Real rows", "Made rows"
STEP = 20
FIGURE_SHARE = 0.1
"""Share of the axis that a printed figure takes."""
MAX_BARS, MAX_DRAWN, MAX_POINTS = 30, 6, 1_500
N_BINS, MAX_VALUES = 24, 10

Row = dict[str, Any]


def column_figure(found: Judgement) -> Figure | None:
    """Distance of each column, with that of the hold-out."""
    columns = [each for each in found.fidelity.columns if each.distance is not None]
    if not columns:
        return None
    shown = columns[:MAX_BARS]
    rest = len(columns) - len(shown)
    worst = [f"{each.name} {three(each.distance)}" for each in shown[:3]]
    return Figure(
        "columns",
        "How far each column is from the real one",
        f"Distance of {len(columns)} columns, the farthest: {listing(worst)}.",
        _column_chart(shown),
        "Numbers and dates: Kolmogorov–Smirnov distance. Categories: total variation. 0 is the "
        "same, 1 disjoint. Line: what other real rows get; a column that stays left of it or "
        "about there cannot be told from a real one."
        + (f" The {rest} columns that are not drawn are nearer." if rest else ""),
        size="half",
        has_names=True,
        table=_column_table(found.fidelity.columns),
    )


def _column_chart(columns: list[ColumnFidelity]) -> Any:
    ends = [max(each.distance or 0.0, _other(each) or 0.0) for each in columns]
    end = max(max(ends) * 1.2, 0.02)
    rows: list[Row] = [
        {
            "column": each.name,
            "distance": each.distance,
            "other": _other(each),
            **_figure_place(each, FIGURE_SHARE * end),
            "text": three(each.distance),
        }
        for each in columns
    ]
    scale = alt.Scale(domain=[0, end], nice=False)
    base = alt.Chart(data(rows)).encode(y=_names([row["column"] for row in rows], "column"))
    axis = alt.Axis(tickCount=5)
    bars = base.encode(x=alt.X("distance:Q", title="Distance", scale=scale, axis=axis))
    ticks = base.mark_tick(color=INK, thickness=2, height=STEP * 0.8)
    return alt.layer(
        bars.mark_bar(color=METHOD, height=alt.RelativeBandSize(0.66)).encode(
            tooltip=[
                alt.Tooltip("column:N", title="Column"),
                alt.Tooltip("text:N", title="Distance"),
                alt.Tooltip("other:Q", title="Other real rows", format=".3f"),
            ]
        ),
        ticks.encode(x=alt.X("other:Q", scale=scale)),
        *haloed(base.transform_filter("!datum.inside").encode(x=alt.X("at:Q", scale=scale)), dx=5),
        bars.transform_filter("datum.inside")
        .mark_text(align="right", dx=-5)
        .encode(text="text:N", color=alt.value("white")),
    ).properties(height=alt.Step(STEP))


def _figure_place(column: ColumnFidelity, room: float) -> Row:
    """The figure stands at the end of its bar; where the marker is there, inside or behind it."""
    distance, other = column.distance or 0.0, _other(column) or 0.0
    is_crowded = distance <= other < distance + room
    inside = is_crowded and distance > room
    return {"inside": inside, "at": other if is_crowded and not inside else distance}


def _other(column: ColumnFidelity) -> float | None:
    """What other real rows get, or would get by chance where there are none."""
    return column.chance if column.holdout is None else column.holdout


def _names(order: list[str], field: str) -> alt.Y:
    axis = alt.Axis(grid=False, ticks=False, domain=False, labelLimit=200)
    return alt.Y(f"{field}:N", sort=order, title=None, axis=axis)


def _column_table(columns: list[ColumnFidelity]) -> Table:
    rows = [
        [
            words(each.name, each.measure),
            number(three(each.distance), each.distance),
            number(three(each.holdout), each.holdout),
            number(three(each.chance), each.chance),
            number(percent(each.missing_real), each.missing_real),
            number(percent(each.missing_made), each.missing_made),
            number(percent(each.outside), each.outside),
        ]
        for each in columns
    ]
    headings = ["Column", "Distance", "Other real rows", "Chance", "Missing, real"]
    headings += ["Missing, made", "Out of range"]
    return Table(
        "Distance of each column. Chance: what two samples of one law stay below 19 times of 20. "
        "Out of range: made values that the real rows never come to.",
        headings,
        rows,
        sortable=True,
    )


def pair_figure(found: Judgement) -> Figure | None:
    """Strength of each pair, real against made."""
    pairs = found.fidelity.pairs
    if not pairs:
        return None
    rows = [
        {
            "pair": f"{each.first} – {each.second}",
            "measure": each.measure,
            "real": each.real,
            "made": each.made,
        }
        for each in pairs[:MAX_POINTS]
    ]
    worst = [f"{p.first} – {p.second} {three(p.real)} to {three(p.made)}" for p in pairs[:2]]
    return Figure(
        "pairs",
        "How strongly columns belong together",
        f"Strength of {len(pairs)} pairs of columns, real against made; the largest changes: "
        f"{listing(worst)}.",
        _pair_chart(rows),
        "Each point is a pair of columns. On the diagonal the made rows hold it as the real ones "
        "do; towards the zero line it was lost."
        + (f" The {MAX_POINTS} largest changes are drawn." if len(pairs) > MAX_POINTS else ""),
        size="half",
        table=_pair_table(found),
    )


def _pair_chart(rows: list[Row]) -> Any:
    values = [row[side] for row in rows for side in ("real", "made")]
    low, high = min(0.0, *values), max(0.05, *values)
    room = 0.03 * (high - low)
    scale = alt.Scale(domain=[low - room, min(high + room, 1.02)], nice=False)
    kinds = sorted({row["measure"] for row in rows})
    colour, _ = palette(kinds)
    diagonal = alt.Chart(data([{"at": low}, {"at": high}])).mark_line(
        color=GREY, strokeDash=[4, 3], strokeWidth=1
    )
    points = alt.Chart(data(rows)).mark_point(filled=True, size=34, opacity=0.55)
    return alt.layer(
        diagonal.encode(x=alt.X("at:Q", scale=scale), y=alt.Y("at:Q", scale=scale)),
        points.encode(
            x=alt.X("real:Q", title="In the real rows", scale=scale),
            y=alt.Y("made:Q", title="In the made rows", scale=scale),
            color=alt.Color("measure:N", scale=colour, legend=alt.Legend(columns=3)),
            tooltip=[
                alt.Tooltip("pair:N", title="Pair"),
                alt.Tooltip("measure:N", title="Measure"),
                alt.Tooltip("real:Q", title="Real", format=".3f"),
                alt.Tooltip("made:Q", title="Made", format=".3f"),
            ],
        ),
    ).properties(height=340)


def _pair_table(found: Judgement) -> Table:
    rows = [
        [
            words(f"{each.first} – {each.second}", each.measure),
            number(three(each.real), each.real),
            number(three(each.made), each.made),
            number(three(each.holdout), each.holdout),
            number(three(each.difference), each.difference),
        ]
        for each in found.fidelity.pairs[:MAX_BARS]
    ]
    caption = f"The {len(rows)} pairs with the largest differences."
    headings = ["Pair", "Real", "Made", "Other real rows", "Difference"]
    return Table(caption, headings, rows, sortable=True)


def distribution_figures(found: Judgement) -> list[Figure]:
    """Real against made for the columns that differ most beyond chance."""
    columns = [each for each in found.fidelity.columns if each.distance is not None]
    return [
        _distribution(found.sides, each, place) for place, each in enumerate(columns[:MAX_DRAWN])
    ]


def _distribution(sides: Sides, column: ColumnFidelity, place: int) -> Figure:
    is_category = sides.kind(column.name) == CATEGORY
    rows = (_category_rows if is_category else _number_rows)(sides, column.name)
    chart = _category_chart(rows) if is_category else _number_chart(rows, sides.kind(column.name))
    return Figure(
        f"column-{place}",
        column.name,
        f"Distribution of {column.name}, real and made; distance {three(column.distance)}.",
        chart,
        f"Distance {three(column.distance)}"
        + (
            f"; missing {percent(column.missing_real)} real, {percent(column.missing_made)} made."
            if column.missing_real or column.missing_made
            else "."
        ),
        size="small",
    )


def _category_rows(sides: Sides, name: str) -> list[Row]:
    shares: dict[str, dict[str, float]] = {}
    for side, frame in ((REAL, sides.real), (MADE, sides.made)):
        texts = as_texts(frame[name]).fill_null("(missing)").alias("value")
        counts = texts.value_counts(name="n").sort(["n", "value"], descending=[True, False])
        shares[side] = {value: n / frame.height for value, n in counts.iter_rows()}
    seen = sorted(
        {*shares[REAL], *shares[MADE]},
        key=lambda value: -max(shares[side].get(value, 0.0) for side in shares),
    )
    return [
        {"value": value, "side": side, "share": shares[side].get(value, 0.0)}
        for value in seen[:MAX_VALUES]
        for side in (REAL, MADE)
    ]


def _category_chart(rows: list[Row]) -> Any:
    order = list(dict.fromkeys(row["value"] for row in rows))
    return (
        alt.Chart(data(rows))
        .mark_bar()
        .encode(
            y=alt.Y("value:N", sort=order, title=None, axis=alt.Axis(labelLimit=110)),
            yOffset=alt.YOffset("side:N", sort=[REAL, MADE]),
            x=alt.X("share:Q", title="Share of rows", axis=alt.Axis(format="~%", tickCount=4)),
            color=_side_colour(),
            tooltip=["value:N", "side:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(height=alt.Step(11))
    )


def _side_colour() -> alt.Color:
    scale = alt.Scale(domain=[REAL, MADE], range=[BASELINE, METHOD])
    return alt.Color("side:N", scale=scale, legend=alt.Legend(title=None))


def _number_rows(sides: Sides, name: str) -> list[Row]:
    both = [as_numbers(frame[name]) for frame in (sides.real, sides.made)]
    present = [values[np.isfinite(values)] for values in both]
    edges = _edges(np.concatenate(present))
    scale = 86_400_000.0 if sides.kind(name) == DATE else 1.0
    rows = []
    for side, values in zip((REAL, MADE), present, strict=True):
        # What lies beyond the drawn part counts for its first or last bin.
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)
        for place, n in enumerate(counts.tolist()):
            rows.append(
                {
                    "from": float(edges[place]) * scale,
                    "to": float(edges[place + 1]) * scale,
                    "side": side,
                    "share": n / max(1, len(values)),
                }
            )
    return rows


def _edges(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Bins over the middle 99% of the values: tails would flatten all else."""
    low, high = np.quantile(values, [0.005, 0.995])
    if low == high:
        low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges: npt.NDArray[np.float64] = np.linspace(low, high, N_BINS + 1)
    return edges


def _number_chart(rows: list[Row], kind: str) -> Any:
    # A date comes as milliseconds, which the chart's library can show as a date.
    quantity = "T" if kind == DATE else "Q"
    axis = alt.Axis(tickCount=4) if kind == DATE else alt.Axis(tickCount=4, format="~s")
    return (
        alt.Chart(data(rows))
        .mark_area(interpolate="step-after", opacity=0.25, line={"strokeWidth": 1.6})
        .encode(
            x=alt.X(f"from:{quantity}", title=None, axis=axis),
            y=alt.Y(
                "share:Q",
                title="Share of rows",
                stack=None,
                axis=alt.Axis(format="~%", tickCount=4),
            ),
            color=_side_colour(),
        )
        .properties(height=170)
    )
