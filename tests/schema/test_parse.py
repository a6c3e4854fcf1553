"""Raw tables become typed ones; what cannot be read is counted, named and acted on."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.errors import DataError, SchemaError
from thinfile.schema.column import Column
from thinfile.schema.model import Schema


def parse(column: Column, values: object) -> tuple[list[object], list[str]]:
    frame = pl.DataFrame({column.name: pl.Series(values, strict=False)})
    parsed = Schema((column,)).parse(frame)
    return parsed.frame[column.name].to_list(), parsed.faults


def test_only_features_come_out_typed() -> None:
    frame = pl.DataFrame(
        {
            "id": ["a", "b"],
            "n": [1, 2],
            "c": [1.0, 2.5],
            "o": ["low", "high"],
            "b": ["Y", "n"],
            "d": ["28-Feb-97", None],
            "label": [0, 1],
            "more": [1, 1],
        }
    )
    schema = Schema(
        (
            Column("id", "id"),
            Column("n", "number"),
            Column("c", "category"),
            Column("o", "ordinal", order=("low", "high")),
            Column("b", "boolean"),
            Column("d", "date", "%d-%b-%y", pivot=2030),
            Column("label", "label"),
        )
    )
    parsed = schema.parse(frame)
    assert parsed.frame.columns == schema.features == ["n", "c", "o", "b", "d"]
    assert parsed.frame.dtypes == [
        pl.Float64,
        pl.String,
        pl.Float64,
        pl.Boolean,
        pl.Datetime("us"),
    ]
    assert parsed.frame.rows() == [
        (1.0, "1", 0.0, True, datetime(1997, 2, 28)),
        (2.0, "2.5", 1.0, False, None),
    ]
    assert parsed.faults == []
    assert not parsed.rejected.any()
    # Label, domain, id and further columns need not be there.
    assert schema.parse(frame.select(schema.features)).frame.equals(parsed.frame)


def test_a_fault_names_count_row_value_and_rule() -> None:
    values, faults = parse(Column("year", "number"), ["1975", "1976A", "1977", ""])
    assert values == [1975.0, None, 1977.0, None]
    assert faults == [
        "column 'year': 1 of 4 rows cannot be read as a number (first: row 1, '1976A')"
    ]


def test_range_infinity_and_nan() -> None:
    column = Column("income", "number", minimum=0, maximum=100)
    values, faults = parse(column, [1.0, -20.0, np.nan, np.inf, 101.0, None])
    assert values == [1.0, None, None, None, None, None]
    assert faults == [
        "column 'income': 3 of 6 rows are infinite or lie below 0 or lie above 100 "
        "(first: row 1, -20.0)"
    ]
    day = Column("d", "date", "%Y-%m-%d", minimum="2000-01-01")
    values, faults = parse(day, ["1999-12-31", "2000-01-01"])
    assert values == [None, datetime(2000, 1, 1)]
    assert "lie below 2000-01-01" in faults[0]


def test_the_text_nan_is_no_number() -> None:
    values, faults = parse(Column("x", "number"), ["1", "NaN", "inf"])
    assert values == [1.0, None, None]
    assert "2 of 3 rows cannot be read as a number or are infinite" in faults[0]


def test_missing_codes_match_by_value_and_are_no_faults() -> None:
    column = Column("x", "number", missing=("-9", "unknown"))
    assert parse(column, [-9, 1, 2]) == ([None, 1.0, 2.0], [])
    assert parse(column, [-9.0, 1.5, 2.0]) == ([None, 1.5, 2.0], [])
    assert parse(column, ["-9", " -9.0", "Unknown ", "3"]) == ([None, None, None, 3.0], [])
    assert parse(Column("x", "category", missing=("?",)), ["?", "a", " "])[0] == [None, "a", None]


def test_codes_are_the_same_text_from_every_file() -> None:
    column = Column("post_code", "category", "code")
    assert parse(column, ["259.0", "193", "A1.0"])[0] == ["259", "193", "A1.0"]
    assert parse(column, [259.0, 193.0])[0] == ["259", "193"]
    assert parse(column, [259, 193])[0] == ["259", "193"]


def test_booleans_and_ordinals_refuse_other_values() -> None:
    values, faults = parse(Column("b", "boolean"), ["yes", "no", "perhaps"])
    assert values == [True, False, None]
    assert "cannot be read as a boolean (first: row 2, 'perhaps')" in faults[0]
    assert parse(Column("b", "boolean"), [0, 1, 2])[0] == [False, True, None]
    column = Column("o", "ordinal", order=("low", "high"))
    assert "one of 2 levels ('low' … 'high')" in parse(column, ["low", "mid"])[1][0]
    assert parse(Column("o", "ordinal"), ["3", "1"])[0] == [3.0, 1.0]


def test_on_fault_rejects_or_raises() -> None:
    frame = pl.DataFrame({"x": ["1", "a", "3"], "y": ["b", "2", "3"]})
    schema = Schema((Column("x", "number", on_fault="reject"), Column("y", "number")))
    assert schema.parse(frame).rejected.tolist() == [False, True, False]
    strict = Schema(tuple(Column(name, "number", on_fault="raise") for name in "xy"))
    with pytest.raises(DataError, match=r"column 'x': 1 of 3 .*; column 'y': 1 of 3"):
        strict.parse(frame)


def test_absent_columns_are_all_named() -> None:
    schema = Schema.numeric(["a", "b", "c"])
    with pytest.raises(SchemaError, match=r"lacks 2 of 3 columns: 'a', 'c' \(it has 'b', 'z'\)"):
        schema.parse(pl.DataFrame({"b": [1.0], "z": [1]}))


def test_a_column_that_changed_its_type_is_refused_in_one_message() -> None:
    schema = Schema((Column("x", "number"), Column("d", "date", "%Y-%m-%d")))
    frame = pl.DataFrame({"x": ["red"] * 20, "d": ["31.01.2014"] * 20})
    with pytest.raises(DataError, match=r"column 'x': 20 of 20.*another way.*column 'd': 20 of 20"):
        schema.parse(frame)
    with pytest.raises(DataError, match="column 'd'"):
        schema.parse(pl.DataFrame({"x": [1.0] * 20, "d": [True] * 20}))
    # One bad row in a small batch is a fault like any other.
    assert len(schema.parse(frame.head(1)).faults) == 2


def test_types_that_no_role_reads_are_refused() -> None:
    with pytest.raises(SchemaError, match="column 'x' is of type List"):
        Schema((Column("x", "number"),)).parse(pl.DataFrame({"x": [[1], [2]]}))


@pytest.mark.parametrize("role", ["number", "category", "ordinal", "boolean", "date"])
def test_all_missing_and_empty_tables_pass(role: str) -> None:
    schema = Schema((Column("x", role),))
    for dtype in (pl.Null, pl.String):
        parsed = schema.parse(pl.DataFrame({"x": pl.Series([None, None], dtype=dtype)}))
        assert parsed.frame["x"].null_count() == 2
        assert parsed.faults == []
        assert schema.parse(pl.DataFrame({"x": pl.Series([], dtype=dtype)})).frame.height == 0


def test_time_zones_become_utc() -> None:
    aware = pl.Series([datetime(2020, 1, 1, 12)]).dt.replace_time_zone("Asia/Tokyo")
    assert parse(Column("t", "date"), aware)[0] == [datetime(2020, 1, 1, 3)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["1", "2.5", "x", "", None, "-9", "inf"]), max_size=30))
def test_parse_equals_a_slow_loop(values: list[str | None]) -> None:
    column = Column("x", "number", missing=("-9",), on_fault="reject")

    def slow(text: str | None) -> tuple[float | None, bool]:
        if text in (None, "", "-9"):
            return None, False
        return (None, True) if text in ("x", "inf") else (float(text), False)  # type: ignore[arg-type]

    expected = [slow(text) for text in values]
    frame = pl.DataFrame({"x": pl.Series(values, dtype=pl.String)})
    n_unread = values.count("x")
    n_present = sum(text not in (None, "", "-9") for text in values)
    if n_unread >= 10 and n_unread > n_present / 2:
        with pytest.raises(DataError):
            Schema((column,)).parse(frame)
        return
    parsed = Schema((column,)).parse(frame)
    assert parsed.frame["x"].to_list() == [value for value, _ in expected]
    assert parsed.rejected.tolist() == [fault for _, fault in expected]


def test_distinct_texts_are_read_once_with_the_same_result() -> None:
    # Beyond a thousand rows each distinct text is read once.
    texts = ["$1,000.00", None, "$2.50 ", "bad"] * 600
    values, faults = parse(Column("x", "number", "money"), texts)
    assert values == [1000.0, None, 2.5, None] * 600
    assert faults[0].startswith("column 'x': 600 of 2400 rows")
    days, _ = parse(
        Column("d", "date", "%d-%b-%y", pivot=2030), ["28-Feb-97", None, "1-Jan-61"] * 500
    )
    assert days == [datetime(1997, 2, 28), None, datetime(1961, 1, 1)] * 500
