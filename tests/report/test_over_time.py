from __future__ import annotations

import math

from thinfile.report.figures.over_time import medians, over_time_figure

RUNS = {
    "F1": {"reference": [[(1, 0.1), (2, 0.9), (3, 0.0)], [(1, 0.3), (2, 0.7), (3, 0.0)]]},
    "AP": {"default": [[(1, 0.2), (2, 0.6), (3, 0.6)]]},
}


def test_medians_skip_gaps_and_steps_that_some_run_lacks() -> None:
    runs = [[(1, 0.2), (2, 0.4), (3, 1.0)], [(1, 0.6), (2, math.nan)]]
    assert medians(runs) == [(1, 0.4), (2, 0.4)]
    assert medians([]) == []
    assert medians([[(1, math.nan)]]) == []


def test_each_run_is_a_line_and_the_median_a_thick_one() -> None:
    figure = over_time_figure(RUNS)
    panels = figure.live["hconcat"]
    assert [panel["layer"][1]["encoding"]["y"]["title"] for panel in panels] == ["F1", "AP"]
    sets = list(figure.live["datasets"].values())
    thin = next(rows for rows in sets if "run" in rows[0] and rows[0]["recipe"] == "reference")
    assert {row["run"] for row in thin} == {"reference 1", "reference 2"}
    thick = next(rows for rows in sets if "run" not in rows[0] and len(rows) == 3)
    assert [row["value"] for row in thick] in ([0.2, 0.8, 0.0], [0.2, 0.6, 0.6])
    assert "reference best 0.800, at the end 0.000" in figure.alt


def test_a_recipe_keeps_its_colour_in_every_panel() -> None:
    for panel in over_time_figure(RUNS).live["hconcat"]:
        assert panel["layer"][0]["encoding"]["color"]["scale"]["domain"] == [
            "reference",
            "default",
        ]


def test_long_runs_are_thinned_and_keep_their_end() -> None:
    run = [(step, 0.5) for step in range(1, 1001)]
    figure = over_time_figure({"AP": {"default": [run]}})
    longest = max(figure.live["datasets"].values(), key=len)
    assert len(longest) <= 160
    assert longest[-1]["step"] == 1000


def test_nothing_to_draw_is_said() -> None:
    assert over_time_figure({"AP": {"default": []}}).alt == "AP: default without a value."
