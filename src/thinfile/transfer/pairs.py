"""Batches and layers as the methods that align populations need them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from thinfile.estimator import TrainingData
from thinfile.network import TableNetwork, Tensors
from thinfile.training.batches import Batches, Pair, PairedBatches, TensorBatches

NOTHING_TO_ADAPT = "no target rows: nothing to adapt"


def paired_batches(
    tensors: Tensors,
    rows: npt.NDArray[np.intp],
    data: TrainingData,
    batch_size: int,
    *,
    target: npt.NDArray[np.intp] | None = None,
) -> Batches:
    """Labelled rows beside rows of the target whose labels, if any, are left out of sight.

    `target` are the rows to adapt to, by default all of the target. One epoch is one pass over
    the labelled rows. Where there is no target (or no source) to adapt, the batches are the
    labelled rows alone.
    """
    labelled = tensors.rows(rows)
    batches = TensorBatches(labelled, min(batch_size, len(rows)))
    target = data.target if target is None else target
    if len(target) < 2 or not len(data.source):
        return batches
    unlabelled = {name: tensors.rows(target)[name] for name in ("numbers", "codes")}
    return PairedBatches(
        batches, TensorBatches(unlabelled, min(batch_size, len(target))), n_batches=len(batches)
    )


@dataclass(frozen=True)
class PairedPass:
    """One forward pass of both populations through the same weights."""

    logit: torch.Tensor  # (labelled rows,)
    source_layers: list[torch.Tensor]  # each (source rows, width)
    target_layers: list[torch.Tensor]  # each (target rows, width)
    source_y: torch.Tensor  # (source rows,)


def paired_pass(network: TableNetwork, pair: Pair) -> PairedPass:
    """Hidden layers of the source's and the target's rows, and the logits of the labelled."""
    labelled, target = pair
    layers = network.hidden(
        torch.cat([labelled["numbers"], target["numbers"]]),
        torch.cat([labelled["codes"], target["codes"]]),
    )
    n_rows = [len(labelled["y"]), len(target["numbers"])]
    # Split rather than sliced: the gradient then comes back as one joining, without zero rows.
    halves = [torch.split(layer, n_rows) for layer in layers]
    source = _source_rows(labelled["is_target"])
    return PairedPass(
        logit=network.logit(halves[-1][0]),
        source_layers=[_take(layer, source) for layer, _ in halves],
        target_layers=[layer for _, layer in halves],
        source_y=_take(labelled["y"], source),
    )


def _source_rows(is_target: torch.Tensor) -> torch.Tensor | None:
    """Positions of the source's rows; None where all rows are, which spares a copy."""
    rows = (~is_target).nonzero().squeeze(1)
    return None if len(rows) == len(is_target) else rows


def _take(values: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
    return values if rows is None else values.index_select(0, rows)


def chosen_layers(layers: list[torch.Tensor], which: str) -> list[torch.Tensor]:
    """The last hidden layer, or all of them."""
    return layers[-1:] if which == "last" else layers


def known_rates(data: TrainingData, target_rate: float | None) -> tuple[float, float] | None:
    """Base rates of source and target for `prior_weight`; None where one of them is not known."""
    if target_rate is None or not len(data.source):
        return None
    source_rate = float(data.y[data.source].mean())
    return (source_rate, target_rate) if 0 < source_rate < 1 else None


def prior_weight(source_y: torch.Tensor, source_rate: float, target_rate: float) -> torch.Tensor:
    """Weights that give source rows the target's base rate, shape (source rows,).

    Aligning populations of different base rates as they are pulls events onto non-events (Zhao et
    al., ICML 2019); weighting the source by class first is the repair (Yan et al., CVPR 2017).
    """
    event = target_rate / source_rate
    other = (1.0 - target_rate) / (1.0 - source_rate)
    return torch.where(source_y > 0.5, event, other)
