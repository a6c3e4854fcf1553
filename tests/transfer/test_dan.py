from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thinfile.nn.divergence import mk_mmd
from thinfile.transfer import dan
from thinfile.transfer.dan import DANClassifier


def test_the_term_brings_the_hidden_layers_together(conflicting):
    free, aligned = (
        _mmd(_fit(conflicting, mmd_weight=weight, max_epochs=20), conflicting)
        for weight in (0.0, 1.0)
    )
    assert aligned < 0.5 * free


def test_lambda_follows_the_ramp_over_the_run_or_over_fixed_steps(conflicting):
    model = _fit(conflicting, mmd_weight=0.5)
    n_steps = model.history_[-1]["step"]
    for record in model.history_:
        progress = (record["step"] - 1) / n_steps
        expected = 0.5 * (2 / (1 + math.exp(-10 * progress)) - 1)
        assert record["weight_mmd"] == pytest.approx(expected, rel=1e-6)
    fixed = _fit(conflicting, ramp_steps=1000)
    last = fixed.history_[-1]["step"] - 1
    expected = 2 / (1 + math.exp(-10 * last / 1000)) - 1
    assert fixed.history_[-1]["weight_mmd"] == pytest.approx(expected)


def test_all_layers_are_the_sum_over_layers(conflicting):
    last, both = (_fit(conflicting, layers=layers).history_[0]["mmd"] for layers in ("last", "all"))
    assert both > last


@pytest.mark.parametrize(("target_labels", "n_adapted"), [("loss", 300), ("validation", 200)])
def test_rows_that_choose_the_weights_are_not_adapted_to(
    conflicting, monkeypatch, target_labels, n_adapted
):
    seen = []

    def spy(*arguments, **options):
        batches = paired_batches(*arguments, **options)
        seen.append(batches.target.n_rows)
        return batches

    paired_batches = dan.paired_batches
    monkeypatch.setattr(dan, "paired_batches", spy)
    _fit(conflicting, target_labels=target_labels, max_epochs=1)
    assert seen == [n_adapted]


def test_labels_kept_for_validation_change_only_the_choice_of_weights(conflicting):
    """Losses are the same for other labels; what is measured on them is not."""
    flipped = conflicting.y.copy()
    labelled = conflicting.is_target & (flipped != -1)
    flipped[labelled] = 1 - flipped[labelled]
    arguments = {"target_labels": "validation", "match_prior": False}
    one = _fit(conflicting, **arguments).history_
    other = _fit(conflicting, y=flipped, **arguments).history_
    for a, b in zip(one, other, strict=False):
        assert (a["classification"], a["mmd"]) == (b["classification"], b["mmd"])
        assert a["validation_auc"] == pytest.approx(1 - b["validation_auc"])


def test_prior_matching_weights_the_source_where_the_rate_is_known(conflicting):
    hidden = conflicting.hide(0)
    arguments = {"target_labels": "loss", "match_prior": True}
    unknown = _fit(hidden, **arguments)
    known = _fit(hidden, target_rate=0.05, **arguments)
    without = _fit(hidden, target_rate=0.05, **(arguments | {"match_prior": False}))
    assert unknown.history_[0]["mmd"] == without.history_[0]["mmd"]
    assert known.history_[0]["mmd"] != without.history_[0]["mmd"]


def _fit(populations, y=None, **arguments):
    defaults = {
        "widths": (16, 8),
        "max_epochs": 6,
        "learning_rate": 0.01,
        "batch_size": 128,
        "patience": None,
        "validation_fraction": 0.0,
    }
    model = DANClassifier(
        target_domain="new", device="cpu", random_state=0, **(defaults | arguments)
    )
    y = populations.y if y is None else y
    return model.fit(populations.X, y, domain=populations.domain)


def _mmd(model, populations):
    encoded = model._encode(populations.X)
    with torch.no_grad():
        numbers, codes = torch.from_numpy(encoded.numbers), torch.from_numpy(encoded.codes).long()
        layers = model.network_.hidden(numbers, codes)
    is_target = torch.from_numpy(np.asarray(populations.is_target))
    return float(mk_mmd([h[~is_target] for h in layers], [h[is_target] for h in layers]))
