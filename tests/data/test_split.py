import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.split import (
    by_customer,
    by_time,
    draw_labels,
    split_target,
    stratified_folds,
)
from thinfile.errors import DataError, ParameterError


def make_y(n_rows=1000, rate=0.2, unlabelled=0.3, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(n_rows) < rate).astype(int)
    y[rng.random(n_rows) < unlabelled] = -1
    return y


@given(st.integers(0, 300), st.integers(4, 200))
@settings(max_examples=50, deadline=None)
def test_a_draw_is_labelled_distinct_and_has_both_classes(seed, n_labels):
    y = make_y(rate=0.05, seed=seed)
    draw = draw_labels(y, n_labels, random_state=seed)
    assert np.unique(draw.rows).size == n_labels
    assert (y[draw.rows] >= 0).all()
    assert min((y[draw.rows] == value).sum() for value in (0, 1)) >= 2


def test_a_state_repeats_the_draw_and_budgets_are_nested():
    y = make_y()
    draws = [draw_labels(y, n, random_state=4) for n in (50, 100, 350)]
    np.testing.assert_array_equal(draws[1].rows, draw_labels(y, 100, random_state=4).rows)
    assert np.isin(draws[0].rows, draws[1].rows).all()
    assert np.isin(draws[1].rows, draws[2].rows).all()
    assert all(draw.note == "" for draw in draws)
    assert (draws[1].rows != draw_labels(y, 100, random_state=5).rows).any()


def test_a_draw_has_the_rate_of_the_population():
    y = make_y(rate=0.2)
    rates = [y[draw_labels(y, 100, random_state=s).rows].mean() for s in range(100)]
    assert np.mean(rates) == pytest.approx(y[y >= 0].mean(), abs=0.015)


def test_a_draw_keeps_to_the_rows_it_may_use():
    y = make_y()
    among = np.arange(500, 1000)
    assert draw_labels(y, 200, random_state=0, among=among).rows.min() >= 500


def test_rare_classes_are_redrawn_and_said_so():
    y = np.zeros(400, dtype=int)
    y[:40] = 1
    notes = {draw_labels(y, 8, random_state=s).note for s in range(30)}
    assert any("drawn again" in note for note in notes)
    y[2:40] = 0
    forced = draw_labels(y, 10, random_state=1)
    assert y[forced.rows].sum() == 2
    assert forced.rows.size == 10
    assert "2 of class 1 and 2 of class 0 were put in" in forced.note
    y[1] = 0
    single = draw_labels(y, 10, random_state=0)
    assert y[single.rows].sum() == 1


def test_none_one_and_all_labels():
    y = make_y(60)
    assert draw_labels(y, 0).rows.size == 0
    assert draw_labels(np.full(5, -1), 0).rows.size == 0
    assert draw_labels(y, 1, random_state=0).rows.size == 1
    n_labelled = (y >= 0).sum()
    np.testing.assert_array_equal(draw_labels(y, n_labelled).rows, np.flatnonzero(y >= 0))


def test_impossible_draws_are_named():
    y = np.full(100, -1)
    with pytest.raises(DataError, match="target has 0 labelled rows, --labels 10 needs 10"):
        draw_labels(y, 10)
    y[:12] = [0, 1] * 6
    with pytest.raises(DataError, match="target has 12 labelled rows, --labels 350 needs 350"):
        draw_labels(y, 350)
    with pytest.raises(DataError, match="pilot: all 9 labelled rows are of class 1"):
        draw_labels(np.ones(9), 4, name="pilot")
    with pytest.raises(ParameterError, match="n_labels=-1"):
        draw_labels(y, -1)
    with pytest.raises(
        DataError, match=r"1 of 3 values are none of 1, 0 and -1 \(first: row 2, 7\)"
    ):
        draw_labels([0, 1, 7], 1)


def test_test_rows_are_labelled_fixed_and_apart_from_the_pool():
    y = make_y()
    split = split_target(y, n_labels=100, test_share=0.4, random_state=3)
    assert (y[split.test] >= 0).all()
    assert split.test.size == round(0.4 * (y >= 0).sum())
    np.testing.assert_array_equal(np.sort(np.r_[split.pool, split.test]), np.arange(1000))
    # The budget does not move the test rows.
    same = split_target(y, n_labels=350, test_share=0.4, random_state=3)
    np.testing.assert_array_equal(split.test, same.test)
    assert split.note == same.note == ""


