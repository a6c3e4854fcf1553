from __future__ import annotations

import hashlib

import polars as pl
import pytest

from thinfile.data.hashing import KEY_BYTES, VERSION, keyed_hash
from thinfile.errors import DataError

GOLDEN = {
    "": 12202274018364444036,
    "1": 5037454364125255355,
    "16777216": 7659990279955014533,
    "16777217": 917000684559910513,
    "-9223372036854775808": 15830205564307187516,
    "Grüße 你好": 11065790742896971209,
    "x" * 1000: 10340881913318645584,
}
"""Under the key of sixteen zero bytes. A change of any of them orphans every stored model."""


def test_known_values_of_version_1() -> None:
    assert VERSION == 1
    found = keyed_hash(pl.Series(list(GOLDEN)), bytes(KEY_BYTES))
    assert dict(zip(GOLDEN, found.tolist(), strict=True)) == GOLDEN


def test_it_is_keyed_blake2b_of_the_text_in_utf_8() -> None:
    key = bytes(range(KEY_BYTES))
    expected = hashlib.blake2b("Grüße".encode(), digest_size=8, key=key).digest()
    assert int(keyed_hash(pl.Series(["Grüße"]), key)[0]) == int.from_bytes(expected, "little")


def test_another_key_gives_another_hash() -> None:
    texts = pl.Series([str(i) for i in range(100)])
    one, two = keyed_hash(texts, bytes(KEY_BYTES)), keyed_hash(texts, b"k" * KEY_BYTES)
    assert not (one == two).any()


def test_no_texts_give_no_hashes() -> None:
    assert keyed_hash(pl.Series([], dtype=pl.String), bytes(KEY_BYTES)).shape == (0,)


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(DataError, match="hash version is 2, this version of thinfile knows 1"):
        keyed_hash(pl.Series(["a"]), bytes(KEY_BYTES), version=2)
