"""Convolutional bodies for images: strided down to a vector, and from a vector up again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from thinfile.errors import ParameterError
from thinfile.params import check_params, integer, one_of, optional, real, sequence_of

Shape = tuple[int, int, int]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}
_RULES = {
    "shape": sequence_of(integer(1), min_length=3),
    "filters": sequence_of(integer(1), min_length=1),
    "width_in": integer(1),
    "width_out": optional(integer(1)),
    "kernel": integer(2),
    "activation": one_of(*_ACTIVATIONS),
    "norm": one_of(None, "batch", "layer", "spectral"),
    "dropout": real(0.0, 1.0, bounds="[)"),
    "squash": one_of(None, "sigmoid", "tanh"),
    "enlarge": one_of("nearest", "transposed"),
}


class ConvEncoder(nn.Module):
    """Strided convolutions, each of which halves the image, and a linear layer to a vector.

    Use it as the body of encoders, discriminators and classifiers on images. For tables and
    tiny images take `Dense`.

    Parameters
    ----------
    shape
        (channels, height, width) of the images.
    filters
        Filters of each convolution, first to last; each halves height and width, rounded up.
    width_out
        Columns of the vector; None hands on the flat output of the last convolution.
    kernel
        Side of the convolutions, at least 2.
    activation
        "relu", "leaky_relu" (slope 0.2), "sigmoid", "tanh", "silu" or "gelu", after each
        convolution; none after the linear layer.
    norm
        None, "batch", "layer" (over the whole image) or "spectral" (of all weights, the linear
        layer's included).
    dropout
        Share of outputs dropped after each activation while training, in [0, 1).

    Attributes
    ----------
    width : int
        Columns that come out.
    n_features : int
        Columns of `features`.
    sizes : list of (int, int)
        Height and width before each convolution, and after the last.

    Raises
    ------
    ParameterError
        An argument breaks its rule, or the images are too small for so many halvings.

    References
    ----------
    Radford, Metz, Chintala, "Unsupervised representation learning with deep convolutional
    generative adversarial networks", ICLR 2016.

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.convolution import ConvEncoder
    >>> body = ConvEncoder((1, 28, 28), (16, 32), 10)
    >>> body(torch.zeros(5, 784)).shape, body.sizes
    (torch.Size([5, 10]), [(28, 28), (14, 14), (7, 7)])
    """

    def __init__(
        self,
        shape: Sequence[int],
        filters: Sequence[int],
        width_out: int | None = None,
        *,
        kernel: int = 5,
        activation: str = "leaky_relu",
        norm: str | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check("ConvEncoder", {k: v for k, v in locals().items() if k in _RULES})
        self.shape = _as_shape(shape)
        self.sizes = _halved(self.shape, len(filters), "ConvEncoder")
        self.convolutions = nn.ModuleList(
            nn.Sequential(
                *_normed(nn.Conv2d(before, after, kernel, stride=2, padding=kernel // 2), norm),
                _ACTIVATIONS[activation](),
                *([nn.Dropout(dropout)] if dropout else []),
            )
            for before, after in pairwise([self.shape[0], *filters])
        )
        # An even kernel gives one pixel more than half; the sizes hold for odd and even.
        self.n_features = filters[-1] * prod(self.sizes[-1])
        self.head: nn.Module | None = None
        if width_out is not None:
            linear = nn.Linear(self.n_features, width_out)
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
            self.head = spectral_norm(linear) if norm == "spectral" else linear
        self.width = self.n_features if width_out is None else width_out

    def features(self, x: Tensor) -> Tensor:
        """Flat output of the last convolution.  # (rows, pixels) -> (rows, n_features)"""
        x = x.reshape(-1, *self.shape)
        for layer, (height, width) in zip(self.convolutions, self.sizes[1:], strict=True):
            x = layer(x)[..., :height, :width]
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """One vector per image.

        Parameters
        ----------
        x
            (rows, channels × height × width), or already (rows, channels, height, width).

        Returns
        -------
        Tensor
            (rows, width).
        """
        flat = self.features(x)
        if self.head is None:
            return flat
        out: Tensor = self.head(flat)
        return out


class ConvDecoder(nn.Module):
    """A linear layer to a small image of many filters, doubled with a convolution each time.

    The counterpart of `ConvEncoder`: decoders and generators of images.

    Parameters
    ----------
    width_in
        Columns that come in.
    shape
        (channels, height, width) of the images that come out.
    filters
        Filters from the smallest image on: ``(128, 64)`` starts with 128 images of a quarter of
        the height and width, has 64 at half, and the channels of `shape` at the end.
    kernel
        Side of the convolutions, at least 2.
    activation
        As in `ConvEncoder`; after the linear layer and every convolution but the last.
    norm
        None, "batch", "layer" or "spectral"; not on the last convolution.
    dropout
        Share of outputs dropped after each activation while training, in [0, 1).
    squash
        None, "sigmoid" (pixels in 0…1) or "tanh" (−1…1).
    enlarge
        "nearest": pixels are repeated, then a convolution. "transposed": a strided transposed
        convolution of the same kernel, cheaper, with a tendency to chequered patterns.

    Raises
    ------
    ParameterError
        An argument breaks its rule, or the images are too small for so many doublings.

    References
    ----------
    Odena, Dumoulin, Olah, "Deconvolution and checkerboard artifacts", Distill 2016.

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.convolution import ConvDecoder
    >>> ConvDecoder(10, (1, 28, 28), (32, 16), squash="sigmoid")(torch.zeros(5, 10)).shape
    torch.Size([5, 784])
    """

    def __init__(
        self,
        width_in: int,
        shape: Sequence[int],
        filters: Sequence[int],
        *,
        kernel: int = 5,
        activation: str = "leaky_relu",
        norm: str | None = None,
        dropout: float = 0.0,
        squash: str | None = None,
        enlarge: str = "nearest",
    ) -> None:
        super().__init__()
        _check("ConvDecoder", {k: v for k, v in locals().items() if k in _RULES})
        self.shape = _as_shape(shape)
        self.sizes = _halved(self.shape, len(filters), "ConvDecoder")[::-1]
        self.squash, self.enlarge, self.kernel = squash, enlarge, kernel
        self.n_first = filters[0]
        linear = nn.Linear(width_in, filters[0] * prod(self.sizes[0]))
        nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        self.first = spectral_norm(linear) if norm == "spectral" else linear
        self.first_after = _after(filters[0], norm, activation, dropout)
        make = self._convolution
        pairs = list(pairwise([*filters, self.shape[0]]))
        last = len(pairs) - 1
        plain = norm if norm == "spectral" else None
        self.convolutions = nn.ModuleList(
            _spectral(make(a, b), plain if i < last else None) for i, (a, b) in enumerate(pairs)
        )
        self.after = nn.ModuleList(
            _after(b, norm, activation, dropout) if i < last else nn.Identity()
            for i, (_, b) in enumerate(pairs)
        )

    def forward(self, z: Tensor, *, squashed: bool = True) -> Tensor:
        """Images as flat rows.  # (rows, width_in) -> (rows, channels × height × width)

        With ``squashed=False`` pixels come before squashing.
        """
        x: Tensor = self.first(z).reshape(-1, self.n_first, *self.sizes[0])
        x = self.first_after(x)
        parts = zip(self.convolutions, self.after, self.sizes[1:], strict=True)
        for convolution, after, (height, width) in parts:
            if self.enlarge == "nearest":
                x = functional.interpolate(x, size=(height, width), mode="nearest")
            x = after(convolution(x)[..., :height, :width])
        x = x.flatten(1)
        if self.squash is None or not squashed:
            return x
        return torch.sigmoid(x) if self.squash == "sigmoid" else torch.tanh(x)

    def _convolution(self, before: int, after: int) -> nn.Module:
        pad = self.kernel // 2
        if self.enlarge == "nearest":
            return nn.Conv2d(before, after, self.kernel, padding=pad)
        extra = 1 if self.kernel % 2 else 0
        pad = (self.kernel - 1) // 2
        return nn.ConvTranspose2d(
            before, after, self.kernel, stride=2, padding=pad, output_padding=extra
        )


def _after(filters: int, norm: str | None, activation: str, dropout: float) -> nn.Module:
    return nn.Sequential(
        *_norm_of(filters, norm),
        _ACTIVATIONS[activation](),
        *([nn.Dropout(dropout)] if dropout else []),
    )


def _normed(convolution: nn.Conv2d, norm: str | None) -> list[nn.Module]:
    return [_spectral(convolution, norm), *_norm_of(convolution.out_channels, norm)]


def _norm_of(filters: int, norm: str | None) -> list[nn.Module]:
    if norm == "batch":
        return [nn.BatchNorm2d(filters)]
    return [nn.GroupNorm(1, filters)] if norm == "layer" else []


def _spectral(layer: nn.Module, norm: str | None) -> nn.Module:
    return spectral_norm(layer) if norm == "spectral" else layer


def _as_shape(shape: Sequence[int]) -> Shape:
    channels, height, width = (int(side) for side in shape)
    return channels, height, width


def _halved(shape: Shape, n_times: int, owner: str) -> list[tuple[int, int]]:
    """Height and width, halved again and again and rounded up."""
    sizes = [(shape[1], shape[2])]
    for _ in range(n_times):
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    if min(sizes[-1]) < 2 and min(sizes[-2]) < 2:
        raise ParameterError(
            f"{owner}: images of {shape[1]} × {shape[2]} pixels cannot be halved {n_times} times:"
            " filters is too long"
        )
    return sizes


def _check(owner: str, values: dict[str, Any]) -> None:
    check_params(owner, values, {name: _RULES[name] for name in values})
    if len(values["shape"]) != 3:
        raise ParameterError(
            f"{owner}: shape={tuple(values['shape'])!r} must be (channels, height, width)"
        )
