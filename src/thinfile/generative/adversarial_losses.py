"""What the two sides of a GAN lower, for each form of the game."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

CENTRE = {"least_squares": 0.5}
"""Score between made and real; 0 for every other loss but Wasserstein's, which has none."""


def discriminator_loss(
    kind: str, real: Tensor, fake: Tensor, *, soft: float = 0.0, noisy: float = 0.0
) -> Tensor:
    """How badly real rows are told from made ones; the mean of both sides, in one number.

    Parameters
    ----------
    kind : str
        One of `tricks.LOSSES`.
    real, fake : (packs,)
        Scores, higher for real.
    soft : float
        Taken off the label of real rows (saturating, non-saturating, least squares).
    noisy : float
        Share of scores whose label is turned round.
    """
    if noisy:
        real, fake = _turned(kind, real, noisy), _turned(kind, fake, noisy)
    if kind == "wasserstein":
        return fake.mean() - real.mean()
    if kind == "hinge":
        return 0.5 * (relu(1 - real).mean() + relu(1 + fake).mean())
    if kind == "least_squares":
        return 0.5 * ((real - (1 - soft)).square().mean() + fake.square().mean())
    certain = softplus(-real).mean() + softplus(fake).mean()
    return 0.5 * (certain + soft * real.mean()) if soft else 0.5 * certain


def generator_loss(kind: str, fake: Tensor) -> Tensor:
    """How far the discriminator is from taking made rows for real, in one number."""
    if kind in ("wasserstein", "hinge"):
        return -fake.mean()
    if kind == "least_squares":
        return (fake - 1).square().mean()
    return -softplus(fake).mean() if kind == "saturating" else softplus(-fake).mean()


def accuracies(kind: str, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Share of real and of made packs that are told rightly; halfway between for Wasserstein's."""
    with torch.no_grad():
        centre: Tensor | float = CENTRE.get(kind, 0.0)
        if kind == "wasserstein":
            centre = (real.mean() + fake.mean()) / 2
        return (real > centre).float().mean(), (fake < centre).float().mean()


def _turned(kind: str, score: Tensor, share: float) -> Tensor:
    centre = CENTRE.get(kind, 0.0)
    return torch.where(torch.rand_like(score) < share, 2 * centre - score, score)
