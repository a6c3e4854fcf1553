"""Fields as tensors: batches of them, checks while training, and scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from thinfile.data.fields import Fields
from thinfile.estimator import FloatArray, TrainingData
from thinfile.metrics.ranking import ks, roc_auc
from thinfile.network import SCORING_ROWS, Tensors
from thinfile.nn.fused_embedding import FusedEmbedding
from thinfile.nn.interaction import DeepFMNetwork
from thinfile.training.bags import TensorBag
from thinfile.training.device import lean_cpu


@dataclass(frozen=True)
class FieldTensors(Tensors):
    """The training data with its bags."""

    bags: tuple[TensorBag, ...] = ()

    @classmethod
    def from_data(
        cls, data: TrainingData, weight: npt.NDArray[np.float32], device: torch.device
    ) -> FieldTensors:
        """The data on a device; codes stay int32."""
        fields = data.encoded
        assert isinstance(fields, Fields)
        return cls(
            numbers=torch.from_numpy(fields.numbers).to(device),
            codes=torch.from_numpy(fields.codes).to(device),
            y=torch.from_numpy(data.y.astype(np.float32)).to(device),
            is_target=torch.from_numpy(data.is_target).to(device),
            weight=torch.from_numpy(weight).to(device),
            bags=tuple(TensorBag.from_arrays(b.values, b.offsets, device) for b in fields.bags),
        )

    def batch(self, rows: torch.Tensor) -> dict[str, Any]:
        """The rows at these places; nothing else is copied."""
        plain = ("numbers", "codes", "y", "weight")
        batch: dict[str, Any] = {k: getattr(self, k).index_select(0, rows) for k in plain}
        return {**batch, "bags": [bag.take(rows) for bag in self.bags]}


def batch_logit(network: DeepFMNetwork, batch: Mapping[str, Any]) -> torch.Tensor:
    """Log-odds of a batch, shape (rows,)."""
    logit: torch.Tensor = network(batch["numbers"], batch["codes"], batch["bags"])
    return logit


def check_rows(
    network: DeepFMNetwork, tensors: FieldTensors, rows: torch.Tensor
) -> dict[str, float]:
    """AUC and KS of the rows at these places."""
    parts = [tensors.batch(part) for part in torch.split(rows, SCORING_ROWS)]
    logit = torch.cat([batch_logit(network, part) for part in parts]).double().cpu().numpy()
    y = tensors.y[rows].cpu().numpy()
    weight = tensors.weight[rows].double().cpu().numpy()
    return {
        "validation_auc": roc_auc(y, logit, weight=weight),
        "validation_ks": ks(y, logit, weight=weight),
    }


def probabilities(network: DeepFMNetwork, fields: Fields) -> FloatArray:
    """Probability of the event, shape (rows,), on the CPU."""
    network.eval()
    bags = [TensorBag.from_arrays(bag.values, bag.offsets) for bag in fields.bags]
    parts = []
    with lean_cpu(), torch.inference_mode():
        for start in range(0, len(fields), SCORING_ROWS):
            stop = start + SCORING_ROWS
            logit = network(
                torch.from_numpy(fields.numbers[start:stop]),
                torch.from_numpy(fields.codes[start:stop]),
                [bag.slice(start, stop) for bag in bags],
            )
            parts.append(torch.sigmoid(logit.double()).numpy())
    return np.concatenate(parts) if parts else np.empty(0)


@torch.no_grad()
def settle_untrained(table: FusedEmbedding, tensors: FieldTensors, rows: torch.Tensor) -> None:
    """Give codes 0 (missing) and 1 (unseen), where no row trained them, the mean of their field.

    What they start with is noise, and what a value means of which nothing is known is the average.
    """
    columns = [*tensors.codes[rows].unbind(1), *(bag.take(rows)[0] for bag in tensors.bags)]
    for codes, start, size in zip(
        columns, table.starts.tolist(), table.limits.tolist(), strict=True
    ):
        own = table.weight[start : start + size]
        count = torch.bincount(codes.long(), minlength=size).to(own.dtype)
        own[:2][count[:2] == 0] = (count @ own) / count.sum().clamp(min=1)
