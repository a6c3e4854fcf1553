"""`random_state` as scikit-learn means it, turned into one seed."""

from __future__ import annotations

import secrets
from typing import Protocol, runtime_checkable

import numpy as np

from thinfile.errors import ParameterError


@runtime_checkable
class _OldGenerator(Protocol):
    """numpy's RandomState, and numpy.random itself: what scikit-learn hands around."""

    def randint(self, low: int, high: int) -> int: ...


RandomState = int | np.integer | np.random.Generator | np.random.RandomState | None
"""Whatever an estimator accepts as ``random_state``."""


def seed_from(random_state: RandomState) -> int:
    """Return a seed in 0 … 2³¹-2: the number itself, or one drawn from a generator.

    A numpy generator is moved on by one draw, as scikit-learn does; None gives a fresh seed.

    Raises
    ------
    ParameterError
        If it is none of these.
    """
    if random_state is None:
        return secrets.randbelow(2**31 - 1)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31 - 1))
    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        if 0 <= random_state < 2**63:
            return int(random_state)
    elif isinstance(random_state, _OldGenerator):
        return int(random_state.randint(0, 2**31 - 1))
    raise ParameterError(
        f"random_state is {random_state!r}, must be None, a whole number from 0 on or a numpy "
        "generator"
    )
