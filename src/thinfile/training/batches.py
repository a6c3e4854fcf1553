"""Batches as index slices of tensors: no loader, no workers, no copies of single rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, Protocol

import torch

from thinfile.errors import DataError, ParameterError

Batch = Any
"""What one step gets: a tuple or dict of tensors, or a `Pair` of them."""


class Batches(Protocol):
    """What `train` walks over: each pass is one epoch, and the number of batches is known."""

    def __iter__(self) -> Iterator[Batch]: ...

    def __len__(self) -> int: ...


class Pair(NamedTuple):
    """A batch of the source population and one of the target population."""

    source: Batch
    target: Batch


class TensorBatches:
    """Cut tensors into batches of rows.

    Use it for anything that fits into memory: one permutation per pass and one gather per
    batch and tensor. Put the tensors on the training device first. It is not for data larger
    than memory.

    A training pass (``shuffle`` or a weighted draw) never gives a batch of a single row, where
    batch normalisation breaks: a remainder of one joins the batch before. A table shorter than
    one batch is one batch, also with ``drop_last``.

    Parameters
    ----------
    tensors : tuple or mapping of torch.Tensor
        All of the same number of rows, on one device. Batches come in the same form.
    batch_size : int
        Rows per batch, at least 2 in training passes.
    shuffle : bool, default True
        A fresh permutation for each pass; otherwise slices in the given order.
    drop_last : bool, default False
        Leave a shorter last batch out.
    generator : torch.Generator, optional
        Source of the permutations, on the CPU; torch's global one by default.
    balanced : torch.Tensor of shape (rows,), optional
        Labels: rows are drawn with replacement so that every label is equally frequent. A pass
        is still as many rows as there are.
    weight : torch.Tensor of shape (rows,), optional
        Rows are drawn with replacement in proportion to these numbers, 0 or more.

    Raises
    ------
    DataError
        If the tensors differ in rows or device, there are too few rows, or weights cannot be used.
    ParameterError
        If ``batch_size`` is too small, or both ``balanced`` and ``weight`` are given.

    Examples
    --------
    >>> rows = TensorBatches((torch.arange(7.0), torch.arange(7)), batch_size=3)
    >>> len(rows), [len(x) for x, y in rows]
    (2, [3, 4])
    """

    def __init__(
        self,
        tensors: tuple[torch.Tensor, ...] | Mapping[str, torch.Tensor],
        batch_size: int,
        *,
        shuffle: bool = True,
        drop_last: bool = False,
        generator: torch.Generator | None = None,
        balanced: torch.Tensor | None = None,
        weight: torch.Tensor | None = None,
    ) -> None:
        self._names = tuple(tensors) if isinstance(tensors, Mapping) else None
        self._tensors = tuple(tensors.values()) if isinstance(tensors, Mapping) else tuple(tensors)
        self.n_rows = _shared_rows(self._tensors)
        self.batch_size = batch_size
        if balanced is not None and weight is not None:
            raise ParameterError("TensorBatches: give either balanced or weight, not both")
        if balanced is not None:
            weight = _equal_share(balanced)
        self._heaps = None if weight is None else _heaps(weight, self.n_rows)
        self._training = shuffle or weight is not None
        self._generator = generator
        self._check_sizes()
        self._bounds = _bounds(self.n_rows, batch_size, drop_last, merge=self._training)

    def __len__(self) -> int:
        return len(self._bounds)

    def __iter__(self) -> Iterator[Batch]:
        order = self._order() if self._training else None
        for start, stop in self._bounds:
            if order is None:
                yield self._dress(tuple(tensor[start:stop] for tensor in self._tensors))
            else:
                rows = order[start:stop]
                yield self._dress(tuple(tensor.index_select(0, rows) for tensor in self._tensors))

    def _dress(self, parts: tuple[torch.Tensor, ...]) -> Batch:
        return parts if self._names is None else dict(zip(self._names, parts, strict=True))

    def _order(self) -> torch.Tensor:
        if self._heaps is None:
            order = torch.randperm(self.n_rows, generator=self._generator)
        else:
            # Sums and a search instead of torch.multinomial, which stops at 2^24 rows.
            draws = torch.rand(self.n_rows, generator=self._generator, dtype=torch.float64)
            order = torch.searchsorted(self._heaps, draws * self._heaps[-1], right=True)
        return order.to(self._tensors[0].device)

    def _check_sizes(self) -> None:
        least = 2 if self._training else 1
        if self.batch_size < least:
            raise ParameterError(
                f"TensorBatches: batch_size is {self.batch_size!r}, must be at least {least}"
                + (" (batch normalisation needs two rows)" if self._training else "")
            )
        if self.n_rows < least:
            raise DataError(
                f"TensorBatches: the tensors have {self.n_rows} rows, at least {least} are needed"
            )


class PairedBatches:
    """Draw source and target batches together, as adaptation methods need them.

    Each pass starts both sides afresh; the side with fewer batches begins again, with a fresh
    permutation, as often as the pass asks for.

    Parameters
    ----------
    source, target : Batches
        The two sides; they may differ in rows, batch size and form.
    n_batches : "longest", "shortest" or int, default "longest"
        Pairs in one pass: as many as the longer side has batches, as the shorter one has, or a
        number.

    Examples
    --------
    >>> old = TensorBatches((torch.zeros(10, 2),), 4)
    >>> new = TensorBatches((torch.ones(4, 2),), 4)
    >>> [(len(pair.source[0]), len(pair.target[0])) for pair in PairedBatches(old, new)]
    [(4, 4), (4, 4), (2, 4)]
    """

    def __init__(
        self,
        source: Batches,
        target: Batches,
        n_batches: Literal["longest", "shortest"] | int = "longest",
    ) -> None:
        if n_batches not in ("longest", "shortest") and not (
            isinstance(n_batches, int) and n_batches >= 1
        ):
            raise ParameterError(
                f"PairedBatches: n_batches is {n_batches!r}, must be 'longest', 'shortest' or a "
                "number from 1 on"
            )
        for name, side in (("source", source), ("target", target)):
            if len(side) == 0:
                raise DataError(f"PairedBatches: the {name} has no batch")
        self.source, self.target = source, target
        self._n_batches = n_batches

    def __len__(self) -> int:
        if isinstance(self._n_batches, int):
            return self._n_batches
        pick = max if self._n_batches == "longest" else min
        return pick(len(self.source), len(self.target))

    def __iter__(self) -> Iterator[Pair]:
        sides = zip(_again(self.source), _again(self.target), strict=False)
        for _, (source, target) in zip(range(len(self)), sides, strict=False):
            yield Pair(source, target)


def cap_batch(batch_size: int, n_rows: int, notes: list[str]) -> int:
    """Rows of a batch that is drawn: no more than there are; a note if fewer than asked for.

    Examples
    --------
    >>> notes = []
    >>> cap_batch(512, 200, notes), notes
    (200, ['batch_size=512 is more than the 200 training rows: each batch has 200'])
    """
    if batch_size <= n_rows:
        return batch_size
    notes.append(
        f"batch_size={batch_size} is more than the {n_rows} training rows: each batch has {n_rows}"
    )
    return n_rows


def _again(batches: Batches) -> Iterator[Batch]:
    while True:
        yield from batches


def _shared_rows(tensors: tuple[torch.Tensor, ...]) -> int:
    if not tensors:
        raise DataError("TensorBatches: no tensors were given")
    n_rows = {tensor.shape[0] if tensor.ndim else 0 for tensor in tensors}
    devices = {str(tensor.device) for tensor in tensors}
    if len(n_rows) > 1 or len(devices) > 1:
        shapes = ", ".join(f"{tuple(tensor.shape)} on {tensor.device}" for tensor in tensors)
        raise DataError(f"TensorBatches: tensors must share rows and device, got {shapes}")
    return n_rows.pop()


def _equal_share(labels: torch.Tensor) -> torch.Tensor:
    _, code, count = torch.unique(labels, return_inverse=True, return_counts=True)
    share: torch.Tensor = count[code].double().reciprocal()
    return share


def _heaps(weight: torch.Tensor, n_rows: int) -> torch.Tensor:
    """Return the running sum of the weights, on the CPU where the draws are made."""
    weight = weight.detach().cpu().double()
    n_bad = int((~torch.isfinite(weight) | (weight < 0)).sum())
    if weight.shape != (n_rows,) or n_bad or not weight.sum() > 0:
        raise DataError(
            f"TensorBatches: weights of shape {tuple(weight.shape)} for {n_rows} rows, {n_bad} of "
            f"them negative or not finite, sum {float(weight.sum()):g}; one number from 0 on per "
            "row is needed, and a sum above 0"
        )
    return torch.cumsum(weight, 0)


def _bounds(n_rows: int, size: int, drop_last: bool, *, merge: bool) -> list[tuple[int, int]]:
    """Return the first row and the row after the last of each batch."""
    bounds = [(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]
    remainder = n_rows % size
    if len(bounds) > 1 and remainder:
        if drop_last:
            bounds.pop()
        elif remainder == 1 and merge:
            bounds[-2:] = [(bounds[-2][0], n_rows)]
    return bounds
