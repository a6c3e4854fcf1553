"""Weights of both sides of a GAN as named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
from torch import nn

from thinfile.generative.duel import Game
from thinfile.nn.weights import get_weights, set_weights

SIDES = ("generator", "discriminator")


def get_both(game: Game) -> dict[str, npt.NDArray[Any]]:
    """Every weight and running statistic of both networks by name, as copies."""
    parts = [get_weights(getattr(game, side), start=f"{side}.") for side in SIDES]
    return {name: array for part in parts for name, array in part.items()}


def set_both(game: Game, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Take the weights that `get_both` gave.

    Raises
    ------
    ArtifactError
        If they do not fit.
    """
    for side in SIDES:
        module: nn.Module = getattr(game, side)
        set_weights(module, weights, start=f"{side}.", owner=f"the {side}")
        module.eval()


class PickledByState:
    """A fitted GAN that is pickled as its arguments and its state.

    Layers with spectral norm refuse to be pickled, and their weights do not.
    """

    def __getstate__(self) -> dict[str, Any]:
        if not hasattr(self, "game_"):
            kept: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
            return kept
        model: Any = self
        return {"arguments": model.get_params(deep=False), "state": model.get_state()}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        model: Any = self
        if "arguments" not in kept:
            super().__setstate__(kept)  # type: ignore[misc]
            return
        model.__init__(**kept["arguments"])
        model.set_state(kept["state"])
