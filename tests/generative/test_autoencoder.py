"""The autoencoder: known answers, mixed tables, images, robust training, thresholds, messages."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from thinfile.data.encode import Encoded
from thinfile.errors import ArtifactError, DataError, ParameterError, TrainingError
from thinfile.generative.autoencoder import Autoencoder
from thinfile.generative.autoencoder_network import AutoencoderNetwork, Layout, column_errors
from thinfile.generative.autoencoder_training import Corruption, trimmed_mean
from thinfile.generative.column_errors import as_text, raw_column_errors, row_errors, usual_errors
from thinfile.schema.column import Column
from thinfile.schema.model import Schema
from thinfile.table_model import State

PLAIN = {"masking": 0.0, "noise": 0.0, "trim": 0.0}


def flat(n: int, seed: int = 0, n_columns: int = 6) -> np.ndarray:
    """Rows that lie close to a plane of two dimensions."""
    rng = np.random.default_rng(seed)
    plane = np.random.default_rng(9).normal(size=(2, n_columns))
    return rng.normal(size=(n, 2)) @ plane + 0.05 * rng.normal(size=(n, n_columns))


def mixed(n: int, seed: int = 0) -> pl.DataFrame:
    """Everything but `free` and `kind` follows from `size`."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    gap = pl.Series(rng.random(n) < 0.2)
    return pl.DataFrame(
        {
            "size": size.round(3),
            "twice": (2 * size).round(2),
            "band": np.where(size > 0, "high", "low"),
            "big": size > 0.5,
            "kind": rng.choice(["a", "b"], n),
            "free": rng.normal(size=n),
            "same": ["EUR"] * n,
        }
    ).with_columns(free=pl.when(~gap).then("free"))


SCHEMA = Schema(
    (
        Column("size", "number"),
        Column("twice", "number"),
        Column("band", "category"),
        Column("big", "boolean"),
        Column("kind", "category"),
        Column("free", "number"),
        Column("same", "category"),
    )
)


@pytest.fixture(scope="module")
def on_plane() -> Autoencoder:
    return Autoencoder(
        latent_size=2,
        widths=(),
        scaling="standard",
        max_epochs=60,
        learning_rate=0.02,
        random_state=0,
        **PLAIN,
    ).fit(flat(800))


@pytest.fixture(scope="module")
def on_mixed() -> Autoencoder:
    return Autoencoder(
        latent_size=4, max_epochs=40, learning_rate=5e-3, schema=SCHEMA, random_state=0, **PLAIN
    ).fit(mixed(800))


# Known answers --------------------------------------------------------------------------------


def test_a_linear_autoencoder_comes_close_to_principal_components(on_plane):
    X = flat(800)
    z = (X - X.mean(0)) / X.std(0)
    pca = PCA(2).fit(z)
    best = np.square(z - pca.inverse_transform(pca.transform(z))).mean()
    own = on_plane.column_errors(X, standardised=False).to_numpy().mean()
    assert best <= own < best + 0.01


def test_rows_off_the_plane_are_found_and_the_column_is_named(on_plane):
    X = flat(300, seed=1)
    y = np.arange(300) < 30
    X[y, 4] += 2.5
    assert roc_auc_score(y, -on_plane.score_samples(X)) > 0.98
    named = on_plane.explain(X[y], 1)
    assert (named["column"] == "x4").mean() > 0.9


def test_column_errors_are_those_of_a_loop(on_plane):
    encoded = on_plane._encode(flat(20, seed=2))
    wanted = []
    for row in encoded.numbers:
        x = torch.from_numpy(row)[None]
        with torch.no_grad():
            back, _ = on_plane.network_(x, torch.empty(1, 0, dtype=torch.int64))
        wanted.append(((back - x) ** 2)[0].numpy())
    got = column_errors(on_plane.network_, encoded, "squared")
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


def test_the_scores_sum_up_column_errors(on_plane):
    X = flat(50, seed=3)
    plain = on_plane.column_errors(X, standardised=False).to_numpy()
    units = on_plane.column_errors(X).to_numpy()
    wanted = {
        "mean": plain.mean(1),
        "standardised": units.mean(1),
        "largest": np.sort(units, 1)[:, -3:].mean(1),
    }
    for score, values in wanted.items():
        model = clone(on_plane)
        model.set_state(on_plane.get_state())
        model.row_error = score
        np.testing.assert_allclose(-model.score_samples(X), values, rtol=1e-9)


