"""Networks on histories, held against slow loops over single rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.errors import ParameterError
from thinfile.nn.sequence import (
    EventInput,
    HistoryEncoder,
    SequenceNetwork,
    last_state,
    masked_max,
    masked_mean,
)

PARTS = list(itertools.product([True, False], [True, False], ["lstm", "gru"]))


def _encoder(convolution=True, recurrent=True, cell="lstm", **arguments) -> HistoryEncoder:
    torch.manual_seed(0)
    given_ = {"embedding_width": 3, "n_filters": 5, "hidden_width": 6, **arguments}
    return HistoryEncoder(
        2, [4, 7], convolution=convolution, recurrent=recurrent, cell=cell, **given_
    ).eval()


def _batch(lengths, longest=None, filling=0.0, seed=0):
    """Random histories; what fills them up is `filling`, or noise where it is None."""
    rng = np.random.default_rng(seed)
    longest = longest or max(1, *lengths)
    codes = torch.zeros(len(lengths), longest, 2, dtype=torch.int32)
    numbers = torch.full((len(lengths), longest, 2), filling)
    for row, n in enumerate(lengths):
        codes[row, :n] = torch.from_numpy(rng.integers(0, 4, (n, 2)).astype(np.int32))
        numbers[row, :n] = torch.from_numpy(rng.normal(size=(n, 2)).astype(np.float32))
    return codes, numbers, torch.tensor(lengths)


@pytest.mark.parametrize(("convolution", "recurrent", "cell"), PARTS)
@pytest.mark.parametrize("filling", [0.0, 1e6])
def test_filling_and_company_reach_no_row(convolution, recurrent, cell, filling):
    """Lengths of 0 and 1, below and above kernel and pool, alone and together."""
    encoder = _encoder(convolution, recurrent, cell)
    lengths = [0, 1, 2, 3, 4, 5, 8, 9, 17]
    codes, numbers, n = _batch(lengths, longest=40, filling=filling)
    together = encoder(codes, numbers, n)
    assert together.shape == (len(lengths), encoder.width)
    assert torch.isfinite(together).all()
    assert not together[0].any()
    for row, length in enumerate(lengths):
        own = slice(row, row + 1), slice(0, max(1, length))
        alone = encoder(codes[own], numbers[own], n[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("pool_size", "kernel_size"), [(1, 1), (1, 5), (3, 2), (4, 5)])
def test_convolution_and_pooling_are_those_of_a_loop(pool_size, kernel_size):
    encoder = _encoder(recurrent=False, pool_size=pool_size, kernel_size=kernel_size)
    codes, numbers, n = _batch([7, 1, 10])
    states, steps = encoder.states(codes, numbers, n)
    assert steps.tolist() == [-(-length // pool_size) for length in (7, 1, 10)]
    weight, bias = encoder.convolution.weight[:, :, 0], encoder.convolution.bias
    inputs = encoder.inputs(codes, numbers)
    for row, length in enumerate(n.tolist()):
        outputs = []
        for event in range(length):
            value = bias.clone()
            for back in range(kernel_size):
                if event - back >= 0:
                    value = value + weight[:, :, kernel_size - 1 - back] @ inputs[row, event - back]
            outputs.append(value.clamp(min=0))
        for step in range(int(steps[row])):
            pooled = torch.stack(outputs[step * pool_size : (step + 1) * pool_size]).amax(0)
            torch.testing.assert_close(states[row, step], pooled, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("convolution", "recurrent", "cell"), PARTS)
def test_no_state_has_seen_a_later_event(convolution, recurrent, cell):
    """What predicts the next event must not have seen it."""
    encoder = _encoder(convolution, recurrent, cell, pool_size=3)
    codes, numbers, n = _batch([20])
    before, _ = encoder.states(codes, numbers, n)
    changed = numbers.clone()
    pool = encoder.pool_size
    changed[0, 4 * pool :] += 100.0
    after, _ = encoder.states(codes, changed, n)
    torch.testing.assert_close(after[:, :4], before[:, :4], rtol=0, atol=1e-6)
    assert not torch.allclose(after[:, 4:], before[:, 4:])


def test_a_packed_lstm_says_the_same():
    """PyTorch's own way of handling lengths."""
    encoder = _encoder(convolution=False)
    codes, numbers, n = _batch([5, 1, 9, 3])
    found = encoder(codes, numbers, n)
    inputs = encoder.inputs(codes, numbers)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        inputs, n, batch_first=True, enforce_sorted=False
    )
    _, (last, _) = encoder.recurrent(packed)
    torch.testing.assert_close(found[:, :6], last[0], rtol=0, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=5), st.integers(1, 4))
def test_masked_reductions_are_those_of_a_loop(lengths, width):
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(len(lengths), max(1, *lengths, 1), width, generator=generator) - 3
    n = torch.tensor(lengths)
    mean, largest, last = (f(states, n) for f in (masked_mean, masked_max, last_state))
    for row, length in enumerate(lengths):
        own = states[row, :length]
        if not length:
            assert not mean[row].any()
            assert not largest[row].any()
            assert not last[row].any()
            continue
        torch.testing.assert_close(mean[row], own.mean(0))
        torch.testing.assert_close(largest[row], own.amax(0))
        torch.testing.assert_close(last[row], own[-1])


def test_the_bag_is_the_mean_of_its_events():
    encoder = _encoder(convolution=False, recurrent=False)
    codes, numbers, n = _batch([3, 6])
    inputs = encoder.inputs(codes, numbers)
    assert encoder.width == inputs.shape[2]
    expected = torch.stack([inputs[0, :3].mean(0), inputs[1].mean(0)])
    torch.testing.assert_close(encoder(codes, numbers, n), expected)


def test_each_field_has_codes_of_its_own():
    inputs = EventInput(1, [3, 5], embedding_width=2)
    codes = torch.tensor([[[2, 4]]], dtype=torch.int32)
    row = inputs(codes, torch.tensor([[[7.0]]]))[0, 0]
    table = inputs.table.weight
    assert torch.equal(row, torch.cat([torch.tensor([7.0]), table[2], table[3 + 4]]))
    assert EventInput(2, []).width == 2
    assert EventInput(0, [1000]).width == 32


def test_gradients_are_finite_where_histories_are_empty():
    network = SequenceNetwork(_encoder(), 1, [3], (4,))
    codes, numbers, n = _batch([0, 0, 2])
    logit = network(torch.ones(3, 1), torch.zeros(3, 1, dtype=torch.int64), (codes, numbers, n))
    logit.sum().backward()
    assert logit.shape == (3,)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_static_columns_alone_make_a_network():
    network = SequenceNetwork(None, 2, [], (3,))
    nothing = torch.zeros(4, 1, 0), torch.zeros(4, 1, 0), torch.zeros(4, dtype=torch.int64)
    assert network(torch.zeros(4, 2), torch.zeros(4, 0, dtype=torch.int64), nothing).shape == (4,)


def test_every_fault_of_the_arguments_in_one_message():
    with pytest.raises(ParameterError) as caught:
        HistoryEncoder(2, [], cell="rnn", pool_size=0, kernel_size=0, dropout=1.0)
    assert all(
        name in str(caught.value) for name in ("cell", "pool_size", "kernel_size", "dropout")
    )
