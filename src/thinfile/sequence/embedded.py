"""Boosted trees on static columns and on what a pretrained encoder makes of each history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from thinfile import params
from thinfile.data.encode import Encoded, TableEncoder
from thinfile.estimator import FloatArray, State, TrainingData, target_row_weight
from thinfile.nn.weights import set_weights
from thinfile.params import Rule
from thinfile.sequence.histories import EncodedHistories, HistoryEstimator, embed
from thinfile.sequence.pretrain import (
    PRETRAINING_RULES,
    build_encoder,
    check_pretraining,
    pretrain_encoder,
)
from thinfile.training.device import choose_device, lean_cpu, seeded
from thinfile.trees import (
    TreeSettings,
    fit_trees,
    predict_trees,
    tree_matrix,
    trees_from_text,
    trees_to_text,
)

_TREES = "trees.txt"


class EmbeddedClassifier(HistoryEstimator):
    """Boosted trees on aggregates beside a self-supervised embedding of the history.

    The encoder is trained on the histories of all rows given to `fit`, those without a label
    included, and on no label; LightGBM then learns from the labelled rows. Use it where labels
    are few, histories many, and hand-made aggregates may miss something. Do not use it where a
    history is a handful of events: aggregates say all of that.

    Parameters
    ----------
    pretrain : {"next_event", "contrastive"}
        What the encoder is taught; see :mod:`thinfile.sequence.pretrain`. The first embedding was
        better on both logs that were tried.
    pretrain_epochs : int ≥ 1
    convolution, recurrent, cell, embedding_width, n_filters, kernel_size, pool_size, hidden_width
        As in :class:`thinfile.nn.sequence.HistoryEncoder`.
    max_events, max_categories, batch_size, batch_tokens
        As in :class:`thinfile.sequence.cnn_lstm.CNNLSTMClassifier`.
    encoder_learning_rate : float > 0
        Of Adam, in pretraining.
    n_trees, n_leaves, learning_rate, min_leaf_rows
        As in :class:`thinfile.trees.TreeSettings`.
    time_column : str, optional
        A column that orders rows; it is no feature. Nothing is stopped here, so it has no other
        part.
    target_weight : "auto" or float ≥ 0
        How many source rows a labelled target row counts for.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile; the schema is that of the static columns.
    device : str
        "auto" takes a GPU where there is one.

    Attributes
    ----------
    encoder_network_ : HistoryEncoder or None
        None where no row has a history.
    booster_ : lightgbm.Booster
    history_ : list of dict
        Loss of each epoch of pretraining.

    References
    ----------
    Babaev et al., CoLES: contrastive learning for event sequences with self-supervision, SIGMOD
    2022.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> rng = np.random.default_rng(0)
    >>> days = [sorted(rng.uniform(1, 300, n), reverse=True) for n in rng.integers(0, 9, 200)]
    >>> X = pl.DataFrame({"events.days_to_cut": days, "age": rng.normal(40, 9, 200)})
    >>> y = np.array([min(d, default=99) < 30 for d in days]) * 1
    >>> y[60:] = -1  # no label
    >>> model = EmbeddedClassifier(pretrain_epochs=1, n_trees=5, random_state=0).fit(X, y)
    >>> model.predict_proba(X).shape, model.transform(X).shape
    ((200, 2), (200, 192))
    """

    _rules: ClassVar[Mapping[str, Rule]] = PRETRAINING_RULES | {
        "batch_size": params.integer(2),
        "encoder_learning_rate": params.real(0, bounds="()"),
        "n_trees": params.integer(1),
        "n_leaves": params.integer(2),
        "learning_rate": params.real(0, bounds="()"),
        "min_leaf_rows": params.integer(1),
        "target_weight": params.either(params.one_of("auto"), params.real(0)),
    }

    def __init__(
        self,
        *,
        pretrain: str = "next_event",
        pretrain_epochs: int = 10,
        convolution: bool = True,
        recurrent: bool = True,
        cell: str = "lstm",
        embedding_width: int | str = "auto",
        n_filters: int = 32,
        kernel_size: int = 5,
        pool_size: int = 4,
        hidden_width: int = 64,
        dropout: float = 0.0,
        max_events: int | None = 200,
        max_categories: int = 1000,
        batch_size: int = 256,
        batch_tokens: int = 4096,
        encoder_learning_rate: float = 2e-3,
        n_trees: int = 150,
        n_leaves: int = 15,
        learning_rate: float = 0.05,
        min_leaf_rows: int = 20,
        time_column: str | None = None,
        target_weight: float | str = 1.0,
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.pretrain = pretrain
        self.pretrain_epochs = pretrain_epochs
        self.convolution = convolution
        self.recurrent = recurrent
        self.cell = cell
        self.embedding_width = embedding_width
        self.n_filters = n_filters
        self.kernel_size = kernel_size
        self.pool_size = pool_size
        self.hidden_width = hidden_width
        self.dropout = dropout
        self.max_events = max_events
        self.max_categories = max_categories
        self.batch_size = batch_size
        self.batch_tokens = batch_tokens
        self.encoder_learning_rate = encoder_learning_rate
        self.n_trees = n_trees
        self.n_leaves = n_leaves
        self.learning_rate = learning_rate
        self.min_leaf_rows = min_leaf_rows
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
        check_is_fitted(self, "booster_")
        return embed(self.encoder_network_, self._encode(X).events)

    def _make_encoder(self) -> TableEncoder:
        return TableEncoder(self.schema_, scaling="none")  # trees take numbers as they are

    def _fit(self, data: TrainingData) -> None:
        check_pretraining(self)
        assert isinstance(data.encoded, EncodedHistories)
        device = choose_device(self.device)
        with seeded(self.random_state, device) as seed, lean_cpu():
            self.encoder_network_ = None
            if self.event_encoder_.number_names_:
                network = build_encoder(self).to(device)
                flat = self._flat_events(data.encoded.events, device)
                rate = self.encoder_learning_rate
                self.history_ += pretrain_encoder(self, network, flat, rate)
                self.encoder_network_ = network.cpu().eval()
        self._fit_trees(data, seed)

    def _fit_trees(self, data: TrainingData, seed: int) -> None:
        rows = np.flatnonzero(data.is_labelled)
        encoded = data.encoded.take(rows)
        n_numbers, n_codes = encoded.numbers.shape[1], encoded.codes.shape[1]
        self.booster_ = fit_trees(
            self._matrix(encoded),
            data.y[rows],
            categories=range(n_numbers, n_numbers + n_codes),
            seed=seed,
            weight=target_row_weight(data, self.target_weight)[rows],
            settings=TreeSettings(
                self.n_trees, self.n_leaves, self.learning_rate, self.min_leaf_rows
            ),
        )

    def _matrix(self, encoded: Encoded) -> npt.NDArray[np.float32]:
        if self.encoder_network_ is None:
            return tree_matrix(encoded)
        events = self._histories(encoded).events
        return tree_matrix(encoded, embed(self.encoder_network_, events), events.lengths)

    def _probability(self, encoded: Encoded) -> FloatArray:
        return predict_trees(self.booster_, self._matrix(encoded))

    def _state(self) -> State:
        state = self._event_state()
        state.files[_TREES] = trees_to_text(self.booster_)
        if self.encoder_network_ is not None:
            weights = self.encoder_network_.state_dict()
            state.arrays = {name: value.numpy().copy() for name, value in weights.items()}
        return state

    def _load(self, state: State) -> None:
        super()._load(state)
        self.booster_ = trees_from_text(state.files[_TREES])
        self.encoder_network_ = None
        if self.event_encoder_.number_names_:
            self.encoder_network_ = build_encoder(self).eval()
            set_weights(self.encoder_network_, state.arrays, owner="the encoder")
