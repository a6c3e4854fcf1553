from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from thinfile.baselines.bg_nbd import OWN, STORE, BGNBDClassifier
from thinfile.data.aggregates import Aggregates
from thinfile.data.buys import Buys
from thinfile.data.events import EventColumns, EventLog
from thinfile.data.synthetic_events import make_events
from thinfile.errors import DataError, ParameterError
from thinfile.metrics.ranking import roc_auc

HORIZON = timedelta(weeks=13)


def _table(n: int = 4000, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Customers of a store who visit at rates of their own; some visits are of the category."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 52, n)
    rate, share = rng.gamma(0.8, 0.2, n), rng.beta(0.5, 2.0, n)
    columns: dict[str, list] = {name: [] for name in OWN + STORE}
    later = np.zeros(n, dtype=int)
    for k in range(n):
        visits = np.append(0.0, np.sort(rng.uniform(0, age[k] + 13, rng.poisson(rate[k] * 65))))
        visits = visits[visits < age[k] + 13]
        own = rng.random(len(visits)) < share[k]
        later[k] = (own & (visits > age[k])).any()
        past = visits < age[k]
        for names, days in ((OWN, visits[past & own]), (STORE, visits[past])):
            some = len(days) > 0
            columns[names[0]].append(len(days) - 1.0 if some else None)
            columns[names[1]].append(days[-1] - days[0] if some else None)
            columns[names[2]].append(age[k] - days[0] if some else None)
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Float64)), later


@pytest.fixture(scope="module")
def table() -> tuple[pl.DataFrame, np.ndarray]:
    return _table()


def test_no_label_changes_what_is_fitted(table):
    X, y = table
    model = BGNBDClassifier().fit(X, y)
    few = np.full(len(y), -1)
    few[:2] = [1, 0]
    for labels in (1 - y, few):
        other = BGNBDClassifier().fit(X, labels)
        assert (other.law_, other.store_law_) == (model.law_, model.store_law_)
        np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))


def test_it_ranks_and_its_probabilities_come_true_in_both_groups(table):
    X, y = table
    chance = BGNBDClassifier(horizon_weeks=13).fit(X, y).predict_proba(X)[:, 1]
    bought = X["own_age_weeks"].is_not_null().to_numpy()
    assert roc_auc(y[bought], chance[bought]) > 0.75
    assert roc_auc(y[~bought], chance[~bought]) > 0.6
    assert chance[bought].mean() == pytest.approx(y[bought].mean(), rel=0.15)
    assert chance[~bought].mean() == pytest.approx(y[~bought].mean(), rel=0.5)
    assert chance[~bought].mean() < chance[bought].mean()
    # Not all of the second group come after all of the first.
    assert chance[~bought].max() > chance[bought].min()


def test_a_longer_horizon_raises_every_probability(table):
    X, y = table
    near = BGNBDClassifier(horizon_weeks=2).fit(X, y).predict_proba(X)[:, 1]
    far = BGNBDClassifier(horizon_weeks=26).fit(X, y).predict_proba(X)[:, 1]
    assert (far > near).all()


def test_it_can_rank_by_expected_purchases_instead(table):
    X, y = table
    model = BGNBDClassifier(rank_by="purchases").fit(X, y)
    own = X["own_age_weeks"].is_not_null().to_numpy()
    history = (X[name].fill_null(0.0).to_numpy() for name in OWN)
    expected = model.law_.expected_purchases(*history, 13.0)
    np.testing.assert_allclose(
        model.predict_proba(X)[own, 1], 1 - np.exp(-expected[own]), rtol=1e-4
    )


def test_without_the_store_who_never_bought_comes_last(table):
    X, y = table
    own = X.select(OWN)
    model = BGNBDClassifier().fit(own, y)
    assert model.store_law_ is None
    assert "no law of the store: its columns are not there or do not vary" in model.notes_
    chance = model.predict_proba(own)[:, 1]
    bought = own["own_age_weeks"].is_not_null().to_numpy()
    assert chance[~bought].max() < chance[bought].min()
    assert len(set(chance[~bought])) == 1


def test_columns_of_other_names_can_be_given_and_a_wrong_name_is_refused(table):
    X, y = table
    names = {"own_repeat_purchases": "x", "own_recency_weeks": "t_x", "own_age_weeks": "T"}
    other = X.rename(names)
    model = BGNBDClassifier(repeat="x", recency="t_x", age="T").fit(other, y)
    np.testing.assert_array_equal(
        model.predict_proba(other), BGNBDClassifier().fit(X, y).predict_proba(X)
    )
    with pytest.raises(DataError, match="no number column 'tx', 'TT' that varies; there are 'x'"):
        BGNBDClassifier(repeat="x", recency="tx", age="TT").fit(other, y)


def test_where_no_default_name_is_there_the_first_three_numbers_stand_in():
    X = np.random.default_rng(0).normal(0, 3, (200, 4))
    model = BGNBDClassifier().fit(X, np.arange(200) % 2)
    assert model.notes_[0].startswith(
        "column 'own_repeat_purchases' is not there: 'x0', 'x1', 'x2'"
    )
    assert np.isfinite(model.predict_proba(X)).all()


def test_where_nobody_came_back_everybody_gets_the_base_rate():
    X = pl.DataFrame({name: [0.5, 0.25, 0.125, 0.0] for name in OWN})
    model = BGNBDClassifier().fit(X, [0, 1, 0, 0])
    assert model.law_ is None
    assert model.predict_proba(X)[:, 1].tolist() == [0.25] * 4
    assert model.notes_[-1] == "no law of repeat buying: everybody gets the labels' base rate"


def test_it_reads_the_columns_of_aggregates():
    pytest.importorskip("duckdb")
    table = make_events(30_000, 800, 8, random_state=0)
    log = EventLog.from_table(table, EventColumns("customer", "time", category="category"))
    buys = Buys("category", ("category 02",))
    cut = log.end - HORIZON
    train = log.snapshots([cut - HORIZON], HORIZON, buys=buys)
    test = log.snapshots([cut], HORIZON, buys=buys)
    features = Aggregates(buys).fit(log, train)
    model = BGNBDClassifier(horizon_weeks=13).fit(features.transform(log, train), train.label)
    chance = model.predict_proba(features.transform(log, test))[:, 1]
    assert all(note.endswith("ignored") for note in model.notes_)  # columns that are constant
    assert roc_auc(test.label, chance) > 0.75
    assert chance.mean() == pytest.approx(test.label.mean(), rel=0.3)


def test_faults_of_the_arguments_in_one_message(table):
    X, y = table
    with pytest.raises(ParameterError, match=r"horizon_weeks=0 must be .*; repeat=3 must be"):
        BGNBDClassifier(horizon_weeks=0, repeat=3).fit(X, y)
