"""How a variational autoencoder is trained: the loss, the warm-up and what is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from thinfile.generative.vae_bound import drawn_bound
from thinfile.generative.vae_network import Batch, VAENetwork, hide_labels, kl_per_unit
from thinfile.nn.active_units import active_units
from thinfile.training.batches import TensorBatches
from thinfile.training.history import History, Record
from thinfile.training.loop import train
from thinfile.training.optimizer import adam
from thinfile.training.phase import Phase
from thinfile.training.schedules import linear_warm_up

N_PROBE = 2_000
"""Training rows that active units are counted on, and the decoder's residuals learnt from."""
HIDDEN_LABELS = 0.2
"""Share of labelled rows whose label is hidden at a step: later most rows will have none."""


@dataclass(frozen=True)
class VAESettings:
    """What training needs to know; see :class:`thinfile.generative.vae.VAE`."""

    beta: float
    free_bits: float
    warm_up_epochs: int
    max_epochs: int
    batch_size: int
    learning_rate: float
    patience: int | None

    @classmethod
    def of(cls, model: Any) -> VAESettings:
        """Those of a model's arguments that training needs."""
        return cls(**{each.name: getattr(model, each.name) for each in fields(cls)})


def train_vae(
    network: VAENetwork,
    rows: Batch,
    held: Batch | None,
    settings: VAESettings,
    on_check: Callable[[Record], None] | None = None,
) -> History:
    """Train a network on rows, and keep the weights with the best bound on those held back.

    Parameters
    ----------
    network : VAENetwork
        On the device of the rows.
    rows, held : mapping of tensors
        As :meth:`VAELayout.tensors` gives them; `held` None: the last weights are kept.
    on_check : callable, optional
        Gets the record of each epoch.
    """
    batches = TensorBatches(dict(rows), min(settings.batch_size, len(rows["numbers"])))
    probe = first_rows(rows, N_PROBE)
    network.start_spread(rows["numbers"])

    def check() -> dict[str, float]:
        means = network.encode(probe)[0]
        found = {"active_units": float(active_units(means))}
        if held is not None:
            found["validation_bound"] = float(drawn_bound(network, held).mean())
        return found

    history = train(
        network,
        Phase(
            adam(network.parameters(), settings.learning_rate),
            lambda batch: _terms(network, batch, settings.free_bits),
            {"kl": _kl_weight(settings, len(batches))},
        ),
        batches,
        max_epochs=settings.max_epochs,
        check=check,
        monitor=None if held is None else "validation_bound",
        patience=None if held is None else settings.patience,
        on_check=on_check,
    )
    network.learn_residuals(probe)
    if "codes" in rows:
        network.learn_codes(rows["codes"])
    return history


def active_at_end(history: History) -> int:
    """Active units of the weights that were kept."""
    kept = [r for r in history.records if r["step"] == history.best_step]
    return int((kept or history.records)[-1]["active_units"] or 0)


def first_rows(batch: Batch, n: int) -> dict[str, Tensor]:
    """The first rows of every tensor; training rows come in random order."""
    return {name: value[:n] for name, value in batch.items()}


def _terms(network: VAENetwork, batch: Batch, free_bits: float) -> dict[str, Tensor]:
    if network.layout.has_label:
        shown = hide_labels(batch["condition"], HIDDEN_LABELS)
        batch = {**batch, "condition": shown}
    mean, log_variance = network.encode(batch)
    code = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
    made = network.decode(code, batch.get("condition"))
    parts = [part.sum() for part in network.losses(made, batch)]
    by_unit = kl_per_unit(mean, log_variance).mean(dim=0)
    if free_bits:
        by_unit = by_unit.clamp(min=free_bits)
    total = parts[0] if len(parts) == 1 else torch.stack(parts).sum()
    return {"reconstruction": total / len(mean), "kl": by_unit.sum()}


def _kl_weight(settings: VAESettings, n_batches: int) -> Any:
    if not settings.warm_up_epochs or not settings.beta:
        return settings.beta
    return linear_warm_up(settings.warm_up_epochs * n_batches, settings.beta)
