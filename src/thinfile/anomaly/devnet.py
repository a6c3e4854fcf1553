"""DevNet: a network learns a score that known events deviate from everybody else's by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thinfile import params
from thinfile.anomaly.score_network import SCORE_NETWORK_RULES, ScoreNetworkClassifier
from thinfile.network import TableNetwork
from thinfile.params import Rule

N_REFERENCE = 5000
"""Draws from the standard normal that the paper takes for the reference scores."""


class DevNetClassifier(ScoreNetworkClassifier):
    """Deviation network: unlabelled rows score like normal draws, known events far above them.

    The network gives each row one score. Reference scores are drawn from a standard normal; rows
    without a label and genuine rows are drawn towards their mean, known events are pushed at
    least `margin` of their standard deviations above it. Use it with some dozen known events and
    many rows without a label, of which almost all are genuine. Do not use it where the event is
    common, nor where known events are of one kind only and others are to be found: it looks for
    what it was shown.

    Parameters
    ----------
    widths : sequence of int ≥ 1
        Units of each hidden layer. The paper's is ``(20,)``.
    margin : float > 0
        Standard deviations that an event is to lie above the reference. The paper's is 5.
    scaling : {"quantile", "standard"}
        Of the numbers, as in `TableEncoder`.
    max_unlabelled : int ≥ 0, optional
        Unlabelled rows that are used at most, a random sample; None takes all.
    event_share : float in (0, 1)
        Share of known events in a batch; they are drawn with replacement. The paper's is 0.5: on
        the card data, with 10 labelled frauds, one draw in six then failed (average precision
        0.64 in the mean, beside 0.79 with a share of 0.1).
    genuine_share : float in [0, 1]
        Share of labelled genuine rows among the others of a batch. The paper has none of them.
    max_epochs : int ≥ 1
        Passes of 20 batches each.
    batch_size : int ≥ 4
    learning_rate : float > 0
        Of Adam.
    weight_decay : float ≥ 0
        L2 penalty inside Adam.
    average : float in (0, 1), optional
        Decay of a moving average of the weights, which is what scores.
    dropout : float in [0, 1)
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.
    device : str
        "auto" takes a GPU where there is one.

    Attributes
    ----------
    network_ : TableNetwork
    history_ : list of dict
        Loss of each epoch: of the rows to be normal, and of the events.

    Notes
    -----
    With the mean μ and the deviation σ of 5,000 reference draws, dev = (score − μ) / σ, and the
    loss is the mean of |dev| over rows that are no known event, plus the mean of
    max(0, margin − dev) over events.

    References
    ----------
    Pang, Shen, van den Hengel: Deep anomaly detection with deviation networks, KDD 2019.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> y = np.where(np.arange(300) < 60, X[:, 0] > 1, -1)
    >>> model = DevNetClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> model.predict_proba(X).shape
    (300, 2)
    """

    _rules: ClassVar[Mapping[str, Rule]] = SCORE_NETWORK_RULES | {
        "margin": params.real(0, bounds="()"),
        "dropout": params.real(0, 1, bounds="[)"),
    }

    def __init__(
        self,
        *,
        widths: Sequence[int] = (64, 32),
        margin: float = 5.0,
        scaling: str = "standard",
        max_unlabelled: int | None = 20_000,
        event_share: float = 0.1,
        genuine_share: float = 0.5,
        max_epochs: int = 20,
        batch_size: int = 512,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        average: float | None = 0.99,
        dropout: float = 0.0,
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.widths = widths
        self.margin = margin
        self.scaling = scaling
        self.max_unlabelled = max_unlabelled
        self.event_share = event_share
        self.genuine_share = genuine_share
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.average = average
        self.dropout = dropout
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.device = device
        self.random_state = random_state

    def _build(self) -> nn.Module:
        return TableNetwork(
            len(self.encoder_.number_names_),
            tuple(self.encoder_.cardinalities_),
            tuple(self.widths),
            dropout=self.dropout,
        )

    def _terms(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        score = self._row_score(batch["numbers"], batch["codes"])
        rest, events = deviation_loss(score, batch["y"] == 1, self.margin)
        return {"rest": rest, "events": events}

    def _row_score(self, numbers: Tensor, codes: Tensor) -> Tensor:
        score: Tensor = self.network_(numbers, codes)
        return score


def deviation_loss(
    score: Tensor, is_event: Tensor, margin: float = 5.0, reference: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The two sums of the deviation loss, each divided by the rows of the batch.

    Parameters
    ----------
    score : Tensor of shape (rows,)
    is_event : Tensor of bool, shape (rows,)
    margin : float > 0
    reference : Tensor, optional
        Reference scores; 5,000 draws from the standard normal by default.

    Returns
    -------
    tuple of Tensor
        Of the rows that are no known event, and of the known events. Their sum is the loss.
    """
    if reference is None:
        reference = torch.randn(N_REFERENCE, device=score.device)
    deviation = (score - reference.mean()) / reference.std()
    rest = torch.where(is_event, 0.0, deviation.abs())
    events = torch.where(is_event, (margin - deviation).clamp(min=0.0), 0.0)
    return rest.mean(), events.mean()
