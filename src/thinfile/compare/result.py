"""Finished cells as tables: one row per cell, and a leaderboard with paired intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from safetensors.numpy import load_file

from thinfile.compare.cell import MAX_SAMPLE, Cell, cell_key
from thinfile.compare.folder import RunFolder
from thinfile.compare.label_free import MEASURES
from thinfile.errors import DataError
from thinfile.methods import METHODS
from thinfile.metrics.calibration import brier, expected_calibration_error, log_loss
from thinfile.metrics.intervals import PairedBootstrap, paired_bootstrap
from thinfile.metrics.ranking import average_precision, gini, ks, roc_auc

FloatArray = npt.NDArray[np.float64]

N_DRAWS = 500
LEVEL = 0.95
PROBES = "probes.json"
CELL_METRICS: dict[str, Callable[..., float]] = {
    "auc": roc_auc,
    "gini": gini,
    "ks": ks,
    "ap": average_precision,
    "brier": brier,
    "log_loss": log_loss,
    "calibration_error": expected_calibration_error,
}


@dataclass(frozen=True)
class Result:
    """All that a comparison found; what the report reads.

    Attributes
    ----------
    settings : dict
        What was compared and how.
    cells : polars.DataFrame
        One row per cell: method, budget, seed, status, error, seconds and metrics.
    leaderboard : polars.DataFrame
        One row per method and budget, with intervals and the difference to the best baseline.
    verdict : dict
        `choice`, `budget`, `headline`, `sentences`, `warnings`.
    diagnosis : dict
        Overlap and shift between the populations.
    test_y : ndarray of shape (n_test,)
    test_scores : dict of ndarray of shape (n_seeds, n_test)
        By (method, budget); calibrated probabilities, NaN where a seed failed.
    source_scores : dict of ndarray
        By (method, budget); probabilities of held-out source rows.
    histories : dict of list of dict
        By (method, budget); of the first seed.
    label_curve : polars.DataFrame
        method, budget, auc, low, high.
    probes : list of dict
        What each leak probe found; empty in runs of versions without probes.
    """

    settings: dict[str, Any]
    cells: pl.DataFrame
    leaderboard: pl.DataFrame
    verdict: dict[str, Any]
    diagnosis: dict[str, Any]
    test_y: npt.NDArray[np.int8]
    test_scores: dict[tuple[str, int], FloatArray]
    source_scores: dict[tuple[str, int], FloatArray]
    histories: dict[tuple[str, int], list[dict[str, Any]]]
    label_curve: pl.DataFrame
    probes: list[dict[str, Any]] = field(default_factory=list)


def cell_table(
    cells: Sequence[Cell],
    test_y: npt.NDArray[np.int8],
    evidence: Callable[[Cell], Mapping[str, float | None]] | None = None,
) -> pl.DataFrame:
    """Tidy table: one row per cell, metrics of the test rows beside what it cost.

    `evidence` gives what can be told of a cell without labels of the target.
    """
    rows = []
    for cell in cells:
        row: dict[str, Any] = {
            "method": cell.method,
            "budget": cell.budget,
            "seed": cell.seed,
            "status": cell.status,
            "error": cell.error,
            "wall_seconds": cell.wall_seconds,
            "cpu_seconds": cell.cpu_seconds,
            "notes": "; ".join(cell.notes),
        }
        is_ok = cell.status == "ok"
        for name, metric in CELL_METRICS.items():
            row[name] = metric(test_y, cell.scores) if is_ok else None
        rows.append(row | dict(evidence(cell) if evidence else {}))
    measures = MEASURES if evidence else ()
    floats = dict.fromkeys(["wall_seconds", "cpu_seconds", *CELL_METRICS, *measures], pl.Float64)
    return pl.DataFrame(rows, schema_overrides=floats)


def score_matrix(
    cells: Sequence[Cell], n_test: int, seeds: Sequence[int]
) -> dict[tuple[str, int], FloatArray]:
    """Test scores by method and budget, each of shape (n_seeds, n_test)."""
    matrix: dict[tuple[str, int], FloatArray] = {}
    for cell in cells:
        if cell.status != "not applicable":
            key = (cell.method, cell.budget)
            matrix.setdefault(key, np.full((len(seeds), n_test), np.nan))
            if cell.status == "ok":
                matrix[key][list(seeds).index(cell.seed)] = cell.scores
    return {key: scores for key, scores in matrix.items() if np.isfinite(scores).any()}


def leaderboard(
    table: pl.DataFrame,
    test_y: npt.NDArray[np.int8],
    scores: Mapping[tuple[str, int], FloatArray],
    *,
    random_state: int = 0,
) -> pl.DataFrame:
    """Method × budget with intervals, best first within a budget."""
    budgets = sorted({budget for _, budget in scores})
    parts = [_board(table, test_y, scores, budget, random_state) for budget in budgets]
    return pl.concat(parts) if parts else pl.DataFrame()


def _board(
    table: pl.DataFrame,
    test_y: npt.NDArray[np.int8],
    scores: Mapping[tuple[str, int], FloatArray],
    budget: int,
    random_state: int,
) -> pl.DataFrame:
    methods = [method for method, b in scores if b == budget]
    stack = np.stack([scores[method, budget] for method in methods])
    found = {
        metric: paired_bootstrap(
            test_y, stack, metric=metric, n_draws=N_DRAWS, random_state=random_state, level=LEVEL
        )
        for metric in ("auc", "ks", "ap")
    }
    reference = best_baseline(methods, found["auc"])
    rows = [
        _row(table, methods[place], budget, place, reference, found)
        for place in range(len(methods))
    ]
    # Without a baseline to hold against, these columns are empty and would have no type.
    floats = dict.fromkeys(["difference", "difference_low", "difference_high"], pl.Float64)
    board = pl.DataFrame(rows, schema_overrides=floats, infer_schema_length=None)
    return board.sort("auc", descending=True, nulls_last=True)


def best_baseline(methods: Sequence[str], auc: PairedBootstrap) -> int | None:
    """Place of the baseline with the highest AUC, if any baseline has one."""
    baselines = [i for i, m in enumerate(methods) if METHODS[m].family == "baseline"]
    baselines = [i for i in baselines if np.isfinite(auc.point[i])]
    return max(baselines, key=lambda i: auc.point[i], default=None)


def _row(
    table: pl.DataFrame,
    method: str,
    budget: int,
    place: int,
    reference: int | None,
    found: Mapping[str, PairedBootstrap],
) -> dict[str, Any]:
    mine = table.filter(
        (pl.col("method") == method) & (pl.col("budget") == budget) & (pl.col("status") == "ok")
    )
    row: dict[str, Any] = {
        "method": method,
        "title": METHODS[method].title,
        "family": METHODS[method].family,
        "budget": budget,
        "n_seeds": mine.height,
    }
    for metric, intervals in found.items():
        row[metric] = float(intervals.point[place])
        row[f"{metric}_low"] = float(intervals.low[place])
        row[f"{metric}_high"] = float(intervals.high[place])
    row["gini"] = 2 * row["auc"] - 1
    row["gini_low"], row["gini_high"] = 2 * row["auc_low"] - 1, 2 * row["auc_high"] - 1
    gap = None if reference is None else found["auc"].difference(place, reference)
    row |= {
        "difference": gap and gap.estimate,
        "difference_low": gap and gap.low,
        "difference_high": gap and gap.high,
        "is_reference": place == reference,
    }
    for name in ("brier", "calibration_error", "cpu_seconds", "wall_seconds"):
        row[name] = mine[name].mean()
    row["note"] = "; ".join(sorted(set(mine["notes"].to_list()) - {""}))
    return row


def source_samples(cells: Sequence[Cell], seed: int) -> dict[tuple[str, int], FloatArray]:
    """A sample of held-out source rows' scores by method and budget, for pictures."""
    return {
        (cell.method, cell.budget): cell.source_scores[:MAX_SAMPLE]
        for cell in cells
        if cell.seed == seed and len(cell.source_scores)
    }


