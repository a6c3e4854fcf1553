"""Which method to build on, chosen on the validation rows: later than training, before the test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thinfile.compare.cell import Cell
from thinfile.errors import DataError
from thinfile.methods import METHODS
from thinfile.metrics.intervals import paired_bootstrap
from thinfile.metrics.ranking import roc_auc

N_DRAWS = 300
SURE = 0.9
"""Share of draws in which a method must be ahead of the best baseline to be taken instead."""


@dataclass(frozen=True)
class Choice:
    """The method to build on.

    Attributes
    ----------
    name : str
    validation_auc : dict
        Mean over seeds, by method.
    baseline, rival : str or None
        The best baseline, and the best other method, on the validation rows.
    sureness : float or None
        Share of draws in which the rival is ahead of the baseline.
    n_buyers : int
        Buyers among the labelled validation rows of the first seed.
    """

    name: str
    validation_auc: dict[str, float]
    baseline: str | None
    rival: str | None
    sureness: float | None
    n_buyers: int = 0


def choose(cells: Sequence[Cell], y: npt.NDArray[np.int8], budget: int) -> Choice:
    """The best baseline, unless another method is surely ahead of it on the validation rows.

    Parameters
    ----------
    cells
        Finished cells; their `label_scores` come from fits that saw no validation row.
    y : ndarray of shape (n,)
    budget

    Raises
    ------
    DataError
        If no method could be run.
    """
    mine = [c for c in cells if c.budget == budget and c.status == "ok"]
    if not mine:
        failed = sorted({f"{c.method}: {c.error}" for c in cells if c.budget == budget})
        raise DataError(f"no method could be run: {'; '.join(failed)[:1000]}")
    auc = {name: _mean_auc(mine, name, y) for name in dict.fromkeys(c.method for c in mine)}
    n_buyers = int((y[mine[0].label_rows] == 1).sum())
    baselines = {m: a for m, a in auc.items() if METHODS[m].family == "baseline"}
    others = {m: a for m, a in auc.items() if m not in baselines}
    if not baselines or not others:
        return Choice(
            max(auc, key=auc.__getitem__), auc, _top(baselines), _top(others), None, n_buyers
        )
    baseline, other = _top(baselines), _top(others)
    assert baseline is not None
    assert other is not None
    sureness = _sureness(mine, other, baseline, y)
    return Choice(other if sureness >= SURE else baseline, auc, baseline, other, sureness, n_buyers)


def _top(auc: dict[str, float]) -> str | None:
    return max(auc, key=auc.__getitem__) if auc else None


def _mean_auc(cells: Sequence[Cell], name: str, y: npt.NDArray[np.int8]) -> float:
    found = [
        roc_auc(y[c.label_rows], c.label_scores)
        for c in cells
        if c.method == name and len(np.unique(y[c.label_rows])) == 2
    ]
    return float(np.mean(found)) if found else 0.5


def _sureness(cells: Sequence[Cell], first: str, second: str, y: npt.NDArray[np.int8]) -> float:
    """Mean over seeds of the share of draws in which the first is ahead of the second."""
    shares = []
    for seed in sorted({c.seed for c in cells}):
        pair = [
            next((c for c in cells if (c.method, c.seed) == (m, seed)), None)
            for m in (first, second)
        ]
        if pair[0] is None or pair[1] is None or len(np.unique(y[pair[0].label_rows])) < 2:
            continue
        stack = np.stack([pair[0].label_scores, pair[1].label_scores])[:, None, :]
        drawn = paired_bootstrap(y[pair[0].label_rows], stack, n_draws=N_DRAWS, random_state=seed)
        shares.append(drawn.difference(0, 1).probability_greater)
    return float(np.mean(shares)) if shares else 0.0
