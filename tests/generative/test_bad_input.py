"""Bad tables and images: every generative model names what is wrong, or what it did about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.errors import DataError, ParameterError, ThinfileWarning, TrainingError
from thinfile.generative.augmented import AugmentedClassifier
from thinfile.generative.autoencoder import Autoencoder
from thinfile.generative.dcgan import DCGAN
from thinfile.generative.sgan import SGANClassifier
from thinfile.generative.smote import SMOTE
from thinfile.generative.table_gan import TableGAN
from thinfile.generative.vae import VAE

N = 60
RNG = np.random.default_rng(0)
SHORT: dict[str, Any] = {"widths": (4,), "max_epochs": 1, "random_state": 0}
GAN: dict[str, Any] = {
    **SHORT,
    "discriminator_widths": (4,),
    "max_steps": 2,
    "n_checks": 1,
    "tricks": {"packing": 1},
}
MODELS: dict[str, Callable[..., Any]] = {
    "autoencoder": lambda **given: Autoencoder(**{**SHORT, "device": "cpu", **given}),
    "vae": lambda **given: VAE(**{**SHORT, "device": "cpu", **given}),
    "table_gan": lambda **given: TableGAN(**{**GAN, **given}),
    "smote": lambda **given: SMOTE(random_state=0, **given),
    "augmented": lambda **given: AugmentedClassifier(**{**SHORT, "n_trees": 3, **given}),
}
Y = np.arange(N) % 2
every_model = pytest.mark.parametrize("name", MODELS)


def table(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"a": RNG.normal(size=N), "b": RNG.normal(size=N), **columns})


@every_model
def test_infinities_of_a_table_are_counted_and_taken_as_missing(name):
    amount = RNG.normal(size=N)
    amount[[14, 20]] = np.inf, -np.inf
    amount[30] = np.nan  # a gap like any other
    model = MODELS[name]().fit(table(amount=amount), Y)
    note = "column 'amount': 2 of 60 rows are infinite (first: row 14, inf): taken as missing"
    assert note in model.notes_
    with pytest.warns(ThinfileWarning, match="column 'amount': 2 of 60 rows are infinite"):
        parsed = model._parse(table(amount=amount))
    assert model.encoder_.transform(parsed).numbers.shape[0] == N


@every_model
def test_infinities_of_an_array_are_refused_and_gaps_are_not(name):
    numbers = RNG.normal(size=(N, 3))
    numbers[3, 1] = np.nan
    assert MODELS[name]().fit(numbers, Y).n_features_in_ == 3
    numbers[3, 1] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        MODELS[name]().fit(numbers, Y)


@every_model
def test_constant_columns_and_free_text_are_left_out_and_named(name):
    words = [f"called on day {i} about case {i * 7}, and left" for i in range(N)]
    notes = MODELS[name]().fit(table(fixed=[1.5] * N, remark=words), Y).notes_
    assert "column 'fixed': every value is 1.5: constant, ignored" in notes
    assert "column 'remark': free text (60 distinct in 60 rows): ignored" in notes
    assert len(notes) == len(set(notes))


@every_model
def test_notes_are_those_of_the_last_fit(name):
    model = MODELS[name]().fit(table(fixed=[1.5] * N), Y)
    assert not any("'fixed'" in note for note in model.fit(table(), Y).notes_)


@every_model
def test_a_table_without_any_column_to_use_says_why(name):
    with pytest.raises(DataError) as caught:
        MODELS[name]().fit(pl.DataFrame({"one": [1] * N, "two": ["x"] * N}), Y)
    said = str(caught.value)
    assert said.startswith("no column that a model can use: column 'one': every value is 1")
    assert "column 'two': every value is 'x'" in said
    assert "\n" not in said


@every_model
def test_no_rows(name):
    with pytest.raises(DataError, match="X has no rows"):
        MODELS[name]().fit(table()[:0], [])


@pytest.mark.parametrize("name", ["autoencoder", "vae", "table_gan", "augmented"])
def test_a_batch_larger_than_the_table_is_said(name):
    notes = MODELS[name](batch_size=900).fit(table(), Y).notes_
    assert sum("batch_size=900 is" in note and "rows" in note for note in notes) == 1


@pytest.mark.parametrize("name", ["autoencoder", "vae", "augmented"])
def test_a_code_wider_than_the_table_is_refused(name):
    with pytest.raises(ParameterError, match=r"latent_size=9 must be (below the 2|at most 2)"):
        MODELS[name](latent_size=9).fit(table(), Y)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Autoencoder(max_epochs=1),
        lambda: VAE(max_epochs=1),
        lambda: DCGAN(max_steps=1),
        lambda: SGANClassifier(max_steps=1),
    ],
)
@pytest.mark.parametrize("brightness", [0, 200])
def test_images_without_a_pixel_that_varies_are_refused(make, brightness):
    images = np.full((N, 8, 8), brightness, dtype=np.uint8)
    with pytest.raises(DataError, match=r"can use: no pixel varies in 60 images$"):
        make().fit(images, Y)


@pytest.mark.parametrize("held_out", [0.0, 0.1])
@pytest.mark.parametrize("kind", [Autoencoder, VAE])
def test_a_model_that_diverged_at_its_last_step_is_not_fitted(kind, held_out):
    given = {"max_epochs": 1, "validation_fraction": held_out, "random_state": 0}
    model = kind(learning_rate=1e30, batch_size=1000, **given)
    words = r"is -?(nan|inf) after step 1.*\(learning rate 1e\+30, .*weights of step 0 are put back"
    with pytest.raises(TrainingError, match=words):
        model.fit(np.random.default_rng(0).normal(size=(200, 4)))


def test_a_diverged_sgan_names_the_rate_of_both_sides():
    y = np.where(np.arange(N) < 40, Y, -1)
    model = SGANClassifier(learning_rate=1e30, generator_learning_rate=0.5, max_steps=30)
    rates = r"learning rates 1e\+30 of class, real_fake; 0\.[0-9]+ of generator"
    with pytest.raises(TrainingError, match=rates):
        model.fit(np.random.default_rng(0).normal(size=(N, 4)), y)


@pytest.mark.parametrize("name", ["smote", "augmented"])
@pytest.mark.parametrize("n_frauds", [0, 1])
def test_fewer_than_two_frauds_are_refused(name, n_frauds):
    y = np.where(np.arange(N) < n_frauds, 1, 0)
    y[-10:] = -1
    words = "one class only" if name == "augmented" and not n_frauds else rf"\b{n_frauds} .*least 2"
    with pytest.raises(DataError, match=words):
        MODELS[name]().fit(table(), y)


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_a_threshold_by_labels_needs_both_kinds(name):
    for y in (np.zeros(N, dtype=int), np.where(np.arange(N) < 1, 1, 0), None):
        with pytest.raises(DataError, match="threshold='labels' needs 2 labelled events and"):
            MODELS[name](threshold="labels").fit(table(), y)


def test_events_alone_are_trained_on_or_refused():
    notes = MODELS["vae"]().fit(table(), np.ones(N, dtype=int)).notes_
    assert "60 of 60 rows have y = 1: trained on like the others" in notes
    assert not any("left out" in note for note in notes)
    with pytest.raises(DataError, match=r"0 rows to train on \(n_samples = 60, 60 with y = 1\)"):
        MODELS["autoencoder"]().fit(table(), np.ones(N, dtype=int))


@pytest.mark.parametrize("name", ["table_gan", "smote"])
def test_images_where_tables_are_meant(name):
    with pytest.raises(DataError, match=r"X has shape \(60, 4, 4\): \w+ takes tables, not images"):
        MODELS[name]().fit(np.zeros((N, 4, 4)))


IMAGE_MODELS = {"autoencoder": Autoencoder, "vae": VAE, "dcgan": DCGAN}


@pytest.mark.parametrize("name", IMAGE_MODELS)
@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([np.zeros((4, 4)), np.zeros((5, 4))], "different sizes: 4 × 4 .* 5 × 4"),
        (np.full((8, 4, 4), np.inf), "infini|finite"),
        (np.full((8, 4, 4), np.nan), "NaN|finite"),
        (np.zeros((0, 4, 4)), "no (rows|images)|0 "),
    ],
)
def test_bad_images(name, images, message):
    with pytest.raises(DataError, match=message):
        IMAGE_MODELS[name](max_epochs=1, image_shape=(4, 4)).fit(images)


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_a_loss_that_is_not_finite_names_step_rate_and_gradient_and_keeps_good_weights(name):
    model = MODELS[name](learning_rate=1e30, max_epochs=4)
    message = r"step \d+ .*learning rate 1e\+30.*largest gradient .*put back"
    with pytest.raises(TrainingError, match=message):
        model.fit(table())
    assert all(bool(p.isfinite().all()) for p in model.network_.parameters())
    assert len(model.transform(table())) == N  # the encoder is there to use them
