from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.field_schema import UNIT, field_schema, inexact_ids
from thinfile.data.fields import Bag, FieldEncoder
from thinfile.data.vocabulary import SMALL
from thinfile.errors import DataError, ParameterError, SchemaError
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

CATEGORY = Schema((Column("id", "category", "code"),))


def fitted(values: Any, schema: Schema = CATEGORY, **arguments: Any) -> FieldEncoder:
    frame = values if isinstance(values, pl.DataFrame) else pl.DataFrame({"id": values})
    return FieldEncoder(schema, **{"min_count": 1, **arguments}).fit(schema.parse(frame).frame)


def codes(encoder: FieldEncoder, values: Any, dtype: Any = None) -> list[int]:
    frame = pl.DataFrame({"id": pl.Series(values, dtype=dtype)})
    return encoder.transform(encoder.schema.parse(frame).frame).codes.ravel().tolist()


# Codes ---------------------------------------------------------------------------------------


def test_codes_are_0_missing_1_rare_or_unseen_and_then_by_frequency() -> None:
    encoder = fitted(["a", "b", "b", "c", "a", "b", None], min_count=2)
    assert codes(encoder, ["b", "a", "c", "zebra", None, ""]) == [2, 3, 1, 1, 0, 0]
    assert encoder.cardinalities_ == [4]
    assert encoder.notes_ == [
        "column 'id': 16.7% of the values occur fewer than 2 times; they share a code with values "
        "never seen"
    ]


@pytest.mark.parametrize("n_others", [0, 2 * SMALL])
def test_ids_next_to_each_other_never_fall_together(n_others: int) -> None:
    """Other libraries pass ids through float32, where 2^24 and 2^24 + 1 are one number."""
    ids = [2**24, 2**24 + 1, 2**31 - 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, -1, -(2**63), 0]
    encoder = fitted([*ids, *range(1, n_others)])
    found = codes(encoder, ids)
    assert len(set(found)) == len(ids)
    assert min(found) >= 2
    assert codes(encoder, [2**24 + 2, -2]) == [1, 1]


def test_unsigned_ids_above_2_to_the_63_are_ids_too() -> None:
    ids = pl.Series([2**63, 2**63 + 1, 2**64 - 1], dtype=pl.UInt64)
    encoder = fitted(pl.DataFrame({"id": ids}))
    assert sorted(codes(encoder, ids.to_list(), pl.UInt64)) == [2, 3, 4]
    assert sorted(codes(encoder, [str(value) for value in ids])) == [2, 3, 4]


def test_an_id_is_its_text_whatever_type_it_comes_in() -> None:
    encoder = fitted([7, 16777217, -3, 7])
    for same in ([7, 16777217, -3], [7.0, 16777217.0, -3.0], ["7", " 16777217 ", "-3.0"]):
        assert codes(encoder, same) == codes(encoder, [7, 16777217, -3])
    assert codes(encoder, ["07", "7.5", "seven"]) == [1, 1, 1]


@pytest.mark.parametrize(
    "hostile",
    [
        [float("nan"), float("inf"), -float("inf"), 1e308, -0.0, 0.5],
        ["", " ", "\x00", "\x1f", "💥" * 1000, "x" * 2_000_000, "nan", "None"],
        [None, None],
        [True, False],
        [datetime(2020, 1, 1), None],
        [[1, 2], [], None, [None]],
        [["a"], [""], [None]],
    ],
)
@pytest.mark.parametrize("n_ids", [3, 2 * SMALL])
def test_no_value_raises_once_a_model_is_fitted(hostile: list[Any], n_ids: int) -> None:
    schema, _ = field_schema(CATEGORY, pl.DataFrame({"id": [1]}), ("id",), {}, inferred=True)
    encoder = fitted([f"u{i}" for i in range(n_ids)], schema)
    for limit in (encoder, fitted([f"u{i}" for i in range(n_ids)], schema, max_vocabulary=2)):
        found = np.array(codes(limit, hostile))
        assert ((found == 0) | (found == 1)).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=2, max_size=30), st.data())
