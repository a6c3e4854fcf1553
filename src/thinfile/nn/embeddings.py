"""From encoded columns to one vector per row: numbers as they are, codes embedded."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from thinfile.errors import DataError
from thinfile.params import check_params, either, integer, one_of, sequence_of

ONE_HOT_UP_TO = 10
"""Fields with at most as many codes are one column per code: nothing is to be learnt first."""

LARGEST_AUTO_WIDTH = 32


class TableInput(nn.Module):
    """Numbers, one column per code of the small fields, and embeddings of the large ones.

    All large fields lie below each other in one table, so one look-up serves them all. Use it in
    front of any network on the output of `TableEncoder`.

    Parameters
    ----------
    n_numbers
        Numeric columns, 0 or more.
    cardinalities
        Codes of each category column, at least 1 each; may be empty.
    embedding_width
        Columns per large field. "auto" takes 1.6 · c^0.56 for the mean cardinality c of the
        large fields, at most 32.

    Attributes
    ----------
    width : int
        Columns that come out.
    embedding_width : int
        Columns per large field; 0 without any.

    Raises
    ------
    ParameterError
        An argument breaks its rule.

    References
    ----------
    Guo, Berkhahn, "Entity embeddings of categorical variables", 2016.

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.embeddings import TableInput
    >>> inputs = TableInput(2, [3, 1000], embedding_width=4)
    >>> inputs.width  # 2 numbers + 3 one-hot columns + 4 embedded
    9
    >>> inputs(torch.zeros(5, 2), torch.tensor([[2, 999]] * 5)).shape
    torch.Size([5, 9])
    """

    limits: Tensor
    small_columns: Tensor
    small_offsets: Tensor
    large_columns: Tensor
    large_offsets: Tensor

    def __init__(
        self,
        n_numbers: int,
        cardinalities: Sequence[int],
        *,
        embedding_width: int | str = "auto",
    ) -> None:
        super().__init__()
        values = {
            "n_numbers": n_numbers,
            "cardinalities": tuple(cardinalities),
            "embedding_width": embedding_width,
        }
        rules = {
            "n_numbers": integer(0),
            "cardinalities": sequence_of(integer(1)),
            "embedding_width": either(one_of("auto"), integer(1)),
        }
        check_params("TableInput", values, rules)
        self.n_numbers = n_numbers
        self._set_fields([int(c) for c in cardinalities], embedding_width)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Join numbers and codes.

        Parameters
        ----------
        numbers
            (rows, numeric columns), float.
        codes
            (rows, category columns), integer, each in 0 … cardinality − 1.

        Returns
        -------
        Tensor
            (rows, width), in the dtype of the numbers.

        Raises
        ------
        DataError
            Another number of columns, or a code that its field does not have. Codes are not
            looked at while the module is exported, compiled or traced.
        """
        self._check(numbers, codes)
        parts = [numbers]
        if len(self.small_columns):
            parts.append(self._one_hot(codes, numbers))
        if self.table is not None:
            rows = codes[:, self.large_columns] + self.large_offsets
            parts.append(self.table(rows).flatten(1).to(numbers.dtype))
        return torch.cat(parts, dim=1) if len(parts) > 1 else numbers

    def _set_fields(self, cardinalities: list[int], embedding_width: int | str) -> None:
        small = [i for i, c in enumerate(cardinalities) if c <= ONE_HOT_UP_TO]
        large = [i for i, c in enumerate(cardinalities) if c > ONE_HOT_UP_TO]
        self._buffer("limits", cardinalities)
        for name, fields in (("small", small), ("large", large)):
            self._buffer(f"{name}_columns", fields)
            self._buffer(f"{name}_offsets", _starts([cardinalities[i] for i in fields]))
        self.n_one_hot = sum(cardinalities[i] for i in small)
        large_sizes = [cardinalities[i] for i in large]
        self.embedding_width = _width(large_sizes, embedding_width)
        self.table = nn.Embedding(sum(large_sizes), self.embedding_width) if large else None
        if self.table is not None:
            nn.init.normal_(self.table.weight, std=1.0 / math.sqrt(self.embedding_width))
        self.width = self.n_numbers + self.n_one_hot + len(large) * self.embedding_width

    def _buffer(self, name: str, values: list[int]) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=torch.int64), persistent=False)

    def _one_hot(self, codes: Tensor, like: Tensor) -> Tensor:
        columns = codes[:, self.small_columns] + self.small_offsets
        empty = like.new_zeros(codes.shape[0], self.n_one_hot)
        return empty.scatter(1, columns, 1.0)

    def _check(self, numbers: Tensor, codes: Tensor) -> None:
        if numbers.shape[1] != self.n_numbers or codes.shape[1] != len(self.limits):
            raise DataError(
                f"TableInput: {numbers.shape[1]} numbers and {codes.shape[1]} codes per row must"
                f" be {self.n_numbers} and {len(self.limits)}"
            )
        if torch.compiler.is_compiling() or _is_tracing() or not codes.numel():
            return
        # A code beyond its field would silently read the next field's row of the shared table.
        wrong = (codes < 0) | (codes >= self.limits)
        if bool(wrong.any()):
            row, column = (int(i) for i in wrong.nonzero()[0])
            raise DataError(
                f"code column {column}: {int(wrong[:, column].sum())} of {len(codes)} codes are"
                f" outside 0 … {int(self.limits[column]) - 1}"
                f" (first: row {row}, {int(codes[row, column])})"
            )


def _is_tracing() -> bool:
    return bool(torch._C._get_tracing_state())


def _starts(sizes: list[int]) -> list[int]:
    return [sum(sizes[:i]) for i in range(len(sizes))]


def _width(sizes: list[int], given: int | str) -> int:
    if not sizes:
        return 0
    if isinstance(given, int):
        return given
    suggested: float = 1.6 * (sum(sizes) / len(sizes)) ** 0.56
    return min(LARGEST_AUTO_WIDTH, round(suggested))
