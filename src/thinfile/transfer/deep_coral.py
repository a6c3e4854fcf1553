"""Deep CORAL: hidden layers of two populations given the same covariance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from thinfile import params
from thinfile.estimator import TrainingData
from thinfile.network import NETWORK_RULES, NetworkClassifier, Rows, Tensors, Terms, TermWeights
from thinfile.nn.divergence import coral
from thinfile.nn.losses import binary_cross_entropy
from thinfile.params import Rule
from thinfile.schema.model import Schema
from thinfile.training.batches import Batches, Pair
from thinfile.transfer.pairs import (
    NOTHING_TO_ADAPT,
    PairedPass,
    chosen_layers,
    known_rates,
    paired_batches,
    paired_pass,
    prior_weight,
)

MIN_ROWS = 2
"""Rows of each population that a covariance needs."""


class DeepCORALClassifier(NetworkClassifier):
    """Network whose hidden layers have the same covariance on source and target.

    Use it as the mildest of the deep ways to align: it is cheap, has one setting, and does
    nothing where second moments agree. Do not use it where only means differ, which covariances
    do not show, nor where base rates differ much and the target's is not known: aligning then
    moves events onto non-events.

    Parameters
    ----------
    coral_weight : float, default 1.0
        Factor of the CORAL term, 0 or more. The paper sets it so that both terms are about
        equal at the end of training; `history_` shows both.
    layers : {"all", "last"}, default "all"
        Hidden layers to align; "all" adds their distances up, "last" is the paper's.
    match_prior : bool, default True
        Weight source rows in the covariance so that they have the target's base rate, where it
        is known from labels or `target_rate`.
    widths : sequence of int, default (64, 32)
        Units of each hidden layer, each at least 1; at least one layer.
    activation, dropout, norm, max_epochs, batch_size, learning_rate, weight_decay
        As in :class:`thinfile.tabular.mlp.MLPClassifier`.
    validation_fraction, patience, target_weight, device
        As there.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.

    Attributes
    ----------
    network_ : TableNetwork
        With the weights of the best check.
    history_ : list of dict
        Terms `classification` and `coral`, their `total`, validation AUC and KS of each epoch.

    References
    ----------
    Sun, Saenko: Deep CORAL: correlation alignment for deep domain adaptation, ECCV workshops
    2016.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> y = np.where(np.arange(300) < 200, X[:, 0] > 0, -1)
    >>> domain = np.repeat(["old", "new"], [200, 100])
    >>> model = DeepCORALClassifier(target_domain="new", max_epochs=2, random_state=0)
    >>> model.fit(X, y, domain=domain).predict_proba(X).shape
    (300, 2)
    """

    _rules: ClassVar[Mapping[str, Rule]] = NETWORK_RULES | {
        "widths": params.sequence_of(params.integer(1), min_length=1),
        "coral_weight": params.real(0),
        "layers": params.one_of("all", "last"),
        "match_prior": params.boolean(),
    }

    def __init__(
        self,
        *,
        coral_weight: float = 1.0,
        layers: str = "all",
        match_prior: bool = True,
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
        self.coral_weight = coral_weight
        self.layers = layers
        self.match_prior = match_prior
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

    def _batches(self, tensors: Tensors, rows: Rows, data: TrainingData) -> Batches:
        if not len(data.target):
            self.notes_.append(NOTHING_TO_ADAPT)
        self._rates = known_rates(data, self._target_rate(data)) if self.match_prior else None
        return paired_batches(tensors, rows, data, self.batch_size)

    def _terms(self, batch: Any) -> Terms:
        if not isinstance(batch, Pair):
            terms = super()._terms(batch)
            return {**terms, "coral": terms["classification"].new_zeros(())}
        both = paired_pass(self.network_, batch)
        labelled = batch.source
        loss = binary_cross_entropy(both.logit, labelled["y"], weight=labelled["weight"])
        return {"classification": loss, "coral": self._distance(both)}

    def _distance(self, both: PairedPass) -> torch.Tensor:
        """CORAL distance added up over the chosen layers."""
        if len(both.source_y) < MIN_ROWS:  # a batch of labelled target rows, nearly
            return both.logit.new_zeros(())
        pairs = zip(
            chosen_layers(both.source_layers, self.layers),
            chosen_layers(both.target_layers, self.layers),
            strict=True,
        )
        weight = None if self._rates is None else prior_weight(both.source_y, *self._rates)
        distances = [coral(source, target, source_weight=weight) for source, target in pairs]
        return torch.stack(distances).sum()

    def _term_weights(self, total_steps: int) -> TermWeights:
        return {"coral": self.coral_weight}
