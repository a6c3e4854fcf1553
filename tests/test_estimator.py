from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from thinfile.baselines.logistic import LogisticClassifier
from thinfile.data.encode import Encoded
from thinfile.errors import DataError, ParameterError
from thinfile.estimator import RATE_PRIOR_ROWS, TrainingData, target_row_weight
from thinfile.metrics.calibration import Calibration

N_SOURCE, N_TARGET = 300, 200
RNG = np.random.default_rng(0)
X = pl.DataFrame({"a": RNG.normal(size=N_SOURCE + N_TARGET), "b": RNG.normal(size=500)})
TRUTH = (RNG.random(500) < expit(1.5 * X["a"].to_numpy() - 0.5)).astype(int)
DOMAIN = np.repeat(["old", "new"], [N_SOURCE, N_TARGET])


def hidden(n_labels: int) -> np.ndarray:
    y = TRUTH.copy()
    y[N_SOURCE + n_labels :] = -1
    return y


def fit(n_labels: int = 0, **arguments: Any) -> LogisticClassifier:
    model = LogisticClassifier(target_domain="new", **arguments)
    return model.fit(X, hidden(n_labels), domain=DOMAIN)


def mean_of_target(model: LogisticClassifier) -> float:
    return float(model.predict_proba(X[N_SOURCE:])[:, 1].mean())


# Base rate ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9, np.float32(0.25), np.float64(0.25)])
def test_a_given_rate_is_the_mean_of_the_targets_scores(rate: float) -> None:
    assert mean_of_target(fit(target_rate=rate)) == pytest.approx(float(rate), abs=1e-6)


def test_no_rate_changes_nothing() -> None:
    model = fit(40, target_rate=None)
    assert (model.calibration_.slope, model.calibration_.intercept) == (1.0, 0.0)


def test_without_labels_there_is_no_rate_to_correct_to() -> None:
    assert fit().calibration_.intercept == 0.0


@pytest.mark.parametrize("n_labels", [20, 50])
def test_a_rate_from_few_labels_is_drawn_to_the_sources(n_labels: int) -> None:
    labels, source = TRUTH[N_SOURCE : N_SOURCE + n_labels], TRUTH[:N_SOURCE]
    expected = (labels.sum() + RATE_PRIOR_ROWS * source.mean()) / (n_labels + RATE_PRIOR_ROWS)
    model = fit(n_labels)
    # Rows that were not trained on tell what new rows will get.
    unseen = model.predict_proba(X[N_SOURCE + n_labels :])[:, 1].mean()
    assert unseen == pytest.approx(expected, abs=1e-6)


def test_a_correction_moves_all_log_odds_alike() -> None:
    plain, corrected = fit(target_rate=None), fit(target_rate=0.05)
    shift = logit(corrected.predict_proba(X)[:, 1]) - logit(plain.predict_proba(X)[:, 1])
    np.testing.assert_allclose(shift, corrected.calibration_.intercept, atol=1e-9)


@settings(deadline=None)
@given(
    first=st.tuples(st.floats(0.1, 3), st.floats(-3, 3)),
    second=st.tuples(st.floats(0.1, 3), st.floats(-3, 3)),
)
def test_a_second_correction_is_put_behind_the_first(
    first: tuple[float, float], second: tuple[float, float]
) -> None:
    model = LogisticClassifier()
    model.calibration_ = Calibration(*first)
    model.recalibrate(Calibration(*second))
    p = np.array([0.02, 0.3, 0.8])
    expected = Calibration(*second).apply(Calibration(*first).apply(p))
    np.testing.assert_allclose(model.calibration_.apply(p), expected, atol=1e-9)


# Labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write",
    [
        lambda y: y.astype(float),
        lambda y: np.where(y < 0, np.nan, y),
        lambda y: [None if v < 0 else bool(v) for v in y],
        lambda y: pl.Series([None if v < 0 else int(v) for v in y]),
        lambda y: pd.Series([None if v < 0 else int(v) for v in y], dtype="Int64"),
        lambda y: pd.Series([None if v < 0 else bool(v) for v in y], dtype="boolean"),
        lambda y: np.array([None if v < 0 else int(v) for v in y], dtype=object),
    ],
    ids=["floats", "nan", "bools", "polars", "pandas", "pandas bools", "objects"],
)
def test_labels_are_read_however_they_are_written(write: Any) -> None:
    y = hidden(40)
    plain = LogisticClassifier(target_domain="new").fit(X, y, domain=DOMAIN)
    other = LogisticClassifier(target_domain="new").fit(X, write(y), domain=DOMAIN)
    assert np.array_equal(plain.coef_, other.coef_)
    assert list(other.classes_) == [0, 1]


