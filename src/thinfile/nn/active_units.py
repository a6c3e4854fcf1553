"""Units of a variational code that say something of the rows."""

from __future__ import annotations

from torch import Tensor

ACTIVE_VARIANCE = 0.01
"""Variance of a unit's mean over rows from which on it counts as active."""


def active_units(means: Tensor) -> int:
    """Units of the code whose mean varies over rows; means have shape (rows, latent_size).

    References
    ----------
    Burda, Grosse, Salakhutdinov: Importance weighted autoencoders, ICLR 2016, section 5.2.
    """
    if len(means) < 2:
        return 0
    return int((means.var(dim=0) > ACTIVE_VARIANCE).sum())


def silent_units(n_active: int, latent_size: int) -> list[str]:
    """What a user should know where units are silent; nothing where none is."""
    if n_active == latent_size:
        return []
    end = (
        "what is made depends on chance alone, and the code of a row says nothing"
        if not n_active
        else f"a code of {n_active} would do"
    )
    return [
        f"{latent_size - n_active} of the {latent_size} units of the code are silent: {end}; a "
        "smaller beta or more free bits wake them, if there is more to be said"
    ]
