"""Who will do it next: a network on the history of each customer, static columns beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted

from thinfile import params
from thinfile.data.encode import Encoded
from thinfile.data.split_later import latest_rows
from thinfile.estimator import FloatArray, State, TrainingData
from thinfile.metrics.ranking import ks, roc_auc
from thinfile.network import NETWORK_RULES, NetworkClassifier, Rows, Tensors, Terms
from thinfile.nn.losses import binary_cross_entropy
from thinfile.nn.sequence import SequenceNetwork
from thinfile.params import Rule
from thinfile.sequence.histories import (
    SCORING_ROWS,
    SCORING_TOKENS,
    EncodedHistories,
    HistoryData,
    HistoryEstimator,
    embed,
    over_histories,
)
from thinfile.sequence.pretrain import (
    PRETRAINING_RULES,
    PRETRAININGS,
    build_encoder,
    check_pretraining,
    pretrain_encoder,
    rows_per_batch,
)
from thinfile.training.batches import Batches
from thinfile.training.length_batches import FlatEvents, LengthBatches
from thinfile.training.loop import train
from thinfile.training.optimizer import adam
from thinfile.training.phase import Phase


@dataclass(frozen=True)
class HistoryTensors(Tensors):
    """The training data on the training device, histories as flat tensors."""

    events: FlatEvents

    def rows(self, positions: Rows) -> dict[str, Any]:
        """The rows at `positions`, as a named batch."""
        index = torch.from_numpy(np.ascontiguousarray(positions)).to(self.y.device)
        return self.at(index)

    def at(self, index: torch.Tensor) -> dict[str, Any]:
        """The rows of an index on the device, histories filled up to the longest."""
        names = ("numbers", "codes", "y", "is_target", "weight")
        batch: dict[str, Any] = {n: getattr(self, n).index_select(0, index) for n in names}
        return {**batch, "history": self.events.padded(index)}


class CNNLSTMClassifier(HistoryEstimator, NetworkClassifier):
    """Convolution, pooling and LSTM on purchase (or other) histories, static columns beside it.

    Use it where the order and timing of events says more than counts over windows do, and where
    there are thousands of labels, or `pretrain` and many rows without. Do not use it without
    boosted trees on aggregates beside it: they are hard to beat. `convolution=False` is the LSTM
    alone, `recurrent=False` the CNN alone, both False the mean of the events' embeddings (a
    baseline).

    A row is a customer at a cut. Its history comes in list columns: ``events.days_to_cut`` (days
    from each event to the cut, above 0, oldest first) and any ``events.<name>`` of texts or
    numbers, as :class:`thinfile.data.histories.Histories` makes them. All other columns are
    static. A table without list columns is legal.

    Parameters
    ----------
    convolution, recurrent, cell, embedding_width, n_filters, kernel_size, pool_size, hidden_width
        As in :class:`thinfile.nn.sequence.HistoryEncoder`.
    widths : sequence of int ≥ 1
        Hidden layers of the head.
    dropout : float in [0, 1)
        Of what comes out of the history, and in the head.
    pretrain : {None, "next_event", "contrastive"}
        Teach the encoder on all rows, labelled or not, before it sees a label; see
        :mod:`thinfile.sequence.pretrain`. With 100 to 1,000 labels of a shop's log next_event
        helped the network and contrastive did not; on a synthetic log neither did, and boosted
        trees on aggregates stayed ahead of both.
    pretrain_epochs : int ≥ 1
    max_events : int ≥ 1, optional
        Only the latest so many events of a row are read.
    max_categories : int ≥ 1
        Largest vocabulary of an event column.
    max_epochs : int ≥ 1
    batch_size : int ≥ 2
        Most rows of a batch. With few rows batches are smaller, so that a pass has ten of them.
    batch_tokens : int ≥ 1
        Events of a batch, filling included.
    learning_rate, weight_decay : float
        Of Adam.
    validation_fraction : float in [0, 0.9]
        Share of the labelled rows that is held back to stop training; 0 runs all epochs.
    patience : int ≥ 1, optional
        Checks (one per epoch) without a better validation AUC before training stops.
    time_column : str, optional
        A column of dates or numbers: the latest rows are held back, and not random ones. It is
        no feature, and need not be there for scoring.
    target_weight : "auto" or float ≥ 0
        How many source rows a labelled target row counts for in the loss.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile; the schema is that of the static columns.
    device : str
        "auto" takes a GPU where there is one.

    Attributes
    ----------
    network_ : SequenceNetwork
    event_encoder_ : EventEncoder
    history_ : list of dict
        Loss, validation AUC and KS, seconds and CPU seconds of each epoch.
    pretrain_history_ : list of dict
        The same of pretraining, without AUC.

    References
    ----------
    Sainath et al., Convolutional, long short-term memory, fully connected deep neural networks,
    ICASSP 2015. Babaev et al., CoLES, SIGMOD 2022 (pretraining).

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> rng = np.random.default_rng(0)
    >>> days = [sorted(rng.uniform(1, 300, n), reverse=True) for n in rng.integers(0, 9, 200)]
    >>> X = pl.DataFrame({"events.days_to_cut": days, "age": rng.normal(40, 9, 200)})
    >>> y = np.array([min(d, default=99) < 30 for d in days]) * 1
    >>> model = CNNLSTMClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> model.predict_proba(X).shape, model.transform(X).shape
    ((200, 2), (200, 192))
    """

    _rules: ClassVar[Mapping[str, Rule]] = (
        NETWORK_RULES | PRETRAINING_RULES | {"pretrain": params.one_of(None, *PRETRAININGS)}
    )

    network_: Any  # SequenceNetwork; the base class has networks on tables

    def __init__(
        self,
        *,
        convolution: bool = True,
        recurrent: bool = True,
        cell: str = "lstm",
        embedding_width: int | str = "auto",
        n_filters: int = 32,
        kernel_size: int = 5,
        pool_size: int = 4,
        hidden_width: int = 64,
        widths: Sequence[int] = (32,),
        dropout: float = 0.1,
        pretrain: str | None = None,
        pretrain_epochs: int = 10,
        max_events: int | None = 200,
        max_categories: int = 1000,
        max_epochs: int = 30,
        batch_size: int = 256,
        batch_tokens: int = 4096,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-5,
        validation_fraction: float = 0.2,
        patience: int | None = 5,
        time_column: str | None = None,
        target_weight: float | str = "auto",
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.convolution = convolution
        self.recurrent = recurrent
        self.cell = cell
        self.embedding_width = embedding_width
        self.n_filters = n_filters
        self.kernel_size = kernel_size
        self.pool_size = pool_size
        self.hidden_width = hidden_width
        self.widths = widths
        self.dropout = dropout
        self.pretrain = pretrain
        self.pretrain_epochs = pretrain_epochs
        self.max_events = max_events
        self.max_categories = max_categories
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.batch_tokens = batch_tokens
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.time_column = time_column
        self.target_weight = target_weight
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.device = device
        self.random_state = random_state

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """What the encoder makes of each history, shape (n, width); 0 for an empty one.

        The width is 0 where the rows given to `fit` had no histories.
        """
        check_is_fitted(self, "network_")
        return embed(self.network_.encoder, self._encode(X).events)

    # Network and batches ---------------------------------------------------------------------

    def _build(self) -> Any:
        static = self.encoder_
        return SequenceNetwork(
            build_encoder(self) if self.event_encoder_.number_names_ else None,
            len(static.number_names_),
            static.cardinalities_,
            tuple(self.widths),
            dropout=self.dropout,
        )

    def _tensors(self, data: TrainingData, device: torch.device) -> HistoryTensors:
        assert isinstance(data.encoded, EncodedHistories)
        plain = vars(super()._tensors(data, device))
        return HistoryTensors(**plain, events=self._flat_events(data.encoded.events, device))

    def _batches(self, tensors: Tensors, rows: Rows, data: TrainingData) -> Batches:
        assert isinstance(tensors, HistoryTensors)
        place = torch.from_numpy(np.ascontiguousarray(rows)).to(tensors.y.device)
        return LengthBatches(
            tensors.events.lengths[place].cpu().numpy(),
            lambda chosen: tensors.at(place[chosen.to(place.device)]),
            n_tokens=self.batch_tokens,
            max_rows=rows_per_batch(len(rows), self.batch_size),
        )

    def _terms(self, batch: Any) -> Terms:
        logit = self.network_(batch["numbers"], batch["codes"], batch["history"])
        loss = binary_cross_entropy(logit, batch["y"], weight=batch["weight"])
        # Batches of long histories have fewer rows: each row is to count alike.
        return {"classification": loss * (len(logit) / self._mean_rows)}

    # The fit ---------------------------------------------------------------------------------

    def _split(self, data: TrainingData, rng: np.random.Generator) -> tuple[Rows, Rows]:
        assert isinstance(data, HistoryData)
        if data.time is None:
            return super()._split(data, rng)
        return latest_rows(data.time, data.is_labelled, data.y, self.validation_fraction)

    def _run(self, tensors: Tensors, training: Rows, validation: Rows, data: TrainingData) -> None:
        assert isinstance(tensors, HistoryTensors)
        if self.pretrain is not None:
            check_pretraining(self)
        self.pretrain_history_: list[dict[str, Any]] = []
        if self.pretrain is not None and self.network_.encoder is not None:
            self.pretrain_history_ = pretrain_encoder(
                self, self.network_.encoder, tensors.events, self.learning_rate
            )
        batches = self._batches(tensors, training, data)
        self._mean_rows = batches.mean_rows if isinstance(batches, LengthBatches) else 1.0
        stops = len(validation) > 0
        optimizer = adam(self.network_.parameters(), self.learning_rate, self.weight_decay)
        history = train(
            self.network_,
            [Phase(optimizer, self._terms, clip_norm=1.0)],
            batches,
            max_epochs=self.max_epochs,
            check=(lambda: self._check_rows(tensors, validation)) if stops else None,
            check_every=max(1, len(batches) // self.checks_per_epoch),
            monitor="validation_auc" if stops else None,
            patience=self.patience if stops else None,
        )
        self.history_ += history.records

    def _check_rows(self, tensors: HistoryTensors, rows: Rows) -> dict[str, float]:
        place = torch.from_numpy(np.ascontiguousarray(rows)).to(tensors.y.device)
        held_out = LengthBatches(
            tensors.events.lengths[place].cpu().numpy(),
            lambda chosen: tensors.at(place[chosen.to(place.device)]),
            n_tokens=SCORING_TOKENS,
            max_rows=SCORING_ROWS,
            shuffle=False,
        )
        parts = [
            (self.network_(b["numbers"], b["codes"], b["history"]), b["y"], b["weight"])
            for b in held_out
        ]
        logit, y, weight = (
            torch.cat(part).double().cpu().numpy() for part in zip(*parts, strict=True)
        )
        return {
            "validation_auc": roc_auc(y.astype(np.int8), logit, weight=weight),
            "validation_ks": ks(y.astype(np.int8), logit, weight=weight),
        }

    # Scoring ---------------------------------------------------------------------------------

    def _probability(self, encoded: Encoded) -> FloatArray:
        encoded = self._histories(encoded)
        numbers = torch.from_numpy(encoded.numbers)
        codes = torch.from_numpy(encoded.codes).to(torch.int64)

        def score(rows: torch.Tensor, history: Any) -> torch.Tensor:
            logit = self.network_(numbers[rows], codes[rows], history)
            return torch.sigmoid(logit.double())

        return over_histories(self.network_, encoded.events, score).astype(np.float64)

    def _state(self) -> State:
        state = self._event_state()
        state.values["pretrain_history"] = self.pretrain_history_
        state.arrays = self.get_weights()
        return state

    def _load(self, state: State) -> None:
        HistoryEstimator._load(self, state)
        self.pretrain_history_ = state.values["pretrain_history"]
        NetworkClassifier._load(self, state)