def test_codes_are_those_of_a_dictionary(values: list[str | None], data: st.DataObject) -> None:
    least = data.draw(st.integers(1, 3))
    words = [v.strip() for v in values if v is not None and v.strip()]
    kept = {w for w in words if words.count(w) >= least}
    schema = Schema((Column("id", "category"), Column("x", "number")))
    numbers = pl.Series(np.arange(len(values), dtype=float))
    frame = pl.DataFrame({"id": pl.Series(values, dtype=pl.String), "x": numbers})
    # polars strips what Unicode calls blank, Python a few control characters more.
    frame = frame.with_columns(pl.col("id").str.strip_chars())
    words = [w for w in frame["id"].drop_nulls().to_list() if w]
    kept = {w for w in words if words.count(w) >= least}
    encoder = FieldEncoder(schema, min_count=least).fit(schema.parse(frame).frame)
    if not encoder.code_names_:
        return
    found = encoder.transform(schema.parse(frame).frame).codes[:, 0]
    of_word: dict[str, int] = {}
    for value, code in zip(frame["id"].to_list(), found.tolist(), strict=True):
        if not value:
            assert code == 0
        elif value not in kept:
            assert code == 1
        else:
            assert of_word.setdefault(value, code) == code
    assert sorted(of_word.values()) == list(range(2, 2 + len(kept)))


def test_a_large_vocabulary_finds_what_a_small_one_finds() -> None:
    words = [f"w{i}" for i in range(3 * SMALL)]
    encoder = fitted(words * 2 + ["rare"], min_count=2)
    found = codes(encoder, [*words, "rare", "new", None])
    assert sorted(found[:-3]) == list(range(2, 2 + len(words)))
    assert found[-3:] == [1, 1, 0]


# Hashing -------------------------------------------------------------------------------------


def test_above_the_limit_values_are_hashed_and_the_share_of_collisions_is_said() -> None:
    ids = list(range(1000))
    encoder = fitted(ids * 2, max_vocabulary=400, key=b"k" * 16)
    found = np.array(codes(encoder, ids))
    assert encoder.cardinalities_ == [402]
    assert found.min() >= 2
    assert found.max() < 402
    shared = (np.bincount(found)[found] > 1).mean()
    assert encoder.collisions_ == [
        f"column 'id': 1000 values are hashed to 400 codes; {shared:.1%} of them, in {shared:.1%} "
        "of the rows, share a code; a larger max_vocabulary avoids it"
    ]
    assert codes(encoder, ["1000", "-1", "x"]) == [1, 1, 1]  # never the code of a known value


def test_hashed_codes_of_version_1_stay_as_they_are() -> None:
    words = ["16777216", "16777217", "a", "b", "ü"]
    encoder = fitted(words, max_vocabulary=4)
    assert codes(encoder, words) == GOLDEN_CODES


GOLDEN_CODES = [3, 3, 5, 2, 2]


def test_rare_values_are_not_hashed() -> None:
    encoder = fitted([*"aabbccd"], max_vocabulary=2, min_count=2)
    assert "3 values are hashed to 2 codes" in encoder.collisions_[0]
    assert codes(encoder, ["d"]) == [1]


# What was never seen -------------------------------------------------------------------------


def test_unseen_values_are_counted_apart_from_rare_ones_and_gaps() -> None:
    encoder = fitted([*"aaabbc"], min_count=2)
    frame = pl.DataFrame({"id": ["a", None, "c", "new", "newer", "a"]})
    (tally,) = encoder.transform(encoder.schema.parse(frame).frame).unseen
    assert (tally.n_unseen, tally.n_present, tally.row, tally.value) == (2, 5, 3, "new")
    assert tally.share == pytest.approx(0.4)


def test_strict_names_column_count_row_and_value_of_every_column() -> None:
    schema = Schema((Column("user", "category", "code"), Column("tags", "category")))
    frame = pl.DataFrame({"user": [1, 2, 1, 2], "tags": ["a|b", "b", None, "a"]})
    encoder = FieldEncoder(schema, separators={"tags": "|"}, min_count=1, strict=True)
    encoder.fit(schema.parse(frame).frame)
    encoder.transform(schema.parse(frame).frame)
    other = pl.DataFrame({"user": [1, 9, -9], "tags": ["a", "c|a", "z" * 100]})
    with pytest.raises(DataError) as caught:
        encoder.transform(schema.parse(other).frame)
    assert str(caught.value) == (
        "strict=True: column 'user': 2 of 3 values were not in the training rows (first: row 1, "
        "'9'); column 'tags': 2 of 4 values were not in the training rows (first: row 1, 'c')"
    )
    encoder.transform(schema.parse(other).frame, strict=False)


