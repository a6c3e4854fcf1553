"""Weights of both sides of a GAN as named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from thinfile.errors import ArtifactError
from thinfile.generative.duel import Game

SIDES = ("generator", "discriminator")


def get_both(game: Game) -> dict[str, npt.NDArray[Any]]:
    """Every weight and running statistic of both networks by name, as copies."""
    weights = {}
    for side in SIDES:
        module: nn.Module = getattr(game, side)
        for name, value in module.state_dict().items():
            weights[f"{side}.{name}"] = value.detach().cpu().numpy().copy()
    return weights


def set_both(game: Game, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Take the weights that `get_both` gave.

    Raises
    ------
    ArtifactError
        If they do not fit.
    """
    for side in SIDES:
        module: nn.Module = getattr(game, side)
        start = f"{side}."
        own = {
            name.removeprefix(start): torch.as_tensor(value)
            for name, value in weights.items()
            if name.startswith(start)
        }
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ArtifactError(f"weights do not fit the {side}: {reason}") from error
        module.eval()
