"""Conditions of a table GAN: which code of which column is asked for, and rows that have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True)
class Asked:
    """What is asked of each made row.

    Attributes
    ----------
    one_hot : Tensor (rows, width)
        For both networks.
    column, code : Tensor (rows,)
        Position of the column among all code columns, and its code.
    """

    one_hot: Tensor
    column: Tensor
    code: Tensor


class Conditions:
    """Draws a column, a code of it, and a row that has it.

    Columns are equally frequent. In training a code's chance goes by the logarithm of its rows,
    so that rare ones are seen; for sampling it goes by the rows themselves.

    Parameters
    ----------
    columns : sequence of int
        Positions of the columns that can be asked for.
    counts : sequence of arrays
        Rows of each code, column by column.

    References
    ----------
    Xu et al., NeurIPS 2019, section 4.3 (training-by-sampling).
    """

    def __init__(
        self,
        columns: Sequence[int],
        counts: Sequence[npt.NDArray[np.int64]],
    ) -> None:
        sizes = [len(each) for each in counts]
        self.columns = list(columns)
        self.width = sum(sizes)
        self.counts = [np.asarray(each) for each in counts]
        self._column = torch.from_numpy(np.repeat(np.asarray(columns, dtype=np.int64), sizes))
        codes = [np.arange(size) for size in sizes]
        self._code = torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *codes]))
        self._heaps = {
            "log": _heaps([np.log1p(each) for each in self.counts]),
            "rows": _heaps([each.astype(np.float64) for each in self.counts]),
        }
        flat = np.concatenate([np.zeros(0, np.int64), *self.counts])
        self._n_rows = torch.from_numpy(flat)
        self._first = torch.from_numpy(np.cumsum(flat) - flat)
        self._order: Tensor | None = None

    def index(self, codes: npt.NDArray[np.int32]) -> None:
        """Remember which training rows have each code, (rows, all code columns)."""
        orders = [np.argsort(codes[:, k], kind="stable").astype(np.int32) for k in self.columns]
        self._order = torch.from_numpy(np.concatenate([np.zeros(0, np.int32), *orders]))

    def forget(self) -> None:
        """Let go of the training rows."""
        self._order = None

    def draw(self, n_rows: int, *, by: str = "log") -> Asked:
        """Conditions for so many rows."""
        chance = torch.rand(n_rows, dtype=torch.float64)
        return self.ask(torch.searchsorted(self._heaps[by], chance, right=True))

    def ask(self, flat: Tensor) -> Asked:
        """Conditions by their position among all codes of all columns."""
        flat = flat.clamp(max=self.width - 1)
        empty = torch.zeros(len(flat), self.width)
        one_hot = empty.scatter_(1, flat[:, None], 1.0)
        self._last = flat
        return Asked(one_hot, self._column[flat], self._code[flat])

    def position(self, column: int, code: int) -> int:
        """Position of a code of a column (counted among all code columns)."""
        return int(torch.nonzero((self._column == column) & (self._code == code))[0])

    def has(self, column: int) -> bool:
        """Can this column be asked for?"""
        return bool((self._column == column).any())

    def rows_of(self, position: int) -> int:
        """Training rows that have a code, by its position."""
        return int(self._n_rows[position])

    def rows(self) -> Tensor:
        """A training row for each condition of the last draw, (rows,)."""
        assert self._order is not None  # only while training
        flat = self._last
        within = (torch.rand(len(flat), dtype=torch.float64) * self._n_rows[flat]).long()
        return self._order[self._first[flat] + within].long()


def _heaps(weights: Sequence[npt.NDArray[np.float64]]) -> Tensor:
    """Running sum of the chances of all codes, columns being equally frequent."""
    shares = [each / each.sum() / len(weights) for each in weights]
    heaps = np.cumsum(np.concatenate([np.zeros(0), *shares]))
    return torch.from_numpy(heaps)
