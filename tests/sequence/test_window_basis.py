"""The basis of windows: principal components where nothing is missing, and events found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.sequence.window_basis import WindowBasis, fit_basis, set_kernel

ALL = slice(None)


def fitted(x: np.ndarray, n_shapes: int, n_events: int = 0, observed: object = None) -> WindowBasis:
    basis = WindowBasis(x.shape[1], x.shape[2], n_shapes, n_events)
    known = np.ones(x.shape, dtype=bool) if observed is None else np.asarray(observed)
    fit_basis(basis, x.astype(np.float32), known, seed=0)
    return basis


def back(basis: WindowBasis, x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        given_ = [torch.from_numpy(a.astype(np.float32)) for a in (np.where(mask, x, 0), mask)]
        return basis.decode(basis.encode(*given_), x.shape[1]).numpy()


def test_whole_windows_come_back_as_from_principal_components() -> None:
    x = np.random.default_rng(0).normal(size=(200, 6, 2)).cumsum(1)
    made = back(fitted(x, 3), x, np.ones(x.shape))
    flat = x.reshape(200, -1)
    parts = np.linalg.svd(flat - flat.mean(0))[2][:3]
    expected = flat.mean(0) + (flat - flat.mean(0)) @ parts.T @ parts
    assert made.reshape(200, -1) == pytest.approx(expected, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99), n_steps=st.integers(2, 8), n_shapes=st.integers(1, 3))
def test_gaps_and_short_windows_are_least_squares_on_what_is_there(
    seed: int, n_steps: int, n_shapes: int
) -> None:
    rng = np.random.default_rng(seed)
    basis = WindowBasis(n_steps, 2, n_shapes)
    with torch.no_grad():
        for part in (basis.mean, basis.shapes):
            part.copy_(torch.from_numpy(rng.normal(size=part.shape)))
    steps = int(rng.integers(1, n_steps + 1))
    x, mask = rng.normal(size=(1, steps, 2)), rng.random((1, steps, 2)) < 0.7
    if mask.sum() <= n_shapes:
        return
    with torch.no_grad():
        given_ = [torch.from_numpy(a.astype(np.float32)) for a in (np.where(mask, x, 0), mask)]
        code = basis.encode(*given_)[0].numpy()
    shapes = basis.shapes.detach().numpy()[:, :steps][:, mask[0]].T
    left = (x[0] - basis.mean.detach().numpy()[:steps])[mask[0]]
    best, *_ = np.linalg.lstsq(shapes, left, rcond=None)
    fit = [np.square(left - shapes @ c).sum() for c in (code, best)]
    assert fit[0] == pytest.approx(fit[1], rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("shape", ["spike", "step"])
def test_planted_events_are_found_in_place_and_size(shape: str) -> None:
    rng = np.random.default_rng(1)
    basis = WindowBasis(20, 1, 0, n_events=2)
    set_kernel(basis, shape)  # type: ignore[arg-type]
    places = np.sort(rng.permuted(np.tile(np.arange(1, 19), (50, 1)), axis=1)[:, :2], axis=1)
    sizes = rng.uniform(3, 6, (50, 2)) * rng.choice([-1, 1], (50, 2))
    at = np.arange(20)
    x = np.zeros((50, 20))
    for k in range(2):
        hit = at == places[:, [k]] if shape == "spike" else at >= places[:, [k]]
        x += sizes[:, [k]] * hit
    made = back(basis, x[..., None], np.ones((50, 20, 1)))
    assert np.median(np.abs(made[..., 0] - x).max(1)) < 1e-3


def test_the_kernel_is_the_one_that_fits_and_gaps_are_filled_by_the_shapes() -> None:
    rng = np.random.default_rng(2)
    jump = (np.arange(12) >= rng.integers(2, 10, (300, 1))) * rng.normal(size=(300, 1))
    assert fitted(jump[..., None], 0, 1).kernel[:, 0].tolist() == [0.0] * 11 + [1.0] * 12
    spike = (np.arange(12) == rng.integers(2, 10, (300, 1))) * rng.normal(size=(300, 1))
    assert fitted(spike[..., None], 0, 1).kernel.detach().sum() == 1.0
    line = np.linspace(-1, 1, 12) * rng.normal(size=(300, 1))
    mask = rng.random(line.shape) < 0.6
    made = back(
        fitted(line[..., None], 1, observed=mask[..., None]), line[..., None], mask[..., None]
    )
    assert np.abs(made[..., 0] - line)[mask.sum(1) > 4].mean() < 0.05


def test_a_place_between_two_steps_is_a_mixture_of_both() -> None:
    basis = WindowBasis(5, 1, 0, 1)
    set_kernel(basis, "spike")
    with torch.no_grad():
        made = basis.decode(torch.tensor([[2 * 1.25 / 4 - 1, 8.0]]), 5)[0, :, 0]
    assert made.tolist() == pytest.approx([0.0, 6.0, 2.0, 0.0, 0.0])


def test_wide_windows_use_the_approximate_components() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 400))
    made = back(fitted(x.reshape(60, 200, 2), 2), x.reshape(60, 200, 2), np.ones((60, 200, 2)))
    assert made.reshape(60, -1) == pytest.approx(x, abs=0.02)
    few = fitted(x[:1].reshape(1, 200, 2), 3)
    assert torch.isfinite(few.shapes).all()
