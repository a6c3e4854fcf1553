"""What the charts are given to draw, looked up in their specifications."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from thinfile.compare.result import Result
from thinfile.report.diagnosis import diagnosis_part
from thinfile.report.figures.leaderboard import (
    difference_figure,
    label_curve_figure,
    leaderboard_figure,
)
from thinfile.report.figures.populations import MAX_BARS, psi_figure, rates_figure, shift_figure
from thinfile.report.figures.ranking import ranking_figures
from thinfile.report.figures.training import training_figures
from thinfile.report.subject import subject_of

MakeResult = Callable[..., Result]


def rows_of(figure: Any, field: str) -> list[dict[str, Any]]:
    """The rows among a chart's data that have a field."""
    sets = figure.live["datasets"].values()
    return next(rows for rows in sets if rows and field in rows[0])


def test_the_leaderboard_is_sorted_and_marks_one_method(make_result: MakeResult) -> None:
    subject = subject_of(make_result())
    rows = rows_of(leaderboard_figure(subject), "kind")
    assert [r["value"] for r in rows] == sorted((r["value"] for r in rows), reverse=True)
    assert [r["title"] for r in rows if r["chosen"]] == ["Boosted trees, pooled"]
    assert {r["kind"] for r in rows} == {"Baseline", "Method"}
    assert all(r["low"] < r["value"] < r["high"] for r in rows)


def test_the_difference_is_zero_for_the_best_baseline(make_result: MakeResult) -> None:
    subject = subject_of(make_result())
    figure = difference_figure(subject)
    assert figure is not None
    best = subject.title(subject.best_baseline["method"])  # type: ignore[index]
    assert [r["text"] for r in rows_of(figure, "kind") if r["title"] == best] == ["0.000"]
    assert best in figure.title


def test_no_label_has_a_place_on_the_logarithmic_axis(make_result: MakeResult) -> None:
    result = make_result(methods=["boosted_pooled", "dan"], budgets=[0, 100, 400])
    figure = label_curve_figure(subject_of(result))
    assert figure is not None
    rows = rows_of(figure, "place")
    assert {(r["labels"], r["place"]) for r in rows} == {(0, 25), (100, 100), (400, 400)}
    assert "leftmost place is 0 labels" in figure.caption


def test_shared_rows_are_held_once_and_the_still_has_no_hover_points(
    make_result: MakeResult,
) -> None:
    figures, keys = ranking_figures(subject_of(make_result()))
    assert [f.name for f in figures] == ["roc", "ks", "gain", "lift"]
    assert keys[0].title == "Boosted trees, pooled"
    for figure in figures:
        names = [layer.get("name") for layer in figure.live["layer"]]
        assert "hover" in names
        assert "hover" not in [layer.get("name") for layer in figure.still["layer"]]
        assert sum("stop" in rows[0] for rows in figure.live["datasets"].values()) == 1


def test_long_bars_of_psi_are_cut_and_their_number_is_not() -> None:
    psi = [(f"c{k:02d}", k / 100) for k in range(50)] + [("far", 8.5)]
    figure = psi_figure(psi)
    assert figure is not None
    rows = rows_of(figure, "band")
    assert len(rows) == MAX_BARS
    assert (rows[0]["column"], rows[0]["length"], rows[0]["text"]) == ("far", 1.0, "8.500")
    bands = {r["column"]: r["band"] for r in rows}
    assert (bands["c25"], bands["c26"]) == ("0.1 to 0.25", "above 0.25")
    assert "The 11 columns that are not drawn are at 0.100 or below." in figure.caption
    assert figure.table is not None
    assert len(figure.table.rows) == 51


def test_what_is_empty_is_no_figure() -> None:
    assert psi_figure([]) is None
    assert shift_figure([]) is None
    assert rates_figure([]) is None


def test_the_diagnosis_is_read_and_gathered_by_method(make_result: MakeResult) -> None:
    part = diagnosis_part(subject_of(make_result()))
    assert [figure.name for figure in part.figures] == ["telling", "shift", "rates"]
    assert part.advice is not None
    first = [cell.text for cell in part.advice.rows[0]]
    assert first[:2] == ["DANN (adversarial)", "not to be used"]
    assert first[2].endswith("The populations differ much.")
    assert len(part.advice.rows) == 2
    shift = rows_of(part.figures[1], "sum")
    assert [r["value"] for r in shift] == [-0.023, -0.057, -0.08]
    assert next((r["low"], r["high"], r["edge"]) for r in shift) == (-0.04, -0.002, 0)
    rates = rows_of(part.figures[2], "source")
    assert [r["text"] for r in rates] == ["15.4%", "7.1%", "7.5%", "6.8%"]
    assert rates[1]["low"] < 0.071 < rates[1]["high"]


@pytest.mark.parametrize("diagnosis", [{}, {"overlap": None, "columns": None, "advice": None}])
def test_an_empty_diagnosis_gives_nothing(make_result: MakeResult, diagnosis: Any) -> None:
    part = diagnosis_part(subject_of(make_result(diagnosis=diagnosis)))
    assert [*part.sentences, *part.findings, *part.figures] == []
    assert part.advice is None
    assert part.psi is None


def test_training_shows_terms_weights_and_checks(make_result: MakeResult) -> None:
    figures = {f.name: f for f in training_figures(subject_of(make_result()))}
    assert set(figures) == {
        f"training-{name}" for name in ("dan", "dann", "deep-coral", "fine-tune", "mlp")
    } - {"training-dann"}
    dan = figures["training-dan"].live
    names = [{row["name"] for row in rows} for rows in dan["datasets"].values()]
    assert names == [{"total", "classification"}, {"MMD"}, {"MMD"}, {"AUC", "KS"}]
    assert "total from" in figures["training-dan"].alt


@pytest.mark.parametrize("wrap", [lambda r: r, lambda r: {"records": r}])
def test_histories_may_be_nested_or_hold_nothing(make_result: MakeResult, wrap: Any) -> None:
    nested = [
        {"epoch": k, "step": k, "terms": {"total": 1 / k}, "metrics": {"validation_auc": None}}
        for k in range(1, 400)
    ]
    histories = {("dan", 1000): wrap(nested), ("mlp", 1000): wrap([]), ("dann", 1000): None}
    (figure,) = training_figures(subject_of(make_result(histories=histories)))
    rows = rows_of(figure, "at")
    assert len(rows) <= 151
    assert rows[-1]["at"] == 399
    assert {row["name"] for row in rows} == {"total"}


def test_a_drop_that_cannot_be_told_is_not_drawn(make_result: MakeResult) -> None:
    diagnosis = make_result().diagnosis
    untold = {**diagnosis["decomposition"], "verdict": "no shared ground"}
    result = make_result(diagnosis={**diagnosis, "decomposition": untold})
    assert "shift" not in [figure.name for figure in diagnosis_part(subject_of(result)).figures]
