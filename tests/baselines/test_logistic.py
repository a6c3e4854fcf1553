from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from thinfile.baselines.logistic import LogisticClassifier, linear_probability


def fit(data: Any, **arguments: Any) -> LogisticClassifier:
    return LogisticClassifier(target_domain="new", **arguments).fit(
        data.X, data.y, domain=data.domain
    )


def wide(model: LogisticClassifier, data: Any) -> np.ndarray:
    encoded = model.encoder_.transform(model.schema_.parse(data.X).frame)
    return model.encoder_.one_hot(encoded).astype(np.float64)


@pytest.mark.parametrize(("rows", "factor"), [("pooled", 1.0), ("pooled", 5.0), ("source", 1.0)])
def test_coefficients_are_those_of_the_penalised_likelihood(
    alike: Any, rows: str, factor: float
) -> None:
    """Minimised by scipy, term by term: weighted log loss and half the squared coefficients / C."""
    model = fit(alike, rows=rows, target_weight=factor, C=0.5)
    chosen = (alike.y >= 0) & ((rows == "pooled") | ~alike.is_target)
    x = np.column_stack([wide(model, alike), alike.is_target])[chosen]
    y = alike.y[chosen]
    weight = np.where(alike.is_target, factor, 1.0)[chosen]

    def loss(beta: np.ndarray) -> float:
        z = x @ beta[:-1] + beta[-1]
        losses = np.logaddexp(0, z) - y * z
        return float(weight @ losses + beta[:-1] @ beta[:-1] / (2 * 0.5))

    best = minimize(loss, np.zeros(x.shape[1] + 1), method="L-BFGS-B", options={"ftol": 1e-14}).x
    np.testing.assert_allclose(model.coef_, best[:-2], atol=5e-3)
    # What is scored belongs to the target, so its column is part of the intercept.
    in_target = best[-2] if rows == "pooled" else 0.0
    assert model.intercept_ == pytest.approx(best[-1] + in_target, abs=5e-3)


def test_scores_are_the_linear_form(alike: Any) -> None:
    model = fit(alike, target_rate=None)
    expected = expit(wide(model, alike) @ model.coef_ + model.intercept_)
    np.testing.assert_allclose(model.predict_proba(alike.X)[:, 1], expected, atol=1e-9)
    assert linear_probability(np.array([[1.0]]), np.array([2.0]), -2.0).tolist() == [0.5]


def test_the_targets_labels_turn_its_own_column(in_conflict: Any) -> None:
    found = {
        rows: fit(in_conflict, rows=rows, target_weight=10.0).coef_[1]
        for rows in ("source", "target", "pooled")
    }
    assert found["source"] > 0 > found["target"]
    assert found["source"] > found["pooled"]


def test_importance_uses_the_density_ratio(populations: Callable[..., Any]) -> None:
    data = populations(n_labels=0, move=1.5)
    plain, weighted = (fit(data, importance=importance) for importance in (False, True))
    assert not np.allclose(plain.coef_, weighted.coef_)
    near = populations(n_labels=0)
    plain, weighted = (fit(near, importance=importance) for importance in (False, True))
    np.testing.assert_allclose(plain.coef_, weighted.coef_, atol=0.1)


def test_a_stronger_penalty_shrinks(alike: Any) -> None:
    norms = [np.linalg.norm(fit(alike, C=C).coef_) for C in (1e-4, 1e-2, 1.0)]
    assert norms == sorted(norms)
    assert norms[0] < 0.2
