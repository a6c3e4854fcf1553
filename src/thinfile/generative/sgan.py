"""SGANClassifier: a discriminator that also names the class, learnt from few labels and many rows.

Several small members train side by side, each without one fold of the labels, which chooses the
step that is kept; their averaged weights score together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from thinfile.data.encode import Encoded
from thinfile.data.images import ImageEncoder
from thinfile.data.mixed import MixedEncoder
from thinfile.estimator import Estimator, FloatArray, State, TrainingData
from thinfile.generative.sgan_draws import ClassTable, SganBatches, SganRows, as_columns
from thinfile.generative.sgan_layout import SganLayout
from thinfile.generative.sgan_plan import (
    choose_batch,
    choose_common_weight,
    choose_folds,
    choose_members,
    choose_unlabelled,
    count_labels,
    mean_ap,
    prior_shift,
    split_batch,
)
from thinfile.generative.sgan_reference import REFERENCE, class_weights
from thinfile.generative.sgan_rules import SGAN_RULES
from thinfile.generative.sgan_training import SganSettings, SganTraining, given_settings
from thinfile.nn.weights import get_weights, set_weights
from thinfile.params import Rule
from thinfile.training.device import choose_device, lean_cpu, seeded
from thinfile.training.loop import train

SCORING_ROWS, TABLE_STEPS, IMAGE_STEPS = 8_192, 200, 3_000
KEPT = ("n_members", "n_unlabelled", "best_step")
MAX_CATEGORIES = 50
"""Largest vocabulary of a column: each word is a column of made rows."""


class SGANClassifier(Estimator):
    """Semi-supervised GAN: classes from a handful of labels and many rows without.

    The discriminator tells made rows from real ones and names the class of the real ones. Use it
    with about 50 labels of the rarer class and thousands of unlabelled rows, and for images. With
    several hundred labels of each class boosted trees are as good and faster; without unlabelled
    rows it is a small network. It gives no reasons for a score.

    It does not collapse as the published recipe (`SGANClassifier.reference`) does: learning rates
    fall to zero, the weights that score are averages, the generator matches features, layers are
    spectrally normalised, and the step is chosen by the average precision of labels that the
    scoring member has not seen.

    Parameters
    ----------
    widths : "auto" or sequence of int ≥ 1
        Hidden units of the discriminator (tables: 64, 32), or channels of its strided
        convolutions (images: 32, 64, 128). The last is the number of features matched.
    generator_widths : "auto" or sequence of int ≥ 1
        Hidden units of the generator (tables: 64, 64); two numbers of channels for images.
    n_latent : int ≥ 1
        Noise numbers per made row; more than columns is fine, as nothing is squeezed through.
    norm : {"auto", "spectral", "batch", None}
        "auto": spectral for tables, None for images.
    dropout : "auto" or float in [0, 1)
        "auto": 0.5 for tables, 0 for images.
    two_heads : bool
        False: K classes whose sum says "real" (K + 1 classes, Salimans et al.). True: a class
        head with K + 1 outputs beside a real-or-made head (Odena; the reference).
    feature_matching : bool
        Whether the generator matches mean features, or wants to be taken for real.
    separate_batches : bool
        Whether real and made rows are two updates of the discriminator instead of one.
    class_loss : {"mean", "printed"}
        "printed" divides the mean by the rows of half a batch, as the reference does.
    adversarial_weight : float ≥ 0
        Weight of telling real from made.
    common_weight : "auto" or float ≥ 0
        Weight of taking unlabelled rows for the commonest class. "auto": 1 for two classes of
        which one has less than a quarter of the labels (fraud), 0 otherwise.
    consistency_weight : "auto" or float ≥ 0
        Weight of naming two views of an unlabelled row alike. "auto": 1 for images, else 0.
    threshold, max_shift, max_turn : float in [0, 1), int ≥ 0, float from 0 to 180
        Certainty from which a view teaches the other; pixels and degrees of an image's views.
    input_noise : "auto" or float ≥ 0
        Deviation of the noise on the discriminator's real rows, in units of the scaled columns.
        "auto": 0.1 for tables, 0 for images.
    scaling : {"standard", "quantile", "minmax", "unit"}
        Of numbers: deviation 1; normal scores; −1…1; 0…1 (the reference, whose generator ends
        in tanh as with −1…1: the sign gives made rows away).
    max_steps : "auto" or int ≥ 1
        Steps, each one update of the discriminator (two with `separate_batches`) and one of the
        generator. "auto": 200 for tables, 3,000 for images.
    batch_size : int ≥ 4
        Half of it are the rows of each kind (labelled, unlabelled, made) in a step.
    learning_rate, generator_learning_rate : float > 0
        Of Adam with β₁ = 0.5.
    decay : bool
        Whether the learning rates fall to zero along a half cosine.
    average : float in (0, 1), optional
        Decay of the averaged weights that score; None scores with the last ones.
    keep : {"best", "last"}
        "best": the step with the best cross-validated average precision, where there are several
        members and 5 labels of each class.
    n_members : "auto" or int ≥ 1
        Networks that train side by side and score together. "auto": 5 for tables, 1 for images,
        which can have one only.
    check_every : int ≥ 1
        Steps between two checks.
    max_unlabelled : int ≥ 0
        Unlabelled rows that are used, drawn at random; 0 uses none.
    image_shape : tuple of int, optional
        ``(height, width)`` or ``(height, width, channels)`` of flat rows of pixels.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile. Populations are not told apart. Probabilities are for
        the labels' own rate of each class; with ``target_rate=None`` they are the balanced
        training's.
    device : str
        "auto" takes a GPU where there is one.

    Attributes
    ----------
    network_ : Discriminator
    n_members_ : int
    best_step_ : int or None
        Step that was kept; None where the last was.
    history_ : list of dict
        Loss terms and ``validation_ap`` (cross-validated) of each check.

    References
    ----------
    Salimans et al., Improved techniques for training GANs, NeurIPS 2016. Odena, Semi-supervised
    learning with generative adversarial networks, 2016. Miyato et al., Spectral normalization for
    generative adversarial networks, ICLR 2018. Sohn et al., FixMatch, NeurIPS 2020.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> y = np.where(np.arange(300) < 60, X[:, 0] > 0, -1)
    >>> model = SGANClassifier(max_steps=30, random_state=0).fit(X, y)
    >>> model.predict_proba(X).shape
    (300, 2)
    """

    _multi_class: ClassVar[bool] = True
    _image_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    _rules: ClassVar[Mapping[str, Rule]] = SGAN_RULES

    def __init__(
        self,
        *,
        widths: Sequence[int] | str = "auto",
        generator_widths: Sequence[int] | str = "auto",
        n_latent: int = 16,
        norm: str | None = "auto",
        dropout: float | str = "auto",
        two_heads: bool = False,
        feature_matching: bool = True,
        separate_batches: bool = False,
        class_loss: str = "mean",
        adversarial_weight: float = 1.0,
        common_weight: float | str = "auto",
        consistency_weight: float | str = "auto",
        threshold: float = 0.95,
        max_shift: int = 2,
        max_turn: float = 15.0,
        input_noise: float | str = "auto",
        scaling: str = "standard",
        max_steps: int | str = "auto",
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        generator_learning_rate: float = 1e-3,
        decay: bool = True,
        average: float | None = 0.995,
        keep: str = "best",
        n_members: int | str = "auto",
        check_every: int = 25,
        max_unlabelled: int = 20_000,
        image_shape: Sequence[int] | None = None,
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.widths = widths
        self.generator_widths = generator_widths
        self.n_latent = n_latent
        self.norm = norm
        self.dropout = dropout
        self.two_heads = two_heads
        self.feature_matching = feature_matching
        self.separate_batches = separate_batches
        self.class_loss = class_loss
        self.adversarial_weight = adversarial_weight
        self.common_weight = common_weight
        self.consistency_weight = consistency_weight
        self.threshold = threshold
        self.max_shift = max_shift
        self.max_turn = max_turn
        self.input_noise = input_noise
        self.scaling = scaling
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.generator_learning_rate = generator_learning_rate
        self.decay = decay
        self.average = average
        self.keep = keep
        self.n_members = n_members
        self.check_every = check_every
        self.max_unlabelled = max_unlabelled
        self.image_shape = image_shape
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.device = device
        self.random_state = random_state

    @classmethod
    def reference(cls, **changes: Any) -> Self:
        """The published recipe, which collapses; `changes` replace single arguments.

        Which argument undoes which fault stands in `thinfile.generative.sgan_reference`.
        """
        return cls(**(REFERENCE | changes))

    # Fit -------------------------------------------------------------------------------------

    def _make_encoder(self) -> MixedEncoder:
        scaling = "minmax" if self.scaling == "unit" else self.scaling
        low = -1.0 if self.scaling == "minmax" else 0.0
        return MixedEncoder(self.schema_, scaling=scaling, low=low, max_categories=MAX_CATEGORIES)

    def _load_encoder(self, state: State) -> MixedEncoder:
        return MixedEncoder.from_state(state.values["encoder"])

    def _fit(self, data: TrainingData) -> None:
        counts = count_labels(data.y, self.classes_.tolist())
        self.notes_ += self.encoder_.notes_
        is_image = isinstance(self.encoder_, ImageEncoder)
        self.n_members_ = choose_members(self.n_members, is_image=is_image, notes=self.notes_)
        device = choose_device(self.device)
        with seeded(self.random_state, device) as seed, lean_cpu():
            rng = np.random.default_rng(seed)
            rows, y = self._rows(data, rng, device)
            self._n_drawn = choose_batch(self.batch_size, counts, self.n_unlabelled_, self.notes_)
            self._fold = choose_folds(y, self.n_members_, self.keep, rng, self.notes_)
            weight = choose_common_weight(self.common_weight, counts, self.n_unlabelled_)
            # Without a target rate the balanced training's own probabilities stay.
            self._log_prior = prior_shift(counts, weight) * (self.target_rate is not None)
            self.network_ = self._layout().discriminator().to(device)
            self._train(rows, y, self._settings(weight, int(counts.argmax())))
        self.network_.cpu()

    def _rows(
        self, data: TrainingData, rng: np.random.Generator, device: torch.device
    ) -> tuple[SganRows, npt.NDArray[np.int8]]:
        labelled = np.flatnonzero(data.is_labelled)
        others = choose_unlabelled(data.y, self.max_unlabelled, rng)
        self.n_unlabelled_ = len(others)
        if not len(others):
            others = labelled  # real rows, all the same
        y = data.y[labelled]
        rows = SganRows(
            labelled=self._to_tensor(data.encoded.take(labelled)).to(device),
            y=torch.from_numpy(y.astype(np.int64)).to(device),
            unlabelled=self._to_tensor(data.encoded.take(others)).to(device),
        )
        return rows, y

    def _train(self, rows: SganRows, y: npt.NDArray[np.int8], settings: SganSettings) -> None:
        n_steps = self._auto("max_steps", TABLE_STEPS, IMAGE_STEPS)
        networks = self._layout().networks(self.network_).to(rows.y.device)
        phases = SganTraining(networks, settings).phases(n_steps)
        table = ClassTable(y, len(self.classes_), self._fold, self.n_members_)
        sizes = split_batch(self._n_drawn, is_image=isinstance(self.encoder_, ImageEncoder))
        history = train(
            networks,
            phases,
            SganBatches(rows, table, n_steps * len(phases), *sizes),
            max_epochs=1,
            check=lambda: self._check(rows.labelled, y),
            check_every=self.check_every * len(phases),
            monitor=None if self._fold is None else "validation_ap",
            average=self.average,
        )
        for record in history:
            self.history_.append({**record, "step": int(record["step"] or 0) // len(phases)})
        self.best_step_ = history.best_step and history.best_step // len(phases)

    def _check(self, rows: Tensor, y: npt.NDArray[np.int8]) -> dict[str, float]:
        """Average precision of the labels that the scoring member has not seen."""
        if self._fold is None:
            return {}
        unseen = self._logits(rows)[self._fold, np.arange(len(y))]  # (rows, classes)
        return {"validation_ap": mean_ap(y, unseen)}

    def _settings(self, common_weight: float, common: int) -> SganSettings:
        weight, made_weight = class_weights(self.class_loss, len(self.classes_), self._n_drawn)
        chosen = {
            "n_classes": len(self.classes_),
            "class_weight": weight,
            "made_class_weight": made_weight,
            "common": common,
            "common_weight": common_weight,
            "consistency_weight": self._auto("consistency_weight", 0.0, 1.0),
            "input_noise": self._auto("input_noise", 0.1, 0.0),
            "image_shape": self._layout().image_shape,
            "has_unlabelled": self.n_unlabelled_ > 0,
        }
        return SganSettings(**given_settings(self.get_params(deep=False)) | chosen)

    def _auto(self, name: str, for_tables: Any, for_images: Any) -> Any:
        given = getattr(self, name)
        if given != "auto":
            return given
        return for_images if isinstance(self.encoder_, ImageEncoder) else for_tables

    def _layout(self) -> SganLayout:
        encoder = self.encoder_
        return SganLayout(
            widths=self.widths,
            generator_widths=self.generator_widths,
            n_latent=self.n_latent,
            norm=self.norm,
            dropout=self._auto("dropout", 0.5, 0.0),
            n_members=self.n_members_,
            n_outputs=len(self.classes_) + (2 if self.two_heads else 0),
            n_numbers=len(encoder.number_names_),
            cardinalities=tuple(encoder.cardinalities_),
            image_shape=encoder.shape_ if isinstance(encoder, ImageEncoder) else None,
            squash=self.scaling in ("minmax", "unit"),
        )

    def _to_tensor(self, encoded: Encoded) -> Tensor:
        return as_columns(encoded, self.encoder_.cardinalities_)

    # Scores ----------------------------------------------------------------------------------

    @torch.no_grad()
    def _logits(self, rows: Tensor) -> FloatArray:
        """Logits of the classes by each member, shape (members, rows, classes)."""
        outputs, _ = self.network_(rows.expand(self.n_members_, -1, -1))
        logits: FloatArray = outputs[..., : len(self.classes_)].double().cpu().numpy()
        return logits

    def _probability(self, encoded: Encoded) -> FloatArray:
        device = next(self.network_.parameters()).device
        parts = []
        with lean_cpu():
            for start in range(0, len(encoded), SCORING_ROWS):
                rows = np.arange(start, min(start + SCORING_ROWS, len(encoded)))
                part = self._logits(self._to_tensor(encoded.take(rows)).to(device))
                parts.append(part.mean(axis=0) + self._log_prior)
        probability: FloatArray = softmax(np.concatenate(parts), axis=1)
        return probability[:, 1] if probability.shape[1] == 2 else probability

    def get_weights(self) -> dict[str, npt.NDArray[Any]]:
        """Every weight and running statistic of the discriminator by name, as copies."""
        check_is_fitted(self, "network_")
        return get_weights(self.network_)

    def set_weights(self, weights: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Replace the discriminator's weights by arrays of the same names and shapes.

        Raises
        ------
        ArtifactError
            If a name is missing or unknown, or a shape differs.
        """
        check_is_fitted(self, "n_members_")
        network = self._layout().discriminator().eval()
        set_weights(network, weights)
        self.network_ = network
        return self

    def _state(self) -> State:
        values = {name: getattr(self, f"{name}_") for name in KEPT}
        values["log_prior"] = self._log_prior.tolist()
        return State(values=values, arrays=self.get_weights())

    def _load(self, state: State) -> None:
        for name in KEPT:
            setattr(self, f"{name}_", state.values[name])
        self._log_prior = np.asarray(state.values["log_prior"])
        self.set_weights(state.arrays)
