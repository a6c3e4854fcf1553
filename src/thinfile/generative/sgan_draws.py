"""Which rows each member of an SGAN sees: batches of indices, every class equally often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from thinfile.data.encode import Encoded
from thinfile.nn.mixed import one_hot

Rows = npt.NDArray[np.intp]

TURNS_AT_ONCE = 100


def as_columns(encoded: Encoded, cardinalities: Sequence[int]) -> Tensor:
    """Numbers, then one column for each code, shape (rows, columns)."""
    numbers = torch.from_numpy(np.ascontiguousarray(encoded.numbers))
    if not len(cardinalities):
        return numbers
    codes = one_hot(torch.from_numpy(encoded.codes), cardinalities)
    return torch.cat([numbers, codes], dim=1)


class ClassTable:
    """Rows of each class that each member may see, as one padded table to draw from."""

    def __init__(self, y: npt.NDArray[np.int8], n_classes: int, fold: Rows | None, n_members: int):
        seen = [
            [
                np.flatnonzero((y == label) & (True if fold is None else fold != member))
                for label in range(n_classes)
            ]
            for member in range(n_members)
        ]
        counts = [[len(rows) for rows in of_member] for of_member in seen]
        longest = max(max(row) for row in counts)
        table = np.zeros((n_members, n_classes, longest), dtype=np.int64)
        for member, of_member in enumerate(seen):
            for label, rows in enumerate(of_member):
                table[member, label, : len(rows)] = rows
        self.counts = torch.tensor(counts)  # (members, classes)
        self.rows = torch.from_numpy(table)  # (members, classes, longest)
        self.n_members, self.n_classes = n_members, n_classes

    def draw(self, n_turns: int, batch_size: int) -> Tensor:
        """Places of labelled rows, every class equally often.  # (turns, members, rows)"""
        label = torch.arange(batch_size) % self.n_classes
        if batch_size % self.n_classes:  # no class is always the one left out
            label = (label + torch.randint(self.n_classes, (n_turns, 1, 1))) % self.n_classes
        label = label.expand(n_turns, self.n_members, batch_size)
        member = torch.arange(self.n_members)[:, None].expand_as(label)
        place = torch.rand(n_turns, self.n_members, batch_size) * self.counts[member, label]
        return self.rows[member, label, place.long()]


@dataclass(frozen=True)
class Drawn:
    """Rows of one turn; gathered only when a loss asks for them."""

    rows: SganRows
    labelled_at: Tensor  # (members, rows)
    unlabelled_at: Tensor  # (members, rows)

    def labelled(self) -> tuple[Tensor, Tensor]:
        """Labelled rows and their classes: (members, rows, columns), (members, rows)."""
        return self.rows.labelled[self.labelled_at], self.rows.y[self.labelled_at]

    def unlabelled(self) -> Tensor:
        """Rows without labels, or labelled ones where there are none of these."""
        return self.rows.unlabelled[self.unlabelled_at]


@dataclass(frozen=True)
class SganRows:
    """Training rows on the training device."""

    labelled: Tensor  # (labelled, columns)
    y: Tensor  # (labelled,)
    unlabelled: Tensor  # (unlabelled, columns)


class SganBatches:
    """The turns of a run; their indices are drawn many turns at once.

    `n_labelled` and `n_unlabelled` rows are drawn for each turn; as many of both by default.
    """

    def __init__(
        self,
        rows: SganRows,
        table: ClassTable,
        n_turns: int,
        n_labelled: int,
        n_unlabelled: int | None = None,
    ) -> None:
        self.rows, self.table = rows, table
        self.n_turns, self.n_labelled = n_turns, n_labelled
        self.n_unlabelled = n_unlabelled or n_labelled

    def __len__(self) -> int:
        return self.n_turns

    def __iter__(self) -> Iterator[Drawn]:
        device = self.rows.y.device
        for start in range(0, self.n_turns, TURNS_AT_ONCE):
            n_turns = min(TURNS_AT_ONCE, self.n_turns - start)
            shape = (n_turns, self.table.n_members, self.n_unlabelled)
            labelled = self.table.draw(n_turns, self.n_labelled).to(device)
            unlabelled = torch.randint(len(self.rows.unlabelled), shape).to(device)
            for turn in range(n_turns):
                yield Drawn(self.rows, labelled[turn], unlabelled[turn])
