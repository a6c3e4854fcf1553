"""SGANClassifier: what it learns, what it refuses, and that it ends where it was best."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from thinfile.errors import ArtifactError, DataError, ParameterError
from thinfile.generative.sgan import SGANClassifier
from thinfile.metrics.ranking import average_precision, roc_auc
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

RNG = np.random.default_rng(0)
N = 600
X = RNG.normal(size=(N, 4))
TRUTH = (X[:, 0] + 0.5 * X[:, 1] > 0).astype(int)
Y = np.where(np.arange(N) < 120, TRUTH, -1)
RARE = (X[:, 0] > 1.3).astype(int)
RARE_Y = np.where(np.arange(N) < 300, RARE, -1)


def build(**arguments: Any) -> SGANClassifier:
    settings: dict[str, Any] = {
        "max_steps": 60,
        "check_every": 30,
        "batch_size": 32,
        "learning_rate": 0.01,
        "random_state": 0,
        "device": "cpu",
    }
    return SGANClassifier(**(settings | arguments))


def test_it_learns_from_a_few_labels() -> None:
    model = build().fit(X, Y)
    assert roc_auc(TRUTH[120:], model.predict_proba(X[120:])[:, 1]) > 0.93


def test_a_rare_class_keeps_its_rate() -> None:
    """Training is balanced and calls unlabelled rows genuine; probabilities are not."""
    model = build(max_steps=150).fit(X, RARE_Y)
    probability = model.predict_proba(X[300:])[:, 1]
    assert average_precision(RARE[300:], probability) > 0.8
    assert probability.mean() == pytest.approx(RARE_Y[:300].mean(), abs=0.06)


def test_it_ends_with_the_best_cross_validated_step() -> None:
    model = build(max_steps=90).fit(X, RARE_Y)
    checks = {record["step"]: record["validation_ap"] for record in model.history_}
    assert sorted(checks) == [30, 60, 90]
    assert checks[model.best_step_] == max(checks.values())


def test_validation_is_by_members_that_have_not_seen_the_row() -> None:
    """Each labelled row is drawn for all members but its own."""
    model = build(n_members=3).fit(X, Y)
    from thinfile.generative.sgan_draws import ClassTable

    y = TRUTH[:120].astype(np.int8)
    table = ClassTable(y, 2, model._fold, 3)
    for member in range(3):
        drawn = table.draw(200, 16)[:, member]
        assert set(np.unique(model._fold[drawn.numpy()])) == {0, 1, 2} - {member}
    unseen = model._logits(model._to_tensor(model._encode(X[:120])))
    score = np.array([unseen[f, i, 1] - unseen[f, i, 0] for i, f in enumerate(model._fold)])
    kept = max(record["validation_ap"] for record in model.history_)
    assert average_precision(y, score) == pytest.approx(kept, abs=1e-6)


def test_scores_are_the_mean_of_the_members() -> None:
    """By numpy, layer by layer and member by member."""
    model = build(n_members=2, norm=None).fit(X, Y)
    weights = model.get_weights()
    rows = model._encode(X[:7]).numbers.astype(np.float64)
    logits = []
    for member in range(2):
        value = rows
        for layer in range(2):
            name = f"body.layers.{layer}"
            value = value @ weights[f"{name}.weight"][member] + weights[f"{name}.bias"][member]
            value = np.where(value > 0, value, 0.2 * value)
        logits.append(value @ weights["head.weight"][member] + weights["head.bias"][member])
    mean = np.mean(logits, axis=0) + model._log_prior
    expected = 1 / (1 + np.exp(mean[:, 0] - mean[:, 1]))
    np.testing.assert_allclose(model.predict_proba(X[:7])[:, 1], expected, atol=1e-5)


class Followed(SGANClassifier):
    """Notes the average precision on rows that the fit does not have."""

    def _check(self, rows: Any, y: Any) -> dict[str, float]:
        record = super()._check(rows, y)
        logits = self._logits(self._to_tensor(self._encode(X[300:]))).mean(axis=0)
        return {**record, "later_ap": average_precision(RARE[300:], logits[:, 1] - logits[:, 0])}


@pytest.mark.parametrize("seed", range(3))
def test_it_ends_within_002_of_its_own_best_on_later_rows(seed: int) -> None:
    model = Followed(max_steps=150, random_state=seed, device="cpu").fit(X[:300], RARE_Y[:300])
    curve = [record["later_ap"] for record in model.history_]
    end = average_precision(RARE[300:], model.predict_proba(X[300:])[:, 1])
    assert end > max(curve) - 0.02


def test_unlabelled_rows_are_used_and_can_be_left_out() -> None:
    used = build().fit(X, RARE_Y)
    assert used.n_unlabelled_ == 300
    moved = X.copy()
    moved[300:] = RNG.permutation(moved[300:]) + 1.0
    assert not np.array_equal(
        used.get_weights()["head.weight"], build().fit(moved, RARE_Y).get_weights()["head.weight"]
    )
    some = build(max_unlabelled=50).fit(X, RARE_Y)
    assert some.n_unlabelled_ == 50
    without = build().fit(X[:300], RARE[:300])
    assert without.n_unlabelled_ == 0
    assert np.isfinite(without.predict_proba(X)).all()


def test_three_classes() -> None:
    truth = np.digitize(X[:, 0], [-0.5, 0.5])
    model = build(max_steps=100).fit(X, np.where(np.arange(N) < 120, truth, -1))
    assert model.classes_.tolist() == [0, 1, 2]
    probability = model.predict_proba(X)
    assert probability.shape == (N, 3)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=1e-9)
    assert (model.predict(X[120:]) == truth[120:]).mean() > 0.8


def test_mixed_columns_with_gaps() -> None:
    table = pl.DataFrame(
        {
            "amount": [None if i % 9 == 0 else float(v) for i, v in enumerate(X[:, 1])],
            "shop": np.where(TRUTH == 1, "web", RNG.choice(["web", "store", "phone"], N)),
            "night": X[:, 2] > 0,
        }
    )
    model = build().fit(table, Y)
    assert roc_auc(TRUTH[120:], model.predict_proba(table[120:])[:, 1]) > 0.7
    assert np.isfinite(model.predict_proba(table[:1])).all()


def images(n: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Bright halves: left, right."""
    y = np.arange(n) % 2
    pixels = np.random.default_rng(1).integers(0, 60, (n, 9, 10))
    pixels[y == 0, :, :5] += 150
    pixels[y == 1, :, 5:] += 150
    return pixels.astype(np.uint8), y


