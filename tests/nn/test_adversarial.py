import pytest
import torch

from thinfile.nn.adversarial import PopulationClassifier, reverse_gradient
from thinfile.nn.losses import binary_cross_entropy


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_forward_is_identity_and_backward_is_reversed(alpha):
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, dtype=torch.float64)
    y = reverse_gradient(x, alpha)
    assert torch.equal(y, x)
    (y * weight).sum().backward()
    torch.testing.assert_close(x.grad, -alpha * weight)


def test_the_head_learns_and_the_features_unlearn():
    torch.manual_seed(0)
    features = torch.randn(20, 4, requires_grad=True)
    is_target = (torch.arange(20) < 10).float()
    head = PopulationClassifier(4, [8], activation="tanh")
    binary_cross_entropy(head(features, alpha=0.5), is_target).backward()
    reversed_ = features.grad.clone()
    learnt = [weight.grad.clone() for weight in head.parameters()]
    features.grad = None
    head.zero_grad()
    plain = head.head(head.body(features)).squeeze(1)
    binary_cross_entropy(plain, is_target).backward()
    torch.testing.assert_close(reversed_, -0.5 * features.grad)
    for one, weight in zip(learnt, head.parameters(), strict=True):
        torch.testing.assert_close(one, weight.grad)


def test_a_linear_head_has_one_layer():
    assert len(list(PopulationClassifier(4, []).parameters())) == 2
