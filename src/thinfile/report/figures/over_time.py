"""A metric of several runs over training steps: which recipes rise and stay, and which collapse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from thinfile.report.figures.figure import STROKES, Figure, data, palette
from thinfile.report.words import listing, three

WIDTH, HEIGHT = 340, 190
MAX_POINTS = 150

Run = Sequence[tuple[float, float]]
"""(step, value) in the order of steps."""


def over_time_figure(
    panels: Mapping[str, Mapping[str, Sequence[Run]]],
    *,
    name: str = "over-time",
    title: str = "Metrics over training steps",
    caption: str = "Thin: one run each. Thick: median over the runs.",
) -> Figure:
    """One panel for each metric; in it the runs of each recipe, and their median.

    Use it to see whether training holds what it has reached; a single final value hides that.

    Parameters
    ----------
    panels
        Metric → recipe → its runs. A value that is NaN leaves a gap. Runs of one recipe have
        their values at the same steps.
    name, title, caption
        As in `Figure`.

    Returns
    -------
    Figure

    Examples
    --------
    >>> runs = {"reference": [[(0, 0.1), (10, 0.6), (20, 0.0)]], "default": [[(0, 0.1), (20, 0.7)]]}
    >>> over_time_figure({"F1": runs}).alt
    'F1: reference best 0.600, at the end 0.000; default best 0.700, at the end 0.700.'
    """
    recipes = list(dict.fromkeys(recipe for runs in panels.values() for recipe in runs))
    charts = [_panel(metric, runs, recipes) for metric, runs in panels.items()]
    words = [
        f"{metric}: {'; '.join(_words(r, runs[r]) for r in runs)}."
        for metric, runs in panels.items()
    ]
    return Figure(
        name,
        title,
        " ".join(words),
        alt.hconcat(*charts, spacing=24),
        caption,
        fixed=True,
    )


def medians(runs: Sequence[Run]) -> list[tuple[float, float]]:
    """Median over the runs at every step that all have, gaps left out of account.

    Examples
    --------
    >>> medians([[(1, 0.2), (2, 0.4)], [(1, 0.4), (2, float("nan"))]])
    [(1, 0.30000000000000004), (2, 0.4)]
    """
    values: dict[float, list[float]] = {}
    for run in runs:
        for step, value in run:
            values.setdefault(step, []).append(value)
    full = [step for step, each in values.items() if len(each) == len(runs)]
    known = [step for step in sorted(full) if not np.isnan(values[step]).all()]
    return [(step, float(np.nanmedian(values[step]))) for step in known]


def _panel(metric: str, runs: Mapping[str, Sequence[Run]], recipes: Sequence[str]) -> Any:
    colour, dash = palette(recipes)
    each = [
        {"recipe": recipe, "run": f"{recipe} {number}", "step": step, "value": value}
        for recipe, of_recipe in runs.items()
        for number, run in enumerate(of_recipe, start=1)
        for step, value in _thinned(run)
    ]
    middle = [
        {"recipe": recipe, "step": step, "value": value}
        for recipe, of_recipe in runs.items()
        for step, value in _thinned(medians(of_recipe))
    ]
    x = alt.X("step:Q", title="Step", axis=alt.Axis(tickCount=5, format="~s"))
    y = alt.Y("value:Q", title=metric, scale=alt.Scale(domain=[0, _top(each)], nice=True))
    hue = alt.Color("recipe:N", scale=colour, legend=alt.Legend(**STROKES))
    thin = alt.Chart(data(each)).mark_line(strokeWidth=0.7, opacity=0.35)
    thick = alt.Chart(data(middle)).mark_line(strokeWidth=2.6)
    line = alt.StrokeDash("recipe:N", scale=dash, legend=alt.Legend(**STROKES))
    layers = [
        thin.encode(x=x, y=y, color=hue, detail="run:N"),
        thick.encode(
            x=x, y=y, color=hue, strokeDash=line, tooltip=["recipe:N", "step:Q", "value:Q"]
        ),
    ]
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)


def _thinned(run: Run) -> list[tuple[float, float]]:
    """At most some points; the last one is always there."""
    step = -(-len(run) // MAX_POINTS) or 1
    kept = list(run[::step])
    return kept if not run or kept[-1] == run[-1] else [*kept, run[-1]]


def _top(rows: Sequence[Mapping[str, Any]]) -> float:
    return max(0.05, *(float(row["value"]) for row in rows if np.isfinite(row["value"])), 0.0)


def _words(recipe: str, runs: Sequence[Run]) -> str:
    curve = medians(runs)
    if not curve:
        return f"{recipe} without a value"
    best = max(value for _, value in curve)
    return listing([f"{recipe} best {three(best)}, at the end {three(curve[-1][1])}"])
