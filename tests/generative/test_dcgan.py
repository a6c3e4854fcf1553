"""The GAN for images."""

import json

import numpy as np
import pytest

from thinfile.errors import DataError, ParameterError, TrainingError
from thinfile.generative.dcgan import DCGAN
from thinfile.generative.image_game import ImageSpace
from thinfile.generative.tricks import trick_values
from thinfile.table_model import State

RNG = np.random.default_rng(0)
TINY = {
    "widths": (8, 4),
    "discriminator_widths": (4, 8),
    "n_latent": 6,
    "batch_size": 20,
    "max_steps": 6,
    "n_checks": 2,
    "device": "cpu",
    "random_state": 0,
}


def bars(n=80):
    """Images of a bright column on the left or on the right, and which it is."""
    right = RNG.integers(0, 2, n)
    images = RNG.integers(0, 30, (n, 8, 8))
    images[np.arange(n), :, np.where(right == 1, 6, 1)] = 240
    return images.astype(np.uint8), right


IMAGES, RIGHT = bars()
MODEL = DCGAN(**TINY).fit(IMAGES, np.where(RIGHT == 1, "right", "left"))


def test_images_come_in_the_shape_they_were_given_in():
    made = MODEL.sample(7, random_state=0)
    assert made.shape == (7, 8, 8)
    assert made.min() >= 0
    assert made.max() <= 1
    colour = RNG.integers(0, 255, (30, 6, 9, 3), dtype=np.uint8)
    assert DCGAN(**TINY).fit(colour).sample(2, random_state=0).shape == (2, 6, 9, 3)
    flat = DCGAN(**TINY, image_shape=(8, 8)).fit(IMAGES.reshape(80, 64))
    assert flat.sample(2, random_state=0).shape == (2, 8, 8)


def test_the_reference_is_that_of_the_description():
    model = DCGAN.reference()
    assert (model.widths, model.discriminator_widths, model.dropout) == ((128, 64), (64, 128), 0.3)
    assert (model.learning_rate, model.beta, model.batch_size) == (2e-4, 0.5, 128)
    assert (model.max_epochs, model.n_latent) == (50, 100)
    tricks = trick_values("DCGAN", model.tricks, {"weight_average": 0.5})
    on = {
        name: value
        for name, value in tricks.items()
        if value and name not in ("loss", "packing", "weight_average")
    }
    assert on == {
        "input_scaling": True,
        "separate_batches": True,
        "soft_labels": 0.1,
        "noisy_labels": 0.05,
    }
    assert tricks["loss"] == "non_saturating"
    assert not trick_values("DCGAN", model.tricks, {})["weight_average"]
    assert DCGAN.reference(max_epochs=2).max_epochs == 2


def test_a_class_can_be_asked_for_and_is_learnt():
    model = DCGAN(
        **{**TINY, "max_steps": 300, "learning_rate": 2e-3},
        max_epochs=1000,
        tricks={"soft_labels": 0},
    ).fit(IMAGES, RIGHT)
    for label, here, there in ((1, 6, 1), (0, 1, 6)):
        made = model.sample(40, label=label, random_state=0).mean((0, 1))
        assert made[here] > made[there] + 0.3
    like = model.sample_like(IMAGES[RIGHT == 1][:10], 30, random_state=0).mean((0, 1))
    assert like[6] > like[1]


def test_repeatable():
    again = DCGAN(**TINY).fit(IMAGES, np.where(RIGHT == 1, "right", "left"))
    assert (again.sample(4, random_state=3) == MODEL.sample(4, random_state=3)).all()


def test_state_comes_back_without_pickle():
    state = MODEL.get_state()
    values = json.loads(json.dumps(state.values))
    again = DCGAN(**TINY).set_state(State(values, dict(state.arrays)))
    for given in ({}, {"label": "left"}):
        one, two = (m.sample(5, random_state=1, **given) for m in (MODEL, again))
        assert (one == two).all()
    assert again.classes_.tolist() == ["left", "right"]


