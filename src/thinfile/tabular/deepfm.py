"""DeepFM: pairs of ids by their factors, beside a linear part and a network."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from thinfile import params
from thinfile.data.encode import Encoded
from thinfile.data.field_schema import FieldSchema, field_schema, inexact_ids, left_out
from thinfile.data.fields import MAX_VOCABULARY, TIME_FIELDS, FieldEncoder, Fields
from thinfile.data.hashing import KEY_BYTES
from thinfile.data.split_later import latest_rows, times_of
from thinfile.errors import ParameterError, ThinfileWarning
from thinfile.estimator import FloatArray, State, TrainingData
from thinfile.network import NETWORK_RULES, NetworkClassifier, Rows, Tensors, Terms
from thinfile.nn.interaction import DeepFMNetwork
from thinfile.nn.losses import binary_cross_entropy
from thinfile.params import Rule
from thinfile.random_state import seed_from
from thinfile.schema.model import Schema
from thinfile.tabular.field_tensors import (
    FieldData,
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

VOCABULARY = "vocabulary."
"""Start of the names of arrays that are the encoder's."""

WARN_SHARE, WARN_VALUES = 0.5, 100
"""More than this share of at least so many values unseen: `predict_proba` warns."""

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


class DeepFMClassifier(NetworkClassifier):
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
    batch_size : int ≥ 2
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
    encoder_: FieldEncoder  # type: ignore[assignment]

    _rules: ClassVar[Mapping[str, Rule]] = {
        **NETWORK_RULES,
        **dict.fromkeys(("linear", "fm", "deep", "strict"), params.boolean()),
        "dim": params.integer(1),
        "embedding_l2": params.real(0),
        "touched_rows_above": params.integer(0),
        "precision": params.one_of("float32", "bfloat16"),
        "plateau_patience": params.optional(params.integer(1)),
        "plateau_factor": params.real(0, 1, bounds="()"),
        "time_column": params.optional(params.instance(str)),
        "time_fields": params.optional(params.sequence_of(params.one_of(*TIME_FIELDS))),
        "sparse": params.sequence_of(params.instance(str)),
        "multi_valued": (
            lambda v: v is None or (isinstance(v, Mapping) and all(map(_is_text, v.values()))),
            "None or a mapping of columns to separators",
        ),
        "min_count": params.optional(params.integer(1)),
        "max_vocabulary": params.integer(1),
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
        batch_size: int = 256,
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

    def unseen_share(self, X: Any) -> dict[str, float]:
        """Share of the values of each field that training rows did not have; gaps do not count."""
        check_is_fitted(self, "encoder_")
        return {tally.name: tally.share for tally in self._fields(X, strict=False).unseen}

    # Reading ---------------------------------------------------------------------------------

    def _read(self, X: Any, y: Any, domain: Any) -> FieldData:
        if not (self.linear or self.fm or self.deep):
            raise ParameterError(
                f"{type(self).__name__}: linear, fm and deep are False, one of them must be True"
            )
        frame = self._read_table(X, fitting=True)
        labels = self._read_labels(y)
        check_consistent_length(frame, labels)
        is_target = self._read_domain(domain, labels)
        split = self._later(frame, labels)
        parsed = self.schema_.parse(frame).frame
        shown = parsed if split is None else parsed[np.setdiff1d(np.arange(len(labels)), split[1])]
        self.encoder_ = self._field_encoder().fit(shown)
        self.notes_ += self.encoder_.collisions_ + inexact_ids(frame, self._id_columns())
        return FieldData(self.encoder_.transform(parsed, strict=False), labels, is_target, split)

    def _choose_schema(self, frame: pl.DataFrame) -> Schema:
        base = super()._choose_schema(frame)
        schema, self._separators = field_schema(
            base, frame, self.sparse, self.multi_valued or {}, inferred=self.schema is None
        )
        self._time_schema = base
        if self.time_column is not None and self.time_fields is None:
            schema = left_out(schema, self.time_column)
        return schema

    def _field_encoder(self) -> FieldEncoder:
        return FieldEncoder(
            self.schema_,
            separators=self._separators,
            time_fields=TIME_FIELDS if self.time_fields is None else self.time_fields,
            min_count=self.min_count,
            max_vocabulary=self.max_vocabulary,
            key=seed_from(self.random_state).to_bytes(KEY_BYTES, "little"),
            strict=self.strict,
        )

    def _later(self, frame: pl.DataFrame, y: npt.NDArray[Any]) -> tuple[Rows, Rows] | None:
        """Rows to train on and to stop by, where there is a time column."""
        if self.time_column is None:
            return None
        time = times_of(frame, self.time_column, self._time_schema)
        training, validation = latest_rows(time, y >= 0, y, self.validation_fraction)
        if not len(validation) and self.validation_fraction:
            self.notes_.append(
                f"time_column={self.time_column!r}: its latest rows hold too few events or "
                "non-events to stop by, all epochs were run"
            )
        return training, validation

    def _id_columns(self) -> list[str]:
        return [c.name for c in self.schema_.columns if c.role == "category"]

    def _fields(self, X: Any, *, strict: bool) -> Fields:
        frame = self._read_table(X, fitting=False)
        for line in inexact_ids(frame, self._id_columns()):
            warnings.warn(line, ThinfileWarning, stacklevel=4)
        return self.encoder_.transform(self.schema_.parse(frame).frame, strict=strict)

    def _encode(self, X: Any) -> Fields:
        fields = self._fields(X, strict=self.strict)
        for tally in fields.unseen:
            if tally.n_present >= WARN_VALUES and tally.share > WARN_SHARE:
                warnings.warn(tally.describe(), ThinfileWarning, stacklevel=3)
        return fields

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

    def _split(self, data: TrainingData, rng: np.random.Generator) -> tuple[Rows, Rows]:
        assert isinstance(data, FieldData)
        return super()._split(data, rng) if data.split is None else data.split

    def _run(self, tensors: Tensors, training: Rows, validation: Rows, data: TrainingData) -> None:
        assert isinstance(tensors, FieldTensors)
        device = tensors.y.device
        rows, held_out = (torch.from_numpy(part).to(device) for part in (training, validation))
        stops = len(validation) > 0
        slower = self.plateau_patience
        history = train(
            self.network_,
            [Phase(self._optimizer(), lambda batch: self._terms(tensors.batch(batch["row"])))],
            TensorBatches({"row": rows}, min(self.batch_size, len(rows))),
            max_epochs=self.max_epochs,
            check=(lambda: check_rows(self.network_, tensors, held_out)) if stops else None,
            monitor="validation_auc" if stops else None,
            patience=self.patience if stops else None,
            plateau=Plateau(self.plateau_factor, slower) if stops and slower else None,
            precision="bfloat16" if self.precision == "bfloat16" else "float32",
        )
        self.history_ += history.records
        settle_untrained(self.network_.table, tensors, rows)

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
        vocabularies = {VOCABULARY + name: a for name, a in self.encoder_.arrays().items()}
        return State(arrays={**self.get_weights(), **vocabularies})

    def _load_encoder(self, state: State) -> FieldEncoder:  # type: ignore[override]
        arrays = {k: v for k, v in state.arrays.items() if k.startswith(VOCABULARY)}
        plain = {name.removeprefix(VOCABULARY): array for name, array in arrays.items()}
        return FieldEncoder.from_state(state.values["encoder"], plain)

    def _load(self, state: State) -> None:
        self.schema_ = FieldSchema(self.schema_.columns, self.schema_.notes)
        self.network_ = self._build().eval()
        weights = {k: v for k, v in state.arrays.items() if not k.startswith(VOCABULARY)}
        self.set_weights(weights)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""
