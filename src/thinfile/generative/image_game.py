"""The game of a GAN on images: batches, classes, packs, and what is measured on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from thinfile import params
from thinfile.generative.adversarial import latent
from thinfile.generative.duel import Drawn
from thinfile.generative.realness import nearest_distances, realness, repeated
from thinfile.nn.gan import ImageDiscriminator, ImageGenerator
from thinfile.params import Rule

MADE_AT_ONCE = 512
N_COMPONENTS = 24
Images = npt.NDArray[np.float32]

_WIDTHS, _TEXT = params.sequence_of(params.integer(1), min_length=2)
TWO_WIDTHS: Rule = (
    lambda v: _WIDTHS(v) and len(v) == 2,
    _TEXT.replace("at least 2", "exactly 2"),
)


class ImageGame:
    """Both networks of a GAN on images, and all that they are given.

    Parameters
    ----------
    shape : (channels, height, width)
    n_classes : int
        0 without labels.
    tricks : mapping
    n_latent : int
    widths, discriminator_widths : (int, int)
    dropout : float
        Of the discriminator.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        n_classes: int,
        tricks: Mapping[str, Any],
        *,
        n_latent: int,
        widths: Sequence[int],
        discriminator_widths: Sequence[int],
        dropout: float,
    ) -> None:
        self.shape, self.n_classes = shape, n_classes
        self.tricks, self.n_latent = tricks, n_latent
        self.class_counts = torch.ones(n_classes)
        packing = tricks["packing"]
        self.generator: nn.Module = ImageGenerator(
            n_latent + n_classes,
            shape,
            widths,
            batch_norm=tricks["batch_norm"],
            dropout=tricks["generator_dropout"],
        )
        self.discriminator: nn.Module = ImageDiscriminator(
            (packing * shape[0], *shape[1:]),
            discriminator_widths,
            n_classes=packing * n_classes,
            dropout=dropout,
            batch_norm=tricks["batch_norm"],
            normed=tricks["spectral_norm"],
        )
        self.measure: Callable[[], Mapping[str, float]] = dict

    def give(
        self, pixels: Images, labels: npt.NDArray[np.int64] | None, batch_size: int, device: Any
    ) -> None:
        """The training images, (n, pixels) from −1 to 1, and their classes."""
        shown = pixels if self.tricks["input_scaling"] else (pixels + 1) / 2
        self._images = torch.from_numpy(shown).reshape(-1, *self.shape)
        self._labels = None if labels is None or not self.n_classes else torch.from_numpy(labels)
        if self._labels is not None:
            self.class_counts = torch.bincount(self._labels, minlength=self.n_classes).float()
        self._batch_size, self._device = batch_size, device

    def draw(self) -> Drawn:
        """Real images."""
        rows = torch.randint(len(self._images), (self._batch_size,))
        x = self._images.index_select(0, rows).to(self._device)
        if self._labels is None:
            return Drawn(x)
        return Drawn(x, self._one_hot(self._labels[rows]).to(self._device))

    def latent(self) -> Tensor:
        """As many z as a batch has images."""
        spherical = self.tricks["spherical_latent"]
        return latent(self._batch_size, self.n_latent, spherical, self._device)

    def make(self, z: Tensor, drawn: Drawn) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Images of the classes of the drawn ones."""
        if drawn.condition is not None:
            z = torch.cat([z, drawn.condition], 1)
        return self.generator(z), {}

    def judge(self, judge: nn.Module, x: Tensor, condition: Tensor | None) -> Tensor:
        """Score of each pack."""
        score: Tensor = judge(*self._pack(x, condition))
        return score

    def slope(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Gradient of each pack's score by its pixels."""
        packed, told = self._pack(x, condition)
        packed = packed.detach().requires_grad_()
        score = self.discriminator(packed, told).sum()
        return torch.autograd.grad(score, packed, create_graph=True)[0]

    def forget(self) -> None:
        """Let go of the training images."""
        del self._images
        self._labels = None
        self.measure = dict

    @torch.no_grad()
    def images(self, n_images: int, labels: Tensor | None = None) -> Images:
        """Made images, (n, pixels) from −1 to 1; classes drawn by their frequency if not given."""
        device = next(self.generator.parameters()).device
        if self.n_classes and labels is None:
            labels = torch.multinomial(self.class_counts, n_images, replacement=True)
        parts = []
        for start in range(0, n_images, MADE_AT_ONCE):
            stop = min(start + MADE_AT_ONCE, n_images)
            z = latent(stop - start, self.n_latent, self.tricks["spherical_latent"], device)
            if labels is not None:
                z = torch.cat([z, self._one_hot(labels[start:stop]).to(device)], 1)
            parts.append(self.generator(z).flatten(1).cpu())
        made: Images = torch.cat(parts).numpy()
        return made if self.tricks["input_scaling"] else 2 * np.clip(made, 0, 1) - 1

    def measure_beside(self, pixels: Images, n_images: int, seed: int) -> None:
        """Follow quality on the largest principal components of real images."""
        space = ImageSpace(pixels, seed)
        real = space(pixels[np.random.default_rng(seed).permutation(len(pixels))[:n_images]])
        near = float(np.quantile(nearest_distances(real), 0.01)) / 2

        def measure() -> dict[str, float]:
            made = space(self.images(len(real)))
            if not np.isfinite(made).all():
                return {"quality": np.nan}
            duplicates = repeated(made, tolerance=max(near, 1e-6))
            return realness(real, made, seed=seed) | {"duplicates": duplicates}

        self.measure = measure

    def _one_hot(self, labels: Tensor) -> Tensor:
        return nn.functional.one_hot(labels, self.n_classes).float()

    def _pack(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Images of a pack lie behind one another as channels."""
        packing = self.tricks["packing"]
        if packing == 1:
            return x, condition
        n_packs = len(x) // packing
        told = None if condition is None else condition.reshape(n_packs, -1)
        return x.reshape(n_packs, -1, *x.shape[2:]), told


class ImageSpace:
    """Largest principal components of training images: a space to measure images in.

    Parameters
    ----------
    pixels : (images, pixels)
    seed : int
        At most 5,000 images are looked at.
    """

    def __init__(self, pixels: Images, seed: int) -> None:
        rows = np.random.default_rng(seed).permutation(len(pixels))[:5000]
        some = pixels[rows].astype(np.float64)
        self._mean = some.mean(0)
        centred = some - self._mean
        _, vectors = np.linalg.eigh(centred.T @ centred)
        self._axes = vectors[:, ::-1][:, :N_COMPONENTS]

    def __call__(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """(images, pixels) -> (images, components)"""
        where: npt.NDArray[np.float64] = (pixels - self._mean) @ self._axes
        return where
