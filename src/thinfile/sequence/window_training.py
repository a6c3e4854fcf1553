"""Windows as tensors, and the training run that all their models share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thinfile.data.windows import Windows
from thinfile.nn.sequence import step_mask
from thinfile.sequence.window_scaling import ChannelScaling
from thinfile.training.length_batches import LengthBatches
from thinfile.training.loop import evaluating, train
from thinfile.training.optimizer import adam
from thinfile.training.phase import Phase
from thinfile.training.schedules import Schedule
from thinfile.training.stopping import Snapshot

N_BLOCKS = 40
MIN_VALIDATION = 10
MANY_WINDOWS = 20
"""Windows of an entity, on average, from which on its last ones are held back."""
WARM_UP = 0.1
LAST_RATE = 0.01
"""What is left of the learning rate at the end."""


@dataclass(frozen=True)
class WindowTensors:
    """Scaled windows on one device."""

    x: Tensor  # (windows, steps, channels) float32, 0 where nothing was measured
    mask: Tensor  # the same shape, 1 where a cell was measured
    lengths: Tensor  # (windows,)

    @classmethod
    def of(cls, windows: Windows, scaling: ChannelScaling, device: torch.device) -> WindowTensors:
        """Scale windows and bring them over."""
        mask = windows.observed.astype(np.float32)
        arrays = (scaling.apply(windows), mask, windows.lengths)
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    def rows(self, rows: Tensor) -> dict[str, Tensor]:
        """Some windows, cut after the longest of them."""
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        return {
            "x": self.x[rows, :longest],
            "mask": self.mask[rows, :longest],
            "lengths": lengths,
            "rows": rows,
        }


def train_windows(
    model: Any, tensors: WindowTensors, entities: NDArray[Any] | None, seed: int
) -> list[dict[str, Any]]:
    """Train `model.network_` by `model._loss`; return the history's records."""
    training, validation = split_windows(
        len(tensors.x), entities, model.validation_fraction, np.random.default_rng(seed)
    )
    index = torch.from_numpy(training).to(tensors.x.device)
    lengths = tensors.lengths.cpu().numpy()[training]
    batches = LengthBatches(lengths, lambda r: tensors.rows(index[r]), n_tokens=model.batch_tokens)
    n_steps = model.max_epochs * len(batches)
    phase = Phase(
        adam(model.network_.parameters(), model.learning_rate, model.weight_decay),
        lambda batch: model._loss(hidden_stretches(batch, model.hide)),
        model._loss_weights(n_steps),
        clip_norm=1.0,
        learning_rate=rise_and_fall(n_steps, model.learning_rate),
    )
    held = torch.from_numpy(validation).to(tensors.x.device)
    start = Snapshot(model.network_)
    before = _before(model, tensors, held)
    history = train(
        model.network_,
        phase,
        batches,
        max_epochs=model.max_epochs,
        check=(lambda: _check(model, tensors, held)) if len(validation) else None,
        monitor="validation_loss" if len(validation) else None,
        mode="min",
        patience=model.patience if len(validation) else None,
    )
    if before is not None and history.best_value is not None and before < history.best_value:
        start.put_back()
        model.notes_.append(
            f"training did not improve on its start (validation loss {before:.4g} before, "
            f"{history.best_value:.4g} after); the start was kept"
        )
    return [dict(record) for record in history.records]


def _before(model: Any, tensors: WindowTensors, held: Tensor) -> float | None:
    """Validation loss before the first step: principal components may be all there is."""
    if not len(held):
        return None
    with evaluating(model.network_):
        return _check(model, tensors, held)["validation_loss"]


def split_windows(
    n: int, entities: NDArray[Any] | None, share: float, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Windows to train on and windows to stop by.

    The last windows of each entity where entities have many: what they share in a time (a
    market's bad days) is then on one side only. Else whole blocks, as neighbours may overlap.
    """
    if entities is not None and n >= MANY_WINDOWS * len(np.unique(entities)):
        changes = np.flatnonzero(np.r_[True, entities[1:] != entities[:-1], True])
        sizes = np.diff(changes)
        place = np.arange(n) - np.repeat(changes[:-1], sizes)
        late = place >= np.repeat(sizes - np.floor(share * sizes), sizes)
        if late.sum() >= MIN_VALIDATION:
            return np.flatnonzero(~late), np.flatnonzero(late)
    blocks = np.array_split(np.arange(n), min(n, N_BLOCKS))
    n_held = round(share * len(blocks))
    held = set(rng.permutation(len(blocks))[:n_held].tolist())
    validation = [block for place, block in enumerate(blocks) if place in held]
    if sum(map(len, validation)) < MIN_VALIDATION:
        return np.arange(n), np.empty(0, dtype=np.intp)
    training = [block for place, block in enumerate(blocks) if place not in held]
    return np.concatenate(training), np.concatenate(validation)


def _check(model: Any, tensors: WindowTensors, held: Tensor) -> dict[str, float]:
    """Mean of each loss term over the windows held back, drawn the same way each time."""
    sums: dict[str, float] = {}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        for rows in torch.split(held, 1024):
            terms = model._loss(tensors.rows(rows))
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(rows) / len(held)
    return {"validation_loss": sum(sums.values())}


def hidden_stretches(batch: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The batch with `seen`: its mask, less one stretch in a share of the windows.

    A network that has to make up what it cannot see learns to fill gaps. At most half of a
    window is hidden.
    """
    mask, lengths = batch["mask"], batch["lengths"]
    if share <= 0:
        return {**batch, "seen": mask}
    drawn = torch.rand(3, len(lengths), device=mask.device)
    size = (1 + drawn[0] * (lengths / 2)).long().clamp(max=lengths // 2)
    start = (drawn[1] * (lengths - size + 1)).long()
    after, until = step_mask(start, mask.shape[1]), step_mask(start + size, mask.shape[1])
    hidden = until & ~after & (drawn[2] < share).unsqueeze(1)
    return {**batch, "seen": mask * ~hidden.unsqueeze(2)}


def rise_and_fall(n_steps: int, rate: float) -> Schedule:
    """A learning rate that rises over the first tenth and falls as half a cosine."""
    n_rise = max(1, round(WARM_UP * n_steps))

    def at(step: int) -> float:
        if step < n_rise:
            return rate * (step + 1) / n_rise
        place = min(1.0, (step - n_rise) / max(1, n_steps - n_rise))
        return rate * (LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * place)) / 2)

    return at