def test_training_rows_have_a_usual_error_of_one(on_plane):
    held = Autoencoder(latent_size=2, max_epochs=2, validation_fraction=0.0, random_state=0)
    X = flat(200)
    units = held.fit(X).column_errors(X).to_numpy()
    np.testing.assert_allclose(units.mean(0), 1.0, rtol=1e-6)


# Presets --------------------------------------------------------------------------------------


def shapes_of(model: Autoencoder) -> list[tuple[int, ...]]:
    return sorted(
        (tuple(p.shape) for p in model.network_.parameters()), key=lambda s: (s[0], len(s))
    )


def test_the_digits_preset_is_784_32_784():
    rng = np.random.default_rng(0)
    images = (rng.random((40, 28, 28)) * 255).astype(np.uint8)
    model = Autoencoder.reference("digits", max_epochs=1, random_state=0).fit(images)
    assert shapes_of(model) == [(32,), (32, 784), (784,), (784, 32)]
    assert (model.loss, model.batch_size, model.get_params()["max_epochs"]) == ("bce", 256, 1)
    assert Autoencoder.reference("digits").max_epochs == 50
    assert float(model.transform(images).min()) >= 0  # ReLU
    assert model.reconstruct(images).shape == (40, 28, 28)


def test_the_cards_preset_is_29_12_29():
    X = flat(400, n_columns=29)
    model = Autoencoder.reference("cards", max_epochs=1, random_state=0).fit(X)
    assert shapes_of(model) == [(12,), (12, 29), (29,), (29, 12)]
    assert np.abs(model.transform(X)).max() <= 1  # tanh
    numbers = model._encode(X).numbers
    assert (numbers.min(), numbers.max()) == (0.0, 1.0)
    assert model.n_validation_ == 40
    assert Autoencoder.reference("cards").max_epochs == 20
    with pytest.raises(ParameterError, match="name='faces' must be 'digits' or 'cards'"):
        Autoencoder.reference("faces")


# Mixed tables ---------------------------------------------------------------------------------


def test_a_mixed_table_comes_back_typed_and_mostly_right(on_mixed):
    table = mixed(300, seed=4)
    back = on_mixed.reconstruct(table)
    assert isinstance(back, pl.DataFrame)
    assert back.columns == SCHEMA.features
    assert (back["band"] == table["band"]).mean() > 0.9
    assert (back["same"] == "EUR").all()
    assert np.corrcoef(back["twice"], table["twice"])[0, 1] > 0.9
    assert (back["twice"].round(2) == back["twice"]).all()
    assert on_mixed.transform(table).shape == (300, 4)
    assert any("column 'same'" in note for note in on_mixed.notes_)


def test_what_contradicts_itself_is_named(on_mixed):
    row = {"size": 1.5, "twice": 3.0, "band": "low", "big": True, "kind": "a"}
    odd = pl.DataFrame({**row, "free": None, "same": "EUR"}).cast({"free": pl.Float64})
    told = on_mixed.explain(odd, 2)
    assert told["column"][0] == "band"
    assert (told["value"][0], told["expected"][0]) == ("low", "high")
    assert told["rank"].to_list() == [1, 2]
    assert told["error"][0] > 3
    errors = on_mixed.column_errors(odd)
    assert errors.columns == SCHEMA.features
    assert errors["same"][0] == 0
    assert told["share"][0] == pytest.approx(errors["band"][0] / errors.to_numpy().sum())


def test_unseen_values_and_gaps_are_scored(on_mixed):
    odd = mixed(3).with_columns(band=pl.lit("never seen"), size=pl.lit(None, pl.Float64))
    assert np.isfinite(on_mixed.score_samples(odd)).all()