def test_the_test_shrinks_for_the_labels_and_says_so():
    y = np.array([0, 1] * 50)
    split = split_target(y, n_labels=70, random_state=0)
    assert split.test.size == 30
    assert split.pool.size == 70
    assert split.note == "the test has 30 rows and not 50: 70 labels go to training"


def test_the_latest_rows_can_be_the_test():
    y = make_y(200)
    rng = np.random.default_rng(0)
    time = rng.permutation(200)
    split = split_target(y, n_labels=20, test_share=0.5, time=time)
    labelled_pool = split.pool[y[split.pool] >= 0]
    assert time[split.test].min() > time[labelled_pool].max()


def test_impossible_splits_are_named():
    with pytest.raises(DataError, match=r"target has 12 labelled rows, --labels 350 needs 350"):
        split_target([0, 1] * 6, n_labels=350)
    with pytest.raises(DataError, match="with 95 for training, 5 are left for the test"):
        split_target([0, 1] * 50, n_labels=95)
    with pytest.raises(DataError, match="all 50 test rows are of class 0"):
        split_target([1] * 50 + [0] * 50, time=np.arange(100))
    with pytest.raises(ParameterError, match="test_share=1"):
        split_target([0, 1] * 50, test_share=1)
    with pytest.raises(DataError, match=r"time has the shape \(3,\)"):
        split_target([0, 1] * 50, time=[1, 2, 3])


@given(st.integers(0, 200), st.integers(2, 30), st.floats(0.05, 0.95))
@settings(max_examples=40, deadline=None)
def test_customers_are_never_divided(seed, n_customers, share):
    customer = np.r_[
        np.arange(n_customers), np.random.default_rng(seed).integers(0, n_customers, 60)
    ]
    train, test = by_customer(customer, test_share=share, random_state=seed)
    assert not np.isin(customer[train], customer[test]).any()
    assert train.size
    assert test.size
    assert train.size + test.size == customer.size


def test_moments_are_never_divided():
    time = np.array([5, 1, 1, 2, 3, 3, 3, 4])
    train, test = by_time(time, test_share=0.4)
    assert time[train].max() < time[test].min()
    assert train.size + test.size == 8
    days = np.array([datetime.date(2020, 1, d) for d in (3, 1, 2)], dtype="datetime64[D]")
    np.testing.assert_array_equal(by_time(days, test_share=0.3)[1], [0])


def test_impossible_cuts_are_named():
    with pytest.raises(DataError, match="1 customers cannot be split"):
        by_customer(["a", "a"])
    with pytest.raises(DataError, match="no row lies before 1"):
        by_time([1, 1, 1])
    with pytest.raises(DataError, match=r"time: 1 of 2 values are missing \(first: row 1\)"):
        by_time([1.0, np.nan])
    with pytest.raises(DataError, match="1 of 2 values are missing"):
        by_time([None, "2020"])
    with pytest.raises(DataError, match="no row"):
        by_time([])
    with pytest.raises(ParameterError, match="test_share=0"):
        by_time([1, 2], test_share=0)


@given(st.integers(0, 200), st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_folds_cover_every_labelled_row_once_and_evenly(seed, n_folds):
    y = make_y(120, rate=0.3, seed=seed)
    folds = list(stratified_folds(y, n_folds, n_repeats=2, random_state=seed))
    assert len(folds) == 2 * n_folds
    for repeat in (folds[:n_folds], folds[n_folds:]):
        np.testing.assert_array_equal(
            np.sort(np.concatenate([test for _, test in repeat])), np.flatnonzero(y >= 0)
        )
        for value in (0, 1):
            counts = [(y[test] == value).sum() for _, test in repeat]
            assert max(counts) - min(counts) <= 1
        sizes = [test.size for _, test in repeat]
        assert max(sizes) - min(sizes) <= 1
    for train, test in folds:
        assert not np.isin(train, test).any()
        assert (y[train] >= 0).all()


def test_impossible_folds_are_named_at_once():
    with pytest.raises(DataError, match="5 folds need as many rows of each class, there are 3 of"):
        stratified_folds([0] * 20 + [1] * 3, 5)
    with pytest.raises(ParameterError, match="n_folds=1"):
        stratified_folds([0, 1], 1)
