"""Models of histories as folders."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.artifact.folder import load, save
from thinfile.artifact.manifest import read_manifest
from thinfile.artifact.quick import quick
from thinfile.data.encode import Encoded
from thinfile.errors import DataError
from thinfile.sequence.cnn_lstm import CNNLSTMClassifier
from thinfile.sequence.embedded import EmbeddedClassifier

SMALL: dict[str, Any] = {
    "n_filters": 8,
    "hidden_width": 12,
    "pretrain_epochs": 1,
    "time_column": "cut",
    "device": "cpu",
    "random_state": 0,
}
MODELS = {
    "network": lambda: CNNLSTMClassifier(max_epochs=1, **SMALL),
    "pretrained": lambda: CNNLSTMClassifier(max_epochs=1, pretrain="next_event", **SMALL),
    "trees": lambda: EmbeddedClassifier(n_trees=5, **SMALL),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_folder_gives_the_same_scores(name, customers, tmp_path):
    model = MODELS[name]().fit(customers.X, customers.y)
    folder = save(model, tmp_path / "model", reference=customers.X)
    expected = model.predict_proba(customers.X)
    for read in (load(folder), quick(load(folder))):
        np.testing.assert_array_equal(read.predict_proba(customers.X), expected)
    kind = type(model).__name__
    assert read_manifest(folder)["onnx"] == {"reason": f"{kind} has no ONNX export"}


@pytest.mark.parametrize("name", ["network", "trees"])
def test_encoded_static_columns_need_histories_only_where_there_were_some(name, customers):
    model = MODELS[name]().fit(customers.X, customers.y)
    encoded = model._encode(customers.X)
    with pytest.raises(DataError, match=r"fitted on histories: list columns 'events.days_to_cut'"):
        model._probability(Encoded(encoded.numbers, encoded.codes))
    lists = [name for name, kind in customers.X.schema.items() if isinstance(kind, pl.List)]
    static = MODELS[name]().fit(customers.X.drop(lists), customers.y)
    encoded = static._encode(customers.X.drop(lists))
    np.testing.assert_array_equal(
        static._probability(Encoded(encoded.numbers, encoded.codes)), static._probability(encoded)
    )
