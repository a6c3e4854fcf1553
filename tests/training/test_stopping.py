from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from thinfile.errors import ParameterError
from thinfile.training.stopping import Monitor, Plateau, Snapshot, WeightAverage


@given(
    values=st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(math.nan))),
    mode=st.sampled_from(["max", "min"]),
)
def test_the_monitor_finds_the_first_best_value(values, mode):
    monitor = Monitor(mode)
    for step, value in enumerate(values):
        monitor.see(value, step)
    usable = [value for value in values if value is not None and math.isfinite(value)]
    if not usable:
        assert monitor.best is None
        return
    best = max(usable) if mode == "max" else min(usable)
    assert monitor.best == best
    assert monitor.best_step == next(i for i, value in enumerate(values) if value == best)


def test_small_steps_up_add_up_to_one_rise():
    monitor = Monitor("max", min_delta=0.1)
    flat = []
    for step, value in enumerate([0.5, 0.55, 0.59, 0.61, 0.6, 0.65]):
        monitor.see(value, step)
        flat.append(monitor.n_checks_flat)
    assert flat == [0, 1, 2, 0, 1, 2]
    assert (monitor.best, monitor.best_step) == (0.65, 5)


def test_a_plateau_out_of_range_names_every_fault():
    with pytest.raises(ParameterError, match=r"factor is 1.5.*patience is 0.*minimum is -1"):
        Plateau(1.5, 0, -1)


def test_a_snapshot_brings_weights_and_buffers_back():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    snapshot = Snapshot(net)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net(torch.randn(8, 3))
    nn.init.zeros_(net[0].weight)
    snapshot.put_back()
    after = net.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_average_agrees_with_a_slow_loop():
    net = nn.Linear(3, 2)
    average = WeightAverage(net, 0.7)
    slow = [parameter.detach().double().clone() for parameter in net.parameters()]
    generator = torch.Generator().manual_seed(0)
    for update in range(1, 60):
        decay = min(0.7, update / (update + 9))
        for parameter, kept in zip(net.parameters(), slow, strict=True):
            parameter.data += torch.randn(parameter.shape, generator=generator)
            kept.mul_(decay).add_((1 - decay) * parameter.detach().double())
        average.update()
    live = [parameter.detach().clone() for parameter in net.parameters()]
    with average.in_place():
        for parameter, kept in zip(net.parameters(), slow, strict=True):
            assert torch.allclose(parameter.detach().double(), kept, atol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(live, net.parameters(), strict=True))
    average.put_in()
    assert torch.allclose(net.weight.detach().double(), slow[0], atol=1e-5)
