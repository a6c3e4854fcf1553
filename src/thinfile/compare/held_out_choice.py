"""Which method to build on, chosen on labelled rows that its fit had not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thinfile.compare.cell import Cell
from thinfile.errors import DataError
from thinfile.methods import METHODS
from thinfile.metrics.intervals import paired_bootstrap
from thinfile.metrics.ranking import average_precision, roc_auc

N_DRAWS = 300
METRICS = {"auc": roc_auc, "ap": average_precision}
NO_EVIDENCE = {"auc": 0.5, "ap": 0.0}
SURE = 0.9
"""Share of draws in which a method must be ahead of the best baseline to be taken instead."""


@dataclass(frozen=True)
class Choice:
    """The method to build on.

    Attributes
    ----------
    name : str
    validation : dict
        The metric on those rows, mean over seeds, by method.
    baseline, rival : str or None
        The best baseline, and the best other method, on those rows.
    sureness : float or None
        Share of draws in which the rival is ahead of the baseline.
    n_events : int
        Events among those rows of the first seed.
    """

    name: str
    validation: dict[str, float]
    baseline: str | None
    rival: str | None
    sureness: float | None
    n_events: int = 0


def choose(
    cells: Sequence[Cell], y: npt.NDArray[np.int8], budget: int, *, metric: str = "auc"
) -> Choice:
    """The best baseline, unless another method is surely ahead of it on rows unseen by both.

    Parameters
    ----------
    cells
        Finished cells; their `label_scores` come from fits that saw none of `label_rows`.
    y : ndarray of shape (n,)
    budget
    metric
        "auc" or "ap".

    Raises
    ------
    DataError
        If no method could be run.
    """
    mine = [c for c in cells if c.budget == budget and c.status == "ok"]
    if not mine:
        failed = sorted({f"{c.method}: {c.error}" for c in cells if c.budget == budget})
        raise DataError(f"no method could be run: {'; '.join(failed)[:1000]}")
    auc = {name: _mean(mine, name, y, metric) for name in dict.fromkeys(c.method for c in mine)}
    n_events = int((y[mine[0].label_rows] == 1).sum())
    baselines = {m: a for m, a in auc.items() if METHODS[m].family == "baseline"}
    others = {m: a for m, a in auc.items() if m not in baselines}
    if not baselines or not others:
        return Choice(
            max(auc, key=auc.__getitem__), auc, _top(baselines), _top(others), None, n_events
        )
    baseline, other = _top(baselines), _top(others)
    assert baseline is not None
    assert other is not None
    sureness = _sureness(mine, other, baseline, y, metric)
    return Choice(other if sureness >= SURE else baseline, auc, baseline, other, sureness, n_events)


def _top(auc: dict[str, float]) -> str | None:
    return max(auc, key=auc.__getitem__) if auc else None


def _mean(cells: Sequence[Cell], name: str, y: npt.NDArray[np.int8], metric: str) -> float:
    measure = METRICS[metric]
    found = [
        measure(y[c.label_rows], c.label_scores)
        for c in cells
        if c.method == name and len(c.label_scores) and len(np.unique(y[c.label_rows])) == 2
    ]
    return float(np.mean(found)) if found else NO_EVIDENCE[metric]


def _sureness(
    cells: Sequence[Cell], first: str, second: str, y: npt.NDArray[np.int8], metric: str
) -> float:
    """Mean over seeds of the share of draws in which the first is ahead of the second."""
    shares = []
    for seed in sorted({c.seed for c in cells}):
        pair = [
            next((c for c in cells if (c.method, c.seed) == (m, seed)), None)
            for m in (first, second)
        ]
        if pair[0] is None or pair[1] is None or _is_blind(pair[0], pair[1], y):
            continue
        stack = np.stack([pair[0].label_scores, pair[1].label_scores])[:, None, :]
        drawn = paired_bootstrap(
            y[pair[0].label_rows], stack, metric=metric, n_draws=N_DRAWS, random_state=seed
        )
        shares.append(drawn.difference(0, 1).probability_greater)
    return float(np.mean(shares)) if shares else 0.0


def _is_blind(first: Cell, second: Cell, y: npt.NDArray[np.int8]) -> bool:
    """Whether there is nothing to hold the two against each other by."""
    n_known = min(len(first.label_scores), len(second.label_scores))
    return not n_known or len(np.unique(y[first.label_rows])) < 2
