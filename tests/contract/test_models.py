"""What every detector, encoder and generator of the registry promises."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from thinfile.errors import ParameterError
from thinfile.methods import MODELS
from thinfile.table_model import State

TINY: dict[str, Any] = {
    "widths": (8, 4),
    "discriminator_widths": (8, 4),
    "hidden": 6,
    "latent": 3,
    "latent_size": 2,
    "n_latent": 4,
    "max_epochs": 12,
    "max_steps": 20,
    "n_checks": 2,
    "batch_size": 32,
    "device": "cpu",
}
"""Arguments that make a fit short; each model takes those that it has."""

WINDOWS = {"lstm_autoencoder", "sequence_vae"}
every_model = pytest.mark.parametrize("name", MODELS)


def of_role(role: str) -> Any:
    return pytest.mark.parametrize("name", [n for n, m in MODELS.items() if role in m.roles])


def build(name: str, **arguments: Any) -> Any:
    cls = MODELS[name].estimator_class()
    known = cls().get_params()
    given = {"random_state": 0, **TINY, **arguments}
    return cls(**{key: value for key, value in given.items() if key in known})


@cache
def rows_of(name: str, seed: int = 0) -> Any:
    """What the model is fitted on: a raw table, images or windows of unequal length."""
    rng = np.random.default_rng(seed)
    if name == "dcgan":
        return rng.integers(0, 256, (60, 6, 6), dtype=np.uint8)
    if name in WINDOWS:
        phase, lengths = rng.uniform(0, 6, (80, 1)), rng.integers(5, 9, 80)
        waves = np.sin(np.linspace(0, 6, 8) + phase)[:, :, None] + rng.normal(0, 0.1, (80, 8, 2))
        return [wave[:length] for wave, length in zip(waves, lengths, strict=True)]
    return table(rng, 160)


def table(rng: np.random.Generator, n: int) -> pl.DataFrame:
    """Columns that hang together, with gaps, and so few values that made rows repeat real ones."""
    size = rng.integers(0, 25, n)
    return pl.DataFrame(
        {
            "size": [None if i % 17 == 0 else int(value) for i, value in enumerate(size)],
            "twice": size * 2 + rng.integers(0, 2, n),
            "kind": np.where(size > 12, "big", rng.choice(["small", "tiny"], n)),
            "open": rng.random(n) < 0.4,
        }
    )


def odd_rows_of(name: str) -> Any:
    """Rows that no fit has seen anything like; in tables, those with gaps are unusual too."""
    if name in WINDOWS:
        return [np.full((8, 2), 6.0) * np.resize([1, -1], (8, 1))] * 20
    return pl.DataFrame(
        {"size": [0] * 20, "twice": [49] * 20, "kind": ["big"] * 20, "open": [True] * 20}
    )


@cache
def fitted(name: str) -> Any:
    """Fitted once; tests must leave it as it is."""
    return build(name).fit(rows_of(name))


def state_bytes(model: Any) -> str:
    """A text that is the same for two models exactly if they are, bit for bit."""
    state = model.get_state()
    arrays = {k: (v.dtype.str, v.shape, v.tobytes()) for k, v in state.arrays.items()}
    values = _without_seconds(state.values)
    return repr((json.dumps(values, sort_keys=True), sorted(arrays.items()), state.files))


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_seconds(v) for k, v in value.items() if "seconds" not in k}
    return [_without_seconds(each) for each in value] if isinstance(value, list) else value


def outputs(name: str, model: Any) -> dict[str, Any]:
    """All that the roles of a model give for its training rows."""
    given: dict[str, Any] = {}
    for role in MODELS[name].roles:
        if role == "generator":
            made = model.sample(9, random_state=3)
            given[role] = made.rows() if isinstance(made, pl.DataFrame) else made.tobytes()
        else:
            method = model.transform if role == "encoder" else model.score_samples
            given[role] = method(rows_of(name)).tobytes()
    return given


def global_state() -> tuple[object, ...]:
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


@every_model
def test_clone_has_the_same_arguments_and_nothing_fitted(name):
    model = fitted(name)
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    assert not [attribute for attribute in vars(twin) if attribute.endswith("_")]


@every_model
def test_the_constructor_only_assigns(name):
    """Any object is kept as it is, right or wrong; `fit` is what looks at it."""
    cls = MODELS[name].estimator_class()
    given = {key: object() for key in cls().get_params()}
    assert all(getattr(cls(**given), key) is value for key, value in given.items())


@every_model
def test_every_fault_of_the_arguments_in_one_message(name):
    model = build(name, random_state="dice")
    faults = ["random_state='dice' must be"]
    for argument in ("batch_size", "max_epochs", "n_neighbours"):
        if argument in model.get_params():
            model.set_params(**{argument: 0})
            faults.append(f"{argument}=0 must be")
    with pytest.raises(ParameterError) as caught:
        model.fit(rows_of(name))
    message = str(caught.value)
    assert message.startswith(type(model).__name__)
    assert "\n" not in message
    assert all(fault in message for fault in faults), message


@pytest.mark.parametrize("name", [n for n in MODELS if n != "smote"])
def test_another_random_state_gives_another_model(name):
    """SMOTE holds the rows themselves: nothing about its fit is drawn."""
    assert state_bytes(build(name, random_state=1).fit(rows_of(name))) != state_bytes(fitted(name))


@every_model
def test_a_fit_is_repeatable_and_leaves_global_state_arguments_and_data_alone(name):
    model, rows = build(name), rows_of(name)
    arguments = dict(model.get_params())
    copied = rows.clone() if isinstance(rows, pl.DataFrame) else [each.copy() for each in rows]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)  # not what it was at the fit that this one is held against
        before = global_state()
        outputs(name, model.fit(rows))
        type(model)(**arguments).set_state(model.get_state())
        assert global_state() == before
    assert state_bytes(model) == state_bytes(fitted(name))
    assert model.get_params() == arguments
    if isinstance(rows, pl.DataFrame):
        assert rows.equals(copied)
    else:
        assert all(map(np.array_equal, rows, copied))


@every_model
def test_nothing_works_before_fit(name):
    model = build(name)
    with pytest.raises(NotFittedError):
        model.get_state()
    for role in MODELS[name].roles:
        with pytest.raises(NotFittedError):
            model.sample(1) if role == "generator" else outputs(name, model)


@every_model
def test_state_makes_the_same_model_again_without_pickle(name):
    model = fitted(name)
    state = model.get_state()
    assert all(isinstance(value, bytes) for value in state.files.values())
    assert all(value.dtype.kind in "fiub" for value in state.arrays.values())
    values = json.loads(json.dumps(state.values, allow_nan=False))
    arrays = {key: value.copy() for key, value in state.arrays.items()}
    twin = build(name).set_state(State(values, arrays, dict(state.files)))
    assert outputs(name, twin) == outputs(name, model)
    assert state_bytes(twin) == state_bytes(model)


@every_model
def test_a_state_is_a_copy(name):
    model = fitted(name)
    before = outputs(name, model)
    twin = build(name).set_state(model.get_state())
    for value in twin.get_state().arrays.values():
        if value.flags.writeable:
            value.fill(0)
    assert outputs(name, model) == before


@of_role("detector")
def test_odd_rows_score_lower_and_the_threshold_is_a_score(name):
    model, rows, odd = fitted(name), rows_of(name), odd_rows_of(name)
    usual, unusual = model.score_samples(rows), model.score_samples(odd)
    assert usual.shape == (len(rows),)
    is_usual = np.repeat([1, 0], [len(usual), len(unusual)])
    assert roc_auc_score(is_usual, np.concatenate([usual, unusual])) > 0.9
    np.testing.assert_array_equal(model.decision_function(rows), usual - model.offset_)
    np.testing.assert_array_equal(model.predict(rows), np.where(usual < model.offset_, -1, 1))


@of_role("encoder")
def test_codes_are_small_finite_and_fit_a_pipeline(name):
    rows = rows_of(name)
    codes = fitted(name).transform(rows)
    assert codes.dtype == np.float32
    assert codes.shape[0] == len(rows)
    assert np.isfinite(codes).all()
    assert codes.std(axis=0).max() > 0
    np.testing.assert_array_equal(make_pipeline(build(name)).fit_transform(rows), codes)


@of_role("generator")
def test_made_rows_are_as_many_as_asked_for_repeatable_and_no_training_rows(name):
    model, rows = fitted(name), rows_of(name)
    made = model.sample(40, random_state=5)
    again, other = model.sample(40, random_state=5), model.sample(40, random_state=6)
    assert len(made) == len(again) == 40
    if isinstance(made, pl.DataFrame):
        assert made.equals(again)
        assert not made.equals(other)
        real = set(model.schema_.parse(rows).frame.rows())
        assert not real & set(made.rows())
        return
    np.testing.assert_array_equal(made, again)
    assert not np.array_equal(made, other)
    if name == "dcgan":
        rows = [image / 255 for image in rows]
    gaps = [np.abs(each[: len(row)] - row).max() for each in made for row in rows]
    assert min(gaps) > 1e-3


@of_role("generator")
@pytest.mark.parametrize("n", [0, 2.5, "three"])
def test_the_number_of_made_rows_is_a_whole_one(name, n):
    with pytest.raises(ParameterError, match=r"n=.* must be a whole number"):
        fitted(name).sample(n)
