from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from thinfile.baselines import refit
from thinfile.baselines.boosted import BoostedTreesClassifier
from thinfile.baselines.refit import ScoreRefitClassifier
from thinfile.errors import DataError
from thinfile.metrics.ranking import roc_auc


def fit(data: Any) -> ScoreRefitClassifier:
    model = ScoreRefitClassifier(n_trees=30, target_domain="new", random_state=0)
    return model.fit(data.X, data.y, domain=data.domain)


def source_score(data: Any) -> np.ndarray:
    model = BoostedTreesClassifier(
        rows="source", n_trees=30, target_domain="new", target_rate=None, random_state=0
    )
    return model.fit(data.X, data.y, domain=data.domain).predict_proba(data.X)[:, 1]


@pytest.mark.parametrize(("which", "least"), [("alike", 0.97), ("in_conflict", 0.85)])
def test_a_stronger_penalty_stays_nearer_to_the_sources_order(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, which: str, least: float
) -> None:
    """The score is all but unpenalised, so under a strong penalty its ranking is what is left."""
    data = request.getfixturevalue(which)
    agreement = []
    for penalty in (1e-4, 1e-2, 1.0):
        monkeypatch.setattr(refit, "PENALTIES", (penalty,))
        score = fit(data).predict_proba(data.X)[:, 1]
        agreement.append(float(spearmanr(score, source_score(data))[0]))
    assert agreement[0] > least
    assert agreement == sorted(agreement, reverse=True)


def test_labels_of_the_target_correct_the_score(in_conflict: Any) -> None:
    rows = in_conflict.hidden
    refitted = fit(in_conflict).predict_proba(in_conflict.X)[rows, 1]
    before = roc_auc(in_conflict.truth[rows], source_score(in_conflict)[rows])
    assert roc_auc(in_conflict.truth[rows], refitted) > before + 0.05


def test_a_good_score_is_kept(alike: Any) -> None:
    rows = alike.hidden
    refitted = fit(alike).predict_proba(alike.X)[rows, 1]
    before = roc_auc(alike.truth[rows], source_score(alike)[rows])
    assert roc_auc(alike.truth[rows], refitted) > before - 0.02
    assert fit(alike).coef_[0] > 0


def test_the_penalty_is_the_one_that_does_best_on_held_out_folds(
    in_conflict: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In conflict the columns matter, so the loosest of two penalties must win."""
    chosen = []
    for penalties in ((1e-6, 1e-1), (1e-6,), (1e-1,)):
        monkeypatch.setattr(refit, "PENALTIES", penalties)
        chosen.append(fit(in_conflict).coef_)
    assert np.array_equal(chosen[0], chosen[2])
    assert not np.array_equal(chosen[0], chosen[1])


def test_two_events_are_enough_to_fit(alike: Any) -> None:
    y = np.where(alike.is_target, -1, alike.y)
    target = np.flatnonzero(alike.is_target)
    y[target[np.flatnonzero(alike.truth[target] == 1)[:2]]] = 1
    y[target[np.flatnonzero(alike.truth[target] == 0)[:8]]] = 0
    model = ScoreRefitClassifier(n_trees=10, target_domain="new", random_state=0)
    model.fit(alike.X, y, domain=alike.domain)
    assert np.isfinite(model.predict_proba(alike.X)).all()


def test_without_labels_of_the_target_it_is_refused(alike: Any) -> None:
    y = np.where(alike.is_target, -1, alike.y)
    with pytest.raises(DataError, match="ScoreRefitClassifier: rows='target' has 0 events in 0"):
        ScoreRefitClassifier(target_domain="new").fit(alike.X, y, domain=alike.domain)
