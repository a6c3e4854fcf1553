"""A comparison that was never run but looks like one, for every part of the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.compare.result import Result
from thinfile.methods import METHODS
from thinfile.metrics.ranking import average_precision, gini, ks, roc_auc

BUDGETS, SEEDS = [100, 350, 1000], [0, 1, 2]
LEVELS = {
    "baseline": 1.0,
    "tabular": 0.7,
    "sequence": 0.7,
    "transfer": 0.75,
    "generative": 0.7,
    "anomaly": 0.7,
}
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="session")
def make_result() -> Callable[..., Result]:
    return fake_result


def fake_result(
    *,
    methods: list[str] | None = None,
    budgets: list[int] | None = None,
    n_columns: int = 40,
    n_test: int = 1545,
    with_histories: bool = True,
    **replaced: Any,
) -> Result:
    """Every method of tables at three budgets with three seeds; DANN fails, CORAL for one seed."""
    rng = np.random.default_rng(7)
    methods, budgets = (
        methods or [n for n, m in METHODS.items() if m.group == "transfer"],
        budgets or BUDGETS,
    )
    y = (rng.random(n_test) < 0.068).astype(np.int8)
    y[:2] = 0, 1
    scores = {(m, b): _scores(rng, y, m, b) for m in methods for b in budgets}
    cells = pl.DataFrame([_cell(y, s[k], m, b, k) for (m, b), s in scores.items() for k in SEEDS])
    board = _board(cells.filter(pl.col("status") == "ok"), budgets)
    columns = ["method", "budget", "auc", "auc_low", "auc_high"] if board.width else []
    fields: dict[str, Any] = {
        "settings": _settings(budgets, n_test),
        "cells": cells,
        "leaderboard": board,
        "verdict": _verdict(budgets[-1]),
        "diagnosis": fake_diagnosis(rng, n_columns),
        "test_y": y,
        "test_scores": {k: v for k, v in scores.items() if np.isfinite(v).any()},
        "source_scores": {k: rng.beta(1.4, 7, 2000) for k in scores},
        "histories": {k: _history(rng, k[0]) for k in scores if _is_network(k[0])}
        if with_histories
        else {},
        "label_curve": board.select(columns).rename(
            {"auc_low": "low", "auc_high": "high"}, strict=False
        ),
    }
    return Result(**{**fields, **replaced})


def _scores(rng: np.random.Generator, y: Any, method: str, budget: int) -> Any:
    strength = LEVELS[METHODS[method].family] * (0.75 - 3 / (budget + 20) ** 0.6)
    strength += 0.08 * rng.standard_normal()
    log_odds = strength * (y + rng.standard_normal((len(SEEDS), 1)) * 0.02)
    log_odds = (
        log_odds + rng.standard_normal(y.shape) * 0.9 + rng.standard_normal(log_odds.shape) / 3
    )
    probability = 1 / (1 + np.exp(2.9 - log_odds))
    if method == "dann":
        probability[:] = np.nan
    if method == "deep_coral":
        probability[1] = np.nan
    return probability


def _cell(y: Any, score: Any, method: str, budget: int, seed: int) -> dict[str, Any]:
    ok = bool(np.isfinite(score).all())
    measured = {
        name: float(metric(y, score)) if ok else None
        for name, metric in {
            "auc": roc_auc,
            "gini": gini,
            "ks": ks,
            "ap": average_precision,
        }.items()
    }
    return {
        "method": method,
        "budget": budget,
        "seed": seed,
        "status": "ok" if ok else "failed",
        "error": "" if ok else f"TrainingError: the loss was not finite at step 310 {HOSTILE}",
        "wall_seconds": 3.1 + seed,
        "cpu_seconds": 2.7 + 5 * seed,
        "notes": "",
        **measured,
    }


def _board(cells: pl.DataFrame, budgets: list[int]) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for (method, budget), own in cells.group_by("method", "budget", maintain_order=True):
        name = str(method)
        row: dict[str, Any] = {"method": name, "title": METHODS[name].title}
        row |= {"family": METHODS[name].family, "budget": budget, "n_seeds": own.height}
        for measure, half in (("auc", 0.03), ("gini", 0.06), ("ks", 0.05), ("ap", 0.02)):
            mean = float(own[measure].mean())  # type: ignore[arg-type]
            row |= {measure: mean, f"{measure}_low": mean - half, f"{measure}_high": mean + half}
        row |= {
            "brier": 0.061,
            "calibration_error": 0.011,
            "cpu_seconds": own["cpu_seconds"].mean(),
        }
        row |= {"wall_seconds": 4.0, "note": "", "chosen": name == "boosted_pooled"}
        rows.append(row)
    for budget in budgets:
        here = [row for row in rows if row["budget"] == budget]
        best = max((r["auc"] for r in here if r["family"] == "baseline"), default=None)
        for row in here:
            gap = None if best is None else row["auc"] - best
            row["difference"] = gap
            row["difference_low"] = None if gap is None else gap - 0.012 * (gap != 0)
            row["difference_high"] = None if gap is None else gap + 0.012 * (gap != 0)
    return pl.DataFrame(rows, infer_schema_length=None)


def _settings(budgets: list[int], n_test: int) -> dict[str, Any]:
    return {
        "title": "old-card, old-loan → new-card",
        "label": "defaulted",
        "source": "old-card, old-loan",
        "target": "new-card",
        "n_source": 65_000,
        "n_target": 5150,
        "n_test": n_test,
        "n_features": 40,
        "budgets": budgets,
        "seeds": SEEDS,
        "mode": "hold-out",
        "source_rate": 0.154,
        "target_rate": 0.068,
        "level": 0.95,
        "created": "2026-03-01T09:30:00+00:00",
        "notes": ["column 'income': read as money, for example '$60,000.00'"],
    }


def _verdict(budget: int) -> dict[str, Any]:
    return {
        "choice": "boosted_pooled",
        "budget": budget,
        "headline": f"Build on: Boosted trees, pooled. AUC 0.683 with {budget} labels.",
        "sentences": [
            "boosted_pooled, the default, stays: of the others score_refit is the best.",
            "DAN (MK-MMD) is 0.020 worse (−0.031…−0.010) and is not recommended.",
            "200 more labels would be worth about +0.010.",
        ],
        "warnings": [f"Not to be used here: DANN (adversarial). It aligns {HOSTILE}."],
    }


def fake_diagnosis(rng: np.random.Generator, n_columns: int) -> dict[str, Any]:
    names = ["income", f"{HOSTILE}", "amount & <b>term</b>", "a_very_long_column_name_" * 4]
    names += [f"column_{k:02d}" for k in range(n_columns)]
    gain = rng.dirichlet(np.full(n_columns, 0.3))
    columns = [
        {
            "name": names[k],
            "role": "number",
            "auc": 0.5 + 0.4 * gain[k],
            "importance": float(gain[k]),
            "psi": float(rng.exponential(0.12)) if k else 3.4,
            "finding": f"column {names[k]!r} is constant in the source only" if k < 2 else "",
        }
        for k in range(n_columns)
    ]
    return {
        "overlap": {
            "auc": 0.874,
            "low": 0.861,
            "high": 0.886,
            "linear_auc": 0.83,
            "effective_rows": 4120.0,
            "effective_share": 0.063,
            "leading": names[:3],
            "auc_without_leading": 0.71,
        },
        "columns": columns,
        "base_rate": {
            "source_rate": 0.154,
            "estimated": {
                "em": 0.071,
                "bbse": 0.075,
                "em_error": 0.08,
                "bbse_error": 0.13,
                "estimate": 0.073,
                "faults": [],
            },
            "observed": 0.068,
            "observed_low": 0.051,
            "observed_high": 0.09,
            "n_labels": 1000,
            "sentence": "the source's event rate is 15.4%; 1000 target labels show 6.8%",
        },
        "decomposition": {
            "auc": {
                "source": 0.74,
                "target": 0.66,
                "drop": [0.08, 0.05, 0.11],
                "x_shift": [0.023, 0.002, 0.04],
                "y_given_x_shift": [0.057, 0.03, 0.08],
            },
            "verdict": "y|x-shift",
            "sentence": "a source model falls from AUC 0.740 to 0.660 on the target",
        },
        "advice": [
            {"method": "dann", "action": "avoid", "reason": f"it aligns {HOSTILE}"},
            {"method": "dan", "action": "caution", "reason": "the populations differ much"},
            {"method": "dann", "action": "caution", "reason": "the populations differ much"},
        ],
    }


def _is_network(method: str) -> bool:
    return method in ("mlp", "dan", "dann", "deep_coral", "fine_tune")


def _history(rng: np.random.Generator, method: str) -> list[dict[str, Any]]:
    term = {"dan": "mmd", "dann": "adversary", "deep_coral": "coral"}.get(method)
    records: list[dict[str, Any]] = []
    for epoch in range(1, 31):
        loss = 0.3 + 0.4 * np.exp(-epoch / 6) + 0.01 * rng.standard_normal()
        record = {"epoch": epoch, "step": 120 * epoch, "seconds": 0.3 * epoch}
        record |= {"learning_rate": 0.001, "total": loss, "classification": loss * 0.9}
        if term:
            record |= {term: 0.04 * np.exp(-epoch / 9), f"weight_{term}": 1 - np.exp(-epoch / 4)}
        record |= {"validation_auc": 0.66 - 0.1 * np.exp(-epoch / 5), "validation_ks": 0.24}
        records.append(record)
    return records
