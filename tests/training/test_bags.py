from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.training.bags import TensorBag


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=12), st.data())
def test_rows_come_out_as_a_loop_takes_them(lists: list[list[int]], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=20))
    bag = _bag(lists)
    values, starts = bag.take(torch.tensor(rows, dtype=torch.int64))
    assert values.tolist() == [value for row in rows for value in lists[row]]
    assert starts.tolist() == [sum(len(lists[r]) for r in rows[:i]) for i in range(len(rows))]
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(lists))] * 2)))
    sliced = bag.slice(start, stop)
    taken = bag.take(torch.arange(start, stop))
    assert [part.tolist() for part in sliced] == [part.tolist() for part in taken]


def _bag(lists: list[list[int]]) -> TensorBag:
    lengths = torch.tensor([0, *(len(each) for each in lists)])
    values = torch.tensor([value for each in lists for value in each], dtype=torch.int32)
    return TensorBag(values, lengths.cumsum(0))
