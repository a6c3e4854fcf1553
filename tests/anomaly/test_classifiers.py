"""What every classifier for few labelled frauds keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.anomaly.boosted_codes import BoostedCodesClassifier
from thinfile.anomaly.deep_sad import DeepSADClassifier
from thinfile.anomaly.detected import DetectorClassifier
from thinfile.anomaly.devnet import DevNetClassifier
from thinfile.baselines.boosted_rest import BoostedRestClassifier
from thinfile.errors import DataError, TrainingError
from thinfile.estimator import Estimator

BUILD: dict[str, Callable[..., Estimator]] = {
    "devnet": lambda **k: DevNetClassifier(**{"max_epochs": 5, "random_state": 0, **k}),
    "deep_sad": lambda **k: DeepSADClassifier(
        **{"max_epochs": 5, "pretrain_epochs": 1, "random_state": 0, **k}
    ),
    "isolation_forest": lambda **k: DetectorClassifier(**{"random_state": 0, **k}),
    "ecod": lambda **k: DetectorClassifier(**{"detector": "ecod", "random_state": 0, **k}),
    "boosted_codes": lambda **k: BoostedCodesClassifier(
        **{"detectors": ("isolation_forest", "ecod"), "n_trees": 20, "random_state": 0, **k}
    ),
    "boosted_rest": lambda **k: BoostedRestClassifier(**{"n_trees": 20, "random_state": 0, **k}),
}
EVERY = pytest.mark.parametrize("name", list(BUILD))


@EVERY
def test_frauds_rank_above_chance(name: str, transactions: Any) -> None:
    """Five rows in a hundred are frauds: chance is an average precision of 0.05."""
    model = BUILD[name]().fit(transactions.X, transactions.y)
    assert transactions.average_precision(model) > 0.3


@EVERY
def test_the_same_seed_gives_the_same_scores(name: str, transactions: Any) -> None:
    first, second = (
        BUILD[name]().fit(transactions.X, transactions.y).predict_proba(transactions.X)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


@EVERY
def test_a_state_makes_the_same_model_again(name: str, transactions: Any, again: Any) -> None:
    model = BUILD[name]().fit(transactions.X, transactions.y)
    json.dumps(model.get_state().values)
    loaded = again(model)
    np.testing.assert_array_equal(
        model.predict_proba(transactions.X), loaded.predict_proba(transactions.X)
    )


@EVERY
def test_rows_do_not_influence_each_other(name: str, transactions: Any) -> None:
    model = BUILD[name]().fit(transactions.X, transactions.y)
    whole = model.predict_proba(transactions.X)
    parts = [model.predict_proba(transactions.X[s : s + 700]) for s in (0, 700, 1400)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-5)
    np.testing.assert_allclose(model.predict_proba(transactions.X[3]), whole[3:4], rtol=1e-5)


@EVERY
def test_one_labelled_fraud_is_too_few(name: str, make: Any) -> None:
    data = make(n=200, n_events=1)
    with pytest.raises(
        DataError,
        match=r"Classifier: y holds 1 labelled event \(1\) in 101 labelled rows, at least 2",
    ):
        BUILD[name]().fit(data.X, data.y)


@EVERY
@pytest.mark.parametrize(("n_events", "others"), [(2, 20), (5, 1000)])
def test_two_frauds_do_and_so_do_no_unlabelled_rows(
    name: str, n_events: int, others: int, make: Any
) -> None:
    data = make(n=300, n_events=n_events, n_others=others)
    kept = data.y != -1 if others == 1000 else np.ones(300, dtype=bool)
    X, y = data.X.filter(pl.Series(kept)), data.y[kept]
    probability = BUILD[name]().fit(X, y).predict_proba(data.X)[:, 1]
    assert np.isfinite(probability).all()
    if not name.startswith("boosted"):  # a leaf holds twenty rows
        assert len(np.unique(probability)) > 100


@EVERY
def test_unlabelled_rows_beyond_the_limit_are_a_sample(name: str, transactions: Any) -> None:
    model = BUILD[name](max_unlabelled=50).fit(transactions.X, transactions.y)
    assert np.isfinite(model.predict_proba(transactions.X)).all()


@EVERY
def test_labels_of_hidden_rows_do_not_matter(name: str, transactions: Any) -> None:
    nothing = np.where(transactions.y == -1, np.nan, transactions.y)
    first = BUILD[name]().fit(transactions.X, transactions.y)
    second = BUILD[name]().fit(transactions.X, nothing)
    np.testing.assert_array_equal(
        first.predict_proba(transactions.X), second.predict_proba(transactions.X)
    )


@pytest.mark.parametrize("name", ["devnet", "deep_sad"])
def test_a_run_that_goes_off_says_where_and_how(name: str, transactions: Any) -> None:
    with pytest.raises(TrainingError, match=r"not finite|is (nan|inf) at step \d+ \(learning rate"):
        BUILD[name](learning_rate=1e30).fit(transactions.X, transactions.y)


@EVERY
def test_columns_that_say_nothing_are_left_out(name: str, transactions: Any) -> None:
    X = transactions.X.with_columns(same=pl.lit(3.0), gone=pl.lit(None, dtype=pl.Float64))
    model = BUILD[name]().fit(X, transactions.y)
    assert np.isfinite(model.predict_proba(X)).all()


@EVERY
def test_more_rows_in_a_batch_than_in_the_table(name: str, make: Any) -> None:
    data = make(n=40, n_events=2, n_others=10, seed=3)
    assert data.truth.sum() >= 2
    assert np.isfinite(BUILD[name]().fit(data.X, data.y).predict_proba(data.X)).all()


@pytest.mark.parametrize("name", ["devnet", "deep_sad"])
def test_a_batch_is_capped_at_the_rows_there_are_and_that_is_said(name: str, make: Any) -> None:
    data = make(n=40, n_events=2, n_others=10, seed=3)
    large, whole = (BUILD[name](batch_size=n, max_epochs=1) for n in (10_000_000, 40))
    large.fit(data.X, data.y)
    whole.fit(data.X, data.y)
    note = "batch_size=10000000 is more than the 40 training rows: each batch has 40"
    assert large.notes_.count(note) == 1
    assert not any("batch_size" in text for text in whole.notes_)
    assert np.array_equal(large.predict_proba(data.X), whole.predict_proba(data.X))