def test_free_text_is_left_out_and_named():
    table = mixed(300).with_columns(letter=pl.Series([f"Dear Sir {i}" for i in range(300)]))
    schema = SCHEMA.with_column(Column("letter", "category"))
    model = Autoencoder(max_epochs=1, schema=schema, random_state=0).fit(table)
    assert any("'letter'" in note and "free text" in note for note in model.notes_)
    assert model.reconstruct(table)["letter"].null_count() == 300


def test_errors_of_a_number_and_its_gaps_are_one_raw_column():
    errors = np.array([[1.0, 2.0, 4.0]])
    frame = raw_column_errors(errors, ["a", "a", "b"], ["b", "a", "c"])
    assert frame.row(0, named=True) == {"b": 4.0, "a": 3.0, "c": 0.0}


def test_a_column_that_always_comes_back_whole_does_not_drown_the_others():
    errors = np.array([[1.0, 0.0, 2.0], [3.0, 0.0, 2.0]])
    usual = usual_errors(errors)
    assert usual.tolist() == [2.0, 2e-3, 2.0]
    assert row_errors(errors, usual, "largest").tolist() == [0.5, (1.5 + 0 + 1) / 3]


def test_cells_as_text():
    from datetime import datetime

    cells = [None, 1234.5678, True, "x", datetime(2020, 1, 2), datetime(2020, 1, 2, 3)]
    assert [as_text(cell) for cell in cells] == [
        "missing",
        "1234.57",
        "True",
        "x",
        "2020-01-02",
        "2020-01-02 03:00:00",
    ]


# Images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("squash", ["sigmoid", "tanh"])
def test_convolutional_bodies_take_images(channels, squash):
    rng = np.random.default_rng(0)
    shape = (30, 10, 8) if channels == 1 else (30, 10, 8, 3)
    images = (rng.random(shape) * 255).astype(np.uint8)
    model = Autoencoder(
        latent_size=5, filters=(4, 6), squash=squash, max_epochs=2, random_state=0
    ).fit(images)
    back = model.reconstruct(images)
    assert back.shape == images.shape
    assert 0 <= back.min() <= back.max() <= 1
    assert model.transform(images).shape == (30, 5)
    again = Autoencoder(latent_size=5, filters=(4, 6), squash=squash).set_state(model.get_state())
    assert np.array_equal(again.score_samples(images), model.score_samples(images))
    with pytest.raises(DataError, match="explain is for tables"):
        model.explain(images)


def test_images_of_different_sizes_are_refused():
    with pytest.raises(DataError, match=r"images of different sizes: 4 × 4 .* 5 × 4"):
        Autoencoder().fit([np.zeros((4, 4)), np.zeros((5, 4))])


# Denoising and trimming -----------------------------------------------------------------------


