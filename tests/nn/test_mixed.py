"""Mixed outputs and their errors against a loop over cells."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.errors import ParameterError
from thinfile.nn.mixed import MixedOutput, mixed_errors, one_hot


def slow_errors(numbers_hat, logits, numbers, codes, cardinalities, kind):
    rows = []
    for i in range(len(numbers)):
        cells = []
        for guess, true in zip(numbers_hat[i].tolist(), numbers[i].tolist(), strict=True):
            squared = (guess - true) ** 2
            cross = -(true * math.log(guess) + (1 - true) * math.log(1 - guess))
            normal = 0.5 * squared + 0.5 * math.log(2 * math.pi)
            cells.append({"squared": squared, "bce": cross, "gaussian": normal}[kind])
        start = 0
        for place, size in enumerate(cardinalities):
            field = logits[i, start : start + size].tolist()
            total = math.log(sum(math.exp(v) for v in field))
            cells.append(total - field[int(codes[i, place])])
            start += size
        rows.append(cells)
    return torch.tensor(rows)


@settings(max_examples=30, deadline=None)
@given(
    n_rows=st.integers(1, 4),
    n_numbers=st.integers(1, 3),
    cardinalities=st.lists(st.integers(1, 5), max_size=3),
    kind=st.sampled_from(["squared", "bce", "gaussian"]),
    seed=st.integers(0, 99),
)
def test_errors_are_those_of_a_loop_over_cells(n_rows, n_numbers, cardinalities, kind, seed):
    made = torch.Generator().manual_seed(seed)
    guess = 0.05 + 0.9 * torch.rand(n_rows, n_numbers, generator=made)
    true = torch.rand(n_rows, n_numbers, generator=made)
    logits = torch.randn(n_rows, sum(cardinalities), generator=made)
    codes = torch.stack(
        [torch.randint(0, c, (n_rows,), generator=made) for c in cardinalities]
        or [torch.zeros(n_rows, dtype=torch.int64)],
        dim=1,
    )[:, : len(cardinalities)]
    got = mixed_errors(guess, logits, true, codes, cardinalities, number_loss=kind)
    wanted = slow_errors(guess, logits, true, codes, cardinalities, kind)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    if kind == "bce":
        odds = torch.logit(guess)
        same = mixed_errors(odds, logits, true, codes, cardinalities, number_loss="bce_logits")
        torch.testing.assert_close(same, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("squash", "least"), [(None, -9.0), ("sigmoid", 0.0), ("tanh", -1.0)])
def test_only_numbers_are_squashed(squash, least):
    output = MixedOutput(2, [3], 4, squash=squash)
    with torch.no_grad():
        output.linear.bias.copy_(torch.tensor([-9.0, 9.0, -9.0, 0.0, 9.0]))
    numbers, logits = output(torch.zeros(1, 4))
    assert numbers[0, 0].item() == pytest.approx(least, abs=1e-3)
    assert logits.tolist() == [[-9.0, 0.0, 9.0]]
    assert output(torch.zeros(1, 4), squashed=False)[0].tolist() == [[-9.0, 9.0]]


def test_one_hot_has_a_one_in_each_field():
    codes = torch.tensor([[0, 2], [1, 0]], dtype=torch.int32)
    assert one_hot(codes, [2, 3]).tolist() == [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0]]
    assert one_hot(torch.empty(3, 0, dtype=torch.int32), []).shape == (3, 0)


def test_faults_are_named():
    with pytest.raises(ParameterError, match=r"n_numbers=-1 .*; squash='relu' must be one of"):
        MixedOutput(-1, [2], 3, squash="relu")
