"""Batches of histories: rows of like length together, a constant number of events in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from thinfile.errors import DataError
from thinfile.params import check_params, integer, real
from thinfile.training.batches import Batch

Lengths = npt.NDArray[np.int64]
History = tuple[Tensor, Tensor, Tensor]
"""Codes (rows, events, fields), numbers (rows, events, columns) and lengths (rows,)."""


@dataclass(frozen=True)
class FlatEvents:
    """Histories as flat tensors on one device, filled up batch by batch.

    Build it with :meth:`of`. The last event belongs to nobody: it is what rows are filled with.
    """

    codes: Tensor  # (events + 1, fields) int32
    numbers: Tensor  # (events + 1, columns) float32
    days: Tensor  # (events + 1,) float32: days to the cut
    starts: Tensor  # (rows,) int64: first event
    lengths: Tensor  # (rows,) int64

    @classmethod
    def of(
        cls,
        codes: npt.NDArray[np.int32],
        numbers: npt.NDArray[np.float32],
        days: npt.NDArray[np.float32],
        offsets: npt.NDArray[np.int64],
        device: torch.device | str = "cpu",
    ) -> FlatEvents:
        """From arrays as in :class:`thinfile.data.encode_events.EncodedEvents`."""
        padded = [
            np.concatenate([a, np.zeros_like(a, shape=(1, *a.shape[1:]))])
            for a in (codes, numbers, days)
        ]
        tensors = [torch.from_numpy(array).to(device) for array in padded]
        starts, lengths = offsets[:-1].copy(), np.diff(offsets)
        return cls(*tensors, *(torch.from_numpy(a).to(device) for a in (starts, lengths)))

    def padded(self, rows: Tensor) -> History:
        """The whole histories of some rows."""
        return self.slices(self.starts.index_select(0, rows), self.lengths.index_select(0, rows))

    def slices(self, starts: Tensor, lengths: Tensor) -> History:
        """Any runs of events, by first event and number of events, as one filled-up batch."""
        places = self.places(starts, lengths)
        shape, flat = places.shape, places.flatten()
        codes = self.codes.index_select(0, flat).view(*shape, -1)
        numbers = self.numbers.index_select(0, flat).view(*shape, -1)
        return codes, numbers, lengths

    def places(self, starts: Tensor, lengths: Tensor) -> Tensor:
        """Position of each event of each run; at least one column.  # (rows, events)"""
        longest = max(1, int(lengths.max())) if len(lengths) else 1
        step = torch.arange(longest, device=starts.device)
        inside = step < lengths.unsqueeze(1)
        return torch.where(inside, starts.unsqueeze(1) + step, len(self.days) - 1)


class LengthBatches:
    """Cut rows into batches of like length that hold about the same number of events.

    Use it for every recurrent or convolutional network: histories are filled up to the longest of
    their batch only, and short histories come many at a time. Each pass sorts by length with some
    noise, so that batches differ between passes, and hands them out in random order; every row
    comes once. Do not pack sequences instead: it is slower than filling up.

    Batches differ in their number of rows. A loss that is a mean over rows gives rows of long
    histories more weight then; multiply it by rows / :attr:`mean_rows` to weigh all rows alike.

    Parameters
    ----------
    lengths : array of int, shape (rows,)
        Events of each row, 0 or more.
    make : callable
        From a tensor of row numbers (positions in `lengths`) to a batch.
    n_tokens : int, default 4096
        Events of a batch, filling included, as planned; the noise may take it a little above.
    max_rows : int, default 512
        Most rows of a batch.
    noise : float, default 0.15
        At most so much is added to the logarithm of a length before sorting: 0.15 mixes lengths
        that differ by 15 % and costs 7 % more filling.
    shuffle : bool, default True
        False: no noise, shortest first, for scoring.
    generator : torch.Generator, optional
        Source of the noise, on the CPU; torch's global one by default.

    Attributes
    ----------
    mean_rows : float
        Rows of a batch on average.

    References
    ----------
    Khomenko et al., Accelerating recurrent neural network training using sequence bucketing and
    multi-GPU data parallelization, DSMP 2016.

    Examples
    --------
    >>> rows = LengthBatches([1, 9, 2, 8], torch.Tensor.tolist, n_tokens=18, shuffle=False)
    >>> list(rows)
    [[0, 2], [3, 1]]
    """

    def __init__(
        self,
        lengths: npt.ArrayLike,
        make: Callable[[Tensor], Batch],
        *,
        n_tokens: int = 4096,
        max_rows: int = 512,
        noise: float = 0.15,
        shuffle: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        given = {"n_tokens": n_tokens, "max_rows": max_rows, "noise": noise}
        rules = {"n_tokens": integer(1), "max_rows": integer(1), "noise": real(0)}
        check_params("LengthBatches", given, rules)
        known = np.asarray(lengths, dtype=np.int64)
        if not len(known) or known.min() < 0:
            raise DataError("LengthBatches: at least one row, and no length below 0, is needed")
        self._log_lengths = torch.log1p(torch.from_numpy(known).double())
        self._make, self._noise, self._generator = make, noise, generator
        self._shuffle = shuffle
        self.bounds = token_bounds(np.sort(known), n_tokens, max_rows)
        self.mean_rows = len(known) / len(self.bounds)

    def __len__(self) -> int:
        return len(self.bounds)

    def __iter__(self) -> Iterator[Batch]:
        order = self._order()
        for place in self._turns():
            start, stop = self.bounds[place]
            yield self._make(order[start:stop])

    def _order(self) -> Tensor:
        key = self._log_lengths
        if self._shuffle:
            drawn = torch.rand(len(key), generator=self._generator, dtype=torch.float64)
            # Rows of one length change places also where no noise is wanted.
            key = key + drawn * max(self._noise, 1e-9)
        return torch.argsort(key, stable=True)

    def _turns(self) -> list[int]:
        if not self._shuffle:
            return list(range(len(self.bounds)))
        turns: list[int] = torch.randperm(len(self.bounds), generator=self._generator).tolist()
        return turns


def token_bounds(ascending: Lengths, n_tokens: int, max_rows: int) -> list[tuple[int, int]]:
    """First row and row after the last of each batch, for lengths in ascending order.

    A batch ends where one more row would make (rows × longest) exceed `n_tokens`, or `max_rows`.
    """
    bounds, start = [], 0
    counts = np.arange(1, max_rows + 1)
    while start < len(ascending):
        part = np.maximum(ascending[start : start + max_rows], 1)
        size = int(np.searchsorted(part * counts[: len(part)], n_tokens, side="right"))
        stop = start + max(1, size)
        bounds.append((start, stop))
        start = stop
    return bounds
