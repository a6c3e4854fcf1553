from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.compare.cell import Cell
from thinfile.compare.choice import Choice, choose
from thinfile.compare.evidence import Candidate
from thinfile.compare.result import Result
from thinfile.compare.task import Task
from thinfile.compare.verdict import choose_method, write_verdict
from thinfile.errors import DataError
from thinfile.methods import METHODS

SETTINGS: dict[str, Any] = {
    "source": "old",
    "target": "new",
    "source_rate": 0.10,
    "target_rate": 0.25,
    "mode": "hold-out",
    "is_rate_corrected": True,
    "n_target_labelled": 1000,
}
CURVE = pl.DataFrame(
    {
        "method": ["boosted_pooled"] * 3,
        "budget": [100, 225, 400],
        "auc": [0.70 - 0.8 / 10, 0.70 - 0.8 / 15, 0.70 - 0.8 / 20],
        "low": [0.5] * 3,
        "high": [0.9] * 3,
    }
)


def row(method: str, auc: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    """A row of a leaderboard; low and high are of its difference to the best baseline, 0.7."""
    return {
        "method": method,
        "title": METHODS[method].title,
        "family": METHODS[method].family,
        "budget": 400,
        "auc": auc,
        "auc_low": auc - 0.04,
        "auc_high": auc + 0.03,
        "difference": auc - 0.7,
        "difference_low": low,
        "difference_high": high,
        "is_reference": method == "boosted_pooled",
        "calibration_error": 0.0123,
        **more,
    }


BASELINE = row("boosted_pooled", 0.70, 0.0, 0.0)


def chosen(name: str) -> Choice:
    others = [n for n in ("boosted_pooled", name) if n != name or n == "boosted_pooled"]
    candidates = [Candidate(n, METHODS[n].family) for n in dict.fromkeys([*others, name])]
    choice = choose(candidates, reference="boosted_pooled")
    return Choice(name, choice.reference, choice.estimates, choice.evidence, choice.sentence)


def verdict(
    *rows: dict[str, Any], choice: str = "boosted_pooled", curve: pl.DataFrame = CURVE, **more: Any
) -> dict[str, Any]:
    diagnosis = {"advice": more.pop("advice", [])}
    board = pl.DataFrame(list(rows), infer_schema_length=None)
    return write_verdict(board, {400: chosen(choice)}, curve, diagnosis, SETTINGS | more)


def text(found: dict[str, Any]) -> str:
    return " ".join(found["sentences"])


def test_the_headline_has_the_choice_and_its_figures() -> None:
    found = verdict(BASELINE)
    assert (found["choice"], found["budget"]) == ("boosted_pooled", 400)
    assert found["headline"] == (
        "Build on: Boosted trees, pooled. AUC 0.700 (0.660–0.730) on the target with 400 labels."
    )


def test_a_network_that_is_worse_is_not_recommended() -> None:
    found = verdict(BASELINE, row("dan", 0.68, -0.03, -0.01), row("mlp", 0.6, -0.15, -0.05))
    assert (
        "DAN (MK-MMD) is 0.020 worse (−0.030…−0.010) than the best plain baseline "
        "(Boosted trees, pooled, 0.700) and is not recommended."
    ) in found["sentences"]
    assert "None of the deep or transfer methods pays here." in found["sentences"]


def test_a_network_that_is_better_and_chosen_is_said_to_be() -> None:
    found = verdict(
        BASELINE,
        row("dan", 0.74, 0.01, 0.07),
        row("mlp", 0.6, -0.15, -0.05),
        row("dann", 0.69, -0.03, 0.01),
        choice="dan",
    )
    assert "0.040 better (+0.010…+0.070)" in text(found)
    assert "and is the choice." in text(found)
    assert "Clearly worse than that baseline: Network, pooled." in found["sentences"]
    assert "no method ranked better" in text(found)


def test_a_better_network_that_labels_could_not_show() -> None:
    found = verdict(BASELINE, row("dan", 0.74, 0.01, 0.07))
    assert "; the evidence at hand was too weak to choose it." in text(found)
    assert (
        "On the test rows, which the choice has not seen, DAN (MK-MMD) ranked best with AUC 0.740: "
        "the choice is 0.040 behind."
    ) in found["sentences"]


def test_a_draw_is_not_recommended() -> None:
    found = text(verdict(BASELINE, row("dan", 0.71, -0.01, 0.03)))
    assert "cannot be told from the best plain baseline" in found
    assert "; it is not recommended." in found


def test_there_is_a_verdict_without_a_baseline() -> None:
    alone = row("mlp", 0.7, 0.0, 0.0) | dict.fromkeys(
        ["difference", "difference_low", "difference_high"]
    )
    found = verdict(alone, choice="mlp")
    assert found["choice"] == "mlp"
    assert "plain baseline" not in text(found)


def test_more_labels_are_worth_what_the_curve_says() -> None:
    """The curve is auc = 0.7 − 0.8 / √labels exactly."""
    gain = 0.8 * (400**-0.5 - 600**-0.5)
    expected = f"200 more labels would be worth about +{gain:.3f}"
    assert f"{expected} (AUC by labels, 100: 0.620, 225: 0.647, 400: 0.660)." in text(
        verdict(BASELINE)
    )


def test_more_labels_may_be_worth_nothing() -> None:
    flat = CURVE.with_columns(pl.lit(0.7).alias("auc"))
    assert "200 more labels would be worth next to nothing" in text(verdict(BASELINE, curve=flat))
    falling = CURVE.with_columns(pl.Series("auc", [0.72, 0.71, 0.70]))
    assert "next to nothing" in text(verdict(BASELINE, curve=falling))


@pytest.mark.parametrize("curve", [CURVE.head(1), CURVE.head(0)])
def test_a_point_is_no_curve(curve: pl.DataFrame) -> None:
    assert "more labels" not in text(verdict(BASELINE, curve=curve))


@pytest.mark.parametrize(
    ("rate", "words"),
    [(0.25, "2.5 times as frequent in new (25.0%)"), (0.1, "about as frequent in new (10.0%)")],
)
def test_base_rates_are_told(rate: float, words: str) -> None:
    found = text(verdict(BASELINE, target_rate=rate))
    assert f"The event is {words} as in old (10.0%)" in found
    assert "off by 0.012 on average" in found


def test_cross_validated_figures_are_told_to_be() -> None:
    assert "cross-validated on the same labels" in text(verdict(BASELINE, mode="cross-validation"))
    assert "cross-validated" not in text(verdict(BASELINE))


def test_warnings_of_one_reason_stand_together() -> None:
    advice = [
        {"method": "dan", "action": "avoid", "reason": "the populations barely overlap"},
        {"method": "dann", "action": "avoid", "reason": "the populations barely overlap"},
        {"method": "mlp", "action": "caution", "reason": "x"},
        {"method": "deep_coral", "action": "avoid", "reason": "it was not run"},
    ]
    rows = [row(name, 0.69, -0.02, 0.01) for name in ("dan", "dann", "mlp")]
    assert verdict(BASELINE, *rows, advice=advice)["warnings"] == [
        "Not to be used here: DAN (MK-MMD), DANN (adversarial). The populations barely overlap."
    ]


def test_figures_in_words_are_those_of_the_leaderboard(finished: tuple[Path, Result]) -> None:
    result = finished[1]
    rows = {r["method"]: r for r in result.leaderboard.filter(pl.col("budget") == 40).to_dicts()}
    mine = rows[result.verdict["choice"]]
    auc, low, high = map(float, re.findall(r"0\.\d{3}", result.verdict["headline"]))
    assert auc == round(mine["auc"], 3)
    assert (low, high) == (round(mine["auc_low"], 3), round(mine["auc_high"], 3))
    deep = next(s for s in result.verdict["sentences"] if "best plain baseline" in s)
    found = re.search(r"([\d.]+) (better|worse) \(([+−][\d.]+)…([+−][\d.]+)\)", deep)
    assert found is not None
    best = max((r for r in rows.values() if r["family"] != "baseline"), key=lambda r: r["auc"])
    assert deep.startswith(best["title"])
    assert float(found[1]) == round(abs(best["difference"]), 3)
    assert found[2] == ("better" if best["difference"] > 0 else "worse")
    interval = [float(found[i].replace("−", "-")) for i in (3, 4)]
    assert interval == [round(best["difference_low"], 3), round(best["difference_high"], 3)]


# The choice --------------------------------------------------------------------------------------


def cell(method: str, seed: int, task: Task, *, signal: float, budget: int = 40) -> Cell:
    """A cell whose out-of-fold scores tell the labels by `signal`."""
    rows = task.target_labelled[seed * 20 : seed * 20 + budget]
    rng = np.random.default_rng(seed + 100 * len(method))
    scores = 1 / (1 + np.exp(-(signal * task.y[rows] + rng.normal(size=len(rows)))))
    return Cell(method, budget, seed, "ok", label_rows=rows, label_scores=scores)


def test_the_choice_goes_by_out_of_fold_scores(small_task: Task) -> None:
    cells = [
        cell(method, seed, small_task, signal=signal)
        for seed in range(3)
        for method, signal in [("boosted_pooled", 0.1), ("boosted_target", 0.1), ("mlp", 8.0)]
    ]
    found = choose_method(cells, small_task, None, {}, 40)
    assert (found.reference, found.evidence) == ("boosted_pooled", "target labels")
    measured = {e.name: e.measured for e in found.estimates}
    assert measured["mlp"] is not None
    assert measured["mlp"] > 0.2
    assert found.name == "mlp"
    avoided = choose_method(cells, small_task, None, {"mlp": "avoid"}, 40)
    assert avoided.name != "mlp"


def test_only_finished_cells_of_the_budget_count(small_task: Task) -> None:
    cells = [
        cell("logistic_pooled", 0, small_task, signal=1.0),
        Cell("boosted_pooled", 40, 0, "failed", "no luck"),
        Cell("boosted_source", 0, 0, "ok"),
    ]
    found = choose_method(cells, small_task, None, {}, 40)
    assert found.name == found.reference == "logistic_pooled"
    assert len(found.estimates) == 1


def test_without_labels_weighted_source_rows_are_the_evidence(small_task: Task) -> None:
    rng = np.random.default_rng(0)
    source = small_task.source
    cells = [
        Cell(
            method,
            0,
            0,
            "ok",
            source_rows=source,
            source_scores=np.clip(
                small_task.y[source] * signal + rng.random(len(source)) / 2, 0, 1
            ),
        )
        for method, signal in [("boosted_source", 0.0), ("mlp", 0.4)]
    ]
    weight = np.ones(len(source))
    found = choose_method(cells, small_task, weight, {}, 0)
    assert (found.reference, found.evidence) == ("boosted_source", "weighted source rows")
    measured = {e.name: e.measured for e in found.estimates}
    assert measured["mlp"] is not None
    assert measured["mlp"] > 0.1
    assert choose_method(cells, small_task, None, {}, 0).evidence == "none"


def test_no_method_at_all_is_refused_with_the_reasons(small_task: Task) -> None:
    cells = [
        Cell("mlp", 40, 0, "failed", "RuntimeError: no luck"),
        Cell("boosted_source", 0, 0, "ok"),
    ]
    with pytest.raises(DataError, match="no method could be run with 40 labels; mlp: RuntimeError"):
        choose_method(cells, small_task, None, {}, 40)