def test_strict_lets_rare_values_and_gaps_pass_and_shortens_huge_ones() -> None:
    encoder = fitted([*"aab"], min_count=2, strict=True)
    assert codes(encoder, ["b", None]) == [1, 0]
    with pytest.raises(DataError, match=r"\(first: row 0, 'x{60}…'\)$"):
        codes(encoder, ["x" * 1_000_000])


# Bags ----------------------------------------------------------------------------------------


def bag_of(encoder: FieldEncoder, frame: pl.DataFrame) -> list[list[int]]:
    (bag,) = encoder.transform(encoder.schema.parse(frame).frame).bags
    return [bag.values[a:b].tolist() for a, b in zip(bag.offsets, bag.offsets[1:], strict=False)]


def test_text_with_a_separator_becomes_a_bag() -> None:
    frame = pl.DataFrame({"tags": ["a|b|a", " b ", "", None, "|", "c"]})
    schema, separators = field_schema(Schema.infer(frame), frame, (), {"tags": "|"}, inferred=True)
    encoder = FieldEncoder(schema, separators=separators, min_count=2)
    encoder.fit(schema.parse(frame).frame)
    assert encoder.bag_cardinalities_ == [4]
    a, b = bag_of(encoder, frame)[0][:2]
    assert bag_of(encoder, frame) == [[a, b, a], [b], [], [], [], [1]]
    assert bag_of(encoder, pl.DataFrame({"tags": [["b", None], [], None, ["new", "a"]]})) == [
        [b],
        [],
        [],
        [1, a],
    ]


def test_lists_are_bags_unasked() -> None:
    frame = pl.DataFrame(
        {"items": [[5, 2**60], [], None, [5, None]], "prices": [[1.5], [2.5], [], None]}
    )
    schema, separators = field_schema(Schema.infer(frame), frame, (), {}, inferred=True)
    assert separators == {"items": UNIT}
    encoder = FieldEncoder(schema, separators=separators, min_count=1)
    encoder.fit(schema.parse(frame).frame)
    assert encoder.bag_names_ == ["items"]
    assert bag_of(encoder, frame) == [[2, 3], [], [], [2]]
    assert bag_of(encoder, pl.DataFrame({"items": [["5"], ["1152921504606846976", "x"]]})) == [
        [2],
        [3, 1],
    ]


def test_lists_of_floats_are_ids_where_they_are_named() -> None:
    frame = pl.DataFrame({"items": [[5.0, float("nan")], [6.0], [5.0]]})
    schema, separators = field_schema(Schema.infer(frame), frame, (), {"items": ","}, inferred=True)
    encoder = FieldEncoder(schema, separators=separators, min_count=1)
    encoder.fit(schema.parse(frame).frame)
    assert bag_of(encoder, pl.DataFrame({"items": [[5, 6]]})) == [[2, 3]]


def test_lists_of_lists_are_refused_by_name() -> None:
    frame = pl.DataFrame({"items": [[["a"]], [["b"]]]})
    schema, _ = field_schema(Schema.infer(frame), frame, (), {"items": ","}, inferred=True)
    with pytest.raises(DataError, match=r"column 'items' is of type List\(List\(String\)\)"):
        schema.parse(frame)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=10), st.data())
def test_rows_of_a_bag_are_taken_as_a_loop_takes_them(
    lists: list[list[int]], data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=15))
    offsets = np.cumsum([0, *(len(each) for each in lists)])
    bag = Bag(np.array([v for each in lists for v in each], dtype=np.int32), offsets)
    taken = bag.take(np.array(rows, dtype=np.intp))
    assert taken.values.tolist() == [value for row in rows for value in lists[row]]
    assert np.diff(taken.offsets).tolist() == [len(lists[row]) for row in rows]


# Numbers and times ---------------------------------------------------------------------------


def test_dates_give_days_and_parts() -> None:
    dates = [
        datetime(2020, month, day, hour) for month in (1, 7) for day in (6, 7) for hour in (3, 22)
    ]
    frame = pl.DataFrame({"at": dates})
    schema = Schema((Column("at", "date"),))
    encoder = FieldEncoder(schema, min_count=1).fit(schema.parse(frame).frame)
    assert encoder.number_names_ == ["at (days)"]
    assert encoder.code_names_ == ["at (month)", "at (day)", "at (weekday)", "at (hour)"]
    found = encoder.transform(schema.parse(frame).frame)
    for place, part in enumerate(("month", "day", "weekday", "hour")):
        values = [getattr(d, part) if part != "weekday" else d.isoweekday() for d in dates]
        for i, value in enumerate(values):
            same = [other == value for other in values]
            assert (found.codes[:, place] == found.codes[i, place]).tolist() == same
    assert (np.diff(found.numbers[:, 0]) > 0).all()


