from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from thinfile.anomaly.devnet import DevNetClassifier, deviation_loss
from thinfile.errors import ArtifactError, ParameterError


def test_the_loss_is_the_papers() -> None:
    """Equations 6 and 7 of Pang et al., written out row by row."""
    score = torch.tensor([0.5, -1.0, 2.0, 9.0])
    is_event = torch.tensor([False, False, True, True])
    reference = torch.tensor([0.0, 1.0, 2.0, -1.0])
    rest, events = deviation_loss(score, is_event, 5.0, reference)
    mean, deviation = 0.5, float(np.std([0, 1, 2, -1], ddof=1))
    expected = 0.0
    for value, event in zip(score.tolist(), is_event.tolist(), strict=True):
        dev = (value - mean) / deviation
        expected += max(0.0, 5.0 - dev) if event else abs(dev)
    assert float(rest + events) == pytest.approx(expected / 4, rel=1e-6)


def test_the_loss_falls_when_events_rise_and_others_are_normal() -> None:
    """PyOD 3.6 calls its loss with score and label swapped, and ranks events last."""
    is_event = torch.tensor([True, False])
    good, bad = (
        sum(float(t) for t in deviation_loss(torch.tensor(score), is_event))
        for score in ([6.0, 0.0], [0.0, 6.0])
    )
    assert good < 0.2 < 5 < bad


def test_events_lie_beyond_the_margin_after_training(transactions: Any) -> None:
    model = DevNetClassifier(max_epochs=30, random_state=0).fit(transactions.X, transactions.y)
    score = model.anomaly_score(transactions.X)
    assert np.median(score[transactions.y == 1]) > 3
    assert abs(np.median(score[transactions.truth == 0])) < 1


def test_a_history_has_both_parts_of_the_loss(transactions: Any) -> None:
    model = DevNetClassifier(max_epochs=3, random_state=0).fit(transactions.X, transactions.y)
    assert [r["epoch"] for r in model.history_] == [1, 2, 3]
    assert {"rest", "events", "total"} <= set(model.history_[0])


def test_weights_go_out_and_in(transactions: Any) -> None:
    model = DevNetClassifier(max_epochs=1, random_state=0).fit(transactions.X, transactions.y)
    weights = model.get_weights()
    weights["head.bias"] = weights["head.bias"] + 1
    before = model.anomaly_score(transactions.X)
    np.testing.assert_allclose(
        model.set_weights(weights).anomaly_score(transactions.X), before + 1, atol=1e-5
    )
    with pytest.raises(ArtifactError, match=r"head.bias is \(3,\), must be \(1,\)"):
        model.set_weights({**weights, "head.bias": np.zeros(3)})


def test_all_faults_of_the_arguments_are_told_at_once(transactions: Any) -> None:
    with pytest.raises(ParameterError, match=r"event_share=1\.0 must.*margin=0 must"):
        DevNetClassifier(margin=0, event_share=1.0).fit(transactions.X, transactions.y)
