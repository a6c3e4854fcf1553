"""The autoencoder: a narrow code of each row, and how badly the row comes back from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from sklearn.base import TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from thinfile import params
from thinfile.data.encode import Encoded
from thinfile.data.images import ImageEncoder
from thinfile.data.mixed import MixedEncoder
from thinfile.detector import Detector
from thinfile.errors import DataError, ParameterError
from thinfile.generative import autoencoder_settings as settings
from thinfile.generative.autoencoder_network import (
    AutoencoderNetwork,
    as_tensors,
    codes_of,
    column_errors,
    decoded,
)
from thinfile.generative.autoencoder_training import Plan, train_autoencoder
from thinfile.generative.column_errors import (
    most_unusual,
    raw_column_errors,
    row_errors,
    usual_errors,
)
from thinfile.nn.weights import get_weights, set_weights
from thinfile.params import Rule
from thinfile.table_model import State, TableData
from thinfile.training.device import choose_device, lean_cpu, seeded

FloatArray = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

MIN_ROWS = 2
MIN_HELD_OUT = 10
"""Rows that stopping needs to see; below that, all epochs are run on all rows."""


class Autoencoder(TransformerMixin, Detector):  # type: ignore[misc]
    """Networks that press each row through a narrow code and give it back.

    Three things in one: an encoder (`transform` gives the code), a reconstructor (`reconstruct`)
    and a detector (a row that comes back badly is unlike the rows of training). Use it to look
    for the unusual where no case is known yet, to say *which columns* of a row are out of the
    ordinary (`column_errors`, `explain`), or for features. Do not use it to rank frauds where
    dozens of them are labelled: boosted trees on those labels find more.

    Gaps are allowed in tables. Rows with y = 1 are left out of training.

    Parameters
    ----------
    latent_size : "auto" or int ≥ 1
        Columns of the code, fewer than the inputs. "auto": 0.4 of the inputs, at most 64.
    widths : sequence of int ≥ 1
        Hidden layers of the encoder, first to last; the decoder has them in reverse.
    filters : sequence of int ≥ 1
        Images only: filters of the encoder's convolutions, each of which halves the image.
        Without any, images are read as one row of pixels.
    activation : {"relu", "sigmoid", "tanh", "leaky_relu", "silu", "gelu"}
        Of the hidden layers.
    code_activation : None or as `activation`
        Of the code; None is linear.
    squash : {"auto", None, "sigmoid", "tanh"}
        Over the numbers that come out; "sigmoid" has inputs in 0…1, "tanh" in −1…1. "auto":
        sigmoid for images and with ``scaling="minmax"``, else None.
    loss : {"squared", "bce"}
        Error of a number in training; "bce" needs sigmoid.
    scaling : {"minmax", "standard", "quantile"}
        Of the numbers of a table; see `MixedEncoder`. Squashing needs minmax.
    noise : float ≥ 0
        Denoising: deviation of normal noise on what the network reads (not on what it is to give
        back), in deviations of the column.
    masking : float in [0, 1)
        Denoising: share of cells that the network is not shown; a column cannot just be copied.
    trim : float in [0, 1)
        Robust training: share of each batch's rows, those with the largest errors, left out of
        the loss, so that frauds among the training rows are not learnt.
    row_error : {"auto", "largest", "standardised", "mean"}
        How a row's error comes from its columns'. standardised: mean of errors in units of each
        column's usual error. largest: the same of the three largest only, for rows that are odd
        in few columns. mean: of errors as they are. "auto": largest; mean for images.
    contamination : "auto" or float in (0, 0.5)
        Share of the training rows that lies below the threshold; "auto" is 0.01.
    threshold : {"contamination", "labels"}
        "labels" sets it where the F1 of the labelled rows is best; labelled rows with y = 0 are
        then the first to be held out of training.
    max_epochs : int ≥ 1
    max_steps : int ≥ 1, optional
        Updates after which no further epoch begins, for large tables.
    batch_size : int ≥ 2
    learning_rate, weight_decay : float > 0, float ≥ 0
        Of Adam, and the L2 penalty inside it.
    validation_fraction : float in [0, 0.9]
        Share of the rows that is held out to stop training and to tell usual errors; 0: none.
    patience : int ≥ 1, optional
        Epochs without a smaller error on these rows before training stops. None runs all epochs;
        the best epoch's weights are kept in any case.
    image_shape, schema, device, random_state
        As in every model of thinfile; see :func:`thinfile.data.images.read_images`.

    Attributes
    ----------
    network_ : AutoencoderNetwork
    latent_size_ : int
    usual_errors_ : ndarray of shape (encoded columns,)
        Mean error of each encoded column on the rows held out, or on the training rows.
    n_validation_ : int
        Rows that were held out.
    offset_ : float
        `score_samples` below this is called abnormal.
    history_ : list of dict
        Mean error per column and epoch: in training (``reconstruction``; of corrupted rows) and
        on the rows held out (``validation_error``).

    References
    ----------
    Hinton, Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science
    2006. Vincent et al., "Stacked denoising autoencoders", JMLR 2010. Zhou, Paffenroth, "Anomaly
    detection with robust deep autoencoders", KDD 2017.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 1)) @ np.ones((1, 4))
    >>> model = Autoencoder(latent_size=1, max_epochs=5, random_state=0).fit(X)
    >>> model.transform(X).shape, model.reconstruct(X).shape
    ((300, 1), (300, 4))
    >>> odd = X[:1] + [[0, 0, 3, 0]]
    >>> model.explain(odd, 1)["column"].to_list()
    ['x2']
    """

    _rules: ClassVar[Mapping[str, Rule]] = settings.RULES

    def __init__(
        self,
        *,
        latent_size: int | str = "auto",
        widths: Sequence[int] = (64,),
        filters: Sequence[int] = (),
        activation: str = "relu",
        code_activation: str | None = None,
        squash: str | None = "auto",
        loss: str = "squared",
        scaling: str = "quantile",
        noise: float = 0.0,
        masking: float = 0.2,
        trim: float = 0.0,
        row_error: str = "auto",
        contamination: float | str = "auto",
        threshold: str = "contamination",
        max_epochs: int = 100,
        max_steps: int | None = 5_000,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        validation_fraction: float = 0.1,
        patience: int | None = 5,
        image_shape: Sequence[int] | None = None,
        schema: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.latent_size = latent_size
        self.widths = widths
        self.filters = filters
        self.activation = activation
        self.code_activation = code_activation
        self.squash = squash
        self.loss = loss
        self.scaling = scaling
        self.noise = noise
        self.masking = masking
        self.trim = trim
        self.row_error = row_error
        self.contamination = contamination
        self.threshold = threshold
        self.max_epochs = max_epochs
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.image_shape = image_shape
        self.schema = schema
        self.device = device
        self.random_state = random_state

    @classmethod
    def reference(cls, name: str, **changes: Any) -> Self:
        """The textbook settings for digits or card transactions, to compare with.

        Parameters
        ----------
        name : {"digits", "cards"}
            digits: 784 – 32 (ReLU) – 784 (sigmoid), cross-entropy, batch 256, 50 epochs. cards:
            minmax 0…1, 29 – 12 (tanh) – 29 (sigmoid), squared error, batch 128, 20 epochs, 10 %
            of the rows held out. Both with Adam.
        **changes
            Arguments that are to differ.

        Raises
        ------
        ParameterError
            If there is no preset of that name.
        """
        if name not in settings.PRESETS:
            known = " or ".join(map(repr, settings.PRESETS))
            raise ParameterError(f"{cls.__name__}: name={name!r} must be {known}")
        return cls(**{**settings.PRESETS[name], **changes})

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """The code of each row, shape (n, latent_size_)."""
        check_is_fitted(self, "network_")
        return codes_of(self.network_, self._encode(X))

    def reconstruct(self, X: Any) -> pl.DataFrame | npt.NDArray[np.float32]:
        """Rows as they come back from their codes.

        Parameters
        ----------
        X
            Table of n rows, or n images.

        Returns
        -------
        polars.DataFrame
            All feature columns, typed, in the schema's order; columns that were constant in
            training have their constant. For images an array of values in 0…1, of shape (n,
            height, width), or (n, height, width, channels) where there are several.
        """
        check_is_fitted(self, "network_")
        back = decoded(self.network_, self._encode(X))
        if not isinstance(self.encoder_, ImageEncoder):
            frame: pl.DataFrame = self.encoder_.inverse(back, random_state=0)
            return frame
        images = self.encoder_.decode(back.numbers)
        return images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)

    def column_errors(self, X: Any, *, standardised: bool = True) -> pl.DataFrame:
        """How badly each column of each row comes back.

        Parameters
        ----------
        X
            Table of n rows, or n images.
        standardised : bool, default True
            In units of the column's usual error, so that columns can be compared: 1 is usual.
            Otherwise the loss of the scaled number, or the category's cross-entropy in nats.

        Returns
        -------
        polars.DataFrame
            n rows, a column for each raw column (of images: each pixel). The errors of a number
            and of its gaps are added; columns that were left out have 0.
        """
        check_is_fitted(self, "network_")
        errors = self._errors(self._encode(X))
        if standardised:
            errors = errors / self.usual_errors_
        return raw_column_errors(errors, self._raw_columns(), self.schema_.features)

    def explain(self, X: Any, n: int = 3) -> pl.DataFrame:
        """The columns of each row that are most out of the ordinary, and what was expected.

        Parameters
        ----------
        X
            Table with the rows to explain, some thousand at most.
        n : int, default 3
            Columns per row, from 1 on.

        Returns
        -------
        polars.DataFrame
            Per row of X at most n rows: ``row`` (from 0), ``rank`` (from 1), ``column``,
            ``value`` and ``expected`` as text, ``error`` in units of the column's usual error,
            and its ``share`` of the row's sum over all columns.
        """
        params.check_params("explain", {"n": n}, {"n": params.integer(1)})
        errors = self.column_errors(X)
        if isinstance(self.encoder_, ImageEncoder):
            raise DataError("explain is for tables; of images see column_errors and reconstruct")
        expected = self.reconstruct(X)
        assert isinstance(expected, pl.DataFrame)
        return most_unusual(errors, self._parse(X), expected, n)

    def __sklearn_tags__(self) -> Tags:
        """As of every detector; codes are float32."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    # The fit ---------------------------------------------------------------------------------

    @property
    def _image_range(self) -> tuple[float, float]:  # type: ignore[override]
        return (-1.0, 1.0) if self.squash == "tanh" else (0.0, 1.0)

    def _make_encoder(self) -> MixedEncoder:
        low = -1.0 if self.squash == "tanh" else 0.0
        return MixedEncoder(self.schema_, scaling=self.scaling, low=low)

    def _load_encoder(self, state: State) -> MixedEncoder:
        return MixedEncoder.from_state(state.values["encoder"])

    def _fit(self, data: TableData) -> None:
        settings.check_together(self)
        self.notes_ += self.encoder_.notes_
        device = choose_device(self.device)
        with seeded(self.random_state, device) as seed, lean_cpu():
            self.latent_size_ = settings.choose_latent_size(self)
            training, held_out = self._split(data, np.random.default_rng(seed))
            self.n_validation_ = len(held_out)
            self.network_ = AutoencoderNetwork(settings.layout_of(self)).to(device)
            self._train(data.encoded.take(training), data.encoded.take(held_out), device)
        self.network_.cpu()
        usual = held_out if len(held_out) else training
        self.usual_errors_ = usual_errors(self._errors(data.encoded.take(usual)))
        self._set_threshold(data)

    def _train(self, training: Encoded, held_out: Encoded, device: torch.device) -> None:
        if self.batch_size > len(training):
            self.notes_.append(
                f"batch_size={self.batch_size} is more than the {len(training)} training rows: "
                "one batch an epoch"
            )
        rows = as_tensors(training, device), as_tensors(held_out, device)
        plan = Plan(**{field.name: getattr(self, field.name) for field in fields(Plan)})
        history = train_autoencoder(self.network_, *rows, plan)
        self.history_ += history.records

    def _split(self, data: TableData, rng: np.random.Generator) -> tuple[Rows, Rows]:
        """Rows to train on and rows held out; known events are in neither."""
        n_rows = len(data.encoded)
        y = np.full(n_rows, -1, dtype=np.int8) if data.y is None else data.y
        rows = rng.permutation(np.flatnonzero(y != 1))
        if len(rows) < n_rows:
            self.notes_.append(f"{n_rows - len(rows)} rows with y = 1 were left out of training")
        if self.threshold == "labels":
            # Errors of rows that were trained on are too small to set a threshold by.
            rows = rows[np.argsort(y[rows] != 0, kind="stable")]
        n_held = int(len(rows) * self.validation_fraction)
        n_held = n_held if n_held >= MIN_HELD_OUT else 0
        if len(rows) - n_held < MIN_ROWS:
            raise DataError(
                f"{len(rows) - n_held} rows to train on (n_samples = {n_rows}, "
                f"{n_rows - len(rows)} with y = 1): at least {MIN_ROWS} are needed"
            )
        return rows[n_held:], rows[:n_held]

    # Scoring ---------------------------------------------------------------------------------

    def _error(self, encoded: Encoded) -> FloatArray:
        return row_errors(self._errors(encoded), self.usual_errors_, settings.row_error_of(self))

    def _errors(self, encoded: Encoded) -> FloatArray:
        return column_errors(self.network_, encoded, self.loss)

    def _raw_columns(self) -> list[str]:
        if isinstance(self.encoder_, ImageEncoder):
            return self.encoder_.number_names_
        return [*self.encoder_.number_columns_, *self.encoder_.code_columns_]

    def _state(self) -> State:
        weights = get_weights(self.network_, start="network.")
        return State(
            values={"latent_size": self.latent_size_, "n_validation": self.n_validation_},
            arrays={**weights, "usual_errors": self.usual_errors_},
        )

    def _load(self, state: State) -> None:
        self.latent_size_ = state.values["latent_size"]
        self.n_validation_ = state.values["n_validation"]
        self.usual_errors_ = state.arrays["usual_errors"]
        self.network_ = AutoencoderNetwork(settings.layout_of(self)).eval()
        set_weights(self.network_, state.arrays, start="network.")
