"""Every kind of table comes in as the same frame, or is refused in one line."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse

from thinfile.errors import DataError
from thinfile.frame import as_frame

COLUMNS = {"a": [1, 2, None], "b": ["x", None, "z"], "c": [0.5, 1.5, 2.5]}
EXPECTED = pl.DataFrame(COLUMNS)


@pytest.mark.parametrize(
    "table",
    [
        EXPECTED,
        EXPECTED.lazy(),
        EXPECTED.to_arrow(),
        COLUMNS,
        pd.DataFrame(
            {"a": pd.array([1, 2, None], "Int64"), "b": ["x", None, "z"], "c": COLUMNS["c"]}
        ),
    ],
    ids=["polars", "lazy", "arrow", "mapping", "pandas"],
)
def test_all_kinds_give_the_same_frame(table: object) -> None:
    assert as_frame(table).rows() == EXPECTED.rows()
    assert as_frame(table).columns == ["a", "b", "c"]


def test_pandas_keeps_nothing_of_its_index_and_names_become_text() -> None:
    table = pd.DataFrame({0: [1.0, np.nan], 1: [True, False]}, index=[7, 7])
    frame = as_frame(table)
    assert frame.columns == ["0", "1"]
    assert frame["1"].to_list() == [True, False]


def test_pandas_categories_dates_and_mixed_objects() -> None:
    table = pd.DataFrame(
        {
            "kind": pd.Categorical(["b", None, "a"]),
            "when": pd.to_datetime(["2014-01-31", None, "2015-02-28"]),
            "mixed": pd.Series([1, "two", None], dtype=object),
            "numbers": pd.Series([1, 2.5, np.nan], dtype=object),
        }
    )
    frame = as_frame(table)
    assert frame["kind"].to_list() == ["b", None, "a"]
    assert frame["kind"].dtype == pl.String
    assert frame["when"].dt.year().to_list() == [2014, None, 2015]
    assert frame["mixed"].to_list() == ["1", "two", None]
    assert frame["numbers"].to_list() == [1.0, 2.5, None]


def test_plain_types() -> None:
    frame = as_frame(
        {"d": [Decimal("1.50"), None], "e": pl.Series(["x", "y"], dtype=pl.Enum(["x", "y"]))}
    )
    assert frame.dtypes == [pl.Float64, pl.String]
    assert as_frame({"day": [date(2020, 1, 1)]}).dtypes == [pl.Date]


def test_arrays_get_names() -> None:
    frame = as_frame(np.array([[1.0, np.nan], [np.inf, 4.0]], dtype=np.float32))
    assert frame.columns == ["x0", "x1"]
    assert np.isnan(frame["x1"][0])
    assert as_frame([["a", 1.5], ["b", None]])["x1"].to_list()[1] in (None, "None")
    mixed = as_frame(np.array([["a", 1.5], ["b", None]], dtype=object))
    assert mixed["x0"].to_list() == ["a", "b"]
    assert mixed["x1"].to_list() == [1.5, None]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([1.0, 2.0], "X: Expected 2D array, got 1D array instead"),
        (np.zeros((2, 2, 2)), "got 3D array"),
        ([[1, 2], [3]], "rows differ in length"),
        (np.array([[1j]]), "Complex data not supported"),
        (scipy.sparse.eye(3), "sparse input is not supported"),
        ({"a": [1, 2], "b": [1]}, "columns must have one length, but found 'a' 2, 'b' 1"),
        ({"a": 1.0}, "column 'a' is one value"),
        ("loans.csv", "X is a str: a table"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), r"must be unique, but found 'a' \(2 times\)"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), r"'1' \(2 times\)"),
        (pa.table([pa.array([1]), pa.array([2])], names=["k", "k"]), r"'k' \(2 times\)"),
    ],
)
def test_refusals(table: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        as_frame(table)
    assert "\n" not in str(caught.value)
