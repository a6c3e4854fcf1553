from __future__ import annotations

import numpy as np
import pytest

from thinfile.compare.cell import Key
from thinfile.fraud.cells import FraudCells
from thinfile.fraud.options import FraudOptions
from thinfile.fraud.task import FraudTask
from thinfile.methods import get_method


@pytest.fixture(scope="module")
def cells(task: FraudTask, options: FraudOptions) -> FraudCells:
    return FraudCells(task, options)


def test_a_small_budget_is_part_of_a_large_one(cells: FraudCells, task: FraudTask) -> None:
    few, many = cells.labelled(5, 0), cells.labelled(20, 0)
    assert np.isin(few, many).all()
    assert task.y[few].sum() == 5
    assert len(many) == 220
    assert not np.array_equal(few, cells.labelled(5, 1))
    assert np.isin(many, task.train).all()


def test_no_label_beyond_the_budget_reaches_a_method(
    cells: FraudCells, task: FraudTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    class Spy:
        calibration_ = None

        def fit(self, X: object, y: np.ndarray) -> Spy:
            seen["y"] = y
            return self

    monkeypatch.setattr(FraudCells, "build", lambda *_: Spy())
    rows = cells.labelled(10, 0)
    cells.fit(get_method("logistic"), rows, 0)
    assert (seen["y"] == 1).sum() == 10
    assert (seen["y"] == 0).sum() == 200
    assert (seen["y"] == -1).sum() == len(task.train) - 210


def test_evidence_comes_from_fits_that_did_not_see_the_row(cells: FraudCells) -> None:
    cell = cells(Key("boosted", 20, 0))
    assert cell.status == "ok"
    assert len(cell.label_scores) == len(cell.label_rows) == 220
    assert np.isfinite(cell.label_scores).all()
    later = cells(Key("boosted", 20, 1))
    assert len(later.label_scores) == 0
    without_labels = cells(Key("isolation_forest", 20, 1))
    assert len(without_labels.label_scores) == 220


def test_three_frauds_are_enough_to_hold_one_back_and_two_are_not(cells: FraudCells) -> None:
    three = cells(Key("logistic", 3, 0))
    assert three.status == "ok"
    assert len(three.label_scores) == 203
    two = cells(Key("logistic", 2, 0))
    assert two.status == "ok"
    assert len(two.label_scores) == 0


def test_probabilities_are_at_the_expected_rate(cells: FraudCells, task: FraudTask) -> None:
    cell = cells(Key("logistic", 20, 0))
    assert cell.scores.mean() == pytest.approx(task.rate, rel=0.5)


def test_a_failing_method_is_reported_in_its_cell(cells: FraudCells) -> None:
    from dataclasses import replace

    broken = replace(cells, options=replace(cells.options, overrides={"boosted": {"n_trees": -1}}))
    cell = broken(Key("boosted", 10, 0))
    assert cell.status == "failed"
    assert "n_trees" in cell.error
