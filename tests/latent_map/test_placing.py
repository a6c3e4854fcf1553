from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from thinfile.latent_map.neighbours import nearest_rows
from thinfile.latent_map.placing import (
    Field,
    affinities,
    place_by_field,
    place_by_neighbours,
)

RNG = np.random.default_rng(3)
POSITIONS = np.vstack([RNG.normal(at, 2.0, (150, 2)) for at in (-12, 0, 14)]).astype(np.float32)
CODES = np.vstack([RNG.normal(at, 1.0, (150, 5)) for at in (-9, 0, 9)]).astype(np.float32)


def test_the_field_is_that_of_the_slow_sum():
    points = RNG.uniform(-15, 15, (40, 2))
    total, push = Field.of(POSITIONS).at(points)
    for point, found, force in zip(points, total, push, strict=True):
        gaps = point - POSITIONS
        near = 1 / (1 + (gaps**2).sum(axis=1))
        wanted = near**2 @ gaps
        assert found == pytest.approx(near.sum(), rel=0.04)
        assert np.abs(force - wanted).max() < 0.05 * near.sum()


@pytest.mark.parametrize("perplexity", [1.5, 5.0, 12.0])
def test_weights_have_the_perplexity_asked_for(perplexity):
    distances = np.sort(RNG.gamma(2.0, size=(50, 40)), axis=1)
    weights = affinities(distances, perplexity)
    entropy = -(weights * np.log(np.maximum(weights, 1e-300))).sum(axis=1)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    np.testing.assert_allclose(np.exp(entropy), perplexity, rtol=1e-4)


def test_equal_distances_weigh_the_same():
    np.testing.assert_allclose(affinities(np.zeros((2, 8)), 5.0), 1 / 8)
    np.testing.assert_allclose(affinities(np.full((2, 8), 3.0), 5.0), 1 / 8)


def loss(point, weights, places):
    """t-SNE's loss of one row, the slow way."""
    near = 1 / (1 + ((point - POSITIONS) ** 2).sum(axis=1))
    at = 1 / (1 + ((point - places) ** 2).sum(axis=1))
    return -(weights * np.log(at)).sum() + np.log(near.sum())


def test_a_row_ends_where_its_own_loss_is_low():
    new = (CODES[::25] + RNG.normal(0, 0.3, (18, 5))).astype(np.float32)
    found = place_by_field(new, CODES, Field.of(POSITIONS), 30.0, n_steps=60)
    rows, distances = nearest_rows(CODES, 15, queries=new)
    weights = affinities(distances.astype(float), 5.0)
    for point, own, w in zip(found, rows, weights, strict=True):
        places = POSITIONS[own].astype(float)
        start = np.median(places, axis=0)
        best = minimize(loss, start, args=(w, places), method="Nelder-Mead")
        assert loss(point, w, places) <= loss(start, w, places) + 1e-6
        # The loss has several dips; a search from the same start may end in a worse one.
        assert loss(point, w, places) <= best.fun + 0.03


def test_rows_do_not_influence_each_other():
    new = (CODES[::10] + 0.1).astype(np.float32)
    field = Field.of(POSITIONS)
    together = place_by_field(new, CODES, field, 30.0)
    alone = np.vstack([place_by_field(row[None], CODES, field, 30.0) for row in new])
    np.testing.assert_allclose(together, alone, atol=2e-3)


def test_a_row_lands_on_its_own_island():
    new = (CODES + RNG.normal(0, 0.2, CODES.shape)).astype(np.float32)
    for found in (
        place_by_field(new, CODES, Field.of(POSITIONS), 30.0),
        place_by_neighbours(new, CODES, POSITIONS),
    ):
        assert np.linalg.norm(found - POSITIONS, axis=1).max() < 12
        assert np.isfinite(found).all()


def test_a_row_far_from_all_still_gets_a_place_on_the_map():
    far = np.full((1, 5), 1e6, dtype=np.float32)
    found = place_by_field(far, CODES, Field.of(POSITIONS), 30.0)
    assert np.abs(found).max() < 40
