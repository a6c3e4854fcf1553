"""What every method promises about what it has fitted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import logit
from sklearn.exceptions import NotFittedError

from thinfile.errors import ArtifactError
from thinfile.estimator import State
from thinfile.methods import METHODS
from thinfile.metrics.calibration import Calibration

every_method = pytest.mark.parametrize("name", METHODS)
NETWORKS = [n for n, method in METHODS.items() if method.family in {"tabular", "transfer"}]
NETWORKS.remove("tradaboost")  # boosted trees
every_network = pytest.mark.parametrize("name", NETWORKS)


@every_method
def test_state_makes_the_same_model_again(name, rows, fitted, state_bytes):
    model = fitted(name)
    twin = type(model)(**model.get_params()).set_state(_through_files(model.get_state()))
    # The forest's file is ONNX, which adds its trees up in float32.
    tolerance = 1e-6 if name == "forest_source" else 0.0
    np.testing.assert_allclose(
        twin.predict_proba(rows.X), model.predict_proba(rows.X), rtol=0, atol=tolerance
    )
    assert state_bytes(twin) == state_bytes(model)


@every_method
def test_state_is_made_of_parts_that_need_no_pickle(name, fitted):
    state = fitted(name).get_state()
    assert all(isinstance(value, bytes) for value in state.files.values())
    assert all(value.dtype.kind in "fiub" for value in state.arrays.values())


@every_method
def test_history_and_notes_can_be_written_as_json(name, fitted):
    model = fitted(name)
    assert json.loads(json.dumps(model.history_, allow_nan=False)) == model.history_
    assert json.loads(json.dumps(model.notes_)) == model.notes_


@every_method
def test_nothing_works_before_fit(name, rows, build):
    with pytest.raises(NotFittedError):
        build(name).predict_proba(rows.X)
    with pytest.raises(NotFittedError):
        build(name).get_state()


@every_method
def test_recalibration_is_put_behind_what_is_there(name, rows, build):
    model = rows.fit(build(name, target_rate=0.2))
    before = model.predict_proba(rows.X)[:, 1]
    after = model.recalibrate(Calibration(0.5, -1.0)).predict_proba(rows.X)[:, 1]
    np.testing.assert_allclose(logit(after), 0.5 * logit(before) - 1.0, atol=1e-6)


@every_network
def test_weights_can_be_taken_out_and_put_in(name, rows, fitted, build):
    model = fitted(name)
    other = rows.fit(build(name, random_state=1))
    assert not np.array_equal(other.predict_proba(rows.X), model.predict_proba(rows.X))
    other.set_weights(model.get_weights())
    other.calibration_ = model.calibration_
    np.testing.assert_array_equal(other.predict_proba(rows.X), model.predict_proba(rows.X))


@every_network
def test_weights_taken_out_are_copies(name, rows, fitted):
    model = fitted(name)
    before = model.predict_proba(rows.X)
    for value in model.get_weights().values():
        value.fill(0)
    np.testing.assert_array_equal(model.predict_proba(rows.X), before)


@every_network
def test_weights_of_another_network_are_refused_with_all_differences(name, fitted, rows):
    model = fitted(name)
    before = model.predict_proba(rows.X)
    weights = model.get_weights()
    first, second = list(weights)[:2]
    weights["elsewhere"] = weights.pop(first)
    weights[second] = np.zeros((3, 1, 2))
    with pytest.raises(ArtifactError) as caught:
        model.set_weights(weights)
    assert all(name in str(caught.value) for name in (first, "elsewhere", second, "(3, 1, 2)"))
    np.testing.assert_array_equal(model.predict_proba(rows.X), before)


@every_network
def test_history_has_the_losses_and_the_checks(name, fitted):
    for record in fitted(name).history_:
        assert {"epoch", "step", "seconds", "classification", "total"} <= set(record)
    epochs = [record["epoch"] for record in fitted(name).history_]
    assert epochs == sorted(epochs)


def _through_files(state: State) -> State:
    """As it comes back from a folder."""
    return State(
        json.loads(json.dumps(state.values)),
        {name: value.copy() for name, value in state.arrays.items()},
        dict(state.files),
    )
