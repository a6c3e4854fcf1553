from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.artifact.reference import MIN_LEVEL_ROWS, SCORE, Reference
from thinfile.errors import ArtifactError
from thinfile.metrics.drift import psi, psi_categories

CELLS = st.one_of(st.none(), st.integers(-5, 5).map(float), st.floats(-1e6, 1e6))


@settings(max_examples=40, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=60), st.lists(CELLS, min_size=1, max_size=60))
def test_numbers_give_the_index_of_the_metric(
    expected: list[float | None], actual: list[float | None]
) -> None:
    first = pl.DataFrame({"x": pl.Series(expected, dtype=pl.Float64)})
    second = pl.DataFrame({"x": pl.Series(actual, dtype=pl.Float64)})
    drift = Reference.of(first, np.zeros(len(first))).start()
    drift.add(second, np.zeros(len(second)))
    arrays = (np.array(side, dtype=float) for side in (expected, actual))
    assert drift.psi()["x"] == pytest.approx(psi(*arrays).value, abs=1e-12)


def test_categories_give_the_index_of_the_metric() -> None:
    first, second = ["a"] * 30 + ["b"] * 20 + [None] * 5, ["a"] * 10 + ["b"] * 20 + [None] * 9
    drift = Reference.of(pl.DataFrame({"x": first}), np.zeros(55)).start()
    drift.add(pl.DataFrame({"x": second}), np.zeros(39))
    assert drift.psi()["x"] == pytest.approx(psi_categories(first, second).value)


def mixed(n_rows: int) -> pl.DataFrame:
    day = dt.datetime(2020, 1, 1)
    return pl.DataFrame(
        {
            "amount": [None, *(float(number % 17) for number in range(1, n_rows))],
            "town": [("a", "b", None)[number % 3] for number in range(n_rows)],
            "owner": [(True, False, None)[number % 3] for number in range(n_rows)],
            "opened": [day + dt.timedelta(days=number) for number in range(n_rows)],
            "empty": pl.Series([None] * n_rows, dtype=pl.Float64),
            "nothing": pl.Series([None] * n_rows, dtype=pl.String),
        }
    )


def test_a_written_reference_measures_the_same(tmp_path: object) -> None:
    frame, score = mixed(200), np.linspace(0, 1, 200)
    reference = Reference.of(frame, score)
    again = Reference.from_frame(reference.to_frame())
    assert again.to_frame().equals(reference.to_frame())
    later = mixed(60)
    found = []
    for each in (reference, again):
        drift = each.start()
        for start in range(0, 60, 25):
            part = later[start : start + 25]
            drift.add(part, np.full(len(part), 0.1))
        found.append(drift.psi())
        assert drift.n_rows == 60
    assert found[0] == found[1]
    assert set(found[0]) == {*frame.columns, SCORE}
    assert found[0][SCORE] > 0.25
    assert found[0]["empty"] == found[0]["nothing"] == 0.0


def test_the_same_rows_have_not_drifted() -> None:
    frame, score = mixed(200), np.linspace(0, 1, 200)
    drift = Reference.of(frame, score).start()
    drift.add(frame, score)
    assert set(drift.psi().values()) == {0.0}


def test_rare_levels_are_not_named() -> None:
    frame = pl.DataFrame({"town": ["common"] * 20 + ["rare"] * (MIN_LEVEL_ROWS - 1)})
    table = Reference.of(frame, np.zeros(len(frame))).to_frame()
    levels = table.filter(pl.col("column") == "town")
    assert levels["level"].to_list() == ["common", "other", "missing"]
    assert levels["count"].to_list() == [20, MIN_LEVEL_ROWS - 1, 0]


def test_nothing_counted_yet_has_no_index() -> None:
    assert Reference.of(mixed(20), np.zeros(20)).start().psi() == {}


def test_another_table_is_refused() -> None:
    with pytest.raises(ArtifactError, match=r"reference\.parquet has other columns"):
        Reference.from_frame(pl.DataFrame({"a": [1]}))
