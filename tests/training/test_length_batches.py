from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.errors import DataError, ParameterError
from thinfile.training.length_batches import FlatEvents, LengthBatches, token_bounds

lengths_of_rows = st.lists(st.integers(0, 40), min_size=1, max_size=60)


def _flat(lengths):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n = offsets[-1]
    codes = np.arange(1, 2 * n + 1, dtype=np.int32).reshape(n, 2)
    numbers = np.arange(1, 3 * n + 1, dtype=np.float32).reshape(n, 3)
    return offsets, FlatEvents.of(codes, numbers, np.arange(n, 0, -1, dtype=np.float32), offsets)


@settings(max_examples=60, deadline=None)
@given(lengths_of_rows, st.data())
def test_filled_up_histories_are_those_of_a_loop(lengths, data):
    offsets, events = _flat(lengths)
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=9))
    codes, numbers, found = events.padded(torch.tensor(rows))
    assert found.tolist() == [lengths[row] for row in rows]
    assert codes.shape[1] == max(1, *(lengths[row] for row in rows)) if len(rows) > 1 else True
    for place, row in enumerate(rows):
        own = slice(offsets[row], offsets[row + 1])
        n = lengths[row]
        assert torch.equal(codes[place, :n], events.codes[own])
        assert torch.equal(numbers[place, :n], events.numbers[own])
        assert not codes[place, n:].any()
        assert not numbers[place, n:].any()


@settings(max_examples=60, deadline=None)
@given(lengths_of_rows, st.integers(1, 200), st.integers(1, 20), st.booleans())
def test_every_row_comes_once_and_the_number_of_batches_is_known(lengths, tokens, rows, shuffle):
    batches = LengthBatches(
        lengths, lambda chosen: chosen, n_tokens=tokens, max_rows=rows, shuffle=shuffle
    )
    for _ in range(2):
        found = list(batches)
        assert len(found) == len(batches)
        assert sorted(torch.cat(found).tolist()) == list(range(len(lengths)))
    assert batches.mean_rows == pytest.approx(len(lengths) / len(batches))


@settings(max_examples=60, deadline=None)
@given(lengths_of_rows, st.integers(1, 200), st.integers(1, 20))
def test_batches_keep_the_budget_and_are_as_large_as_it_allows(lengths, tokens, max_rows):
    ascending = np.sort(np.array(lengths))
    bounds = token_bounds(ascending, tokens, max_rows)
    for start, stop in bounds:
        longest = max(1, ascending[stop - 1])
        assert stop - start == 1 or (stop - start) * longest <= tokens
        assert stop - start <= max_rows
        if stop < len(ascending) and stop - start < max_rows:
            assert (stop + 1 - start) * max(1, ascending[stop]) > tokens


def test_noise_mixes_like_lengths_only():
    torch.manual_seed(0)
    lengths = np.repeat([2, 100], 64)
    batches = LengthBatches(lengths, lambda rows: rows, n_tokens=800, max_rows=16)
    first, second = list(batches), list(batches)
    assert [rows.tolist() for rows in first] != [rows.tolist() for rows in second]
    assert all(len(set(lengths[rows])) == 1 for rows in first)


def test_without_shuffling_the_order_is_by_length_and_fixed():
    batches = LengthBatches([5, 0, 3, 5], torch.Tensor.tolist, max_rows=2, shuffle=False)
    assert list(batches) == list(batches) == [[1, 2], [0, 3]]


def test_padding_of_log_normal_lengths_is_small():
    torch.manual_seed(0)
    lengths = np.clip(np.random.default_rng(0).lognormal(2.9, 0.85, 5000), 1, 100).astype(int)
    batches = LengthBatches(lengths, lambda rows: rows, n_tokens=4096)
    filled = sum(len(rows) * lengths[rows].max() for rows in batches)
    assert filled < 1.2 * lengths.sum()


def test_a_generator_makes_a_pass_repeatable():
    def orders():
        generator = torch.Generator().manual_seed(3)
        return list(LengthBatches(range(50), torch.Tensor.tolist, max_rows=7, generator=generator))

    assert orders() == orders()


def test_faults_are_named():
    with pytest.raises(ParameterError) as caught:
        LengthBatches([1], list, n_tokens=0, max_rows=0, noise=-1.0)
    assert all(name in str(caught.value) for name in ("n_tokens=0", "max_rows=0", "noise=-1.0"))
    for lengths in ([], [3, -1]):
        with pytest.raises(DataError, match="at least one row, and no length below 0"):
            LengthBatches(lengths, list)
