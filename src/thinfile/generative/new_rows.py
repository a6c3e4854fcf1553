"""Made rows that are none of the training rows: drawn again until there are enough of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.row_hash import Hashes, known, row_hashes
from thinfile.errors import DataError

MAX_ROUNDS = 20
MIN_AGAIN = 64
"""Rows drawn at least in a second and later round: where new ones are rare, one is not enough."""


def draw_new(
    draw: Callable[[int], pl.DataFrame], n: int, forbidden: Hashes, *, owner: str
) -> pl.DataFrame:
    """Draw rows and leave out those that are known, until there are `n`.

    Parameters
    ----------
    draw : callable
        Gives a number of typed rows.
    n : int
        Rows wanted, at least 1.
    forbidden : ndarray of uint64
        Hashes of the rows that must not come out, sorted.
    owner : str
        Who draws, for the message.

    Raises
    ------
    DataError
        If in 20 rounds too few new rows were made.
    """
    parts: list[pl.DataFrame] = []
    lacking, n_drawn = n, 0
    for round_number in range(MAX_ROUNDS):
        made = draw(max(lacking, MIN_AGAIN) if round_number else lacking)
        n_drawn += made.height
        new = made.filter(~known(row_hashes(made), forbidden)).head(lacking)
        parts.append(new)
        lacking -= new.height
        if not lacking:
            return pl.concat(parts)
    raise DataError(
        f"{owner}: {lacking} of {n} rows could not be made: of {n_drawn} drawn, all but "
        f"{n - lacking} are rows of the training table, which has too few different values"
    )


def image_hashes(pixels: npt.NDArray[np.uint8]) -> Hashes:
    """One number for each image, from its pixels as bytes; shape (images,)."""
    digests = [hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in pixels]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
