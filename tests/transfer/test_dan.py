from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from thinfile.metrics.ranking import roc_auc
from thinfile.nn.divergence import mk_mmd
from thinfile.tabular.mlp import MLPClassifier
from thinfile.training.batches import Pair
from thinfile.transfer import dan
from thinfile.transfer.dan import DANClassifier
from thinfile.transfer.pairs import prior_weight

QUICK: dict[str, Any] = {
    "target_domain": "new",
    "widths": (16, 8),
    "max_epochs": 3,
    "batch_size": 64,
    "random_state": 0,
    "device": "cpu",
}


def test_the_term_brings_the_hidden_layers_together(conflicting):
    free, aligned = (
        _mmd(_fit(conflicting, mmd_weight=weight, max_epochs=20), conflicting)
        for weight in (0.0, 1.0)
    )
    assert aligned < 0.5 * free


def test_lambda_follows_the_ramp_over_the_run_or_over_fixed_steps(conflicting):
    model = _fit(conflicting, mmd_weight=0.5)
    n_steps = model.history_[-1]["step"]
    for record in model.history_:
        progress = (record["step"] - 1) / n_steps
        expected = 0.5 * (2 / (1 + math.exp(-10 * progress)) - 1)
        assert record["weight_mmd"] == pytest.approx(expected, rel=1e-6)
    fixed = _fit(conflicting, ramp_steps=1000)
    last = fixed.history_[-1]["step"] - 1
    expected = 2 / (1 + math.exp(-10 * last / 1000)) - 1
    assert fixed.history_[-1]["weight_mmd"] == pytest.approx(expected)


def test_all_layers_are_the_sum_over_layers(conflicting):
    last, both = (_fit(conflicting, layers=layers).history_[0]["mmd"] for layers in ("last", "all"))
    assert both > last


@pytest.mark.parametrize(("target_labels", "n_adapted"), [("loss", 300), ("validation", 200)])
def test_rows_that_choose_the_weights_are_not_adapted_to(
    conflicting, monkeypatch, target_labels, n_adapted
):
    seen = []

    def spy(*arguments, **options):
        batches = paired_batches(*arguments, **options)
        seen.append(batches.target.n_rows)
        return batches

    paired_batches = dan.paired_batches
    monkeypatch.setattr(dan, "paired_batches", spy)
    _fit(conflicting, target_labels=target_labels, max_epochs=1)
    assert seen == [n_adapted]


def test_labels_kept_for_validation_change_only_the_choice_of_weights(conflicting):
    """Losses are the same for other labels; what is measured on them is not."""
    flipped = conflicting.y.copy()
    labelled = conflicting.is_target & (flipped != -1)
    flipped[labelled] = 1 - flipped[labelled]
    arguments = {"target_labels": "validation", "match_prior": False}
    one = _fit(conflicting, **arguments).history_
    other = _fit(conflicting, y=flipped, **arguments).history_
    for a, b in zip(one, other, strict=False):
        assert (a["classification"], a["mmd"]) == (b["classification"], b["mmd"])
        assert a["validation_auc"] == pytest.approx(1 - b["validation_auc"])


def test_prior_matching_weights_the_source_where_the_rate_is_known(conflicting):
    hidden = conflicting.hide(0)
    arguments = {"target_labels": "loss", "match_prior": True}
    unknown = _fit(hidden, **arguments)
    known = _fit(hidden, target_rate=0.05, **arguments)
    without = _fit(hidden, target_rate=0.05, **(arguments | {"match_prior": False}))
    assert unknown.history_[0]["mmd"] == without.history_[0]["mmd"]
    assert known.history_[0]["mmd"] != without.history_[0]["mmd"]


# The published settings ---------------------------------------------------------------------


def test_reference_settings_are_the_published_ones() -> None:
    """Section 1 of the description of the systems, line by line."""
    given = DANClassifier.reference().get_params()
    assert tuple(given["widths"]) == (256, 64)
    assert given["activation"] == "sigmoid"
    assert given["dropout"] == 0.0
    assert given["norm"] is None
    assert given["weight_decay"] > 0
    assert given["ramp_steps"] == 1000
    assert given["mmd_weight"] == 1.0
    assert given["learning_rate"] == 0.005
    assert given["batch_size"] == 512
    assert given["max_epochs"] == 100
    assert given["n_kernels"] == 5
    assert given["width"] is None
    assert given["estimator"] == "biased"
    assert given["layers"] == "last"
    assert given["patience"] == 15
    assert given["target_labels"] == "validation"
    assert not given["match_prior"]
    assert given["target_rate"] is None
    assert DANClassifier.reference(max_epochs=2, random_state=1).max_epochs == 2


