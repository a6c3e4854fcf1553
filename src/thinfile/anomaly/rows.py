"""Which rows a method for few labelled events uses, and how often each kind is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from thinfile.baselines.boosted_rest import check_few_labels, sample_rows
from thinfile.estimator import FloatArray, TrainingData

Rows = npt.NDArray[np.intp]

MIN_USUAL = 1_000
"""Rows without a label below which detectors learn from labelled ones too."""


@dataclass(frozen=True)
class FewLabels:
    """Positions of the rows to train on, by what is known of them."""

    events: Rows
    others: Rows
    unlabelled: Rows

    @property
    def all(self) -> Rows:
        """Events, others and unlabelled rows, in this order."""
        return np.concatenate([self.events, self.others, self.unlabelled])

    @property
    def usual(self) -> Rows:
        """Rows that a detector learns from what is usual: those without a label.

        Known events are far more frequent among the labelled rows than among new ones, so that a
        detector fitted to them takes them for usual. Where few rows are without a label, those
        known to be no events are taken too, and only events where there is nothing else.
        """
        if len(self.unlabelled) >= MIN_USUAL:
            return self.unlabelled
        plain = np.concatenate([self.others, self.unlabelled])
        return plain if len(plain) else self.events

    @property
    def labels(self) -> npt.NDArray[np.int8]:
        """1, 0 and -1, in the order of `all`."""
        sizes = [len(self.events), len(self.others), len(self.unlabelled)]
        return np.repeat(np.array([1, 0, -1], dtype=np.int8), sizes)

    def draw_weight(self, event_share: float, other_share: float) -> FloatArray:
        """Weights of a draw, in the order of `all`, that give each kind its share.

        Parameters
        ----------
        event_share : float in (0, 1)
            Share of the rows drawn that are known events.
        other_share : float in [0, 1]
            Share of the remaining rows that are known not to be; all of them where no row is
            without a label.
        """
        other_share = other_share if len(self.unlabelled) else 1.0
        shares = (
            event_share,
            (1 - event_share) * other_share,
            (1 - event_share) * (1 - other_share),
        )
        parts = [
            np.full(len(rows), share / max(1, len(rows)))
            for rows, share in zip((self.events, self.others, self.unlabelled), shares, strict=True)
        ]
        return np.concatenate(parts)


def few_labels(
    owner: str, data: TrainingData, max_unlabelled: int | None, rng: np.random.Generator
) -> FewLabels:
    """The rows by kind, the unlabelled ones a random sample beyond `max_unlabelled`.

    Raises
    ------
    DataError
        If fewer than two events are labelled.
    """
    check_few_labels(owner, data)
    unlabelled = sample_rows(np.flatnonzero(data.y == -1), max_unlabelled, rng)
    return FewLabels(np.flatnonzero(data.y == 1), np.flatnonzero(data.y == 0), unlabelled)


class DrawnBatches:
    """Batches of rows drawn with replacement by weight; a pass is a fixed number of them.

    A pass does not grow with the rows without a label: what is to be learnt is in the few that
    have one.

    Parameters
    ----------
    tensors : mapping of Tensor
        All of the same number of rows.
    batch_size, n_batches : int ≥ 1
    weight : ndarray of shape (rows,)
        Chance of each row, not negative, with a sum above 0.
    """

    def __init__(
        self,
        tensors: Mapping[str, torch.Tensor],
        batch_size: int,
        n_batches: int,
        weight: FloatArray,
    ) -> None:
        self.tensors = tensors
        self.batch_size = batch_size
        self.n_batches = n_batches
        self._heaps = torch.from_numpy(np.cumsum(weight) / np.sum(weight))

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        device = next(iter(self.tensors.values())).device
        last = len(self._heaps) - 1
        for _ in range(self.n_batches):
            chance = torch.rand(self.batch_size, dtype=torch.float64)
            rows = torch.searchsorted(self._heaps, chance, right=True).clamp(max=last).to(device)
            yield {name: value.index_select(0, rows) for name, value in self.tensors.items()}
