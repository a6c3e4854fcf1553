from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.anomaly.ecod import EXACT_TAIL, MIDDLE_POINTS, TailScore
from thinfile.data.encode import Encoded


def rows(numbers: npt.NDArray[np.float64], codes: list[int] | None = None) -> Encoded:
    width = 0 if codes is None else 1
    code = np.array(codes or [], dtype=np.int32).reshape(len(numbers), width)
    return Encoded(numbers.astype(np.float32), code)


def slow(train: npt.NDArray[np.float32], row: npt.NDArray[np.float32]) -> float:
    """The paper's sum with the row among the training rows, column by column."""
    total = 0.0
    for column, value in zip(train.T, row, strict=True):
        values = [*column.tolist(), float(value)]
        below = sum(v <= value for v in values) / len(values)
        above = sum(v >= value for v in values) / len(values)
        total += max(-np.log(below), -np.log(above))
    return total


@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 40), width=st.integers(1, 4), ties=st.booleans(), seed=st.integers(0, 99))
def test_the_score_is_the_sum_of_tails(n: int, width: int, ties: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    train, new = rng.normal(size=(n, width)), 2 * rng.normal(size=(9, width))
    if ties:
        train, new = np.round(train), np.round(new)
    train, new = train.astype(np.float32), new.astype(np.float32)
    found = TailScore().fit(rows(train), ()).score(rows(new))
    np.testing.assert_allclose(found, [slow(train, row) for row in new], rtol=1e-12)


def test_a_row_scores_as_pyod_scores_it_alone() -> None:
    ecod = pytest.importorskip("pyod.models.ecod", reason="PyOD is not installed")
    rng = np.random.default_rng(0)
    train = rng.lognormal(size=(200, 3)).astype(np.float32)
    new = rng.lognormal(size=(20, 3)).astype(np.float32) * 2
    theirs = ecod.ECOD().fit(train)
    alone = [float(theirs.anomaly_score(row[None])[0]) for row in new]
    ours = TailScore().fit(rows(train), ()).score(rows(new))
    np.testing.assert_allclose(ours, alone, rtol=1e-9)


def test_long_columns_are_exact_in_the_tails_and_near_elsewhere() -> None:
    n = 60_000
    column = np.random.default_rng(0).permutation(n).astype(np.float32)[:, None]
    model = TailScore().fit(rows(column), ())
    assert model.arrays["points"].size <= 2 * EXACT_TAIL + MIDDLE_POINTS
    asked = np.array([-5, 0, 500, 1000, 20_000, 30_000, 59_999, 70_000], dtype=np.float32)
    found = model.score(rows(asked[:, None]))
    exact = np.array([slow(column, np.array([value], np.float32)) for value in asked])
    np.testing.assert_allclose(found[[0, 1, 2, 3, 6, 7]], exact[[0, 1, 2, 3, 6, 7]], rtol=1e-12)
    np.testing.assert_allclose(found, exact, atol=0.03)


def test_rare_categories_and_gaps() -> None:
    numbers = np.array([[0.0], [1.0], [np.nan], [2.0]])
    model = TailScore().fit(rows(numbers, [2, 2, 2, 3]), (4,))
    alike = rows(np.array([[1.0], [1.0], [np.nan]]), [2, 3, 2])
    often, rare, gap = model.score(alike)
    assert rare - often == pytest.approx(np.log(4 / 2))
    assert gap == pytest.approx(-np.log(4 / 5))
    assert np.isfinite(model.score(rows(np.array([[np.nan]]), [1]))).all()
