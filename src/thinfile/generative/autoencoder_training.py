"""How an autoencoder is trained: on corrupted rows, and without the rows that fit worst."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from thinfile.generative.autoencoder_network import AutoencoderNetwork
from thinfile.training.batches import TensorBatches
from thinfile.training.history import History
from thinfile.training.loop import train
from thinfile.training.optimizer import adam
from thinfile.training.phase import Phase

Rows = tuple[Tensor, Tensor]
"""Numbers and codes."""


@dataclass(frozen=True)
class Plan:
    """What `Autoencoder` was told about its training; see there."""

    loss: str
    noise: float
    masking: float
    trim: float
    max_epochs: int
    max_steps: int | None
    batch_size: int
    learning_rate: float
    weight_decay: float
    patience: int | None


class Corruption:
    """What denoising training does to the rows that the network reads.

    Parameters
    ----------
    noise
        Deviation of the normal noise on each number, in units of the number's own deviation.
    masking
        Share of cells that are blanked: numbers become their mean, codes 0 (missing).
    numbers
        (rows, n_numbers) training rows, for deviations and means.
    """

    def __init__(self, noise: float, masking: float, numbers: Tensor) -> None:
        self.noise, self.masking = noise, masking
        self._blank = numbers.mean(dim=0)  # (n_numbers,)
        self._scale = noise * numbers.std(dim=0, correction=0)

    def __call__(self, numbers: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Corrupted copies; random numbers come from torch's global generator."""
        if self.noise:
            numbers = numbers + self._scale * torch.randn_like(numbers)
        if self.masking:
            numbers = torch.where(torch.rand_like(numbers) < self.masking, self._blank, numbers)
            hidden = torch.rand(codes.shape, device=codes.device) < self.masking
            codes = codes.masked_fill(hidden, 0)
        return numbers, codes


def train_autoencoder(
    network: AutoencoderNetwork,
    training: Rows,
    held_out: Rows,
    plan: Plan,
) -> History:
    """Train until the error on the rows held out does not fall; without any, all epochs."""
    corrupt = Corruption(plan.noise, plan.masking, training[0])

    def loss(batch: Rows) -> dict[str, Tensor]:
        errors = network.errors(corrupt(*batch), batch, plan.loss)
        return {"reconstruction": trimmed_mean(errors, plan.trim)}

    def check() -> dict[str, float]:
        return {"validation_error": float(network.errors(held_out, held_out, plan.loss).mean())}

    checked = len(held_out[0]) > 0
    batches = TensorBatches(training, min(plan.batch_size, len(training[0])))
    most = plan.max_epochs if plan.max_steps is None else -(-plan.max_steps // len(batches))
    return train(
        network,
        Phase(adam(network.parameters(), plan.learning_rate, plan.weight_decay), loss),
        batches,
        max_epochs=min(plan.max_epochs, most),
        check=check if checked else None,
        monitor="validation_error" if checked else None,
        mode="min",
        patience=plan.patience if checked else None,
    )


def trimmed_mean(errors: Tensor, trim: float) -> Tensor:
    """Mean of (rows, columns) without the rows whose own mean is largest, at least one row."""
    kept = max(1, round((1 - trim) * len(errors)))
    if kept == len(errors):
        return errors.mean()
    return errors.mean(dim=1).topk(kept, largest=False, sorted=False).values.mean()
