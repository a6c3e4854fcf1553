"""Fully connected layers with every hidden output within reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

from torch import Tensor, nn

from thinfile.params import check_params, integer, one_of, real, sequence_of

Norm = Literal["batch", "layer"]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}
_NORMS: dict[str, Callable[[int], nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
_SATURATING = ("sigmoid", "tanh")


class Dense(nn.Module):
    """Linear, norm, activation, dropout, once per width; the last hidden layer comes out.

    Use it as the body of a network on tables. Weights start as Glorot for sigmoid and tanh and
    as He otherwise, biases at zero, drawn from torch's global generator.

    Parameters
    ----------
    n_inputs
        Columns that come in, at least 1.
    widths
        Units of each layer, first to last. Without any, the input is handed on as it is.
    activation
        "relu", "leaky_relu", "sigmoid", "tanh", "silu" or "gelu".
    dropout
        Share of units dropped after each activation while training, in [0, 1).
    norm
        None, "batch" (each training batch then needs two rows) or "layer".

    Attributes
    ----------
    width : int
        Columns that come out: the last of `widths`, or `n_inputs`.

    Raises
    ------
    ParameterError
        An argument breaks its rule.

    References
    ----------
    Glorot, Bengio, AISTATS 2010; He et al., ICCV 2015 (initial weights).

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.blocks import Dense
    >>> body = Dense(3, [8, 4], activation="tanh")
    >>> body(torch.zeros(5, 3)).shape
    torch.Size([5, 4])
    >>> [hidden.shape[1] for hidden in body.layers(torch.zeros(5, 3))]
    [8, 4]
    """

    def __init__(
        self,
        n_inputs: int,
        widths: Sequence[int],
        *,
        activation: str = "relu",
        dropout: float = 0.0,
        norm: Norm | str | None = None,
    ) -> None:
        super().__init__()
        _check(n_inputs=n_inputs, widths=widths, activation=activation, dropout=dropout, norm=norm)
        sizes = [n_inputs, *widths]
        self.width = sizes[-1]
        self.hidden = nn.ModuleList(
            _hidden_layer(before, after, activation, dropout, norm)
            for before, after in pairwise(sizes)
        )

    def layers(self, x: Tensor) -> list[Tensor]:
        """Output of every hidden layer, first to last.  # each (rows, width of the layer)"""
        outputs = []
        for layer in self.hidden:
            x = layer(x)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        """Output of the last hidden layer.  # (rows, columns) -> (rows, width)"""
        for layer in self.hidden:
            x = layer(x)
        return x


def _hidden_layer(
    n_inputs: int, width: int, activation: str, dropout: float, norm: str | None
) -> nn.Sequential:
    linear = nn.Linear(n_inputs, width)
    if activation in _SATURATING:
        nn.init.xavier_uniform_(linear.weight)
    else:
        nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu")
    nn.init.zeros_(linear.bias)
    parts = [linear, *([_NORMS[norm](width)] if norm else []), _ACTIVATIONS[activation]()]
    return nn.Sequential(*parts, *([nn.Dropout(dropout)] if dropout else []))


def _check(**values: Any) -> None:
    rules = {
        "n_inputs": integer(1),
        "widths": sequence_of(integer(1)),
        "activation": one_of(*_ACTIVATIONS),
        "dropout": real(0.0, 1.0, bounds="[)"),
        "norm": one_of(None, *_NORMS),
    }
    check_params("Dense", values, rules)
