"""Generators and discriminators of tables and images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, leaky_relu, pixel_shuffle
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2
"""Of the leaky ReLU."""

TEMPERATURE = 0.2
"""Of the Gumbel softmax: how near to one-hot made codes are."""


class Blocks:
    """Where the codes of each column lie in a row of one-hot codes; columns sorted by their size.

    Columns of one size lie side by side, so that their softmax is one call.
    """

    def __init__(self, cardinalities: Sequence[int]) -> None:
        sizes = list(cardinalities)
        if sizes != sorted(sizes):
            raise ValueError("cardinalities must be sorted")
        self.width = sum(sizes)
        self.starts = [sum(sizes[:place]) for place in range(len(sizes))]
        self._groups: list[tuple[int, int, int]] = []
        for size in dict.fromkeys(sizes):
            start = self.starts[sizes.index(size)]
            self._groups.append((start, start + size * sizes.count(size), size))

    def each(self, row: Tensor, how: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply `how` to the codes of each column.  # (rows, width) -> (rows, width)"""
        rows = len(row)
        parts = [
            how(row[:, start:stop].reshape(rows, -1, size)).reshape(rows, -1)
            for start, stop, size in self._groups
        ]
        return torch.cat(parts, 1) if parts else row


class TableGenerator(nn.Module):
    """z and condition → hidden layers, each beside its input → places, and codes as logits.

    Parameters
    ----------
    n_inputs : int
        Width of z and condition.
    widths : sequence of int
        Units of the hidden layers.
    n_numbers : int
    cardinalities : sequence of int
        Sorted.
    batch_norm : bool
    dropout : float

    References
    ----------
    Xu et al., NeurIPS 2019; Jang, Gu and Poole, ICLR 2017 (Gumbel softmax).
    """

    starts: Tensor
    sizes: Tensor

    def __init__(
        self,
        n_inputs: int,
        widths: Sequence[int],
        n_numbers: int,
        cardinalities: Sequence[int],
        *,
        batch_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.n_numbers = n_numbers
        self.blocks = Blocks(cardinalities)
        self.register_buffer("starts", torch.tensor(self.blocks.starts), persistent=False)
        self.register_buffer("sizes", torch.tensor(list(cardinalities)), persistent=False)
        self.hidden = nn.ModuleList()
        for width in widths:
            norm = [nn.BatchNorm1d(width)] if batch_norm else []
            drop = [nn.Dropout(dropout)] if dropout else []
            self.hidden.append(nn.Sequential(nn.Linear(n_inputs, width), *norm, nn.ReLU(), *drop))
            n_inputs += width
        self.last = nn.Linear(n_inputs, n_numbers + self.blocks.width)

    def forward(self, z: Tensor) -> Tensor:
        """Raw outputs.  # (rows, n_inputs) -> (rows, n_numbers + codes)"""
        for layer in self.hidden:
            z = torch.cat([layer(z), z], 1)
        out: Tensor = self.last(z)
        return out

    def squash(self, raw: Tensor) -> Tensor:
        """Places by tanh, codes nearly one-hot, drawn by their logits.  # as `raw`"""
        places = torch.tanh(raw[:, : self.n_numbers])
        logits = raw[:, self.n_numbers :]
        noise = -torch.log(-torch.log(torch.rand_like(logits).clamp_(1e-10, 1 - 1e-7)))
        codes = self.blocks.each((logits + noise) / TEMPERATURE, lambda part: part.softmax(-1))
        return torch.cat([places, codes], 1)

    def missed(self, raw: Tensor, column: Tensor, code: Tensor) -> Tensor:
        """Cross-entropy of one code of one column in each row, (rows,).

        Only the logits of the columns that are asked for are read.
        """
        starts, sizes = self.starts[column], self.sizes[column]
        places = torch.arange(int(sizes.max()), device=raw.device)
        inside = places < sizes[:, None]
        where = (starts[:, None] + places).clamp_(max=self.blocks.width - 1)
        logits = raw[:, self.n_numbers :].gather(1, where).masked_fill(~inside, -torch.inf)
        return cross_entropy(logits, code, reduction="none")


class TableDiscriminator(nn.Module):
    """One score for each pack of rows: linear, leaky ReLU, dropout, once per width.

    Parameters
    ----------
    n_inputs : int
        Width of a pack.
    widths : sequence of int
    dropout : float
    normed : bool
        Spectral norm.
    """

    def __init__(
        self, n_inputs: int, widths: Sequence[int], *, dropout: float = 0.5, normed: bool = False
    ) -> None:
        super().__init__()
        sizes = [n_inputs, *widths]
        self.hidden = nn.ModuleList(_normed(nn.Linear(a, b), normed) for a, b in pairwise(sizes))
        self.last = _normed(nn.Linear(sizes[-1], 1), normed)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Score, (packs,): above 0 means real."""
        for layer in self.hidden:
            x = self.dropout(leaky_relu(layer(x), SLOPE))
        out: Tensor = self.last(x)
        return out.squeeze(1)

    def input_gradient(self, x: Tensor) -> Tensor:
        """Gradient of each score by its input, (packs, n_inputs), itself with a gradient.

        Between its kinks the network is linear, so the gradient is a product of the weights that
        are switched on. It needs no second pass through autograd.
        """
        slopes = []
        with torch.no_grad():
            for layer in self.hidden:
                x = layer(x)
                slope = self.dropout(torch.where(x > 0, 1.0, SLOPE))
                x = x * slope
                slopes.append(slope)
        last = cast(nn.Linear, self.last)
        gradient = last.weight.expand(len(x), -1)
        for layer, slope in zip(reversed(list(self.hidden)), reversed(slopes), strict=True):
            gradient = (gradient * slope) @ cast(nn.Linear, layer).weight
        return gradient


class UpConvolution(nn.Module):
    """Double height and width, then a convolution of 5 × 5: as four of 3 × 3 on the small image.

    A pixel of the large image sees at most 3 × 3 different pixels of the small one, so the same
    weights, summed where they fall on one pixel, give the same result for a third of the work.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Channels.

    Examples
    --------
    >>> UpConvolution(3, 2)(torch.zeros(1, 3, 7, 7)).shape
    torch.Size([1, 2, 14, 14])
    """

    taps: Tensor

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_outputs, n_inputs, 5, 5))
        self.bias = nn.Parameter(torch.zeros(n_outputs))
        nn.init.normal_(self.weight, 0.0, 0.02)
        taps = torch.zeros(2, 3, 5)  # which of 5 weights falls on which of 3 pixels
        for phase in range(2):
            for tap in range(5):
                taps[phase, (phase + tap - 2) // 2 + 1, tap] = 1.0
        self.register_buffer("taps", taps, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, n_inputs, height, width) -> (rows, n_outputs, 2 height, 2 width)"""
        n_outputs, n_inputs = self.weight.shape[:2]
        small = torch.einsum("pat,oits,qbs->opqiab", self.taps, self.weight, self.taps)
        small = small.reshape(4 * n_outputs, n_inputs, 3, 3)
        return pixel_shuffle(conv2d(x, small, padding=1), 2) + self.bias[:, None, None]


class ImageGenerator(nn.Module):
    """z and class → dense → twice up-sampled and convolved → pixels by tanh.

    Parameters
    ----------
    n_inputs : int
        Width of z and one-hot class.
    shape : (channels, height, width)
    widths : (int, int)
        Channels after the dense layer and after the first convolution.
    batch_norm : bool
    dropout : float
    """

    def __init__(
        self,
        n_inputs: int,
        shape: tuple[int, int, int],
        widths: Sequence[int] = (128, 64),
        *,
        batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.small = (widths[0], -(-shape[1] // 4), -(-shape[2] // 4))
        self.dense = nn.Linear(n_inputs, self.small[0] * self.small[1] * self.small[2])
        nn.init.normal_(self.dense.weight, 0.0, 0.02)
        nn.init.zeros_(self.dense.bias)
        self.first = UpConvolution(widths[0], widths[1])
        self.last = UpConvolution(widths[1], shape[0])
        self.norms = nn.ModuleList([nn.BatchNorm2d(w) for w in widths] if batch_norm else [])
        self.dropout = nn.Dropout(dropout)

    def forward(self, z: Tensor) -> Tensor:
        """(rows, n_inputs) -> (rows, channels, height, width), from −1 to 1"""
        x = self.dense(z).reshape(-1, *self.small)
        x = self._activate(x.contiguous(memory_format=torch.channels_last), 0)
        x = self._activate(self.first(x), 1)
        x = self.last(x.contiguous(memory_format=torch.channels_last))
        return torch.tanh(x[:, :, : self.shape[1], : self.shape[2]])

    def _activate(self, x: Tensor, place: int) -> Tensor:
        if len(self.norms):
            x = self.norms[place](x)
        out: Tensor = self.dropout(leaky_relu(x, SLOPE))
        return out


class ImageDiscriminator(nn.Module):
    """Two strided convolutions and a linear layer → one score for each image or pack of images.

    Parameters
    ----------
    shape : (channels, height, width)
        Channels of a whole pack.
    widths : (int, int)
        Channels of the convolutions.
    n_classes : int
        0: no class is told.
    dropout : float
    batch_norm, normed : bool
        Batch norm after the second convolution; spectral norm of all layers.

    References
    ----------
    Miyato and Koyama, "cGANs with projection discriminator", ICLR 2018.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        widths: Sequence[int] = (64, 128),
        *,
        n_classes: int = 0,
        dropout: float = 0.3,
        batch_norm: bool = False,
        normed: bool = False,
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            _drawn(nn.Conv2d(a, b, 5, stride=2, padding=2), normed)
            for a, b in pairwise([shape[0], *widths])
        )
        size = widths[-1] * -(-shape[1] // 4) * -(-shape[2] // 4)
        self.last = _drawn(nn.Linear(size, 1), normed)
        self.classes = nn.Linear(n_classes, size, bias=False) if n_classes else None
        if self.classes is not None:
            nn.init.normal_(self.classes.weight, 0.0, 0.02)
        self.norm = nn.BatchNorm2d(widths[-1]) if batch_norm else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Score, (rows,): above 0 means real."""
        x = x.contiguous(memory_format=torch.channels_last)
        for place, convolution in enumerate(self.convolutions):
            x = convolution(x)
            if place and self.norm is not None:
                x = self.norm(x)
            x = self.dropout(leaky_relu(x, SLOPE))
        x = x.flatten(1)
        score: Tensor = self.last(x).squeeze(1)
        if self.classes is not None and condition is not None:
            score = score + (self.classes(condition) * x).sum(1)
        return score


def _normed(layer: nn.Module, normed: bool) -> nn.Module:
    return spectral_norm(layer) if normed else layer


def _drawn(layer: nn.Linear | nn.Conv2d, normed: bool) -> nn.Module:
    nn.init.normal_(layer.weight, 0.0, 0.02)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return _normed(layer, normed)
