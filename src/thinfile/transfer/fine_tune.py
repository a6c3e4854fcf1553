"""Fine-tuning: a network trained on the source goes on with the target's few labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from thinfile import params
from thinfile.errors import ParameterError
from thinfile.estimator import TrainingData
from thinfile.network import MIN_EVENTS, NETWORK_RULES, NetworkClassifier, Rows, Tensors, Terms
from thinfile.params import Rule
from thinfile.schema.model import Schema
from thinfile.training.batches import TensorBatches
from thinfile.training.loop import Phase, train
from thinfile.training.optimizer import adam
from thinfile.transfer.pairs import NOTHING_TO_ADAPT

MIN_TARGET_ROWS = 2
"""Labelled target rows without which there is nothing to tune on."""


class FineTuneClassifier(NetworkClassifier):
    """Network trained on the source, then gently on the target's few labels.

    Use it where the source is large, the two populations share most of what drives the event, and
    there are a hundred target labels or more. Do not use it without target labels: it is then a
    network on the source, and says so in `notes_`. It asks for no overlap between the
    populations, and unlabelled target rows do not help it.

    Parameters
    ----------
    tuning_epochs : int, default 40
        Most passes over the target's labels.
    tuning_learning_rate : float, default 1e-4
        Adam's rate on the target's labels; below `learning_rate`.
    tuning_batch_size : int, default 32
        Target rows in a batch, at least 2.
    n_frozen : int, default 0
        First hidden layers (with the embeddings of categories) that stay as the source left them;
        at most the number of layers, and then only the last linear map is tuned.
    l2_sp : float, default 0.01
        Strength of the pull towards the source's weights, ½ · l2_sp · ‖w - w_source‖²; 0 is none.
        It takes the place of weight decay while tuning.
    widths, activation, dropout, norm, max_epochs, batch_size, learning_rate, weight_decay
        As in :class:`thinfile.tabular.mlp.MLPClassifier`; for the training on the source.
    validation_fraction : float, default 0.2
        Share of each population's labels held back to stop its stage. A stage with fewer than 10
        events or non-events held back runs all its epochs on all its labels instead.
    patience : int, optional, default 5
        Checks without a better validation AUC before a stage ends.
    target_weight : "auto" or float
        Without effect, since the populations are trained on one after the other.
    device, schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.

    Attributes
    ----------
    network_ : TableNetwork
        The tuned network.
    source_weights_ : dict of str to ndarray
        Its parameters as the source left them.
    history_ : list of dict
        Both stages, told apart by `stage` ("source", "target"); epochs and steps run on.

    References
    ----------
    Yosinski, Clune, Bengio, Lipson: How transferable are features in deep neural networks?,
    NeurIPS 2014. Li, Grandvalet, Davoine: Explicit inductive bias for transfer learning with
    convolutional networks, ICML 2018 (L2-SP).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> domain = np.repeat(["old", "new"], [200, 100])
    >>> model = FineTuneClassifier(target_domain="new", max_epochs=2, random_state=0)
    >>> model.fit(X, (X[:, 0] > 0) * 1, domain=domain).history_[-1]["stage"]
    'target'
    """

    _rules: ClassVar[Mapping[str, Rule]] = NETWORK_RULES | {
        "tuning_epochs": params.integer(1),
        "tuning_learning_rate": params.real(0, bounds="()"),
        "tuning_batch_size": params.integer(2),
        "n_frozen": params.integer(0),
        "l2_sp": params.real(0),
    }

    def __init__(
        self,
        *,
        tuning_epochs: int = 40,
        tuning_learning_rate: float = 1e-4,
        tuning_batch_size: int = 32,
        n_frozen: int = 0,
        l2_sp: float = 0.01,
        widths: Sequence[int] = (64, 32),
        activation: str = "relu",
        dropout: float = 0.1,
        norm: str | None = None,
        max_epochs: int = 20,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-3,
        validation_fraction: float = 0.2,
        patience: int | None = 5,
        target_weight: float | str = "auto",
        schema: Schema | None = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.tuning_epochs = tuning_epochs
        self.tuning_learning_rate = tuning_learning_rate
        self.tuning_batch_size = tuning_batch_size
        self.n_frozen = n_frozen
        self.l2_sp = l2_sp
        self.widths = widths
        self.activation = activation
        self.dropout = dropout
        self.norm = norm
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.target_weight = target_weight
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.device = device
        self.random_state = random_state

    def _fit(self, data: TrainingData) -> None:
        if self.n_frozen > len(self.widths):
            raise ParameterError(
                f"FineTuneClassifier: n_frozen={self.n_frozen} must be at most the number of "
                f"hidden layers, {len(self.widths)}"
            )
        super()._fit(data)

    def _run(self, tensors: Tensors, training: Rows, validation: Rows, data: TrainingData) -> None:
        if not len(data.source) or len(data.target_labelled) < MIN_TARGET_ROWS:
            self.notes_.append(_why_not_tuned(data))
            super()._run(tensors, training, validation, data)
            self._close_stage("source", 0)
        else:
            source = _stage_rows(training, validation, ~data.is_target, data.y)
            super()._run(tensors, *source, data)
            self._close_stage("source", 0)
            n_before = len(self.history_)
            self._tune(tensors, *_stage_rows(training, validation, data.is_target, data.y))
            self._close_stage("target", n_before)

    def _tune(self, tensors: Tensors, training: Rows, validation: Rows) -> None:
        frozen = self._frozen_parts()
        fixed = {p for part in frozen for p in part.parameters()}
        loose = [p for p in self.network_.parameters() if p not in fixed]
        anchor = [p.detach().clone() for p in loose]
        self.source_weights_ = {
            name: p.detach().cpu().numpy().copy() for name, p in self.network_.named_parameters()
        }

        def terms(batch: Any) -> Terms:
            for part in frozen:
                part.eval()  # frozen layers keep their running statistics, too
            pull = [(p - start).square().sum() for p, start in zip(loose, anchor, strict=True)]
            return {**self._terms(batch), "l2_sp": 0.5 * torch.stack(pull).sum()}

        phase = Phase(adam(loose, self.tuning_learning_rate), terms, {"l2_sp": self.l2_sp})
        for parameter in fixed:
            parameter.requires_grad_(False)
        self._train_stage(phase, tensors, training, validation)
        for parameter in fixed:
            parameter.requires_grad_(True)

    def _train_stage(
        self, phase: Phase, tensors: Tensors, training: Rows, validation: Rows
    ) -> None:
        held_out = tensors.rows(validation) if len(validation) else None
        history = train(
            self.network_,
            phase,
            TensorBatches(tensors.rows(training), self.tuning_batch_size),
            max_epochs=self.tuning_epochs,
            check=None if held_out is None else lambda: self._check(held_out),
            monitor=None if held_out is None else "validation_auc",
            patience=None if held_out is None else self.patience,
        )
        self.history_ += history.records

    def _frozen_parts(self) -> list[nn.Module]:
        if not self.n_frozen:
            return []
        return [self.network_.inputs, *self.network_.body.hidden[: self.n_frozen]]

    def _close_stage(self, stage: str, first: int) -> None:
        """Name the stage in its records, and count its epochs and steps on from the last one."""
        before = self.history_[first - 1] if first else {}
        for record in self.history_[first:]:
            record["stage"] = stage
            for name in ("epoch", "step", "seconds"):
                record[name] += before.get(name, 0)


def _why_not_tuned(data: TrainingData) -> str:
    if not len(data.target):
        return NOTHING_TO_ADAPT
    if not len(data.source):
        return "no labelled source rows: trained on the target's labels alone"
    n_labelled = len(data.target_labelled)
    return f"{n_labelled} labelled target rows: trained on the source and not tuned"


def _stage_rows(
    training: Rows, validation: Rows, stage: npt.NDArray[np.bool_], y: npt.NDArray[np.int8]
) -> tuple[Rows, Rows]:
    """The rows of one population to train on and to stop by."""
    rows, held = training[stage[training]], validation[stage[validation]]
    n_events = int((y[held] == 1).sum())
    if min(n_events, len(held) - n_events) < MIN_EVENTS:
        return np.sort(np.concatenate([rows, held])), np.empty(0, dtype=np.intp)
    return rows, held
