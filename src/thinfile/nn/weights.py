"""Weights of a network as named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from thinfile.errors import ArtifactError

Weights = dict[str, npt.NDArray[Any]]


def get_weights(network: nn.Module, *, start: str = "") -> Weights:
    """Every weight and running statistic by name, as copies; `start` comes before each name."""
    state = network.state_dict()
    return {start + name: value.detach().cpu().numpy().copy() for name, value in state.items()}


def set_weights(
    network: nn.Module,
    arrays: Mapping[str, npt.NDArray[Any]],
    *,
    start: str = "",
    owner: str = "the network",
) -> None:
    """Write the arrays whose names begin with `start` into a network; `owner` is for the error.

    Raises
    ------
    ArtifactError
        If a name is missing or unknown, or a shape differs; the network stays as it is.
    """
    weights = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
    known = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    given = {name: np.shape(value) for name, value in weights.items()}
    faults = [f"{name} is missing" for name in known if name not in given]
    faults += [f"{name} is unknown" for name in given if name not in known]
    faults += [
        f"{name} is {given[name]}, must be {shape}"
        for name, shape in known.items()
        if name in given and given[name] != shape
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ArtifactError(f"weights do not fit {owner}: {'; '.join(faults[:3])}{more}")
    network.load_state_dict({name: torch.as_tensor(value) for name, value in weights.items()})
