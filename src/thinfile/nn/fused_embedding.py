"""One table of embeddings for all fields, with gradients that are summed per row by one sort."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from thinfile.errors import DataError
from thinfile.params import boolean, check_params, integer, real, sequence_of

Bag = tuple[Tensor, Tensor]
"""A multi-valued field of a batch: its values in one line, and where each row's begin."""


class FusedEmbedding(nn.Module):
    """One table for all fields: beside the factors of each code its first-order weight.

    One look-up then serves the linear part, the factorisation machine and the network. Use it
    where several parts of a model read the same categories. For a plain network on few small
    fields `TableInput` is the better choice: it has columns of its own for small fields.

    Parameters
    ----------
    cardinalities
        Codes of each field, at least 1 each; may be empty.
    dim
        Factors per code, at least 1.
    bag_cardinalities
        Codes of each multi-valued field.
    initial_std
        The table starts as normal with mean 0 and this standard deviation, 0 or more.
    sparse_gradient
        The gradient is a sparse tensor of the rows that were looked up, for `TouchedAdam`; torch's
        own Adam needs it dense.

    Attributes
    ----------
    weight : nn.Parameter of shape (sum of all cardinalities, 1 + dim)
        Column 0 is the first-order weight. The fields lie below each other, bags last.
    starts, limits : Tensor of int64
        First row and number of codes of each field.

    Raises
    ------
    ParameterError
        An argument breaks its rule.

    References
    ----------
    Guo et al., DeepFM: a factorization-machine based neural network for CTR prediction,
    IJCAI 2017 (the parts share one embedding).

    Examples
    --------
    >>> table = FusedEmbedding([3, 1000], dim=4)
    >>> first, factors = table(torch.tensor([[2, 999], [0, 5]]))
    >>> first.shape, factors.shape
    (torch.Size([2, 2]), torch.Size([2, 2, 4]))
    """

    limits: Tensor
    starts: Tensor

    def __init__(
        self,
        cardinalities: Sequence[int],
        dim: int,
        *,
        bag_cardinalities: Sequence[int] = (),
        initial_std: float = 0.01,
        sparse_gradient: bool = False,
    ) -> None:
        super().__init__()
        _check_arguments(
            cardinalities=tuple(cardinalities),
            dim=dim,
            bag_cardinalities=tuple(bag_cardinalities),
            initial_std=initial_std,
            sparse_gradient=sparse_gradient,
        )
        self.n_fields, self.n_bags, self.dim = len(cardinalities), len(bag_cardinalities), dim
        self.sparse_gradient = sparse_gradient
        sizes = np.array([*cardinalities, *bag_cardinalities], dtype=np.int64)
        for name, values in (("limits", sizes), ("starts", np.cumsum(sizes) - sizes)):
            self.register_buffer(name, torch.from_numpy(values), persistent=False)
        self.weight = nn.Parameter(large_table(int(sizes.sum()), 1 + dim))
        nn.init.normal_(self.weight, std=initial_std)

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Look up single-valued fields.

        Parameters
        ----------
        codes
            (rows, fields), integer, each in 0 … cardinality − 1.

        Returns
        -------
        tuple of Tensor
            First-order weights (rows, fields) and factors (rows, fields, dim).

        Raises
        ------
        DataError
            Another number of columns, or a code that its field does not have. Codes are not
            looked at while the module is exported, compiled or traced.
        """
        looked_up = self.look_up(codes)
        return looked_up[..., 0], looked_up[..., 1:]

    def look_up(self, codes: Tensor) -> Tensor:
        """Rows of the table, both parts together.  # (rows, fields) -> (rows, fields, 1 + dim)"""
        self._check(codes)
        return self._gather(codes + self.starts[: self.n_fields])

    def pool(self, bags: Sequence[Bag]) -> Tensor:
        """Mean of the rows that each multi-valued field names; 0 where it names none.

        Parameters
        ----------
        bags
            For each field its values (n values,), integer, and where those of each row begin
            (rows,), rising from 0.

        Returns
        -------
        Tensor
            (rows, bags, 1 + dim)

        Raises
        ------
        DataError
            Another number of bags, a value that its field does not have, or offsets that do not
            rise from 0 within the values.
        """
        if len(bags) != self.n_bags:
            raise DataError(f"FusedEmbedding: {len(bags)} bags were given, must be {self.n_bags}")
        return torch.stack([self._mean(number, *bag) for number, bag in enumerate(bags)], dim=1)

    def _mean(self, number: int, values: Tensor, offsets: Tensor) -> Tensor:
        lengths = torch.diff(offsets, append=offsets.new_tensor([len(values)]))
        self._check_bag(number, values, offsets, lengths)
        owner = torch.repeat_interleave(
            torch.arange(len(offsets), device=offsets.device), lengths, output_size=len(values)
        )
        found = self._gather(values + self.starts[self.n_fields + number])
        total = found.new_zeros(len(offsets), 1 + self.dim).index_add(0, owner, found)
        return total / lengths.clamp(min=1).unsqueeze(1)

    def _gather(self, rows: Tensor) -> Tensor:
        own = rows.device.type == "cpu" and torch.is_grad_enabled() and not is_traced()
        if own and self.weight.requires_grad:
            found: Tensor = _Gather.apply(  # type: ignore[no-untyped-call]
                self.weight, rows, self.sparse_gradient
            )
            return found
        return nn.functional.embedding(rows, self.weight, sparse=self.sparse_gradient)

    def _check(self, codes: Tensor) -> None:
        if codes.ndim != 2 or codes.shape[1] != self.n_fields:
            raise DataError(
                f"FusedEmbedding: codes of shape {tuple(codes.shape)}, must be"
                f" (rows, {self.n_fields})"
            )
        if is_traced() or not codes.numel():
            return
        limits = self.limits[: self.n_fields]
        # Two reductions cost a quarter of a mask of all codes, which only a failure needs. A code
        # beyond its field would silently read and train the next field's rows.
        if bool(((codes.amin(0) < 0) | (codes.amax(0) >= limits)).any()):
            wrong = (codes < 0) | (codes >= limits)
            row, column = (int(i) for i in wrong.nonzero()[0])
            raise DataError(
                f"code column {column}: {int(wrong[:, column].sum())} of {len(codes)} codes are"
                f" outside 0 … {int(limits[column]) - 1}"
                f" (first: row {row}, {int(codes[row, column])})"
            )

    def _check_bag(self, number: int, values: Tensor, offsets: Tensor, lengths: Tensor) -> None:
        if is_traced():
            return
        limit = int(self.limits[self.n_fields + number])
        wrong = (values < 0) | (values >= limit)
        if bool(wrong.any()):
            place = int(wrong.nonzero()[0])
            raise DataError(
                f"bag {number}: {int(wrong.sum())} of {len(values)} values are outside"
                f" 0 … {limit - 1} (first: place {place}, {int(values[place])})"
            )
        if len(offsets) and (int(offsets[0]) != 0 or bool((lengths < 0).any())):
            raise DataError(f"bag {number}: offsets must rise from 0 to at most {len(values)}")


