"""Curves of walks and of drawn paths, looked up in their specifications."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from thinfile.errors import DataError
from thinfile.report.figures.paths import facts_figure, paths_figure, walk_figure


def rows_of(figure: Any) -> list[dict[str, Any]]:
    """The data of a chart."""
    (rows,) = figure.live["datasets"].values()
    return list(rows)


def test_a_walk_has_a_curve_for_each_place() -> None:
    windows = np.arange(12.0).reshape(3, 2, 2)
    figure = walk_figure(windows, [-2.0, 0.0, 2.0], channel=1)
    rows = rows_of(figure)
    assert [(r["place"], r["step"], r["value"]) for r in rows[:3]] == [
        (-2.0, 0, 1.0),
        (-2.0, 1, 3.0),
        (0.0, 0, 5.0),
    ]
    assert "3 curves" in figure.alt
    summed = rows_of(walk_figure(windows, [-2, 0, 2], cumulative=True))
    assert [r["value"] for r in summed[:2]] == [0.0, 2.0]


def test_ends_of_short_windows_are_left_out() -> None:
    windows = np.array([[[1.0], [2.0]], [[3.0], [np.nan]]])
    assert len(rows_of(walk_figure(windows, [0, 1]))) == 3


def test_drawn_paths_stand_beside_real_ones() -> None:
    rng = np.random.default_rng(0)
    figure = paths_figure(rng.normal(size=(30, 10, 1)), rng.normal(size=(30, 10, 1)), n=4)
    rows = rows_of(figure)
    assert {r["side"] for r in rows} == {"real", "made"}
    assert len(rows) == 2 * 4 * 10
    assert "4 real and 4 drawn paths" in figure.alt


def test_the_facts_come_as_a_picture_and_a_table() -> None:
    rng = np.random.default_rng(0)
    real = rng.standard_t(4, size=(200, 30, 1))
    figure = facts_figure(real, rng.normal(size=(200, 30, 1)), random_state=0)
    assert {r["lag"] for r in rows_of(figure)} == set(range(1, 21))
    assert figure.table is not None
    assert len(figure.table.rows) == 11
    assert "excess kurtosis" in figure.alt
    marked = [figure.table.rows[place][3].text for place in figure.table.strong]
    assert set(marked) == {"yes"}


def test_figures_can_be_drawn() -> None:
    rng = np.random.default_rng(0)
    for figure in (
        walk_figure(rng.normal(size=(3, 5, 1)), [-1, 0, 1]),
        paths_figure(rng.normal(size=(3, 5, 1)), rng.normal(size=(3, 5, 1))),
        facts_figure(rng.normal(size=(30, 25, 1)), rng.normal(size=(30, 25, 1))),
    ):
        assert figure.still["config"]
        assert figure.live["data"] or figure.live["datasets"]


@pytest.mark.parametrize(
    ("windows", "places", "channel", "message"),
    [
        (np.zeros((2, 3, 1)), [0], 0, "2 windows, but 1 places"),
        (np.zeros((2, 3, 1)), [0, 1], 1, "channel=1 is none of the 1 channels"),
        (np.zeros(3), [0], 0, r"windows have shape \(3,\)"),
    ],
)
def test_bad_windows_are_named(
    windows: np.ndarray, places: list[float], channel: int, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        walk_figure(windows, places, channel=channel)
