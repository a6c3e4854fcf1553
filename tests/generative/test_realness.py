"""What is measured of made rows while a GAN is trained."""

import numpy as np
import pytest

from thinfile.generative.realness import (
    marginal_distance,
    nearest_distances,
    realness,
    repeated,
    spread,
    told_apart,
)


def test_realness_orders_generators():
    rng = np.random.default_rng(0)
    real, same_kind = rng.normal(size=(2, 500, 4))
    scores = [
        realness(real, made)["quality"] for made in (same_kind, same_kind + 0.7, same_kind * 0)
    ]
    assert scores[0] > scores[1] > scores[2]
    assert scores[0] > 0.85
    assert told_apart(real, same_kind) == pytest.approx(0.5, abs=0.1)
    assert told_apart(real, same_kind + 3) > 0.95


def test_marginal_distance_is_scipys():
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(200, 3)), rng.exponential(size=(150, 3))
    slow = np.mean([ks_2samp(x, y).statistic for x, y in zip(a.T, b.T, strict=True)])
    assert marginal_distance(a, b) == pytest.approx(slow)


def test_spread_repeated_and_nearest():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 3))
    assert spread(rows, rows * 0.5) == pytest.approx(0.5)
    assert spread(np.ones((4, 2)), np.ones((4, 2))) == 1.0
    assert repeated(np.repeat(rows[:10], 2, axis=0)) == 1.0
    assert repeated(rows) == 0.0
    slow = [min(np.linalg.norm(a - b) for b in np.delete(rows, k, 0)) for k, a in enumerate(rows)]
    np.testing.assert_allclose(nearest_distances(rows), slow, atol=1e-6)
    close = np.concatenate([rows, rows + 1e-4])
    assert repeated(close, tolerance=0.01) == 1.0