def test_images_of_odd_sizes() -> None:
    pixels, y = images(80)
    model = build(max_steps=30).fit(pixels, np.where(np.arange(80) < 20, y, -1))
    assert (model.predict(pixels) == y).mean() > 0.95
    assert model.best_step_ is None
    flat = build(max_steps=3, image_shape=(9, 10)).fit(pixels.reshape(80, -1), y)
    assert flat.predict_proba(pixels.reshape(80, -1)).shape == (80, 2)


@pytest.mark.parametrize("norm", ["spectral", "batch"])
def test_images_with_other_norms_survive_saving(norm: str) -> None:
    pixels, y = images(40)
    model = build(max_steps=3, norm=norm, n_members=4).fit(pixels, y)
    assert "n_members=4: images have one member only" in model.notes_
    again = SGANClassifier(**model.get_params()).set_state(model.get_state())
    np.testing.assert_array_equal(again.predict_proba(pixels), model.predict_proba(pixels))


def test_state_and_weights_go_round() -> None:
    model = build().fit(X, Y)
    again = build().set_state(model.get_state())
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    other = build(random_state=1).fit(X, Y).set_weights(model.get_weights())
    np.testing.assert_array_equal(
        other.get_weights()["head.bias"], model.get_weights()["head.bias"]
    )
    with pytest.raises(ArtifactError, match=r"head\.bias"):
        other.set_weights({k: v for k, v in model.get_weights().items() if k != "head.bias"})


