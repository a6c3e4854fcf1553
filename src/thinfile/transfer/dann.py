"""Domain-adversarial network: hidden features from which the population cannot be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from thinfile import params
from thinfile.estimator import TrainingData
from thinfile.network import (
    NETWORK_RULES,
    NetworkClassifier,
    Rows,
    TableNetwork,
    Tensors,
    Terms,
    TermWeights,
)
from thinfile.nn.adversarial import PopulationClassifier
from thinfile.nn.losses import binary_cross_entropy
from thinfile.params import Rule
from thinfile.schema.model import Schema
from thinfile.training.batches import Batches, Pair
from thinfile.training.schedules import dann_ramp
from thinfile.transfer.pairs import (
    NOTHING_TO_ADAPT,
    PairedPass,
    known_rates,
    paired_batches,
    paired_pass,
    prior_weight,
)


class AdversarialNetwork(TableNetwork):
    """A `TableNetwork` with a second head that guesses the population of a row.

    Attributes
    ----------
    population : PopulationClassifier
    n_steps : int
        Steps trained so far: α follows them.
    """

    def __init__(self, *shape: Any, population_widths: tuple[int, ...], **body: Any) -> None:
        super().__init__(*shape, **body)
        self.population = PopulationClassifier(self.body.width, population_widths)
        self.n_steps = 0


class DANNClassifier(NetworkClassifier):
    """Network whose last hidden layer hides from an adversary which population a row is of.

    Use it where the populations overlap, their base rates are alike or known, and target labels
    are few or none. Do not use it where a classifier tells the populations apart almost without
    fault, nor where the relation between columns and outcome differs: aligning then does harm.
    It is less steady than `DANClassifier`: look at several seeds.

    Parameters
    ----------
    adversary_weight : float, default 1.0
        Where α, the factor of the reversed gradient, ends; 0 or more. The adversary itself always
        learns at full strength.
    ramp_steps : int, optional
        Steps over which α rises as 2 / (1 + exp(-10 · step / ramp_steps)) - 1; None takes the
        length of the whole run.
    population_widths : sequence of int, default (32,)
        Units of each hidden layer of the adversary.
    match_prior : bool, default True
        Weight source rows in the adversary's loss so that they have the target's base rate,
        where it is known from labels or `target_rate`.
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
    network_ : AdversarialNetwork
        With the weights of the best check.
    history_ : list of dict
        Losses `classification` and `population` (0.693 where the adversary can tell nothing),
        their `total`, `alpha`, validation AUC and KS of each epoch.

    References
    ----------
    Ganin et al.: Domain-adversarial training of neural networks, JMLR 2016. Yan et al.: Mind the
    class weight bias, CVPR 2017 (`match_prior`).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> y = np.where(np.arange(300) < 200, X[:, 0] > 0, -1)
    >>> domain = np.repeat(["old", "new"], [200, 100])
    >>> model = DANNClassifier(target_domain="new", max_epochs=2, random_state=0)
    >>> model.fit(X, y, domain=domain).predict_proba(X).shape
    (300, 2)
    """

    _rules: ClassVar[Mapping[str, Rule]] = NETWORK_RULES | {
        "widths": params.sequence_of(params.integer(1), min_length=1),
        "adversary_weight": params.real(0),
        "ramp_steps": params.optional(params.integer(1)),
        "population_widths": params.sequence_of(params.integer(1)),
        "match_prior": params.boolean(),
    }

    network_: AdversarialNetwork

    def __init__(
        self,
        *,
        adversary_weight: float = 1.0,
        ramp_steps: int | None = None,
        population_widths: Sequence[int] = (32,),
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
        self.adversary_weight = adversary_weight
        self.ramp_steps = ramp_steps
        self.population_widths = population_widths
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

    def _build(self) -> AdversarialNetwork:
        return AdversarialNetwork(
            len(self.encoder_.number_names_),
            tuple(self.encoder_.cardinalities_),
            tuple(self.widths),
            population_widths=tuple(self.population_widths),
            activation=self.activation,
            dropout=self.dropout,
            norm=self.norm,
        )

    def _batches(self, tensors: Tensors, rows: Rows, data: TrainingData) -> Batches:
        if not len(data.target):
            self.notes_.append(NOTHING_TO_ADAPT)
        self._rates = known_rates(data, self._target_rate(data)) if self.match_prior else None
        return paired_batches(tensors, rows, data, self.batch_size)

    def _run(self, tensors: Tensors, training: Rows, validation: Rows, data: TrainingData) -> None:
        super()._run(tensors, training, validation, data)
        for record in self.history_:
            record["alpha"] = self._alpha(record["step"] - 1)

    def _terms(self, batch: Any) -> Terms:
        if not isinstance(batch, Pair):
            terms = super()._terms(batch)
            return {**terms, "population": terms["classification"].new_zeros(())}
        both = paired_pass(self.network_, batch)
        labelled = batch.source
        loss = binary_cross_entropy(both.logit, labelled["y"], weight=labelled["weight"])
        alpha = self._alpha(self.network_.n_steps)
        self.network_.n_steps += 1
        return {"classification": loss, "population": self._population_loss(both, alpha)}

    def _population_loss(self, both: PairedPass, alpha: float) -> torch.Tensor:
        """How badly the adversary guesses, both populations counting the same."""
        source, target = both.source_layers[-1], both.target_layers[-1]
        logit = self.network_.population(torch.cat([source, target]), alpha)
        weight = None if self._rates is None else prior_weight(both.source_y, *self._rates)
        n_source = len(source)
        parts = (
            binary_cross_entropy(logit[:n_source], logit.new_zeros(n_source), weight=weight),
            binary_cross_entropy(logit[n_source:], logit.new_ones(len(target))),
        )
        return torch.stack(parts).mean()

    def _alpha(self, step: int) -> float:
        return dann_ramp(self._ramp_length, height=self.adversary_weight)(step)

    def _term_weights(self, total_steps: int) -> TermWeights:
        self._ramp_length = self.ramp_steps or total_steps
        return {}
