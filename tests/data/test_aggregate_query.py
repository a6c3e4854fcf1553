from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from thinfile.data.aggregate_query import blocks_of_rows, new_days, rows_of_ranges


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), min_size=1), st.integers(1, 9))
def test_blocks_hold_each_snapshot_once_and_bound_what_they_hold(ranges, bound):
    start = np.array([begin for begin, _ in ranges], dtype=np.int64)
    stop = start + np.array([length for _, length in ranges])
    blocks = list(blocks_of_rows(start, stop, bound, bound))
    assert sorted(np.concatenate(blocks).tolist()) == list(range(len(start)))
    for block in blocks:
        one_start = len(set(start[block])) == 1
        assert one_start or (stop - start)[block].sum() <= bound
    places = [set(start[block].tolist()) for block in blocks]
    assert sum(len(place) for place in places) == len(set(start.tolist()))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6))))
def test_rows_of_ranges(ranges):
    begin = np.array([low for low, _ in ranges], dtype=np.int64)
    end = begin + np.array([length for _, length in ranges], dtype=np.int64)
    owner, rows = rows_of_ranges(begin, end)
    slow = [(k, row) for k in range(len(begin)) for row in range(begin[k], end[k])]
    assert list(zip(owner.tolist(), rows.tolist(), strict=True)) == slow


def test_new_days_begin_again_with_each_owner():
    def found(owner: list[int], day: list[int], marked: list[bool]) -> NDArray[np.bool_]:
        return new_days(np.array(owner), np.array(day), np.array(marked))

    assert found([0, 0, 0, 1], [5, 5, 6, 6], [True] * 4).tolist() == [True, False, True, True]
    assert found([0, 0, 0], [5, 5, 5], [False, True, True]).tolist() == [False, True, False]
