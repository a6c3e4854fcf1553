"""The page of one model: how it was trained, what it makes of rows, and what it makes up."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from thinfile.data.images import ImageEncoder
from thinfile.frame import as_frame
from thinfile.report.card import Section
from thinfile.report.figures.figure import Figure
from thinfile.report.figures.gan import gan_figure, samples_figure
from thinfile.report.figures.reconstruction import image_figure, row_figure
from thinfile.report.figures.training import history_figure
from thinfile.report.figures.watched import WATCHED, watched_figure
from thinfile.report.page import fill, require_packages, write_page
from thinfile.report.parts import Fact, Part
from thinfile.report.words import count

N_IMAGES, N_ROWS, N_SAMPLES = 20, 3, 50
CODED_ROWS = 20_000
"""Rows among which the most unusual ones are looked for."""
GAN_KEYS = ("discriminator_loss", "generator_loss")


def write_model_report(
    model: Any, path: str | os.PathLike[str], X: Any = None, *, title: str = "Model"
) -> Path:
    """Write pictures of a fitted model as one HTML page that loads nothing.

    It shows what the model has: curves of its training (of a GAN both sides' losses and
    accuracies; average precision or F1 over the steps where they were followed), originals beside
    reconstructions, the errors of single rows column by column, and made images on a grid. Made
    rows of tables are judged by :func:`thinfile.report.synthetic.write_synthetic` instead.

    Parameters
    ----------
    model
        Fitted: classifier, detector, encoder or generator.
    path
        File to write; its folder is made. A page that is there is replaced whole or not at all.
    X : table or images, optional
        Raw rows to reconstruct; without them there are no reconstructions. The page shows some.
    title : str
        Heading of the page.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    MissingPackageError
        If altair, vl-convert or jinja2 is not installed.
    ArtifactError
        If the file cannot be written.
    """
    require_packages()
    created = datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC")
    return write_page(fill(model_parts(model, X), title, created), path)


def model_parts(model: Any, X: Any = None) -> list[Part]:
    """The parts of the page that there is something to say in."""
    found = [_about(model), _training(model), _reconstruction(model, X), _samples(model)]
    return [part for part in found if part is not None]


def _about(model: Any) -> Part:
    is_image = isinstance(model.encoder_, ImageEncoder)
    facts = [
        Fact("Model", type(model).__name__),
        Fact("Pixels" if is_image else "Columns", count(model.n_features_in_)),
        Fact("Checks in training", count(len(model.history_))),
    ]
    gone_off = getattr(model, "gone_off_", None)
    notes = [str(note) for note in model.notes_ if note != gone_off]
    return Part(
        "model",
        "The model",
        facts=facts,
        warnings=[str(gone_off)] if gone_off else [],
        sections=[Section("Notes", notes)] if notes else [],
    )


def _training(model: Any) -> Part | None:
    name, records = type(model).__name__, model.history_
    if len(records) < 2:
        return None
    watched = watched_figure({name: records})
    if all(key in records[-1] for key in GAN_KEYS):
        curves: Figure | None = gan_figure(records, name)
    else:
        curves = history_figure(records, name, without=WATCHED if watched is not None else ())
    figures = [figure for figure in (watched, curves) if figure is not None]
    return Part("training", "How it was trained", figures=figures) if figures else None


def _reconstruction(model: Any, X: Any) -> Part | None:
    if X is None or not hasattr(model, "reconstruct"):
        return None
    if isinstance(model.encoder_, ImageEncoder):
        figures = [_images(model, X)]
        sentence = f"The first {count(N_IMAGES)} images at most."
    elif not hasattr(model, "usual_errors_"):
        return None  # errors in units of their own cannot stand side by side
    else:
        figures = _rows(model, X)
        sentence = (
            f"The {count(len(figures))} rows that come back worst. A row that is out of the "
            "ordinary in one column has one high bar below."
        )
    return Part("reconstruction", "What comes back", sentences=[sentence], figures=figures)


def _images(model: Any, X: Any) -> Figure:
    encoder: ImageEncoder = model.encoder_
    first = X[:N_IMAGES]
    originals = encoder.decode(encoder.encode(first).numbers).transpose(0, 2, 3, 1)
    back = np.asarray(model.reconstruct(first), dtype=np.float64)
    return image_figure(originals.reshape(back.shape), back)


def _rows(model: Any, X: Any) -> list[Figure]:
    frame = as_frame(X).head(CODED_ROWS)
    total = model.column_errors(frame).sum_horizontal().to_numpy()
    worst = np.argsort(-total, kind="stable")[:N_ROWS]
    return [
        _numbered(
            row_figure(model, frame, int(row), name=f"row-{place}", how_to_read=place == 1),
            int(row),
        )
        for place, row in enumerate(worst, start=1)
    ]


def _numbered(figure: Figure, row: int) -> Figure:
    title = f"Row {count(row)} and its reconstruction"
    return replace(figure, title=title)


def _samples(model: Any) -> Part | None:
    if not hasattr(model, "sample") or not isinstance(model.encoder_, ImageEncoder):
        return None
    images = np.asarray(model.sample(N_SAMPLES, random_state=0), dtype=np.float64)
    sentence = "None of them is a training image." if hasattr(model, "row_hashes_") else ""
    sentences = [sentence] if sentence else []
    return Part(
        "samples", "What it makes up", sentences=sentences, figures=[samples_figure(images)]
    )