class _Gather(torch.autograd.Function):
    """Rows of a table; backward sums per row with one sort, where torch walks row by row."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, sparse: bool) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.n_rows, ctx.sparse = table.shape[0], sparse
        return table.index_select(0, rows.flatten()).view(*rows.shape, table.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (rows,) = ctx.saved_tensors
        values = gradient.reshape(rows.numel(), gradient.shape[-1])
        size = (ctx.n_rows, values.shape[1])
        if ctx.sparse:
            index = rows.reshape(1, -1)
            return torch.sparse_coo_tensor(index, values, size, check_invariants=False), None, None
        distinct, sums = sum_by_row(rows.flatten(), values)
        return values.new_zeros(size).index_copy_(0, distinct, sums), None, None


def sum_by_row(rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Sum the values of equal rows.

    Parameters
    ----------
    rows
        (n,) row numbers, 0 or more, in any order.
    values
        (n, width) what belongs to each.

    Returns
    -------
    tuple of Tensor
        The distinct rows in rising order, and the sums (distinct rows, width). The order of
        summation is that of the input, so the result is repeatable.

    Examples
    --------
    >>> rows, sums = sum_by_row(torch.tensor([7, 2, 7]), torch.tensor([[1.0], [2.0], [3.0]]))
    >>> rows.tolist(), sums.tolist()
    ([2, 7], [[2.0], [4.0]])
    """
    if rows.device.type != "cpu":
        distinct, place = torch.unique(rows, return_inverse=True)
        sums = values.new_zeros(len(distinct), values.shape[1])
        return distinct, sums.index_add_(0, place, values)
    # Row and place in one number: NumPy sorts plain integers several times faster than torch
    # sorts with indices.
    bits = max(1, len(rows).bit_length())
    keys = rows.to(torch.int64, copy=True).bitwise_left_shift_(bits)
    keys += torch.arange(len(rows))
    keys.numpy().sort()
    places = keys & ((1 << bits) - 1)
    keys >>= bits
    is_first = torch.ones(len(keys), dtype=torch.bool)
    torch.ne(keys[1:], keys[:-1], out=is_first[1:])
    first = is_first.nonzero().flatten()
    sums = nn.functional.embedding_bag(places, values, first, mode="sum")
    return keys.index_select(0, first), sums


def large_table(n_rows: int, width: int) -> Tensor:
    """Return a table of zeros whose memory is there already, on large pages where there are any.

    Rows of a large table are read at random places: with pages of 4 kB most reads miss the
    address cache, and each page that is touched for the first time costs a fault within the step.

    Examples
    --------
    >>> large_table(2, 3).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    # NumPy asks the system for large pages, torch does not.
    return torch.from_numpy(np.empty((n_rows, width), dtype=np.float32)).zero_()


def is_traced() -> bool:
    """Whether the module is being exported, compiled or traced: values cannot be looked at then."""
    return torch.compiler.is_compiling() or bool(torch._C._get_tracing_state())


def _check_arguments(**values: Any) -> None:
    rules = {
        "cardinalities": sequence_of(integer(1)),
        "dim": integer(1),
        "bag_cardinalities": sequence_of(integer(1)),
        "initial_std": real(0),
        "sparse_gradient": boolean(),
    }
    check_params("FusedEmbedding", values, rules)
