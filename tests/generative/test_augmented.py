from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.errors import ArtifactError, DataError, ParameterError
from thinfile.generative.augmented import AugmentedClassifier
from thinfile.metrics.ranking import roc_auc
from thinfile.tabular.mlp import MLPClassifier

RNG = np.random.default_rng(0)
N = 500
SIGNAL = RNG.normal(size=N)
TRUTH = (SIGNAL + 0.3 * RNG.normal(size=N) > 1.2).astype(int)
TABLE = pl.DataFrame(
    {
        "signal": SIGNAL,
        "other": RNG.normal(size=N),
        "shop": RNG.choice(["a", "b", "c"], N),
        "abroad": RNG.random(N) < 0.3,
        "gap": np.where(RNG.random(N) < 0.2, np.nan, SIGNAL + RNG.normal(size=N)),
    }
).with_columns(pl.col("gap").fill_nan(None))
Y = np.where(np.arange(N) < 200, TRUTH, -1)
FAST: dict[str, Any] = {
    "max_epochs": 3, "widths": (16,), "latent_size": 3, "n_trees": 20, "random_state": 0,
    "min_leaf_rows": 5,
}  # fmt: skip
WAYS: list[dict[str, Any]] = [
    {},
    {"draw": "class"},
    {"draw": "label", "codes": False},
    {"generator": "smote"},
    {"generator": None},
    {"generator": None, "codes": False},
    {"classifier": "logistic"},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_way_learns_and_comes_back_from_its_state(way: dict[str, Any]) -> None:
    model = AugmentedClassifier(**FAST, **way).fit(TABLE, Y)
    score = model.predict_proba(TABLE)[:, 1]
    assert roc_auc(TRUTH[200:], score[200:]) > 0.85
    assert (model.n_generated_ > 0) == (model.generator is not None)
    assert (model.vae_ is not None) == model.codes
    arguments = {**model.get_params(deep=False)}
    again = AugmentedClassifier(**arguments).set_state(model.get_state())
    np.testing.assert_array_equal(again.predict_proba(TABLE)[:, 1], score)


def test_gan_makes_frauds_too() -> None:
    from thinfile.generative import augmented

    before, augmented.GAN_STEPS = augmented.GAN_STEPS, 4
    try:
        model = AugmentedClassifier(**FAST, generator="gan", codes=False).fit(TABLE, Y)
    finally:
        augmented.GAN_STEPS = before
    assert model.n_generated_ > 0 or any("no frauds were generated" in n for n in model.notes_)


def test_as_many_frauds_as_asked_for() -> None:
    n_frauds, n_genuine = (Y == 1).sum(), (Y == 0).sum()
    for share in (0.0, 0.4, 1.0):
        model = AugmentedClassifier(**FAST, n_generated=share, generator="smote", codes=False)
        wanted = max(0, round(share * n_genuine) - n_frauds)
        assert model.fit(TABLE, Y).n_generated_ == wanted


def test_probabilities_are_not_raised_by_made_frauds() -> None:
    rates = [
        AugmentedClassifier(**FAST, codes=False, generator=way, n_generated=1.0)
        .fit(TABLE, Y)
        .predict_proba(TABLE)[:, 1]
        .mean()
        for way in (None, "smote")
    ]
    assert rates[1] == pytest.approx(rates[0], rel=0.5)


def test_an_estimator_of_thinfile_at_the_end() -> None:
    inner = MLPClassifier(max_epochs=3, widths=(8,), device="cpu")
    model = AugmentedClassifier(**FAST, classifier=inner).fit(TABLE, Y)
    assert not hasattr(inner, "network_")  # the one that was handed in is left alone
    again = AugmentedClassifier(**FAST).set_state(model.get_state())
    np.testing.assert_array_equal(again.predict_proba(TABLE), model.predict_proba(TABLE))
    assert all(isinstance(name, str) and value.dtype != object
               for name, value in model.get_state().arrays.items())  # fmt: skip


@pytest.mark.parametrize("path", ["os:system", "thinfile.errors:DataError", "thinfile.no:No"])
def test_a_saved_model_names_no_other_class(path: str) -> None:
    model = AugmentedClassifier(
        **FAST, generator=None, codes=False, classifier=MLPClassifier(max_epochs=1, device="cpu")
    ).fit(TABLE, Y)
    state = model.get_state()
    state.values["classifier"]["class"] = path
    with pytest.raises(ArtifactError, match="the inner classifier"):
        AugmentedClassifier(**FAST).set_state(state)


def test_rows_are_scored_alone_as_together_and_repeatably() -> None:
    model = AugmentedClassifier(**FAST).fit(TABLE, Y)
    together = model.predict_proba(TABLE.head(4))[:, 1]
    alone = [model.predict_proba(TABLE[i])[0, 1] for i in range(4)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    second = AugmentedClassifier(**FAST).fit(TABLE, Y)
    np.testing.assert_array_equal(second.predict_proba(TABLE), model.predict_proba(TABLE))


def test_unlabelled_rows_are_sampled_and_said_so() -> None:
    model = AugmentedClassifier(**FAST, max_unlabelled=50).fit(TABLE, Y)
    assert "the VAE saw a random 50 of 300 unlabelled rows" in model.notes_


@pytest.mark.parametrize("y", [TRUTH, np.where(np.cumsum(TRUTH) <= 2, TRUTH, 0)])
def test_without_unlabelled_rows_and_with_two_frauds(y: np.ndarray[Any, Any]) -> None:
    for draw in ("like", "class", "label"):
        model = AugmentedClassifier(**FAST, draw=draw).fit(TABLE, y)
        assert np.isfinite(model.predict_proba(TABLE)).all()


def test_messages() -> None:
    one = np.where(np.arange(N) == 3, 1, 0)
    with pytest.raises(DataError, match=r"y holds 1 labelled fraud.s., at least 2 are needed"):
        AugmentedClassifier(**FAST).fit(TABLE, one)
    with pytest.raises(DataError, match="one class only"):
        AugmentedClassifier(**FAST).fit(TABLE, np.zeros(N))
    with pytest.raises(ParameterError) as caught:
        AugmentedClassifier(generator="luck", n_generated=-1, classifier=7).fit(TABLE, Y)
    for name in ("generator='luck'", "n_generated=-1", "classifier=7"):
        assert name in str(caught.value)
