"""Which method to build on, chosen on labelled rows that its fit had not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

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

    Where no method that learns from labels has such rows, it is the registry's first baseline.

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
    names = dict.fromkeys(c.method for c in mine)
    values = {name: _mean(mine, name, y, metric) for name in names}
    n_events = int((y[mine[0].label_rows] == 1).sum())
    default = _default_without_evidence(mine)
    baselines = {m: v for m, v in values.items() if METHODS[m].family == "baseline"}
    others = {m: v for m, v in values.items() if m not in baselines}
    if default or not baselines or not others:
        top = default or _top(values)
        assert top is not None
        return Choice(top, values, _top(baselines), _top(others), None, n_events)
    baseline, other = _top(baselines), _top(others)
    assert baseline is not None
    assert other is not None
    sureness = _sureness(mine, other, baseline, y, metric)
    chosen = other if sureness >= SURE else baseline
    return Choice(chosen, values, baseline, other, sureness, n_events)


def _default_without_evidence(cells: Sequence[Cell]) -> str | None:
    """What to take where no method that learns from labels could be measured on unseen ones.

    Detectors have figures then, as they see no label; that they are alone is no reason to prefer
    them.
    """
    learned = [c for c in cells if METHODS[c.method].uses_target_labels]
    if not learned or any(len(c.label_scores) for c in learned):
        return None
    names = [c.method for c in learned]
    plain = [name for name in names if METHODS[name].family == "baseline"]
    return min(plain or names, key=list(METHODS).index)


def mark_choices(board: pl.DataFrame, choices: Mapping[int, Choice]) -> pl.DataFrame:
    """The board with `chosen` and `selection`: the choice by budget, and what it was made by."""
    keys = list(zip(board["method"], board["budget"], strict=True))
    evidence = [choices[budget].validation.get(method) for method, budget in keys]
    return board.with_columns(
        pl.Series("chosen", [choices[budget].name == method for method, budget in keys]),
        pl.Series("selection", evidence, dtype=pl.Float64),
    )


def _top(values: dict[str, float]) -> str | None:
    return max(values, key=values.__getitem__) if values else None


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