def test_words_sort_and_the_last_is_the_event() -> None:
    words = np.where(TRUTH == 1, "late", "in time")
    model = LogisticClassifier(target_domain="new").fit(X, words, domain=DOMAIN)
    assert model.classes_.tolist() == ["in time", "late"]
    assert set(model.predict(X)) == {"in time", "late"}
    assert model.coef_[0] > 0


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed"),
        (np.arange(500) % 3, "Only binary classification is supported"),
        (np.linspace(0, 1, 500), "Unknown label type: continuous"),
        (np.ones(500, int), r"y holds one class only \(\[1\]\)"),
        (np.full(500, -1), "^y holds no label: all 500 rows are without one$"),
        (np.full(500, np.nan), "^y holds no label: all 500 rows are without one$"),
        (
            np.where(np.arange(500) < 300, 0, np.nan),
            r"y holds one class only \(\[0.0\]; 200 of 500 rows are without a label\): labelled",
        ),
        (np.full(499, -1), "y has 499 labels and X has 500 rows: inconsistent numbers of samples"),
        ([], "y has 0 labels and X has 500 rows: inconsistent numbers of samples"),
        (np.zeros((500, 2)), r"y has shape \(500, 2\)"),
        (np.where(np.arange(500) == 3, np.inf, 0.0), "y contains infinity"),
    ],
)
def test_labels_that_are_none_are_refused(y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        LogisticClassifier(target_domain="new").fit(X, y, domain=DOMAIN)


# Populations --------------------------------------------------------------------------------


def test_without_populations_unlabelled_rows_are_the_target() -> None:
    y = hidden(0)
    named = LogisticClassifier(target_domain="new", rows="source").fit(X, y, domain=DOMAIN)
    unnamed = LogisticClassifier(rows="source").fit(X, y)
    assert np.array_equal(named.coef_, unnamed.coef_)


def test_several_sources_are_one() -> None:
    three = DOMAIN.copy().astype(object)
    three[:100] = "older"
    first = LogisticClassifier(target_domain="new").fit(X, hidden(40), domain=three)
    assert np.array_equal(first.coef_, fit(40).coef_)


def test_a_population_may_be_any_value() -> None:
    numbers = (DOMAIN == "new").astype(int)
    model = LogisticClassifier(target_domain=1).fit(X, hidden(40), domain=pl.Series(numbers))
    assert np.array_equal(model.coef_, fit(40).coef_)


def test_populations_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"target_domain='moon' is none of the populations"):
        LogisticClassifier(target_domain="moon").fit(X, TRUTH, domain=DOMAIN)
    with pytest.raises(ParameterError, match="target_domain=None must name one"):
        LogisticClassifier().fit(X, TRUTH, domain=DOMAIN)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LogisticClassifier(target_domain="new").fit(X, TRUTH, domain=DOMAIN[:-1])


# Weights ------------------------------------------------------------------------------------


def data(n_source: int, n_target: int, n_hidden: int = 5) -> TrainingData:
    n = n_source + n_target + n_hidden
    y = np.zeros(n, np.int8)
    y[n_source + n_target :] = -1
    empty = Encoded(np.zeros((n, 1), np.float32), np.zeros((n, 0), np.int32))
    return TrainingData(empty, y, np.arange(n) >= n_source)


def test_rows_of_the_training_data_have_their_place() -> None:
    found = data(4, 2, 3)
    assert found.source.tolist() == [0, 1, 2, 3]
    assert found.target.tolist() == [4, 5, 6, 7, 8]
    assert found.target_labelled.tolist() == [4, 5]


@settings(deadline=None)
@given(n_source=st.integers(1, 300), n_target=st.integers(1, 300))
def test_automatic_weights_are_the_geometric_mean(n_source: int, n_target: int) -> None:
    weight = target_row_weight(data(n_source, n_target), "auto")
    total = weight[n_source : n_source + n_target].sum()
    assert total == pytest.approx(max(n_target, (n_source * n_target) ** 0.5))
    assert (weight[:n_source] == 1).all()


def test_a_given_weight_is_taken() -> None:
    weight = target_row_weight(data(3, 2, 1), 2.5)
    assert weight.tolist() == [1, 1, 1, 2.5, 2.5, 1]
    assert target_row_weight(data(0, 2, 0), 2.5).tolist() == [1, 1]
    assert target_row_weight(data(2, 0, 1), "auto").tolist() == [1, 1, 1]
