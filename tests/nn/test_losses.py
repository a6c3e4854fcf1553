import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.nn.losses import balanced_weight, binary_cross_entropy, binary_entropy


def slow_cross_entropy(logits, labels, weight, positive_weight):
    total = norm = 0.0
    for logit, label, w in zip(logits, labels, weight, strict=True):
        if label < 0:
            continue
        p = 1 / (1 + math.exp(-logit))
        w = w * (positive_weight if label else 1)
        total -= w * math.log(p if label else 1 - p)
        norm += w
    return total / norm if norm else 0.0


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.floats(-8, 8), st.sampled_from([-1, 0, 1]), st.floats(0, 5)), min_size=1
    ),
    positive_weight=st.floats(0.1, 9),
)
def test_cross_entropy_is_the_slow_one(rows, positive_weight):
    logits, labels, weight = (list(column) for column in zip(*rows, strict=True))
    weight = [w if w > 1e-9 else 0.0 for w in weight]
    got = binary_cross_entropy(
        torch.tensor(logits, dtype=torch.float64),
        torch.tensor(labels),
        weight=torch.tensor(weight, dtype=torch.float64),
        positive_weight=positive_weight,
    )
    expected = slow_cross_entropy(logits, labels, weight, positive_weight)
    assert float(got) == pytest.approx(expected, 1e-9, 1e-12)


def test_without_any_label_the_loss_and_its_gradient_are_zero():
    logits = torch.tensor([3.0, -2.0], requires_grad=True)
    loss = binary_cross_entropy(logits, torch.tensor([-1, -1]))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros(2))


def test_rows_without_a_label_do_not_move():
    logits = torch.tensor([1.0, 2.0], requires_grad=True)
    binary_cross_entropy(logits, torch.tensor([1.0, -1.0])).backward()
    assert logits.grad[0] < 0
    assert logits.grad[1] == 0


def test_far_logits_stay_finite():
    logits = torch.tensor([1e4, -1e4], requires_grad=True)
    loss = binary_cross_entropy(logits, torch.tensor([0, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(1e4)
    assert bool(torch.isfinite(logits.grad).all())


@pytest.mark.parametrize("function", [binary_cross_entropy, binary_entropy])
def test_gradcheck(function):
    logits = torch.randn(6, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(6, dtype=torch.float64)
    labels = (torch.tensor([1, 0, -1, 0, 1, 1]),) if function is binary_cross_entropy else ()
    assert torch.autograd.gradcheck(lambda x: function(x, *labels, weight=weight), (logits,))


def test_entropy_is_that_of_the_probabilities():
    logits = torch.tensor([0.3, -2.0, 1e4, -1e4], dtype=torch.float64)
    p = [1 / (1 + math.exp(-x)) for x in (0.3, -2.0)]
    expected = [-q * math.log(q) - (1 - q) * math.log(1 - q) for q in p]
    assert float(binary_entropy(logits)) == pytest.approx(sum(expected) / 4)
    weight = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    assert float(binary_entropy(logits, weight=weight)) == pytest.approx(expected[0])


@settings(max_examples=40, deadline=None)
@given(labels=st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=40))
def test_balanced_weights_give_both_classes_the_same_total(labels):
    y = torch.tensor(labels)
    weight = balanced_weight(y)
    n_labelled = int((y >= 0).sum())
    assert float(weight.sum()) == pytest.approx(n_labelled, 1e-5)
    assert float(weight[y < 0].sum()) == 0.0
    if 0 in labels and 1 in labels:
        assert float(weight[y == 0].sum()) == pytest.approx(float(weight[y == 1].sum()), 1e-5)
