"""New rows from a fitted variational autoencoder: from the prior, or around given rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from thinfile.data.encode import Encoded
from thinfile.data.images import ImageEncoder
from thinfile.data.row_hash import Hashes, known
from thinfile.errors import DataError, ParameterError
from thinfile.generative.new_rows import draw_new, image_hashes
from thinfile.generative.vae_bank import ConditionBank
from thinfile.generative.vae_rows import VAERows
from thinfile.params import check_params, integer
from thinfile.random_state import RandomState, seed_from
from thinfile.training.device import lean_cpu, seeded


@dataclass(frozen=True)
class VAEDraws:
    """What draws need: the network with its encoder, conditions, and the rows not to give out."""

    rows: VAERows
    bank: ConditionBank
    forbidden: Hashes

    def sample(
        self, n: int, where: Mapping[str, Any], label: int | None, random_state: RandomState
    ) -> Any:
        """Rows from the prior, under the wanted conditions."""
        self._check_wanted(n, where, label)

        def draw(n_rows: int, rng: np.random.Generator) -> Encoded:
            given, told = self.bank.draw(n_rows, where, label, rng)
            return self.rows.draw(torch.randn(n_rows, self.rows.network.latent_size), told, given)

        return self._new(draw, n, random_state)

    def sample_like(
        self,
        encoded: Encoded,
        labels: npt.NDArray[np.int8] | None,
        n: int,
        spread: float,
        random_state: RandomState,
    ) -> Any:
        """Rows around the codes of encoded ones, each of which serves equally often.

        Numbers get the residual of another of the rows: a decoder is off by more on rare rows
        than on the many that it was trained on.
        """
        _check_n(n)
        layout = self.rows.layout
        told = layout.condition(encoded, labels) if layout.n_condition else None
        mean, deviation = map(torch.from_numpy, self.rows.statistics(encoded, labels))

        off = torch.from_numpy(self.rows.residuals(encoded, labels))

        def draw(n_rows: int, rng: np.random.Generator) -> Encoded:
            other = rng.integers(len(encoded), size=n_rows)
            chosen = rng.permutation(np.resize(rng.permutation(len(encoded)), n_rows))
            code = mean[chosen] + spread * deviation[chosen] * torch.randn(n_rows, mean.shape[1])
            at = None if told is None else told[chosen]
            return self.rows.draw(code, at, encoded.take(chosen), residual=off[other])

        return self._new(draw, n, random_state)

    def _new(
        self,
        draw: Callable[[int, np.random.Generator], Encoded],
        n: int,
        random_state: RandomState,
    ) -> Any:
        with seeded(random_state) as seed, lean_cpu():
            rng = np.random.default_rng(seed)
            if isinstance(self.rows.encoder, ImageEncoder):
                return self._new_images(draw(n, rng))
            return draw_new(
                lambda m: self.rows.table(draw(m, rng), seed_from(rng)),
                n,
                self.forbidden,
                owner="VAE",
            )

    def _new_images(self, made: Encoded) -> Any:
        assert isinstance(self.rows.encoder, ImageEncoder)
        copied = known(pixel_hashes(self.rows.encoder, made), self.forbidden)
        if copied.any():  # it would have to equal a training image in every pixel
            raise DataError(f"VAE: {copied.sum()} of {len(made)} images are training images")
        return self.rows.images(made)

    def _check_wanted(self, n: int, where: Mapping[str, Any], label: int | None) -> None:
        _check_n(n)
        faults = []
        told = self.bank.names()
        if unknown := [name for name in where if name not in told]:
            told_of = ", ".join(map(repr, told)) or "no column"
            faults.append(
                f"where names {', '.join(map(repr, unknown))}; the model is told {told_of}"
            )
        if label is not None and not self.rows.layout.has_label:
            faults.append(f"label={label!r} needs condition='label'")
        elif label not in (None, 0, 1):
            faults.append(f"label={label!r} must be 0 or 1")
        if faults:
            raise ParameterError("VAE.sample: " + "; ".join(faults))


def pixel_hashes(encoder: ImageEncoder, encoded: Encoded) -> Hashes:
    """What images are known by: their pixels in 256 steps."""
    return image_hashes(np.round(encoder.decode(encoded.numbers) * 255).astype(np.uint8))


def _check_n(n: int) -> None:
    check_params("VAE.sample", {"n": n}, {"n": integer(1)})
