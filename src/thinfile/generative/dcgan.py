"""A convolutional GAN for small images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted

from thinfile import params
from thinfile.data.images import ImageEncoder
from thinfile.data.row_hash import known
from thinfile.errors import DataError
from thinfile.generative.adversarial import Run, make_run, whole_packs
from thinfile.generative.alike import CANDIDATES, choose_alike
from thinfile.generative.image_game import TWO_WIDTHS, ImageGame, ImageSpace
from thinfile.generative.networks_state import PickledByState, get_both, set_both
from thinfile.generative.new_rows import MAX_ROUNDS, image_hashes
from thinfile.generative.tricks import trick_values
from thinfile.params import Rule
from thinfile.random_state import RandomState, seed_from
from thinfile.table_model import UNLABELLED, State, TableData, TableModel, read_labels
from thinfile.training.device import choose_device, lean_cpu, seeded

Images = npt.NDArray[np.float32]

REFERENCE_TRICKS: Mapping[str, Any] = {
    "loss": "non_saturating",
    "input_scaling": True,
    "separate_batches": True,
    "soft_labels": 0.1,
    "noisy_labels": 0.05,
}
"""Inputs from −1 to 1, soft (0.9) and noisy labels, real and made batches apart."""

DEFAULT_TRICKS: Mapping[str, Any] = {
    **REFERENCE_TRICKS,
    "class_labels": True,
    "weight_average": 0.99,
}
MEASURED_IMAGES = 1000
LEAST_SIDE = 4


class DCGAN(PickledByState, TableModel):
    """Convolutional GAN: makes images like those it was fitted to.

    Use it on small grey or coloured images of one size (digits, patches), thousands of them. Do
    not use it on tables (`TableGAN`), nor where a likelihood or a reconstruction is needed (`VAE`).
    On one core an epoch of 60,000 digits takes minutes.

    Parameters
    ----------
    n_latent : int ≥ 1
        Width of z, the noise; above the number of pixels is fine, as nothing is squeezed through.
    widths : (int, int)
        Channels of the generator: after the dense layer, after the first convolution.
    discriminator_widths : (int, int)
        Channels of the discriminator's strided convolutions.
    dropout : float in [0, 1)
        Of the discriminator.
    tricks : mapping, sequence of names, or None
        Over the default (`DEFAULT_TRICKS`): see `thinfile.generative.tricks.TRICKS`.
    image_shape : (height, width) or (height, width, channels), optional
        For images given as flat rows.
    max_epochs : int ≥ 1
    max_steps : int ≥ 1, optional
        Ends the training if it comes first.
    batch_size : int ≥ 2
    learning_rate, discriminator_rate : float > 0
        Of Adam; the second None: as the first.
    beta : float in [0, 1)
        Adam's first β; the second is 0.999.
    n_discriminator_steps : int ≥ 1
        Updates of the discriminator for one of the generator.
    n_checks : int ≥ 1
        Times that quality, spread and duplicates are measured.
    patience : int ≥ 1
        Checks in a row with a sign of failure before the run counts as gone off.
    restore_best : bool
        End with the weights of the check with the best quality.
    device : str
        "auto" takes a GPU where there is one.
    schema, random_state
        As in every model of thinfile.

    Attributes
    ----------
    history_ : list of dict
        One record for each check: both losses, accuracies of the discriminator on real and made
        images, ``quality``, ``told_apart``, ``distance``, ``spread`` and ``duplicates``, all on the
        24 largest principal components of training images.
    gone_off_ : str or None
        What went wrong, if the run went off; also in `notes_`.
    classes_ : ndarray
        Where `fit` was given labels.

    Raises
    ------
    DataError
        Images of different sizes, too small or too few ones.
    TrainingError
        A loss is not finite before the first check.

    References
    ----------
    Goodfellow et al., "Generative adversarial nets", NeurIPS 2014. Radford, Metz and Chintala,
    "Unsupervised representation learning with deep convolutional GANs", ICLR 2016.

    Examples
    --------
    >>> images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    >>> model = DCGAN(max_steps=2, batch_size=8, n_checks=1, random_state=0).fit(images)
    >>> model.sample(3, random_state=0).shape
    (3, 8, 8)
    """

    _image_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    _rules: ClassVar[Mapping[str, Rule]] = {
        "n_latent": params.integer(1),
        "widths": TWO_WIDTHS,
        "discriminator_widths": TWO_WIDTHS,
        "dropout": params.real(0, 1, bounds="[)"),
        "image_shape": params.optional(params.sequence_of(params.integer(1), min_length=2)),
        "max_epochs": params.integer(1),
        "max_steps": params.optional(params.integer(1)),
        "batch_size": params.integer(2),
        "learning_rate": params.real(0, bounds="()"),
        "discriminator_rate": params.optional(params.real(0, bounds="()")),
        "beta": params.real(0, 1, bounds="[)"),
        "n_discriminator_steps": params.integer(1),
        "n_checks": params.integer(1),
        "patience": params.integer(1),
        "restore_best": params.boolean(),
    }

    def __init__(
        self,
        *,
        n_latent: int = 100,
        widths: Sequence[int] = (128, 64),
        discriminator_widths: Sequence[int] = (64, 128),
        dropout: float = 0.3,
        tricks: Mapping[str, Any] | Sequence[str] | None = None,
        image_shape: Sequence[int] | None = None,
        max_epochs: int = 10,
        max_steps: int | None = None,
        batch_size: int = 128,
        learning_rate: float = 2e-4,
        discriminator_rate: float | None = None,
        beta: float = 0.5,
        n_discriminator_steps: int = 1,
        n_checks: int = 20,
        patience: int = 3,
        restore_best: bool = True,
        device: str = "auto",
        schema: Any = None,
        random_state: RandomState = None,
    ) -> None:
        self.n_latent = n_latent
        self.widths = widths
        self.discriminator_widths = discriminator_widths
        self.dropout = dropout
        self.tricks = tricks
        self.image_shape = image_shape
        self.max_epochs = max_epochs
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.discriminator_rate = discriminator_rate
        self.beta = beta
        self.n_discriminator_steps = n_discriminator_steps
        self.n_checks = n_checks
        self.patience = patience
        self.restore_best = restore_best
        self.device = device
        self.schema = schema
        self.random_state = random_state

    @classmethod
    def reference(cls, **changes: Any) -> Self:
        """The settings of the reference: digits, batch 128, 50 epochs, soft and noisy labels.

        z of 100 → dense 7·7·128 → up-sample → 64 of 5×5 → up-sample → 1 of 5×5, tanh; two strided
        convolutions of 64 and 128 with dropout 0.3; weights N(0, 0.02); Adam 0.0002, β 0.5.
        """
        off = dict.fromkeys(set(DEFAULT_TRICKS) - set(REFERENCE_TRICKS), False)
        given: dict[str, Any] = {"tricks": {**REFERENCE_TRICKS, **off}, "max_epochs": 50}
        return cls(**{**given, **changes})

    # Making images ---------------------------------------------------------------------------

    def sample(self, n: int, *, label: Any = None, random_state: RandomState = None) -> Images:
        """Make images, none of which is a training image.

        Parameters
        ----------
        n : int ≥ 1
        label : optional
            One of `classes_`, where `fit` was given labels.
        random_state
            Makes the images repeatable.

        Returns
        -------
        ndarray of shape (n, height, width) or (n, height, width, 3)
            From 0 to 1.
        """
        check_is_fitted(self, "hashes_")
        params.check_params(type(self).__name__, {"n": n}, {"n": params.integer(1)})
        place = self._class_place(label)
        with seeded(random_state), lean_cpu():

            def draw(n_images: int) -> Images:
                labels = None if place is None else torch.full((n_images,), place)
                return self.game_.images(n_images, labels)

            return self._pictures(self._new(draw, n))

    def sample_like(self, X: Any, n: int, *, random_state: RandomState = None) -> Images:
        """Make images of the kind of X: of ten times as many, those that look most like it.

        Parameters
        ----------
        X
            Images as at `fit`, one or more.
        n : int ≥ 1
        random_state
            Makes the images repeatable.
        """
        check_is_fitted(self, "hashes_")
        params.check_params(type(self).__name__, {"n": n}, {"n": params.integer(1)})
        wanted = self._encode(X).numbers
        with seeded(random_state) as seed, lean_cpu():
            rng = np.random.default_rng(seed)

            def draw(n_images: int) -> Images:
                made = self.game_.images(max(200, CANDIDATES * n_images))
                space = ImageSpace(made, 0)
                chosen = choose_alike(space(made), space(wanted), n_images, seed_from(rng))
                return made[chosen]

            return self._pictures(self._new(draw, n))

    def _new(self, draw: Any, n: int) -> Images:
        """Images that are no training images, (n, pixels)."""
        parts, lacking = [], n
        for _ in range(MAX_ROUNDS):
            made = draw(lacking)
            made = made[~known(image_hashes(_bytes(made)), self.hashes_)]
            parts.append(made)
            lacking -= len(made)
            if not lacking:
                return np.concatenate(parts)
        raise DataError(
            f"{type(self).__name__}: {lacking} of {n} images could not be made: all others in "
            f"{MAX_ROUNDS} rounds are training images"
        )

    def _pictures(self, pixels: Images) -> Images:
        images = self.encoder_.decode(pixels)
        shown: Images = images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(shown)

    def _class_place(self, label: Any) -> int | None:
        if label is None:
            return None
        if not self.game_.n_classes or label not in self.classes_:
            known_labels = self.classes_.tolist() if self.game_.n_classes else "none"
            raise DataError(
                f"{type(self).__name__}: label={label!r} is none that the fit knew ({known_labels})"
            )
        return int(np.searchsorted(self.classes_, label))

    # The fit ---------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit to images.

        Parameters
        ----------
        X
            Array (n, height, width[, channels]) or list of arrays; flat rows with `image_shape`.
        y : array-like of shape (n,), optional
            Any classes; with ``class_labels``, images of a class can be asked for. Images without
            a label (-1, None, NaN) are left out then.

        Raises
        ------
        ParameterError
            If constructor arguments break their rules.
        DataError
            If the images or labels cannot be used.
        TrainingError
            If a loss is not finite before the first check.
        """
        self._begin()
        tricks = trick_values(type(self).__name__, self.tricks, DEFAULT_TRICKS)
        rows = self._read_rows(X)
        labels = None
        if y is not None:
            labels, self.classes_ = read_labels(y, at_least=1, at_most=None, n_rows=len(rows))
        encoded, parsed = self._fit_encoder(rows)
        if not isinstance(self.encoder_, ImageEncoder):
            raise DataError(
                f"{type(self).__name__}: X is a table of {self.n_features_in_} columns: "
                "image_shape must say which height and width that is"
            )
        if labels is not None and tricks["class_labels"] and (labels == UNLABELLED).any():
            has_label = labels != UNLABELLED
            self.notes_.append(
                f"{(~has_label).sum()} of {len(labels)} images have no label: left out"
            )
            encoded, labels = encoded.take(has_label), labels[has_label]
        self._fit(TableData(encoded, parsed, labels))
        return self

    def _fit(self, data: TableData) -> None:
        tricks = trick_values(type(self).__name__, self.tricks, DEFAULT_TRICKS)
        pixels = data.encoded.numbers
        device = choose_device(self.device)
        self._check_size()
        batch_size = whole_packs(self, len(pixels), tricks["packing"], "images")
        self.hashes_ = np.unique(image_hashes(_bytes(pixels)))
        with seeded(self.random_state, device) as seed, lean_cpu():
            told = data.y is not None and tricks["class_labels"]
            self._build(tricks, len(self.classes_) if told else 0)
            self.game_.generator.to(device)
            self.game_.discriminator.to(device)
            labels = data.y.astype(np.int64) if told and data.y is not None else None
            self.game_.give(pixels, labels, batch_size, device)
            self.game_.measure_beside(pixels, min(MEASURED_IMAGES, len(pixels)), seed)
            run = self._run(tricks, len(pixels), batch_size)
            history = run.play()
            self.game_.forget()
        self.game_.generator.cpu()
        self.game_.discriminator.cpu()
        self.history_ = list(history.records)
        self.gone_off_ = run.gone_off
        if run.gone_off:
            self.notes_.append(run.gone_off)

    def _run(self, tricks: Mapping[str, Any], n_rows: int, batch_size: int) -> Run:
        per_epoch = -(-n_rows // batch_size)
        betas = (self.beta, 0.999)
        return make_run(self, self.game_, tricks, steps_per_epoch=per_epoch, betas=betas)

    def _check_size(self) -> None:
        _, height, width = self.encoder_.shape_
        if min(height, width) < LEAST_SIDE:
            raise DataError(
                f"{type(self).__name__}: images of {height} × {width} pixels, at least "
                f"{LEAST_SIDE} a side are needed"
            )

    def _build(self, tricks: Mapping[str, Any], n_classes: int) -> None:
        self.game_ = ImageGame(
            self.encoder_.shape_,
            n_classes,
            tricks,
            n_latent=self.n_latent,
            widths=self.widths,
            discriminator_widths=self.discriminator_widths,
            dropout=self.dropout,
        )

    # State -----------------------------------------------------------------------------------

    def _state(self) -> State:
        counts = self.game_.class_counts.tolist()
        classes = self.classes_.tolist() if self.game_.n_classes else []
        return State(
            values={"class_counts": counts, "classes": classes, "gone_off": self.gone_off_},
            arrays={"hashes": self.hashes_.view(np.int64), **get_both(self.game_)},
        )

    def _load(self, state: State) -> None:
        values, arrays = state.values, dict(state.arrays)
        self.hashes_ = arrays.pop("hashes").view(np.uint64)
        self.gone_off_ = values["gone_off"]
        self.classes_ = np.asarray(values["classes"])
        tricks = trick_values(type(self).__name__, self.tricks, DEFAULT_TRICKS)
        self._build(tricks, len(values["classes"]))
        self.game_.class_counts = torch.tensor(values["class_counts"])
        set_both(self.game_, arrays)


def _bytes(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Pixels from −1 to 1 as 0…255, for their hash."""
    shown: npt.NDArray[np.uint8] = np.round((np.clip(pixels, -1, 1) + 1) * 127.5).astype(np.uint8)
    return shown