# The schedule and the terms -----------------------------------------------------------------


def test_the_total_is_the_sum_of_its_terms(alike: Any) -> None:
    model = _fit(alike, max_epochs=4, batch_size=4096)  # an epoch is one step
    for record in model.history_:
        expected = record["classification"] + record["weight_mmd"] * record["mmd"]
        assert record["total"] == pytest.approx(expected, abs=1e-6)
    weights = [record["weight_mmd"] for record in model.history_]
    assert weights == sorted(weights)
    assert weights[0] == 0.0


@pytest.mark.parametrize("layers", ["last", "all"])
def test_the_divergence_is_that_of_the_hidden_layers(alike: Any, layers: str) -> None:
    """One batch by hand: each population through the network on its own."""
    model = _fit(alike, layers=layers, match_prior=False, dropout=0.0)
    rng = torch.Generator().manual_seed(0)
    n, m = 40, 30

    def rows(count: int) -> dict[str, torch.Tensor]:
        codes = torch.zeros((count, 0), dtype=torch.int64)
        return {"numbers": torch.randn((count, 4), generator=rng), "codes": codes}

    source, target = rows(n), rows(m)
    source |= {
        "y": (torch.rand(n, generator=rng) < 0.3).float(),
        "weight": torch.ones(n),
        "is_target": torch.zeros(n, dtype=torch.bool),
    }
    with torch.no_grad():
        terms = model._terms(Pair(source, target))
        each = [model.network_.hidden(p["numbers"], p["codes"]) for p in (source, target)]
        chosen = slice(-1, None) if layers == "last" else slice(None)
        expected = sum(mk_mmd(a, b) for a, b in zip(each[0][chosen], each[1][chosen], strict=True))
        logit = model.network_(source["numbers"], source["codes"])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, source["y"])
    assert float(terms["mmd"]) == pytest.approx(float(expected), abs=1e-5)
    assert float(terms["classification"]) == pytest.approx(float(loss), abs=1e-5)


def test_target_rows_among_the_labelled_are_no_source(alike: Any) -> None:
    """A labelled target row is learned from, and does not stand for the source in the MMD."""
    model = _fit(alike, match_prior=False, dropout=0.0)
    n = 20
    batch = {
        "numbers": torch.randn((n, 4), generator=torch.Generator().manual_seed(1)),
        "codes": torch.zeros((n, 0), dtype=torch.int64),
        "y": torch.arange(n) % 2 * 1.0,
        "weight": torch.ones(n),
        "is_target": torch.arange(n) >= 10,
    }
    target = {name: batch[name] + 0 for name in ("numbers", "codes")}
    with torch.no_grad():
        found = model._terms(Pair(batch, target))["mmd"]
        layers = model.network_.hidden(batch["numbers"], batch["codes"])
        expected = sum(mk_mmd(layer[:10], layer) for layer in layers)
    assert float(found) == pytest.approx(float(expected), abs=1e-5)


def test_a_batch_without_source_rows_has_no_divergence(alike: Any) -> None:
    model = _fit(alike)
    batch = {
        "numbers": torch.zeros((4, 4)),
        "codes": torch.zeros((4, 0), dtype=torch.int64),
        "y": torch.tensor([0.0, 1.0, 0.0, 1.0]),
        "weight": torch.ones(4),
        "is_target": torch.tensor([True, True, True, False]),
    }
    terms = model._terms(Pair(batch, {n: batch[n] for n in ("numbers", "codes")}))
    assert float(terms["mmd"]) == 0.0
    assert float(terms["classification"].detach()) > 0


# Priors -------------------------------------------------------------------------------------


def test_weights_give_the_source_the_targets_base_rate() -> None:
    y = torch.tensor([1.0] * 20 + [0.0] * 80)
    weight = prior_weight(y, 0.2, 0.05)
    assert float((weight * y).sum() / weight.sum()) == pytest.approx(0.05)
    assert float(weight.mean()) == pytest.approx(1.0)


def test_priors_are_matched_where_they_are_known(alike: Any) -> None:
    rate = float(alike.y[~alike.is_target].mean())
    assert _fit(alike, target_rate=0.1)._rates == pytest.approx((rate, 0.1))
    assert _fit(alike, match_prior=False, target_rate=0.1)._rates is None
    assert _fit(alike.hide(0))._rates is None  # no label, no rate: nothing to match


