"""The page of one model: curves, reconstructions, rows and samples, as far as it has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.generative.autoencoder import Autoencoder
from thinfile.generative.dcgan import DCGAN
from thinfile.generative.sgan import SGANClassifier
from thinfile.generative.table_gan import TableGAN
from thinfile.generative.vae import VAE
from thinfile.report.model import model_parts, write_model_report

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "amount": np.r_[rng.lognormal(size=199), 900.0],
            "km": rng.normal(size=200),
            "shop": rng.choice(["a", HOSTILE], 200),
        }
    )


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((40, 8, 8))


def figures(model: Any, X: Any = None) -> dict[str, list[str]]:
    return {part.name: [figure.name for figure in part.figures] for part in model_parts(model, X)}


def test_an_autoencoder_shows_its_curves_and_the_worst_rows(table: pl.DataFrame) -> None:
    model = Autoencoder(max_epochs=3, random_state=0).fit(table)
    assert figures(model) == {"model": [], "training": ["training-model"]}
    parts = {part.name: part for part in model_parts(model, table)}
    rows = parts["reconstruction"].figures
    assert [figure.name for figure in rows] == ["row-1", "row-2", "row-3"]
    worst = int(model.column_errors(table).sum_horizontal().arg_max())
    assert rows[0].title == f"Row {worst} and its reconstruction"


def test_images_stand_beside_their_reconstructions_and_samples(images: np.ndarray) -> None:
    model = VAE(image_shape=(8, 8), max_epochs=2, random_state=0).fit(images)
    assert figures(model, images) == {
        "model": [],
        "training": ["training-model"],
        "reconstruction": ["reconstruction"],
        "samples": ["gan-samples"],
    }


def test_a_gan_shows_both_sides(table: pl.DataFrame, images: np.ndarray) -> None:
    made = TableGAN(max_epochs=2, random_state=0).fit(table)
    assert figures(made, table)["training"] == ["gan-curves"]
    drawn = DCGAN(image_shape=(8, 8), max_epochs=2, random_state=0).fit(images)
    assert figures(drawn)["samples"] == ["gan-samples"]


def test_an_sgan_shows_average_precision_over_its_steps(table: pl.DataFrame) -> None:
    y = np.where(np.arange(200) < 60, np.arange(200) % 2, -1)
    model = SGANClassifier(max_steps=6, check_every=2, random_state=0).fit(table, y)
    assert figures(model)["training"] == ["watched", "training-model"]
    spec = model_parts(model)[1].figures[1].live
    losses = spec["datasets"][spec["vconcat"][0]["data"]["name"]]
    assert [row["at"] for row in losses] == [2, 4, 6]  # steps: there is one epoch


def test_the_page_holds_no_script_of_the_data(table: pl.DataFrame, tmp_path: Path) -> None:
    model = Autoencoder(max_epochs=2, random_state=0).fit(table)
    page = write_model_report(model, tmp_path / "a" / "m.html", table, title=HOSTILE)
    text = page.read_text()
    assert HOSTILE not in text
    assert '<section id="reconstruction"' in text


def test_a_curve_stands_once_and_a_note_is_no_warning() -> None:
    from types import SimpleNamespace

    from thinfile.report.model import _about, _training

    records = [
        {"step": s, "total": 10.0 / s, "validation_ap": 0.1 * s, "validation_f1": 0.1}
        for s in (1, 2, 3)
    ]
    model = SimpleNamespace(history_=records, notes_=["constant, ignored"], n_features_in_=2)
    part = _training(model)
    assert part is not None
    watched, curves = (str(figure.chart.to_dict()) for figure in part.figures)
    assert "Average precision" in watched
    assert "'name': 'ap'" not in curves
    assert "'title': 'Step'" in curves
    assert "~g" not in curves
    model.encoder_ = None
    about = _about(model)
    assert (about.warnings, about.sections[0].sentences) == ([], ["constant, ignored"])
    model.gone_off_ = "training went off"
    model.notes_.append(model.gone_off_)
    assert _about(model).warnings == ["training went off"]
