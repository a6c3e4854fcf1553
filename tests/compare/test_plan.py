from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.compare.plan import MIN_TEST_EVENTS, N_FOLDS, fold_of, make_plan
from thinfile.compare.task import Task
from thinfile.errors import DataError, ParameterError


def test_test_rows_are_set_aside_where_labels_are_enough(small_task: Task) -> None:
    plan = make_plan(small_task, [0, 40])
    assert plan.mode == "hold-out"
    assert len(plan.test) == 100  # half of the labelled rows
    parts = [set(plan.test), set(plan.pool), set(plan.unlabelled)]
    assert set.union(*parts) == set(small_task.target)
    assert sum(map(len, parts)) == len(small_task.target)
    y = small_task.y[plan.test]
    assert min((y == 1).sum(), (y == 0).sum()) >= MIN_TEST_EVENTS


def test_test_rows_leave_enough_for_the_largest_budget(small_task: Task) -> None:
    plan = make_plan(small_task, [120])
    assert len(plan.test) == 80
    assert len(plan.parts(120, 0)[0].labels) == 120


def test_test_rows_are_the_same_for_all_seeds_and_budgets(small_task: Task) -> None:
    plan = make_plan(small_task, [10, 40])
    for budget, seed in [(10, 0), (10, 1), (40, 0), (40, 5)]:
        (part,) = plan.parts(budget, seed)
        assert (part.test == plan.test).all()


@settings(max_examples=25, deadline=None)
@given(
    small=st.integers(20, 50),
    more=st.integers(0, 50),
    seed=st.integers(0, 100),
    state=st.integers(0, 9),
)
def test_a_smaller_budget_is_part_of_a_larger_one(
    small_task: Task, small: int, more: int, seed: int, state: int
) -> None:
    plan = make_plan(small_task, [small, small + more], random_state=state)
    few, many = (plan.parts(budget, seed)[0].labels for budget in (small, small + more))
    assert len(few) == small
    assert set(few) <= set(many) <= set(plan.pool)
    assert not set(many) & set(plan.test)


def test_labels_are_drawn_once_for_a_seed_and_differ_between_seeds(small_task: Task) -> None:
    draws = [make_plan(small_task, [40]).parts(40, seed)[0].labels for seed in (0, 0, 1)]
    assert (draws[0] == draws[1]).all()
    assert set(draws[0]) != set(draws[2])


def test_what_test_rows_turn_out_to_be_does_not_change_the_draw(
    small_task: Task, relabelled: Callable[..., Task]
) -> None:
    plan = make_plan(small_task, [40])
    other = make_plan(relabelled(small_task, plan.test), [40])
    assert (plan.test == other.test).all()
    assert (plan.parts(40, 0)[0].labels == other.parts(40, 0)[0].labels).all()


def test_another_random_state_tests_other_rows(small_task: Task) -> None:
    first, second = (make_plan(small_task, [40], random_state=state).test for state in (0, 1))
    assert set(first) != set(second)


def test_few_labels_are_cross_validated(few_labels: Task) -> None:
    plan = make_plan(few_labels, [20])
    assert plan.mode == "cross-validation"
    parts = plan.parts(20, 0)
    assert len(parts) == N_FOLDS
    tested = np.concatenate([part.test for part in parts])
    assert sorted(tested) == few_labels.target_labelled.tolist()
    for part in parts:
        assert len(part.labels) == 20
        assert not set(part.labels) & set(part.test)
        assert set(part.labels) <= set(few_labels.target_labelled)


def test_a_fold_gives_what_it_has_where_the_budget_is_larger(few_labels: Task) -> None:
    sizes = [len(part.labels) for part in make_plan(few_labels, [40]).parts(40, 0)]
    assert sizes == [32] * N_FOLDS
    assert len(make_plan(few_labels, [40]).all_labels(40, 0)) == 40


@settings(deadline=None)
@given(y=st.lists(st.integers(0, 1), min_size=12, max_size=80), seed=st.integers(0, 50))
def test_folds_hold_both_classes_alike(y: list[int], seed: int) -> None:
    labels = np.array([0] * 5 + [1] * 5 + y, dtype=np.int8)
    folds = fold_of(labels, 5, seed)
    for value in (0, 1):
        counts = [int(((folds == fold) & (labels == value)).sum()) for fold in range(5)]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("budgets", [[-1], [], [10, -5]])
def test_a_budget_below_zero_is_refused(small_task: Task, budgets: list[int]) -> None:
    with pytest.raises(ParameterError, match=r"must be whole numbers ≥ 0"):
        make_plan(small_task, budgets)


def test_more_labels_than_there_are_is_refused(small_task: Task) -> None:
    message = r"labels=201 were asked for, but target 'new' has 200 labelled rows; ask for at most"
    with pytest.raises(DataError, match=message):
        make_plan(small_task, [201])


@pytest.mark.parametrize("budget", [0, 40])
def test_a_target_without_a_label_is_refused(make_task: Callable[..., Task], budget: int) -> None:
    with pytest.raises(DataError, match=r"target 'new' has no label in column 'bad'"):
        make_plan(make_task(60, 60, 0), [budget])


def test_a_target_with_hardly_an_event_is_refused(small_task: Task) -> None:
    y = small_task.y.copy()
    y[small_task.target_labelled] = 0
    y[small_task.target_labelled[:4]] = 1
    with pytest.raises(DataError, match=r"4 events in 200 labelled rows; at least 5 of each class"):
        make_plan(replace(small_task, y=y), [40])
