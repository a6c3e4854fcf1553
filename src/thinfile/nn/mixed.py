"""Mixed columns at the end of a network: numbers squashed, codes as logits, and their errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from thinfile.params import check_params, integer, one_of, sequence_of

NumberLoss = Literal["squared", "bce", "bce_logits", "gaussian"]


class MixedOutput(nn.Module):
    """From the last hidden layer to one number per number column and one logit per code.

    Use it at the end of every network that gives rows of a table: decoders and generators.

    Parameters
    ----------
    n_numbers
        Number columns, 0 or more.
    cardinalities
        Codes of each category column, at least 1 each; may be empty.
    width_in
        Columns that come in, at least 1.
    squash
        None, "sigmoid" (numbers in 0…1) or "tanh" (−1…1), over the numbers only.

    Raises
    ------
    ParameterError
        An argument breaks its rule.

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.mixed import MixedOutput
    >>> numbers, logits = MixedOutput(2, [3, 4], 5, squash="sigmoid")(torch.zeros(6, 5))
    >>> numbers.shape, logits.shape
    (torch.Size([6, 2]), torch.Size([6, 7]))
    """

    def __init__(
        self,
        n_numbers: int,
        cardinalities: Sequence[int],
        width_in: int,
        *,
        squash: str | None = None,
    ) -> None:
        super().__init__()
        values = {
            "n_numbers": n_numbers,
            "cardinalities": tuple(cardinalities),
            "width_in": width_in,
            "squash": squash,
        }
        rules = {
            "n_numbers": integer(0),
            "cardinalities": sequence_of(integer(1)),
            "width_in": integer(1),
            "squash": one_of(None, "sigmoid", "tanh"),
        }
        check_params("MixedOutput", values, rules)
        self.n_numbers = n_numbers
        self.squash = squash
        self.linear = nn.Linear(width_in, n_numbers + sum(cardinalities))
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, hidden: Tensor, *, squashed: bool = True) -> tuple[Tensor, Tensor]:
        """Numbers and logits.  # (rows, width_in) -> (rows, n_numbers), (rows, all codes)

        With ``squashed=False`` numbers come before squashing: log-odds for "bce_logits".
        """
        out = self.linear(hidden)
        numbers, logits = out[:, : self.n_numbers], out[:, self.n_numbers :]
        if squashed and self.squash == "sigmoid":
            numbers = torch.sigmoid(numbers)
        elif squashed and self.squash == "tanh":
            numbers = torch.tanh(numbers)
        return numbers, logits


def mixed_errors(
    numbers_hat: Tensor,
    logits: Tensor,
    numbers: Tensor,
    codes: Tensor,
    cardinalities: Sequence[int],
    *,
    number_loss: NumberLoss | str = "squared",
) -> Tensor:
    """Error of each encoded column of each row.

    Parameters
    ----------
    numbers_hat, numbers
        (rows, n_numbers): given by the network, and true.
    logits
        (rows, all codes), as `MixedOutput` gives them.
    codes
        (rows, n_codes), integer.
    cardinalities
        Codes of each category column.
    number_loss
        "squared": (x̂ − x)². "bce": cross-entropy of two numbers in 0…1, x̂ a probability.
        "bce_logits": the same with x̂ as log-odds, a third of the time and safe far out.
        "gaussian": ½ (x̂ − x)² + ½ ln 2π, the negative log-likelihood with deviation 1.

    Returns
    -------
    Tensor
        (rows, n_numbers + n_codes); of codes the cross-entropy, in nats.

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.mixed import mixed_errors
    >>> zero = torch.zeros(1, 1)
    >>> mixed_errors(zero + 2, torch.zeros(1, 2), zero, torch.zeros(1, 1, dtype=int), [2])
    tensor([[4.0000, 0.6931]])
    """
    if number_loss == "bce":
        errors = functional.binary_cross_entropy(numbers_hat, numbers, reduction="none")
    elif number_loss == "bce_logits":
        errors = functional.binary_cross_entropy_with_logits(numbers_hat, numbers, reduction="none")
    else:
        errors = (numbers_hat - numbers).square()
        if number_loss == "gaussian":
            errors = 0.5 * errors + 0.9189385332046727
    if not len(cardinalities):
        return errors
    parts = torch.split(logits, list(cardinalities), dim=1)
    crossed = [
        functional.cross_entropy(part, codes[:, place].long(), reduction="none")
        for place, part in enumerate(parts)
    ]
    return torch.cat([errors, torch.stack(crossed, dim=1)], dim=1)


def one_hot(codes: Tensor, cardinalities: Sequence[int]) -> Tensor:
    """Codes as one column per code, field by field, float32.

    Parameters
    ----------
    codes
        (rows, n_codes), integer, each in 0 … cardinality − 1.
    cardinalities
        Codes of each category column.

    Returns
    -------
    Tensor
        (rows, sum of the cardinalities).

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.mixed import one_hot
    >>> one_hot(torch.tensor([[1, 0]]), [2, 3])
    tensor([[0., 1., 1., 0., 0.]])
    """
    starts = [sum(cardinalities[:place]) for place in range(len(cardinalities))]
    columns = codes.long() + torch.tensor(starts, dtype=torch.int64, device=codes.device)
    empty = torch.zeros(len(codes), sum(cardinalities), device=codes.device)
    return empty.scatter_(1, columns, 1.0)
