"""The network's parts against slow and obvious versions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from thinfile.generative.vae_bound import (
    drawn_bound,
    error_of_rows,
    importance_bound,
)
from thinfile.generative.vae_layout import VAELayout
from thinfile.generative.vae_network import VAENetwork, hide_labels, kl_per_unit
from thinfile.nn.active_units import active_units, silent_units

LAYOUT = VAELayout(
    smooth=(0, 2), flags=(1,), codes=(0, 1), given_numbers=(), given_codes=(),
    cardinalities=(3, 5), has_label=True,
)  # fmt: skip


def network(**changes: Any) -> VAENetwork:
    torch.manual_seed(0)
    arguments = {
        "latent_size": 2, "widths": (8, 4), "activation": "tanh", "number_loss": "gaussian",
        "squash": False, **changes,
    }  # fmt: skip
    return VAENetwork(LAYOUT, **arguments).eval()


def batch(n: int = 6) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    numbers = torch.randn(n, 3)
    numbers[:, 2] = torch.randint(0, 2, (n,))
    codes = torch.stack([torch.randint(0, 3, (n,)), torch.randint(0, 5, (n,))], dim=1)
    condition = functional.one_hot(torch.randint(0, 2, (n,)), 2).float()
    return {"numbers": numbers, "codes": codes, "condition": condition}


def test_the_first_layer_is_one_on_one_hot_columns() -> None:
    net, rows = network(), batch()
    one_hot = torch.cat(
        [functional.one_hot(rows["codes"][:, i], c) for i, c in enumerate((3, 5))], 1
    )
    wide = torch.cat([rows["numbers"], rows["condition"], one_hot.float()], dim=1)
    weight = torch.cat([net.input.weight, net.input.table.T], dim=1)
    expected = torch.tanh(wide @ weight.T + net.input.bias)
    torch.testing.assert_close(net.input(rows), expected)


def test_losses_column_by_column() -> None:
    net, rows = network(), batch()
    with torch.no_grad():
        net.log_spread.copy_(torch.tensor([0.3, -0.7]))
    made = net.decode(torch.randn(6, 2), rows["condition"])
    smooth, flags, codes = net.losses(made, rows)
    for column in range(2):
        law = torch.distributions.Normal(made.smooth[:, column], net.log_spread.exp()[column])
        torch.testing.assert_close(smooth[:, column], -law.log_prob(rows["numbers"][:, column]))
    law2 = torch.distributions.Bernoulli(logits=made.flags[:, 0])
    torch.testing.assert_close(flags[:, 0], -law2.log_prob(rows["numbers"][:, 2]))
    for column, logits in enumerate(made.logits.split([3, 5], dim=1)):
        expected = functional.cross_entropy(logits, rows["codes"][:, column], reduction="none")
        torch.testing.assert_close(codes[:, column], expected)


def test_divergence_is_that_of_two_normals() -> None:
    mean, log_variance = torch.randn(5, 3), torch.randn(5, 3)
    law = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    prior = torch.distributions.Normal(torch.zeros(5, 3), torch.ones(5, 3))
    expected = torch.distributions.kl_divergence(law, prior)
    torch.testing.assert_close(kl_per_unit(mean, log_variance), expected)


def test_importance_bound_against_a_loop_over_densities() -> None:
    net, rows = network(), batch(3)
    draws = torch.randn(4, 2)
    found = importance_bound(net, rows, draws)
    mean, log_variance = net.encode(rows)
    for row in range(3):
        single = {name: value[row : row + 1] for name, value in rows.items()}
        deviation = torch.exp(0.5 * log_variance[row])
        weights = []
        for draw in draws:
            code = mean[row] + deviation * draw
            prior = torch.distributions.Normal(0.0, 1.0).log_prob(code).sum()
            posterior = torch.distributions.Normal(mean[row], deviation).log_prob(code).sum()
            weights.append(-error_of_rows(net, single, code[None])[0] + prior - posterior)
        expected = torch.logsumexp(torch.stack(weights), 0) - math.log(4)
        torch.testing.assert_close(found[row], expected)


def test_more_draws_make_the_bound_tighter() -> None:
    torch.manual_seed(3)
    net, rows = network(), batch(200)
    one = drawn_bound(net, rows).mean()
    many = importance_bound(net, rows, torch.randn(200, 2)).mean()
    assert many > one


def test_a_linear_model_reaches_its_known_likelihood() -> None:
    """A linear VAE is probabilistic PCA: its best bound is a closed form (Lucas et al. 2019)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1_000, 1)) @ np.array([[1.0, 2.0, -1.0]]) + 0.5 * rng.normal(
        size=(1_000, 3)
    )
    covariance = np.cov(x.T)
    values = np.sort(np.linalg.eigvalsh(covariance))[::-1]
    noise = values[1:].mean()
    best = -0.5 * (3 * math.log(2 * math.pi) + math.log(values[0]) + 2 * math.log(noise) + 3)
    from thinfile.generative.vae import VAE

    model = VAE(
        latent_size=1, widths=(16,), scaling="standard", max_epochs=40, batch_size=100,
        learning_rate=1e-2, random_state=0, warm_up_epochs=0, validation_fraction=0,
        n_importance_samples=50, device="cpu",
    ).fit(x)  # fmt: skip
    # Scores are densities of standardised numbers.
    bound = model.score_samples(x).mean() - np.log(x.std(axis=0)).sum()
    assert bound == pytest.approx(best, abs=0.06)


