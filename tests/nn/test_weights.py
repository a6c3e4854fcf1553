from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from thinfile.errors import ArtifactError
from thinfile.nn.weights import get_weights, set_weights


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_weights_go_round_and_are_copies() -> None:
    first, second = network(0), network(1)
    arrays = get_weights(first, start="side.")
    assert {name.split(".")[0] for name in arrays} == {"side"}
    arrays["other.array"] = np.zeros(1)
    set_weights(second, arrays, start="side.")
    x = torch.randn(5, 3)
    torch.testing.assert_close(first.eval()(x), second.eval()(x), rtol=0, atol=0)
    arrays["side.0.weight"][:] = 0
    assert first.get_parameter("0.weight").abs().sum() > 0


def test_what_does_not_fit_is_named_and_changes_nothing() -> None:
    first, second = network(0), network(1)
    kept = get_weights(second)
    wrong = get_weights(first)
    wrong["0.bias"] = np.zeros(7)
    wrong["9.bias"] = wrong.pop("0.weight")
    with pytest.raises(ArtifactError) as caught:
        set_weights(second, wrong, owner="the critic")
    assert str(caught.value) == (
        "weights do not fit the critic: 0.weight is missing; 9.bias is unknown; "
        "0.bias is (7,), must be (2,)"
    )
    with pytest.raises(ArtifactError, match=r"1.weight is missing and 4 more"):
        set_weights(second, {})
    for name, value in get_weights(second).items():
        np.testing.assert_array_equal(value, kept[name])
