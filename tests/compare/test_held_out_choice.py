"""Which method a run builds on, from rows that its fits had not seen."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from thinfile.compare.cell import Cell
from thinfile.compare.held_out_choice import Choice, choose, mark_choices
from thinfile.errors import DataError

Y = (np.arange(400) < 40).astype(np.int8)
ROWS = np.arange(400)


def cell(method: str, blur: float | None, *, seed: int = 0, status: str = "ok") -> Cell:
    """A cell whose scores are the answer and noise; None: nothing was held back."""
    if blur is None:
        return Cell(method, 10, seed, status)
    noise = np.random.default_rng(len(method) + seed).normal(0, blur, 400)
    return Cell(method, 10, seed, status, label_rows=ROWS, label_scores=Y + noise)


def test_another_method_is_taken_only_if_it_is_surely_ahead() -> None:
    clearly = [cell("boosted", 1.5), cell("devnet", 0.3)]
    hardly = [cell("boosted", 0.5), cell("devnet", 0.5)]
    assert choose(clearly, Y, 10, metric="ap").name == "devnet"
    choice = choose(hardly, Y, 10, metric="ap")
    assert choice.name == choice.baseline == "boosted"
    assert choice.rival == "devnet"
    assert choice.sureness is not None
    assert choice.sureness < 0.9
    assert choice.n_events == 40


def test_the_figures_are_means_over_the_seeds_with_evidence() -> None:
    cells = [cell("boosted", 0.5, seed=0), cell("boosted", 1.0, seed=1), cell("boosted", None)]
    both = [choose([one], Y, 10, metric="ap").validation["boosted"] for one in cells[:2]]
    assert choose(cells, Y, 10, metric="ap").validation["boosted"] == pytest.approx(np.mean(both))


@pytest.mark.parametrize("metric", ["ap", "auc"])
def test_a_detector_is_not_taken_for_being_alone_with_a_figure(metric: str) -> None:
    cells = [cell("isolation_forest", 0.5), cell("boosted", None), cell("logistic", None)]
    choice = choose([*cells, cell("devnet", None)], Y, 10, metric=metric)
    assert choice.name == "logistic"
    assert choice.sureness is None
    assert choose(cells[:1], Y, 10, metric=metric).name == "isolation_forest"
    assert choose([cell("devnet", None), cells[0]], Y, 10, metric=metric).name == "devnet"


def test_reasons_stand_in_the_error_when_nothing_ran() -> None:
    failed = [Cell("boosted", 10, 0, "failed", error="n_trees=-1"), cell("devnet", 0.5)]
    with pytest.raises(DataError, match="no method could be run: boosted: n_trees=-1"):
        choose(failed[:1], Y, 10)
    assert choose(failed, Y, 10).name == "devnet"


def test_choices_are_marked_by_budget() -> None:
    board = pl.DataFrame({"method": ["a", "b", "a", "b"], "budget": [5, 5, 9, 9]})
    choices = {
        5: Choice("a", {"a": 0.5, "b": 0.4}, "a", "b", 0.1),
        9: Choice("b", {"b": 0.6}, "a", "b", 0.95),
    }
    marked = mark_choices(board, choices)
    assert marked["chosen"].to_list() == [True, False, False, True]
    assert marked["selection"].to_list() == [0.5, 0.4, None, 0.6]
