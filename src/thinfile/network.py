"""What the classifiers that are networks share: tensors, the split for stopping, the fit.

A method says how batches are drawn (`_batches`), which named terms its loss has (`_terms`) and
how they are weighted (`_term_weights`); the loop of `training` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from thinfile import params
from thinfile.data.encode import Encoded
from thinfile.estimator import Estimator, FloatArray, State, TrainingData, target_row_weight
from thinfile.metrics.ranking import ks, roc_auc
from thinfile.nn.blocks import Dense
from thinfile.nn.embeddings import TableInput
from thinfile.nn.losses import binary_cross_entropy
from thinfile.nn.weights import get_weights, set_weights
from thinfile.params import Rule
from thinfile.training.batches import Batches, TensorBatches
from thinfile.training.device import choose_device, lean_cpu, seeded
from thinfile.training.loop import train
from thinfile.training.optimizer import adam
from thinfile.training.phase import Phase

Terms = Mapping[str, torch.Tensor]
TermWeights = Mapping[str, float | Callable[[int], float]]
Rows = npt.NDArray[np.intp]

SCORING_ROWS = 65_536
MIN_EVENTS = 10
"""Events (and non-events) that stopping needs to see; below that, the last epoch is kept."""

NETWORK_RULES: dict[str, Rule] = {
    "widths": params.sequence_of(params.integer(1)),
    "activation": params.one_of("relu", "sigmoid", "tanh", "leaky_relu", "silu", "gelu"),
    "dropout": params.real(0, 1, bounds="[)"),
    "norm": params.one_of(None, "batch", "layer"),
    "max_epochs": params.integer(1),
    "batch_size": params.integer(2),
    "learning_rate": params.real(0, bounds="()"),
    "weight_decay": params.real(0),
    "validation_fraction": params.real(0, 0.9, bounds="[]"),
    "patience": params.optional(params.integer(1)),
    "target_weight": params.either(params.one_of("auto"), params.real(0)),
}


class TableNetwork(nn.Module):
    """Encoded columns → hidden layers → one logit, with the hidden layers within reach."""

    def __init__(
        self,
        n_numbers: int,
        cardinalities: tuple[int, ...],
        widths: tuple[int, ...],
        *,
        activation: str = "relu",
        dropout: float = 0.0,
        norm: str | None = None,
    ) -> None:
        super().__init__()
        self.inputs = TableInput(n_numbers, cardinalities)
        self.body = Dense(
            self.inputs.width, widths, activation=activation, dropout=dropout, norm=norm
        )
        self.head = nn.Linear(self.body.width, 1)

    def hidden(self, numbers: torch.Tensor, codes: torch.Tensor) -> list[torch.Tensor]:
        """Output of every hidden layer, each of shape (rows, width)."""
        return self.body.layers(self.inputs(numbers, codes))

    def logit(self, hidden: torch.Tensor) -> torch.Tensor:
        """Log-odds of the event from the last hidden layer, shape (rows,)."""
        logit: torch.Tensor = self.head(hidden).squeeze(1)
        return logit

    def forward(self, numbers: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        return self.logit(self.body(self.inputs(numbers, codes)))


@dataclass(frozen=True)
class Tensors:
    """The training data on the training device; n rows."""

    numbers: torch.Tensor  # (n, numbers) float32
    codes: torch.Tensor  # (n, categories) int64
    y: torch.Tensor  # (n,) float32: 1, 0, -1
    is_target: torch.Tensor  # (n,) bool
    weight: torch.Tensor  # (n,) float32: how much a labelled row counts in the loss

    def rows(self, positions: Rows) -> dict[str, torch.Tensor]:
        """The rows at `positions`, as a named batch."""
        index = torch.from_numpy(np.ascontiguousarray(positions)).to(self.y.device)
        return {name: value.index_select(0, index) for name, value in vars(self).items()}


class NetworkClassifier(Estimator):
    """Base of the classifiers that are one `TableNetwork`, trained by `training.loop.train`.

    Attributes
    ----------
    network_ : TableNetwork
        With the weights of the best check.
    n_validation_ : int
        Labelled rows that were held back to stop training.
    """

    checks_per_epoch: int = 1

    def get_weights(self) -> dict[str, npt.NDArray[Any]]:
        """Every weight and running statistic of the network by name, as copies."""
        check_is_fitted(self, "network_")
        return get_weights(self.network_)

    def set_weights(self, weights: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Replace the weights by arrays of the same names and shapes.

        Raises
        ------
        ArtifactError
            If a name is missing or unknown, or a shape differs.
        """
        check_is_fitted(self, "encoder_")
        if not hasattr(self, "network_"):
            self.network_ = self._build().eval()
        set_weights(self.network_, weights)
        return self

    # What a method defines -------------------------------------------------------------------

    def _build(self) -> TableNetwork:
        return TableNetwork(
            len(self.encoder_.number_names_),
            tuple(self.encoder_.cardinalities_),
            tuple(self.widths),
            activation=self.activation,
            dropout=self.dropout,
            norm=self.norm,
        )

    def _batches(self, tensors: Tensors, rows: Rows, data: TrainingData) -> Batches:
        return TensorBatches(tensors.rows(rows), min(self.batch_size, len(rows)))

    def _terms(self, batch: Any) -> Terms:
        logit = self.network_(batch["numbers"], batch["codes"])
        return {"classification": binary_cross_entropy(logit, batch["y"], weight=batch["weight"])}

    def _term_weights(self, total_steps: int) -> TermWeights:
        return {}

    # The fit ---------------------------------------------------------------------------------

    def _fit(self, data: TrainingData) -> None:
        device = choose_device(self.device)
        with seeded(self.random_state, device) as seed, lean_cpu():
            tensors = self._tensors(data, device)
            training, validation = self._split(data, np.random.default_rng(seed))
            self.n_validation_ = len(validation)
            self.network_ = self._build().to(device)
            self._run(tensors, training, validation, data)
        self.network_.cpu()

    def _run(self, tensors: Tensors, training: Rows, validation: Rows, data: TrainingData) -> None:
        batches = self._batches(tensors, training, data)
        max_epochs: int = self.max_epochs
        phase = Phase(
            adam(self.network_.parameters(), self.learning_rate, self.weight_decay),
            self._terms,
            self._term_weights(max_epochs * len(batches)),
        )
        held_out = tensors.rows(validation) if len(validation) else None
        history = train(
            self.network_,
            [phase],
            batches,
            max_epochs=max_epochs,
            check=None if held_out is None else lambda: self._check(held_out),
            check_every=max(1, len(batches) // self.checks_per_epoch),
            monitor=None if held_out is None else "validation_auc",
            patience=None if held_out is None else self.patience,
        )
        self.history_ += history.records

    def _check(self, held_out: Mapping[str, torch.Tensor]) -> dict[str, float]:
        logit = self.network_(held_out["numbers"], held_out["codes"]).double().cpu().numpy()
        y, weight = held_out["y"].cpu().numpy(), held_out["weight"].double().cpu().numpy()
        return {
            "validation_auc": roc_auc(y, logit, weight=weight),
            "validation_ks": ks(y, logit, weight=weight),
        }

    def _split(self, data: TrainingData, rng: np.random.Generator) -> tuple[Rows, Rows]:
        """Labelled rows to train on and to stop by; every class and population in both."""
        labelled = np.flatnonzero(data.is_labelled)
        share: float = self.validation_fraction
        stratum = data.y * 2 + data.is_target
        held = [
            rng.permutation(rows)[: int(len(rows) * share)]
            for rows in (labelled[stratum[labelled] == s] for s in np.unique(stratum[labelled]))
        ]
        validation = np.sort(np.concatenate(held))
        y = data.y[validation]
        if min((y == 1).sum(), (y == 0).sum()) < MIN_EVENTS:
            return labelled, np.empty(0, dtype=np.intp)
        return np.setdiff1d(labelled, validation), validation

    def _tensors(self, data: TrainingData, device: torch.device) -> Tensors:
        return Tensors(
            numbers=torch.from_numpy(data.encoded.numbers).to(device),
            codes=torch.from_numpy(data.encoded.codes).to(device, torch.int64),
            y=torch.from_numpy(data.y.astype(np.float32)).to(device),
            is_target=torch.from_numpy(data.is_target).to(device),
            weight=torch.from_numpy(self._row_weight(data)).to(device),
        )

    def _row_weight(self, data: TrainingData) -> npt.NDArray[np.float32]:
        """Labelled rows of the target count `target_weight` times as much as the source's."""
        factor = self.target_weight
        return target_row_weight(data, factor).astype(np.float32)

    # Scoring ---------------------------------------------------------------------------------

    def _probability(self, encoded: Encoded) -> FloatArray:
        self.network_.eval()
        parts = []
        with lean_cpu(), torch.inference_mode():
            for start in range(0, len(encoded.numbers), SCORING_ROWS):
                part = slice(start, start + SCORING_ROWS)
                codes = torch.from_numpy(encoded.codes[part]).to(torch.int64)
                logit = self.network_(torch.from_numpy(encoded.numbers[part]), codes)
                parts.append(torch.sigmoid(logit.double()).numpy())
        return np.concatenate(parts) if parts else np.empty(0)

    def _state(self) -> State:
        return State(arrays=self.get_weights())

    def _load(self, state: State) -> None:
        self.network_ = self._build().eval()
        self.set_weights(state.arrays)
