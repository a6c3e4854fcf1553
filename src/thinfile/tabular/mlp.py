"""The plain network on labelled rows: what every deep transfer method has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from thinfile.network import NETWORK_RULES, NetworkClassifier
from thinfile.params import Rule


class MLPClassifier(NetworkClassifier):
    """Fully connected network on encoded columns, trained on the labelled rows of all populations.

    Use it as the deep baseline: what a transfer method adds is its distance to this. Do not use
    it instead of boosted trees without having compared the two; on tables it rarely wins.

    Parameters
    ----------
    widths : sequence of int ≥ 1
        Units of each hidden layer.
    activation : {"relu", "sigmoid", "tanh", "leaky_relu", "silu", "gelu"}
    dropout : float in [0, 1)
    norm : {None, "batch", "layer"}
    max_epochs : int ≥ 1
    batch_size : int ≥ 2
    learning_rate : float > 0
        Of Adam.
    weight_decay : float ≥ 0
        L2 penalty inside Adam.
    validation_fraction : float in [0, 0.9]
        Share of the labelled rows that is held back to stop training; 0 runs all epochs.
    patience : int ≥ 1, optional
        Checks (one per epoch) without a better validation AUC before training stops.
    target_weight : "auto" or float ≥ 0
        How many source rows a labelled target row counts for in the loss.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.
    device : str
        "auto" takes a GPU where there is one.

    Attributes
    ----------
    network_ : TableNetwork
    history_ : list of dict
        Loss, validation AUC and KS of each epoch.

    References
    ----------
    Goodfellow, Bengio, Courville: Deep learning, MIT Press 2016, chapter 6.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> model = MLPClassifier(max_epochs=2, random_state=0).fit(X, (X[:, 0] > 0) * 1)
    >>> model.predict_proba(X).shape
    (200, 2)
    """

    _rules: ClassVar[Mapping[str, Rule]] = NETWORK_RULES

    def __init__(
        self,
        *,
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
