"""Deep adaptation network: hidden layers of two populations drawn together by MK-MMD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch

from thinfile import params
from thinfile.estimator import TrainingData
from thinfile.network import NETWORK_RULES, NetworkClassifier, Rows, Tensors, Terms, TermWeights
from thinfile.nn.divergence import mk_mmd
from thinfile.nn.losses import binary_cross_entropy
from thinfile.params import Rule
from thinfile.training.batches import Batches, Pair
from thinfile.training.schedules import dann_ramp
from thinfile.transfer.pairs import (
    NOTHING_TO_ADAPT,
    chosen_layers,
    known_rates,
    paired_batches,
    paired_pass,
    prior_weight,
)

MIN_SOURCE_ROWS = 2
"""Source rows that a batch needs for its divergence to be defined."""


class DANClassifier(NetworkClassifier):
    """Network whose hidden layers look alike for source and target under MK-MMD.

    Use it where the populations overlap, their base rates are alike or known, and target labels
    are few or none. Do not use it where a classifier tells the populations apart almost without
    fault, or where the relation between columns and outcome differs: aligning then does harm.
    `thinfile compare` measures both before it trains.

    Parameters
    ----------
    mmd_weight : float ≥ 0
        λ, the factor of the MMD² term at the end of its schedule.
    ramp_steps : int ≥ 1, optional
        Steps over which λ rises as 2 / (1 + exp(−10 · step / ramp_steps)) − 1; None takes the
        length of the whole run.
    layers : {"last", "all"}
        Hidden layers to adapt; "all" adds their MMD² up, as in the paper.
    n_kernels : int ≥ 1
        Gaussian kernels, their widths a factor of 2 apart.
    width : float > 0, optional
        Middle width of the kernels; None takes the mean squared distance of each batch.
    estimator : {"unbiased", "biased", "linear"}
    match_prior : bool
        Weight source rows in the MMD so that they have the target's base rate, where it is known
        from labels or `target_rate`.
    target_labels : {"loss", "validation"}
        Labelled target rows are trained on, or only used to keep the best weights (the published
        reference does so; its result is then too good, see `transfer.reference`).
    checks_per_epoch : int ≥ 1
        How often validation is looked at in an epoch.
    widths, activation, dropout, norm, max_epochs, batch_size, learning_rate, weight_decay
        As in :class:`thinfile.tabular.mlp.MLPClassifier`.
    validation_fraction, patience, target_weight, device
        As there.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.

    Attributes
    ----------
    history_ : list of dict
        Terms `classification` and `mmd`, their `total`, λ, validation AUC and KS of each check.

    References
    ----------
    Long, Cao, Wang, Jordan: Learning transferable features with deep adaptation networks, ICML
    2015. Yan et al.: Mind the class weight bias, CVPR 2017 (`match_prior`).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> y = np.where(np.arange(300) < 200, X[:, 0] > 0, -1)
    >>> domain = np.repeat(["old", "new"], [200, 100])
    >>> model = DANClassifier(target_domain="new", max_epochs=2, random_state=0)
    >>> model.fit(X, y, domain=domain).predict_proba(X).shape
    (300, 2)
    """

    _rules: ClassVar[Mapping[str, Rule]] = NETWORK_RULES | {
        "mmd_weight": params.real(0),
        "ramp_steps": params.optional(params.integer(1)),
        "layers": params.one_of("last", "all"),
        "n_kernels": params.integer(1),
        "width": params.optional(params.real(0, bounds="()")),
        "estimator": params.one_of("unbiased", "biased", "linear"),
        "match_prior": params.boolean(),
        "target_labels": params.one_of("loss", "validation"),
        "checks_per_epoch": params.integer(1),
    }

    def __init__(
        self,
        *,
        mmd_weight: float = 1.0,
        ramp_steps: int | None = None,
        layers: str = "all",
        n_kernels: int = 5,
        width: float | None = None,
        estimator: str = "unbiased",
        match_prior: bool = True,
        target_labels: str = "loss",
        checks_per_epoch: int = 1,
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
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.mmd_weight = mmd_weight
        self.ramp_steps = ramp_steps
        self.layers = layers
        self.n_kernels = n_kernels
        self.width = width
        self.estimator = estimator
        self.match_prior = match_prior
        self.target_labels = target_labels
        self.checks_per_epoch = checks_per_epoch
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

    @classmethod
    def reference(cls, **overrides: Any) -> Self:
        """The published settings, to reproduce and not to recommend: 256-64 sigmoid units, biased
        MMD² on the last hidden layer, Adam 0.005, 512 rows of each population, λ over 1,000
        steps, 100 epochs, and the checkpoint with the best AUC on the labelled target rows.
        """
        settings: dict[str, Any] = {
            "widths": (256, 64),
            "activation": "sigmoid",
            "dropout": 0.0,
            "layers": "last",
            "estimator": "biased",
            "match_prior": False,
            "ramp_steps": 1000,
            "target_labels": "validation",
            "batch_size": 512,
            "learning_rate": 0.005,
            "weight_decay": 1e-5,
            "max_epochs": 100,
            "patience": 15,
            "checks_per_epoch": 2,
            "target_rate": None,
        }
        return cls(**(settings | overrides))

    def _split(self, data: TrainingData, rng: np.random.Generator) -> tuple[Rows, Rows]:
        if self.target_labels == "validation" and len(data.target_labelled) and len(data.source):
            return data.source, data.target_labelled
        return super()._split(data, rng)

    def _batches(self, tensors: Tensors, rows: Rows, data: TrainingData) -> Batches:
        self._rates = known_rates(data, self._target_rate(data)) if self.match_prior else None
        # Rows that only choose the weights must not be adapted to either.
        only_hidden = self.target_labels == "validation" and bool(len(data.source))
        hidden = np.flatnonzero(data.is_target & ~data.is_labelled) if only_hidden else None
        batches = paired_batches(tensors, rows, data, self.batch_size, target=hidden)
        if not len(data.target):
            self.notes_.append(NOTHING_TO_ADAPT)
        return batches

    def _terms(self, batch: Any) -> Terms:
        if not isinstance(batch, Pair):
            return {**super()._terms(batch), "mmd": torch.zeros(())}
        both = paired_pass(self.network_, batch)
        labelled = batch.source
        loss = binary_cross_entropy(both.logit, labelled["y"], weight=labelled["weight"])
        if len(both.source_y) < MIN_SOURCE_ROWS:
            return {"classification": loss, "mmd": loss.new_zeros(())}
        weight = None if self._rates is None else prior_weight(both.source_y, *self._rates)
        mmd = mk_mmd(
            chosen_layers(both.source_layers, self.layers),
            chosen_layers(both.target_layers, self.layers),
            source_weight=weight,
            n_kernels=self.n_kernels,
            width=self.width,
            estimator=self.estimator,  # type: ignore[arg-type]
        )
        return {"classification": loss, "mmd": mmd}

    def _term_weights(self, total_steps: int) -> TermWeights:
        return {"mmd": dann_ramp(self.ramp_steps or total_steps, height=self.mmd_weight)}
