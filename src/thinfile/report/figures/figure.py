"""A figure of the report: chart, words for who cannot see it, and the look that all share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import altair as alt
import numpy as np

from thinfile.report.tables import Table

INK, GREY, FAINT = "#1b1f24", "#5b6470", "#e3e6ea"
METHOD, BASELINE = "#0072b2", "#d55e00"
CURVES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("#0072b2", (1, 0)),
    ("#d55e00", (6, 3)),
    ("#009e73", (2, 2)),
    ("#cc79a7", (8, 2, 2, 2)),
    ("#1b1f24", (4, 4)),
    ("#e69f00", (10, 3)),
)
"""Okabe and Ito's colours, told apart by most colour-blind readers, and a dash for the rest."""

FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"
"""A font whose widths are known where the pictures are drawn."""

NAME_ROOM = 16
"""Room left of a picture's row names, for a reader whose font is wider."""

STROKES: dict[str, Any] = {"symbolType": "stroke", "symbolOpacity": 1, "symbolSize": 220}
SOLID = alt.Legend(**STROKES)
"""A legend of lines as strong as the lines, where a pale area goes with them."""

WIDTHS = {"full": 780, "half": 450, "small": 325}
HOVER = "hover"

THEME: dict[str, Any] = {
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": GREY,
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "gridColor": FAINT,
        "domainColor": "#aab1ba",
        "tickColor": "#aab1ba",
        "labelLimit": 230,
        "titlePadding": 8,
    },
    "legend": {
        "labelFontSize": 12,
        "labelColor": INK,
        "title": None,
        "orient": "top",
        "labelLimit": 240,
        "symbolStrokeWidth": 2.5,
    },
    "title": {"fontSize": 13, "anchor": "start", "color": INK, "fontWeight": 600},
    "text": {"fontSize": 12, "color": INK},
    "line": {"strokeWidth": 2},
}


@dataclass(frozen=True)
class Figure:
    """One chart with its title, words and numbers.

    Attributes
    ----------
    name : str
        Name within the page, letters and dashes.
    title, caption : str
        What is shown, and how to read it.
    alt : str
        What the chart says, for readers who do not see it.
    chart : altair chart
        Drawn for the width of `size`, unless `fixed`.
    size : {"full", "half", "small"}
        Part of the page's width.
    has_names : bool
        Whether each row of the chart has a name on the left.
    table : Table or None
        The numbers behind it.
    open_table : bool
        Whether the table stands beside the chart instead of being folded away.
    """

    name: str
    title: str
    alt: str
    chart: Any
    caption: str = ""
    size: str = "full"
    fixed: bool = False
    has_names: bool = False
    table: Table | None = None
    open_table: bool = False

    @cached_property
    def live(self) -> dict[str, Any]:
        """Specification for the browser: as wide as its place."""
        spec: dict[str, Any] = self.chart.to_dict()
        spec.pop("$schema", None)
        wide = {} if self.fixed else _wide("container")
        return {**spec, **wide, "config": THEME, "padding": 4}

    @property
    def still(self) -> dict[str, Any]:
        """Specification for the picture that stands in the page before any script has run."""
        spec = {**self.live, **({} if self.fixed else _wide(WIDTHS[self.size]))}
        if "layer" in spec:
            spec["layer"] = [layer for layer in spec["layer"] if layer.get("name") != HOVER]
        if self.has_names:
            spec["padding"] = {"left": NAME_ROOM, "right": 4, "top": 4, "bottom": 4}
        return spec


def _wide(width: int | str) -> dict[str, Any]:
    return {"width": width, "autosize": {"type": "fit-x", "contains": "padding"}}


def data(rows: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    """Rows as inline data: rounded, and null where there is no finite number."""
    return alt.InlineData(values=[{k: _plain(v) for k, v in row.items()} for row in rows])


def _plain(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{value:.5g}") if np.isfinite(value) else None
    return value


PLAIN = (
    "datum.value !== 0 && (abs(datum.value) < 1e-4 || abs(datum.value) >= 1e6) "
    "? format(datum.value, '~e') : format(datum.value, '~r')"
)
"""Labels of an axis of any size: 10 and 0.005, and powers of ten only where those grow long."""


def haloed(base: Any, **mark: Any) -> list[Any]:
    """The field `text` beside each point, over a white rim that keeps lines behind it off."""
    encoded = {"text": "text:N", "color": alt.value(INK)}
    rim = base.mark_text(align="left", stroke="white", strokeWidth=4, aria=False, **mark)
    return [rim.encode(**encoded), base.mark_text(align="left", **mark).encode(**encoded)]


def palette(titles: Sequence[str]) -> tuple[alt.Scale, alt.Scale]:
    """Colour and dash of each curve, in the order given."""
    looks = [CURVES[i % len(CURVES)] for i in range(len(titles))]
    return (
        alt.Scale(domain=list(titles), range=[colour for colour, _ in looks]),
        alt.Scale(domain=list(titles), range=[list(dash) for _, dash in looks]),
    )


@dataclass(frozen=True)
class Key:
    """An entry of a legend that several charts share."""

    title: str
    colour: str
    dash: str


def legend(titles: Sequence[str]) -> list[Key]:
    """The legend that belongs to `palette`."""
    looks = [CURVES[i % len(CURVES)] for i in range(len(titles))]
    return [
        Key(title, colour, " ".join(map(str, dash)) if dash != (1, 0) else "none")
        for title, (colour, dash) in zip(titles, looks, strict=True)
    ]
