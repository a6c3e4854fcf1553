"""One kind of table inside: whatever a caller holds becomes a polars DataFrame, or is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl

from thinfile.errors import DataError


def as_frame(table: Any, *, name: str = "X") -> pl.DataFrame:
    """Turn a table of any common kind into a polars DataFrame.

    Use it once at the border of the library. It does not guess what a column means (that is
    :meth:`thinfile.schema.model.Schema.infer`) and does not check values.

    Parameters
    ----------
    table : polars DataFrame or LazyFrame, pandas DataFrame, Arrow table, mapping, 2-D array-like
        An array gets the names ``x0, x1, …``. A pandas index is dropped.
    name : str, default "X"
        What the messages call the table.

    Returns
    -------
    polars.DataFrame
        Categorical columns come as String, decimals as Float64.

    Raises
    ------
    DataError
        If a column name occurs twice, columns differ in length, or the array is not a real 2-D one.

    Examples
    --------
    >>> as_frame([[1.0, 2.0], [3.0, 4.0]]).columns
    ['x0', 'x1']
    """
    if isinstance(table, pl.LazyFrame):
        table = table.collect()
    if isinstance(table, pl.DataFrame):
        return _plain_types(table)
    if isinstance(table, (pl.Series, str, bytes)):
        raise DataError(f"{name} is a {type(table).__name__}: a table with rows and columns needed")
    if isinstance(table, Mapping):
        return _plain_types(_from_columns(list(table.items()), name))
    if _is_pandas(table):
        return _plain_types(_from_pandas(table, name))
    if hasattr(table, "__arrow_c_stream__"):
        return _plain_types(_from_arrow(table, name))
    return _from_array(table, name)


def check_unique(names: Iterable[object], name: str) -> None:
    """Refuse column names that occur twice, all of them in one message.

    Parameters
    ----------
    names : iterable
        Column names; compared as strings.
    name : str
        What the message calls the table.

    Raises
    ------
    DataError
        If a name occurs more than once.
    """
    twice = [f"{key!r} ({n} times)" for key, n in Counter(map(str, names)).items() if n > 1]
    if twice:
        raise DataError(f"{name}: column names must be unique, but found {', '.join(twice)}")


def _is_pandas(table: Any) -> bool:
    # By name, so that pandas is not imported for callers who do not use it.
    return type(table).__module__.split(".")[0] == "pandas" and hasattr(table, "columns")


def _from_pandas(table: Any, name: str) -> pl.DataFrame:
    check_unique(table.columns, name)
    columns = [(key, table[key]) for key in table.columns]
    return _from_columns(columns, name)


def _from_arrow(table: Any, name: str) -> pl.DataFrame:
    schema = getattr(table, "schema", None)
    check_unique(getattr(schema, "names", None) or (), name)
    try:
        return pl.DataFrame(table)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise DataError(f"{name}: this Arrow table cannot be read: {_line(error)}") from error


def _from_columns(columns: list[tuple[Any, Any]], name: str) -> pl.DataFrame:
    check_unique((key for key, _ in columns), name)
    series = [_series(str(key), values, name) for key, values in columns]
    lengths = {each.len() for each in series}
    if len(lengths) > 1:
        shown = ", ".join(f"{each.name!r} {each.len()}" for each in series[:6])
        raise DataError(f"{name}: columns must have one length, but found {shown}")
    return pl.DataFrame(series)


def _series(key: str, values: Any, name: str) -> pl.Series:
    if np.isscalar(values) or values is None:
        raise DataError(f"{name}: column {key!r} is one value, not a column of values")
    dtype = str(getattr(values, "dtype", ""))
    try:
        if dtype == "object":
            return _mixed(key, list(values))
        if type(values).__module__.split(".")[0] == "pandas":
            return _from_pandas_column(key, values)
        return pl.Series(key, values)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
        return _mixed(key, list(values))


def _from_pandas_column(key: str, values: Any) -> pl.Series:
    if isinstance(getattr(values, "dtype", None), np.dtype):
        return pl.Series(key, values.to_numpy())
    try:
        return pl.Series(key, pl.from_pandas(values))
    except ImportError:
        return _mixed(key, values.tolist())


def _mixed(key: str, values: list[Any]) -> pl.Series:
    present = [None if _is_missing(value) else value for value in values]
    try:
        return pl.Series(key, present, strict=True)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
        pass
    if all(value is None or isinstance(value, (int, float, np.number)) for value in present):
        return pl.Series(key, [None if v is None else float(v) for v in present], pl.Float64)
    # Several kinds in one column: text keeps all of them apart, and the schema decides.
    return pl.Series(key, [None if v is None else str(v) for v in present], pl.String)


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def _from_array(table: Any, name: str) -> pl.DataFrame:
    if hasattr(table, "toarray") or hasattr(table, "todense"):
        raise DataError(f"{name} is sparse: sparse input is not supported, use .toarray()")
    try:
        array = np.asarray(table)
    except ValueError as error:
        raise DataError(f"{name} is no table: rows differ in length") from error
    if array.ndim != 2:
        raise DataError(
            f"{name}: Expected 2D array, got {array.ndim}D array instead: a table has rows and "
            "columns. Reshape your data with .reshape(-1, 1) for one column"
        )
    if np.iscomplexobj(array):
        raise DataError(f"{name}: Complex data not supported: every value must be a real number")
    names = [f"x{place}" for place in range(array.shape[1])]
    columns = [(key, np.ascontiguousarray(array[:, place])) for place, key in enumerate(names)]
    return _from_columns(columns, name)


def _plain_types(frame: pl.DataFrame) -> pl.DataFrame:
    casts = [
        pl.col(key).cast(pl.Float64 if isinstance(dtype, pl.Decimal) else pl.String)
        for key, dtype in frame.schema.items()
        if isinstance(dtype, (pl.Decimal, pl.Categorical, pl.Enum))
    ]
    return frame.with_columns(casts) if casts else frame


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
