"""Variational autoencoder of tables and images: new rows, codes and a score of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from sklearn.base import TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from thinfile.data.encode import Encoded
from thinfile.data.images import ImageEncoder
from thinfile.data.mixed import MixedEncoder
from thinfile.data.row_hash import Hashes, row_hashes
from thinfile.detector import Detector, FloatArray
from thinfile.errors import ParameterError
from thinfile.generative.vae_bank import ConditionBank
from thinfile.generative.vae_draws import VAEDraws, pixel_hashes
from thinfile.generative.vae_layout import VAELayout
from thinfile.generative.vae_plan import (
    PRESETS,
    VAE_RULES,
    build_network,
    check_fit,
    events_to_leave_out,
    latent_width,
    lay_out,
    split_rows,
    training_tensors,
)
from thinfile.generative.vae_rows import VAERows
from thinfile.generative.vae_training import VAESettings, active_at_end, train_vae
from thinfile.nn.active_units import silent_units
from thinfile.nn.weights import get_weights, set_weights
from thinfile.params import Rule
from thinfile.random_state import RandomState
from thinfile.schema.model import Schema
from thinfile.table_model import State, TableData, read_labels
from thinfile.training.device import choose_device, lean_cpu, seeded

KEPT = "kept."
_HASHES = f"{KEPT}row_hashes"


class VAE(TransformerMixin, Detector):  # type: ignore[misc]
    """Variational autoencoder: rows to codes that follow a standard normal, and back.

    Use it to make more rows of a rare kind, as features for another classifier, or to find rows
    that are unlike all others. Do not use it where a few hundred rows are all there is, nor
    expect its score alone to find frauds that look like other customers: measure beside boosted
    trees on the labels.

    Parameters
    ----------
    latent_size : "auto" or int ≥ 1
        Width of the code; at most the width of the encoded table. auto: 0.4 of it, at most 32.
    widths : sequence of int ≥ 1
        Units of the encoder's hidden layers; the decoder has the same backwards.
    activation : {"relu", "sigmoid", "tanh", "leaky_relu", "silu", "gelu"}
    scaling : {"quantile", "minmax", "standard"}
        Of numbers. Quantile (normal scores) suits heavy tails.
    number_loss : {"auto", "gaussian", "squared", "bce"}
        gaussian: the likelihood with a variance learnt for each column. squared: the squared
        error. bce: cross-entropy of numbers in 0…1, needs ``scaling="minmax"``. auto: bce for
        images, gaussian for tables.
    beta : float ≥ 0
        Weight of the divergence from the prior: above 1 for independent units, below 1 for
        better reconstruction.
    free_bits : float ≥ 0
        Nats of each unit that cost nothing. Against units that fall silent.
    warm_up_epochs : int ≥ 0
        Epochs over which the weight of the divergence rises to `beta`. Against the same.
    condition : None, "label" or sequence of str
        What encoder and decoder are told: the label of a row, or the named columns. The label
        may be unknown, at fit and afterwards.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of images.
    filters : sequence of int ≥ 1
        Of a convolutional encoder of images, in place of `widths`; the decoder has the same
        backwards. Empty: dense.
    n_importance_samples : int ≥ 1
        Codes drawn for each row's score; more of them make the bound tighter.
    max_epochs, batch_size, learning_rate
        As in every network of thinfile.
    validation_fraction : float in [0, 0.9]
        Share of the rows held back; their bound decides which weights are kept. 0: the last.
    patience : int ≥ 1, optional
        Epochs without a better bound, after the warm-up, before training stops.
    contamination : "auto" or float in (0, 0.5)
        Share of the training rows that `predict` calls abnormal.
    threshold : {"contamination", "labels"}
        Where the border of `predict` comes from.
    schema, random_state, device
        As in every model of thinfile.

    Attributes
    ----------
    network_ : VAENetwork
    latent_size_ : int
    active_units_ : int
        Units of the code whose mean varies over rows (variance above 0.01).
    history_ : list of dict
        Reconstruction, divergence (kl), active units and the bound of held-back rows, by epoch.
    row_hashes_ : ndarray of uint64
        What it knows its training rows by; it gives none of them out.

    References
    ----------
    Kingma, Welling: Auto-encoding variational Bayes, ICLR 2014. Higgins et al.: beta-VAE, ICLR
    2017. Kingma et al.: Improved variational inference with inverse autoregressive flow, NeurIPS
    2016 (free bits). Bowman et al.: Generating sentences from a continuous space, CoNLL 2016
    (warm-up). Burda, Grosse, Salakhutdinov: Importance weighted autoencoders, ICLR 2016. Sohn,
    Lee, Yan: Learning structured output representation, NeurIPS 2015 (conditions). Xu et al.:
    Modeling tabular data using conditional GAN, NeurIPS 2019 (its TVAE, a peer).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> model = VAE(latent_size=2, widths=(8,), max_epochs=2, random_state=0).fit(X)
    >>> model.sample(5, random_state=0).shape, model.transform(X).shape
    ((5, 3), (200, 2))
    """

    _rules: ClassVar[Mapping[str, Rule]] = VAE_RULES

    def __init__(
        self,
        *,
        latent_size: int | str = "auto",
        widths: Sequence[int] = (128, 64),
        activation: str = "relu",
        scaling: str = "quantile",
        number_loss: str = "auto",
        beta: float = 1.0,
        free_bits: float = 0.0,
        warm_up_epochs: int = 5,
        condition: str | Sequence[str] | None = None,
        image_shape: Sequence[int] | None = None,
        filters: Sequence[int] = (),
        n_importance_samples: int = 8,
        max_epochs: int = 50,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        validation_fraction: float = 0.1,
        patience: int | None = 10,
        contamination: float | str = "auto",
        threshold: str = "contamination",
        schema: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.latent_size = latent_size
        self.widths = widths
        self.activation = activation
        self.scaling = scaling
        self.number_loss = number_loss
        self.beta = beta
        self.free_bits = free_bits
        self.warm_up_epochs = warm_up_epochs
        self.condition = condition
        self.image_shape = image_shape
        self.filters = filters
        self.n_importance_samples = n_importance_samples
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.contamination = contamination
        self.threshold = threshold
        self.schema = schema
        self.device = device
        self.random_state = random_state

    @classmethod
    def reference(cls, preset: str, **overrides: Any) -> Self:
        """The settings of the published exercise.

        Use them to reproduce its figures, not for a model of your own: on cards no unit of the
        code stays active.

        Parameters
        ----------
        preset : {"digits", "cards"}
            digits: 784-256-32, batches of 100, 50 epochs. cards: 29-16-6 on numbers in 0…1.
        **overrides
            Arguments of the constructor in place of the preset's.
        """
        if preset not in PRESETS:
            raise ParameterError(
                f"{cls.__name__}.reference: preset={preset!r} must be one of "
                + ", ".join(map(repr, PRESETS))
            )
        return cls(**{**PRESETS[preset], **overrides})

    # Codes -----------------------------------------------------------------------------------

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """Mean of each row's code, shape (n, latent_size)."""
        check_is_fitted(self, "network_")
        return self._rows().statistics(self._encode(X))[0]

    def transform_spread(self, X: Any) -> npt.NDArray[np.float32]:
        """Standard deviation of each row's code, shape (n, latent_size)."""
        check_is_fitted(self, "network_")
        return self._rows().statistics(self._encode(X))[1]

    def reconstruct(self, X: Any) -> Any:
        """The rows as decoded from the means of their codes: a table, or an array of images."""
        check_is_fitted(self, "network_")
        encoded, rows = self._encode(X), self._rows()
        mean = torch.from_numpy(rows.statistics(encoded)[0])
        told = self.layout_.condition(encoded) if self.layout_.n_condition else None
        made = rows.draw(mean, told, encoded, noise=False)
        return rows.images(made) if self._is_image() else rows.table(made, 0)

    def column_errors(self, X: Any) -> pl.DataFrame:
        """How far each column is from its reconstruction: n rows, one column per raw column.

        Numbers: the squared distance from the reconstruction; half of it in the column's learnt
        variance with ``number_loss="gaussian"``. Flags and categories: the cross-entropy in
        nats. Columns that the model is told, and constant ones, have 0.
        """
        check_is_fitted(self, "network_")
        return self._rows().errors(self._encode(X))

    def __sklearn_tags__(self) -> Tags:
        """As of every detector; codes are float32."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    # New rows --------------------------------------------------------------------------------

    def sample(
        self,
        n: int,
        *,
        where: Mapping[str, Any] | None = None,
        label: int | None = None,
        random_state: RandomState = None,
    ) -> Any:
        """New rows, drawn from the prior.

        Parameters
        ----------
        n : int ≥ 1
        where : mapping, optional
            Values of columns that the model is told: ``{"region": "north"}``.
        label : {0, 1}, optional
            With ``condition="label"``. What is not said is drawn as it was in training.
        random_state : int, generator or None

        Returns
        -------
        polars.DataFrame, or ndarray (n, height, width[, channels]) for images
            Typed columns in the schema's order; no row of the training table.

        Raises
        ------
        DataError
            If there are too few different values for rows that are new.
        """
        check_is_fitted(self, "network_")
        return self._draws(None).sample(n, where or {}, label, random_state)

    def sample_like(
        self,
        X: Any,
        n: int,
        *,
        y: Any = None,
        spread: float = 1.0,
        random_state: RandomState = None,
    ) -> Any:
        """New rows of the kind of `X`: codes are drawn around those of its rows.

        Parameters
        ----------
        X
            Rows to vary, at least one; each serves as often as any other.
        n : int ≥ 1
        y : array-like of shape (rows of X,), optional
            Their labels, where the model is told the label.
        spread : float ≥ 0
            Factor of the codes' standard deviation.
        random_state : int, generator or None

        Returns
        -------
        As for `sample`; rows of `X` do not come out either.
        """
        check_is_fitted(self, "network_")
        encoded = self._encode(X)
        own = self._hashes(encoded, None if self._is_image() else self._parse(X))
        labels = None if y is None else read_labels(y, at_least=1)[0]
        return self._draws(own).sample_like(encoded, labels, n, spread, random_state)

    # The fit ---------------------------------------------------------------------------------

    def fit_encoded(
        self, data: TableData, schema: Schema, encoder: MixedEncoder | ImageEncoder
    ) -> Self:
        """Fit to rows that a model around this one has read and encoded; see `fit`."""
        self._begin()
        self.schema_, self.encoder_ = schema, encoder
        self.n_features_in_, self._from_array = len(schema.features), False
        self._fit(data)
        return self

    def _make_encoder(self) -> MixedEncoder:
        return MixedEncoder(self.schema_, scaling=self.scaling)

    def _load_encoder(self, state: State) -> MixedEncoder:
        return MixedEncoder.from_state(state.values["encoder"])

    def _fit(self, data: TableData) -> None:
        self.notes_ += self.encoder_.notes_ + check_fit(self, self.encoder_, len(data.encoded))
        self.layout_ = lay_out(self.encoder_, self.condition, data.y)
        self.latent_size_ = latent_width(self.latent_size, self.layout_.n_inputs)
        self.row_hashes_ = np.unique(self._hashes(data.encoded, data.parsed))
        device = choose_device(self.device)
        with seeded(self.random_state, device) as seed, lean_cpu():
            rng = np.random.default_rng(seed)
            training, held = split_rows(
                len(data.encoded), self._known_events(data), self.validation_fraction, rng
            )
            self.bank_ = ConditionBank.of(self.layout_, self.encoder_, data, rng)
            self.network_ = build_network(self, self.layout_, self.encoder_, self.latent_size_)
            self.network_.to(device)
            history = train_vae(
                self.network_,
                training_tensors(self.layout_, data, training, device),
                None if held is None else training_tensors(self.layout_, data, held, device),
                VAESettings.of(self),
            )
        self.network_.cpu()
        self.history_ += history.records
        self.active_units_ = active_at_end(history)
        self.notes_ += silent_units(self.active_units_, self.latent_size_)
        self._set_threshold(data)

    def _known_events(self, data: TableData) -> npt.NDArray[np.bool_] | None:
        """Rows to leave out of training."""
        # None where the network is told which they are.
        events, notes = events_to_leave_out(None if self.layout_.has_label else data.y)
        self.notes_ += notes
        return events

    # Parts -----------------------------------------------------------------------------------

    def _error(self, encoded: Encoded) -> FloatArray:
        with seeded(0):
            draws = torch.randn(self.n_importance_samples, self.latent_size_)
        return -self._rows().bound(encoded, draws).astype(np.float64)

    def _rows(self) -> VAERows:
        return VAERows(self.network_, self.layout_, self.encoder_)

    def _is_image(self) -> bool:
        return isinstance(self.encoder_, ImageEncoder)

    def _draws(self, own: Hashes | None) -> VAEDraws:
        """Draws that give out neither training rows nor `own`."""
        forbidden = self.row_hashes_ if own is None else np.union1d(self.row_hashes_, own)
        return VAEDraws(self._rows(), self.bank_, forbidden)

    def _hashes(self, encoded: Encoded, parsed: pl.DataFrame | None) -> Hashes:
        if isinstance(self.encoder_, ImageEncoder) or parsed is None:
            return pixel_hashes(self.encoder_, encoded)
        return row_hashes(parsed)

    def _state(self) -> State:
        arrays = {**get_weights(self.network_), _HASHES: self.row_hashes_}
        return State(
            values={
                "layout": self.layout_.to_state(),
                "active_units": self.active_units_,
                "latent_size": self.latent_size_,
            },
            arrays={**arrays, **self.bank_.arrays()},
        )

    def _load(self, state: State) -> None:
        self.layout_ = VAELayout.from_state(state.values["layout"])
        self.active_units_ = state.values["active_units"]
        self.latent_size_ = state.values["latent_size"]
        self.row_hashes_ = state.arrays[_HASHES].astype(np.uint64)
        self.bank_ = ConditionBank.load(self.layout_, self.encoder_, state)
        self.network_ = build_network(self, self.layout_, self.encoder_, self.latent_size_).eval()
        weights = {k: v for k, v in state.arrays.items() if not k.startswith(KEPT)}
        set_weights(self.network_, weights)
