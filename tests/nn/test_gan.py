"""Networks of GANs beside slow, obvious versions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv2d, interpolate, log_softmax

from thinfile.nn.gan import (
    Blocks,
    ImageDiscriminator,
    ImageGenerator,
    TableDiscriminator,
    TableGenerator,
    UpConvolution,
)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 7), st.integers(1, 6))
def test_up_convolution_is_up_sampling_and_a_convolution_of_five(n_in, n_out, height, width):
    layer = UpConvolution(n_in, n_out)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, n_in, height, width)
    slow = conv2d(interpolate(x, scale_factor=2.0), layer.weight, layer.bias, padding=2)
    torch.testing.assert_close(layer(x), slow, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("normed", [False, True])
def test_input_gradient_is_autograds_and_so_is_the_penaltys(normed):
    torch.manual_seed(0)
    net = TableDiscriminator(7, [6, 5], dropout=0.0, normed=normed).eval()
    x = torch.randn(4, 7, requires_grad=True)
    slow = torch.autograd.grad(net(x).sum(), x, create_graph=True)[0]
    fast = net.input_gradient(x)
    torch.testing.assert_close(fast, slow)
    weights = [p for p in net.parameters() if p.ndim == 2]
    penalties = [(g.norm(dim=1) - 1).square().mean() for g in (slow, fast)]
    for a, b in zip(*[torch.autograd.grad(p, weights) for p in penalties], strict=True):
        torch.testing.assert_close(a, b)


def test_each_columns_codes_sum_to_one_and_follow_their_logits():
    torch.manual_seed(0)
    net = TableGenerator(3, [8], 2, [2, 3, 3])
    raw = torch.randn(1, 10).expand(20_000, -1)
    made = net.squash(raw)
    for start, stop in ((2, 4), (4, 7), (7, 10)):
        part = made[:, start:stop]
        torch.testing.assert_close(part.sum(1), torch.ones(len(raw)))
        share = torch.bincount(part.argmax(1), minlength=stop - start) / len(raw)
        torch.testing.assert_close(share, raw[0, start:stop].softmax(0), atol=0.02, rtol=0)
    torch.testing.assert_close(made[:, :2], raw[:, :2].tanh())


def test_missed_is_the_cross_entropy_of_one_block():
    torch.manual_seed(0)
    net = TableGenerator(3, [8], 2, [2, 3, 4])
    raw = torch.randn(6, 11)
    column, code = torch.tensor([0, 1, 2, 2, 1, 0]), torch.tensor([1, 2, 3, 0, 0, 0])
    starts = [2, 4, 7, 11]
    slow = [
        -log_softmax(row[starts[c] : starts[c + 1]], 0)[k]
        for row, c, k in zip(raw, column.tolist(), code.tolist(), strict=True)
    ]
    torch.testing.assert_close(net.missed(raw, column, code), torch.stack(slow))


def test_blocks_must_be_sorted():
    with pytest.raises(ValueError, match="must be sorted"):
        Blocks([3, 2])


def test_shapes_of_the_reference():
    """Dense 7·7·128, convolutions of 64 and 1; strided ones of 64 and 128; a count by hand."""
    generator, judge = ImageGenerator(100, (1, 28, 28)), ImageDiscriminator((1, 28, 28))
    n_generator = 100 * 6272 + 6272 + 64 * 128 * 25 + 64 + 64 * 25 + 1
    n_judge = 64 * 25 + 64 + 128 * 64 * 25 + 128 + 6272 + 1
    assert sum(p.numel() for p in generator.parameters()) == n_generator
    assert sum(p.numel() for p in judge.parameters()) == n_judge
    images = generator(torch.randn(3, 100))
    assert images.shape == (3, 1, 28, 28)
    assert judge(images).shape == (3,)
    assert generator.first.weight.std().item() == pytest.approx(0.02, rel=0.02)


@settings(max_examples=10, deadline=None)
@given(st.integers(4, 13), st.integers(4, 13), st.sampled_from([1, 3]))
def test_images_of_any_size(height, width, channels):
    shape = (channels, height, width)
    made = ImageGenerator(5, shape, (4, 3), batch_norm=True)(torch.randn(2, 5))
    assert made.shape == (2, *shape)
    assert made.abs().max() <= 1
    assert ImageDiscriminator(shape, (3, 4), batch_norm=True)(made).shape == (2,)


def test_a_projected_class_changes_the_score_of_its_images_only():
    judge = ImageDiscriminator((1, 8, 8), (2, 2), n_classes=3).eval()
    x = torch.randn(2, 1, 8, 8)
    one = judge(x, torch.eye(3)[[0, 1]])
    two = judge(x, torch.eye(3)[[0, 2]])
    assert one[0] == two[0]
    assert one[1] != two[1]
