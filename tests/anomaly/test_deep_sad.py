from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from thinfile.anomaly.deep_sad import DeepSADClassifier, SphereNetwork, sad_loss


def test_the_loss_is_the_papers() -> None:
    """Equation 7 of Ruff et al. with the exponent written out."""
    distance, y = torch.tensor([2.0, 3.0, 4.0, 0.5]), torch.tensor([-1, 0, 1, 1])
    near, far = sad_loss(distance, y, eta=3.0)
    expected = sum(
        {-1: d, 0: 3.0 * d, 1: 3.0 * (d + 1e-6) ** -1}[label]
        for d, label in zip(distance.tolist(), y.tolist(), strict=True)
    )
    assert float(near + far) == pytest.approx(expected / 4, rel=1e-5)


def test_the_network_has_no_bias() -> None:
    """With one, every row could be mapped to the centre."""
    network = SphereNetwork(3, (4,), (8,), 2)
    assert not [name for name, _ in network.named_parameters() if "bias" in name]


def test_the_centre_is_fixed_and_away_from_zero(transactions: Any) -> None:
    one, many = (
        DeepSADClassifier(max_epochs=epochs, pretrain_epochs=1, random_state=0).fit(
            transactions.X, transactions.y
        )
        for epochs in (1, 4)
    )
    centre = one.network_.centre
    assert torch.equal(centre, many.network_.centre)
    assert bool((centre.abs() >= 0.1 - 1e-6).all())
    assert "centre" in one.get_weights()


def test_genuine_rows_are_near_and_events_far(transactions: Any) -> None:
    model = DeepSADClassifier(max_epochs=20, pretrain_epochs=2, random_state=0).fit(
        transactions.X, transactions.y
    )
    distance = model.anomaly_score(transactions.X)
    assert (distance >= 0).all()
    near = np.median(distance[transactions.truth == 0])
    assert np.median(distance[transactions.y == 1]) > 10 * near


def test_pretraining_is_in_the_history(transactions: Any) -> None:
    model = DeepSADClassifier(max_epochs=2, pretrain_epochs=3, random_state=0).fit(
        transactions.X, transactions.y
    )
    assert [record.get("stage") for record in model.history_] == ["pretraining"] * 3 + [None] * 2
    assert [record["epoch"] for record in model.history_] == [1, 2, 3, 4, 5]
    assert model.history_[2]["reconstruction"] < model.history_[0]["reconstruction"]
