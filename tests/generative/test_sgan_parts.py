"""Losses, layers, draws and settings of the SGAN against slow, obvious versions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thinfile.generative import sgan_losses as losses
from thinfile.generative.sgan_draws import ClassTable, SganBatches, SganRows
from thinfile.generative.sgan_network import (
    ImageBody,
    ImageGenerator,
    StackedLinear,
    StackedNorm,
    TableGenerator,
)
from thinfile.generative.sgan_plan import choose_common_weight, choose_folds, fold_of, prior_shift
from thinfile.generative.sgan_reference import class_weights
from thinfile.generative.sgan_training import SganSettings, SganTraining


@given(
    n_members=st.integers(1, 4),
    n_rows=st.integers(1, 5),
    n_in=st.integers(1, 6),
    n_out=st.integers(1, 6),
)
@settings(max_examples=20, deadline=None)
def test_a_stack_is_its_members_one_by_one(
    n_members: int, n_rows: int, n_in: int, n_out: int
) -> None:
    layer, x = StackedLinear(n_members, n_in, n_out), torch.randn(n_members, n_rows, n_in)
    with torch.no_grad():
        together = layer(x)
        for member in range(n_members):
            alone = x[member] @ layer.weight[member] + layer.bias[member]
            torch.testing.assert_close(together[member], alone, atol=1e-5, rtol=1e-5)


def test_spectral_layers_have_a_largest_singular_value_of_one() -> None:
    torch.manual_seed(0)
    layer = StackedLinear(3, 8, 5, spectral=True)
    with torch.no_grad():
        layer.weight.mul_(torch.tensor([0.1, 3.0, 20.0])[:, None, None])
        for _ in range(100):
            layer(torch.zeros(3, 1, 8))
        layer.eval()
        matrix = layer(torch.eye(8).expand(3, 8, 8)) - layer.bias
    largest = torch.linalg.matrix_norm(matrix, ord=2)
    torch.testing.assert_close(largest, torch.ones(3), atol=1e-3, rtol=0)


def test_each_member_is_normalised_by_its_own_rows() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 50, 3) * torch.tensor([1.0, 9.0])[:, None, None] + 4
    stacked = StackedNorm(2, 3)(x)
    for member in range(2):
        torch.testing.assert_close(
            stacked[member], nn.BatchNorm1d(3)(x[member]), atol=1e-5, rtol=1e-5
        )


def test_the_k_plus_one_form_is_a_softmax_with_a_logit_of_zero() -> None:
    logits = torch.randn(1, 6, 3)
    full = torch.cat([logits, torch.zeros(1, 6, 1)], dim=2).softmax(dim=2)
    made = -torch.log(full[..., 3]).mean()
    real = -torch.log(1 - full[..., 3]).mean()
    odds = losses.real_log_odds(logits)
    torch.testing.assert_close(losses.is_made(odds), made)
    torch.testing.assert_close(losses.is_real(odds), real)
    torch.testing.assert_close(losses.real_or_made(odds, odds), 0.5 * (made + real))


def test_feature_matching_is_the_distance_of_means() -> None:
    made, real = torch.randn(2, 5, 3), torch.randn(2, 7, 3)
    slow = sum(
        (sum(made[m, r, f] for r in range(5)) / 5 - sum(real[m, r, f] for r in range(7)) / 7) ** 2
        for m in range(2)
        for f in range(3)
    )
    torch.testing.assert_close(losses.feature_matching(made, real), slow / 2)


def test_only_certain_views_teach() -> None:
    weak = torch.tensor([[[10.0, 0.0], [0.1, 0.0]]])
    strong = torch.tensor([[[0.0, 2.0], [5.0, 0.0]]])
    expected = math.log(1 + math.exp(2.0)) / 2  # the first row's loss, meaned over both
    assert float(losses.consistency(weak, strong, 0.95)) == pytest.approx(expected)


def test_shifts_move_and_do_not_change_pixels() -> None:
    torch.manual_seed(0)
    image = torch.full((1, 40, 1, 7, 9), -1.0)
    image[..., 3, 4] = 1.0
    moved = losses.shifted(image.view(1, 40, -1), (1, 7, 9), 2, fill=-1.0).view(40, 7, 9)
    places = (moved > 0).nonzero()
    assert len(places) == 40
    assert set(places[:, 1].tolist()) == {1, 2, 3, 4, 5}
    assert set(places[:, 2].tolist()) == {2, 3, 4, 5, 6}
    assert losses.shifted(image.view(1, 40, -1), (1, 7, 9), 0, -1.0).shape == (1, 40, 63)


@given(n_rows=st.integers(4, 40), n_members=st.integers(1, 4), batch=st.integers(2, 9))
@settings(max_examples=20, deadline=None)
def test_every_class_is_drawn_equally_often(n_rows: int, n_members: int, batch: int) -> None:
    y = np.zeros(n_rows, dtype=np.int8)
    y[:2] = 1
    table = ClassTable(y, 2, None, n_members)
    drawn = y[table.draw(5, 2 * batch).numpy()]
    assert drawn.shape == (5, n_members, 2 * batch)
    assert (drawn.sum(axis=2) == batch).all()


def test_batches_are_repeatable_and_fresh_each_epoch() -> None:
    rows = SganRows(torch.randn(10, 2), torch.arange(10) % 2, torch.randn(30, 2))
    table = ClassTable((np.arange(10) % 2).astype(np.int8), 2, None, 1)
    batches = SganBatches(rows, table, 3, 4)
    torch.manual_seed(0)
    first = [batch.labelled_at for batch in batches]
    second = [batch.labelled_at for batch in batches]
    torch.manual_seed(0)
    again = [batch.labelled_at for batch in batches]
    assert len(batches) == len(first) == 3
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_folds_share_out_every_class() -> None:
    y = np.array([0] * 23 + [1] * 7, dtype=np.int8)
    fold = fold_of(y, 5, np.random.default_rng(0))
    assert np.ptp(np.bincount(fold[y == 0])) <= 1
    assert np.ptp(np.bincount(fold[y == 1], minlength=5)) <= 1
    notes: list[str] = []
    assert choose_folds(y, 5, "last", np.random.default_rng(0), notes) is None
    assert choose_folds(y, 1, "best", np.random.default_rng(0), notes) is None
    assert notes == []


def test_unlabelled_rows_count_as_the_common_class_only_where_one_is_rare() -> None:
    assert choose_common_weight("auto", np.array([100, 20]), 50) == 1.0
    assert choose_common_weight("auto", np.array([100, 80]), 50) == 0.0
    assert choose_common_weight("auto", np.array([100, 5, 5]), 50) == 0.0
    assert choose_common_weight(0.3, np.array([100, 80]), 50) == 0.3
    assert choose_common_weight(0.3, np.array([100, 20]), 0) == 0.0
    np.testing.assert_allclose(prior_shift(np.array([50, 50]), 0.0), 0.0, atol=1e-12)


def test_printed_class_weights_are_32_and_64_times_too_small() -> None:
    """Beside a real-or-made head that weighs a half."""
    real, made = class_weights("printed", 2, 128)
    assert (0.5 / real, 0.5 / made) == (32, 64)
    assert class_weights("mean", 2, 128) == (1.0, 0.5)


def test_generators_give_rows_like_the_real_ones() -> None:
    torch.manual_seed(0)
    made = TableGenerator(3, 4, (8,), 2, (3, 2), squash=True, norm=True)(6)
    assert made.shape == (3, 6, 7)
    assert made[..., :2].abs().max() <= 1
    torch.testing.assert_close(made[..., 2:5].sum(dim=2), torch.ones(3, 6))
    images = ImageGenerator((3, 9, 10), 4, (6, 5))(2)
    assert images.shape == (1, 2, 270)
    assert ImageBody((3, 9, 10), (4, 5), "batch", 0.2)(images).shape == (1, 2, 5)


def test_the_other_side_is_left_alone() -> None:
    """The discriminator's turn gives the generator no gradient, and the other way round."""
    from thinfile.generative.sgan_layout import SganLayout

    layout = SganLayout("auto", (8,), 4, "auto", 0.0, 2, 2, 3, (), None, False)
    networks = layout.networks(layout.discriminator())
    own = SganSettings(
        *(2, False, True, False, 1.0, 0.5, 1.0, 0, 1.0, 0.0, 0.9, 0, 0.0, 0.1, None),
        *(1e-3, 1e-3, True, True),
    )
    training = SganTraining(networks, own)
    rows = SganRows(torch.randn(10, 3), torch.arange(10) % 2, torch.randn(30, 3))
    table = ClassTable((np.arange(10) % 2).astype(np.int8), 2, None, 2)
    batch = next(iter(SganBatches(rows, table, 1, 4)))
    terms = training.on_both(batch)
    assert sorted(terms) == ["class", "common", "real_fake"]
    sum(terms.values()).backward()
    assert all(p.grad is None for p in networks["generator"].parameters())
    training.of_generator(batch)["generator"].backward()
    assert all(p.grad is not None for p in networks["generator"].parameters())


