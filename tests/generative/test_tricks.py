"""Tricks by name, and the losses they choose."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from thinfile.errors import ParameterError
from thinfile.generative.adversarial_losses import accuracies, discriminator_loss, generator_loss
from thinfile.generative.tricks import LOSSES, TRICKS, trick_values

REAL, FAKE = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([-3.0, 1.0, 0.2])


def test_section_nine_is_there():
    """Every trick that the method's description names, and a source for each."""
    named = [
        "input_scaling", "loss", "spherical_latent", "batch_norm", "separate_batches",
        "soft_labels", "noisy_labels", "input_noise", "generator_dropout",
        "historical_averaging", "replay", "target_network", "diversity", "train_while_above",
        "class_labels", "spectral_norm", "gradient_penalty", "packing", "weight_average",
    ]  # fmt: skip
    assert sorted(named) == sorted(TRICKS)
    for trick in TRICKS.values():
        assert trick.title
        assert trick.summary
        assert "20" in trick.reference
        assert trick.rule[0](trick.on)
        assert trick.rule[0](trick.off)


def test_names_values_and_off():
    values = trick_values("X", ["replay"], {"soft_labels": 0.2, "packing": 10})
    assert (values["replay"], values["soft_labels"], values["packing"]) == (0.5, 0.2, 10)
    values = trick_values("X", {"packing": False, "soft_labels": None}, {"packing": 10})
    assert (values["packing"], values["soft_labels"]) == (1, 0.0)
    assert trick_values("X", None, {})["loss"] == "saturating"


def test_all_faults_in_one_message():
    with pytest.raises(ParameterError) as error:
        trick_values("DCGAN", {"magic": 1, "replay": 2, "loss": "best"}, {})
    text = str(error.value)
    assert text.startswith("DCGAN: tricks: 'magic' is no trick (known: loss, input_scaling, ")
    assert "loss='best' must be one of 'saturating'" in text
    assert "replay=2 must be a number in [0, 1)" in text
    assert "\n" not in text


def test_losses_are_the_papers():
    ones, zeros = torch.ones(3), torch.zeros(3)
    plain = 0.5 * (bce(REAL, ones) + bce(FAKE, zeros))
    soft = 0.5 * (bce(REAL, ones * 0.9) + bce(FAKE, zeros))
    for kind in ("saturating", "non_saturating"):
        torch.testing.assert_close(discriminator_loss(kind, REAL, FAKE), plain)
        torch.testing.assert_close(discriminator_loss(kind, REAL, FAKE, soft=0.1), soft)
    torch.testing.assert_close(generator_loss("non_saturating", FAKE), bce(FAKE, ones))
    torch.testing.assert_close(generator_loss("saturating", FAKE), -bce(FAKE, zeros))
    torch.testing.assert_close(
        discriminator_loss("wasserstein", REAL, FAKE), FAKE.mean() - REAL.mean()
    )
    hinge = 0.5 * (torch.tensor([0.0, 2.0, 0.5]).mean() + torch.tensor([0.0, 2.0, 1.2]).mean())
    torch.testing.assert_close(discriminator_loss("hinge", REAL, FAKE), hinge)
    square = 0.5 * (((REAL - 1) ** 2).mean() + (FAKE**2).mean())
    torch.testing.assert_close(discriminator_loss("least_squares", REAL, FAKE), square)


@pytest.mark.parametrize("kind", LOSSES)
def test_each_side_pulls_its_own_way(kind):
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    (g_real, g_fake) = torch.autograd.grad(discriminator_loss(kind, real, fake), [real, fake])
    if kind != "least_squares":  # whose scores are to be 1 and 0, not more
        assert (g_real <= 0).all()
        assert (g_fake >= 0).all()
        assert (torch.autograd.grad(generator_loss(kind, fake), fake)[0] < 0).all()


def test_noisy_labels_turn_so_many_scores():
    torch.manual_seed(0)
    high = torch.full((20_000,), 50.0)
    loss = discriminator_loss("non_saturating", high, -high, noisy=0.1)
    assert loss.item() == pytest.approx(0.1 * 50, rel=0.05)


def test_accuracies():
    right = accuracies("hinge", REAL, FAKE)
    assert (float(right[0]), float(right[1])) == pytest.approx((2 / 3, 1 / 3))
    right = accuracies("wasserstein", REAL + 100, FAKE + 90)
    assert (float(right[0]), float(right[1])) == (1.0, 1.0)
