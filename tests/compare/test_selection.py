"""Evidence for model selection: against slow loops, and against truths that are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit, logsumexp, softmax

from thinfile.compare import selection
from thinfile.compare.selection import (
    dev_risk,
    effective_size,
    importance_weighted_validation,
    mean_auc_influence,
    paired_auc_difference,
    row_log_loss,
    soft_neighbourhood_density,
)
from thinfile.errors import DataError, ParameterError
from thinfile.metrics.ranking import roc_auc


def shifted(n, seed):
    """Source and target of one law P(y|x) with customers at 0 and at 1; and the true ratio."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, n)
    z = rng.normal(1, 1, n)
    y, target_y = rng.random(n) < expit(2 * x - 1), rng.random(n) < expit(2 * z - 1)
    return x, y.astype(int), z, target_y.astype(int), np.exp(x - 0.5)


def test_weighted_validation_finds_the_target_loss_that_the_source_hides():
    x, y, z, target_y, ratio = shifted(60_000, 0)
    found = importance_weighted_validation(y, expit(x), ratio)
    target_loss = row_log_loss(target_y, expit(z)).mean()
    source_loss = row_log_loss(y, expit(x)).mean()
    assert abs(found.log_loss - target_loss) < 4 * found.log_loss_error < 0.02
    assert abs(source_loss - target_loss) > 0.03
    assert abs(found.auc - roc_auc(target_y, expit(z))) < 4 * found.auc_error < 0.03
    # E w² = e for unit normals one apart, so a share 1/e of the rows counts.
    assert_allclose(found.effective_rows / 60_000, np.exp(-1), rtol=0.15)
    assert 0 < found.effective_events < found.effective_rows


def test_weighted_validation_with_equal_weights_is_the_plain_one():
    x, y, *_ = shifted(500, 1)
    p = expit(x)
    found = importance_weighted_validation(y, p, np.full(500, 3.0))
    assert_allclose(found.log_loss, row_log_loss(y, p).mean())
    assert_allclose(found.auc, roc_auc(y, p))
    assert_allclose(found.effective_rows, 500)
    assert_allclose(found.effective_events, y.sum())


def test_weighted_errors_match_a_bootstrap():
    x, y, _, _, ratio = shifted(800, 2)
    p = expit(x)
    found = importance_weighted_validation(y, p, ratio)
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 800, 800) for _ in range(400)]
    again = [importance_weighted_validation(y[r], p[r], ratio[r]) for r in rows]
    assert_allclose(found.log_loss_error, np.std([a.log_loss for a in again]), rtol=0.2)
    assert_allclose(found.auc_error, np.std([a.auc for a in again]), rtol=0.2)


@pytest.mark.parametrize(
    ("y", "p", "w", "text"),
    [
        ([0, 0], [0.1, 0.2], [1, 1], "0 rows of class 1"),
        ([0, 1], [0.1, 1.2], [1, 1], "outside"),
        ([0, 1], [0.1, 0.2], [1, -1], "negative"),
        ([0, 1], [0.1, 0.2], [1], "1 rows and y has 2"),
    ],
)
def test_weighted_validation_refuses(y, p, w, text):
    with pytest.raises(DataError, match=text):
        importance_weighted_validation(y, p, w)


def test_dev_takes_variance_down_and_keeps_the_mean():
    plain, controlled, truth = [], [], []
    for seed in range(60):
        x, y, z, target_y, ratio = shifted(1500, seed)
        found = dev_risk(row_log_loss(y, expit(0.2 * x)), ratio)
        plain.append(found.plain)
        controlled.append(found.risk)
        truth.append(row_log_loss(target_y, expit(0.2 * z)).mean())
    assert np.std(controlled) < 0.85 * np.std(plain)
    assert abs(np.mean(controlled) - np.mean(truth)) < 3 * np.std(controlled) / np.sqrt(60) + 0.005


def test_dev_by_hand():
    loss, weight = np.array([1.0, 2.0, 4.0]), np.array([0.5, 1.0, 2.0])
    wl = weight * loss  # 0.5, 2, 8
    eta = -np.cov(wl, weight)[0, 1] / np.var(weight, ddof=1)
    found = dev_risk(loss, weight)
    assert_allclose(found.control, eta)
    assert_allclose(found.risk, wl.mean() + eta * weight.mean() - eta)
    assert_allclose(found.plain, 3.5)


def test_dev_with_equal_weights_is_the_mean():
    assert dev_risk([1.0, 3.0], [1.0, 1.0]).risk == 2.0