def test_learning_rates_fall_to_zero_over_all_turns() -> None:
    from thinfile.generative.sgan_training import _schedule

    schedule = _schedule(2.0, 10, True)
    assert schedule is not None
    assert [schedule(turn) for turn in (0, 5, 10, 99)] == pytest.approx([2.0, 1.0, 0.0, 0.0])
    assert _schedule(2.0, 10, False) is None


def test_batches_may_hold_more_rows_without_labels() -> None:
    rows = SganRows(torch.randn(10, 3), torch.arange(10) % 2, torch.randn(30, 3))
    table = ClassTable(np.tile(np.array([0, 1], dtype=np.int8), 5), 2, None, 2)
    batch = next(iter(SganBatches(rows, table, 1, 4, 12)))
    assert batch.labelled()[0].shape == (2, 4, 3)
    assert batch.unlabelled().shape == (2, 12, 3)


def test_turned_images_keep_their_middle_and_their_ground() -> None:
    from thinfile.generative.sgan_losses import turned

    images = torch.full((1, 4, 81), -1.0)
    images[..., 40] = 1.0  # the middle of 9 x 9
    moved = turned(images, (1, 9, 9), 90.0, fill=-1.0).view(4, 9, 9)
    assert (moved.flatten(1).argmax(1) == 40).all()
    torch.testing.assert_close(moved[:, 0, 0], torch.full((4,), -1.0))
    bar = torch.full((1, 1, 81), -1.0)
    bar.view(9, 9)[4] = 1.0
    assert not torch.equal(turned(bar, (1, 9, 9), 45.0, fill=-1.0), bar)
    assert turned(bar, (1, 9, 9), 0.0, fill=-1.0) is bar
