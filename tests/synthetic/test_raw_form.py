"""Typed rows written as a raw table writes them, and read back as what they were."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl
import pytest

from thinfile.schema.column import Column
from thinfile.schema.model import Schema
from thinfile.synthetic.raw_form import fill_rest, raw_form

TYPED = {
    "number": pl.Series([1234.5, -0.25, None]),
    "boolean": pl.Series([True, False, None]),
    "date": pl.Series([datetime(1997, 2, 28), datetime(2014, 12, 1), None]),
}


@pytest.mark.parametrize(
    ("column", "like", "written"),
    [
        (Column("c", "number"), [1.5], [1234.5, -0.25, None]),
        (Column("c", "number"), ["1.5", "2"], ["1234.5", "-0.25", None]),
        (Column("c", "number"), ["1.50", "2.25"], ["1234.50", "-0.25", None]),
        (
            Column("c", "number", format="money"),
            ["$60,000.00", "$1.25"],
            ["$1,234.50", "-$0.25", None],
        ),
        (
            Column("c", "number", format="money european"),
            ["1.234,50 €", "2,00 €"],
            ["1.234,50 €", "-0,25 €", None],
        ),
        (Column("c", "number", format="percent"), ["12.5%"], ["123450.0%", "-25.0%", None]),
        (Column("c", "boolean"), ["Y", "N", "Y"], ["Y", "N", None]),
        (Column("c", "boolean"), [1, 0], [1, 0, None]),
        (Column("c", "boolean"), [True], [True, False, None]),
        (
            Column("c", "date", format="%d-%b-%y", pivot=2045),
            ["28-Feb-97"],
            ["28-Feb-97", "01-Dec-14", None],
        ),
        (Column("c", "date"), ["2001-01-01"], ["1997-02-28", "2014-12-01", None]),
        (Column("c", "date"), [date(2001, 1, 1)], [date(1997, 2, 28), date(2014, 12, 1), None]),
    ],
)
def test_a_column_is_written_as_the_table_writes_it(column, like, written):
    typed = pl.DataFrame({"c": TYPED[column.role]})
    table = pl.DataFrame({"c": like})
    raw, notes = raw_form(typed, Schema((column,)), table)
    assert notes == []
    assert raw["c"].to_list() == written
    assert raw.schema == table.schema


def test_whole_numbers_and_levels_keep_their_type():
    schema = Schema(
        (
            Column("n", "number"),
            Column("code", "category"),
            Column("size", "ordinal", order=("S", "M", "L")),
            Column("job", "category"),
        )
    )
    typed = pl.DataFrame(
        {"n": [3.0, 4.0], "code": ["7", "12"], "size": [0.0, 2.0], "job": ["a", None]}
    )
    like = pl.DataFrame(
        {"n": [1, 2], "code": [7, 12], "size": ["M", "L"], "job": ["a", "b"], "x": [0, 0]},
        schema_overrides={"n": pl.Int16, "job": pl.Categorical},
    )
    raw, notes = raw_form(typed, schema, like)
    assert notes == []
    assert raw.rows() == [(3, 7, "S", "a"), (4, 12, "L", None)]
    assert raw.schema["n"] == pl.Int16


def test_what_cannot_be_imitated_is_written_plainly_and_said():
    schema = Schema((Column("c", "category"),))
    raw, notes = raw_form(pl.DataFrame({"c": ["a", "b"]}), schema, pl.DataFrame({"c": [1, 2]}))
    assert raw["c"].to_list() == ["a", "b"]
    assert notes == [
        "column 'c': written as String, since values such as [1] could not be imitated"
    ]


def test_other_columns_get_what_the_chosen_rows_agree_in():
    like = pl.DataFrame({"id": [1, 2, 3], "a": [1.0, 2.0, 3.0], "bad": [1, 1, 0]})
    made = pl.DataFrame({"a": [5.0, 6.0]})
    whole, notes = fill_rest(made, like, like.head(2))
    assert whole.schema == like.schema
    assert whole.rows() == [(None, 5.0, 1), (None, 6.0, 1)]
    assert notes == ["Columns left empty, since the model does not make them: id"]


def test_a_column_that_came_out_empty_is_said():
    like = pl.DataFrame({"shop": ["M1", "M2", "M3"], "gone": [None] * 3, "sum": [1.0, 2.0, 3.0]})
    made = like.with_columns(shop=pl.lit(None, pl.String))
    assert fill_rest(made, like, like)[1] == [
        "Columns that came out empty, since no value in them was frequent enough for the model to "
        "learn: shop"
    ]
