from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.encode import Encoded
from thinfile.errors import DataError
from thinfile.latent_map.neighbours import OriginalSpace, nearest_rows


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(1, 5), st.integers(1, 12), st.integers(0, 99))
def test_neighbours_are_those_of_the_slow_loop(n, width, k, seed):
    points = np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)
    rows, distances = nearest_rows(points, k)
    assert rows.shape == (n, min(k, n - 1))
    for row in range(n):
        gaps = np.sqrt(((points - points[row]).astype(np.float64) ** 2).sum(axis=1))
        gaps[row] = np.inf
        np.testing.assert_allclose(distances[row], np.sort(gaps)[: rows.shape[1]], atol=1e-3)
        np.testing.assert_allclose(gaps[rows[row]], distances[row], atol=1e-3)


def test_a_row_is_never_its_own_neighbour_though_others_are_equal():
    rows, distances = nearest_rows(np.zeros((6, 3), dtype=np.float32), 3)
    assert all(row not in found for row, found in enumerate(rows.tolist()))
    assert not distances.any()


def test_queries_may_find_every_point():
    rows, distances = nearest_rows(np.eye(3, dtype=np.float32), 1, queries=np.eye(3)[[2, 0]])
    assert rows.ravel().tolist() == [2, 0]
    assert not distances.any()


def test_one_row_has_no_neighbour():
    with pytest.raises(DataError, match="1 rows have no neighbours: at least 2 are needed"):
        nearest_rows(np.zeros((1, 2), dtype=np.float32))


def encoded(numbers, codes=None):
    numbers = np.asarray(numbers, dtype=np.float32)
    codes = np.zeros((len(numbers), 0)) if codes is None else np.asarray(codes)
    return Encoded(numbers, codes.astype(np.int32))


def test_numbers_are_scaled_and_tails_cut():
    column = np.r_[np.zeros(99), 1000.0]
    rows = encoded(np.c_[column, np.ones(100), np.arange(100)])
    points = OriginalSpace.of(rows, []).points(rows)
    assert points.shape == (100, 2)  # the constant says nothing
    assert points[:, 0].max() == 5.0
    assert points[:, 1].std() == pytest.approx(1.0, abs=1e-5)


def test_different_categories_are_root_two_apart():
    rows = encoded(np.zeros((4, 0)), [[2], [3], [2], [0]])
    points = OriginalSpace.of(rows, [5]).points(rows)
    gaps = np.linalg.norm(points[0] - points, axis=1)
    np.testing.assert_allclose(gaps, [0, 2**0.5, 0, 2**0.5])


def test_rare_categories_share_a_column():
    codes = np.r_[np.repeat(np.arange(2, 40), 5), 100, 101][:, None]
    rows = encoded(np.zeros((len(codes), 0)), codes)
    points = OriginalSpace.of(rows, [255]).points(rows)
    assert points.shape == (len(codes), 32)
    assert (points[-1] == points[-2]).all()
    assert (points.sum(axis=1) == 1).all()


def test_new_rows_are_measured_by_the_old():
    old, new = encoded([[0.0], [2.0]]), encoded([[4.0], [np.nan]])
    assert OriginalSpace.of(old, []).points(new).ravel().tolist() == [3.0, -1.0]
