"""What every method promises about `fit`."""

from __future__ import annotations

import contextlib
import random

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.base import clone

from thinfile.errors import DataError, ParameterError
from thinfile.methods import METHODS
from thinfile.schema.model import Schema

REFUSES = {"boosted_target", "logistic_target", "score_refit", "tradaboost"}
"""Methods that can do nothing without target labels."""

every_method = pytest.mark.parametrize("name", METHODS)


@every_method
def test_clone_has_the_same_arguments_and_nothing_fitted(name, fitted):
    model = fitted(name)
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    assert not [attribute for attribute in vars(twin) if attribute.endswith("_")]


@every_method
def test_random_state_makes_a_fit_repeatable_bit_for_bit(name, rows, fitted, build, state_bytes):
    assert state_bytes(rows.fit(build(name))) == state_bytes(fitted(name))


@every_method
def test_a_generator_as_random_state_is_repeatable_too(name, rows, build):
    first, second = (rows.fit(build(name, random_state=_generator())) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(rows.X), second.predict_proba(rows.X))


@every_method
def test_global_state_is_left_alone(name, rows, build):
    model = build(name)
    before = _global_state()
    rows.fit(model).predict_proba(rows.X)
    assert _global_state() == before


@every_method
def test_arguments_and_data_are_left_alone(name, rows, build):
    model = build(name)
    arguments = dict(model.get_params())
    X, y, domain = rows.X.clone(), rows.y.copy(), rows.domain.copy()
    rows.fit(model)
    assert model.get_params() == arguments
    assert rows.X.equals(X)
    np.testing.assert_array_equal(rows.y, y)
    np.testing.assert_array_equal(rows.domain, domain)


@every_method
def test_no_label_may_be_written_in_three_ways(name, rows, fitted, build):
    hidden = rows.y == -1
    as_nan = np.where(hidden, np.nan, rows.y)
    as_none = np.array([None if h else int(v) for h, v in zip(hidden, rows.y, strict=True)], object)
    for y in (as_nan, as_none):
        model = build(name).fit(rows.X, y, domain=rows.domain)
        np.testing.assert_array_equal(
            model.predict_proba(rows.X), fitted(name).predict_proba(rows.X)
        )


@every_method
def test_labels_in_the_table_cannot_reach_a_fit(name, rows, build, state_bytes):
    """The table still has its outcome column; whatever it says of hidden rows changes no bit."""
    rng = np.random.default_rng(5)
    hidden = rows.y == -1
    outcomes = [np.where(hidden, fill, rows.y) for fill in (0, rng.integers(0, 2, len(hidden)))]
    tables = [rows.X.with_columns(pl.Series("outcome", outcome)) for outcome in outcomes]
    schema = Schema.infer(tables[0], label="outcome")
    models = [build(name, schema=schema).fit(table, rows.y, domain=rows.domain) for table in tables]
    assert state_bytes(models[0]) == state_bytes(models[1])


@every_method
def test_labels_may_be_words_of_which_the_last_is_the_event(name, rows, fitted, build):
    words = np.array(["no", "yes"], object)[rows.y.clip(0)]
    words[rows.y == -1] = None
    model = build(name).fit(rows.X, words, domain=rows.domain)
    assert model.classes_.tolist() == ["no", "yes"]
    assert any("'yes' is the event" in note for note in model.notes_)
    np.testing.assert_array_equal(model.predict_proba(rows.X), fitted(name).predict_proba(rows.X))
    said, expected = model.predict(rows.X), fitted(name).predict(rows.X)
    np.testing.assert_array_equal(said == "yes", expected == 1)


@every_method
def test_scores_of_the_target_have_its_base_rate(name, rows, build):
    model = rows.fit(build(name, target_rate=0.123))
    assert model.predict_proba(rows.hidden)[:, 1].mean() == pytest.approx(0.123, abs=1e-6)


@every_method
def test_every_fault_of_the_arguments_in_one_message(name, rows, build):
    model = build(name, target_rate=2.0, random_state="dice", schema={"age": "number"})
    with pytest.raises(ParameterError) as caught:
        rows.fit(model)
    message = str(caught.value)
    assert message.startswith(type(model).__name__)
    assert "\n" not in message
    for fault in ("target_rate=2.0 must be", "random_state='dice' must be", "schema={"):
        assert fault in message


@every_method
def test_one_class_is_refused(name, rows, build):
    with pytest.raises(DataError, match="one class only"):
        build(name).fit(rows.X, np.where(rows.y == 1, 0, rows.y), domain=rows.domain)


@every_method
def test_target_domain_must_be_one_of_the_populations(name, rows, build):
    with pytest.raises(ParameterError, match=r"target_domain=None must name one .*'new', 'old'"):
        rows.fit(build(name, target_domain=None))
    with pytest.raises(DataError, match=r"target_domain='next' is none of .*'new', 'old'"):
        rows.fit(build(name, target_domain="next"))


@every_method
def test_unequal_lengths_are_refused(name, rows, build):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        build(name).fit(rows.X, rows.y[:-1], domain=rows.domain)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        build(name).fit(rows.X, rows.y, domain=rows.domain[:-1])


@every_method
def test_with_no_target_label_it_says_what_it_needs_or_scores(name, rows, build):
    y = np.where(rows.is_target, -1, rows.y)
    refusal = contextlib.nullcontext()
    if name in REFUSES:
        refusal = pytest.raises(DataError, match="target")
    with refusal:
        model = build(name).fit(rows.X, y, domain=rows.domain)
        assert np.isfinite(model.predict_proba(rows.X)).all()


@every_method
def test_a_target_of_its_own_is_enough(name, rows, build):
    """All labelled rows belong to the target: every method trains on what is labelled."""
    target = pl.Series(rows.is_target)
    X, y = rows.X.filter(target), rows.y[rows.is_target]
    model = build(name).fit(X, y, domain=["new"] * len(y))
    assert np.isfinite(model.predict_proba(X)).all()


def _generator() -> np.random.RandomState:
    return np.random.RandomState(3)


def _global_state() -> tuple[object, ...]:
    numpy_state = np.random.get_state()  # noqa: NPY002
    return (
        random.getstate(),
        numpy_state[1].tobytes(),
        numpy_state[2:],
        torch.get_rng_state().numpy().tobytes(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    )
