"""Roles, formats and missing codes are concluded, and everything not plain is noted."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.schema.column import Column
from thinfile.schema.model import Schema


def infer(values: list[Any], name: str = "x") -> tuple[Column, str]:
    schema = Schema.infer(pl.DataFrame({name: pl.Series(values, strict=False)}))
    return schema.columns[0], "; ".join(schema.notes_of(name))


@pytest.mark.parametrize(
    ("values", "role", "form"),
    [
        ([1.5, 2.5, None, 4.0], "number", None),
        ([3, 1, 2, 7], "number", None),
        ([True, False, None], "boolean", None),
        ([0, 1, 1, 0], "boolean", None),
        ([0.0, 1.0, None], "boolean", None),
        (["Y", "N", None], "boolean", None),
        (["t", "F", "T"], "boolean", None),
        (["0", "1", "1"], "boolean", None),
        (["yes", "No", "yes"], "boolean", None),
        (["red", "blue", "red"], "category", None),
        (["$60,000.00 ", "$1,000.50 ", "$0.00 "], "number", "money"),
        (["12.5%", "3%", "100%"], "number", "percent"),
        (["1,234.5", "12", "1,000,000"], "number", "thousands"),
        (["1.234,56", "12,5", "3,0"], "number", "european"),
        (["1.234,56 €", "12,50 €", "3,00 €"], "number", "money european"),
        (["28-Feb-97", "1-Mar-61"], "date", "%d-%b-%y"),
        (["2014-01-31", "2015-02-28"], "date", "%Y-%m-%d"),
        ([dt.date(2014, 1, 31), dt.date(2015, 1, 31)], "date", None),
        (["007", "012", "123"], "category", "code"),
        (["low", "high", "medium"], "ordinal", None),
        (["10+ years", "< 1 year", "2 years", "1 year"], "ordinal", None),
    ],
)
def test_roles(values: list[Any], role: str, form: str | None) -> None:
    column, _ = infer(values)
    assert (column.role, column.format) == (role, form)


def test_order_of_levels() -> None:
    column, note = infer(["10+ years", "< 1 year", "2 years", "1 year"])
    assert column.order == ("< 1 year", "1 year", "2 years", "10+ years")
    assert "write role = 'category'" in note
    assert infer(["high", "low", "medium"])[0].order == ("low", "medium", "high")
    assert infer(["18-25", "26-35", "36+"])[0].order == ("18-25", "26-35", "36+")


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ([-9, -9, 1, 2, 3, 55], ("-9",)),
        ([-9.0, -9.0, -8.0, 1.0, 2.5, 3.0], ("-9", "-8")),
        ([-999, -999, 0, 1, 2, 3], ("-999",)),
        ([999, 999, 0, 3, 6, 27], ("999",)),
        (["999", "999", "0", "3", "6", "27"], ("999",)),
        ([-1, -1, 1, 2, 3, 871], ("-1",)),
        (["unknown", "12", "13", "14"], ("unknown",)),
        (["NA", "12.5", "?", "14"], ("?", "NA")),
        (["-", "12.5", "13", "14"], ("-",)),
        (["unknown", "red", "blue"], ("unknown",)),
    ],
)
def test_missing_codes_are_recognised_and_reported(values: list[Any], missing: tuple[str]) -> None:
    column, note = infer(values)
    assert set(column.missing) == set(missing)
    for code in missing:
        assert code in note
    assert "take it out of 'missing' to keep it" in note


@pytest.mark.parametrize(
    "values",
    [
        [-9, 1, 2, 3],  # once only
        [-9, -9, -4, 1, 2, 3],  # not the only negative value
        [-1, -1, 0, 1, 2, 3],  # a scale that goes through zero
        [-2, -2, 0, 1, 2],  # no code that anybody uses
        [999, 999, 0, 500, 800],  # not apart from the rest
        [998, 998, 0, 1, 2],
        [0.5, 0.5, 1.0, 2.0],
    ],
)
def test_numbers_that_are_no_codes_stay(values: list[float]) -> None:
    assert infer(values)[0].missing == ()


def test_words_that_are_values_stay() -> None:
    assert infer(["none", "basic", "high school"])[0].missing == ()
    assert infer(["NA", "DE", "FR", "US", "GB", "AT"])[0].missing == ()


def test_trivial_columns_are_ignored_and_reported() -> None:
    assert infer([None, None, None])[0].role == "ignored"
    assert "every value is missing" in infer([None, None])[1]
    assert "every value is missing" in infer(["", " ", "NA"])[1]
    assert "constant" in infer([5, 5, 5])[1]
    assert "constant" in infer(["1.0", "1", "1"])[1]
    assert infer(["a", "a", "a"])[0].role == "ignored"
    # A value or nothing is information.
    assert infer(["a", None, "a"])[0].role == "category"
    assert infer([5.0, None, 5.0])[0].role == "number"
    column, note = infer([np.inf, np.inf, -np.inf])
    assert (column.role, "no value is finite" in note) == ("ignored", True)


def test_infinite_values_are_reported() -> None:
    column, note = infer([1.0, 2.0, np.inf, np.nan])
    assert column.role == "number"
    assert "1 rows are infinite" in note


def test_ids_codes_and_text() -> None:
    assert infer(list(range(100, 140)), "customer_id")[0].role == "id"
    assert infer([f"k{place}" for place in range(30)])[0].role == "id"
    assert infer(list(range(60)))[0].role == "id"
    assert infer([3, 1, 4, 159, 2, 6], "amount")[0].role == "number"
    assert infer([10001, 90015, 10001, 93401], "Zip")[0].format == "code"
    assert "named like a code" in infer([10001, 90015, 10001], "Zip")[1]
    prose = [f"the customer called about matter {place} and was content" for place in range(30)]
    column, note = infer(prose)
    assert (column.role, "free text" in note) == ("ignored", True)


def test_many_categories_are_reported() -> None:
    values = [f"town {place}" for place in range(10_000)] * 2
    column, note = infer(values)
    assert column.role == "category"
    assert "10000 distinct values" in note


def test_a_stray_word_among_numbers_is_reported_and_many_make_a_category() -> None:
    column, note = infer(["1975", "1976A", *[str(year) for year in range(1980, 2000)]])
    assert column.role == "number"
    assert "1 rows are no numbers (such as '1976A')" in note
    assert infer(["1", "2", "A", "B", "3"])[0].role == "category"


def test_ambiguous_marks_are_reported() -> None:
    _, note = infer(["1,234", "5,678", "12"])
    assert "ambiguous" in note
    assert "format = 'european'" in note
    _, note = infer(["1.234", "5.678", "9.012", "3.456", "7.890"])
    assert "ambiguous" in note


def test_digits_as_dates() -> None:
    column, note = infer([20140131, 20140228, 20150331])
    assert (column.role, column.format) == ("date", "%Y%m%d")
    assert "role = 'number'" in note
    column, _ = infer([930705, 930711, 971231], "issue_date")
    assert (column.role, column.format) == ("date", "%y%m%d")
    assert infer([930705, 930711, 971231], "balance")[0].role == "number"


def test_label_and_domain_are_named_by_the_caller() -> None:
    frame = pl.DataFrame({"bad": [0, 1], "bank": ["a", "b"], "age": [1.5, 2.5]})
    schema = Schema.infer(frame, label="bad", domain="bank")
    assert [column.role for column in schema.columns] == ["label", "domain", "number"]
    assert schema.features == ["age"]


def test_columns_of_no_usable_type_and_without_name() -> None:
    frame = pl.DataFrame({"list": [[1], [2]], "": [1, 2], "ok": [1.0, 2.0]})
    schema = Schema.infer(frame)
    assert [column.role for column in schema.columns] == ["ignored", "ignored", "number"]
    assert "no role can read" in schema.notes[0]


def test_large_tables_are_sampled_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinfile.schema.infer.MAX_ROWS", 10)
    schema = Schema.infer(pl.DataFrame({"x": np.arange(40) % 7 + 0.5}))
    assert schema.notes[0] == "concluded from every 4th of 40 rows"