def test_dev_needs_two_rows():
    with pytest.raises(DataError, match="at least 2"):
        dev_risk([1.0], [1.0])


def slow_density(p, temperature):
    table = np.stack([1 - p, p], axis=1)
    total = 0.0
    for i, row in enumerate(table):
        like = [
            row @ other / np.linalg.norm(row) / np.linalg.norm(other) / temperature
            for j, other in enumerate(table)
            if j != i
        ]
        share = softmax(like)
        total += -(share * (np.array(like) - logsumexp(like))).sum()
    return total / len(table)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=30),
    st.floats(0.01, 2.0),
)
def test_density_equals_the_slow_loop(p, temperature):
    found = soft_neighbourhood_density(p, temperature=temperature)
    assert_allclose(found, slow_density(np.array(p), temperature), atol=1e-9)
    assert -1e-9 <= found <= np.log(len(p) - 1) + 1e-9


def test_density_in_blocks(monkeypatch):
    p = np.random.default_rng(0).random(300)
    whole = soft_neighbourhood_density(p)
    monkeypatch.setattr(selection, "BLOCK_ROWS", 64)
    assert_allclose(soft_neighbourhood_density(p), whole)


def test_density_is_higher_for_tight_groups_of_predictions():
    rng = np.random.default_rng(0)
    tight = np.repeat([0.05, 0.95], 200) + rng.uniform(-0.01, 0.01, 400)
    assert soft_neighbourhood_density(tight) > soft_neighbourhood_density(rng.random(400)) + 0.02


def test_density_takes_class_tables_and_limits_rows():
    p = np.random.default_rng(0).random(50)
    table = np.stack([1 - p, p], axis=1)
    assert_allclose(soft_neighbourhood_density(table), soft_neighbourhood_density(p))
    assert soft_neighbourhood_density(p, max_rows=10) <= np.log(9)


@pytest.mark.parametrize(
    ("p", "options", "error"),
    [
        ([0.5], {}, DataError),
        ([0.5, 2.0], {}, DataError),
        ([0.5, np.nan], {}, DataError),
        ([[0.0, 0.0], [0.5, 0.5]], {}, DataError),
        ([0.5, 0.5], {"temperature": 0.0}, ParameterError),
        ([0.5, 0.5], {"max_rows": 1}, ParameterError),
    ],
)
def test_density_refuses(p, options, error):
    with pytest.raises(error):
        soft_neighbourhood_density(p, **options)


def slow_delong(y, first, second):
    """The difference and its standard error by pairs, as the paper writes it."""
    places = []
    for score in (first, second):
        kernel = (score[y == 1][:, None] > score[y == 0]) + 0.5 * (
            score[y == 1][:, None] == score[y == 0]
        )
        places.append((kernel.mean(axis=1), kernel.mean(axis=0), kernel.mean()))
    variance = sum(
        np.var(places[0][side] - places[1][side], ddof=1) / len(places[0][side]) for side in (0, 1)
    )
    return places[0][2] - places[1][2], np.sqrt(variance)


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 40), st.integers(0, 10_000))
def test_paired_difference_equals_delong(n, seed):
    rng = np.random.default_rng(seed)
    y = np.r_[0, 0, 1, 1, rng.integers(0, 2, n)]
    first, second = rng.integers(0, 6, (2, len(y))) * 1.0
    found = paired_auc_difference(y, first, second)
    difference, error = slow_delong(y, first, second)
    assert_allclose(found.difference, difference, atol=1e-12)
    assert_allclose(found.standard_error, error, atol=1e-12)


def test_repeats_are_averaged_before_the_spread_is_taken():
    rng = np.random.default_rng(0)
    y = np.r_[np.zeros(60), np.ones(40)]
    base = y + rng.normal(size=100)
    repeats = base + rng.normal(0, 1, (20, 100))
    one = mean_auc_influence(y, repeats[0])[1]
    many = mean_auc_influence(y, repeats)[1]
    assert np.sum(many**2) < np.sum(one**2)
    same = paired_auc_difference(y, repeats, repeats)
    assert (same.difference, same.standard_error) == (0.0, 0.0)


def test_influence_needs_two_of_each():
    with pytest.raises(DataError, match="two of each"):
        mean_auc_influence([0, 0, 1], [0.1, 0.2, 0.3])


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=20))
def test_effective_size_lies_between_one_and_the_rows(weights):
    size = effective_size(np.array(weights))
    assert 1 - 1e-9 <= size <= len(weights) + 1e-9


def test_effective_size_without_weight_is_zero():
    assert effective_size(np.zeros(3)) == 0.0
