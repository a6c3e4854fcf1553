"""How the methods did on the test rows: average precision, alerts, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.compare.result import best_baseline
from thinfile.methods import METHODS
from thinfile.metrics.intervals import PairedBootstrap, paired_bootstrap
from thinfile.metrics.ranking import (
    MetricMany,
    average_precision_many,
    precision_at,
    roc_auc_many,
)

FloatArray = npt.NDArray[np.float64]

N_DRAWS = 200


def fraud_board(
    y: npt.NDArray[np.int8],
    scores: Mapping[tuple[str, int], FloatArray],
    *,
    alerts: float,
    top: int,
    random_state: int = 0,
) -> pl.DataFrame:
    """One row per budget and method: figures with intervals and against the best baseline.

    Parameters
    ----------
    y : ndarray of shape (n,)
        1 or 0.
    scores : mapping
        (method, budget) to probabilities of shape (seeds, n).
    alerts
        Share of the rows that recall is measured at.
    top
        Rows that precision is measured at.

    Returns
    -------
    polars.DataFrame
        budget, method, title, family, n, n_events; ap, recall, precision and auc, each with _low
        and _high, within what so many alerts can find; n_seeds; worst and best (AP of single
        seeds); difference (AP to the best baseline) with _low and _high; is_reference. Sorted by
        budget, best first.
    """
    n_alerts, n_top, n_events = max(1, round(alerts * len(y))), min(top, len(y)), int(y.sum())
    metrics: dict[str, MetricMany] = {
        "ap": average_precision_many,
        "recall": _recall_at(n_alerts),
        "precision": precision_at(n_top),
        "auc": roc_auc_many,
    }
    most = {"recall": min(1.0, n_alerts / n_events), "precision": min(1.0, n_events / n_top)}
    rows = []
    for budget in sorted({b for _, b in scores}):
        mine = {m: s for (m, b), s in scores.items() if b == budget}
        found = {
            name: paired_bootstrap(
                y,
                np.stack(list(mine.values())),
                metric=metric,
                n_draws=N_DRAWS,
                random_state=random_state,
            )
            for name, metric in metrics.items()
        }
        rows += _rows(list(mine), found, budget, y, most)
    floats = dict.fromkeys(["difference", "difference_low", "difference_high"], pl.Float64)
    return pl.DataFrame(rows, schema_overrides=floats, infer_schema_length=None)


def _recall_at(k: int) -> MetricMany:
    """The share of the frauds that is among the k rows of highest score."""
    lift = precision_at(k, as_lift=True)
    return lambda y, score, weights: lift(y, score, weights) * min(1.0, k / len(y))


def _rows(
    methods: list[str],
    found: Mapping[str, PairedBootstrap],
    budget: int,
    y: npt.NDArray[np.int8],
    most: Mapping[str, float],
) -> list[dict[str, Any]]:
    reference = best_baseline(methods, found["ap"])
    counts = {"n": len(y), "n_events": int(y.sum())}
    rows = [
        {"budget": budget, **_row(name, place, reference, found, most), **counts}
        for place, name in enumerate(methods)
    ]
    return sorted(rows, key=lambda row: -row["ap"])


def _row(
    method: str,
    place: int,
    reference: int | None,
    found: Mapping[str, PairedBootstrap],
    most: Mapping[str, float],
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "method": method,
        "title": METHODS[method].title,
        "family": METHODS[method].family,
    }
    for name, intervals in found.items():
        row[name] = float(intervals.point[place])
        # Few seeds stretch an interval, and a draw may hold more frauds or fewer than there are:
        # it loses nothing by values that these rows cannot give.
        highest = most.get(name, 1.0)
        row[f"{name}_low"] = min(highest, max(0.0, float(intervals.low[place])))
        row[f"{name}_high"] = min(highest, float(intervals.high[place]))
    runs = found["ap"].per_seed[place]
    runs = runs[np.isfinite(runs)]
    gap = None if reference is None else found["ap"].difference(place, reference)
    return row | {
        "n_seeds": len(runs),
        "worst": float(runs.min()),
        "best": float(runs.max()),
        "difference": gap and gap.estimate,
        "difference_low": gap and gap.low,
        "difference_high": gap and gap.high,
        "is_reference": place == reference,
    }