def test_active_units() -> None:
    means = torch.stack([torch.randn(500), 0.05 * torch.randn(500), torch.zeros(500)], dim=1)
    assert active_units(means) == 1
    assert active_units(means[:1]) == 0
    assert silent_units(2, 2) == []
    assert silent_units(1, 3)[0].startswith("2 of the 3 units of the code are silent: a code of 1")
    assert "depends on chance alone" in silent_units(0, 3)[0]


def test_hidden_labels_are_zero_and_the_rest_stays() -> None:
    torch.manual_seed(0)
    condition = torch.ones(4_000, 5)
    hidden = hide_labels(condition, 0.25)
    assert (hidden[:, 2:] == 1).all()
    assert torch.equal(hidden[:, 0], hidden[:, 1])
    assert float(hidden[:, 0].mean()) == pytest.approx(0.75, abs=0.03)


def test_draws_follow_the_decoder() -> None:
    net = network()
    net.residuals.copy_(torch.linspace(-1, 1, 65)[:, None].repeat(1, 2))
    net.learn_codes(torch.tensor([[0, 0], [1, 3], [2, 4]]))
    with torch.no_grad():
        made = net.decode(torch.zeros(20_000, 2), torch.zeros(20_000, 2))
    torch.manual_seed(0)
    numbers, codes = net.draw(made)
    off = numbers[:, :2] - made.smooth
    assert off.abs().max() <= 1
    assert float(off.std()) == pytest.approx(1 / math.sqrt(3), abs=0.01)  # uniform on ±1
    assert float(numbers[:, 2].mean()) == pytest.approx(float(made.flags[0].sigmoid()), abs=0.015)
    shares = torch.softmax(made.logits[0, :3], 0)
    for code in range(3):
        assert float((codes[:, 0] == code).float().mean()) == pytest.approx(
            float(shares[code]), abs=0.015
        )
    assert set(codes[:, 1].unique().tolist()) == {0, 3, 4}  # codes that training did not have
    plain, _ = net.draw(made, noise=False)
    torch.testing.assert_close(plain[:, :2], made.smooth)


def test_layout_puts_columns_back() -> None:
    from thinfile.data.encode import Encoded

    layout = VAELayout((0, 3), (1,), (1,), (2,), (0,), (2, 4), False)
    raw = Encoded(
        np.arange(8, dtype=np.float32).reshape(2, 4), np.array([[1, 3], [0, 2]], dtype=np.int32)
    )
    rows = layout.tensors(raw)
    assert rows["numbers"].tolist() == [[0, 3, 1], [4, 7, 5]]
    assert rows["condition"].tolist() == [[2, 0, 1], [6, 1, 0]]
    back = layout.encoded(rows["numbers"], rows["codes"], raw)
    np.testing.assert_array_equal(back.numbers, raw.numbers)
    np.testing.assert_array_equal(back.codes, raw.codes)
    assert VAELayout.from_state(layout.to_state()) == layout
