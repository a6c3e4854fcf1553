from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thinfile.errors import ParameterError
from thinfile.metrics.ranking import roc_auc
from thinfile.transfer.dann import DANNClassifier


def test_the_population_is_harder_to_tell_from_the_features(conflicting):
    """Column 2 gives the population away; the adversary drives it out of the hidden layer."""
    free, aligned = (
        _population_auc(
            _fit(conflicting, adversary_weight=weight, max_epochs=40, validation_fraction=0.0),
            conflicting,
        )
        for weight in (0.0, 3.0)
    )
    assert free > 0.75
    assert aligned < free - 0.15


def test_alpha_follows_the_ramp_of_the_paper(conflicting):
    model = _fit(conflicting, validation_fraction=0.0, adversary_weight=0.5)
    n_steps = model.history_[-1]["step"]
    for record in model.history_:
        progress = (record["step"] - 1) / n_steps
        expected = 0.5 * (2 / (1 + math.exp(-10 * progress)) - 1)
        assert record["alpha"] == pytest.approx(expected, rel=1e-6)
    fixed = _fit(conflicting, validation_fraction=0.0, ramp_steps=10)
    assert fixed.history_[-1]["alpha"] == pytest.approx(1.0, abs=1e-4)


def test_the_first_step_moves_features_by_the_task_alone_and_trains_the_adversary(conflicting):
    """α starts at 0; the adversary learns at full strength all the same."""
    rows = np.r_[0:100, 800:900]
    few = (conflicting.X[rows], conflicting.y[rows], conflicting.domain[rows])
    arguments = {
        "max_epochs": 1,
        "batch_size": 512,
        "validation_fraction": 0.0,
        "dropout": 0.0,
        "target_domain": "new",
        "device": "cpu",
        "random_state": 0,
        "weight_decay": 0.0,
    }
    one, other = (
        DANNClassifier(adversary_weight=weight, **arguments).fit(*few[:2], domain=few[2])
        for weight in (0.0, 100.0)
    )
    for name, weight in one.get_weights().items():
        np.testing.assert_array_equal(other.get_weights()[name], weight)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        start = one._build().state_dict()
    moved = {n for n, w in one.get_weights().items() if not np.array_equal(w, start[n].numpy())}
    assert {"population.head.weight", "head.weight"} <= moved


def test_total_is_the_sum_of_both_losses(conflicting):
    for record in _fit(conflicting).history_:
        assert record["total"] == pytest.approx(record["classification"] + record["population"])


def test_target_labels_are_trained_on(conflicting):
    few, none = (_auc(_fit(conflicting.hide(n), max_epochs=15), conflicting) for n in (100, 0))
    assert few > none + 0.02


def test_rows_without_labels_are_used(conflicting):
    moved = conflicting.X.copy()
    moved[700:, 2] -= 2.0  # the hidden rows now lie where the source does
    one = _fit(conflicting)
    other = _fit(conflicting, X=moved)
    assert not np.array_equal(one.get_weights()["head.weight"], other.get_weights()["head.weight"])


def test_without_target_it_says_there_is_nothing_to_adapt(conflicting):
    model = DANNClassifier(max_epochs=2, widths=(4,), random_state=0)
    model.fit(conflicting.X[:600], conflicting.y[:600])
    assert model.notes_ == ["no target rows: nothing to adapt"]
    assert all(record["population"] == 0.0 for record in model.history_)


def test_tiny_batches_without_a_source_row_are_survived(conflicting):
    model = DANNClassifier(
        target_domain="new", batch_size=2, max_epochs=1, widths=(3,), random_state=0
    )
    rows = np.r_[0:20, 600:680]  # four of five labelled rows are the target's
    model.fit(conflicting.X[rows], conflicting.truth[rows], domain=conflicting.domain[rows])
    assert np.isfinite(model.predict_proba(conflicting.X)).all()


def test_every_fault_of_the_arguments_at_once(conflicting):
    faulty = DANNClassifier(adversary_weight=-1, widths=(), ramp_steps=0, population_widths=3)
    with pytest.raises(ParameterError) as caught:
        faulty.fit(conflicting.X, conflicting.y)
    for fault in ("adversary_weight=-1", "widths=()", "ramp_steps=0", "population_widths=3"):
        assert fault in str(caught.value)


def _fit(populations, X=None, **arguments):
    defaults = {"widths": (16, 8), "max_epochs": 6, "learning_rate": 0.01, "batch_size": 128}
    model = DANNClassifier(
        target_domain="new", device="cpu", random_state=0, **(defaults | arguments)
    )
    return model.fit(populations.X if X is None else X, populations.y, domain=populations.domain)


def _population_auc(model, populations):
    """How well a fresh linear classifier tells the populations apart by the last hidden layer."""
    from sklearn.linear_model import LogisticRegression

    encoded = model._encode(populations.X)
    with torch.no_grad():
        numbers, codes = torch.from_numpy(encoded.numbers), torch.from_numpy(encoded.codes).long()
        hidden = model.network_.hidden(numbers, codes)[-1].numpy()
    is_target = populations.is_target.astype(int)
    fresh = LogisticRegression(max_iter=500).fit(hidden, is_target)
    return roc_auc(is_target, fresh.decision_function(hidden))


def _auc(model, populations):
    rows = np.arange(700, 900)
    return roc_auc(populations.truth[rows], model.predict_proba(populations.X[rows])[:, 1])
