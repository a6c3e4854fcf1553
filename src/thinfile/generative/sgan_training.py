"""The turns of an SGAN: what discriminator and generator lower, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from thinfile.generative.sgan_draws import Drawn
from thinfile.generative.sgan_losses import (
    class_loss,
    consistency,
    constant_class_loss,
    feature_matching,
    is_made,
    is_real,
    real_log_odds,
    real_or_made,
    shifted,
    turned,
)
from thinfile.training.phase import Phase

BETAS = (0.5, 0.999)
Terms = dict[str, Tensor]


@dataclass(frozen=True)
class SganSettings:
    """How an SGAN trains, apart from its layers; the names are the classifier's arguments."""

    n_classes: int
    two_heads: bool
    feature_matching: bool
    separate_batches: bool
    class_weight: float
    made_class_weight: float
    adversarial_weight: float
    common: int
    common_weight: float
    consistency_weight: float
    threshold: float
    max_shift: int
    max_turn: float
    input_noise: float
    image_shape: tuple[int, int, int] | None
    learning_rate: float
    generator_learning_rate: float
    decay: bool
    has_unlabelled: bool


def given_settings(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a classifier's arguments that are settings."""
    names = {field.name for field in fields(SganSettings)}
    return {name: value for name, value in arguments.items() if name in names}


class SganTraining:
    """The phases of one run; `networks` holds ``discriminator`` and ``generator``."""

    def __init__(self, networks: nn.ModuleDict, settings: SganSettings) -> None:
        self.discriminator, self.generator = networks["discriminator"], networks["generator"]
        self.settings = settings

    def phases(self, n_steps: int) -> list[Phase]:
        """The turns of one step; the learning rates fall to 0 over `n_steps` if asked to."""
        own = self.settings
        losses = [self.on_both]
        if own.separate_batches:
            losses = [self.on_real, self.on_made]
        n_turns = n_steps * (len(losses) + 1)
        to_discriminate = _adam(self.discriminator, own.learning_rate)
        weights = {"common": own.common_weight, "consistency": own.consistency_weight}
        weights |= dict.fromkeys(("real_fake", "real", "made"), own.adversarial_weight)
        phases = [
            Phase(
                to_discriminate,
                loss,
                {k: w for k, w in weights.items() if k in self._names(loss)},
                learning_rate=_schedule(own.learning_rate, n_turns, own.decay),
            )
            for loss in losses
        ]
        rate = own.generator_learning_rate
        made = _adam(self.generator, rate)
        return [
            *phases,
            Phase(made, self.of_generator, learning_rate=_schedule(rate, n_turns, own.decay)),
        ]

    def _names(self, loss: Callable[[Drawn], Terms]) -> tuple[str, ...]:
        if loss == self.on_made:
            return ("made",)
        names = ["real"] if loss == self.on_real else ["real_fake"]
        own = self.settings
        names += ["common"] if own.common_weight else []
        names += ["consistency"] if own.consistency_weight else []
        return tuple(names)

    # Discriminator ---------------------------------------------------------------------------

    def on_both(self, batch: Drawn) -> Terms:
        """Labelled, unlabelled and made rows in one pass."""
        x, y = batch.labelled()
        rows = batch.unlabelled()
        sizes = [x.shape[1], rows.shape[1], x.shape[1]]
        parts = [self._changed(x), self._changed(rows), self._made(sizes[2])]
        outputs, _ = self.discriminator(torch.cat(parts, dim=1))
        labelled, unlabelled, made = torch.split(outputs, sizes, dim=1)
        terms = {
            "class": self.settings.class_weight * class_loss(self._classes(labelled), y),
            "real_fake": real_or_made(self._real(unlabelled), self._real(made)),
        }
        if self.settings.two_heads:
            weight = self.settings.made_class_weight
            terms["made_class"] = weight * self._made_class(made)
        return terms | self._from_unlabelled(unlabelled, rows)

    def on_real(self, batch: Drawn) -> Terms:
        """Real rows alone, as the reference has it: batch normalisation sees one kind only."""
        x, y = batch.labelled()
        rows = batch.unlabelled() if self.settings.has_unlabelled else x
        parts = [self._changed(x)]
        if self.settings.has_unlabelled:
            parts.append(self._changed(rows))
        outputs, _ = self.discriminator(torch.cat(parts, dim=1))
        labelled, unlabelled = outputs[:, : x.shape[1]], outputs[:, -rows.shape[1] :]
        terms = {
            "class": self.settings.class_weight * class_loss(self._classes(labelled), y),
            "real": 0.5 * is_real(self._real(unlabelled)),
        }
        return terms | self._from_unlabelled(unlabelled, rows)

    def on_made(self, batch: Drawn) -> Terms:
        """Made rows alone."""
        outputs, _ = self.discriminator(self._made(batch.labelled_at.shape[1]))
        terms = {"made": 0.5 * is_made(self._real(outputs))}
        if self.settings.two_heads:
            terms["made_class"] = self.settings.made_class_weight * self._made_class(outputs)
        return terms

    def _from_unlabelled(self, outputs: Tensor, rows: Tensor) -> Terms:
        own = self.settings
        terms: Terms = {}
        if own.common_weight:
            terms["common"] = constant_class_loss(self._classes(outputs), own.common)
        if own.consistency_weight:
            with torch.no_grad():
                weak, _ = self.discriminator(self._changed(rows, by=0.5))
            classes = self._classes(weak)
            terms["consistency"] = consistency(classes, self._classes(outputs), own.threshold)
        return terms

    # Generator -------------------------------------------------------------------------------

    def of_generator(self, batch: Drawn) -> Terms:
        """Feature matching, or being taken for real."""
        n = batch.labelled_at.shape[1]
        if not self.settings.feature_matching:  # as many rows as of both kinds together
            outputs, _ = self.discriminator(self.generator(2 * n))
            return {"generator": is_real(self._real(outputs))}
        _, features = self.discriminator(self.generator(n))
        with torch.no_grad():
            _, real = self.discriminator(batch.unlabelled()[:, :n])
        return {"generator": feature_matching(features, real)}

    # Parts -----------------------------------------------------------------------------------

    def _made(self, n_rows: int) -> Tensor:
        with torch.no_grad():
            made: Tensor = self.generator(n_rows)
        return made

    def _changed(self, rows: Tensor, by: float = 1.0) -> Tensor:
        """Rows a little changed: images shifted, numbers with noise."""
        own = self.settings
        if own.image_shape is not None:
            rows = shifted(rows, own.image_shape, round(by * own.max_shift), fill=-1.0)
            rows = turned(rows, own.image_shape, own.max_turn if by == 1.0 else 0.0, fill=-1.0)
        return rows + by * own.input_noise * torch.randn_like(rows) if own.input_noise else rows

    def _classes(self, outputs: Tensor) -> Tensor:
        """Logits of the classes, the made one included where there are two heads."""
        return outputs[..., :-1] if self.settings.two_heads else outputs

    def _real(self, outputs: Tensor) -> Tensor:
        return outputs[..., -1] if self.settings.two_heads else real_log_odds(outputs)

    def _made_class(self, outputs: Tensor) -> Tensor:
        return constant_class_loss(self._classes(outputs), self.settings.n_classes)


def _adam(module: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(module.parameters(), lr=rate, betas=BETAS, fused=True)


def _schedule(rate: float, n_turns: int, decay: bool) -> Callable[[int], float] | None:
    if not decay:
        return None
    return lambda turn: rate * 0.5 * (1.0 + math.cos(math.pi * min(turn / n_turns, 1.0)))
