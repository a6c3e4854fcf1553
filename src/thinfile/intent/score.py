"""Scoring the customers of an event log with a saved model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from thinfile.artifact.atomic import writing
from thinfile.artifact.folder import load_reference
from thinfile.data.events import EventLog
from thinfile.data.read import is_source
from thinfile.errors import ParameterError
from thinfile.intent.model import IntentModel, in_chunks, load_model

PROBABILITY = "probability"


@dataclass(frozen=True)
class LogScores:
    """What was scored, and what should be looked at.

    Attributes
    ----------
    out : str
        The file of scores: the customer and ``probability``, one row for each customer known.
    cut : str
        The instant that customers were seen from.
    n_customers : int
    mean_probability : float
    psi : dict or None
        Stability index of each column and of ``(probability)`` against the test customers the
        model was measured on, largest first; None where there is none.
    notes : tuple of str
        What was counted and set aside while the log was read.
    """

    out: str
    cut: str
    n_customers: int
    mean_probability: float
    psi: dict[str, float] | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain JSON values."""
        return asdict(self)


def read_log(model: IntentModel, source: str | Path, *, store: Path | None = None) -> EventLog:
    """Read a log with the columns that the model names.

    Raises
    ------
    DataError
        If a column is missing or renamed, or the log cannot be read.
    """
    log = EventLog.from_source(str(source), model.recipe.roles, store=store)
    model.recipe.check(log)
    return log


def score_log(
    path: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    cut: datetime | None = None,
    store: Path | None = None,
) -> LogScores:
    """Score every customer of a log with a saved purchase model.

    Parameters
    ----------
    path
        An artifact of `thinfile intent`.
    source
        The log: Parquet, CSV, a database.
    out
        ``.parquet`` or ``.csv``; written whole or not at all.
    cut
        Instant to look from: only events before it count. Just after the last event by default.
    store
        Folder to sort a log in that is larger than memory.

    Raises
    ------
    ArtifactError
        If `path` is no purchase model.
    DataError
        If the log lacks a column, cannot be read, or nobody is known at the cut.
    ParameterError
        If `out` ends in something else or would replace the log.
    """
    out = Path(out)
    _check_out(out, source)
    model = load_model(path)
    log = read_log(model, source, store=store)
    rows = model.known(log, cut)
    reference = load_reference(path)
    drift = None if reference is None else reference.start()
    parts = []
    for part in in_chunks(rows):
        table = model.table(log, part)
        parts.append(model.probability(table))
        if drift is not None:
            drift.add(model.estimator.schema_.parse(table).frame, parts[-1])
    probability = np.concatenate(parts)
    scored = pl.DataFrame(
        {log.roles.customer: log.customers[rows.customer], PROBABILITY: probability}
    )
    _write(scored, out)
    return LogScores(
        out=str(out),
        cut=str(cut or log.end + timedelta(microseconds=1)),
        n_customers=len(rows),
        mean_probability=float(probability.mean()),
        psi=None if drift is None else drift.psi(),
        notes=(*([model.leak] if model.leak else []), *log.notes),
    )


def _check_out(out: Path, source: str | Path) -> None:
    if out.suffix not in (".parquet", ".csv"):
        raise ParameterError(f"score_log: out={str(out)!r} must end in .parquet or .csv")
    if not out.parent.is_dir():
        raise ParameterError(f"score_log: out={str(out)!r}: there is no folder {out.parent}")
    if is_source(out, source):
        raise ParameterError(f"score_log: out={str(out)!r} would replace the log {str(source)!r}")


def _write(scored: pl.DataFrame, out: Path) -> None:
    with writing(out) as temporary:
        if out.suffix == ".csv":
            scored.write_csv(temporary)
        else:
            scored.write_parquet(temporary)
