import pytest
import torch
from torch import nn

from thinfile.errors import ParameterError
from thinfile.nn.blocks import Dense


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "sigmoid", "tanh", "silu", "gelu"])
@pytest.mark.parametrize("norm", [None, "batch", "layer"])
def test_every_hidden_layer_comes_out_and_learns(activation, norm):
    body = Dense(5, [7, 3], activation=activation, norm=norm, dropout=0.2)
    x = torch.randn(6, 5)
    outputs = body.layers(x)
    assert [tuple(hidden.shape) for hidden in outputs] == [(6, 7), (6, 3)]
    assert body.width == 3
    outputs[-1].square().sum().backward()
    assert all(weight.grad is not None for weight in body.parameters())


def test_forward_is_the_last_layer_and_the_layers_chain():
    body = Dense(4, (8, 6, 2), activation="tanh").eval()
    x = torch.randn(3, 4)
    outputs = body.layers(x)
    assert torch.equal(body(x), outputs[-1])
    assert torch.equal(body.hidden[1](outputs[0]), outputs[1])


def test_one_layer_is_activation_of_a_product():
    body = Dense(4, [3], activation="sigmoid")
    linear = body.hidden[0][0]
    x = torch.randn(5, 4)
    torch.testing.assert_close(body(x), torch.sigmoid(x @ linear.weight.T + linear.bias))


def test_without_widths_the_input_is_handed_on():
    x = torch.randn(2, 4)
    body = Dense(4, [])
    assert body(x) is x
    assert body.layers(x) == []
    assert body.width == 4


def test_dropout_only_while_training():
    body = Dense(4, [50], dropout=0.5)
    x = torch.ones(1, 4)
    assert not torch.equal(body(x), body(x))
    body.eval()
    assert torch.equal(body(x), body(x))


def test_initial_scale_keeps_the_variance():
    torch.manual_seed(0)
    x = torch.randn(2000, 200)
    for activation, low, high in (("relu", 0.3, 3.0), ("tanh", 0.05, 1.0)):
        last = Dense(200, [200] * 6, activation=activation)(x)
        assert low < last.square().mean().item() < high


def test_the_global_generator_decides_the_weights():
    torch.manual_seed(3)
    first = Dense(4, [3])
    torch.manual_seed(3)
    second = Dense(4, [3])
    assert torch.equal(
        nn.utils.parameters_to_vector(first.parameters()),
        nn.utils.parameters_to_vector(second.parameters()),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_inputs": 0, "widths": [3]}, "n_inputs=0 must be a whole number ≥ 1"),
        ({"n_inputs": 2, "widths": [3, 0]}, r"widths=\[3, 0\]"),
        ({"n_inputs": 2, "widths": [3], "activation": "step"}, "activation='step' must be one of"),
        ({"n_inputs": 2, "widths": [3], "dropout": 1.0, "norm": "x"}, "dropout=1.0 .*; norm='x'"),
    ],
)
def test_unusable_arguments_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        Dense(**arguments)
