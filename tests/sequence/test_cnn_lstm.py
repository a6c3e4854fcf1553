from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.errors import DataError, ParameterError, SchemaError
from thinfile.estimator import State
from thinfile.metrics.ranking import roc_auc
from thinfile.schema.model import Schema
from thinfile.sequence.cnn_lstm import CNNLSTMClassifier

SMALL: dict[str, Any] = {
    "n_filters": 8,
    "hidden_width": 12,
    "widths": (8,),
    "max_epochs": 2,
    "pretrain_epochs": 1,
    "device": "cpu",
    "random_state": 0,
    "target_rate": None,
}
EVENTS = ["events.days_to_cut", "events.item", "events.amount"]


def build(**arguments: Any) -> CNNLSTMClassifier:
    return CNNLSTMClassifier(**{**SMALL, **arguments})


@pytest.fixture(scope="module")
def model(customers):
    return build().fit(customers.X, customers.y)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"cell": "gru"},
        {"convolution": False},
        {"recurrent": False},
    ],
    ids=["cnn+lstm", "cnn+gru", "lstm", "cnn"],
)
def test_it_learns_what_the_order_of_events_says(parts, customers, later):
    model = build(max_epochs=12, learning_rate=0.01, patience=None, dropout=0.0, **parts)
    score = model.fit(customers.X, customers.y).predict_proba(later.X)[:, 1]
    assert roc_auc(later.y, score) > 0.85


@pytest.mark.parametrize("convolution", [True, False])
@pytest.mark.parametrize("recurrent", [True, False])
def test_a_score_does_not_depend_on_who_else_is_scored(convolution, recurrent, customers):
    model = build(convolution=convolution, recurrent=recurrent, max_epochs=1)
    model.fit(customers.X, customers.y)
    together = model.predict_proba(customers.X)[:, 1]
    lengths = customers.X["events.days_to_cut"].list.len().fill_null(0).to_numpy()
    rows = [int(np.flatnonzero(lengths == n)[0]) for n in (0, 1, 2, 3, 4, 5, 8, 9, 24)]
    alone = [model.predict_proba(customers.X[row : row + 1])[0, 1] for row in rows]
    np.testing.assert_allclose(alone, together[rows], rtol=0, atol=1e-6)
    backwards = model.predict_proba(customers.X[::-1])[::-1, 1]
    np.testing.assert_allclose(backwards, together, rtol=0, atol=1e-6)


