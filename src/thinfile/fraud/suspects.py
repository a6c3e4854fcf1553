"""The test rows that the chosen method suspects most, raw, for the page to show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from thinfile.compare.folder import RunFolder
from thinfile.compare.result import Result
from thinfile.fraud.task import FraudTask

SUSPECTS = "suspects.parquet"
"""File of a run: raw features of a few test rows, with the three columns below."""
ROW, SCORE, LABEL = "(row)", "(score)", "(label)"
N_SUSPECTS = 20


def most_suspicious(task: FraudTask, result: Result, n: int = N_SUSPECTS) -> pl.DataFrame:
    """Raw features of the test rows with the highest scores of the verdict's choice.

    Parameters
    ----------
    task
        What was compared.
    result
        Its scores are averaged over the seeds that did not fail.
    n
        Rows at most.

    Returns
    -------
    polars.DataFrame
        Highest score first: ``(row)``, the position in the table from 0, ``(score)``,
        ``(label)``, ids and the time, and the columns that models see. No row where the choice
        has no scores.
    """
    key = (result.verdict["choice"], result.verdict["budget"])
    runs = result.test_scores.get(key, np.empty((0, len(task.test))))
    runs = runs[np.isfinite(runs).all(axis=1)]
    score = runs.mean(axis=0) if len(runs) else np.empty(0)
    places = np.argsort(-score, kind="stable")[:n]
    rows = task.test[places]
    told = pl.DataFrame({ROW: rows, SCORE: score[places], LABEL: task.y[rows]})
    seen = task.features[rows].select(task.schema.features)
    return pl.concat([told, task.names[rows], seen], how="horizontal")


def load_suspects(run: str | Path) -> pl.DataFrame | None:
    """What a run has kept of them; None where it has not."""
    path = RunFolder(Path(run)).path / SUSPECTS
    return pl.read_parquet(path, glob=False) if path.exists() else None
