"""The LSTM autoencoder: its roles, windows of unequal length, gaps, state and bad input."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from thinfile.data.datasets import data_folder
from thinfile.data.windows import Windows, make_windows
from thinfile.errors import ArtifactError, DataError, ParameterError
from thinfile.sequence.lstm_autoencoder import LSTMAutoencoder
from thinfile.sequence.window_network import LSTMNetwork

STILL = {"learning_rate": 1e-12, "max_epochs": 1}
SMALL = {"latent": 3, "hidden": 8, "max_epochs": 2, "random_state": 0, "device": "cpu"}


def waves(n: int, steps: int = 16, seed: int = 0) -> np.ndarray:
    """Two channels: a wave of any phase and size, and its slope."""
    rng = np.random.default_rng(seed)
    phase, size = rng.uniform(0, 6.3, (n, 1)), rng.uniform(0.5, 2, (n, 1))
    time = np.linspace(0, 6.3, steps) + phase
    clean = np.stack([size * np.sin(time), size * np.cos(time)], axis=2)
    return clean + rng.normal(0, 0.05, clean.shape)


def uneven(n: int, seed: int = 0) -> list[np.ndarray]:
    lengths = np.random.default_rng(seed).integers(4, 17, n)
    return [w[:length] for w, length in zip(waves(n, seed=seed), lengths, strict=True)]


@pytest.fixture(scope="module")
def model() -> LSTMAutoencoder:
    return LSTMAutoencoder(**SMALL).fit(waves(150))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"linear": False},
        {"decoder": "feedback"},
        {"decoder": "feedback", "linear": False},
        {"events": 1},
        {"decoder": "reference", "linear": False},
        {"hide": 0.5, "scaling": "robust", "aggregate": "max"},
    ],
)
def test_every_form_has_every_role(settings: dict[str, Any]) -> None:
    windows = uneven(60)
    fitted = LSTMAutoencoder(**{**SMALL, **settings}).fit(windows)
    assert fitted.transform(windows).shape == (60, 3)
    made = fitted.reconstruct(windows)
    assert made.shape == (60, 16, 2)
    lengths = np.array([len(w) for w in windows])
    assert np.array_equal(np.isfinite(made[..., 0]).sum(1), lengths)
    scores = fitted.score_samples(windows)
    assert np.array_equal(fitted.decision_function(windows), scores - fitted.offset_)
    assert set(fitted.predict(windows)) <= {-1, 1}
    assert fitted.sample(4, 9, random_state=1).shape == (4, 9, 2)
    assert fitted.interpolate(windows[0], windows[1], 5).shape[0] == 5
    assert fitted.walk(1, 3, window=windows[2]).shape == (3, 16, 2)
    again = LSTMAutoencoder(**{**SMALL, **settings}).fit(windows)
    assert np.array_equal(again.score_samples(windows), scores)


def test_before_training_it_is_principal_components() -> None:
    x = waves(200)
    still = LSTMAutoencoder(**{**SMALL, "learning_rate": 1e-12, "max_epochs": 1}).fit(x)
    scaled = ((x - x.mean((0, 1))) / x.std((0, 1))).reshape(200, -1)
    parts = np.linalg.svd(scaled - scaled.mean(0))[2][:3]
    expected = scaled.mean(0) + (scaled - scaled.mean(0)) @ parts.T @ parts
    expected = expected.reshape(x.shape) * x.std((0, 1)) + x.mean((0, 1))
    assert still.reconstruct(x) == pytest.approx(expected, abs=2e-2)


def left_by(x: np.ndarray, **settings: Any) -> float:
    fitted = LSTMAutoencoder(**{**SMALL, **settings}).fit(x)
    return float(np.square(fitted.reconstruct(x) - x).mean())


def test_training_goes_beyond_components_where_windows_lie_on_a_curve() -> None:
    centre = np.random.default_rng(0).uniform(2, 13, (300, 1, 1))
    bumps = np.exp(-np.square(np.arange(16)[:, None] - centre) / 4)
    assert left_by(bumps, max_epochs=25, hidden=16) < 0.7 * left_by(bumps, **STILL)


def test_where_training_does_not_help_the_components_are_kept() -> None:
    noise = np.random.default_rng(0).normal(size=(200, 6, 1))
    settings = {"max_epochs": 1, "learning_rate": 3.0}
    fitted = LSTMAutoencoder(**{**SMALL, **settings}).fit(noise)
    assert "training did not improve on its start" in fitted.notes_[0]
    assert left_by(noise, **settings) == pytest.approx(left_by(noise, **STILL))


def test_filling_reaches_no_result(model: LSTMAutoencoder) -> None:
    windows = uneven(40)
    together = model.transform(windows)
    alone = np.concatenate([model.transform([w]) for w in windows])
    assert together == pytest.approx(alone, abs=1e-4)
    assert model.errors(windows).window == pytest.approx(
        np.concatenate([model.errors([w]).window for w in windows]), rel=1e-3
    )
    made = model.reconstruct(windows)
    assert made[3, : len(windows[3])] == pytest.approx(model.reconstruct([windows[3]])[0], abs=1e-4)


def test_feeding_back_is_one_step_after_the_other() -> None:
    torch.manual_seed(0)
    network = LSTMNetwork(6, 2, 3, 4, linear=False, feedback=True)
    code = torch.randn(5, 3)
    with torch.no_grad():
        lifted = network.from_code(code)
        state, cell, out, parts = torch.tanh(lifted), torch.zeros(5, 4), torch.zeros(5, 2), []
        for _ in range(6):
            x = torch.cat([lifted, out], dim=1)
            weights = network.decoder
            gates = x @ weights.weight_ih_l0.T + weights.bias_ih_l0
            gates = gates + state @ weights.weight_hh_l0.T + weights.bias_hh_l0
            i, f, g, o = gates.chunk(4, dim=1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            state = torch.sigmoid(o) * torch.tanh(cell)
            out = network.out(state)
            parts.append(out)
        assert torch.allclose(network.decode(code, 6), torch.stack(parts, 1), atol=1e-5)


def test_errors_are_means_of_cells_and_one_is_usual(model: LSTMAutoencoder) -> None:
    x = waves(150)
    x[0, 2, 1] = np.nan
    errors = model.errors(x)
    assert np.isnan(errors.cells[0, 2, 1])
    assert errors.window[0] == pytest.approx(np.nanmean(errors.cells[0]))
    assert errors.step[0, 2] == errors.cells[0, 2, 0]
    assert errors.channel[5] == pytest.approx(errors.cells[5].mean(0))
    assert np.nanmean(errors.cells) == pytest.approx(1, abs=0.02)
    assert model.score_samples(x) == pytest.approx(-errors.window)


def test_a_wrong_stretch_is_found_with_its_step_and_channel() -> None:
    table = {
        "who": np.repeat(np.arange(40), 16),
        "day": np.tile(np.arange(16), 40),
        "up": waves(40)[..., 0].ravel(),
        "slope": waves(40)[..., 1].ravel(),
    }
    table["slope"][7 * 16 + 5] += 6.0
    windows = make_windows(table, "who", "day", ["up", "slope"], 16)
    # Two numbers tell a wave; a third would go to the stretch that is to be found.
    fitted = LSTMAutoencoder(**{**SMALL, "latent": 2}).fit(windows)
    worst = fitted.errors(windows).worst(3)
    row = worst.row(0, named=True)
    assert (row["entity"], row["step"], row["row"], row["channel"]) == (7, 5, 117, "slope")
    assert row["error slope"] > 10 * row["error up"]
    assert fitted.predict(windows)[7] == -1
    overlapping = make_windows(table, "who", "day", ["up", "slope"], 8, 4)
    listed = LSTMAutoencoder(**SMALL).fit(overlapping).errors(overlapping).worst(640)
    assert listed["row"].n_unique() == listed.height == 640


def test_gaps_are_filled_and_measured_cells_stay() -> None:
    x, truth = waves(200, seed=1), waves(200, seed=1)
    x[:, 5:9, 0] = np.nan
    fitted = LSTMAutoencoder(**{**SMALL, "max_epochs": 5, "hide": 0.5}).fit(waves(300))
    filled = fitted.fill(x)
    assert isinstance(filled, Windows)
    assert filled.observed.all()
    known = ~np.isnan(x)
    assert np.array_equal(filled.values[known], x[known].astype(np.float32))
    wrong = np.square(filled.values - truth)[:, 5:9, 0].mean()
    assert wrong < 0.2 * truth[:, 5:9, 0].var()


def test_the_line_between_two_windows_has_their_codes_at_its_ends(model: LSTMAutoencoder) -> None:
    x = waves(20)
    line = model.interpolate(x[0], x[1], 3)
    ends = model.decode(model.transform(x[:2]))
    assert line[[0, 2]] == pytest.approx(ends, abs=1e-4)
    assert line[1] == pytest.approx(model.decode(model.transform(x[:2]).mean(0, keepdims=True))[0])
    walk = model.walk(0, 5, span=1.0)
    assert walk[2] == pytest.approx(model.decode(model.code_mean_[None])[0], abs=1e-4)


def test_state_makes_the_same_model_again_without_pickle(model: LSTMAutoencoder) -> None:
    state = model.get_state()
    state.values = json.loads(json.dumps(state.values))
    again = LSTMAutoencoder(**SMALL).set_state(state)
    x = waves(30, seed=5)
    assert np.array_equal(again.score_samples(x), model.score_samples(x))
    assert np.array_equal(again.transform(x), model.transform(x))
    assert np.array_equal(again.predict(x), model.predict(x))
    del state.arrays["out.bias"]
    with pytest.raises(ArtifactError, match=r"weights do not fit LSTMAutoencoder.*out\.bias"):
        LSTMAutoencoder(**SMALL).set_state(state)


def test_the_global_generators_and_the_data_are_left_alone() -> None:
    x = waves(40)
    before, torch_before, copy = np.random.get_state()[1].copy(), torch.get_rng_state(), x.copy()  # noqa: NPY002
    LSTMAutoencoder(**SMALL).fit(x)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert np.array_equal(x, copy)


def test_the_reference_stays_within_one_deviation() -> None:
    x = waves(60) * 10
    fitted = LSTMAutoencoder.reference(max_epochs=1, random_state=0, scaling="none").fit(x)
    assert np.abs(fitted.reconstruct(x)).max() <= 1
    assert fitted.get_params()["decoder"] == "reference"


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1.0], []], "LSTMAutoencoder: 1 of 2 windows have length zero (first: window 1)"),
        (np.full((3, 4, 1), np.inf), "channel 'channel 0': 12 of 12 cells are infinite"),
        (
            np.dstack([waves(9)[..., :1], np.full((9, 16, 1), 2.0)]),
            "channel 'channel 1' is constant (2 in all 144 measured cells): leave such channels",
        ),
        (
            np.dstack([waves(9)[..., :1], np.full((9, 16, 1), np.nan)]),
            "channel 'channel 1' has no measured cell",
        ),
        ([waves(1)[0], np.full((2, 2), np.nan)], "1 of 2 windows hold no measured cell (first: wi"),
        ([np.zeros((2, 1)), np.zeros((2, 2))], "windows differ in their number of channels"),
    ],
)
def test_bad_windows_are_named(X: Any, message: str) -> None:
    with pytest.raises(DataError) as error:
        LSTMAutoencoder(**{**SMALL, "latent": 1}).fit(X)
    assert message in str(error.value)


def test_windows_that_do_not_fit_the_model_are_named(model: LSTMAutoencoder) -> None:
    with pytest.raises(DataError, match="X has 1 channels, the model was fitted on 2"):
        model.transform(waves(3)[..., :1])
    with pytest.raises(
        DataError, match=r"longer than the 16 steps .*\(first: window 0, 20 steps\)"
    ):
        model.transform(waves(3, 20))
    with pytest.raises(ParameterError, match=r"steps=17 must be a whole number in \[1, 16\]"):
        model.sample(2, 17)
    with pytest.raises(ParameterError, match="direction=3 must be"):
        model.walk(3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent": 33}, "latent=33 is above the 32 numbers of the longest window (16 steps of 2"),
        ({"latent": 3, "events": 2}, "events=2 need 4 numbers of the code, but latent=3"),
        ({"decoder": "reference"}, "decoder='reference' goes with linear=False and events=0"),
        ({"latent": 0, "hide": 2, "decoder": "x"}, "latent=0 must be"),
    ],
)
def test_bad_arguments_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as error:
        LSTMAutoencoder(**{**SMALL, **settings}).fit(waves(20))
    assert message in str(error.value)


def test_few_windows_and_single_steps_are_legal() -> None:
    one = LSTMAutoencoder(**{**SMALL, "latent": 1}).fit([np.array([1.0, 2.0, 4.0])])
    assert one.predict([[1.0]]).shape == (1,)
    steps = LSTMAutoencoder(**{**SMALL, "latent": 1}).fit(
        np.random.default_rng(0).normal(size=(30, 1))
    )
    assert np.isfinite(steps.score_samples([[0.5]])).all()


def test_share_moves_are_told_better_by_events_than_by_components() -> None:
    try:
        folder = data_folder()
    except DataError as reason:
        pytest.skip(str(reason))
    import polars as pl

    table = pl.read_parquet(folder / "djia30.parquet").sort("Name", "Date")
    table = table.with_columns(move=pl.col("Close").log().diff().over("Name")).drop_nulls("move")
    early, later = (
        make_windows(table.filter(part), "Name", "Date", ["move"], 30, 60, min_length=30)
        for part in (pl.col("Date") < "2014", pl.col("Date") >= "2015")
    )
    left = []
    for events in (0, 2):
        fitted = LSTMAutoencoder(**{**SMALL, **STILL, "latent": 4, "events": events}).fit(early)
        left.append(np.square(fitted.reconstruct(later) - later.values).mean())
    # 0.87 and 0.54 of the variance in all windows of later years.
    assert left[1] < 0.75 * left[0]