def label_curve(board: pl.DataFrame) -> pl.DataFrame:
    """AUC by number of labels: method, budget, auc, low, high."""
    return board.select(
        "method", "budget", "auc", pl.col("auc_low").alias("low"), pl.col("auc_high").alias("high")
    ).sort("method", "budget")


def load_result(path: str | Path) -> Result:
    """The result of a finished comparison, from its folder.

    Raises
    ------
    DataError
        If the folder holds no finished comparison, or a file of it is damaged.
    """
    folder = RunFolder(Path(path))
    settings = folder.read_json("run.json")
    verdict = folder.read_json("verdict.json")
    try:
        table = pl.read_parquet(folder.path / "results.parquet", glob=False)
        test_y = load_file(folder.path / "test.safetensors")["y"]
    except Exception as error:
        raise DataError(f"{str(path)!r}: results are missing or damaged: {error}") from error
    keys = table.select("method", "budget", "seed").rows()
    cells = [c for key in keys if (c := folder.finished(cell_key(*key))) is not None]
    budgets, seeds = settings["budgets"], settings["seeds"]
    scores = score_matrix(cells, len(test_y), seeds)
    return Result(
        settings=settings,
        cells=table,
        leaderboard=pl.DataFrame(folder.read_json("leaderboard.json"), infer_schema_length=None),
        verdict=verdict,
        diagnosis=folder.read_json("diagnosis.json"),
        test_y=test_y,
        test_scores={k: v for k, v in scores.items() if k[1] in budgets},
        source_scores=source_samples(cells, seeds[0]),
        histories=histories(cells, seeds[0]),
        label_curve=pl.DataFrame(folder.read_json("label_curve.json"), infer_schema_length=None),
        probes=folder.read_json(PROBES) if (folder.path / PROBES).exists() else [],
    )


def write_result(
    result: Result, folder: RunFolder, arrays: Mapping[str, npt.NDArray[Any]] | None = None
) -> None:
    """Write what :func:`load_result` reads, but for the cells; `arrays` lie beside the test's y."""
    folder.write_table("results.parquet", result.cells)
    folder.write_arrays("test.safetensors", {"y": result.test_y, **(arrays or {})})
    folder.write_json("leaderboard.json", result.leaderboard.to_dicts())
    folder.write_json("label_curve.json", result.label_curve.to_dicts())
    folder.write_json("diagnosis.json", result.diagnosis)
    folder.write_json(PROBES, result.probes)
    folder.write_json("verdict.json", result.verdict)


def histories(cells: Sequence[Cell], seed: int) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Training records by method and budget, of one seed."""
    return {(c.method, c.budget): c.history for c in cells if c.seed == seed and c.history}
