from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from thinfile.baselines.forest import RandomForestOnSourceClassifier
from thinfile.errors import MissingPackageError
from thinfile.trees import tree_matrix


def fit(data: Any, **arguments: Any) -> RandomForestOnSourceClassifier:
    settings = {"n_trees": 8, "target_domain": "new", "random_state": 0, **arguments}
    return RandomForestOnSourceClassifier(**settings).fit(data.X, data.y, domain=data.domain)


def test_it_is_scikit_learns_forest_on_the_source(alike: Any) -> None:
    model = fit(alike, target_rate=None)
    x = tree_matrix(model.encoder_.transform(model.schema_.parse(alike.X).frame))
    source = ~alike.is_target
    plain = RandomForestClassifier(8, min_samples_leaf=10, random_state=0)
    plain.fit(x[source], alike.y[source])
    np.testing.assert_allclose(
        model.predict_proba(alike.X)[:, 1], plain.predict_proba(x)[:, 1], atol=1e-9
    )


def test_labels_of_the_target_do_not_reach_it(alike: Any) -> None:
    turned = np.where(alike.is_target & (alike.y >= 0), 1 - alike.y, alike.y)
    first = fit(alike, target_rate=None)
    second = RandomForestOnSourceClassifier(
        n_trees=8, target_domain="new", random_state=0, target_rate=None
    ).fit(alike.X, turned, domain=alike.domain)
    assert np.array_equal(first.predict_proba(alike.X), second.predict_proba(alike.X))


def test_a_saved_forest_scores_through_onnx_and_can_be_saved_again(alike: Any) -> None:
    model = fit(alike)
    again = RandomForestOnSourceClassifier().set_state(model.get_state())
    assert not hasattr(again, "forest_")
    np.testing.assert_allclose(
        again.predict_proba(alike.X), model.predict_proba(alike.X), atol=1e-6
    )
    assert again.get_state().files == model.get_state().files


def test_a_package_that_is_missing_is_named(alike: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fit(alike)
    state = model.get_state()
    for package in ("skl2onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingPackageError, match=r"saving a random forest needs .*'skl2onnx': pip"
    ):
        model.get_state()
    with pytest.raises(MissingPackageError, match=r"a saved random forest needs .*'onnxruntime'"):
        RandomForestOnSourceClassifier().set_state(state)
