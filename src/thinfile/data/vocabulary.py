"""Texts as codes: by their words, or by keyed hashes where there are too many."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.categories import FIRST, MISSING, RARE
from thinfile.data.hashing import VERSION, keyed_hash
from thinfile.errors import DataError

Arrays = dict[str, npt.NDArray[Any]]
Codes = npt.NDArray[np.int32]

UNSEEN = -1
"""What a look-up gives for a text that is not known; the encoder turns it into `RARE`."""

SMALL = 1_000
"""Up to so many words polars finds codes itself; its start costs 0.4 µs per word and call."""


class Lookup(Protocol):
    """A fitted vocabulary."""

    n_codes: int

    def look_up(self, texts: pl.Series) -> Codes:
        """0 for null, 1 for a rare text, −1 for one that is not known, else 2 and on."""
        ...

    def to_state(self) -> dict[str, Any]:
        """What is not large, as JSON values."""
        ...

    def arrays(self) -> Arrays:
        """What is large."""
        ...


class WordVocabulary:
    """Words with a code each; no two of them ever share one.

    Parameters
    ----------
    words : polars.Series of type String
        Distinct, without null. The first get the codes 2, 3, …; the rest are known, but rare.
    n_own : int
        How many words have a code of their own.
    """

    def __init__(self, words: pl.Series, n_own: int) -> None:
        self.words = words
        self.n_own = n_own
        self.n_codes = n_own + FIRST
        place = np.arange(words.len() + 1, dtype=np.int32)
        self._codes = np.where(place < n_own, place + FIRST, RARE).astype(np.int32)
        self._codes[-1] = UNSEEN
        self._small = pl.Enum(words) if words.len() <= SMALL else None
        self._index = None if self._small is not None else _Index(words)

    def look_up(self, texts: pl.Series) -> Codes:
        """See `Lookup`."""
        if self._index is not None:
            place = self._index.find(texts)
        else:
            known = texts.cast(self._small, strict=False).to_physical()  # type: ignore[arg-type]
            place = known.cast(pl.Int32).fill_null(UNSEEN).to_numpy()
        codes = self._codes[place]
        if texts.null_count():
            codes[texts.is_null().to_numpy()] = MISSING
        return codes

    def to_state(self) -> dict[str, Any]:
        """See `Lookup`."""
        return {"kind": "words", "n_own": self.n_own}

    def arrays(self) -> Arrays:
        """The words in UTF-8, one after the other, and where each ends."""
        joined = (self.words.str.join("").item() or "") if self.words.len() else ""
        text = np.frombuffer(joined.encode(), dtype=np.uint8)
        ends = self.words.str.len_bytes().cast(pl.Int64).cum_sum().to_numpy()
        return {"text": text.copy(), "ends": ends.astype(np.int64)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays) -> WordVocabulary:
        """Read what `to_state` and `arrays` gave."""
        text, ends = arrays["text"].tobytes(), arrays["ends"].tolist()
        if sorted(ends) != ends or ends[-1:] not in ([], [len(text)]):
            raise DataError("the words of a vocabulary are damaged: they end beyond their text")
        starts = [0, *ends[:-1]]
        words = [text[start:end].decode() for start, end in zip(starts, ends, strict=False)]
        return cls(pl.Series(words, dtype=pl.String), int(state["n_own"]))


class HashVocabulary:
    """Known texts as 64-bit hashes, which share a given number of codes.

    Two texts whose hashes leave the same remainder have one code; `shared` counts them. Texts
    that are not known do not get any of these codes.

    Parameters
    ----------
    fingerprints : numpy.ndarray of uint64
        Hashes of the known texts, ascending.
    n_buckets : int
        Codes to share.
    key : bytes
        Of the hash.
    """

    def __init__(
        self, fingerprints: npt.NDArray[np.uint64], n_buckets: int, key: bytes, version: int
    ) -> None:
        self.fingerprints = fingerprints
        self.n_buckets = n_buckets
        self.n_codes = n_buckets + FIRST
        self._key, self._version = key, version

    @classmethod
    def fit(cls, words: pl.Series, n_buckets: int, key: bytes) -> HashVocabulary:
        """Know distinct texts."""
        return cls(np.sort(keyed_hash(words, key)), n_buckets, key, VERSION)

    def look_up(self, texts: pl.Series) -> Codes:
        """See `Lookup`."""
        # Each distinct text is hashed once.
        distinct = texts.drop_nulls().unique()
        codes = pl.Series(self._code(keyed_hash(distinct, self._key, self._version)))
        table = pl.DataFrame({"text": distinct, "code": codes})
        found = (
            texts.alias("text").to_frame().join(table, on="text", how="left", maintain_order="left")
        )
        return found["code"].fill_null(MISSING).to_numpy().astype(np.int32)

    def shared(self, words: pl.Series) -> npt.NDArray[np.bool_]:
        """Which of distinct known words share their code with another, shape (words,)."""
        codes = self._code(keyed_hash(words, self._key, self._version))
        alone: npt.NDArray[np.bool_] = np.bincount(codes, minlength=self.n_codes)[codes] > 1
        return alone

    def to_state(self) -> dict[str, Any]:
        """See `Lookup`."""
        return {
            "kind": "hashes",
            "version": self._version,
            "key": self._key.hex(),
            "n_buckets": self.n_buckets,
        }

    def arrays(self) -> Arrays:
        """The hashes of the known texts."""
        return {"fingerprints": self.fingerprints}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays) -> HashVocabulary:
        """Read what `to_state` and `arrays` gave."""
        key, version = bytes.fromhex(state["key"]), state["version"]
        keyed_hash(pl.Series([], dtype=pl.String), key, version)  # refuses another version
        return cls(arrays["fingerprints"], int(state["n_buckets"]), key, version)

    def _code(self, hashed: npt.NDArray[np.uint64]) -> Codes:
        place = np.searchsorted(self.fingerprints, hashed)
        place = np.minimum(place, len(self.fingerprints) - 1)
        known = self.fingerprints[place] == hashed
        bucket = (hashed % np.uint64(self.n_buckets)).astype(np.int32) + FIRST
        return np.where(known, bucket, UNSEEN).astype(np.int32)


def load_vocabulary(state: Mapping[str, Any], arrays: Arrays) -> Lookup:
    """The vocabulary that a state describes; nothing in it is executed."""
    kinds: dict[str, Any] = {"words": WordVocabulary, "hashes": HashVocabulary}
    if state["kind"] not in kinds:
        raise DataError(f"kind of vocabulary is {state['kind']!r}, must be words or hashes")
    lookup: Lookup = kinds[state["kind"]].from_state(state, arrays)
    return lookup


class _Index:
    """Places of texts in a list of words; a call costs by the texts and not by the words."""

    def __init__(self, words: pl.Series) -> None:
        # polars' hash is only used within this process; equal hashes are told apart by the text.
        for seed in count():
            hashes = words.hash(seed).to_numpy()
            order = np.argsort(hashes)
            ordered = hashes[order]
            if not (ordered[1:] == ordered[:-1]).any():
                break
        self._order, self._sorted = order.astype(np.int32), ordered
        self._words, self._seed = words, seed

    def find(self, texts: pl.Series) -> Codes:
        """Places of the texts, −1 where there is none, shape (texts,)."""
        hashes = texts.hash(self._seed).to_numpy()
        place = np.minimum(np.searchsorted(self._sorted, hashes), len(self._sorted) - 1)
        place = self._order[place]
        same = (self._words.gather(place) == texts).fill_null(False).to_numpy()
        return np.where(same, place, UNSEEN).astype(np.int32)
