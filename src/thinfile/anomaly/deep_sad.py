"""Deep SAD: genuine rows are drawn to a centre, known events are pushed away from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thinfile import params
from thinfile.anomaly.score_network import SCORE_NETWORK_RULES, ScoreNetworkClassifier
from thinfile.nn.embeddings import TableInput
from thinfile.params import Rule
from thinfile.training.batches import TensorBatches
from thinfile.training.loop import train
from thinfile.training.optimizer import adam
from thinfile.training.phase import Phase

EPSILON = 1e-6
"""Added to squared distances, so that an event at the centre has a finite loss."""
CENTRE_MARGIN = 0.1
"""Coordinates of the centre are kept this far from 0: zero weights reach 0 without learning."""


class SphereNetwork(nn.Module):
    """Encoded columns → layers without biases → a point, and the centre that points gather at.

    A bias would let the network map every row to the centre (Ruff et al., ICML 2018).
    """

    centre: Tensor

    def __init__(
        self,
        n_numbers: int,
        cardinalities: tuple[int, ...],
        widths: Sequence[int],
        latent_size: int,
    ) -> None:
        super().__init__()
        self.inputs = TableInput(n_numbers, cardinalities)
        sizes = [self.inputs.width, *widths, latent_size]
        self.sizes = sizes
        self.layers = nn.ModuleList(
            nn.Linear(before, after, bias=False) for before, after in pairwise(sizes)
        )
        self.register_buffer("centre", torch.zeros(sizes[-1]))

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """The point of each row, shape (rows, latent_size)."""
        return self.point(self.inputs(numbers, codes))

    def point(self, x: Tensor) -> Tensor:
        """The point of joined inputs, shape (rows, latent_size)."""
        for layer in self.layers[:-1]:
            x = nn.functional.leaky_relu(layer(x), 0.1)
        last: Tensor = self.layers[-1](x)
        return last

    def distance(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Squared distance of each row's point from the centre, shape (rows,)."""
        distance: Tensor = (self(numbers, codes) - self.centre).square().sum(dim=1)
        return distance


