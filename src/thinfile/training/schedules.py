"""Numbers that change while a network trains: plain functions of the step."""

from __future__ import annotations

import math
from collections.abc import Callable

from thinfile.errors import ParameterError

Schedule = Callable[[int], float]
"""From the updates done so far (0 at the first) to a number: a term's weight, a learning rate."""


def constant(value: float) -> Schedule:
    """Return a schedule that is always ``value``."""
    return lambda step: value


def dann_ramp(total_steps: int, gamma: float = 10.0, height: float = 1.0) -> Schedule:
    """Rise smoothly from 0 to ``height``: 2 / (1 + exp(-gamma · step / total_steps)) - 1.

    Use it for the weight of a term that aligns populations, so that the network first learns its
    task. It is the wrong choice for a term that matters from the first step on.

    Parameters
    ----------
    total_steps : int
        Steps over which the ramp is laid out, at least 1: the length of the run, or a fixed
        number such as 1,000. After it the value stays just below ``height``.
    gamma : float, default 10.0
        Steepness, above 0. With 10 the half is reached after 11 % of the steps.
    height : float, default 1.0
        Where the ramp ends.

    References
    ----------
    Ganin et al., Domain-adversarial training of neural networks, JMLR 2016, section 5.2.2.

    Examples
    --------
    >>> weight = dann_ramp(1000)
    >>> weight(0), round(weight(100), 3), round(weight(1000), 3)
    (0.0, 0.462, 1.0)
    """
    _at_least_one("dann_ramp", total_steps)
    if not gamma > 0:
        raise ParameterError(f"dann_ramp: gamma is {gamma!r}, must be above 0")
    # tanh(x / 2) is the same curve, and cannot overflow far beyond the last step.
    return lambda step: height * math.tanh(gamma * step / total_steps / 2)


def linear_warm_up(n_steps: int, height: float = 1.0) -> Schedule:
    """Rise in equal parts to ``height`` within ``n_steps`` updates, then stay there.

    The first update has ``height / n_steps``, not 0: a first update at rate 0 would be lost.

    Examples
    --------
    >>> rate = linear_warm_up(4, height=0.01)
    >>> rate(0), rate(3), rate(100)
    (0.0025, 0.01, 0.01)
    """
    _at_least_one("linear_warm_up", n_steps)
    return lambda step: height * min(1.0, (step + 1) / n_steps)


def _at_least_one(owner: str, n_steps: int) -> None:
    if n_steps < 1:
        raise ParameterError(f"{owner}: the number of steps is {n_steps!r}, must be at least 1")
