from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.anomaly.calibrated import ScoreCalibration


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 999), tail=st.floats(0.1, 4.0), turned=st.booleans())
def test_the_order_of_rows_is_kept(seed: int, tail: float, turned: bool) -> None:
    """Also with tails over many powers of ten, and where events score lowest."""
    rng = np.random.default_rng(seed)
    scores = np.exp(tail * rng.normal(size=500))
    y = (scores < np.quantile(scores, 0.1)) if turned else (scores > np.quantile(scores, 0.9))
    fitted = ScoreCalibration.fit(scores, scores[:300], y[:300])
    order = np.argsort(scores)
    probability = fitted.apply(scores[order])
    assert (np.diff(probability) > 0).all()
    assert probability.max() < 1 - 1e-9
    assert fitted.falls == turned


def test_equal_scores_have_the_base_rate() -> None:
    scores, y = np.ones(50), np.r_[np.ones(10), np.zeros(40)]
    np.testing.assert_allclose(
        ScoreCalibration.fit(scores, scores, y).apply(scores), 0.2, atol=0.01
    )


def test_probabilities_are_near_the_rates() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=4000)
    y = rng.random(4000) < 1 / (1 + np.exp(3 - 2 * scores))
    probability = ScoreCalibration.fit(scores, scores, y).apply(scores)
    assert abs(probability.mean() - y.mean()) < 0.01
    top = scores > 1
    assert abs(probability[top].mean() - y[top].mean()) < 0.05
