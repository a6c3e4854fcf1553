"""The variational model of windows: densities, draws of any length, gaps, and what is in use."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from thinfile.errors import DataError, ParameterError
from thinfile.metrics.stylised_facts import stylised_facts
from thinfile.sequence.sequence_vae import SequenceVAE
from thinfile.sequence.sequence_vae_network import VAENetwork

SMALL = {"latent": 2, "hidden": 8, "max_epochs": 2, "random_state": 0, "device": "cpu"}


def moves(n: int = 120, steps: int = 20, seed: int = 0) -> np.ndarray:
    """Windows of one spread each: quiet ones and wild ones, and fat tails."""
    rng = np.random.default_rng(seed)
    return np.exp(0.7 * rng.normal(size=(n, 1, 1))) * rng.standard_t(5, size=(n, steps, 1))


@pytest.fixture(scope="module")
def model() -> SequenceVAE:
    return SequenceVAE(**SMALL).fit(moves())


@pytest.mark.parametrize(
    "settings",
    [{}, {"autoregressive": False}, {"likelihood": "normal", "aggregate": "max"}, {"hide": 0.5}],
)
def test_every_form_has_every_role(settings: dict[str, Any]) -> None:
    lengths = np.random.default_rng(1).integers(3, 20, 60)
    windows = [
        w[:k] for w, k in zip(np.dstack([moves(60), moves(60, seed=1)]), lengths, strict=True)
    ]
    windows[2][1, 1] = np.nan
    fitted = SequenceVAE(**{**SMALL, **settings}).fit(windows)
    steps = lengths.max()
    assert fitted.transform(windows).shape == (60, 2)
    assert fitted.reconstruct(windows).shape == (60, steps, 2)
    assert np.isfinite(fitted.score_samples(windows)).all()
    assert np.array_equal(fitted.score_samples(windows), fitted.score_samples(windows))
    assert set(fitted.predict(windows)) <= {-1, 1}
    assert np.isfinite(fitted.fill(windows).values[2, : lengths[2]]).all()
    assert fitted.sample_like(windows[:3], 7, steps=4, random_state=0).shape == (7, 4, 2)
    assert fitted.interpolate(windows[0], windows[1], 3).shape[0] == 3
    assert fitted.walk(0, 3).shape == (3, steps, 2)
    again = SequenceVAE(**{**SMALL, **settings}).fit(windows)
    assert np.array_equal(again.score_samples(windows), fitted.score_samples(windows))


@pytest.mark.parametrize("student", [True, False])
def test_densities_are_those_of_scipy(student: bool) -> None:
    network = VAENetwork(3, 2, 1, 4, student=student)
    x, place, log_scale = torch.randn(3, 5, 3, 2).unbind(0)
    with torch.no_grad():
        found = network.log_density(x, place, log_scale).numpy()
        df = network.df.numpy()
    parts = {"loc": place.numpy(), "scale": np.exp(log_scale.numpy())}
    law = stats.t(df, **parts) if student else stats.norm(**parts)
    assert found == pytest.approx(law.logpdf(x.numpy()), abs=1e-4)


def test_one_call_is_the_same_as_step_by_step() -> None:
    torch.manual_seed(0)
    network = VAENetwork(7, 2, 3, 5)
    x, code = torch.randn(4, 7, 2), torch.randn(4, 3)
    ones = torch.ones_like(x)
    with torch.no_grad():
        place, _ = network.cells(code, x, ones)
        for step in range(7):
            mask = ones.clone()
            mask[:, step] = 0
            single = network.unroll(code, step + 1, draw=False, known=(x, mask))
            assert torch.allclose(single[:, step], place[:, step], atol=1e-5)


def test_the_bound_of_a_code_that_says_nothing_is_the_density(model: SequenceVAE) -> None:
    x = moves(10)
    network = model.network_
    with torch.no_grad():
        for part in network.from_code.parameters():
            part.zero_()
        for part in network.to_code.parameters():
            part.zero_()
    try:
        scaled = torch.from_numpy(((x - model.scaling_.centre) / model.scaling_.width).astype("f4"))
        with torch.no_grad():
            parts = network.cells(torch.zeros(10, 2), scaled, torch.ones_like(scaled))
            density = network.log_density(scaled, *parts).mean((1, 2)).numpy()
        assert model.score_samples(x) == pytest.approx(density, abs=1e-4)
    finally:
        model.fit(moves())


def test_drawn_cells_follow_the_law(model: SequenceVAE) -> None:
    network = VAENetwork(1, 1, 1, 2)
    torch.manual_seed(0)
    place, log_scale = torch.full((40_000, 1, 1), 2.0), torch.full((40_000, 1, 1), math.log(0.5))
    with torch.no_grad():
        drawn = network._value(place, log_scale, draw=True).flatten().numpy()
        df = float(network.df.detach())
    assert stats.kstest(drawn, stats.t(df, loc=2, scale=0.5).cdf).pvalue > 0.001


def test_paths_are_repeatable_and_of_any_length(model: SequenceVAE) -> None:
    first, again = (model.sample(5, 70, random_state=3) for _ in range(2))
    assert first.shape == (5, 70, 1)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, model.sample(5, 70, random_state=4))
    still = SequenceVAE(**{**SMALL, "autoregressive": False}).fit(moves())
    with pytest.raises(ParameterError, match=r"steps=70 must be a whole number in \[1, 20\]"):
        still.sample(5, 70)


def test_fat_tails_and_wild_windows_are_learned() -> None:
    fitted = SequenceVAE(**{**SMALL, "max_epochs": 10, "hidden": 16, "batch_tokens": 400}).fit(
        moves(400)
    )
    facts = stylised_facts(fitted.sample(400, random_state=0))
    assert facts["excess kurtosis"] > 1
    assert facts["autocorrelation of |moves|, lag 1"] > 0.05
    assert facts["volatility of volatility"] > 0.3


def test_free_bits_keep_the_code_in_use() -> None:
    level = np.random.default_rng(0).normal(size=(300, 1, 1)) + np.zeros((300, 10, 1))
    x = level + np.random.default_rng(1).normal(0, 0.1, level.shape)
    settings = {"autoregressive": False, "max_epochs": 12, "batch_tokens": 400}
    used = SequenceVAE(**{**SMALL, **settings}).fit(x)
    assert used.active_units_ >= 1
    along = used.transform(x) @ used.code_axes_[0]
    assert abs(np.corrcoef(along, level[:, 0, 0])[0, 1]) > 0.9
    crushed = SequenceVAE(**{**SMALL, **settings, "beta": 1000.0, "free_bits": 0.0}).fit(x)
    assert crushed.active_units_ == 0
    assert any("units of the code are silent" in note for note in crushed.notes_)


def test_gaps_are_filled_from_what_is_known() -> None:
    level = np.random.default_rng(0).normal(size=(300, 1, 1)) + np.zeros((300, 10, 1))
    x = level.copy()
    x[:, 4:7] = np.nan
    settings = {"max_epochs": 15, "hidden": 16, "hide": 0.5, "batch_tokens": 300}
    filled = SequenceVAE(**{**SMALL, **settings}).fit(level).fill(x).values
    assert np.array_equal(filled[:, :4], x[:, :4].astype(np.float32))
    assert np.square(filled - level)[:, 4:7].mean() < 0.1


def test_state_makes_the_same_model_again_without_pickle(model: SequenceVAE) -> None:
    state = model.get_state()
    state.values = json.loads(json.dumps(state.values))
    again = SequenceVAE(**SMALL).set_state(state)
    x = moves(30, seed=5)
    assert np.array_equal(again.score_samples(x), model.score_samples(x))
    assert np.array_equal(again.sample(3, random_state=0), model.sample(3, random_state=0))
    assert again.active_units_ == model.active_units_


def test_an_unlikely_window_scores_low(model: SequenceVAE) -> None:
    x = moves(30)
    x[4] *= 500
    assert model.score_samples(x).argmin() == 4
    errors = model.errors(x)
    assert errors.window.argmax() == 4
    assert np.nanmean(model.errors(moves()).cells) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1.0, 2.0], []], "SequenceVAE: 1 of 2 windows have length zero"),
        (np.ones((4, 3, 1)), "channel 'channel 0' is constant (1 in all 12 measured cells)"),
        (np.full((4, 3, 1), -np.inf), "12 of 12 cells are infinite"),
    ],
)
def test_bad_windows_are_named(X: Any, message: str) -> None:
    with pytest.raises(DataError) as error:
        SequenceVAE(**SMALL).fit(X)
    assert message in str(error.value)


def test_bad_arguments_are_named_together() -> None:
    with pytest.raises(ParameterError) as error:
        SequenceVAE(beta=-1, drop_past=1.0, likelihood="x").fit(moves(20))
    assert all(name in str(error.value) for name in ("beta=-1", "drop_past=1.0", "likelihood='x'"))
    with pytest.raises(ParameterError, match="latent=21 is above the 20 numbers"):
        SequenceVAE(latent=21).fit(moves(20))
