"""How a GAN was trained: losses and accuracies of both sides, quality, and a grid of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy.typing as npt

from thinfile.report.figures.figure import PLAIN, Figure, data, palette
from thinfile.report.figures.png import data_address, image_grid
from thinfile.report.words import listing, three

WIDTH, HEIGHT = 340, 130
PANELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Loss", ("discriminator_loss", "generator_loss")),
    ("Accuracy of the discriminator", ("accuracy_real", "accuracy_fake")),
    ("Made beside real", ("quality", "spread", "duplicates")),
)
NAMES = {
    "discriminator_loss": "discriminator",
    "generator_loss": "generator",
    "accuracy_real": "on real rows",
    "accuracy_fake": "on made rows",
    "quality": "quality",
    "spread": "spread",
    "duplicates": "duplicates",
}

Images = npt.NDArray[Any]


def gan_figure(records: Sequence[Mapping[str, Any]], title: str = "GAN") -> Figure:
    """Losses of both sides, the discriminator's accuracies, and quality over the steps.

    Parameters
    ----------
    records : sequence of mapping
        ``history_`` of a fitted `TableGAN` or `DCGAN`.
    title : str
    """
    panels = [_panel(records, name, keys) for name, keys in PANELS]
    chart = alt.vconcat(*[p for p in panels if p is not None], spacing=10)
    return Figure(
        "gan-curves",
        title,
        _words(records, title),
        chart.resolve_scale(color="independent", strokeDash="independent"),
        caption="Both sides' losses stay apart from zero while each still learns from the other.",
        size="half",
        fixed=True,
    )


def samples_figure(images: Images, title: str = "Samples", *, columns: int = 10) -> Figure:
    """Made images on a grid.

    Parameters
    ----------
    images : (n, height, width) or (n, height, width, 3)
        From 0 to 1, as `DCGAN.sample` gives them.
    title : str
    columns : int
        Images in a row.
    """
    picture = image_grid(images, columns)
    address = data_address(picture)
    height, width = picture.shape[:2]
    scale = max(1, round(420 / width))
    chart = (
        alt.Chart(alt.InlineData(values=[{"url": address}]))
        .mark_image(width=width * scale, height=height * scale)
        .encode(url="url:N", x=alt.value(width * scale / 2), y=alt.value(height * scale / 2))
        .properties(width=width * scale, height=height * scale)
    )
    words = f"{len(images)} made images of {images.shape[1]} × {images.shape[2]} pixels on a grid."
    return Figure("gan-samples", title, words, chart, size="half", fixed=True)


def _panel(records: Sequence[Mapping[str, Any]], title: str, keys: Sequence[str]) -> Any:
    rows = [
        {"step": record["step"], "name": NAMES[key], "value": record[key]}
        for key in keys
        for record in records
        if isinstance(record.get(key), int | float)
    ]
    if not rows:
        return None
    colour, dash = palette(list(dict.fromkeys(row["name"] for row in rows)))
    legend = alt.Legend(orient="top", columns=3)
    return (
        alt.Chart(data(rows))
        .mark_line(strokeWidth=1.8)
        .encode(
            x=alt.X("step:Q", title="Step", axis=alt.Axis(tickCount=5, format="~s")),
            y=alt.Y(
                "value:Q", title=title, axis=alt.Axis(tickCount=4, labelExpr=PLAIN, minExtent=38)
            ),
            color=alt.Color("name:N", scale=colour, legend=legend),
            strokeDash=alt.StrokeDash("name:N", scale=dash, legend=legend),
            tooltip=["name:N", "step:Q", alt.Tooltip("value:Q", format=".4f")],
        )
        .properties(width=WIDTH, height=HEIGHT)
    )


def _words(records: Sequence[Mapping[str, Any]], title: str) -> str:
    moves = []
    for _, keys in PANELS:
        for key in keys:
            values = [r[key] for r in records if isinstance(r.get(key), int | float)]
            if values:
                words = key.replace("_", " ")
                moves.append(f"{words} from {three(values[0])} to {three(values[-1])}")
    return f"Training of {title} over {len(records)} checks: {listing(moves)}."
