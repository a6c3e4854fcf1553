"""What a fraud comparison left in its folder."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from thinfile.compare.folder import RunFolder

KIND = "fraud"
ROWS = "rows.parquet"
"""File of a run: position of each row that was used, and whether it was trained on or tested."""


def is_fraud_run(path: str | Path) -> bool:
    """Whether a run's folder holds a comparison for rare events."""
    kind = RunFolder(Path(path)).read_json("run.json").get("kind")
    return bool(kind == KIND)


def label_curve(board: pl.DataFrame) -> pl.DataFrame:
    """Average precision by label budget: method, title, budget, ap, low, high."""
    return board.select(
        "method",
        "title",
        "budget",
        "ap",
        pl.col("ap_low").alias("low"),
        pl.col("ap_high").alias("high"),
    ).sort("method", "budget")