def test_only_the_latest_events_count(customers):
    model = build(max_events=3).fit(customers.X, customers.y)
    tails = customers.X.with_columns(pl.col(name).list.tail(3) for name in EVENTS)
    np.testing.assert_allclose(
        model.predict_proba(tails), model.predict_proba(customers.X), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("pretrain", ["next_event", "contrastive"])
def test_pretraining_sees_rows_without_labels_and_no_label(pretrain, customers):
    hidden = np.where(np.arange(len(customers.y)) < 200, customers.y, -1)
    arguments = {"pretrain": pretrain, "validation_fraction": 0.0}
    first = build(**arguments).fit(customers.X, hidden)
    assert [r["epoch"] for r in first.pretrain_history_] == [1]
    assert pretrain in first.pretrain_history_[0]
    flipped = np.where(hidden >= 0, 1 - hidden, -1)
    second = build(**arguments).fit(customers.X, flipped)
    seconds = {"seconds", "cpu_seconds"}
    records = [
        {k: v for k, v in m.pretrain_history_[0].items() if k not in seconds}
        for m in (first, second)
    ]
    assert records[0] == records[1]
    rows = customers.X.head(200)
    fewer = build(**arguments).fit(rows, customers.y[:200])
    assert fewer.pretrain_history_[0]["total"] != first.pretrain_history_[0]["total"]


def test_unlabelled_rows_change_nothing_without_pretraining(customers):
    """Given the same encoders: rows without a label reach vocabularies and scales only."""
    hidden = np.where(np.arange(len(customers.y)) < 300, customers.y, -1)
    order = np.concatenate([np.arange(300), 300 + np.random.default_rng(0).permutation(300)])
    first = build().fit(customers.X, hidden)
    second = build().fit(customers.X[order], hidden)
    for name, value in first.get_weights().items():
        np.testing.assert_array_equal(value, second.get_weights()[name])


def test_next_event_needs_an_encoder_that_has_a_next_one(customers):
    model = build(pretrain="next_event", convolution=False, recurrent=False)
    with pytest.raises(ParameterError, match="pretrain='next_event' needs convolution or recur"):
        model.fit(customers.X, customers.y)


def test_histories_too_short_to_pretrain_on_are_said(customers):
    X = customers.X.with_columns(pl.col(name).list.tail(1) for name in EVENTS)
    model = build(pretrain="contrastive").fit(X, customers.y)
    assert model.pretrain_history_ == []
    assert "no two histories are long enough to pretrain on: left out" in model.notes_


def test_the_latest_rows_stop_training(customers):
    model = build(time_column="cut", validation_fraction=1 / 6).fit(customers.X, customers.y)
    assert model.n_validation_ == int((customers.X["cut"] == 5).sum())
    assert "cut" not in model.schema_.features
    # The column is no feature: it may be anything, or absent, for scoring.
    np.testing.assert_array_equal(
        model.predict_proba(customers.X.drop("cut")), model.predict_proba(customers.X)
    )
    dates = pl.Series(np.datetime64("2024-01-01") + customers.X["cut"].to_numpy()).cast(pl.String)
    dated = build(time_column="cut", validation_fraction=1 / 6)
    dated.fit(customers.X.with_columns(dates.alias("cut")), customers.y)
    assert dated.n_validation_ == model.n_validation_


def test_a_time_column_must_be_there_and_tell_time(customers):
    with pytest.raises(DataError, match=r"time_column='when' is none of the columns"):
        build(time_column="when").fit(customers.X, customers.y)
    with pytest.raises(DataError, match=r"time_column='region' is String: dates or numbers"):
        build(time_column="region").fit(customers.X, customers.y)


def test_pandas_gives_the_same_model(model, customers):
    twin = build().fit(customers.X.to_pandas(), customers.y)
    expected = model.predict_proba(customers.X)
    np.testing.assert_array_equal(twin.predict_proba(customers.X.to_pandas()), expected)
    lists = customers.X.to_pandas()
    for name in EVENTS:
        lists[name] = [None if cell is None else list(cell) for cell in lists[name]]
    np.testing.assert_array_equal(model.predict_proba(lists), expected)


def test_state_makes_the_same_model_again(customers):
    model = build(pretrain="contrastive").fit(customers.X, customers.y)
    state = model.get_state()
    assert not state.files
    read = State(json.loads(json.dumps(state.values)), dict(state.arrays), {})
    twin = build(pretrain="contrastive").set_state(read)
    np.testing.assert_array_equal(twin.predict_proba(customers.X), model.predict_proba(customers.X))
    np.testing.assert_array_equal(twin.transform(customers.X), model.transform(customers.X))
    assert twin.pretrain_history_ == model.pretrain_history_


def test_the_embedding_is_one_vector_per_row_and_none_of_nothing(model, customers):
    vectors = model.transform(customers.X)
    assert vectors.shape == (len(customers.y), 36)
    assert vectors.dtype == np.float32
    empty = customers.X["events.days_to_cut"].list.len().fill_null(0).to_numpy() == 0
    assert not vectors[empty].any()
    assert vectors[~empty].any(axis=1).all()


def test_histories_alone_are_enough(customers):
    model = build().fit(customers.X.select(EVENTS), customers.y)
    assert np.isfinite(model.predict_proba(customers.X.select(EVENTS))).all()
    twin = build().set_state(model.get_state())
    np.testing.assert_array_equal(
        twin.predict_proba(customers.X.select(EVENTS)),
        model.predict_proba(customers.X.select(EVENTS)),
    )


@pytest.mark.parametrize("kind", ["no list columns", "empty lists"])
def test_static_columns_alone_are_enough(kind, customers):
    X = customers.X.drop(EVENTS)
    if kind == "empty lists":
        X = customers.X.with_columns(pl.col(name).list.head(0) for name in EVENTS)
    model = build().fit(X, customers.y)
    assert np.isfinite(model.predict_proba(X)).all()
    assert model.transform(X).shape == (len(customers.y), 0)
    said = "no row has an event before its cut: static columns only" in model.notes_
    assert said == (kind == "empty lists")


def test_nothing_to_learn_from_is_refused(customers):
    same = customers.X.select(pl.lit("x").alias("shop"), *EVENTS)
    nothing = same.with_columns(pl.col(name).list.head(0) for name in EVENTS)
    with pytest.raises(DataError) as caught:
        build().fit(nothing, customers.y)
    message = str(caught.value)
    assert message.startswith("nothing to learn from in 600 rows: no static column can be used")
    assert "column 'shop': every value is 'x': constant, ignored" in message
    assert "\n" not in message
    schema = Schema.infer(customers.X.select("age"))
    with pytest.raises(DataError, match="no column varies in 600 training rows"):
        build(schema=schema).fit(nothing.with_columns(age=pl.lit(1.0)), customers.y)


def test_a_log_of_another_kind_is_refused(model, customers):
    with pytest.raises(SchemaError, match=r"lacks columns: 'events.days_to_cut', 'events.item'"):
        model.predict_proba(customers.X.drop(EVENTS))
    late = customers.X.with_columns(pl.col("events.days_to_cut").list.eval(pl.element() - 30))
    with pytest.raises(DataError, match=r"are not before the cut .* \(first: row "):
        model.predict_proba(late)


def test_history_has_cpu_seconds_that_grow(model):
    seconds = [record["cpu_seconds"] for record in model.history_]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0


def test_every_fault_of_the_arguments_in_one_message(customers):
    model = build(cell="rnn", pool_size=0, pretrain="bert", batch_tokens=0, time_column=3)
    with pytest.raises(ParameterError) as caught:
        model.fit(customers.X, customers.y)
    for name in ("cell='rnn'", "pool_size=0", "pretrain='bert'", "batch_tokens=0", "time_column=3"):
        assert name in str(caught.value)
