from __future__ import annotations

import numpy as np
import pytest

from thinfile.errors import ParameterError
from thinfile.metrics.ranking import roc_auc
from thinfile.transfer.deep_coral import DeepCORALClassifier


@pytest.fixture(scope="module")
def stretched():
    """A target whose second column, which says nothing, is spread five times as widely."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(900, 3))
    domain = np.repeat(["old", "new"], [600, 300])
    y = (X[:, 0] + 0.3 * rng.normal(size=900) > 0).astype(int)
    X[600:, 1] = X[600:, 1] * 5 + 3
    y_seen = np.where(domain == "new", -1, y)
    return X, y_seen, domain, y


def test_the_term_brings_the_covariances_together(stretched):
    free, aligned = (
        _gap(_fit(stretched, coral_weight=weight, validation_fraction=0.0), stretched)
        for weight in (0.0, 10.0)
    )
    assert aligned < 0.3 * free


def test_one_layer_or_all_of_them(stretched):
    last, both = (_fit(stretched, layers=layers).history_[0] for layers in ("last", "all"))
    assert 0 < last["coral"] < both["coral"]


def test_total_is_the_weighted_sum_of_both_losses(stretched):
    for record in _fit(stretched, coral_weight=7.0).history_:
        expected = record["classification"] + 7.0 * record["coral"]
        assert record["total"] == pytest.approx(expected, rel=1e-5)


def test_weight_zero_is_the_network_without_the_term(stretched):
    """The target's rows must then not matter, not even through running statistics."""
    X, y, domain, _ = stretched
    moved = X.copy()
    moved[600:, 0] = np.random.default_rng(2).permutation(moved[600:, 0])
    arguments = {"coral_weight": 0.0, "dropout": 0.0}
    one = _fit(stretched, **arguments)
    other = _fit((moved, y, domain, None), **arguments)
    for name, weight in one.get_weights().items():
        np.testing.assert_allclose(other.get_weights()[name], weight, atol=1e-6)


def test_target_labels_are_trained_on(conflicting):
    few, none = (_conflict_auc(conflicting.hide(n)) for n in (100, 0))
    assert few > none + 0.02


def test_without_target_it_says_there_is_nothing_to_adapt(conflicting):
    model = DeepCORALClassifier(max_epochs=2, widths=(4,), random_state=0)
    model.fit(conflicting.X[:600], conflicting.y[:600])
    assert model.notes_ == ["no target rows: nothing to adapt"]
    assert all(record["coral"] == 0.0 for record in model.history_)


def test_tiny_batches_without_a_source_row_are_survived(conflicting):
    model = DeepCORALClassifier(
        target_domain="new", batch_size=2, max_epochs=1, widths=(3,), random_state=0
    )
    rows = np.r_[0:20, 600:680]  # four of five labelled rows are the target's
    model.fit(conflicting.X[rows], conflicting.truth[rows], domain=conflicting.domain[rows])
    assert np.isfinite(model.predict_proba(conflicting.X)).all()


def test_a_network_without_layers_has_nothing_to_align(conflicting):
    with pytest.raises(ParameterError, match=r"widths=\(\) must be a sequence of at least 1"):
        DeepCORALClassifier(widths=()).fit(conflicting.X, conflicting.y)


def _fit(rows, **arguments):
    X, y, domain, _ = rows
    defaults = {"widths": (8, 4), "max_epochs": 6, "learning_rate": 0.01, "batch_size": 128}
    model = DeepCORALClassifier(
        target_domain="new", device="cpu", random_state=0, **(defaults | arguments)
    )
    return model.fit(X, y, domain=domain)


def _gap(model, rows):
    """Distance of the covariances of the last hidden layer."""
    import torch

    X, _, domain, _ = rows
    encoded = model._encode(X)
    with torch.no_grad():
        numbers, codes = torch.from_numpy(encoded.numbers), torch.from_numpy(encoded.codes).long()
        hidden = model.network_.hidden(numbers, codes)[-1].numpy()
    old, new = (np.cov(hidden[domain == name], rowvar=False) for name in ("old", "new"))
    return np.linalg.norm(old - new)


def _conflict_auc(populations):
    model = _fit((populations.X, populations.y, populations.domain, None), max_epochs=15)
    rows = np.arange(700, 900)
    return roc_auc(populations.truth[rows], model.predict_proba(populations.X[rows])[:, 1])
