"""Convolutional bodies: shapes of every kind, training and evaluation, messages."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.errors import ParameterError
from thinfile.nn.convolution import ConvDecoder, ConvEncoder


@settings(max_examples=40, deadline=None)
@given(
    channels=st.sampled_from([1, 3]),
    height=st.integers(4, 19),
    width=st.integers(4, 19),
    kernel=st.integers(2, 5),
    norm=st.sampled_from([None, "batch", "layer", "spectral"]),
    enlarge=st.sampled_from(["nearest", "transposed"]),
)
def test_images_of_any_size_come_back_in_their_size(channels, height, width, kernel, norm, enlarge):
    shape = (channels, height, width)
    down = ConvEncoder(shape, (3, 4), 5, kernel=kernel, norm=norm)
    up = ConvDecoder(5, shape, (4, 3), kernel=kernel, norm=norm, enlarge=enlarge, squash="tanh")
    x = torch.randn(2, channels * height * width)
    back = up(down(x))
    assert back.shape == x.shape
    assert float(back.detach().abs().max()) <= 1.0
    back.square().mean().backward()
    assert all(p.grad is not None for p in [*down.parameters(), *up.parameters()])


def test_sizes_halve_upwards_and_features_are_what_the_head_reads():
    body = ConvEncoder((1, 28, 28), (2, 3), 4)
    assert body.sizes == [(28, 28), (14, 14), (7, 7)]
    x = torch.randn(3, 1, 28, 28)
    assert body.features(x).shape == (3, body.n_features) == (3, 3 * 49)
    assert torch.equal(body.head(body.features(x)), body(x.flatten(1)))
    bare = ConvEncoder((1, 9, 5), (2,))
    assert bare.width == bare.n_features == 2 * 5 * 3


def test_a_convolution_sees_a_shifted_image_shifted():
    body = ConvEncoder((1, 16, 16), (2,), kernel=3)
    image = torch.zeros(1, 1, 16, 16)
    image[0, 0, 6, 6] = 1.0
    first = body.features(image).reshape(2, 8, 8)
    second = body.features(image.roll((2, 2), (2, 3))).reshape(2, 8, 8)
    torch.testing.assert_close(first.roll((1, 1), (1, 2))[:, 2:6, 2:6], second[:, 2:6, 2:6])


def test_dropout_acts_in_training_only():
    body = ConvEncoder((1, 8, 8), (4,), 3, dropout=0.5)
    x = torch.randn(4, 64)
    assert not torch.equal(body(x), body(x))
    body.eval()
    assert torch.equal(body(x), body(x))


def test_squashing():
    z = 50 * torch.randn(6, 4)
    plain = ConvDecoder(4, (1, 8, 8), (4,))
    assert plain(z).detach().abs().max() > 1
    up = ConvDecoder(4, (1, 8, 8), (4,), squash="sigmoid")
    squashed = up(z).detach()
    torch.testing.assert_close(torch.sigmoid(up(z, squashed=False)).detach(), squashed)
    assert 0 <= float(squashed.min()) <= float(squashed.max()) <= 1


def test_faults_are_named():
    with pytest.raises(ParameterError, match=r"ConvEncoder: .*kernel=1 must be .*norm='none'"):
        ConvEncoder((1, 8, 8), (4,), kernel=1, norm="none")
    with pytest.raises(ParameterError, match=r"images of 4 × 4 pixels cannot be halved 4 times"):
        ConvDecoder(4, (1, 4, 4), (4, 4, 4, 4))
    with pytest.raises(ParameterError, match=r"must be \(channels, height, width\)"):
        ConvEncoder((1, 1, 8, 8), (4,))
