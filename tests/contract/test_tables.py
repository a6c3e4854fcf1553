"""What every method promises about the tables it is given."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from thinfile.errors import DataError, SchemaError
from thinfile.methods import METHODS

every_method = pytest.mark.parametrize("name", METHODS)


@every_method
def test_a_raw_table_gives_probabilities(name, rows, fitted):
    probability = fitted(name).predict_proba(rows.X)
    assert probability.shape == (len(rows.y), 2)
    assert ((probability >= 0) & (probability <= 1)).all()
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=1e-12)
    assert set(fitted(name).predict(rows.X).tolist()) <= {0, 1}


@every_method
@pytest.mark.parametrize("kind", ["pandas", "arrow", "lazy", "mapping"])
def test_every_kind_of_table_gives_the_same_scores(name, kind, rows, fitted):
    table = {
        "pandas": lambda: rows.X.to_pandas().iloc[::-1].reset_index(drop=True).iloc[::-1],
        "arrow": rows.X.to_arrow,
        "lazy": rows.X.lazy,
        "mapping": lambda: rows.X.to_dict(as_series=False),
    }[kind]()
    np.testing.assert_array_equal(
        fitted(name).predict_proba(table), fitted(name).predict_proba(rows.X)
    )


@every_method
def test_a_fit_on_pandas_is_the_fit_on_polars(name, rows, fitted, build, state_bytes):
    model = build(name).fit(rows.X.to_pandas(), rows.y, domain=rows.domain)
    assert state_bytes(model) == state_bytes(fitted(name))


@every_method
def test_order_of_columns_and_further_columns_do_not_matter(name, rows, fitted):
    shuffled = rows.X.select(reversed(rows.X.columns)).with_columns(branch=pl.lit("x"))
    np.testing.assert_array_equal(
        fitted(name).predict_proba(shuffled), fitted(name).predict_proba(rows.X)
    )


@every_method
def test_missing_columns_are_named_all_at_once(name, rows, fitted):
    with pytest.raises(SchemaError) as caught:
        fitted(name).predict_proba(rows.X.drop("age", "region"))
    assert "'age'" in str(caught.value)
    assert "'region'" in str(caught.value)


@every_method
def test_values_never_seen_get_a_score(name, rows, fitted):
    n = 5
    strange = pl.DataFrame(
        {
            "age": [None, -1e9, 1e9, 0.0, 45.0],
            "income": [None, "1", "999,999,999.99", "0.00", "2,000.00"],
            "region": [None, "west", "", "north", "Norður"],
            "opened": [None, "1900-01-01", "2099-12-31", "2016-02-29", "2015-01-01"],
            "active": [None, True, False, None, True],
        }
    )
    assert np.isfinite(fitted(name).predict_proba(strange)).all()
    nothing = rows.X.head(n).select(
        pl.lit(None, dtype=t).alias(c) for c, t in rows.X.schema.items()
    )
    assert np.isfinite(fitted(name).predict_proba(nothing.head(1))).all()


@every_method
def test_one_row_is_scored_as_it_is_among_others(name, rows, fitted):
    together = fitted(name).predict_proba(rows.X)[7]
    np.testing.assert_allclose(fitted(name).predict_proba(rows.X[7:8])[0], together, rtol=1e-5)


@every_method
def test_columns_that_say_nothing_do_no_harm(name, rows, build):
    X = rows.X.with_columns(
        empty=pl.lit(None, dtype=pl.Float64),
        constant=pl.lit("x"),
        key=pl.Series([f"r{i:05d}" for i in range(rows.X.height)]),
        only_in_source=pl.when(pl.Series(~rows.is_target)).then(pl.col("age")),
    )
    model = build(name).fit(X, rows.y, domain=rows.domain)
    assert np.isfinite(model.predict_proba(X)).all()


@every_method
def test_no_rows_are_refused(name, rows, fitted, build):
    with pytest.raises(DataError, match=r"0 sample\(s\)"):
        fitted(name).predict_proba(rows.X.clear())
    with pytest.raises(DataError, match=r"0 sample\(s\)"):
        build(name).fit(rows.X.clear(), [])
