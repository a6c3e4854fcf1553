"""One 64-bit number for each row of a typed table: how a generator knows its training rows again.

The numbers are the same in every run, on every machine and in every later version, whatever the
order of the columns, so they can lie in a saved model instead of the rows themselves.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.hashing import KEY_BYTES, keyed_hash
from thinfile.errors import DataError

Hashes = npt.NDArray[np.uint64]

_NO_KEY = bytes(KEY_BYTES)
_MISSING = np.uint64(0x9AE16A3B2F90404F)


def row_hashes(parsed: pl.DataFrame) -> Hashes:
    """Hash each row of a typed table by its values.

    Use it to find rows that are equal in every column. It is no secret: who can guess a row can
    find out whether its hash is among others. It does not find rows that are nearly equal.

    Parameters
    ----------
    parsed : polars.DataFrame
        Numbers, booleans, dates and texts, as :meth:`thinfile.schema.model.Schema.parse` gives
        them. Numbers and booleans count by their value in float32, so that 1, 1.0 and True are the
        same and a table that was stored in less precision is known again; null and NaN are the
        same. Dates count to the microsecond, texts letter by letter.

    Returns
    -------
    numpy.ndarray of uint64, shape (rows,)
        In the order of the rows. Two different rows fall together with a chance of 2⁻⁶⁴.

    Raises
    ------
    DataError
        If a column is of a type that has no such value, such as a list.

    References
    ----------
    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (the
    mixing function).

    Examples
    --------
    >>> import polars as pl
    >>> rows = pl.DataFrame({"age": [31.0, 54.0, 31.0], "job": ["a", "b", "a"]})
    >>> hashes = row_hashes(rows)
    >>> bool(hashes[0] == hashes[2]), bool(hashes[0] == hashes[1])
    (True, False)
    """
    _check_types(parsed)
    total = np.zeros(parsed.height, dtype=np.uint64)
    for column in parsed.iter_columns():
        # A sum does not depend on the order of the columns; the name keeps them apart.
        total += _mix(_value_bits(column) ^ _name_bits(column.name))
    return _mix(total)


def known(made: pl.DataFrame | Hashes, hashes: Hashes) -> npt.NDArray[np.bool_]:
    """Which made rows are among the rows that `hashes` stand for.

    Parameters
    ----------
    made : polars.DataFrame or numpy.ndarray of uint64
        Typed rows with the columns that were hashed, or their hashes.
    hashes : numpy.ndarray of uint64, shape (known rows,)
        Sorted in rising order, as ``np.unique(row_hashes(training))`` gives them.

    Returns
    -------
    numpy.ndarray of bool, shape (made rows,)

    Examples
    --------
    >>> import numpy as np
    >>> import polars as pl
    >>> training = np.unique(row_hashes(pl.DataFrame({"age": [31.0, 54.0]})))
    >>> known(pl.DataFrame({"age": [54.0, 55.0]}), training).tolist()
    [True, False]
    """
    own = row_hashes(made) if isinstance(made, pl.DataFrame) else made
    if not len(hashes):
        return np.zeros(len(own), dtype=np.bool_)
    place = np.minimum(np.searchsorted(hashes, own), len(hashes) - 1)
    found: npt.NDArray[np.bool_] = hashes[place] == own
    return found


def _check_types(frame: pl.DataFrame) -> None:
    faults = [
        f"column {name!r} is of type {dtype}, which has no hash"
        for name, dtype in frame.schema.items()
        if not (_is_number(dtype) or dtype.is_temporal() or _is_text(dtype))
    ]
    if faults:
        raise DataError("; ".join(faults))


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)


def _is_text(dtype: pl.DataType) -> bool:
    return dtype == pl.String or isinstance(dtype, (pl.Categorical, pl.Enum))


def _value_bits(column: pl.Series) -> Hashes:
    if _is_number(column.dtype):
        return _number_bits(column)
    bits = _text_bits(column) if _is_text(column.dtype) else _time_bits(column)
    bits[column.is_null().to_numpy()] = _MISSING
    return bits


def _number_bits(column: pl.Series) -> Hashes:
    values = column.cast(pl.Float64, strict=False).to_numpy()
    with np.errstate(over="ignore"):  # beyond float32 is infinity
        single = values.astype(np.float32) + np.float32(0.0)  # -0.0 becomes 0.0
    wide: Hashes = single.view(np.uint32).astype(np.uint64)
    wide[np.isnan(single)] = _MISSING
    return wide


def _time_bits(column: pl.Series) -> Hashes:
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        column = column.cast(pl.Datetime("us"))
    elif isinstance(column.dtype, pl.Duration):
        column = column.cast(pl.Duration("us"))
    bits: Hashes = column.cast(pl.Int64).fill_null(0).to_numpy().astype(np.int64).view(np.uint64)
    return bits.copy()


def _text_bits(column: pl.Series) -> Hashes:
    texts = column.cast(pl.String)
    distinct = texts.drop_nulls().unique().sort()
    if not distinct.len():
        return np.zeros(texts.len(), dtype=np.uint64)
    codes = keyed_hash(distinct, _NO_KEY)
    place = texts.cast(pl.Enum(distinct)).to_physical().fill_null(0).to_numpy()
    bits: Hashes = codes[place]
    return bits


def _name_bits(name: str) -> np.uint64:
    digest = hashlib.blake2b(name.encode(), digest_size=8, key=_NO_KEY).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _mix(bits: Hashes) -> Hashes:
    """Every bit of the result depends on every bit of the argument (splitmix64)."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits ^= bits >> np.uint64(30)
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return bits
