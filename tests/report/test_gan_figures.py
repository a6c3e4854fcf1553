"""Curves of both sides, and samples on a grid."""

import numpy as np

from thinfile.report.figures.gan import gan_figure, samples_figure

RECORDS = [
    {
        "step": step,
        "discriminator_loss": 0.7 - step / 1000,
        "generator_loss": 0.7 + step / 1000,
        "accuracy_real": 0.5,
        "accuracy_fake": 0.6,
        "quality": None if step == 10 else 0.4,
        "spread": 0.9,
        "duplicates": 0.0,
    }
    for step in (10, 20, 30)
]


def rows_of(spec, panel):
    """The inline data of a chart, which altair may lay down once for all of them."""
    given = panel["data"]
    return given["values"] if "values" in given else spec["datasets"][given["name"]]


def test_three_panels_with_a_line_for_each_side():
    figure = gan_figure(RECORDS, "TableGAN")
    spec = figure.chart.to_dict()
    assert [panel["encoding"]["y"]["title"] for panel in spec["vconcat"]] == [
        "Loss",
        "Accuracy of the discriminator",
        "Made beside real",
    ]
    values = rows_of(spec, spec["vconcat"][0])
    assert {row["name"] for row in values} == {"discriminator", "generator"}
    quality = [row for row in rows_of(spec, spec["vconcat"][2]) if row["name"] == "quality"]
    assert [row["step"] for row in quality] == [20, 30]
    assert "discriminator loss from 0.690 to 0.670" in figure.alt
    assert figure.live
    assert figure.still


def test_what_was_not_measured_has_no_panel():
    figure = gan_figure([{"step": 1, "generator_loss": 1.0}])
    assert len(figure.chart.to_dict()["vconcat"]) == 1


def test_samples_become_a_figure():
    figure = samples_figure(np.random.default_rng(0).random((12, 5, 5)), columns=6)
    assert figure.alt == "12 made images of 5 × 5 pixels on a grid."
    spec = figure.chart.to_dict()
    address = rows_of(spec, spec)[0]["url"]
    assert address.startswith("data:image/png;base64,")
