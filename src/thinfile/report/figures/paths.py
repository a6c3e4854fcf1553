"""Paths as curves: a walk through a latent space, and drawn paths beside real ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from thinfile.errors import DataError
from thinfile.metrics.stylised_facts import absolute_autocorrelation, compare_facts
from thinfile.report.figures.figure import GREY, METHOD, Figure, data, palette
from thinfile.report.tables import Table, number, words
from thinfile.report.words import three

HEIGHT = 260
N_SHOWN = 20
REAL, MADE = "real", "made"
ENDS = ("#d55e00", "#c9ced6", "#0072b2")
"""One end of a walk, its middle, the other end: told apart without red and green."""


def walk_figure(
    windows: ArrayLike,
    places: Sequence[float],
    *,
    channel: int = 0,
    cumulative: bool = False,
    name: str = "walk",
    title: str = "A walk through the latent space",
    place_title: str = "Standard deviations from the middle",
) -> Figure:
    """Each window of a walk, or of the line between two windows, as a curve.

    Parameters
    ----------
    windows : (n, steps, channels) array
        As `walk` and `interpolate` of the sequence models return them.
    places : sequence of n numbers
        Where on the way each window lies; they set the colours.
    channel
        Which channel is shown.
    cumulative
        Show running sums (moves as paths).
    """
    curves = _curves(windows, channel, cumulative)
    if len(places) != len(curves):
        raise DataError(f"walk_figure: {len(curves)} windows, but {len(places)} places")
    rows = [
        {"step": step, "value": value, "place": place}
        for place, curve in zip(places, curves, strict=True)
        for step, value in enumerate(curve)
        if np.isfinite(value)
    ]
    chart = (
        alt.Chart(data(rows))
        .mark_line(strokeWidth=1.8)
        .encode(
            x=_step_axis(),
            y=_value_axis(cumulative),
            detail="place:Q",
            color=alt.Color(
                "place:Q",
                title=place_title,
                scale=alt.Scale(
                    range=list(ENDS), domainMid=float(np.mean(places)), interpolate="rgb"
                ),
                legend=alt.Legend(gradientLength=180, title=place_title, titleLimit=400),
            ),
            tooltip=[alt.Tooltip("place:Q", format=".2f"), "step:Q", _value_tip()],
        )
        .properties(height=HEIGHT)
    )
    ends = f"at {places[0]:.2g} it ends at {_last(curves[0])}, at {places[-1]:.2g} at "
    return Figure(name, title, f"{len(curves)} curves; {ends}{_last(curves[-1])}.", chart)


def paths_figure(real: ArrayLike, made: ArrayLike, *, channel: int = 0, n: int = N_SHOWN) -> Figure:
    """Some drawn paths beside as many real ones, as running sums on one scale.

    Parameters
    ----------
    real, made : (paths, steps, channels) arrays
        Moves, not prices.
    """
    sides = {REAL: _curves(real, channel, True)[:n], MADE: _curves(made, channel, True)[:n]}
    rows = [
        {"step": step, "value": value, "path": place, "side": side}
        for side, curves in sides.items()
        for place, curve in enumerate(curves)
        for step, value in enumerate(curve)
        if np.isfinite(value)
    ]
    chart = (
        alt.Chart(data(rows))
        .mark_line(strokeWidth=1, opacity=0.7)
        .encode(
            x=_step_axis(),
            y=_value_axis(True),
            detail="path:N",
            color=alt.Color(
                "side:N", scale=alt.Scale(domain=[REAL, MADE], range=[GREY, METHOD]), legend=None
            ),
            tooltip=["side:N", "path:N", "step:Q", _value_tip()],
        )
        .properties(width=330, height=HEIGHT)
        .facet(column=alt.Column("side:N", sort=[REAL, MADE], title=None))
    )
    spread = {side: float(np.nanstd([c[-1] for c in curves])) for side, curves in sides.items()}
    return Figure(
        "paths",
        "Real paths, and drawn ones",
        f"{len(sides[REAL])} real and {len(sides[MADE])} drawn paths. Their ends spread by "
        f"{spread[REAL]:.3g} and {spread[MADE]:.3g} (standard deviation).",
        chart,
        "Running sums of moves, on one scale.",
        fixed=True,
    )


def facts_figure(
    real: ArrayLike, made: ArrayLike, *, channel: int = 0, random_state: int | None = None
) -> Figure:
    """How long volatility lasts in real and drawn paths; all stylised facts as its table.

    Parameters
    ----------
    real, made : (paths, steps, channels) arrays
        Moves; paths of both sides must be of like length.
    """
    pair = [_curves(side, channel, False) for side in (real, made)]
    facts = compare_facts(*pair, random_state=random_state)
    rows = [
        {"lag": lag, "value": value, "side": side}
        for side, x in zip((REAL, MADE), pair, strict=True)
        for lag, value in enumerate(absolute_autocorrelation(x), start=1)
        if np.isfinite(value)
    ]
    colour, dash = palette([REAL, MADE])
    chart = (
        alt.Chart(data(rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("lag:Q", title="Steps later", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("value:Q", title="Autocorrelation of |moves|"),
            color=alt.Color("side:N", scale=colour),
            strokeDash=alt.StrokeDash("side:N", scale=dash),
            tooltip=["side:N", "lag:Q", _value_tip()],
        )
        .properties(height=HEIGHT)
    )
    outside = facts.filter(~pl.col("within"))["fact"].to_list()
    told = f"{facts.height - len(outside)} of {facts.height} facts lie in the real ones' interval"
    return Figure(
        "stylised-facts",
        "Stylised facts",
        f"{told}; outside: {', '.join(outside) or 'none'}.",
        chart,
        f"{told}. Intervals (90 %) draw real paths.",
        table=facts_table(facts),
        open_table=True,
    )


def facts_table(facts: pl.DataFrame) -> Table:
    """The table of `compare_facts`; facts that drawn paths have are marked."""
    return Table(
        "Stylised facts of real and drawn paths.",
        ["Fact", "Real", "Drawn", "Inside"],
        [
            [
                words(row["fact"], row["meaning"]),
                number(three(row["real"]), row["real"], _ends(row)),
                number(three(row["made"]), row["made"]),
                words("yes" if row["within"] else "no"),
            ]
            for row in facts.to_dicts()
        ],
        frozenset(place for place, within in enumerate(facts["within"]) if within),
    )


def _ends(row: dict[str, Any]) -> str:
    return f"{three(row['low'])}…{three(row['high'])}"


def _curves(windows: ArrayLike, channel: int, cumulative: bool) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.asarray(windows, dtype=np.float64)
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim != 3 or not values.size:
        raise DataError(f"windows have shape {values.shape}, must be (n, steps, channels)")
    if not 0 <= channel < values.shape[2]:
        raise DataError(f"channel={channel} is none of the {values.shape[2]} channels")
    curves = values[:, :, channel]
    return np.cumsum(curves, axis=1) if cumulative else curves


def _step_axis() -> Any:
    return alt.X("step:Q", title="Step", axis=alt.Axis(tickMinStep=1, format="d"))


def _value_axis(cumulative: bool) -> Any:
    title = "Sum of moves" if cumulative else "Value"
    return alt.Y("value:Q", title=title, scale=alt.Scale(zero=False))


def _value_tip() -> Any:
    return alt.Tooltip("value:Q", format=".3f")


def _last(curve: NDArray[np.float64]) -> str:
    known = curve[np.isfinite(curve)]
    return f"{known[-1]:.3g}" if len(known) else "nothing"
