from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from thinfile.metrics.ranking import ks, roc_auc
from thinfile.tabular.mlp import MLPClassifier

RNG = np.random.default_rng(0)
X = RNG.normal(size=(500, 3))
TRUTH = ((X[:, 0] * X[:, 1] > 0) ^ (RNG.random(500) < 0.05)).astype(int)
DOMAIN = np.repeat(["old", "new"], [300, 200])
Y = np.where(np.arange(500) < 400, TRUTH, -1)


def build(**arguments: Any) -> MLPClassifier:
    settings: dict[str, Any] = {
        "target_domain": "new",
        "widths": (16, 8),
        "max_epochs": 2,
        "batch_size": 64,
        "random_state": 0,
        "device": "cpu",
        **arguments,
    }
    return MLPClassifier(**settings)


def fit(**arguments: Any) -> MLPClassifier:
    return build(**arguments).fit(X, Y, domain=DOMAIN)


def test_it_learns_what_a_line_cannot() -> None:
    model = fit(max_epochs=60, learning_rate=0.01, patience=None)
    assert roc_auc(TRUTH[400:], model.predict_proba(X[400:])[:, 1]) > 0.85


def test_scores_are_the_sigmoid_of_the_network() -> None:
    """Layer by layer, with numpy alone."""
    model = fit(target_rate=None)
    weights = model.get_weights()
    layer = model.encoder_.transform(model.schema_.parse(model._read_table(X, fitting=False)).frame)
    value = layer.numbers.astype(np.float64)
    hidden = sorted(
        name[:-7] for name in weights if name.startswith("body") and name.endswith(".weight")
    )
    for name in hidden:
        value = np.maximum(value @ weights[f"{name}.weight"].T + weights[f"{name}.bias"], 0)
    logit = value @ weights["head.weight"][0] + weights["head.bias"][0]
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-logit)), atol=1e-5)


def test_history_has_a_record_per_epoch() -> None:
    model = fit(max_epochs=3, patience=None)
    assert [record["epoch"] for record in model.history_] == [1, 2, 3]
    for record in model.history_:
        assert record["total"] == pytest.approx(record["classification"])
        assert 0 <= record["validation_auc"] <= 1
        assert 0 <= record["validation_ks"] <= 1


def test_the_best_check_is_kept() -> None:
    model = fit(max_epochs=12, learning_rate=0.05, patience=None)
    training, validation = model._split(model._read(X, Y, DOMAIN), np.random.default_rng(0))
    assert model.n_validation_ == len(validation)
    assert not set(training) & set(validation)
    score = model.predict_proba(X[validation])[:, 1]
    weight = model._row_weight(model._read(X, Y, DOMAIN))[validation]
    best = max(record["validation_auc"] for record in model.history_)
    assert roc_auc(Y[validation], score, weight=weight) == pytest.approx(best, abs=1e-6)
    kept = next(r for r in model.history_ if r["validation_auc"] == best)
    assert ks(Y[validation], score, weight=weight) == pytest.approx(kept["validation_ks"], abs=1e-6)


def test_validation_holds_every_class_and_population() -> None:
    model = build(validation_fraction=0.3)
    model.notes_ = []
    data = model._read(X, Y, DOMAIN)
    training, validation = model._split(data, np.random.default_rng(1))
    assert sorted([*training, *validation]) == list(range(400))
    for is_target in (False, True):
        for value in (0, 1):
            stratum = (data.y == value) & (data.is_target == is_target)
            assert stratum[validation].sum() == int(stratum.sum() * 0.3)


def test_too_few_events_are_not_split() -> None:
    y = np.where(np.arange(500) < 400, (np.arange(500) < 20) * 1, -1)
    model = build(max_epochs=2).fit(X, y, domain=DOMAIN)
    assert model.n_validation_ == 0
    assert len(model.history_) == 2
    assert "validation_auc" not in model.history_[0]


def test_patience_ends_the_run() -> None:
    assert len(fit(max_epochs=200, learning_rate=0.05, patience=2).history_) < 60


def test_labelled_rows_only_are_trained_on() -> None:
    """Unlabelled rows reach the encoder and nothing else."""
    scaled = {"target_rate": None, "validation_fraction": 0.0}
    first = build(**scaled).fit(X, Y, domain=DOMAIN)
    other = X.copy()
    other[400:] = RNG.permutation(other[400:])
    second = build(**scaled).fit(other, Y, domain=DOMAIN)
    for name, value in first.get_weights().items():
        assert np.array_equal(value, second.get_weights()[name])


def test_the_target_weighs_what_it_is_told_to() -> None:
    data = build()
    data.notes_ = []
    read = data._read(X, Y, DOMAIN)
    assert build(target_weight=3.0)._row_weight(read)[300:400].tolist() == [3.0] * 100
    assert build()._row_weight(read)[300] == pytest.approx((300 / 100) ** 0.5)


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("activation", ["sigmoid", "silu"])
def test_other_layers_train_and_score_one_row_as_many(norm: str, activation: str) -> None:
    model = fit(norm=norm, activation=activation, dropout=0.3)
    together = model.predict_proba(X[:4])[:, 1]
    alone = [model.predict_proba(X[row : row + 1])[0, 1] for row in range(4)]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_threads_are_left_as_they_were() -> None:
    before = torch.get_num_threads()
    fit(max_epochs=1).predict_proba(X[:1])
    assert torch.get_num_threads() == before
