from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.errors import ArtifactError, DataError, ParameterError
from thinfile.metrics.ranking import roc_auc
from thinfile.transfer.tradaboost import Reweighting, TrAdaBoostClassifier
from thinfile.trees import predict_trees, tree_matrix


def _slow_reweighting(weight, miss, is_target, error, beta, dynamic):
    """The update of the papers, row by row."""
    beta_t = error / (1 - error)
    new = []
    for w, m, target in zip(weight, miss, is_target, strict=True):
        if target:
            new.append(w * beta_t ** (-m))
        elif dynamic:
            new.append(2 * (1 - error) * w * beta**m)
        else:
            new.append(w * beta**m)
    return np.array(new) / sum(new)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.01, 1), st.floats(0, 1), st.booleans()), min_size=1, max_size=20
    ),
    st.floats(0.01, 0.49),
    st.floats(0.1, 0.9),
    st.booleans(),
)
def test_reweighting_is_the_papers_rule(rows, error, beta, dynamic):
    weight, miss, is_target = (np.array(column) for column in zip(*rows, strict=True))
    fast = Reweighting(beta, dynamic)(weight, miss, is_target, error)
    slow = _slow_reweighting(weight, miss, is_target, error, beta, dynamic)
    np.testing.assert_allclose(fast, slow, rtol=1e-12)


def test_ten_gentle_reweightings_of_the_same_misses_are_one_full_one():
    rng = np.random.default_rng(0)
    weight, miss, is_target = rng.random(20), rng.random(20), rng.random(20) < 0.5
    gentle = weight
    for _ in range(10):
        gentle = Reweighting(0.4, True, rate=0.1)(gentle, miss, is_target, 0.3)
    np.testing.assert_allclose(gentle, Reweighting(0.4, True)(weight, miss, is_target, 0.3))


def test_dynamic_correction_keeps_the_share_of_a_source_that_errs_like_the_target():
    # Al-Stouhi and Reddy: with both populations equally right, no weight should move over.
    is_target = np.array([False] * 50 + [True] * 50)
    miss = np.tile([1.0] + [0.0] * 9, 10)  # one row in ten is wrong, in both
    weight = np.full(100, 0.01)
    share = {}
    for dynamic in (False, True):
        w = weight
        for _ in range(20):
            error = float(w[is_target] @ miss[is_target] / w[is_target].sum())
            w = Reweighting(1.0, dynamic)(w, miss, is_target, min(error, 0.49))
        share[dynamic] = float(w[~is_target].sum())
    assert share[True] == pytest.approx(0.5, abs=0.05)
    assert share[False] < share[True]


def test_weight_moves_from_misleading_source_rows_to_the_target(conflicting):
    model = _model(correction=None).fit(conflicting.X, conflicting.y, domain=conflicting.domain)
    shares = [record["source_share"] for record in model.history_]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.5 * shares[0]
    dynamic = _model().fit(conflicting.X, conflicting.y, domain=conflicting.domain)
    assert dynamic.history_[-1]["source_share"] > shares[-1]


def test_it_learns_the_target_where_the_source_misleads(conflicting):
    model = _model().fit(conflicting.X, conflicting.y, domain=conflicting.domain)
    source_only = _model().fit(conflicting.X[:600], conflicting.y[:600])
    rows = conflicting.y == -1
    truth = conflicting.truth[rows]
    auc = roc_auc(truth, model.predict_proba(conflicting.X[rows])[:, 1])
    assert auc > roc_auc(truth, source_only.predict_proba(conflicting.X[rows])[:, 1]) + 0.05


@pytest.mark.parametrize("n_rounds", [1, 4, 5])
def test_decision_is_the_product_rule_of_the_paper(conflicting, n_rounds):
    model = _model(n_rounds=n_rounds, target_rate=None)
    model.fit(conflicting.X, conflicting.y, domain=conflicting.domain)
    n_voters = n_rounds - math.ceil(n_rounds / 2) + 1
    assert len(model.boosters_) == n_voters
    errors = [record["target_error"] for record in model.history_][-n_voters:]
    beta = [error / (1 - error) for error in errors]
    x = tree_matrix(model._encode(conflicting.X))
    said = [predict_trees(booster, x) for booster in model.boosters_]
    left = np.prod([b**-h for b, h in zip(beta, said, strict=True)], axis=0)
    right = np.prod([b**-0.5 for b in beta])
    np.testing.assert_array_equal(model.predict(conflicting.X), (left >= right).astype(int))


def test_without_target_labels_it_refuses_and_says_what_it_needs(conflicting):
    hidden = conflicting.hide(0)
    with pytest.raises(DataError, match="none of the 300 target rows is labelled; it needs target"):
        _model().fit(hidden.X, hidden.y, domain=hidden.domain)


def test_without_any_target_it_is_one_boosted_model(conflicting):
    model = _model(target_domain=None).fit(conflicting.X[:600], conflicting.y[:600])
    assert len(model.boosters_) == 1
    assert model.notes_ == ["no target rows: nothing to adapt"]


def test_without_a_source_it_boosts_the_target_alone(conflicting):
    rows = conflicting.is_target
    model = _model().fit(conflicting.X[rows], conflicting.truth[rows], domain=["new"] * rows.sum())
    assert {record["source_share"] for record in model.history_} == {0.0}
    assert roc_auc(conflicting.truth[rows], model.predict_proba(conflicting.X[rows])[:, 1]) > 0.8


def test_rounds_end_when_the_target_is_judged_no_better_than_by_chance(alike):
    rng = np.random.default_rng(0)
    y = alike.y.copy()
    labelled = (y != -1) & alike.is_target
    y[labelled] = rng.integers(0, 2, labelled.sum())  # nothing to learn
    model = _model(n_rounds=40, n_trees=2, learning_rate=0.01)
    model.fit(alike.X, y, domain=alike.domain)
    assert len(model.history_) < 40
    assert "stopped" in model.notes_[0]
    assert np.isfinite(model.predict_proba(alike.X)).all()


def test_state_round_trip_and_a_damaged_one(conflicting):
    model = _model().fit(conflicting.X, conflicting.y, domain=conflicting.domain)
    state = model.get_state()
    loaded = TrAdaBoostClassifier().set_state(state)
    np.testing.assert_array_equal(
        loaded.predict_proba(conflicting.X), model.predict_proba(conflicting.X)
    )
    state.files["trees_000.txt"] = b"tree\nnothing"
    with pytest.raises(ArtifactError, match="no LightGBM model"):
        TrAdaBoostClassifier().set_state(state)


def test_every_fault_of_the_arguments_at_once(conflicting):
    faulty = TrAdaBoostClassifier(n_rounds=0, n_leaves=1, correction="some")
    with pytest.raises(ParameterError) as caught:
        faulty.fit(conflicting.X, conflicting.y, domain=conflicting.domain)
    assert all(name in str(caught.value) for name in ("n_rounds=0", "n_leaves=1", "'some'"))


def _model(**arguments):
    defaults = {
        "target_domain": "new",
        "n_rounds": 10,
        "n_trees": 15,
        "learning_rate": 0.1,
        "reweighting_rate": 1.0,
        "random_state": 0,
    }
    return TrAdaBoostClassifier(**(defaults | arguments))
