import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from thinfile.data.synthetic import make_table, make_transfer
from thinfile.errors import ParameterError
from thinfile.metrics.ranking import roc_auc


def fit_and_score(train, test):
    features = [name for name in train.columns if name != "bad"]
    scale = train.select(features).to_numpy().std(axis=0)
    model = LogisticRegression(C=0.01, max_iter=500)
    model.fit(train.select(features).to_numpy() / scale, train["bad"].to_numpy())
    chances = model.predict_proba(test.select(features).to_numpy() / scale)[:, 1]
    return roc_auc(test["bad"].to_numpy(), chances)


def test_the_default_has_the_shape_of_the_published_study():
    transfer = make_transfer(random_state=0)
    assert transfer.source.shape == (6500, 292)
    assert transfer.target.shape == (5150, 292)
    assert transfer.source["bad"].sum() == 1000
    assert transfer.target["bad"].sum() == 350


def test_a_state_repeats_the_tables():
    first, second, other = (make_transfer(50, 40, 5, random_state=s) for s in (1, 1, 2))
    assert first.source.equals(second.source)
    assert first.target.equals(second.target)
    assert not first.source.equals(other.source)


def test_concept_shift_is_what_a_source_model_loses():
    found = {}
    for shift in (0.0, 1.0):
        transfer = make_transfer(3000, 3000, 30, 0.3, 0.3, 0.0, shift, random_state=3)
        found[shift] = fit_and_score(transfer.source, transfer.target)
    assert found[0.0] > 0.65
    assert abs(found[1.0] - 0.5) < 0.1


def test_covariate_shift_tells_the_populations_apart():
    found = {}
    for shift in (0.0, 2.0):
        transfer = make_transfer(1500, 1500, 30, 0.3, 0.3, shift, 0.0, random_state=3)
        both = pl.concat(
            [
                transfer.source.with_columns(bad=pl.lit(0)),
                transfer.target.with_columns(bad=pl.lit(1)),
            ]
        )
        found[shift] = fit_and_score(both[::2], both[1::2])
    assert found[0.0] < 0.58
    assert found[2.0] > 0.85


def test_a_table_has_gaps_in_every_second_column_and_names():
    table = make_table(5000, 4, 4, missing_share=0.2, random_state=0)
    assert table.columns == [f"number{i}" for i in range(4)] + [
        f"category{i}" for i in range(4)
    ] + ["bad"]
    shares = table.select(pl.all().null_count() / 5000).row(0)
    np.testing.assert_allclose(shares, [0.2, 0, 0.2, 0, 0.2, 0, 0.2, 0, 0], atol=0.03)
    assert table["category3"].dtype == pl.String
    assert table["number0"].dtype == pl.Float64
    assert 0.1 < table["bad"].mean() < 0.3
    assert make_table(1, 0, 0, random_state=0).columns == ["bad"]
    assert table.equals(make_table(5000, 4, 4, missing_share=0.2, random_state=0))


def test_all_faults_are_named_at_once():
    with pytest.raises(ParameterError, match="n_source=3 must be ≥ 10; source_rate=0 must be in"):
        make_transfer(n_source=3, source_rate=0)
    with pytest.raises(ParameterError, match="n_rows=0 must be ≥ 1; missing_share=1"):
        make_table(0, missing_share=1)
