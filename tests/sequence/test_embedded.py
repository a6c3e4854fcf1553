from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.errors import ArtifactError, ParameterError
from thinfile.estimator import State
from thinfile.metrics.ranking import roc_auc
from thinfile.sequence.embedded import EmbeddedClassifier

SMALL: dict[str, Any] = {
    "n_filters": 8,
    "hidden_width": 12,
    "pretrain_epochs": 2,
    "n_trees": 30,
    "device": "cpu",
    "random_state": 0,
    "target_rate": None,
}


def build(**arguments: Any) -> EmbeddedClassifier:
    return EmbeddedClassifier(**{**SMALL, **arguments})


@pytest.mark.parametrize("pretrain", ["next_event", "contrastive"])
def test_the_embedding_tells_trees_what_static_columns_do_not(pretrain, customers, later):
    model = build(pretrain=pretrain, pretrain_epochs=4).fit(customers.X, customers.y)
    assert roc_auc(later.y, model.predict_proba(later.X)[:, 1]) > 0.7
    static = [name for name in customers.X.columns if not name.startswith("events.")]
    plain = build().fit(customers.X.select(static), customers.y)
    assert roc_auc(later.y, plain.predict_proba(later.X.select(static))[:, 1]) < 0.6


def test_the_embedding_has_seen_all_rows_and_no_label(customers):
    hidden = np.where(np.arange(len(customers.y)) < 200, customers.y, -1)
    first = build().fit(customers.X, hidden).transform(customers.X)
    flipped = np.where(hidden >= 0, 1 - hidden, -1)
    np.testing.assert_array_equal(build().fit(customers.X, flipped).transform(customers.X), first)
    fewer = build().fit(customers.X.head(200), customers.y[:200]).transform(customers.X)
    assert not np.allclose(fewer, first)


def test_one_row_is_scored_as_among_others(customers):
    model = build().fit(customers.X, customers.y)
    together = model.transform(customers.X)
    for row in (0, 3, 17):
        alone = model.transform(customers.X[row : row + 1])[0]
        np.testing.assert_allclose(alone, together[row], rtol=0, atol=1e-6)


@pytest.mark.parametrize("columns", ["all", "static", "events"])
def test_state_makes_the_same_model_again(columns, customers):
    events = [name for name in customers.X.columns if name.startswith("events.")]
    X = {
        "all": customers.X,
        "static": customers.X.drop(events),
        "events": customers.X.select(events),
    }[columns]
    model = build().fit(X, customers.y)
    state = model.get_state()
    read = State(json.loads(json.dumps(state.values)), dict(state.arrays), dict(state.files))
    twin = build().set_state(read)
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    assert model.transform(X).shape[1] == (0 if columns == "static" else 36)


def test_weights_of_another_encoder_are_refused(customers):
    state = build().fit(customers.X, customers.y).get_state()
    name = next(iter(state.arrays))
    state.arrays[name] = np.zeros((1, 2), np.float32)
    with pytest.raises(ArtifactError, match="weights do not fit the encoder: .*" + name):
        build().set_state(state)


def test_the_order_of_rows_is_no_feature(customers):
    model = build(time_column="cut").fit(customers.X, customers.y)
    np.testing.assert_array_equal(
        model.predict_proba(customers.X.drop("cut")),
        model.predict_proba(customers.X.with_columns(cut=pl.lit(0))),
    )


def test_faults_of_the_arguments_are_named(customers):
    with pytest.raises(ParameterError) as caught:
        build(pretrain=None, n_trees=0, encoder_learning_rate=0.0).fit(customers.X, customers.y)
    for name in ("pretrain=None", "n_trees=0", "encoder_learning_rate=0.0"):
        assert name in str(caught.value)
    with pytest.raises(ParameterError, match="needs convolution or recurrent"):
        build(pretrain="next_event", convolution=False, recurrent=False).fit(
            customers.X, customers.y
        )
