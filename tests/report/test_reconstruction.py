"""What the pictures of reconstructions are given to draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.errors import DataError
from thinfile.generative.autoencoder import Autoencoder
from thinfile.report.figures.reconstruction import (
    MAX_COLUMNS,
    beside,
    image_figure,
    out_of_the_ordinary,
    row_figure,
)


def rows_of(figure: Any, field: str) -> list[dict[str, Any]]:
    sets = figure.live["datasets"].values()
    return next(rows for rows in sets if rows and field in rows[0])


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 5))
    frame = pl.DataFrame(X, schema=[f"V{i}" for i in range(5)])
    return frame.with_columns(kind=pl.Series(rng.choice(["a", "b"], 300)))


@pytest.fixture(scope="module")
def model(table: pl.DataFrame) -> Autoencoder:
    return Autoencoder(
        latent_size=2, scaling="standard", max_epochs=20, max_steps=None, random_state=0
    ).fit(table)


def test_a_row_has_its_numbers_what_came_back_and_every_columns_error(model, table):
    odd = table.with_columns(V3=pl.lit(50.0))
    figure = row_figure(model, odd, 2)
    bars = rows_of(figure, "kind")
    assert [r["column"] for r in bars] == [f"V{i}" for i in range(5)] * 2
    wide = {r["column"]: r["value"] for r in bars if r["kind"] == "Row"}
    narrow = {r["column"]: r["value"] for r in bars if r["kind"] == "Reconstruction"}
    assert wide["V3"] == 10  # clipped
    spread = table["V0"].std(ddof=0)
    assert wide["V0"] == pytest.approx((odd["V0"][2] - table["V0"].mean()) / spread, rel=1e-3)
    back = model.reconstruct(odd[2])["V0"][0]
    assert narrow["V0"] == pytest.approx((back - table["V0"].mean()) / spread, rel=1e-3)
    errors = {r["column"]: r["error"] for r in rows_of(figure, "error")}
    assert list(errors) == table.columns
    assert errors["V3"] == pytest.approx(model.column_errors(odd[2])["V3"][0], rel=1e-3)
    assert "V3" in figure.alt
    assert figure.still["vconcat"]


def test_few_columns_have_wide_bars_and_many_still_fit(model, table):
    few = row_figure(model, table).live["vconcat"]
    assert [part["width"] for part in few] == [6 * 76] * 2
    wide = pl.DataFrame(np.random.default_rng(0).normal(size=(60, 30)))
    many = row_figure(Autoencoder(max_epochs=1, random_state=0).fit(wide), wide).live["vconcat"]
    assert [part["width"] for part in many] == [30 * 30] * 2


def test_a_row_without_an_unusual_column_is_said_to_have_none(model, table):
    errors = model.column_errors(table)
    row = int(errors.max_horizontal().arg_min())
    figure = row_figure(model, table, row, how_to_read=False)
    name = max(errors.columns, key=lambda column: errors[column][row])
    assert figure.caption == (
        f"No column is out of the ordinary: the largest error is that of {name}, "
        f"{errors[name][row]:.1f} times its usual one."
    )
    assert figure.alt.startswith(figure.caption)
    odd = row_figure(model, table.with_columns(V3=pl.lit(50.0)), row, how_to_read=False)
    assert odd.caption.startswith("Out of the ordinary: ")
    assert "V3 (" in odd.caption


def test_all_unusual_columns_are_named():
    told = out_of_the_ordinary({"a": 10.0, "b": 30.0, "c": 20.0, "d": 12.0, "e": 9.9})
    assert told == (
        "Out of the ordinary: b (30.0 times its usual error), c (20.0 times its usual error), "
        "d (12.0 times its usual error) and a (10.0 times its usual error)."
    )


def test_wide_tables_show_the_most_unusual_columns_in_their_order():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, MAX_COLUMNS + 20))
    model = Autoencoder(max_epochs=1, random_state=0).fit(X)
    X[0, -1] = 90
    figure = row_figure(model, X)
    shown = [r["column"] for r in rows_of(figure, "error")]
    assert len(shown) == MAX_COLUMNS
    assert shown[-1] == f"x{MAX_COLUMNS + 19}"
    assert shown == sorted(shown, key=lambda name: int(name[1:]))


def test_a_row_that_is_not_there_is_refused(model, table):
    with pytest.raises(DataError, match="row=300 must be one of the 300 rows"):
        row_figure(model, table, 300)


def test_originals_stand_above_what_came_back():
    originals, back = np.zeros((3, 4, 4)), np.full((3, 4, 4), 0.5)
    pixels = beside(originals, back, 2)
    assert pixels.shape == (4 * 6 + 2, 2 * 6 + 2)
    assert [int(pixels[2 + 6 * row, 2]) for row in range(4)] == [0, 128, 0, 128]
    assert [int(pixels[2 + 6 * row, 8]) for row in range(4)] == [0, 128, 255, 255]
    with pytest.raises(DataError, match="originals of shape"):
        beside(originals, back[:2])


def test_the_image_figure_holds_its_picture():
    figure = image_figure(np.zeros((3, 4, 4)), np.full((3, 4, 4), 0.5))
    (row,) = rows_of(figure, "address")
    assert row["address"].startswith("data:image/png;base64,")
    assert "mean squared error 0.2500" in figure.alt