def test_corruption_blanks_the_share_asked_for_and_adds_noise_in_column_deviations():
    torch.manual_seed(0)
    numbers = torch.randn(20_000, 2) * torch.tensor([1.0, 10.0]) + 5
    codes = torch.ones(20_000, 1, dtype=torch.int64)
    shown, shown_codes = Corruption(0.0, 0.3, numbers)(numbers, codes)
    blanked = shown != numbers
    assert blanked.float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert torch.allclose(shown[blanked[:, 0], 0], numbers[:, 0].mean())
    assert (shown_codes == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    noisy, same = Corruption(0.5, 0.0, numbers)(numbers, codes)
    assert (noisy - numbers).std(dim=0).tolist() == pytest.approx([0.5, 5.0], rel=0.05)
    assert torch.equal(same, codes)


def test_the_trimmed_mean_leaves_the_worst_rows_out():
    errors = torch.tensor([[1.0, 3.0], [9.0, 9.0], [0.0, 0.0], [4.0, 4.0]])
    assert trimmed_mean(errors, 0.25).item() == pytest.approx((2 + 0 + 4) / 3)
    assert trimmed_mean(errors, 0.0).item() == pytest.approx((2 + 9 + 0 + 4) / 4)
    assert trimmed_mean(errors, 0.99).item() == 0.0


def test_trimming_keeps_a_cluster_of_frauds_from_being_learnt():
    X = flat(950)
    rng, far = np.random.default_rng(5), np.array([3.0, -3.0] * 3)
    frauds = rng.normal(scale=0.05, size=(50, 6)) + far
    rows = np.concatenate([X, frauds])
    errors = {}
    for trim in (0.0, 0.1):
        model = Autoencoder(
            latent_size=3, widths=(16,), scaling="standard", max_epochs=40, trim=trim,
            learning_rate=5e-3, masking=0.0, row_error="mean", random_state=0,
        ).fit(rows)  # fmt: skip
        error = -model.score_samples(rows)
        errors[trim] = error[950:].mean() / error[:950].mean()
    assert errors[0.1] > 3 * errors[0.0]


def test_known_frauds_are_left_out_of_training():
    X = flat(300)
    X[:20] += 40
    y = np.where(np.arange(300) < 20, 1, -1)
    model = Autoencoder(max_epochs=1, random_state=0).fit(X, y)
    assert "20 rows with y = 1 were left out of training" in model.notes_
    other = X.copy()
    other[:20] = X[:20].mean(0) + np.random.default_rng(0).normal(size=(20, 6))
    # The rows themselves move the scale, but not the number of steps or the rows drawn.
    assert (
        model.history_[-1]["step"]
        == Autoencoder(max_epochs=1, random_state=0).fit(other, y).history_[-1]["step"]
    )


# Stopping and thresholds ----------------------------------------------------------------------


def test_training_stops_by_rows_held_out_and_keeps_the_best():
    model = Autoencoder(
        latent_size=2, max_epochs=200, patience=2, learning_rate=0.02, random_state=0
    ).fit(flat(300))
    course = [record["validation_error"] for record in model.history_]
    assert len(course) < 200
    assert model.n_validation_ == 30
    assert int(np.argmin(course)) == len(course) - 3


def test_max_steps_counts_updates():
    model = Autoencoder(max_steps=7, validation_fraction=0.0, batch_size=50, random_state=0)
    assert model.fit(flat(200)).history_[-1]["step"] == 8  # the epoch that was begun is ended


def test_a_handful_of_rows_runs_all_epochs():
    model = Autoencoder(max_epochs=3, batch_size=64, random_state=0).fit(flat(12))
    assert (model.n_validation_, len(model.history_)) == (0, 3)
    assert "batch_size=64 is more than the 12 training rows: one batch an epoch" in model.notes_


def test_contamination_sets_the_share_below_the_threshold():
    X = flat(500)
    model = Autoencoder(max_epochs=2, contamination=0.1, random_state=0).fit(X)
    assert (model.predict(X) == -1).sum() == 50
    decision = model.decision_function(X)
    assert np.array_equal(decision < 0, model.predict(X) == -1)
    np.testing.assert_allclose(decision, model.score_samples(X) - model.offset_)


def test_labels_set_the_threshold_on_rows_that_were_held_out():
    X, y = flat(600), np.full(600, -1)
    X[:30, 2] += 3
    y[:30], y[30:80] = 1, 0
    model = Autoencoder(
        latent_size=2, widths=(), scaling="standard", masking=0.0, max_epochs=40,
        learning_rate=0.02, threshold="labels", random_state=0,
    ).fit(X, y)  # fmt: skip
    assert model.n_validation_ == 57
    known = y >= 0
    assert ((model.predict(X[known]) == -1) == (y[known] == 1)).mean() > 0.95
    with pytest.raises(DataError, match="y holds 1 and 0"):
        Autoencoder(max_epochs=1, threshold="labels").fit(X, np.where(np.arange(600) == 0, 1, -1))


# State, repeatability -------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits_and_global_state_is_left_alone(on_mixed):
    table = mixed(200)
    before = torch.random.get_rng_state()
    fits = [Autoencoder(max_epochs=2, schema=SCHEMA, random_state=7).fit(table) for _ in range(2)]
    assert torch.equal(before, torch.random.get_rng_state())
    first, second = (model.score_samples(table) for model in fits)
    assert np.array_equal(first, second)


def test_the_state_makes_the_same_model_again(on_mixed):
    table = mixed(50, seed=6)
    state = on_mixed.get_state()
    kept = State(json.loads(json.dumps(state.values)), state.arrays)
    again = Autoencoder(**on_mixed.get_params()).set_state(kept)
    assert np.array_equal(again.score_samples(table), on_mixed.score_samples(table))
    assert again.reconstruct(table).equals(on_mixed.reconstruct(table))
    assert again.explain(table).equals(on_mixed.explain(table))
    assert np.array_equal(again.predict(table), on_mixed.predict(table))


def test_weights_of_another_shape_are_refused(on_mixed):
    state = on_mixed.get_state()
    broken = {**state.arrays, "network.code.weight": np.zeros((1, 1), np.float32)}
    with pytest.raises(ArtifactError, match=r"network: code.weight is \(1, 1\), must be"):
        Autoencoder(**on_mixed.get_params()).set_state(State(state.values, broken))


def test_rows_are_scored_alone_as_in_company(on_plane, monkeypatch):
    import thinfile.generative.autoencoder_network as network

    X = flat(60, seed=8)
    whole = on_plane.score_samples(X)
    monkeypatch.setattr(network, "SCORING_ROWS", 7)
    np.testing.assert_allclose(on_plane.score_samples(X), whole, rtol=1e-5)
    np.testing.assert_allclose(on_plane.transform(X), on_plane.transform(X[::-1])[::-1], rtol=1e-4)


# Bad input ------------------------------------------------------------------------------------


def test_a_code_as_wide_as_the_table_is_refused():
    with pytest.raises(ParameterError, match="latent_size=6 must be below the 6 inputs"):
        Autoencoder(latent_size=6).fit(flat(50))
    with pytest.raises(DataError, match=r"1 input \(n_features = 1\)"):
        Autoencoder().fit(flat(50)[:, :1])


def test_faults_of_arguments_come_in_one_message():
    with pytest.raises(ParameterError) as caught:
        Autoencoder(latent_size=0, masking=1.0, row_error="median").fit(flat(50))
    assert all(name in str(caught.value) for name in ("latent_size=0", "masking=1.0", "row_error="))
    with pytest.raises(ParameterError) as caught:
        Autoencoder(loss="bce", squash="tanh", filters=(4,), scaling="quantile").fit(flat(50))
    assert str(caught.value) == (
        "Autoencoder: loss='bce' needs squash='sigmoid'; squash='tanh' needs scaling='minmax', "
        "not 'quantile'; filters=(4,) are for images only"
    )


def test_infinity_is_refused_and_gaps_are_not():
    X = flat(60)
    X[3, 2] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        Autoencoder(max_epochs=1).fit(X)
    X[3, 2] = np.nan
    model = Autoencoder(max_epochs=1, random_state=0).fit(X)
    assert "x2 (missing)" in model.encoder_.number_names_
    assert np.isfinite(model.score_samples(X)).all()
    images = np.zeros((4, 5, 5))
    images[2, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"1 of 4 hold NaN or infinity \(first: image 2\)"):
        Autoencoder().fit(images)


def test_nothing_to_train_on_is_said():
    with pytest.raises(DataError, match=r"1 rows to train on .* 59 with y = 1"):
        Autoencoder(max_epochs=1).fit(flat(60), np.r_[np.ones(59), 0])


def test_a_loss_that_is_not_finite_stops_and_says_where():
    model = Autoencoder(learning_rate=1e30, max_epochs=3, random_state=0)
    with pytest.raises(TrainingError) as caught:
        model.fit(flat(600))
    assert all(bool(torch.isfinite(p).all()) for p in model.network_.parameters())
    text = str(caught.value)
    assert "step" in text
    assert "learning rate 1e+30" in text
    assert "largest gradient" in text
    assert "put back" in text


def test_one_column_per_code_is_not_needed_for_an_image_network():
    network = AutoencoderNetwork(Layout(16, (), 3, shape=(1, 4, 4), filters=(2,)))
    numbers, logits = network(torch.zeros(2, 16), torch.empty(2, 0, dtype=torch.int64))
    assert (numbers.shape, logits.shape) == ((2, 16), (2, 0))
    empty = Encoded(np.zeros((2, 16), np.float32), np.empty((2, 0), np.int32))
    assert math.isfinite(column_errors(network, empty, "squared").sum())
