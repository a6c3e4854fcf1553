"""Texts as 64-bit numbers under a key: the same on every machine and in every later version."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.errors import DataError

VERSION = 1
"""Of the hash, kept in what is stored: another version would give other codes."""

KEY_BYTES = 16
"""Length of a key."""

_CHUNK = 100_000


def keyed_hash(texts: pl.Series, key: bytes, version: int = VERSION) -> npt.NDArray[np.uint64]:
    """64-bit numbers of texts, by keyed BLAKE2b.

    Use it for what is stored: polars' and Python's own hashes differ between versions and runs.
    It takes about half a microsecond per text, so give it distinct texts.

    Parameters
    ----------
    texts : polars.Series of type String
        Without null.
    key : bytes
        `KEY_BYTES` long. Who does not know it cannot choose texts that fall together.
    version : int
        Of the hash that was used when the codes were stored.

    Returns
    -------
    numpy.ndarray of uint64, shape (texts,)
        The first eight bytes of the digest of the text in UTF-8, lowest first.

    Raises
    ------
    DataError
        If this version of thinfile does not know that version of the hash.

    References
    ----------
    RFC 7693, The BLAKE2 cryptographic hash, 2015.

    Examples
    --------
    >>> import polars as pl
    >>> keyed_hash(pl.Series(["16777216", "16777217"]), bytes(16)).tolist()
    [7659990279955014533, 917000684559910513]
    """
    if version != VERSION:
        raise DataError(f"hash version is {version!r}, this version of thinfile knows {VERSION}")
    parts = [
        _digests(texts.slice(start, _CHUNK).to_list(), key)
        for start in range(0, texts.len(), _CHUNK)
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def _digests(texts: list[str], key: bytes) -> npt.NDArray[np.uint64]:
    joined = b"".join(
        hashlib.blake2b(text.encode(), digest_size=8, key=key).digest() for text in texts
    )
    return np.frombuffer(joined, dtype="<u8").astype(np.uint64)
