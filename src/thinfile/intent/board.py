"""How the methods did on later customers: of all, of past buyers, of those who never bought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.compare.result import LEVEL, N_DRAWS, best_baseline
from thinfile.methods import METHODS
from thinfile.metrics.calibration import expected_calibration_error
from thinfile.metrics.intervals import PairedBootstrap, paired_bootstrap
from thinfile.metrics.ranking import MetricMany, average_precision_many, precision_at, roc_auc_many

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

ALL, PAST, NEVER = "all", "past buyers", "never bought"
GROUPS = (ALL, PAST, NEVER)
MIN_EVENTS = 5
"""Buyers in a group below which it gets no figures."""


def group_board(
    y: npt.NDArray[np.int8],
    scores: Mapping[tuple[str, int], FloatArray],
    is_past_buyer: BoolArray,
    *,
    top: int | None = None,
    random_state: int = 0,
) -> pl.DataFrame:
    """One row per group, budget and method: figures with intervals and against the best baseline.

    Parameters
    ----------
    y : ndarray of shape (n,)
        1 or 0, at the true base rate.
    scores : mapping
        (method, budget) to probabilities of shape (seeds, n).
    is_past_buyer : ndarray of shape (n,)
    top
        k of precision and lift; a tenth of the rows by default. In a group it is the same share.

    Returns
    -------
    polars.DataFrame
        group, budget, method, title, family, n, n_events, k; auc, ap, precision and lift, each
        with _low and _high; calibration_error; difference (AUC to the group's best baseline)
        with _low and _high; is_reference.
    """
    share = min(1.0, (top or len(y) / 10) / len(y))
    masks = {ALL: np.ones(len(y), dtype=bool), PAST: is_past_buyer, NEVER: ~is_past_buyer}
    rows = []
    for group, mask in masks.items():
        n_events = int(y[mask].sum())
        if min(n_events, int(mask.sum()) - n_events) < MIN_EVENTS:
            continue
        for budget in sorted({b for _, b in scores}):
            chosen = {m: s[:, mask] for (m, b), s in scores.items() if b == budget}
            k = max(1, round(share * int(mask.sum())))
            board = _board(y[mask], chosen, k, random_state)
            rows += [{"group": group, "budget": budget, **row} for row in board]
    floats = dict.fromkeys(["difference", "difference_low", "difference_high"], pl.Float64)
    return pl.DataFrame(rows, schema_overrides=floats, infer_schema_length=None)


def _board(
    y: npt.NDArray[np.int8], scores: Mapping[str, FloatArray], k: int, random_state: int
) -> list[dict[str, Any]]:
    methods = list(scores)
    stack = np.stack(list(scores.values()))
    metrics: dict[str, MetricMany] = {
        "auc": roc_auc_many,
        "ap": average_precision_many,
        "precision": precision_at(k),
        "lift": precision_at(k, as_lift=True),
    }
    found = {
        name: paired_bootstrap(
            y, stack, metric=metric, n_draws=N_DRAWS, random_state=random_state, level=LEVEL
        )
        for name, metric in metrics.items()
    }
    reference = best_baseline(methods, found["auc"])
    size = {"n": len(y), "n_events": int(y.sum()), "k": k}
    rows = [
        {**_row(methods[i], i, reference, found), **size, **_calibration(y, stack[i])}
        for i in range(len(methods))
    ]
    return sorted(rows, key=lambda row: -row["auc"])


def _row(
    method: str, place: int, reference: int | None, found: Mapping[str, PairedBootstrap]
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "method": method,
        "title": METHODS[method].title,
        "family": METHODS[method].family,
    }
    for name, intervals in found.items():
        row[name] = float(intervals.point[place])
        row[f"{name}_low"] = float(intervals.low[place])
        row[f"{name}_high"] = float(intervals.high[place])
    gap = None if reference is None else found["auc"].difference(place, reference)
    return row | {
        "difference": gap and gap.estimate,
        "difference_low": gap and gap.low,
        "difference_high": gap and gap.high,
        "is_reference": place == reference,
    }


def _calibration(y: npt.NDArray[np.int8], runs: FloatArray) -> dict[str, float]:
    """Mean over seeds of the calibration error, and of the probability beside the true rate."""
    kept = [run for run in runs if np.isfinite(run).all()]
    errors = [expected_calibration_error(y, run) for run in kept]
    return {
        "calibration_error": float(np.mean(errors)),
        "mean_probability": float(np.mean([run.mean() for run in kept])),
        "rate": float(y.mean()),
    }
