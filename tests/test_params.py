from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile import params
from thinfile.errors import ParameterError
from thinfile.params import Rule, check_params


@pytest.mark.parametrize(
    ("rule", "kept", "broken", "text"),
    [
        (params.integer(1), [1, 7, np.int64(3)], [0, 1.0, True, "1", None], "a whole number ≥ 1"),
        (params.integer(0, 5), [0, 5], [-1, 6], "a whole number in [0, 5]"),
        (params.integer(high=2), [-9, 2], [3], "a whole number ≤ 2"),
        (params.integer(), [-9], [0.5], "a whole number"),
        (params.real(0), [0, 0.5, np.float32(2)], [-0.1, True, "0", None], "a number ≥ 0"),
        (params.real(0, 1, bounds="()"), [0.5], [0, 1, 0.0], "a number in (0, 1)"),
        (params.real(0, 1, bounds="[)"), [0], [1], "a number in [0, 1)"),
        (params.real(0, bounds="()"), [1e-9], [0], "a number > 0"),
        (params.real(high=0, bounds="()"), [-1], [0], "a number < 0"),
        (params.real(), [-1e9], [float("nan"), float("inf"), np.array([1.0])], "a number"),
        (
            params.one_of("a", None, 1),
            ["a", None, 1],
            ["b", True, 1.0, np.array([1])],
            "one of 'a'",
        ),
        (params.boolean(), [True, np.bool_(False)], [0, 1, None, "yes"], "True or False"),
        (params.optional(params.integer(1)), [None, 1], [0], "None or a whole number ≥ 1"),
        (
            params.either(params.one_of("auto"), params.real(0)),
            ["auto", 0.0],
            ["none", -1],
            "one of 'auto' or a number ≥ 0",
        ),
        (
            params.sequence_of(params.integer(1), min_length=1),
            [(1,), [2, 3]],
            [(), (0,), "12", 5, None],
            "a sequence of at least 1 values, each a whole number ≥ 1",
        ),
        (params.instance(str, int), ["a", 1], [None, 1.0], "str or int"),
        (params.anything(), [None, object()], [], "anything"),
        (
            params.random_state(),
            [None, 0, np.random.default_rng(), np.random.RandomState(0)],
            ["0", 1.5, True],
            "None, a whole number or a numpy RandomState",
        ),
    ],
)
def test_a_rule_and_its_words(rule: Rule, kept: list[Any], broken: list[Any], text: str) -> None:
    test, sentence = rule
    assert [value for value in kept if not test(value)] == []
    assert [value for value in broken if test(value)] == []
    assert sentence.startswith(text)


@settings(deadline=None)
@given(
    value=st.integers(-20, 20),
    low=st.integers(-10, 10),
    high=st.integers(-10, 10),
    ends=st.sampled_from(["[]", "()", "[)", "(]"]),
)
def test_bounds_are_what_they_look_like(value: int, low: int, high: int, ends: str) -> None:
    inside = (value >= low if ends[0] == "[" else value > low) and (
        value <= high if ends[1] == "]" else value < high
    )
    assert params.real(low, high, bounds=ends)[0](value) == inside


def test_every_fault_is_in_one_message() -> None:
    rules = {"depth": params.integer(1), "rate": params.real(0), "name": params.one_of("a", "b")}
    with pytest.raises(ParameterError) as caught:
        check_params("Model", {"depth": 0, "rate": -1, "name": "a", "other": object()}, rules)
    assert str(caught.value) == (
        "Model: depth=0 must be a whole number ≥ 1; rate=-1 must be a number ≥ 0"
    )


def test_what_is_not_given_is_not_held_against_its_rule() -> None:
    check_params("Model", {}, {"depth": params.integer(1)})
