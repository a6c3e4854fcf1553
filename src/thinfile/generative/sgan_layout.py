"""Sizes of an SGAN's networks, from its arguments and from what comes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from thinfile.errors import ParameterError
from thinfile.generative.sgan_network import (
    Discriminator,
    ImageBody,
    ImageGenerator,
    TableBody,
    TableGenerator,
)

TABLE_WIDTHS, IMAGE_WIDTHS = (64, 32), (32, 64, 128)
TABLE_GENERATOR, IMAGE_GENERATOR = (64, 64), (64, 32)


@dataclass(frozen=True)
class SganLayout:
    """What the layers depend on; "auto" is settled by `image_shape`."""

    widths: Sequence[int] | str
    generator_widths: Sequence[int] | str
    n_latent: int
    norm: str | None
    dropout: float
    n_members: int
    n_outputs: int
    n_numbers: int
    cardinalities: tuple[int, ...]
    image_shape: tuple[int, int, int] | None
    squash: bool

    def discriminator(self) -> Discriminator:
        """A body for images or for tables, and the layer above it."""
        widths = self._auto(self.widths, TABLE_WIDTHS, IMAGE_WIDTHS)
        norm = self._auto(self.norm, "spectral", None)
        body: TableBody | ImageBody
        if self.image_shape is not None:
            body = ImageBody(self.image_shape, widths, norm, self.dropout)
        else:
            n_in = self.n_numbers + sum(self.cardinalities)
            body = TableBody(self.n_members, n_in, widths, norm, self.dropout)
        return Discriminator(body, self.n_members, self.n_outputs)

    def generator(self) -> TableGenerator | ImageGenerator:
        """What makes rows or images like those that come in."""
        widths = self._auto(self.generator_widths, TABLE_GENERATOR, IMAGE_GENERATOR)
        if self.image_shape is not None:
            if len(widths) != 2:
                raise ParameterError(
                    f"SGANClassifier: generator_widths={widths} must be two numbers of channels "
                    "for images"
                )
            return ImageGenerator(self.image_shape, self.n_latent, widths)
        return TableGenerator(
            self.n_members,
            self.n_latent,
            widths,
            self.n_numbers,
            self.cardinalities,
            squash=self.squash,
            norm=self.norm == "batch",
        )

    def networks(self, discriminator: Discriminator) -> nn.ModuleDict:
        """Both sides as one module."""
        return nn.ModuleDict({"discriminator": discriminator, "generator": self.generator()})

    def _auto(self, given: Any, for_tables: Any, for_images: Any) -> Any:
        if given != "auto":
            return given
        return for_tables if self.image_shape is None else for_images
