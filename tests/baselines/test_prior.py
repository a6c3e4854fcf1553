from __future__ import annotations

import numpy as np
import pytest

from thinfile.baselines.prior import PriorClassifier


def test_everybody_gets_the_base_rate_of_the_labelled_rows(alike):
    known = alike.y >= 0
    rows, y = alike.X.filter(known), alike.y[known]
    model = PriorClassifier().fit(rows, y, domain=["new"] * len(y))
    assert model.rate_ == pytest.approx(y.mean())
    np.testing.assert_allclose(model.predict_proba(alike.X)[:, 1], y.mean())


def test_few_labels_of_the_target_move_it_to_the_base_rate_of_the_target():
    X = np.arange(400.0)[:, None]
    y = np.concatenate([np.tile([0, 1], 100), np.tile([0] * 9 + [1], 20)])
    domain = np.repeat(["old", "new"], 200)
    model = PriorClassifier(target_domain="new").fit(X, y, domain=domain)
    assert model.predict_proba(X)[0, 1] == pytest.approx((20 + 10 * 0.5) / (200 + 10))
    plain = PriorClassifier(target_domain="new", target_rate=None).fit(X, y, domain=domain)
    assert plain.predict_proba(X)[0, 1] == pytest.approx(y.mean())
