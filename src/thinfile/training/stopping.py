"""When to stop, when to slow down, and which weights to keep."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from thinfile.errors import ParameterError


@dataclass(frozen=True)
class Plateau:
    """Multiply every learning rate by ``factor`` after ``patience`` checks without a rise.

    Parameters
    ----------
    factor : float, default 0.1
        Above 0 and below 1.
    patience : int, default 3
        Checks without a rise before each reduction, at least 1.
    minimum : float, default 1e-6
        No learning rate is taken below this.
    """

    factor: float = 0.1
    patience: int = 3
    minimum: float = 1e-6

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.factor < 1:
            faults.append(f"factor is {self.factor!r}, must lie between 0 and 1")
        if self.patience < 1:
            faults.append(f"patience is {self.patience!r}, must be at least 1")
        if not self.minimum >= 0:
            faults.append(f"minimum is {self.minimum!r}, must be 0 or more")
        if faults:
            raise ParameterError("Plateau: " + "; ".join(faults))


@dataclass
class Monitor:
    """Follow one quantity: its best value, and for how many checks it has not risen.

    A rise is counted against the last value that was a rise itself, so that many small steps
    up add up to one of ``min_delta``. The best value needs no ``min_delta``. A value that is not
    finite is never better than another.
    """

    mode: Literal["max", "min"] = "max"
    min_delta: float = 0.0
    best: float | None = None
    best_step: int | None = None
    n_checks_flat: int = 0
    _last_rise: float = -math.inf

    def see(self, value: float | None, step: int) -> bool:
        """Take the value of one check and return whether it is the best so far."""
        sign = 1.0 if self.mode == "max" else -1.0
        height = -math.inf if value is None or not math.isfinite(value) else sign * value
        if height > self._last_rise + self.min_delta:
            self._last_rise = height
            self.n_checks_flat = 0
        else:
            self.n_checks_flat += 1
        if height == -math.inf or (self.best is not None and height <= sign * self.best):
            return False
        self.best, self.best_step = value, step
        return True


class Snapshot:
    """A copy of a module's weights and buffers, in memory that is allocated once."""

    def __init__(self, module: nn.Module, step: int = 0) -> None:
        self._live = [t for t in module.state_dict(keep_vars=True).values() if _is_tensor(t)]
        self._kept = [tensor.detach().clone() for tensor in self._live]
        self.step = step

    @torch.no_grad()
    def take(self, step: int) -> None:
        """Copy the module's present state."""
        _copy(self._live, self._kept)
        self.step = step

    @torch.no_grad()
    def put_back(self) -> None:
        """Write the kept state into the module."""
        _copy(self._kept, self._live)


class WeightAverage:
    """An exponential moving average of a module's parameters.

    After update t (from 1) the average moves by 1 - min(decay, t / (t + 9)) towards the
    weights, so that a short run is not held back by where it began.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._parameters = list(module.parameters())
        self._average = [parameter.detach().clone() for parameter in self._parameters]
        self._live = [torch.empty_like(average) for average in self._average]
        self._decay = decay
        self._n_updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the present weights."""
        self._n_updates += 1
        decay = min(self._decay, self._n_updates / (self._n_updates + 9))
        present = [parameter.detach() for parameter in self._parameters]
        torch._foreach_lerp_(self._average, present, 1 - decay)

    @torch.no_grad()
    def put_in(self) -> None:
        """Write the average into the module for good."""
        _copy(self._average, self._parameters)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the module have the averaged weights within the block."""
        with torch.no_grad():
            _copy(self._parameters, self._live)
            _copy(self._average, self._parameters)
        try:
            yield
        finally:
            with torch.no_grad():
                _copy(self._live, self._parameters)


def _is_tensor(entry: object) -> bool:
    return isinstance(entry, torch.Tensor)


def _copy(sources: Sequence[torch.Tensor], targets: Sequence[torch.Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)
