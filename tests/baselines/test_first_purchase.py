from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad

from thinfile.baselines import first_purchase
from thinfile.baselines.first_purchase import FirstPurchase, fit_first_purchase
from thinfile.errors import DataError


def _simulate(
    c: float, d: float, n: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Visits up to the first purchase or so far, whether bought, and the chance of each."""
    rng = np.random.default_rng(seed)
    chance, made = rng.beta(c, d, n), rng.geometric(0.15, n)
    first = rng.geometric(np.maximum(chance, 1e-12))
    return np.minimum(first, made), first <= made, chance


def test_parameters_of_a_simulation_are_found_again():
    visits, bought, _ = _simulate(0.5, 3.0, 40_000)
    found = fit_first_purchase(visits, bought)
    assert found.c == pytest.approx(0.5, rel=0.1)
    assert found.d == pytest.approx(3.0, rel=0.15)


def test_probabilities_are_those_of_a_simulation():
    visits, bought, chance = _simulate(0.5, 3.0, 200_000)
    law = FirstPurchase(0.5, 3.0)
    for made in (1, 3, 8):
        group = ~bought & (visits == made)
        for further in (1, 4):
            seen = (1 - (1 - chance[group]) ** further).mean()
            assert law.probability(made, further) == pytest.approx(seen, abs=0.01)


def test_the_gradient_is_that_of_the_likelihood():
    visits, bought, _ = _simulate(0.5, 3.0, 50)
    history = (visits - bought, bought.astype(float))
    for theta in np.random.default_rng(0).normal(0, 1, (5, 2)):
        error = check_grad(
            lambda t: first_purchase._loss(t, *history)[0],
            lambda t: first_purchase._loss(t, *history)[1],
            theta,
        )
        assert error < 1e-5


def test_a_customer_without_a_visit_is_refused():
    with pytest.raises(DataError, match="each of 2 customers needs at least one visit"):
        fit_first_purchase([1, 0], [True, False])