class DeepSADClassifier(ScoreNetworkClassifier):
    """Deep semi-supervised anomaly detection: the distance from a centre is the score.

    The centre is the mean of the network's first codes. Then rows without a label and genuine
    rows are drawn to the centre and known events pushed away from it. Use it where events of
    kinds not yet known are to be found beside the known ones. Do not use it with fewer than some
    dozen events where only the known kinds matter: a plain network on the labels ranks those
    better.

    Parameters
    ----------
    widths : sequence of int ≥ 1
        Units of each hidden layer.
    latent_size : int ≥ 1
        Width of the code whose distance from the centre is the score.
    eta : float > 0
        Weight of the labelled rows beside the others. The paper's is 1.
    scaling : {"quantile", "standard"}
        Of the numbers, as in `TableEncoder`.
    max_unlabelled : int ≥ 0, optional
        Unlabelled rows that are used at most, a random sample; None takes all.
    event_share : float in (0, 1)
        Share of known events in a batch; they are drawn with replacement. (The paper draws them
        as often as they are: with 10 among 20,000 they would be seen once in many batches.)
    genuine_share : float in [0, 1]
        Share of labelled genuine rows among the others of a batch.
    pretrain_epochs : int ≥ 0
        Passes over the rows as an autoencoder's encoder, before the centre is set. The paper has
        them; on the card data they took the average precision with 10 labelled frauds from 0.74
        to 0.45, as what is hardest to encode begins far from the centre.
    max_epochs : int ≥ 1
        Passes of 20 batches each.
    batch_size : int ≥ 4
    learning_rate : float > 0
        Of Adam.
    weight_decay : float ≥ 0
        L2 penalty inside Adam.
    average : float in (0, 1), optional
        Decay of a moving average of the weights, which is what scores.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.
    device : str
        "auto" takes a GPU where there is one.

    Attributes
    ----------
    network_ : SphereNetwork
        Its `centre` was set after pretraining and is fixed.
    history_ : list of dict
        Loss of each epoch: of the rows to be near, and of the events.

    Notes
    -----
    With d = ‖φ(x) − c‖², the loss is the mean over a batch of d for rows without a label,
    η·d for genuine rows, and η/(d + 1e-6) for known events.

    References
    ----------
    Ruff et al.: Deep semi-supervised anomaly detection, ICLR 2020. Ruff et al.: Deep one-class
    classification, ICML 2018.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> y = np.where(np.arange(300) < 60, X[:, 0] > 1, -1)
    >>> model = DeepSADClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> model.predict_proba(X).shape
    (300, 2)
    """

    network_: SphereNetwork

    _rules: ClassVar[Mapping[str, Rule]] = SCORE_NETWORK_RULES | {
        "latent_size": params.integer(1),
        "eta": params.real(0, bounds="()"),
        "pretrain_epochs": params.integer(0),
    }

    def __init__(
        self,
        *,
        widths: Sequence[int] = (64,),
        latent_size: int = 32,
        eta: float = 1.0,
        scaling: str = "quantile",
        max_unlabelled: int | None = 20_000,
        event_share: float = 0.5,
        genuine_share: float = 0.5,
        pretrain_epochs: int = 0,
        max_epochs: int = 10,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-6,
        average: float | None = 0.99,
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.widths = widths
        self.latent_size = latent_size
        self.eta = eta
        self.scaling = scaling
        self.max_unlabelled = max_unlabelled
        self.event_share = event_share
        self.genuine_share = genuine_share
        self.pretrain_epochs = pretrain_epochs
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.average = average
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.device = device
        self.random_state = random_state

    def _build(self) -> SphereNetwork:
        return SphereNetwork(
            len(self.encoder_.number_names_),
            tuple(self.encoder_.cardinalities_),
            tuple(self.widths),
            self.latent_size,
        )

    def _prepare(self, numbers: Tensor, codes: Tensor) -> None:
        network = self.network_
        if self.pretrain_epochs:
            history = _pretrain(
                network, numbers, codes, self.pretrain_epochs, self.batch_size, self.learning_rate
            )
            kept = ("epoch", "step", "seconds", "cpu_seconds", "reconstruction")
            self.history_ += [
                {**{name: record[name] for name in kept}, "stage": "pretraining"}
                for record in history
            ]
        with torch.no_grad():
            mean = network(numbers, codes).mean(dim=0)
            sign = torch.where(mean < 0, -1.0, 1.0)
            network.centre.copy_(
                torch.where(mean.abs() < CENTRE_MARGIN, sign * CENTRE_MARGIN, mean)
            )

    def _terms(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        distance = self._row_score(batch["numbers"], batch["codes"])
        near, far = sad_loss(distance, batch["y"], self.eta)
        return {"rest": near, "events": far}

    def _row_score(self, numbers: Tensor, codes: Tensor) -> Tensor:
        distance: Tensor = self.network_.distance(numbers, codes)
        return distance


def sad_loss(distance: Tensor, y: Tensor, eta: float = 1.0) -> tuple[Tensor, Tensor]:
    """The two sums of the Deep SAD loss, each divided by the rows of the batch.

    Parameters
    ----------
    distance : Tensor of shape (rows,)
        Squared distance from the centre.
    y : Tensor of shape (rows,)
        1 for known events, 0 for genuine rows, -1 for rows without a label.
    eta : float > 0
        Weight of a labelled row.

    Returns
    -------
    tuple of Tensor
        Of the rows that are no known event, and of the known events. Their sum is the loss.
    """
    near = torch.where(y == 1, 0.0, torch.where(y == 0, eta * distance, distance))
    far = torch.where(y == 1, eta / (distance + EPSILON), 0.0)
    return near.mean(), far.mean()


def _pretrain(
    network: SphereNetwork,
    numbers: Tensor,
    codes: Tensor,
    n_epochs: int,
    batch_size: int,
    learning_rate: float,
) -> list[dict[str, Any]]:
    """Train the layers as an encoder: a mirrored decoder has to find the inputs again."""
    sizes = network.sizes[::-1]
    decoder = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes)).to(
        numbers.device
    )

    def loss(batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        inputs = network.inputs(*batch)
        x = network.point(inputs)
        for layer in decoder[:-1]:
            x = nn.functional.leaky_relu(layer(x), 0.1)
        return {"reconstruction": (decoder[-1](x) - inputs.detach()).square().mean()}

    both = nn.ModuleDict({"network": network, "decoder": decoder})
    batches = TensorBatches((numbers, codes), min(batch_size, len(numbers)))
    phase = Phase(adam(both.parameters(), learning_rate), loss)
    return train(both, phase, batches, max_epochs=n_epochs).records
