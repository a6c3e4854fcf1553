"""Numbers and sentences as a reader meets them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from thinfile.compare.result import Result
from thinfile.report.subject import is_number, subject_of
from thinfile.report.words import count, duration, interval, listing, percent, spoken, three


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (0.68149, False, "0.681"),
        (-0.0214, True, "−0.021"),
        (0.0214, True, "+0.021"),
        (-0.0001, True, "0.000"),
        (None, False, "–"),
        (float("nan"), False, "–"),
        (True, False, "–"),
        (3, False, "3.000"),
    ],
)
def test_three_decimals(value: object, sign: bool, text: str) -> None:
    assert three(value, sign=sign) == text


def test_other_numbers() -> None:
    assert interval(0.66, 0.70449) == "0.660…0.704"
    assert interval(0.66, None) == ""
    assert count(1234567.4) == "1,234,567"
    assert percent(0.06834) == "6.8%"
    assert (duration(7.66), duration(1204.2), duration(None)) == ("7.7", "1,204", "–")
    assert (listing(["a"]), listing(["a", "b"]), listing([])) == ("a", "a and b", "")
    assert not is_number(float("inf"))


def test_methods_are_called_by_their_titles(make_result: Callable[..., Result]) -> None:
    subject = subject_of(make_result(methods=["boosted_pooled", "dan"], budgets=[100]))
    assert spoken("boosted_pooled beats dan, not dance", subject) == (
        "Boosted trees, pooled beats DAN (MK-MMD), not dance"
    )
