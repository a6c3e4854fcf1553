"""Precision and lift among the first k rows, against counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinfile.errors import ParameterError
from thinfile.metrics.ranking import precision_at


def counted(y: np.ndarray, score: np.ndarray, k: int) -> float:
    """The mean over all orders of ties: each tie's rows count in proportion."""
    left, events = float(k), 0.0
    for value in sorted(set(score.tolist()), reverse=True):
        tie = y[score == value]
        taken = min(left, len(tie))
        events += taken * tie.mean()
        left -= taken
    return events / k


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4)), min_size=2, max_size=30),
    st.integers(1, 30),
)
def test_precision_is_what_counting_gives(rows: list[tuple[int, int]], k: int) -> None:
    y = np.array([label for label, _ in rows], dtype=float)
    y[:2] = [0, 1]
    score = np.array([value for _, value in rows], dtype=float)
    k = min(k, len(y))
    found = precision_at(k)(y, score, np.ones((1, len(y))))
    assert found[0] == pytest.approx(counted(y, score, k))
    lift = precision_at(k, as_lift=True)(y, score, np.ones((1, len(y))))
    assert lift[0] == pytest.approx(counted(y, score, k) / y.mean())


def test_weights_stand_for_copies_of_rows() -> None:
    y, score = np.array([1.0, 0, 0, 1]), np.array([4.0, 3, 2, 1])
    weights = np.array([[2, 1, 0, 1]])
    copies = np.repeat(np.arange(4), weights[0])
    once = precision_at(2)(y[copies], score[copies], np.ones((1, 4)))
    assert precision_at(2)(y, score, weights)[0] == pytest.approx(once[0])


def test_more_than_all_rows_are_all_rows() -> None:
    y, score = np.array([1.0, 0, 0]), np.array([3.0, 2, 1])
    assert precision_at(99)(y, score, np.ones((1, 3)))[0] == pytest.approx(1 / 3)


def test_a_k_below_one_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"k=0 must be a whole number ≥ 1"):
        precision_at(0)
