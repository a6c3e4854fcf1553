"""The game of a GAN on a table: batches, conditions, packs, and what is measured on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thinfile.data.encode import Encoded
from thinfile.generative.adversarial import latent
from thinfile.generative.duel import Drawn
from thinfile.generative.table_conditions import Asked, Conditions
from thinfile.nn.gan import TableDiscriminator, TableGenerator

MADE_AT_ONCE = 8192


class TableGame:
    """Both networks of a table GAN, and all that they are given.

    Parameters
    ----------
    n_numbers : int
    cardinalities : sequence of int
        Sorted.
    conditions : Conditions
    tricks : mapping
    n_latent : int
    widths, discriminator_widths : sequence of int
    """

    def __init__(
        self,
        n_numbers: int,
        cardinalities: Sequence[int],
        conditions: Conditions,
        tricks: Mapping[str, Any],
        *,
        n_latent: int,
        widths: Sequence[int],
        discriminator_widths: Sequence[int],
        dropout: float,
    ) -> None:
        self.n_numbers, self.cardinalities = n_numbers, list(cardinalities)
        self.conditions, self.tricks, self.n_latent = conditions, tricks, n_latent
        n_columns = n_numbers + sum(cardinalities)
        self._generator = TableGenerator(
            n_latent + conditions.width,
            widths,
            n_numbers,
            cardinalities,
            batch_norm=tricks["batch_norm"],
            dropout=tricks["generator_dropout"],
        )
        self._discriminator = TableDiscriminator(
            tricks["packing"] * (n_columns + conditions.width),
            discriminator_widths,
            dropout=dropout,
            normed=tricks["spectral_norm"],
        )
        self.generator: nn.Module = self._generator
        self.discriminator: nn.Module = self._discriminator
        self.measure: Callable[[], Mapping[str, float]] = dict

    def give(self, encoded: Encoded, batch_size: int) -> None:
        """The training rows, (n, n_numbers) and (n, n_codes)."""
        starts = np.asarray(self._generator.blocks.starts, dtype=np.int32)
        places = encoded.numbers if self.tricks["input_scaling"] else (encoded.numbers + 1) / 2
        self.conditions.index(encoded.codes)
        self._numbers = torch.from_numpy(np.ascontiguousarray(places))
        self._ones = torch.from_numpy(encoded.codes + starts + self.n_numbers)
        self._batch_size = batch_size

    def draw(self) -> Drawn:
        """Real rows, drawn by conditions where there are any."""
        asked = None
        if self.conditions.width:
            asked = self.conditions.draw(self._batch_size)
            rows = self.conditions.rows()
        else:
            rows = torch.randint(len(self._ones), (self._batch_size,))
        x = torch.zeros(self._batch_size, self.n_numbers + sum(self.cardinalities))
        x[:, : self.n_numbers] = self._numbers.index_select(0, rows)
        x.scatter_(1, self._ones.index_select(0, rows).long(), 1.0)
        return Drawn(x) if asked is None else Drawn(x, asked.one_hot, asked)

    def latent(self) -> Tensor:
        """As many z as a batch has rows."""
        return latent(self._batch_size, self.n_latent, self.tricks["spherical_latent"])

    def make(self, z: Tensor, drawn: Drawn) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Rows, and how far they are from what was asked for (cross-entropy)."""
        if drawn.condition is None:
            return self._generator.squash(self._generator(z)), {}
        raw = self._generator(torch.cat([z, drawn.condition], 1))
        missed = self._generator.missed(raw, drawn.asked.column, drawn.asked.code)
        return self._generator.squash(raw), {"condition_loss": missed.mean()}

    def judge(self, judge: nn.Module, x: Tensor, condition: Tensor | None) -> Tensor:
        """Score of each pack."""
        score: Tensor = judge(self._pack(x, condition))
        return score

    def slope(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Gradient of each pack's score."""
        return self._discriminator.input_gradient(self._pack(x, condition))

    def _pack(self, x: Tensor, condition: Tensor | None) -> Tensor:
        beside = x if condition is None else torch.cat([x, condition], 1)
        return beside.reshape(len(x) // self.tricks["packing"], -1)

    def forget(self) -> None:
        """Let go of the training rows."""
        del self._numbers, self._ones
        self.measure = dict
        self.conditions.forget()

    @torch.no_grad()
    def encoded(self, asked: Asked | None, n_rows: int) -> Encoded:
        """Made rows as places and codes; the code that was asked for is kept."""
        parts = []
        for start in range(0, n_rows, MADE_AT_ONCE):
            stop = min(start + MADE_AT_ONCE, n_rows)
            z = latent(stop - start, self.n_latent, self.tricks["spherical_latent"])
            if asked is not None:
                z = torch.cat([z, asked.one_hot[start:stop]], 1)
            parts.append(self._generator.squash(self._generator(z)))
        x = torch.cat(parts)
        codes = self._codes(x[:, self.n_numbers :])
        if asked is not None:
            codes[torch.arange(n_rows), asked.column] = asked.code
        places = x[:, : self.n_numbers]
        if not self.tricks["input_scaling"]:
            places = 2 * places.clamp(0, 1) - 1
        return Encoded(places.numpy(), codes.to(torch.int32).numpy())

    def _codes(self, ones: Tensor) -> Tensor:
        """(rows, one-hot width) -> (rows, code columns)"""
        sizes = self.cardinalities
        if not sizes:
            return torch.zeros(len(ones), 0, dtype=torch.int64)
        return torch.stack([part.argmax(1) for part in torch.split(ones, sizes, 1)], 1)
