"""The network of an autoencoder: a body down to the code, and one from the code back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from thinfile.data.encode import Encoded
from thinfile.nn.blocks import Dense
from thinfile.nn.convolution import ConvDecoder, ConvEncoder
from thinfile.nn.embeddings import TableInput
from thinfile.nn.mixed import MixedOutput, mixed_errors
from thinfile.training.device import lean_cpu

FloatArray = npt.NDArray[np.float64]

SCORING_ROWS = 16_384
"""Rows that go through the network at a time when nothing is trained."""


@dataclass(frozen=True)
class Layout:
    """Shapes of an `AutoencoderNetwork`.

    Attributes
    ----------
    n_numbers, cardinalities
        The encoded columns.
    latent_size
        Columns of the code.
    widths
        Hidden layers of the encoder; the decoder has them in reverse.
    activation, code_activation
        Of the hidden layers, and of the code (None: linear).
    squash
        None, "sigmoid" or "tanh" over the numbers that come out.
    shape, filters
        Of images: (channels, height, width), and filters of the convolutions; no filters: dense.
    """

    n_numbers: int
    cardinalities: tuple[int, ...]
    latent_size: int
    widths: tuple[int, ...] = ()
    activation: str = "relu"
    code_activation: str | None = None
    squash: str | None = None
    shape: tuple[int, int, int] | None = None
    filters: tuple[int, ...] = ()


class AutoencoderNetwork(nn.Module):
    """Encoded columns or images → code → numbers and logits of the same columns.

    Parameters
    ----------
    layout
        Every shape.

    Examples
    --------
    >>> import torch
    >>> network = AutoencoderNetwork(Layout(3, (4,), 2))
    >>> code = network.encode(torch.zeros(5, 3), torch.zeros(5, 1, dtype=torch.int64))
    >>> [tuple(part.shape) for part in (code, *network.decode(code))]
    [(5, 2), (5, 3), (5, 4)]
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.is_image = bool(layout.filters)
        self.cardinalities = layout.cardinalities
        if self.is_image:
            self._make_convolutional(layout)
        else:
            self._make_dense(layout)
        width = layout.latent_size
        if layout.code_activation is None:
            self.code: nn.Module = nn.Linear(self.body.width, width)
        else:
            self.code = Dense(self.body.width, [width], activation=layout.code_activation)

    def encode(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """The code of each row.  # (rows, latent)"""
        x = numbers if self.is_image else self.inputs(numbers, codes)
        code: Tensor = self.code(self.body(x))
        return code

    def decode(self, code: Tensor, *, squashed: bool = True) -> tuple[Tensor, Tensor]:
        """Numbers and logits.  # (rows, latent) -> (rows, n_numbers), (rows, all codes)"""
        if self.is_image:
            return self.images(code, squashed=squashed), code.new_empty(len(code), 0)
        out: tuple[Tensor, Tensor] = self.output(self.back(code), squashed=squashed)
        return out

    def forward(self, numbers: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        return self.decode(self.encode(numbers, codes))

    def errors(
        self, shown: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor], number_loss: str
    ) -> Tensor:
        """Error of each column of what comes back for `shown`.  # (rows, numbers and codes)

        `number_loss` is "squared" or "bce".
        """
        crossed = number_loss == "bce"
        numbers, logits = self.decode(self.encode(*shown), squashed=not crossed)
        kind = "bce_logits" if crossed else number_loss
        return mixed_errors(numbers, logits, *wanted, self.cardinalities, number_loss=kind)

    def _make_dense(self, layout: Layout) -> None:
        self.inputs = TableInput(layout.n_numbers, layout.cardinalities)
        self.body: Dense | ConvEncoder = Dense(
            self.inputs.width, layout.widths, activation=layout.activation
        )
        self.back = Dense(layout.latent_size, layout.widths[::-1], activation=layout.activation)
        self.output = MixedOutput(
            layout.n_numbers, layout.cardinalities, self.back.width, squash=layout.squash
        )

    def _make_convolutional(self, layout: Layout) -> None:
        assert layout.shape is not None
        self.body = ConvEncoder(layout.shape, layout.filters, activation=layout.activation)
        self.images = ConvDecoder(
            layout.latent_size,
            layout.shape,
            layout.filters[::-1],
            activation=layout.activation,
            squash=layout.squash,
            enlarge="transposed",
        )


def codes_of(network: AutoencoderNetwork, encoded: Encoded) -> npt.NDArray[np.float32]:
    """The code of each row, shape (rows, latent)."""
    parts = _through(network, encoded, network.encode)
    return np.concatenate([part.numpy() for part in parts])


def decoded(network: AutoencoderNetwork, encoded: Encoded) -> Encoded:
    """What each row comes back as; of categories the likeliest code."""

    def back(numbers: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        numbers_hat, logits = network(numbers, codes)
        fields = torch.split(logits, list(network.cardinalities), dim=1)
        best = [field.argmax(dim=1, keepdim=True) for field in fields]
        return numbers_hat, torch.cat(best, dim=1) if best else codes

    parts = list(_through(network, encoded, back))
    return Encoded(
        np.concatenate([numbers.numpy() for numbers, _ in parts]),
        np.concatenate([codes.numpy() for _, codes in parts]).astype(np.int32),
    )


def column_errors(network: AutoencoderNetwork, encoded: Encoded, number_loss: str) -> FloatArray:
    """Error of each encoded column of each row, shape (rows, n_numbers + n_codes)."""

    def errors(numbers: Tensor, codes: Tensor) -> Tensor:
        rows = (numbers, codes)
        return network.errors(rows, rows, number_loss)

    parts = _through(network, encoded, errors)
    return np.concatenate([part.double().numpy() for part in parts])


def _through(
    network: AutoencoderNetwork, encoded: Encoded, step: Callable[[Tensor, Tensor], Any]
) -> Iterator[Any]:
    """Rows through the network, piece by piece."""
    network.eval()
    with lean_cpu(), torch.inference_mode():
        for start in range(0, len(encoded), SCORING_ROWS):
            part = slice(start, start + SCORING_ROWS)
            codes = torch.from_numpy(encoded.codes[part]).to(torch.int64)
            yield step(torch.from_numpy(encoded.numbers[part]), codes)


def as_tensors(encoded: Encoded, device: torch.device) -> tuple[Tensor, Tensor]:
    """Numbers and codes on a device."""
    numbers = torch.from_numpy(encoded.numbers).to(device)
    return numbers, torch.from_numpy(encoded.codes).to(device, torch.int64)
