"""Channels of windows brought to one scale, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinfile.data.windows import Windows
from thinfile.errors import DataError

SCALINGS = ("standard", "robust", "minmax", "none")
QUARTILES_OF_NORMAL = 1.3489795
"""Distance between the quartiles of a normal distribution of standard deviation 1."""


class ChannelScaling:
    """A centre and a width for each channel, from measured cells.

    Parameters
    ----------
    kind : {"standard", "robust", "minmax", "none"}
        Mean and standard deviation; median and quartiles (for channels with rare huge values);
        smallest value and range; nothing.
    centre, width : (channels,) arrays, optional
        Where they are known already.
    """

    def __init__(
        self,
        kind: str = "standard",
        centre: NDArray[np.float64] | None = None,
        width: NDArray[np.float64] | None = None,
    ) -> None:
        self.kind = kind
        self.centre = np.zeros(0) if centre is None else centre
        self.width = np.ones(0) if width is None else width

    def fit(self, windows: Windows) -> ChannelScaling:
        """Measure the channels.

        Raises
        ------
        DataError
            If a channel is never measured or constant; all such channels in one message.
        """
        measured = [
            column[~np.isnan(column)].astype(np.float64)
            for column in windows.values.reshape(-1, len(windows.channels)).T
        ]
        faults = [
            fault
            for name, column in zip(windows.channels, measured, strict=True)
            if (fault := _fault(name, column))
        ]
        if faults:
            raise DataError("; ".join(faults) + ": leave such channels out")
        pairs = [_centre_and_width(column, self.kind) for column in measured]
        self.centre, self.width = np.array(pairs).T
        return self

    def apply(self, windows: Windows) -> NDArray[np.float32]:
        """Scaled values, 0 where there is none.  # (windows, steps, channels)"""
        scaled = (windows.values - self.centre) / self.width
        return np.nan_to_num(scaled, nan=0.0).astype(np.float32)

    def undo(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Values in the channels' own units."""
        return (values * self.width + self.centre).astype(np.float32)

    def to_state(self) -> dict[str, Any]:
        """Plain lists, fit for JSON."""
        return {
            "kind": self.kind,
            "centre": self.centre.tolist(),
            "width": self.width.tolist(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> ChannelScaling:
        """What `to_state` described."""
        return cls(state["kind"], np.array(state["centre"]), np.array(state["width"]))


def _fault(name: str, column: NDArray[np.float64]) -> str:
    if not len(column):
        return f"channel {name!r} has no measured cell"
    if column.min() == column.max():
        return f"channel {name!r} is constant ({column[0]:g} in all {len(column)} measured cells)"
    return ""


def _centre_and_width(column: NDArray[np.float64], kind: str) -> tuple[float, float]:
    if kind == "none":
        return 0.0, 1.0
    if kind == "minmax":
        return float(column.min()), float(np.ptp(column))
    if kind == "robust":
        low, middle, high = np.quantile(column, [0.25, 0.5, 0.75])
        if high > low:
            return float(middle), float((high - low) / QUARTILES_OF_NORMAL)
    return float(column.mean()), float(column.std())