def test_only_the_parts_that_are_asked_for_and_that_vary_are_made() -> None:
    frame = pl.DataFrame({"at": [datetime(2020, month, 1) for month in range(1, 13)]})
    schema = Schema((Column("at", "date"),))
    parsed = schema.parse(frame).frame
    encoder = FieldEncoder(schema, min_count=1).fit(parsed)
    assert encoder.code_names_ == ["at (month)"]  # always the first, and always midnight
    encoder = FieldEncoder(schema, min_count=1, time_fields=("days",)).fit(parsed)
    assert (encoder.number_names_, encoder.code_names_) == (["at (days)"], [])


def test_a_month_that_training_did_not_have_passes_strict() -> None:
    frame = pl.DataFrame({"at": [datetime(2020, month, 5) for month in (1, 2, 3)]})
    schema = Schema((Column("at", "date"),))
    encoder = FieldEncoder(schema, min_count=1, strict=True).fit(schema.parse(frame).frame)
    later = encoder.transform(schema.parse(pl.DataFrame({"at": [datetime(2020, 9, 5)]})).frame)
    assert later.codes[0, 0] == 1


def test_numbers_are_scaled_with_a_sign_for_gaps() -> None:
    schema = Schema((Column("x", "number"), Column("full", "number")))
    frame = pl.DataFrame({"x": [1.0, None, 3.0, 5.0], "full": [4.0, 3.0, 2.0, 1.0]})
    encoder = FieldEncoder(schema, scaling="standard").fit(schema.parse(frame).frame)
    numbers = encoder.transform(schema.parse(frame).frame).numbers
    assert encoder.number_names_ == ["x", "x (missing)", "full"]
    assert numbers[:, 1].tolist() == [0, 1, 0, 0]
    assert numbers[1, 0] == 0
    assert numbers[:, 2].mean() == pytest.approx(0, abs=1e-6)
    assert np.isfinite(numbers).all()


# Errors --------------------------------------------------------------------------------------


def test_columns_that_say_nothing_are_left_out_and_named() -> None:
    frame = pl.DataFrame(
        {
            "same": ["x"] * 4,
            "empty": pl.Series([None] * 4, dtype=pl.String),
            "all_rare": [*"abcd"],
            "flat": [1.0] * 4,
            "x": [1.0, 2.0, 3.0, 4.0],
        }
    )
    roles = {"same": "category", "empty": "category", "all_rare": "category"}
    schema = Schema(tuple(Column(n, roles.get(n, "number")) for n in frame.columns))
    encoder = FieldEncoder(schema, min_count=2).fit(schema.parse(frame).frame)
    assert encoder.notes_ == [
        "column 'same': the same in every training row, left out",
        "column 'empty': every training row is missing, left out",
        "column 'all_rare': no value occurs 2 times in 4 training rows, left out",
        "column 'flat': the same in every training row, left out",
    ]
    assert encoder.number_names_ == ["x"]
    with pytest.raises(DataError, match="no column varies in 4 training rows: column 'same'"):
        FieldEncoder(schema, min_count=2).fit(schema.parse(frame.with_columns(x=pl.lit(1.0))).frame)


def test_bad_arguments_and_frames() -> None:
    with pytest.raises(ParameterError, match=r"time_fields=\['year'\] must .*min_count=0 must"):
        FieldEncoder(CATEGORY, time_fields=["year"], min_count=0)
    with pytest.raises(DataError, match="without rows"):
        FieldEncoder(CATEGORY).fit(pl.DataFrame({"id": []}, schema={"id": pl.String}))
    with pytest.raises(SchemaError, match="lacks columns: 'id'"):
        fitted([1, 2]).transform(pl.DataFrame({"other": ["a"]}))
    frame = pl.DataFrame({"id": [1]})
    with pytest.raises(DataError, match=r"sparse names 'user', .*; multi_valued names 'tags'"):
        field_schema(CATEGORY, frame, ("user",), {"tags": ","}, inferred=True)
    with pytest.raises(DataError, match="'id' are in sparse and in multi_valued"):
        field_schema(CATEGORY, frame, ("id",), {"id": ","}, inferred=True)


