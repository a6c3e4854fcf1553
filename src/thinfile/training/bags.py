"""Multi-valued fields as tensors: the rows of a batch out of all, without a loop over rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch


@dataclass(frozen=True)
class TensorBag:
    """Values of all rows in one line, and where each row begins.

    Attributes
    ----------
    values : Tensor
        (values,), integer.
    offsets : Tensor of int64
        (rows + 1,), rising from 0; the last is the number of values.

    Examples
    --------
    >>> bag = TensorBag(torch.tensor([5, 6, 7]), torch.tensor([0, 2, 2, 3]))
    >>> [part.tolist() for part in bag.take(torch.tensor([2, 1, 0]))]
    [[7, 5, 6], [0, 1, 1]]
    """

    values: torch.Tensor
    offsets: torch.Tensor

    @classmethod
    def from_arrays(
        cls,
        values: npt.NDArray[np.integer],
        offsets: npt.NDArray[np.int64],
        device: torch.device | str = "cpu",
    ) -> TensorBag:
        """A bag on a device."""
        return cls(torch.from_numpy(values).to(device), torch.from_numpy(offsets).to(device))

    def take(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Values of the rows at these places, and where each of them begins."""
        first = self.offsets.index_select(0, rows)
        lengths = self.offsets.index_select(0, rows + 1) - first
        starts = lengths.cumsum(0) - lengths
        shift = torch.repeat_interleave(first - starts, lengths)
        return self.values[shift + torch.arange(len(shift), device=shift.device)], starts

    def slice(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Values of neighbouring rows, and where each of them begins; no copy."""
        bounds = self.offsets[start : stop + 1]
        return self.values[bounds[0] : bounds[-1]], bounds[:-1] - bounds[0]
