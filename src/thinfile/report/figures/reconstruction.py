"""What an autoencoder gives back: images beside their originals, and one row column by column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.errors import DataError
from thinfile.frame import as_frame
from thinfile.report.figures.figure import BASELINE, GREY, INK, Figure, data
from thinfile.report.figures.png import Pixels, data_address, enlarged, image_grid
from thinfile.report.subject import Row
from thinfile.report.words import listing

MAX_COLUMNS = 40
"""Columns with a bar; of wider tables, those that are most out of the ordinary."""

PALE = "#8cc0dd"
"""The methods' blue, pale, so that what came back stands out on it."""

UNUSUAL_FROM = 10.0
"""Error, in units of the column's usual one, from which on a column is called out of the ordinary.
Of normal errors one in 600 is larger, so most rows of a few dozen columns have none."""

ROOM, MIN_STEP, MAX_STEP = 900, 22, 76
"""Width that the bars of all columns share, and of one column at least and at most."""
HEIGHT, ERROR_HEIGHT = 260, 150
TOLD = 3
HOW_TO_READ = (
    "Above: the row's numbers on the network's scale (wide bars) and what came back (narrow bars). "
    f"Below: the error of every column; 1 is usual, and from {UNUSUAL_FROM:g} on (dashed line) a "
    "column is out of the ordinary."
)


def beside(originals: npt.NDArray[Any], back: npt.NDArray[Any], n_columns: int = 10) -> Pixels:
    """Rows of originals, each with the row of what came back below it.

    Parameters
    ----------
    originals, back : arrays of shape (n, height, width) or (n, height, width, 3)
        Values in 0…1.
    n_columns : int, default 10
        Images in a row.

    Raises
    ------
    DataError
        If the two differ in shape.
    """
    first, second = np.asarray(originals), np.asarray(back)
    if first.shape != second.shape:
        raise DataError(f"originals of shape {first.shape} and reconstructions of {second.shape}")
    blank = np.ones_like(first[:1])
    rows: list[npt.NDArray[Any]] = []
    for start in range(0, len(first), n_columns):
        for images in (first, second):
            part = images[start : start + n_columns]
            rows += [part, *[blank] * (n_columns - len(part))]
    return image_grid(np.concatenate(rows), n_columns)


def image_figure(
    originals: npt.NDArray[Any], back: npt.NDArray[Any], *, name: str = "reconstruction"
) -> Figure:
    """Originals and reconstructions as one picture.

    Parameters
    ----------
    originals, back : arrays of shape (n, height, width) or (n, height, width, 3)
        Values in 0…1, as `Autoencoder.reconstruct` gives them.
    name : str
        Of the figure within the page.
    """
    pixels = enlarged(beside(originals, back), 2)
    height, width = pixels.shape[:2]
    error = float(np.square(np.asarray(originals) - np.asarray(back)).mean())
    chart = (
        alt.Chart(data([{"address": data_address(pixels)}]))
        .mark_image(width=width, height=height)
        .encode(url="address:N", x=alt.value(width / 2), y=alt.value(height / 2))
        .properties(width=width, height=height)
    )
    return Figure(
        name,
        "Originals, and what came back",
        f"{len(originals)} images above their reconstructions; mean squared error {error:.4f}.",
        chart,
        "Each original stands above what the network makes of its code.",
        fixed=True,
    )


def row_figure(
    model: Any, X: Any, row: int = 0, *, name: str = "row", how_to_read: bool = True
) -> Figure:
    """One row: its values, what was expected, and the error of each column.

    Parameters
    ----------
    model : a fitted model with `reconstruct` and `column_errors`
        Such as `Autoencoder`.
    X
        Raw table that holds the row.
    row : int, default 0
        Its position.
    name : str
        Of the figure within the page.
    how_to_read : bool
        Whether the caption says so; of several such figures the first is enough.

    Raises
    ------
    DataError
        If the table has no such row.
    """
    frame = as_frame(X)
    if not 0 <= row < frame.height:
        raise DataError(f"row={row} must be one of the {frame.height} rows, from 0")
    one = frame[row]
    errors = model.column_errors(one)
    shown = sorted(errors.columns, key=lambda column: -errors[column][0])[:MAX_COLUMNS]
    order = [column for column in errors.columns if column in shown]
    worst = {column: float(errors[column][0]) for column in shown}
    told = [f"{column} ({error:.1f})" for column, error in list(worst.items())[:TOLD]]
    finding = out_of_the_ordinary(worst)
    return Figure(
        name,
        "A row and its reconstruction",
        f"{finding} Largest errors, in units of the column's usual error: {listing(told)}.",
        _row_chart(_values(model, one, order), _errors(errors, order), order),
        f"{finding} {HOW_TO_READ}" if how_to_read else finding,
        fixed=True,
    )


