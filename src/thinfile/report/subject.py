"""What the report reads: the fields of a finished comparison, and which methods it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thinfile.methods import METHODS

if TYPE_CHECKING:
    from thinfile.compare.result import Result

Row = dict[str, Any]
FloatArray = npt.NDArray[np.float64]

MAX_CURVES = 6
"""Curves in one picture; more cannot be told apart."""


@dataclass(frozen=True)
class Subject:
    """A comparison seen at the label budget of its verdict.

    Attributes
    ----------
    result : Result
    budget : int
        Target labels the verdict speaks about.
    choice : str or None
        Name of the chosen method.
    board : list of dict
        Leaderboard rows at that budget that have an AUC, best first.
    failed : list of dict
        Leaderboard rows at that budget without an AUC.
    titles : mapping
        Method name → the title to show.
    """

    result: Result
    budget: int
    choice: str | None
    board: list[Row]
    failed: list[Row]
    titles: Mapping[str, str]

    @property
    def chosen(self) -> Row | None:
        """The leaderboard row of the chosen method."""
        return next((row for row in self.board if row["method"] == self.choice), None)

    @property
    def best_baseline(self) -> Row | None:
        """The leaderboard row of the baseline with the highest AUC."""
        return next((row for row in self.board if row["family"] == "baseline"), None)

    @property
    def curves(self) -> list[Row]:
        """Rows to draw curves of: the choice, the best baseline, the best of each family."""
        best_of_family: dict[str, Row] = {}
        for row in self.board:
            best_of_family.setdefault(row["family"], row)
        wanted = [self.chosen, self.best_baseline, *best_of_family.values()]
        rows = {row["method"]: row for row in wanted if row is not None}
        return [row for row in rows.values() if len(self.runs(row["method"]))][:MAX_CURVES]

    def runs(self, method: str) -> FloatArray:
        """Test probabilities of the seeds that did not fail, shape (seeds, test rows)."""
        none = np.empty((0, len(self.result.test_y)))
        scores = np.atleast_2d(self.result.test_scores.get((method, self.budget), none))
        kept: FloatArray = scores[np.isfinite(scores).all(axis=1)] if scores.size else none
        return kept

    def title(self, method: str) -> str:
        """Title of a method, or its name where it has none."""
        return self.titles.get(method) or method


def subject_of(result: Result) -> Subject:
    """Look at a comparison at the budget of its verdict, or else at its largest."""
    rows = result.leaderboard.to_dicts()
    budgets = sorted({row["budget"] for row in rows})
    budget = result.verdict.get("budget")
    if budget not in budgets and budgets:
        budget = budgets[-1]
    here = [row for row in rows if row["budget"] == budget]
    board = [row for row in here if is_number(row.get("auc"))]
    return Subject(
        result=result,
        budget=int(budget or 0),
        choice=result.verdict.get("choice") or _marked(board),
        board=sorted(board, key=lambda row: (-row["auc"], row["method"])),
        failed=[row for row in here if not is_number(row.get("auc"))],
        titles=_titles(rows),
    )


def _titles(rows: list[Row]) -> dict[str, str]:
    """Titles by name; where two methods share one, the name is added."""
    known = {name: method.title for name, method in METHODS.items()}
    known |= {row["method"]: str(row.get("title") or row["method"]) for row in rows}
    titles = list(known.values())
    return {n: t if titles.count(t) == 1 else f"{t} ({n})" for n, t in known.items()}


def _marked(board: list[Row]) -> str | None:
    return next((row["method"] for row in board if row.get("chosen")), None)


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number."""
    if isinstance(value, bool) or value is None:
        return False
    return isinstance(value, int | float | np.number) and bool(np.isfinite(value))