def test_a_training_image_is_never_given():
    """Made to: every image that the generator knows becomes a training image."""
    model = DCGAN(**TINY).fit(IMAGES)
    known = IMAGES[:1].reshape(1, -1) / np.float32(127.5) - 1
    model.game_.images = lambda n, labels=None: np.repeat(known, n, axis=0).astype(np.float32)
    with pytest.raises(DataError, match="DCGAN: 2 of 2 images could not be made"):
        model.sample(2, random_state=0)


@pytest.mark.parametrize(
    "tricks",
    [
        ["spectral_norm", "replay", "target_network", "historical_averaging", "batch_norm"],
        ["spherical_latent", "input_noise", "generator_dropout", "diversity"],
        {"loss": "wasserstein", "gradient_penalty": True, "packing": 2},
        {"input_scaling": False, "loss": "hinge", "class_labels": False},
    ],
)
def test_every_trick_runs(tricks):
    model = DCGAN(**{**TINY, "max_steps": 2, "n_checks": 1}, tricks=tricks).fit(IMAGES, RIGHT)
    assert model.sample(3, random_state=0).shape == (3, 8, 8)


def test_bad_images():
    with pytest.raises(DataError, match="images of different sizes: 8 × 8"):
        DCGAN(**TINY).fit([IMAGES[0], IMAGES[1][:5]])
    with pytest.raises(DataError, match=r"images of 3 × 8 pixels, at least 4 a side"):
        DCGAN(**TINY).fit(IMAGES[:, :3])
    with pytest.raises(DataError, match="DCGAN: 1 images, at least 2 are needed"):
        DCGAN(**TINY).fit(IMAGES[:1])
    with pytest.raises(DataError, match="image_shape must say which height and width that is"):
        DCGAN(**TINY).fit(IMAGES.reshape(80, 64).astype(float))
    with pytest.raises(DataError, match="label='up' is none that the fit knew"):
        MODEL.sample(1, label="up")
    with pytest.raises(ParameterError, match="tricks: 'magic' is no trick"):
        DCGAN(tricks={"magic": 1}).fit(IMAGES)


def test_images_without_a_label_are_left_out_and_said():
    labels = RIGHT.astype(float)
    labels[:5] = np.nan
    model = DCGAN(**{**TINY, "batch_size": 200}).fit(IMAGES, labels)
    assert model.notes_[0] == "5 of 80 images have no label: left out"
    assert model.notes_[1] == "batch_size=200 is above the 75 images: batches are of 75"


def test_image_space_keeps_the_distances_of_what_varies():
    pixels = np.zeros((50, 64))
    pixels[:, :3] = RNG.normal(size=(50, 3))
    where = ImageSpace(pixels, 0)(pixels)
    slow = np.linalg.norm(pixels[:10, None] - pixels[:10], axis=2)
    fast = np.linalg.norm(where[:10, None] - where[:10], axis=2)
    np.testing.assert_allclose(fast, slow, atol=1e-8)


@pytest.mark.parametrize("loss", ["wasserstein", "least_squares"])
def test_weights_that_blow_up_are_an_error_and_no_black_images(loss):
    wild = {**TINY, "learning_rate": 1e10, "n_checks": 6, "tricks": {"loss": loss}}
    with pytest.raises(TrainingError, match=r"(is inf at|not finite after) step 1 .*largest grad"):
        DCGAN(**wild).fit(IMAGES)


@pytest.mark.parametrize("name", ["widths", "discriminator_widths"])
@pytest.mark.parametrize("widths", [(8,), (8, 8, 8)])
def test_each_side_has_two_widths(name, widths):
    with pytest.raises(ParameterError, match=rf"{name}=\(8,.*\) must be .* exactly 2 values, each"):
        DCGAN(**{**TINY, name: widths}).fit(IMAGES)
