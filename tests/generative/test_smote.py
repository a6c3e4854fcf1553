from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.row_hash import known, row_hashes
from thinfile.errors import DataError, ParameterError
from thinfile.generative.smote import SMOTE

RNG = np.random.default_rng(0)
MIXED = pl.DataFrame(
    {
        "a": RNG.normal(size=30),
        "b": RNG.normal(size=30) * 100,
        "k": RNG.choice(["x", "y", "z"], 30),
        "f": RNG.random(30) < 0.3,
    }
)


def test_new_rows_lie_on_lines_to_one_of_the_nearest_neighbours() -> None:
    X = RNG.normal(size=(15, 3))
    model = SMOTE(n_neighbours=4).fit(X)
    made = model.sample(60, random_state=0).to_numpy()
    scaled = (X - X.mean(0)) / X.std(0)
    distance = np.linalg.norm(scaled[:, None] - scaled[None], axis=2)
    pairs = [(i, j) for i in range(15) for j in np.argsort(distance[i])[1:5]]
    for row in made:
        gaps = []
        for i, j in pairs:
            step = X[j] - X[i]
            share = np.clip((row - X[i]) @ step / (step @ step), 0, 1)
            gaps.append(np.abs(row - X[i] - share * step).max())
        assert min(gaps) < 1e-4


def test_neighbours_by_the_slow_distance_of_smote_nc() -> None:
    model = SMOTE(n_neighbours=5).fit(MIXED)
    numbers, codes = model.rows_.numbers, model.rows_.codes
    flags = np.array(model.encoder_.binary_)
    step = np.median(numbers[:, ~flags].std(axis=0))
    for i in range(30):
        square = ((numbers[:, ~flags] - numbers[i, ~flags]) ** 2).sum(1)
        square += step**2 * (codes != codes[i]).sum(1)
        square += step**2 * (numbers[:, flags] != numbers[i, flags]).sum(1)
        square[i] = -1
        expected = np.sort(np.sqrt(square[np.argsort(square)[1:6]]))
        found = np.sort(np.sqrt(square[model._neighbours(model.rows_.take(np.array([i])))[0]]))
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_categories_are_those_of_most_neighbours() -> None:
    near = pl.DataFrame({"a": RNG.normal(size=6), "k": ["x", "x", "x", "x", "x", "y"]})
    made = SMOTE(n_neighbours=5).fit(near).sample(40, random_state=0)
    assert made["k"].unique().to_list() == ["x"]


def test_only_the_rare_class_is_enlarged_and_no_row_comes_out() -> None:
    X = np.vstack([RNG.normal(size=(50, 2)), RNG.normal(size=(8, 2)) + 20])
    y = np.repeat([0, 1], [50, 8])
    made = SMOTE().fit(X, y).sample(100, random_state=0)
    assert made.to_numpy().min() > 15
    hashes = np.unique(row_hashes(pl.DataFrame({"x0": X[:, 0], "x1": X[:, 1]})))
    assert not known(row_hashes(made), hashes).any()


def test_more_like_given_rows() -> None:
    model = SMOTE(n_neighbours=2).fit(MIXED)
    row = MIXED.filter(pl.col("b") == MIXED["b"].max())
    made = model.sample_like(row, 20, random_state=0)
    assert made.columns == MIXED.columns
    assert made["b"].min() > MIXED["b"].median()  # type: ignore[operator]


def test_state_and_repeats() -> None:
    model = SMOTE(random_state=3).fit(MIXED)
    again = SMOTE(**model.get_params()).set_state(model.get_state())
    assert again.sample(7).equals(model.sample(7))
    assert not model.sample(7, random_state=1).equals(model.sample(7, random_state=2))


def test_messages() -> None:
    with pytest.raises(DataError, match="SMOTE: 1 rows of the class to enlarge, at least 2"):
        SMOTE().fit(RNG.normal(size=(9, 2)), [1] + [0] * 8)
    with pytest.raises(ParameterError, match="n_neighbours=0 must be a whole number"):
        SMOTE(n_neighbours=0).fit(MIXED)
    with pytest.raises(DataError, match="too few different values"):
        SMOTE().fit(pl.DataFrame({"k": ["x", "y"] * 10, "l": ["u", "v"] * 10})).sample(5)


@settings(max_examples=15, deadline=None)
@given(n_rows=st.integers(2, 20), n=st.integers(1, 40), k=st.integers(1, 9))
def test_any_size(n_rows: int, n: int, k: int) -> None:
    X = np.random.default_rng(n_rows).normal(size=(n_rows, 2))
    made = SMOTE(n_neighbours=k).fit(X).sample(n, random_state=0).to_numpy()
    assert made.shape == (n, 2)
    assert (made >= X.min(0) - 1e-5).all()
    assert (made <= X.max(0) + 1e-5).all()