def test_it_is_repeatable_and_leaves_the_world_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state().clone()
    first, second = (build().fit(X, Y).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    assert not np.array_equal(first, build(random_state=1).fit(X, Y).predict_proba(X))


def test_the_reference_is_the_printed_recipe() -> None:
    model = SGANClassifier.reference(max_steps=4, random_state=0, device="cpu").fit(X, Y)
    shapes = {k: v.shape for k, v in model.get_weights().items() if v.ndim == 3}
    assert shapes["body.layers.0.weight"] == (1, 4, 31)
    assert shapes["body.layers.1.weight"] == (1, 31, 16)
    assert shapes["head.weight"] == (1, 16, 2 + 1 + 1)  # two classes, "made", real or made
    assert model.n_unlabelled_ == 0
    assert model.history_[-1]["step"] == 4
    assert {"class", "real", "made", "made_class", "generator"} <= set(model.history_[-1])
    assert "common" not in model.history_[-1]


def test_every_fault_of_the_reference_can_be_undone_alone() -> None:
    for change in (
        {"class_loss": "mean"},
        {"scaling": "minmax"},
        {"max_unlabelled": 100},
        {"feature_matching": True},
        {"separate_batches": False},
        {"norm": "spectral"},
        {"average": 0.99},
        {"two_heads": False},
    ):
        model = SGANClassifier.reference(max_steps=2, random_state=0, **change).fit(X, Y)
        assert np.isfinite(model.predict_proba(X)).all(), change


# Bad input ------------------------------------------------------------------------------------


def test_one_class_only() -> None:
    with pytest.raises(DataError, match="one class only"):
        build().fit(X, np.where(np.arange(N) < 120, 0, -1))


def test_fewer_than_two_labelled_frauds() -> None:
    y = np.where(np.arange(N) < 120, 0, -1)
    y[0] = 1
    with pytest.raises(DataError, match="class 1 has 1 labelled row: at least 2 of each class"):
        build().fit(X, y)


def test_two_labelled_frauds_are_enough_and_the_last_step_is_kept() -> None:
    y = np.where(np.arange(N) < 120, 0, -1)
    y[np.flatnonzero(RARE[:120])[:2]] = 1
    model = build().fit(X, y)
    assert model.best_step_ is None
    assert "2 labelled rows of the rarest class are too few to choose a step by" in model.notes_[0]
    assert roc_auc(RARE[120:], model.predict_proba(X[120:])[:, 1]) > 0.8


def test_a_batch_larger_than_the_labels_is_said() -> None:
    model = build(batch_size=512, max_steps=2).fit(X, Y)
    assert model.notes_ == [
        "batch_size=512: half a batch is larger than the 120 labelled rows, which are drawn "
        "several times each"
    ]


def test_a_batch_larger_than_the_table_is_capped_and_said() -> None:
    model = build(batch_size=100_000, max_steps=2).fit(X, Y)
    assert model._n_drawn == N
    assert model.notes_[0] == (
        "batch_size=100000 is more than the 600 training rows: each batch has 600"
    )
    same = build(batch_size=N, max_steps=2).fit(X, Y)
    assert np.array_equal(model.predict_proba(X), same.predict_proba(X))
    assert len(same.notes_) == 1  # only that half a batch is larger than the labels


def test_infinity_and_gaps() -> None:
    wrong = X.copy()
    wrong[3, 1] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        build().fit(wrong, Y)
    wrong[3, 1] = np.nan
    assert np.isfinite(build(max_steps=2).fit(wrong, Y).predict_proba(wrong)).all()


def test_a_constant_column_is_left_out_and_said() -> None:
    model = build(max_steps=2).fit(np.column_stack([X, np.ones(N)]), Y)
    assert any("in every training row" in note for note in model.notes_)


def test_only_constant_columns() -> None:
    with pytest.raises(DataError, match="no column varies"):
        build().fit(np.ones((N, 2)), Y)


def test_images_of_different_sizes() -> None:
    with pytest.raises(DataError, match=r"images of different sizes: 4 × 4 .* 5 × 4"):
        build().fit([np.zeros((4, 4)), np.zeros((5, 4))], [0, 1])


def test_a_column_of_free_text_is_left_out_and_said() -> None:
    words = [f"called on day {i} about case {i * 7} and left" for i in range(N)]
    table = pl.DataFrame({"amount": X[:, 0], "remark": words})
    schema = Schema((Column("amount", "number"), Column("remark", "category")))
    model = build(max_steps=3, schema=schema).fit(table, Y)
    assert any("'remark'" in note for note in model.notes_), model.notes_


def test_all_faults_of_the_arguments_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        build(widths=(), norm="layer", dropout=1.0, average=1.0, keep="first").fit(X, Y)
    for fault in ("norm='layer'", "dropout=1.0", "average=1.0", "keep='first'"):
        assert fault in str(caught.value)


def test_generators_of_images_have_two_widths() -> None:
    pixels, y = images(20)
    with pytest.raises(ParameterError, match=r"generator_widths=\(8,\) must be two numbers"):
        build(generator_widths=(8,)).fit(pixels, y)


def test_a_loss_that_is_not_finite_stops_with_step_and_rate() -> None:
    from thinfile.errors import TrainingError

    with pytest.raises(TrainingError, match=r"step .*learning rate"):
        build(learning_rate=1e30, decay=False, norm=None, max_steps=200).fit(X * 1e3, Y)
