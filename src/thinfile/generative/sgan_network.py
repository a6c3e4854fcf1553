"""Networks of the SGAN: several members side by side in one product, or one on images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2
NORM_MOMENTUM = 0.2
"""Keras's batch-norm momentum of 0.8, in torch's way of counting."""
GUMBEL_TEMPERATURE = 0.5


class StackedLinear(nn.Module):
    """One linear layer for each member: (members, rows, in) → (members, rows, out).

    Small layers cost the call and not the product, so five members take little longer than one.
    With `spectral`, each member's matrix is divided by its largest singular value, which one
    power iteration per training pass follows (Miyato et al., ICLR 2018).
    """

    u: Tensor
    v: Tensor

    def __init__(self, n_members: int, n_in: int, n_out: int, *, spectral: bool = False) -> None:
        super().__init__()
        bound = math.sqrt(6.0 / ((1 + SLOPE**2) * n_in))  # He, for LeakyReLU
        self.weight = nn.Parameter(torch.empty(n_members, n_in, n_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(n_members, 1, n_out))
        self.spectral = spectral
        if spectral:
            self.register_buffer("u", _unit(torch.randn(n_members, 1, n_out)))
            self.register_buffer("v", _unit(torch.randn(n_members, 1, n_in)))
            self._iterate(5)

    def forward(self, x: Tensor) -> Tensor:
        if not self.spectral:
            return torch.baddbmm(self.bias, x, self.weight)
        if self.training:
            self._iterate(1)
        largest = torch.bmm(torch.bmm(self.v, self.weight), self.u.transpose(1, 2))
        return torch.baddbmm(self.bias, x, self.weight / largest)

    @torch.no_grad()
    def _iterate(self, n_times: int) -> None:
        for _ in range(n_times):
            self.v = _unit(torch.bmm(self.u, self.weight.transpose(1, 2)))
            self.u = _unit(torch.bmm(self.v, self.weight))


class StackedNorm(nn.Module):
    """Batch normalisation of each member's columns by its own rows."""

    def __init__(self, n_members: int, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(n_members * width, momentum=NORM_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        n_members, n_rows, width = x.shape
        flat = x.transpose(0, 1).reshape(n_rows, n_members * width)
        out: Tensor = self.norm(flat)
        return out.view(n_rows, n_members, width).transpose(0, 1)


class TableBody(nn.Module):
    """Hidden layers of the discriminator on rows of a table; norm and dropout on all but the last.

    The last layer's output is what feature matching compares, so nothing random is put on it.
    """

    def __init__(
        self, n_members: int, n_in: int, widths: Sequence[int], norm: str | None, dropout: float
    ) -> None:
        super().__init__()
        sizes = [n_in, *widths]
        self.width = sizes[-1]
        self.layers = nn.ModuleList(
            StackedLinear(n_members, a, b, spectral=norm == "spectral") for a, b in pairwise(sizes)
        )
        inner = sizes[1:-1] if norm == "batch" else []
        self.norms = nn.ModuleList(StackedNorm(n_members, width) for width in inner)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Features.  # (members, rows, columns) -> (members, rows, width)"""
        last = len(self.layers) - 1
        for place, layer in enumerate(self.layers):
            x = functional.leaky_relu(layer(x), SLOPE)
            if place < last:
                x = self.norms[place](x) if len(self.norms) else x
                x = functional.dropout(x, self.dropout, self.training) if self.dropout else x
        return x


class ImageBody(nn.Module):
    """Strided convolutions and a dense layer; one member."""

    def __init__(
        self, shape: tuple[int, int, int], widths: Sequence[int], norm: str | None, dropout: float
    ) -> None:
        super().__init__()
        self.shape = shape
        sizes = [shape[0], *widths]
        kernels = [5] + [3] * (len(widths) - 1)
        self.layers = nn.ModuleList(
            _spectral(nn.Conv2d(a, b, k, stride=2, padding=k // 2), norm)
            for (a, b), k in zip(pairwise(sizes), kernels, strict=True)
        )
        for layer in self.layers:  # half again as fast on a CPU
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        inner = sizes[1:] if norm == "batch" else []
        self.norms = nn.ModuleList(nn.BatchNorm2d(c, momentum=NORM_MOMENTUM) for c in inner)
        n_flat = widths[-1] * math.prod(_halved(side, len(widths)) for side in shape[1:])
        self.width = widths[-1]
        self.dense = _spectral(nn.Linear(n_flat, self.width), norm)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Features.  # (1, images, pixels) -> (1, images, width)"""
        x = x.view(-1, *self.shape).contiguous(memory_format=torch.channels_last)
        for place, layer in enumerate(self.layers):
            x = functional.leaky_relu(layer(x), SLOPE)
            x = self.norms[place](x) if len(self.norms) else x
            x = functional.dropout2d(x, self.dropout, self.training) if self.dropout else x
        features: Tensor = functional.leaky_relu(self.dense(x.flatten(1)), SLOPE)
        return features[None]


class Discriminator(nn.Module):
    """A body and one linear layer above it, whose outputs the formulation reads as it likes."""

    def __init__(self, body: TableBody | ImageBody, n_members: int, n_out: int) -> None:
        super().__init__()
        self.body = body
        self.head = StackedLinear(n_members, body.width, n_out)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs and features, (members, rows, outputs) and (members, rows, width)."""
        features = self.body(x)
        return self.head(features), features


class TableGenerator(nn.Module):
    """Noise → hidden layers → numbers and soft codes, for each member."""

    def __init__(
        self,
        n_members: int,
        n_latent: int,
        widths: Sequence[int],
        n_numbers: int,
        cardinalities: Sequence[int],
        *,
        squash: bool,
        norm: bool,
    ) -> None:
        super().__init__()
        sizes = [n_latent, *widths, n_numbers + sum(cardinalities)]
        self.n_members, self.n_latent = n_members, n_latent
        self.parts = [n_numbers, *cardinalities]
        self.squash = squash
        self.layers = nn.ModuleList(StackedLinear(n_members, a, b) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(StackedNorm(n_members, w) for w in (widths if norm else ()))

    def forward(self, n_rows: int) -> Tensor:
        """Rows made from fresh noise.  # (members, rows, columns)"""
        x = torch.randn(
            self.n_members, n_rows, self.n_latent, device=next(self.parameters()).device
        )
        for place, layer in enumerate(self.layers[:-1]):
            x = functional.leaky_relu(layer(x), SLOPE)
            x = self.norms[place](x) if len(self.norms) else x
        numbers, *codes = torch.split(self.layers[-1](x), self.parts, dim=2)
        numbers = torch.tanh(numbers) if self.squash else numbers
        # Real codes are one-hot; noise in the softmax lets made ones come close to that.
        soft = [functional.gumbel_softmax(logits, GUMBEL_TEMPERATURE) for logits in codes]
        return torch.cat([numbers, *soft], dim=2) if soft else numbers


class ImageGenerator(nn.Module):
    """Noise → dense → two up-samplings by strided convolution → pixels in −1…1; one member."""

    def __init__(self, shape: tuple[int, int, int], n_latent: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.shape, self.n_latent = shape, n_latent
        self.start = (widths[0], *(-(-side // 4) for side in shape[1:]))
        n_start = math.prod(self.start)
        self.dense = nn.Sequential(
            nn.Linear(n_latent, n_start), nn.BatchNorm1d(n_start), nn.LeakyReLU(SLOPE)
        )
        self.up = nn.Sequential(
            nn.ConvTranspose2d(widths[0], widths[1], 4, stride=2, padding=1),
            nn.BatchNorm2d(widths[1]),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose2d(widths[1], shape[0], 4, stride=2, padding=1),
        )

    def forward(self, n_rows: int) -> Tensor:
        """Images made from fresh noise.  # (1, images, pixels)"""
        noise = torch.randn(n_rows, self.n_latent, device=next(self.parameters()).device)
        images = torch.tanh(self.up(self.dense(noise).view(-1, *self.start)))
        return images[:, :, : self.shape[1], : self.shape[2]].reshape(1, n_rows, -1)


def _unit(vector: Tensor) -> Tensor:
    return functional.normalize(vector, dim=-1)


def _spectral(layer: nn.Module, norm: str | None) -> nn.Module:
    return spectral_norm(layer) if norm == "spectral" else layer


def _halved(side: int, n_times: int) -> int:
    for _ in range(n_times):
        side = -(-side // 2)
    return side
