"""Conditions on columns: what they select, and what they refuse."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinfile.errors import DataError, ParameterError
from thinfile.synthetic.condition import read_condition

TABLE = pl.DataFrame(
    {
        "fraud": [1, 0, 1, 0, None],
        "amount": [5.0, 80.0, float("nan"), -3.0, 12.0],
        "job": ["nurse", "it's", None, " clerk ", ""],
        "as_text": ["1", "0", "1.0", "x", None],
        "day": [date(2020, 1, day) for day in range(1, 6)],
        "is_new": [True, False, None, True, False],
        "default.next month": [1, 1, 0, 0, 0],
        "kind": pl.Series(["a", "b", "a", "b", "a"], dtype=pl.Categorical),
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("fraud == 1", [0, 2]),
        ("fraud = 1", [0, 2]),
        ("fraud != 1", [1, 3]),
        ("fraud <> 1", [1, 3]),
        ("fraud == '1'", [0, 2]),
        ("amount > 10", [1, 4]),
        ("amount >= -3 and amount<5.5", [0, 3]),
        ("amount < -2.5e0", [3]),
        ("amount between 5 and 12", [0, 4]),
        ("amount not between 5 and 12", [1, 3]),
        ("amount is null", [2]),
        ("amount is not null", [0, 1, 3, 4]),
        ("job is null", [2, 4]),
        ("job in ('nurse', \"clerk\")", [0, 3]),
        ("job not in ('nurse')", [1, 3, 4]),
        ("job == 'it''s'", [1]),
        ("as_text == 1", [0, 2]),
        ("as_text == '1'", [0]),
        ("day >= '2020-01-04'", [3, 4]),
        ("is_new", [0, 3]),
        ("not is_new", [1, 4]),
        ("is_new == false", [1, 4]),
        ("as_text == true", [0]),
        ("`default.next month` == 1", [0, 1]),
        ('"default.next month" == 1 and fraud == 0', [1]),
        ("kind == 'a'", [0, 2, 4]),
        ("fraud == 1 or fraud == 0 and amount > 10", [0, 1, 2]),
        ("(fraud == 1 or fraud == 0) and amount > 10", [1]),
        ("NOT (fraud == 1 OR is_new)", [1]),
    ],
)
def test_a_condition_selects(text, rows):
    assert read_condition(text).mask(TABLE).nonzero()[0].tolist() == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the name of a column expected, but it ends (at letter 1)"),
        ("fraud ==", "a number, a text in quotes, true or false expected, but it ends"),
        ("fraud == nurse", "true or false expected, not 'nurse' (at letter 10)"),
        ("fraud == 1 amount", "and, or, or the end expected, not 'amount' (at letter 12)"),
        ("1 == fraud", "the name of a column expected, not '1' (at letter 1)"),
        ("(fraud == 1", "')' expected, but it ends"),
        ("fraud is 1", "'null' expected, not '1'"),
        ("fraud not 1", "in or between after not expected, not '1'"),
        ("fraud in 1", "'(' expected, not '1'"),
        ("fraud; drop", "'; drop' is not understood (at letter 6)"),
        ("__import__('os').system('x')", "is not understood (at letter 17)"),
        ("fraud == 'open", '"\'open" is not understood (at letter 10)'),
    ],
)
def test_what_does_not_follow_the_grammar_is_refused(text, message):
    with pytest.raises(ParameterError, match="cannot be read") as caught:
        read_condition(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frauds == 1 and x > 2", "names 'frauds', 'x', which the table lacks (it has 'fraud'"),
        ("amount == 'much'", "column 'amount' is of type Float64, and 'much' is no number"),
        ("day > 'May'", "column 'day' holds dates, and 'May' is no date such as '2013-05-01'"),
        ("day > 5", "column 'day' is of type Date and cannot be compared with 5.0"),
        ("is_new < true", "'is_new' < true has no meaning"),
    ],
)
def test_what_does_not_fit_the_table_is_refused(text, message):
    with pytest.raises(DataError) as caught:
        read_condition(text).mask(TABLE)
    assert message in str(caught.value)


def test_the_columns_are_named_once():
    assert read_condition("a == 1 or b > 2 or a is null").columns == ("a", "b")


@given(st.text(max_size=25))
def test_any_text_is_read_or_refused_and_never_anything_else(text):
    try:
        condition = read_condition(text)
    except ParameterError:
        return
    assert condition.columns


def test_a_column_with_a_space_is_told_how_to_be_written():
    with pytest.raises(ParameterError) as error:
        read_condition("km home > 50")
    assert str(error.value).endswith(
        "and, or, or the end expected, not 'home' (at letter 4); a column with a space in its "
        "name is written `km home`"
    )


def test_a_condition_that_no_row_fulfils_names_values_that_there_are():
    table = pl.DataFrame({"status": ["ok", "ok", "fraud", None], "sum": [1, 2, 3, 4]})
    condition = read_condition("status == 'Fraud' and sum > 1")
    with pytest.raises(DataError) as error:
        condition.check_any(table, "rows")
    assert str(error.value) == (
        "none of the 4 rows fulfils the condition \"status == 'Fraud' and sum > 1\" "
        "('status' holds 'ok', 'fraud')"
    )
    many = pl.DataFrame({"status": [f"s{i}" for i in range(9)], "sum": range(9)})
    with pytest.raises(DataError, match=r"'s0', 's1', 's2', 's3', 's4' and 4 more\)"):
        condition.check_any(many, "rows")


def test_equalities_that_every_chosen_row_keeps():
    assert read_condition("job = 'a' and fraud == 1 and sum > 2").equal == {"job": "a", "fraud": 1}
    for text in ("fraud == 1 or sum > 2", "not fraud == 1", "fraud != 1", "fraud in (1)"):
        assert read_condition(text).equal == {}
