"""The loop of two sides, its tricks, and every way in which a run can go off."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from thinfile.errors import TrainingError
from thinfile.generative.adversarial import Run, latent, settle_norms
from thinfile.generative.duel import Drawn, Duel
from thinfile.generative.gone_off import Watch
from thinfile.generative.realness import realness, repeated
from thinfile.generative.tricks import trick_values

BATCH = 32


class Line:
    """A game small enough to see through: numbers around 3."""

    def __init__(self, **tricks):
        torch.manual_seed(0)
        self.tricks = trick_values("Line", tricks, {"loss": "non_saturating"})
        self.generator = nn.Sequential(
            nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)
        )
        self.discriminator = nn.Sequential(nn.Linear(1, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
        self.found = {"quality": 0.5, "spread": 1.0, "duplicates": 0.0}
        self.n_drawn = 0
        self.judged = []

    def draw(self):
        self.n_drawn += 1
        return Drawn(3 + torch.randn(BATCH, 1))

    def latent(self):
        return torch.randn(BATCH, 2)

    def make(self, z, drawn):
        return self.generator(z), {}

    def judge(self, judge, x, condition):
        self.judged.append((judge is self.discriminator, x.detach()))
        return judge(x).squeeze(1)

    def slope(self, x, condition):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(self.discriminator(x).sum(), x, create_graph=True)[0]

    def measure(self):
        return dict(self.found)


def duel_of(game, **more):
    rates = {"learning_rates": (1e-2, 1e-2), "betas": (0.5, 0.9), **more}
    return Duel(game, game.tricks, **rates)


def run_of(game, n_steps=40, **more):
    watch = Watch(game.tricks["loss"], game.tricks["soft_labels"], 0.0, 2)
    given = {"steps_per_epoch": 10, "n_checks": 8, "watch": watch, **more}
    return Run(game, duel_of(game), n_steps=n_steps, **given)


def weights(module):
    return [p.detach().clone() for p in module.parameters()]


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_made_numbers_come_to_the_real_ones():
    game = Line()
    run_of(game, 600, weight_average=0.99, restore_best=False).play()
    made = game.generator(torch.randn(2000, 2))
    assert made.mean().item() == pytest.approx(3, abs=0.7)


def test_a_record_for_every_check():
    history = run_of(Line()).play()
    assert [record["step"] for record in history] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert [record["epoch"] for record in history] == [1, 1, 2, 2, 3, 3, 4, 4]
    for name in ("discriminator_loss", "generator_loss", "accuracy_real", "accuracy_fake"):
        assert all(np.isfinite(history.column(name)))
    assert history.stopped == "all 40 steps were run"


def test_one_made_batch_serves_both_sides():
    game = Line()
    duel_of(game).step(0.0)
    assert game.n_drawn == 1


# Gone off -----------------------------------------------------------------------------------


def test_constant_output_is_noticed_and_the_best_weights_are_put_back():
    game = Line()
    run = run_of(game)
    kept = {}
    order = iter([(0.3, 1.0), (0.6, 1.0), (0.2, 0.01), (0.2, 0.01), (0.9, 1.0)])

    def measure():
        quality, wide = next(order)
        kept[quality] = weights(game.generator)
        return {"quality": quality, "spread": wide, "duplicates": 0.0}

    game.measure = measure
    history = run.play()
    assert run.gone_off == (
        "training went off at step 20 of 40: constant output (made columns vary 0.01 times as "
        "much as real ones) at 2 checks in a row; the weights of step 10 (quality 0.600) are put "
        "back"
    )
    assert len(history) == 4
    assert same(weights(game.generator), kept[0.6])


def test_a_generator_that_only_knows_one_row_goes_off():
    """Made to: its last layer has no weights that could tell z apart."""
    game = Line()
    game.generator = nn.Sequential(nn.Linear(2, 1))
    nn.init.zeros_(game.generator[0].weight)
    game.generator[0].weight.requires_grad_(False)

    def measure():
        with torch.no_grad():
            made = game.generator(torch.randn(300, 2)).numpy()
        return realness(3 + np.random.default_rng(0).normal(size=(300, 1)), made) | {
            "duplicates": repeated(made)
        }

    game.measure = measure
    run = run_of(game)
    run.duel._own[1][0].requires_grad_(False)
    run.play()
    assert run.gone_off is not None
    assert "constant output" in run.gone_off


def test_rows_that_repeat_are_noticed_and_natural_repetition_is_not():
    record = {"spread": 1.0, "duplicates": 0.8, "discriminator_loss": 0.6, "generator_loss": 0.7}
    watch = Watch("hinge", patience=1)
    assert (
        watch.see(record)
        == "collapsed output (80% of made rows repeat others) at 1 checks in a row"
    )
    assert Watch("hinge", natural=0.7, patience=1).see(record) is None


def test_a_discriminator_at_zero_loss_is_noticed():
    """Made to: real and made rows lie a hundred apart and the generator cannot move."""
    game = Line()
    game.draw = lambda: Drawn(100 + torch.randn(BATCH, 1))
    run = run_of(game, 400)
    run.duel._optimizers[1] = torch.optim.SGD(game.generator.parameters(), lr=0.0)
    run.play()
    assert "the discriminator at zero loss (discriminator loss " in run.gone_off


def test_a_generator_at_zero_loss_is_noticed():
    game = Line()
    run = run_of(game, 400)
    run.duel._optimizers[0] = torch.optim.SGD(game.discriminator.parameters(), lr=0.0)
    run.play()
    assert "the generator at zero loss (generator loss " in run.gone_off


def test_soft_labels_raise_the_floor_of_the_discriminators_loss():
    record = {"spread": 1.0, "duplicates": 0.0, "generator_loss": 5.0, "discriminator_loss": 0.163}
    assert Watch("non_saturating", soft=0.1, patience=1).see(record) is not None
    assert Watch("non_saturating", soft=0.0, patience=1).see(record) is None
    assert Watch("wasserstein", patience=1).see({**record, "discriminator_loss": 0.0}) is None


@pytest.mark.parametrize(
    ("bad", "sign"),
    [
        ({"spread": 0.0, "duplicates": 0.0}, "constant output"),
        ({"spread": 1.0, "duplicates": 1.0}, "collapsed output"),
    ],
)
def test_output_that_was_never_varied_may_become_so_in_the_first_half_of_a_run(bad, sign):
    good = {"spread": 1.0, "duplicates": 0.0}

    def stops(*records):
        watch = Watch("hinge", patience=2)
        n = len(records)
        return [watch.see(r, (place + 1) / n) is not None for place, r in enumerate(records)]

    assert not any(stops(*[bad] * 5, *[good] * 5))
    # From the half on (check 5 of 10) the checks count.
    assert stops(*[bad] * 10).index(True) == 5
    assert stops(good, bad, bad, *[good] * 7).index(True) == 2
    watch = Watch("hinge", patience=1)
    assert str(watch.see(bad)).startswith(sign)
    assert Watch("hinge", patience=1).see(bad, 0.49) is None


def test_one_side_at_zero_loss_counts_from_the_first_check_on():
    record = {"spread": 1.0, "duplicates": 0.0, "discriminator_loss": 0.0, "generator_loss": 0.7}
    watch = Watch("non_saturating", patience=2)
    assert watch.see(record, 0.1) is None
    assert "the discriminator at zero loss" in str(watch.see(record, 0.2))


def test_a_run_that_finds_out_of_constant_output_goes_on_to_its_end():
    game = Line()
    spreads = iter([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    game.measure = lambda: {"quality": 0.5, "spread": next(spreads), "duplicates": 0.0}
    run = run_of(game)
    assert len(run.play()) == 8
    assert run.gone_off is None


def test_a_sign_must_be_seen_in_a_row():
    watch = Watch("hinge", patience=2)
    bad, good = {"spread": 0.0}, {"spread": 1.0}
    assert [watch.see(r) for r in (bad, good, bad)] == [None, None, None]
    assert watch.see(bad) is not None


def nan_after(game, n_steps):
    inner = game.make

    def make(z, drawn):
        made, terms = inner(z, drawn)
        return made * (float("nan") if game.n_drawn > n_steps else 1.0), terms

    game.make = make
    return game


def test_nan_after_a_check_puts_the_best_weights_back_and_says_where():
    game = nan_after(Line(), 12)
    run = run_of(game)
    run.play()
    assert run.gone_off.startswith(
        "training went off at step 12 of 40: discriminator_loss is nan at step 13 (learning rate "
        "0.01, largest gradient of the last updates "
    )
    assert run.gone_off.endswith("; the weights of step 5 (quality 0.500) are put back")
    assert all(torch.isfinite(p).all() for p in game.generator.parameters())


def test_nan_before_any_check_is_an_error_with_the_first_weights():
    game = nan_after(Line(), 2)
    before = weights(game.generator)
    with pytest.raises(TrainingError, match="nothing was measured before, so the first weights"):
        run_of(game).play()
    assert same(weights(game.generator), before)


def test_weights_that_blow_up_are_noticed():
    game = Line()
    run = run_of(game, 200)
    for optimizer in run.duel._optimizers:
        optimizer.param_groups[0]["lr"] = 1e38
    with pytest.raises(TrainingError, match=r"_loss is (nan|inf|-inf) at step \d+ \(learning rate"):
        run.play()


def test_what_is_made_and_is_not_finite_is_noticed_at_the_check():
    game = Line()
    qualities = iter([0.1, 0.4, float("nan")])
    kept = []

    def measure():
        kept.append(weights(game.generator))
        return {"quality": next(qualities), "spread": 1.0, "duplicates": 0.0}

    game.measure = measure
    run = run_of(game)
    run.play()
    assert "off at step 15 of 40: what is made is not finite after step 15 (learn" in run.gone_off
    assert run.gone_off.endswith("; the weights of step 10 (quality 0.400) are put back")
    assert same(weights(game.generator), kept[1])
    game.measure = lambda: {"quality": float("nan")}
    with pytest.raises(TrainingError, match=r"not finite after step 5 .*the first weights"):
        run_of(game).play()


def test_without_failure_the_best_weights_are_kept_and_the_last_ones_if_asked_for():
    for restores in (True, False):
        game = Line()
        qualities, kept = iter([0.1, 0.9, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3]), []

        def measure(game=game, qualities=qualities, kept=kept):
            kept.append(weights(game.generator))
            return {"quality": next(qualities), "spread": 1.0, "duplicates": 0.0}

        game.measure = measure
        run_of(game, restore_best=restores).play()
        assert same(weights(game.generator), kept[1 if restores else -1])


# Tricks -------------------------------------------------------------------------------------


def test_input_noise_decays_to_nothing():
    game = Line(input_noise=5.0)
    duel = duel_of(game)
    real = torch.full((BATCH, 1), 3.0)
    game.draw = lambda: Drawn(real)
    duel.step(0.0)
    assert game.judged[0][1][:BATCH].std() > 3
    game.judged.clear()
    duel.step(1.0)
    assert torch.equal(game.judged[0][1][:BATCH], real)


def test_separate_batches():
    for separate, sizes in ((True, [BATCH, BATCH, BATCH]), (False, [2 * BATCH, BATCH])):
        game = Line(separate_batches=separate)
        duel_of(game).step(0.0)
        assert [len(x) for _, x in game.judged] == sizes


def test_replay_shows_old_rows_to_the_discriminator_only():
    game = Line(replay=0.5, separate_batches=True)
    duel = duel_of(game)
    duel.step(0.0)
    first = game.judged[1][1]
    game.judged.clear()
    duel.step(0.0)
    shown = game.judged[1][1]
    old = [bool((row == first).all(1).any()) for row in shown]
    assert not any(old[: BATCH // 2])
    assert all(old[BATCH // 2 :])


def test_target_network_judges_the_generator_and_follows_slowly():
    game = Line(target_network=0.5)
    before = copy.deepcopy(game.discriminator)
    duel = duel_of(game)
    duel.step(0.0)
    assert [own for own, _ in game.judged] == [True, False]
    halfway = [
        (a + b) / 2 for a, b in zip(weights(before), weights(game.discriminator), strict=True)
    ]
    for slow, half in zip(weights(duel._target), halfway, strict=True):
        torch.testing.assert_close(slow, half)


def test_historical_averaging_pulls_towards_the_mean():
    game = Line(historical_averaging=1e6)
    duel = duel_of(game)
    first = weights(game.generator)
    for _ in range(30):
        duel.step(0.0)
    free = Line()
    loose = duel_of(free)
    for _ in range(30):
        loose.step(0.0)

    def moved(module):
        return sum(float((a - b).norm()) for a, b in zip(weights(module), first, strict=True))

    assert moved(game.generator) < 0.8 * moved(free.generator)


def test_train_while_above_repeats_a_side():
    for limits, n_drawn in (((99.0, 99.0), 1), ((-99.0, 99.0), 3), ((-99.0, -99.0), 5)):
        game = Line(train_while_above=limits)
        duel_of(game).step(0.0)
        assert game.n_drawn == n_drawn


def test_more_steps_of_the_discriminator():
    game = Line()
    duel_of(game, n_discriminator_steps=4).step(0.0)
    assert game.n_drawn == 4


def test_diversity_reward_and_gradient_penalty_are_noted():
    game = Line(diversity=0.5, gradient_penalty=10.0)
    duel = duel_of(game)
    duel.step(0.0)
    noted = duel.close()
    assert noted["diversity"] < 0
    assert noted["gradient_penalty"] > 0


def test_averaged_weights_make_the_rows_and_end_the_run():
    game = Line()
    seen = []

    def measure():
        seen.append(weights(game.generator))
        return {"quality": len(seen), "spread": 1.0, "duplicates": 0.0}

    game.measure = measure
    run_of(game, weight_average=0.9).play()
    plain = Line()
    run_of(plain, restore_best=False).play()
    assert same(weights(game.generator), seen[-1])
    assert not same(weights(game.generator), weights(plain.generator))


def test_settled_norms_are_those_of_the_present_weights():
    game = Line()
    game.generator[0].weight.data.mul_(10)
    game.generator[0].bias.data.add_(50)
    game.generator.eval()
    settle_norms(game, 40)
    assert game.generator[1].running_mean.mean().item() == pytest.approx(50, abs=3)
    assert not game.generator[1].training
    assert game.generator[1].momentum == 0.1


def test_spherical_latent_lies_on_the_sphere():
    torch.manual_seed(0)
    z = latent(50, 16, True)
    torch.testing.assert_close(z.norm(dim=1), torch.full((50,), 4.0))
    assert latent(50, 16, False).norm(dim=1).std() > 0.1
