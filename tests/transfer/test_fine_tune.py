from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from thinfile.errors import ParameterError
from thinfile.metrics.ranking import roc_auc
from thinfile.transfer.fine_tune import FineTuneClassifier


def test_it_learns_the_target_where_the_source_misleads(conflicting):
    tuned = _fit(conflicting, tuning_learning_rate=3e-3, l2_sp=0.0)
    assert _auc(tuned, conflicting) > _auc(_fit(conflicting.hide(0)), conflicting) + 0.05


def test_without_target_labels_it_is_the_source_network_and_says_so(conflicting):
    model = _fit(conflicting.hide(0))
    assert model.notes_ == ["0 labelled target rows: trained on the source and not tuned"]
    assert {record["stage"] for record in model.history_} == {"source"}


def test_the_source_stage_does_not_see_the_target(conflicting):
    """Its weights are those of a fit on the same source rows without any target label."""
    tuned, source = _fit(conflicting, validation_fraction=0.0), None
    source = _fit(conflicting.hide(0), validation_fraction=0.0)
    for name, weight in source.get_weights().items():
        np.testing.assert_array_equal(tuned.source_weights_[name], weight)


@pytest.mark.parametrize("norm", [None, "batch"])
def test_frozen_layers_stay_as_the_source_left_them(conflicting, norm):
    model = _fit(conflicting, n_frozen=1, norm=norm, dropout=0.0, validation_fraction=0.0)
    source = _fit(conflicting.hide(0), norm=norm, dropout=0.0, validation_fraction=0.0)
    first = set(model.network_.body.hidden[0].state_dict(prefix="body.hidden.0."))
    before, after = source.get_weights(), model.get_weights()
    moved = {name for name in after if not np.array_equal(after[name], before[name])}
    assert first
    assert not moved & first
    assert {name for name in moved if name.startswith("body.hidden.1.")}
    assert all(p.requires_grad for p in model.network_.parameters())


def test_with_every_layer_frozen_only_the_last_map_is_tuned(conflicting):
    model = _fit(conflicting, n_frozen=2)
    weights = model.get_weights()
    moved = {n for n, w in model.source_weights_.items() if not np.array_equal(w, weights[n])}
    assert moved == {"head.weight", "head.bias"}


def test_l2_sp_holds_the_weights_near_the_source(conflicting):
    free, held = (
        _distance(_fit(conflicting, l2_sp=l2_sp, tuning_learning_rate=1e-3))
        for l2_sp in (0.0, 10.0)
    )
    assert held < 0.5 * free


def test_l2_sp_in_the_history_is_half_the_squared_distance(conflicting):
    """With one batch in an epoch the term is measured before the step: 0 at the first."""
    model = _fit(conflicting, tuning_batch_size=100, validation_fraction=0.0, tuning_epochs=2)
    tuning = [record for record in model.history_ if record["stage"] == "target"]
    assert tuning[0]["l2_sp"] == 0.0
    assert 0.0 < tuning[1]["l2_sp"] < 0.5 * _distance(model) ** 2


def test_history_runs_on_from_source_to_target(conflicting):
    history = _fit(conflicting).history_
    stages = [record["stage"] for record in history]
    assert stages == sorted(stages)  # "source" before "target"
    for name in ("epoch", "step", "seconds"):
        values = [record[name] for record in history]
        assert all(a < b for a, b in pairwise(values))


def test_few_events_are_all_trained_on(conflicting):
    """Ten events and ten others are held back to stop by, or none: 40 labels have too few."""
    model = _fit(conflicting.hide(40), tuning_epochs=7)
    tuning = [record for record in model.history_ if record["stage"] == "target"]
    assert len(tuning) == 7
    assert all("validation_auc" not in record for record in tuning)


def test_no_more_layers_can_be_frozen_than_there_are(conflicting):
    with pytest.raises(ParameterError, match="n_frozen=3 must be at most the number of hidden lay"):
        _fit(conflicting, n_frozen=3)


def test_without_a_source_it_trains_on_the_target(conflicting):
    rows = conflicting.is_target
    model = FineTuneClassifier(target_domain="new", max_epochs=2, widths=(4,), random_state=0)
    model.fit(conflicting.X[rows], conflicting.truth[rows], domain=conflicting.domain[rows])
    assert model.notes_ == ["no labelled source rows: trained on the target's labels alone"]


def _fit(populations, **arguments):
    defaults = {
        "target_domain": "new",
        "widths": (16, 8),
        "max_epochs": 8,
        "learning_rate": 0.01,
        "tuning_epochs": 15,
        "device": "cpu",
        "random_state": 0,
    }
    model = FineTuneClassifier(**(defaults | arguments))
    return model.fit(populations.X, populations.y, domain=populations.domain)


def _auc(model, populations):
    rows = populations.is_target & (np.arange(len(populations.y)) >= 700)  # hidden everywhere
    return roc_auc(populations.truth[rows], model.predict_proba(populations.X[rows])[:, 1])


def _distance(model):
    weights = model.get_weights()
    return float(
        sum(((weights[n] - w) ** 2).sum() for n, w in model.source_weights_.items()) ** 0.5
    )
