from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from thinfile.density import density_ratio
from thinfile.errors import DataError
from thinfile.metrics.ranking import roc_auc


def shifted(n: int, shift: float, width: int = 3, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, width))
    rows[:, 0] += shift
    return rows.astype(np.float32)


def test_the_ratio_is_that_of_two_normals() -> None:
    """exp(x − 1/2) is the ratio of N(1, 1) to N(0, 1)."""
    source, target = shifted(4000, 0.0), shifted(4000, 1.0, seed=1)
    found = density_ratio(source, target, C=1.0)
    truth = np.exp(source[:, 0] - 0.5)
    assert np.corrcoef(np.log(found.weight), np.log(truth))[0, 1] > 0.99
    # A mean under the weights is the target's mean.
    assert np.average(source[:, 0], weights=found.weight) == pytest.approx(1.0, abs=0.1)
    assert found.weight.mean() == pytest.approx(1.0)
    assert found.effective_rows == pytest.approx(4000 / np.mean(found.weight**2))
    # P(N(1, 1) > N(0, 1)) = Φ(1 / √2)
    assert found.auc == pytest.approx(0.760, abs=0.02)


def test_it_is_the_slow_loop_over_folds() -> None:
    source, target = shifted(90, 0.0), shifted(60, 0.7, seed=1)
    x, d = np.concatenate([source, target]), np.r_[np.zeros(90, int), np.ones(60, int)]
    log_odds = np.empty(150)
    for train, held in StratifiedKFold(3, shuffle=True, random_state=0).split(x, d):
        model = LogisticRegression(C=0.05, max_iter=200, class_weight="balanced")
        log_odds[held] = model.fit(x[train], d[train]).decision_function(x[held])
    weight = np.exp(log_odds[:90])
    found = density_ratio(source, target)
    np.testing.assert_allclose(found.weight, weight / weight.mean(), rtol=1e-6)
    assert found.auc == pytest.approx(roc_auc(d, log_odds))


def test_equal_populations_have_equal_weights() -> None:
    found = density_ratio(shifted(1000, 0.0), shifted(1000, 0.0, seed=1))
    assert found.effective_rows > 950
    assert found.auc == pytest.approx(0.5, abs=0.05)


def test_weights_are_clipped() -> None:
    source, target = shifted(3000, 0.0), shifted(3000, 4.0, seed=1)
    loose, tight = (density_ratio(source, target, C=10.0, clip=clip) for clip in (1e9, 5.0))
    assert loose.weight.max() > 20
    assert tight.weight.max() < loose.weight.max()
    assert tight.effective_rows > loose.effective_rows
    assert tight.weight.mean() == pytest.approx(1.0)


def test_populations_told_apart_without_fault_stay_finite() -> None:
    found = density_ratio(shifted(200, 0.0), shifted(200, 1000.0, seed=1), C=100.0)
    assert np.isfinite(found.weight).all()
    assert found.auc == 1.0


def test_the_same_random_state_gives_the_same_folds() -> None:
    source, target = shifted(100, 0.0), shifted(100, 0.5, seed=1)
    first, second, other = (density_ratio(source, target, random_state=s) for s in (0, 0, 1))
    assert np.array_equal(first.weight, second.weight)
    assert not np.array_equal(first.weight, other.weight)


def test_a_population_of_two_rows_is_refused() -> None:
    with pytest.raises(DataError, match="2 source and 50 target rows; each population needs"):
        density_ratio(shifted(2, 0.0), shifted(50, 0.0))
