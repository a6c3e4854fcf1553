"""What a fitted variational autoencoder does with encoded rows, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor

from thinfile.data.encode import Encoded
from thinfile.data.images import ImageEncoder
from thinfile.data.mixed import MixedEncoder
from thinfile.generative.vae_bound import importance_bound
from thinfile.generative.vae_layout import VAELayout, raw_columns
from thinfile.generative.vae_network import Batch, VAENetwork
from thinfile.training.device import lean_cpu

CHUNK = 16_384
LEAST_ROWS = 64
"""Rows that are scored at once at least, so that a row alone scores as in company."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class VAERows:
    """A network with the layout and the encoder of its rows; labels are unknown unless given."""

    network: VAENetwork
    layout: VAELayout
    encoder: MixedEncoder | ImageEncoder

    def statistics(
        self, encoded: Encoded, labels: npt.NDArray[np.int8] | None = None
    ) -> tuple[Floats, Floats]:
        """Mean and standard deviation of each row's code, each (rows, latent_size)."""

        def part(batch: Batch) -> Tensor:
            mean, log_variance = self.network.encode(batch)
            return torch.cat([mean, torch.exp(0.5 * log_variance)], dim=1)

        both = self._chunked(encoded, part, labels)
        width = self.network.latent_size
        return np.ascontiguousarray(both[:, :width]), np.ascontiguousarray(both[:, width:])

    def residuals(self, encoded: Encoded, labels: npt.NDArray[np.int8] | None = None) -> Floats:
        """What the decoder is off by on each row: (rows, continuous numbers)."""

        def part(batch: Batch) -> Tensor:
            mean, _ = self.network.encode(batch)
            made = self.network.decode(mean, batch.get("condition"))
            n_smooth = self.network.n_smooth
            return (batch["numbers"] - self.network.centre(made))[:, :n_smooth]

        return self._chunked(encoded, part, labels)

    def bound(self, encoded: Encoded, draws: Tensor) -> Floats:
        """The importance-weighted bound of each row, shape (rows,)."""
        n_rows = len(encoded)
        if 0 < n_rows < LEAST_ROWS:
            # Few rows are multiplied by another routine, whose last digits differ.
            encoded = encoded.take(np.minimum(np.arange(LEAST_ROWS), n_rows - 1))
        bound = self._chunked(encoded, lambda batch: importance_bound(self.network, batch, draws))
        return bound[:n_rows]

    def errors(self, encoded: Encoded) -> pl.DataFrame:
        """Error of each raw column of each row, from the mean of its code."""

        def part(batch: Batch) -> Tensor:
            mean, _ = self.network.encode(batch)
            made = self.network.decode(mean, batch.get("condition"))
            return torch.cat(self.network.losses(made, batch), dim=1)

        errors = self._chunked(encoded, part)
        n_smooth = len(self.layout.smooth)
        if self.network.number_loss == "gaussian" and n_smooth:
            spread = self.network.spread().detach().numpy()
            # The share that is the same for every row says nothing of a row.
            errors[:, :n_smooth] -= spread + np.float32(0.5 * np.log(2 * np.pi))
        return self._by_raw_column(errors)

    @torch.inference_mode()
    def draw(
        self,
        code: Tensor,
        condition: Floats | None,
        given: Encoded | None,
        *,
        noise: bool = True,
        residual: Tensor | None = None,
    ) -> Encoded:
        """Decode codes to rows in the encoder's columns; images are their centres."""
        is_image = isinstance(self.encoder, ImageEncoder)
        told = None if condition is None else torch.from_numpy(condition)
        numbers, codes = self.network.draw(
            self.network.decode(code, told), noise=noise and not is_image, residual=residual
        )
        return self.layout.encoded(numbers, codes, given)

    def table(self, encoded: Encoded, seed: int) -> pl.DataFrame:
        """Typed rows of encoded ones."""
        assert isinstance(self.encoder, MixedEncoder)
        return self.encoder.inverse(encoded, random_state=seed)

    def images(self, encoded: Encoded) -> Floats:
        """Pictures between 0 and 1: (rows, height, width), or with channels last."""
        assert isinstance(self.encoder, ImageEncoder)
        pixels = self.encoder.decode(encoded.numbers)
        return pixels[:, 0] if pixels.shape[1] == 1 else pixels.transpose(0, 2, 3, 1)

    def _chunked(
        self,
        encoded: Encoded,
        work: Callable[[Batch], Tensor],
        labels: npt.NDArray[np.int8] | None = None,
    ) -> Floats:
        parts = []
        self.network.eval()
        with lean_cpu(), torch.inference_mode():
            for start in range(0, len(encoded), CHUNK):
                rows = slice(start, start + CHUNK)
                piece = Encoded(encoded.numbers[rows], encoded.codes[rows])
                known = None if labels is None else labels[rows]
                parts.append(work(self.layout.tensors(piece, known)).numpy())
        return np.concatenate(parts)

    def _by_raw_column(self, errors: Floats) -> pl.DataFrame:
        raw_numbers, raw_codes = raw_columns(self.encoder)
        layout = self.layout
        names = [raw_numbers[i] for i in (*layout.smooth, *layout.flags)]
        names += [raw_codes[i] for i in layout.codes]
        sums: dict[str, Any] = {
            name: np.zeros(len(errors)) for name in self._all_columns(raw_numbers)
        }
        for place, name in enumerate(names):
            sums[name] += errors[:, place]
        return pl.DataFrame(sums)

    def _all_columns(self, raw_numbers: list[str]) -> list[str]:
        if isinstance(self.encoder, MixedEncoder):
            return self.encoder.schema.features
        return raw_numbers