def out_of_the_ordinary(errors: Mapping[str, float]) -> str:
    """Which columns of a row are out of the ordinary, or that none is.

    Parameters
    ----------
    errors
        By column, in units of its usual error.

    Examples
    --------
    >>> out_of_the_ordinary({"hour": 14.2, "amount": 0.8})
    'Out of the ordinary: hour (14.2 times its usual error).'
    >>> out_of_the_ordinary({"hour": 4.2, "amount": 0.8})
    'No column is out of the ordinary: the largest error is that of hour, 4.2 times its usual one.'
    """
    order = sorted(errors, key=lambda column: -errors[column])
    found = [column for column in order if errors[column] >= UNUSUAL_FROM]
    if not found:
        return (
            f"No column is out of the ordinary: the largest error is that of {order[0]}, "
            f"{errors[order[0]]:,.1f} times its usual one."
        )
    told = [f"{column} ({errors[column]:,.1f} times its usual error)" for column in found]
    return f"Out of the ordinary: {listing(told)}."


def _values(model: Any, one: pl.DataFrame, order: list[str]) -> list[Row]:
    encoder = model.encoder_
    parsed, back = model.schema_.parse(one).frame, model.reconstruct(one)
    true, expected = encoder.transform(parsed).numbers[0], encoder.transform(back).numbers[0]
    first = {column: i for i, column in reversed(list(enumerate(encoder.number_columns_)))}
    return [
        {"column": column, "kind": kind, "value": numbers[first[column]]}
        for kind, numbers in (("Row", true), ("Reconstruction", expected))
        for column in order
        if column in first
    ]


def _errors(errors: pl.DataFrame, order: list[str]) -> list[Row]:
    return [{"column": column, "error": errors[column][0]} for column in order]


def _row_chart(values: list[Row], errors: list[Row], order: list[str]) -> Any:
    step = min(MAX_STEP, max(MIN_STEP, ROOM // len(order)))
    width = step * len(order)
    axis = alt.Axis(labels=False, ticks=False, title=None)
    scale = alt.Scale(domain=["Row", "Reconstruction"], range=[PALE, BASELINE])
    base = alt.Chart(data(values)).encode(
        x=alt.X("column:N", sort=order, scale=alt.Scale(domain=order), axis=axis),
        y=alt.Y("value:Q", title="Scaled value", stack=None, axis=alt.Axis(tickCount=5)),
        color=alt.Color("kind:N", scale=scale, legend=alt.Legend(orient="top")),
        tooltip=["column:N", "kind:N", alt.Tooltip("value:Q", format=".3f")],
    )
    bars = alt.layer(
        base.transform_filter("datum.kind === 'Row'").mark_bar(size=0.75 * step),
        base.transform_filter("datum.kind !== 'Row'").mark_bar(size=0.25 * step),
    ).properties(width=width, height=HEIGHT)
    return alt.vconcat(bars, _error_chart(errors, order, step), spacing=6)


def _error_chart(errors: list[Row], order: list[str], step: int) -> Any:
    """Bars of the errors, and the line from which on they are out of the ordinary."""
    names = alt.Axis(title=None, labelAngle=-60, grid=False)
    bars = (
        alt.Chart(data(errors))
        .mark_bar(size=0.75 * step, color=GREY)
        .encode(
            x=alt.X("column:N", sort=order, scale=alt.Scale(domain=order), axis=names),
            y=alt.Y("error:Q", title="Error (1 = usual)", axis=alt.Axis(tickCount=4)),
            tooltip=["column:N", alt.Tooltip("error:Q", format=".2f")],
        )
    )
    line = alt.Chart(data([{"limit": UNUSUAL_FROM}])).mark_rule(color=INK, strokeDash=[4, 3])
    return alt.layer(bars, line.encode(y="limit:Q")).properties(
        width=step * len(order), height=ERROR_HEIGHT
    )
