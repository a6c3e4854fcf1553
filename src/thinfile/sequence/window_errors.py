"""How badly a model makes windows again: by cell, and so by window, step and channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile.data.windows import Windows

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WindowErrors:
    """Errors of every measured cell, and their means.

    Attributes
    ----------
    windows : Windows
        What was scored.
    cells : (windows, steps, channels)
        1 is as large as usual in training for this channel; NaN where nothing was measured.
    """

    windows: Windows
    cells: Floats

    @property
    def window(self) -> Floats:
        """Mean over the measured cells of each window, shape (windows,)."""
        return _mean(self.cells.reshape(len(self.cells), -1), axis=1)

    @property
    def step(self) -> Floats:
        """Mean over the channels of each step, shape (windows, steps); NaN without any."""
        return _mean(self.cells, axis=2)

    @property
    def channel(self) -> Floats:
        """Mean over the steps of each channel, shape (windows, channels); NaN without any."""
        return _mean(self.cells, axis=1)

    @property
    def worst_step(self) -> Floats:
        """Largest of the steps' errors in each window, shape (windows,)."""
        largest: Floats = np.nanmax(self.step, axis=1)
        return largest

    def worst(self, n: int = 10) -> pl.DataFrame:
        """The steps with the largest errors, and which channels they come from.

        A row of the table that several windows hold is listed once, with its mean error.

        Returns
        -------
        polars.DataFrame
            ``window`` (the first that holds it), ``step``, ``entity`` and ``row`` where the
            windows came from a table, ``error``, ``channel`` (the worst one) and ``error
            <channel>`` for each.
        """
        step = self.step
        window, at = np.nonzero(~np.isnan(step))
        parts = {"window": window, "step": at}
        if self.windows.entities is not None:
            parts["entity"] = self.windows.entities[window]
        if self.windows.rows is not None:
            parts["row"] = self.windows.rows[window, at]
        names = {f"error {name}": i for i, name in enumerate(self.windows.channels)}
        each = {key: self.cells[window, at, place] for key, place in names.items()}
        frame = pl.DataFrame({**parts, "error": step[window, at], **each}, nan_to_null=True)
        if "row" in frame.columns:
            others = [c for c in frame.columns if c not in ("row", "error", *names)]
            frame = frame.group_by("row", maintain_order=True).agg(
                pl.col(others).first(), pl.col("error", *names).mean()
            )
        top = frame.sort("error", descending=True, maintain_order=True).head(n)
        largest = np.nan_to_num(top.select(*names).to_numpy().astype(np.float64), nan=-np.inf)
        channel = np.array(self.windows.channels)[largest.argmax(1)] if len(top) else []
        place = top.columns.index("error") + 1
        return top.insert_column(place, pl.Series("channel", channel, pl.String))


def _mean(values: Floats, axis: int) -> Floats:
    known = ~np.isnan(values)
    count = known.sum(axis)
    total = np.where(known, values, 0.0).sum(axis)
    mean: Floats = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean
