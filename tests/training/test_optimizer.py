from __future__ import annotations

import pytest
import torch
from torch import nn

from thinfile.training.optimizer import adam


def _updates(make, penalty=0.0, n_steps=6):
    torch_state = torch.Generator().manual_seed(2)
    weight = nn.Parameter(torch.randn(5, 3, generator=torch_state))
    x = torch.randn(20, 5, generator=torch_state)
    optimizer = make([weight])
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = (x @ weight).sigmoid().mean() + penalty / 2 * weight.square().sum()
        loss.backward()
        optimizer.step()
    return weight.detach()


def test_weight_decay_is_the_l2_penalty_written_into_the_loss():
    built_in = _updates(lambda p: adam(p, 0.01, 0.3))
    written = _updates(lambda p: torch.optim.Adam(p, lr=0.01), penalty=0.3)
    assert torch.allclose(built_in, written, atol=1e-5)


@pytest.mark.parametrize(("decoupled", "kind"), [(False, "Adam"), (True, "AdamW")])
def test_the_fused_form_agrees_with_the_plain_loop(decoupled, kind):
    fused = _updates(lambda p: adam(p, 0.01, 0.3, decoupled=decoupled))
    plain = _updates(
        lambda p: getattr(torch.optim, kind)(p, lr=0.01, weight_decay=0.3, foreach=False)
    )
    assert torch.allclose(fused, plain, atol=1e-6)