# What adapting does -------------------------------------------------------------------------


def make_shifted(seed: int, rate: float = 0.5) -> Any:
    """Covariate shift with other base rates: `x0` tells the class; `x1` is moved in the target.

    In the source `x1` goes with the class too, so a plain network leans on it.
    """
    rng = np.random.default_rng(seed)
    n_source, n_target = 800, 600
    is_target = np.arange(n_source + n_target) >= n_source
    truth = (rng.random(len(is_target)) < np.where(is_target, rate, 0.5)).astype(int)
    X = rng.normal(size=(len(truth), 3))
    X[:, 0] += 1.6 * truth
    X[:, 1] += np.where(is_target, 3.0, 2.5 * truth)
    y = np.where(is_target, -1, truth)
    return X, y, np.where(is_target, "new", "old"), truth, is_target


def test_the_divergence_falls_while_it_is_weighted(conflicting: Any) -> None:
    """`x2` tells the populations apart; with λ the layers forget it, without they do not."""
    plain, adapted = (
        _fit(conflicting, mmd_weight=weight, max_epochs=30, dropout=0.0) for weight in (0.0, 3.0)
    )
    mmd = [record["mmd"] for record in adapted.history_]
    assert np.mean(mmd[-5:]) < 0.5 * np.max(mmd)
    assert np.mean(mmd[-5:]) < 0.5 * np.mean([r["mmd"] for r in plain.history_[-5:]])


def test_adapting_helps_under_covariate_shift() -> None:
    """The mean of three draws: a column that is moved in the target stops to mislead."""
    gains = []
    for seed in range(3):
        X, y, domain, truth, is_target = make_shifted(seed)
        settings = QUICK | {"max_epochs": 25, "patience": None, "random_state": seed}
        scores = [
            model.fit(X, y, domain=domain).predict_proba(X[is_target])[:, 1]
            for model in (
                MLPClassifier(**settings),
                DANClassifier(**settings, mmd_weight=3.0, target_rate=0.5),
            )
        ]
        plain, adapted = (roc_auc(truth[is_target], score) for score in scores)
        gains.append(adapted - plain)
    assert np.mean(gains) > 0.01


def test_without_a_weight_it_is_the_plain_network(alike: Any) -> None:
    """λ = 0 must leave the task as it is, adaptation or not: same AUC on the target's truth."""
    common = QUICK | {"max_epochs": 15, "patience": None}
    rows = alike.is_target & (alike.y < 0)
    scores = [
        model.fit(alike.X, alike.y, domain=alike.domain).predict_proba(alike.X[rows])[:, 1]
        for model in (MLPClassifier(**common), DANClassifier(**common, mmd_weight=0.0))
    ]
    plain, dan = (roc_auc(alike.truth[rows], score) for score in scores)
    assert dan == pytest.approx(plain, abs=0.03)


def test_without_a_target_it_says_so(alike: Any) -> None:
    keep = ~alike.is_target
    model = DANClassifier(**(QUICK | {"target_domain": None}))
    model.fit(alike.X[keep], alike.y[keep], domain=alike.domain[keep].astype(object))
    assert np.isfinite(model.predict_proba(alike.X)).all()


def test_labels_of_the_target_are_trained_on(alike: Any) -> None:
    turned = np.where(alike.is_target & (alike.y >= 0), 1 - alike.y, alike.y)
    first = DANClassifier(**QUICK).fit(alike.X, alike.y, domain=alike.domain)
    second = DANClassifier(**QUICK).fit(alike.X, turned, domain=alike.domain)
    assert any(
        not np.array_equal(value, second.get_weights()[name])
        for name, value in first.get_weights().items()
    )


def _fit(populations, y=None, **arguments):
    defaults = {
        "widths": (16, 8),
        "max_epochs": 6,
        "learning_rate": 0.01,
        "batch_size": 128,
        "patience": None,
        "validation_fraction": 0.0,
    }
    model = DANClassifier(
        target_domain="new", device="cpu", random_state=0, **(defaults | arguments)
    )
    y = populations.y if y is None else y
    return model.fit(populations.X, y, domain=populations.domain)


def _mmd(model, populations):
    encoded = model._encode(populations.X)
    with torch.no_grad():
        numbers, codes = torch.from_numpy(encoded.numbers), torch.from_numpy(encoded.codes).long()
        layers = model.network_.hidden(numbers, codes)
    is_target = torch.from_numpy(np.asarray(populations.is_target))
    return float(mk_mmd([h[~is_target] for h in layers], [h[is_target] for h in layers]))
