"""DeepFM: pairs of ids by their factors, beside a linear part and a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch

from thinfile import params
from thinfile.data.encode import Encoded
from thinfile.data.fields import MAX_VOCABULARY, Fields
from thinfile.errors import ParameterError
from thinfile.estimator import FloatArray, State, TrainingData
from thinfile.network import NETWORK_RULES, Rows, Tensors, Terms
from thinfile.nn.interaction import DeepFMNetwork
from thinfile.nn.losses import binary_cross_entropy
from thinfile.params import Rule
from thinfile.tabular.field_classifier import (
    FIELD_RULES,
    FieldClassifier,
    FieldData,
    without_vocabularies,
)
from thinfile.tabular.field_tensors import (
    FieldTensors,
    batch_logit,
    check_rows,
    probabilities,
    settle_untrained,
)
from thinfile.training.batches import TensorBatches
from thinfile.training.loop import train
from thinfile.training.optimizer import adam
from thinfile.training.phase import Phase
from thinfile.training.stopping import Plateau
from thinfile.training.touched_adam import TouchedAdam

FEWEST_BATCH_ROWS, BATCH_ROWS, MOST_BATCH_ROWS = 32, 256, 4096

REFERENCE: dict[str, Any] = {
    "dim": 10,
    "widths": (400, 400, 400),
    "norm": "batch",
    "activation": "relu",
    "dropout": 0.2,
    "embedding_l2": 0.05,
    "weight_decay": 0.0,
    "learning_rate": 1e-3,
    "batch_size": 4096,
    "max_epochs": 100,
    "patience": 2,
    "plateau_patience": 1,
    "plateau_factor": 0.1,
    "min_count": 1,
}
"""Settings of the public benchmark on Frappe (Zhu et al., BARS, SIGIR 2022)."""


class DeepFMClassifier(FieldClassifier):
    """Linear part + factorisation machine + network on one table of embeddings (DeepFM).

    Use it on behaviour tables with ids (user, item, shop) of which many occur now and then: the
    factors of two ids that never met are learnt from those that did. Do not use it on a few
    numeric columns, or without boosted trees beside it: with few labels those are hard to beat.

    Columns come from the schema: categories and booleans are sparse fields, numbers and ordinals
    are scaled, dates give `time_fields`, lists are bags of values. An id is its text: 7, 7.0 and
    "7" are one id, 16777216 and 16777217 are two, and values never seen in training get a code
    that was trained on rare ones.

    Parameters
    ----------
    linear, fm, deep : bool
        Which parts there are, at least one.
    dim : int ≥ 1
        Factors per value.
    widths, activation, dropout, norm
        Of the network, as in `MLPClassifier`.
    max_epochs : int ≥ 1
    batch_size : "auto" or int ≥ 2
        "auto" takes 256 rows; fewer, so that an epoch has ten batches, where there are few rows
        (at least 32), and a thousandth of the rows where there are many (at most 4,096).
    learning_rate : float > 0
        Of Adam.
    weight_decay : float ≥ 0
        L2 penalty inside Adam of all but the table.
    embedding_l2 : float ≥ 0
        The same for the table: at each step on every row of it below `touched_rows_above`, on the
        rows of the batch alone above.
    touched_rows_above : int ≥ 0
        Tables with more rows are trained by updating only the rows of each batch, which keeps the
        cost of a step flat. On small tables that costs accuracy.
    precision : {"float32", "bfloat16"}
        Of the network's products while training.
    validation_fraction : float in [0, 0.9]
        Share of the labelled rows that is held back to stop training; 0 runs all epochs.
    patience : int ≥ 1, optional
        Checks (one per epoch) without a better validation AUC before training stops.
    plateau_patience : int ≥ 1, optional
        Checks without a better one before the learning rate is multiplied by `plateau_factor`.
    plateau_factor : float in (0, 1)
    time_column : str, optional
        A column of dates or numbers: the latest rows are held back instead of random ones, and
        vocabularies are learnt from the others. It is no feature unless `time_fields` are given.
    time_fields : sequence of {"days", "month", "day", "weekday", "hour"}, optional
        What each date gives. Default: all of them, but nothing for the time column.
    sparse : sequence of str
        Columns of ids, whatever the schema concludes from their numbers.
    multi_valued : mapping of str to str, optional
        Column of text to what stands between its values. Lists of text or whole numbers are
        multi-valued unasked.
    min_count : int ≥ 1, optional
        Values rarer than this share the code of values never seen. Default: 10, but no more than
        one row in a hundred, and at least 2.
    max_vocabulary : int ≥ 1
        A column with more values has them hashed into so many codes; `notes_` says how many share.
    strict : bool
        Refuse rows with values that training rows did not have.
    target_weight : "auto" or float ≥ 0
        How many source rows a labelled target row counts for in the loss.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.
    device : str
        "auto" takes a GPU where there is one.

    Attributes
    ----------
    network_ : DeepFMNetwork
    encoder_ : FieldEncoder
    history_ : list of dict
        Loss, learning rate, validation AUC and KS of each epoch.

    References
    ----------
    Guo et al., DeepFM: a factorization-machine based neural network for CTR prediction, IJCAI
    2017.

    Examples
    --------
    >>> import polars as pl
    >>> X = pl.DataFrame({"user": [1, 2, 3, 4] * 50, "item": [2**40, 2**40 + 1] * 100})
    >>> model = DeepFMClassifier(sparse=("user", "item"), max_epochs=2, random_state=0)
    >>> _ = model.fit(X, [1, 0, 0, 1] * 50)
    >>> model.unseen_share(pl.DataFrame({"user": [1, 99], "item": [-7, -8]}))
    {'user': 0.5, 'item': 1.0}
    """

    network_: DeepFMNetwork  # type: ignore[assignment]

    _rules: ClassVar[Mapping[str, Rule]] = {
        **NETWORK_RULES,
        **FIELD_RULES,
        **dict.fromkeys(("linear", "fm", "deep"), params.boolean()),
        "batch_size": params.either(params.one_of("auto"), params.integer(2)),
        "dim": params.integer(1),
        "embedding_l2": params.real(0),
        "touched_rows_above": params.integer(0),
        "precision": params.one_of("float32", "bfloat16"),
        "plateau_patience": params.optional(params.integer(1)),
        "plateau_factor": params.real(0, 1, bounds="()"),
    }

    def __init__(
        self,
        *,
        linear: bool = True,
        fm: bool = True,
        deep: bool = True,
        dim: int = 10,
        widths: Sequence[int] = (64, 32),
        activation: str = "relu",
        dropout: float = 0.2,
        norm: str | None = "batch",
        max_epochs: int = 30,
        batch_size: int | str = "auto",
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-5,
        embedding_l2: float = 1e-3,
        touched_rows_above: int = 100_000,
        precision: str = "float32",
        validation_fraction: float = 0.2,
        patience: int | None = 5,
        plateau_patience: int | None = 2,
        plateau_factor: float = 0.1,
        time_column: str | None = None,
        time_fields: Sequence[str] | None = None,
        sparse: Sequence[str] = (),
        multi_valued: Mapping[str, str] | None = None,
        min_count: int | None = None,
        max_vocabulary: int = MAX_VOCABULARY,
        strict: bool = False,
        target_weight: float | str = "auto",
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.linear = linear
        self.fm = fm
        self.deep = deep
        self.dim = dim
        self.widths = widths
        self.activation = activation
        self.dropout = dropout
        self.norm = norm
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.embedding_l2 = embedding_l2
        self.touched_rows_above = touched_rows_above
        self.precision = precision
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.plateau_patience = plateau_patience
        self.plateau_factor = plateau_factor
        self.time_column = time_column
        self.time_fields = time_fields
        self.sparse = sparse
        self.multi_valued = multi_valued
        self.min_count = min_count
        self.max_vocabulary = max_vocabulary
        self.strict = strict
        self.target_weight = target_weight
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.device = device
        self.random_state = random_state

    @classmethod
    def reference(cls, **arguments: Any) -> Self:
        """The settings of the public benchmark (`REFERENCE`), with `arguments` over them."""
        return cls(**{**REFERENCE, **arguments})

    def _read(self, X: Any, y: Any, domain: Any) -> FieldData:
        if not (self.linear or self.fm or self.deep):
            raise ParameterError(
                f"{type(self).__name__}: linear, fm and deep are False, one of them must be True"
            )
        return super()._read(X, y, domain)

    # The fit ---------------------------------------------------------------------------------

    def _build(self) -> DeepFMNetwork:  # type: ignore[override]
        sizes, bag_sizes = self.encoder_.cardinalities_, self.encoder_.bag_cardinalities_
        return DeepFMNetwork(
            len(self.encoder_.number_names_),
            sizes,
            bag_cardinalities=bag_sizes,
            dim=self.dim,
            widths=tuple(self.widths),
            dropout=self.dropout,
            norm=self.norm,
            activation=self.activation,
            linear=self.linear,
            fm=self.fm,
            deep=self.deep,
            sparse_gradient=sum(sizes) + sum(bag_sizes) > self.touched_rows_above,
        )

    def _tensors(self, data: TrainingData, device: torch.device) -> FieldTensors:
        return FieldTensors.from_data(data, self._row_weight(data), device)

    def _run(self, tensors: Tensors, training: Rows, validation: Rows, data: TrainingData) -> None:
        assert isinstance(tensors, FieldTensors)
        device = tensors.y.device
        rows, held_out = (torch.from_numpy(part).to(device) for part in (training, validation))
        stops = len(validation) > 0
        slower = self.plateau_patience
        history = train(
            self.network_,
            [Phase(self._optimizer(), lambda batch: self._terms(tensors.batch(batch["row"])))],
            TensorBatches({"row": rows}, min(self._batch_rows(len(rows)), len(rows))),
            max_epochs=self.max_epochs,
            check=(lambda: check_rows(self.network_, tensors, held_out)) if stops else None,
            monitor="validation_auc" if stops else None,
            patience=self.patience if stops else None,
            plateau=Plateau(self.plateau_factor, slower) if stops and slower else None,
            precision="bfloat16" if self.precision == "bfloat16" else "float32",
        )
        self.history_ += history.records
        settle_untrained(self.network_.table, tensors, rows)

    def _batch_rows(self, n_rows: int) -> int:
        if self.batch_size != "auto":
            return int(self.batch_size)
        usual = min(BATCH_ROWS, max(FEWEST_BATCH_ROWS, n_rows // 10))
        return max(usual, min(MOST_BATCH_ROWS, n_rows // 1000))

    def _optimizer(self) -> torch.optim.Optimizer:
        table = self.network_.table
        rest = [p for p in self.network_.parameters() if p is not table.weight]
        groups = [
            {"params": [table.weight], "weight_decay": self.embedding_l2},
            {"params": rest, "weight_decay": self.weight_decay},
        ]
        kind = TouchedAdam if table.sparse_gradient else adam
        return kind(groups, self.learning_rate)

    def _terms(self, batch: Any) -> Terms:
        logit = batch_logit(self.network_, batch)
        return {"classification": binary_cross_entropy(logit, batch["y"], weight=batch["weight"])}

    # Scoring ---------------------------------------------------------------------------------

    def _probability(self, encoded: Encoded) -> FloatArray:
        assert isinstance(encoded, Fields)
        return probabilities(self.network_, encoded)

    def _state(self) -> State:
        return State(arrays={**self.get_weights(), **self._vocabularies()})

    def _load(self, state: State) -> None:
        self._load_schema()
        self.network_ = self._build().eval()
        self.set_weights(without_vocabularies(state.arrays))