def test_ids_that_floats_cannot_hold_are_named() -> None:
    frame = pl.DataFrame({"id": [1.0, None, 2.0**53, float("inf"), -(2.0**60)], "n": [1] * 5})
    (line,) = inexact_ids(frame, ["id", "n", "absent"])
    assert line.startswith("column 'id': 2 of 5 ids are floats of 2^53 or more")
    assert line.endswith("(first: row 2, 9007199254740992.0)")


# State ---------------------------------------------------------------------------------------


def _rich() -> tuple[FieldEncoder, pl.DataFrame]:
    n = 3 * SMALL
    frame = pl.DataFrame(
        {
            "user": [f"ü{i}\n" for i in range(n)],
            "shop": [i % 7 for i in range(n)],
            "huge": list(range(n)),
            "tags": [["a", "b"][: i % 3] for i in range(n)],
            "x": [None if i % 5 == 0 else i / 3 for i in range(n)],
            "at": [datetime(2020, 1 + i % 12, 1 + i % 28, i % 24) for i in range(n)],
        }
    )
    schema, separators = field_schema(
        Schema.infer(frame), frame, ("user", "shop", "huge"), {}, inferred=True
    )
    encoder = FieldEncoder(schema, separators=separators, min_count=1, max_vocabulary=n - 1)
    return encoder.fit(schema.parse(frame).frame), frame


def test_state_makes_the_same_encoder_from_json_and_arrays() -> None:
    encoder, frame = _rich()
    assert len(encoder.collisions_) == 2
    state = json.loads(json.dumps(encoder.to_state(), allow_nan=False))
    assert len(json.dumps(state)) < 20_000  # vocabularies are not in it
    twin = FieldEncoder.from_state(state, {k: v.copy() for k, v in encoder.arrays().items()})
    parsed = encoder.schema.parse(frame).frame
    one, two = encoder.transform(parsed), twin.transform(parsed)
    assert np.array_equal(one.numbers, two.numbers)
    assert np.array_equal(one.codes, two.codes)
    assert all(np.array_equal(a.values, b.values) for a, b in zip(one.bags, two.bags, strict=True))
    assert twin.to_state() == encoder.to_state()
    assert twin.collisions_ == encoder.collisions_
    assert {v.dtype.kind for v in encoder.arrays().values()} <= set("iu")


def test_state_of_other_formats_or_with_damage_is_refused() -> None:
    encoder, _ = _rich()
    state, arrays = encoder.to_state(), encoder.arrays()
    with pytest.raises(DataError, match="format 99, this version reads 1"):
        FieldEncoder.from_state({**state, "format": 99}, arrays)
    with pytest.raises(DataError, match="state is damaged: KeyError"):
        FieldEncoder.from_state(state, {})
    codes_state = [dict(each) for each in state["codes"]]
    codes_state[0] = {**codes_state[0], "vocabulary": {"kind": "pickle"}}
    with pytest.raises(DataError, match="kind of vocabulary is 'pickle'"):
        FieldEncoder.from_state({**state, "codes": codes_state}, arrays)
    ends = next(name for name in arrays if name.endswith("ends"))
    with pytest.raises(DataError, match="words of a vocabulary are damaged"):
        FieldEncoder.from_state(state, {**arrays, ends: arrays[ends][::-1]})


def test_rows_can_be_taken_by_place_and_by_mask() -> None:
    encoder, frame = _rich()
    fields = encoder.transform(encoder.schema.parse(frame).frame)
    mask = np.arange(len(fields)) % 3 == 1
    by_mask, by_place = fields.take(mask), fields.take(np.flatnonzero(mask))
    assert np.array_equal(by_mask.codes, fields.codes[mask])
    assert np.array_equal(by_mask.bags[0].values, by_place.bags[0].values)
    assert len(by_mask) == mask.sum()


def test_rows_do_not_influence_each_other() -> None:
    encoder, frame = _rich()
    whole = encoder.transform(encoder.schema.parse(frame).frame)
    one = encoder.transform(encoder.schema.parse(frame[17:18]).frame)
    assert np.array_equal(one.codes[0], whole.codes[17])
    assert np.array_equal(one.numbers[0], whole.numbers[17])
