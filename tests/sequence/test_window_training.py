"""The training run of windows: what is held back, what is hidden, how the rate moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thinfile.sequence.window_training import hidden_stretches, rise_and_fall, split_windows


def test_the_last_windows_of_each_entity_are_held_back() -> None:
    entities = np.repeat(["a", "b", "c"], [40, 30, 20])
    training, validation = split_windows(90, entities, 0.2, np.random.default_rng(0))
    assert sorted([*training, *validation]) == list(range(90))
    assert validation.tolist() == [*range(32, 40), *range(64, 70), *range(86, 90)]


@pytest.mark.parametrize("entities", [None, np.arange(400)])
def test_blocks_are_held_back_where_entities_have_few_windows(entities: np.ndarray | None) -> None:
    training, validation = split_windows(400, entities, 0.1, np.random.default_rng(0))
    assert sorted([*training, *validation]) == list(range(400))
    assert len(validation) == 40
    assert np.all(np.diff(validation.reshape(4, 10), axis=1) == 1)
    assert len(split_windows(30, entities, 0.1, np.random.default_rng(0))[1]) == 0


def test_at_most_half_of_a_window_is_hidden_in_one_stretch() -> None:
    torch.manual_seed(0)
    mask = torch.ones(500, 12, 2)
    lengths = torch.randint(1, 13, (500,))
    mask[torch.arange(12) >= lengths[:, None]] = 0
    batch = {"mask": mask, "lengths": lengths}
    hidden = (mask - hidden_stretches(batch, 0.6)["seen"])[..., 0]
    assert ((hidden == 0) | (mask[..., 0] == 1)).all()
    assert (hidden.sum(1) <= lengths // 2).all()
    starts = (hidden.diff(dim=1, prepend=torch.zeros(500, 1)) == 1).sum(1)
    assert starts.max() == 1
    assert 0.4 < float((starts == 1)[lengths > 3].float().mean()) < 0.75
    assert torch.equal(hidden_stretches(batch, 0.0)["seen"], mask)


def test_the_rate_rises_and_falls() -> None:
    rate = rise_and_fall(100, 2.0)
    assert (rate(0), rate(9), rate(10)) == pytest.approx((0.2, 2.0, 2.0))
    assert rate(99) == pytest.approx(0.02, abs=0.01)
    assert rise_and_fall(1, 1.0)(0) == 1.0
