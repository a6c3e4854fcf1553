"""Scoring a file of any size: read, type, encode, score and write batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.io.plugins import register_io_source

from thinfile.artifact.atomic import writing
from thinfile.artifact.faults import ColumnFault, FaultCounter
from thinfile.artifact.folder import load_classifier, load_reference
from thinfile.artifact.quick import quick
from thinfile.artifact.reference import Reference
from thinfile.data.read import is_source, iter_tables
from thinfile.errors import ArtifactError, DataError, ParameterError
from thinfile.estimator import Estimator
from thinfile.schema.column import FEATURE_ROLES, ON_FAULT
from thinfile.schema.model import Schema
from thinfile.schema.parse import Parsed

PROBABILITY, ROW = "probability", "row"

DRIFT_ROWS = 5_000
"""Rows of each batch that are counted for drift; more would cost time and change little."""


@dataclass(frozen=True)
class ScoreSummary:
    """What was scored, and what should be looked at.

    Attributes
    ----------
    out : str
        The file of scores.
    n_rows, n_scored, n_rejected : int
        Rows read; with a probability; without one, because a column says ``on_fault="reject"``.
    mean_probability : float or None
        Over the scored rows.
    faults : tuple of ColumnFault
        Values that broke a rule of the schema, by column.
    faults_file : str or None
        Where the faults are written, if there are any.
    psi : dict or None
        Stability index of each column and of ``(probability)`` against the artifact's reference,
        largest first; None where it has none.
    seconds, cpu_seconds : float
    """

    out: str
    n_rows: int
    n_scored: int
    n_rejected: int
    mean_probability: float | None
    faults: tuple[ColumnFault, ...]
    faults_file: str | None
    psi: dict[str, float] | None
    seconds: float
    cpu_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain JSON values."""
        return asdict(self) | {"faults": [asdict(fault) for fault in self.faults]}


def score_file(
    model: Estimator | str | Path,
    source: str | Path,
    out: str | Path,
    *,
    id_columns: Sequence[str] | None = None,
    batch_rows: int = 100_000,
    progress: Callable[[int], None] | None = None,
    on_fault: str | None = None,
    reference: Reference | None = None,
) -> ScoreSummary:
    """Score a raw file of any size in constant memory.

    The result has one row for each row of the source, in its order: the id columns (or ``row``,
    counted from 0, where there are none) and ``probability``, empty for a rejected row. It
    appears whole or not at all. Do not use it for a few rows in memory; `predict_proba` does that.

    Parameters
    ----------
    model
        A fitted estimator, or the path of an artifact.
    source
        What :func:`thinfile.data.read.iter_tables` reads: CSV, Parquet, a database.
    out
        ``.parquet`` or ``.csv``; an old file of that name is replaced when the new one is whole.
        Faults go to ``<out>.faults.csv``.
    id_columns : sequence of str, optional
        Columns to hand through. Without it, those with the role id that the source has.
    batch_rows : int ≥ 1
        Rows in memory at a time.
    progress : callable, optional
        Called after each batch with the number of rows done.
    on_fault : {"missing", "reject", "raise"}, optional
        Used for every column in place of what the schema says.
    reference : Reference, optional
        To measure drift by; an artifact brings its own.

    Returns
    -------
    ScoreSummary

    Raises
    ------
    DataError
        If the source cannot be read, lacks columns, has no rows, or a column has changed type.
    ArtifactError
        If the artifact is damaged or the result cannot be written.
    ParameterError
        If `out` ends in something else, `on_fault` is none of the three, or the scores or faults
        would replace the source.
    """
    started, cpu_started = time.perf_counter(), time.process_time()
    out = Path(out)
    _check_options(out, on_fault, batch_rows)
    _check_source(source, out)
    if not isinstance(model, Estimator):
        reference = load_reference(model) if reference is None else reference
        model = load_classifier(model)
    run = _Run(model, str(source), id_columns, on_fault, reference, progress)
    run.write(iter_tables(source, batch_rows=batch_rows), out)
    return ScoreSummary(
        out=str(out),
        n_rows=run.n_rows,
        n_scored=run.n_rows - run.n_rejected,
        n_rejected=run.n_rejected,
        mean_probability=run.mean_probability,
        faults=tuple(run.faults.faults()),
        faults_file=run.write_faults(out),
        psi=None if run.drift is None else run.drift.psi(),
        seconds=time.perf_counter() - started,
        cpu_seconds=time.process_time() - cpu_started,
    )


def _check_options(out: Path, on_fault: str | None, batch_rows: int) -> None:
    faults = []
    if out.suffix not in (".parquet", ".csv"):
        faults.append(f"out={str(out)!r} must end in .parquet or .csv")
    if on_fault not in (None, *ON_FAULT):
        faults.append(f"on_fault={on_fault!r} must be None or one of {', '.join(ON_FAULT)}")
    if batch_rows < 1:
        faults.append(f"batch_rows={batch_rows!r} must be a whole number ≥ 1")
    if faults:
        raise ParameterError("score_file: " + "; ".join(faults))
    if not out.parent.is_dir():
        raise ParameterError(f"score_file: out={str(out)!r}: there is no folder {out.parent}")


def _check_source(source: str | Path, out: Path) -> None:
    for what, path in (("scores", out), ("faults", _faults_path(out))):
        if is_source(path, source):
            raise ParameterError(
                f"score_file: out={str(out)!r}: the {what} would replace the table {str(source)!r}"
            )


def _faults_path(out: Path) -> Path:
    return out.with_name(out.name + ".faults.csv")


class _Run:
    """One file on its way from raw rows to scores, and what is counted by the way."""

    def __init__(
        self,
        model: Estimator,
        source: str,
        id_columns: Sequence[str] | None,
        on_fault: str | None,
        reference: Reference | None,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._model = quick(model)
        self._schema = _with_on_fault(model.schema_, on_fault)
        self._source, self._id_columns, self._progress = source, id_columns, progress
        self.n_rows = self.n_rejected = 0
        self._total = 0.0
        self.faults = FaultCounter()
        self.drift = None if reference is None else reference.start()

    @property
    def mean_probability(self) -> float | None:
        n_scored = self.n_rows - self.n_rejected
        return self._total / n_scored if n_scored else None

    def write(self, tables: Iterable[pl.DataFrame], out: Path) -> None:
        scored = self._scored(tables)
        first = next(scored, None)
        if first is None:
            raise DataError(f"{self._source} has no rows")
        with writing(out) as temporary:
            _write(chain([first], scored), first.schema, temporary, out)

    def write_faults(self, out: Path) -> str | None:
        path = _faults_path(out)
        if not self.faults.faults():
            # Faults of an earlier run are not those of this one.
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        with writing(path) as temporary:
            self.faults.to_frame().write_csv(temporary)
        return str(path)

    def _scored(self, tables: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        ids: list[str] | None = None
        for table in tables:
            ids = _ids(table, self._schema, self._id_columns) if ids is None else ids
            yield self._score(table, ids)
            if self._progress is not None:
                self._progress(self.n_rows)

    def _score(self, table: pl.DataFrame, ids: list[str]) -> pl.DataFrame:
        parsed = self._parse(table)
        probability = _probability(self._model, parsed.frame, table)
        probability[parsed.rejected] = np.nan
        self._count(parsed, probability)
        start, self.n_rows = self.n_rows, self.n_rows + table.height
        rows = pl.int_range(start, self.n_rows, eager=True).alias(ROW)
        left = table.select(ids) if ids else rows.to_frame()
        return left.with_columns(pl.Series(PROBABILITY, probability, nan_to_null=True))

    def _parse(self, table: pl.DataFrame) -> Parsed:
        try:
            return self._schema.parse(table)
        except DataError as error:
            where = f" from row {self.n_rows} on" if self.n_rows else ""
            raise type(error)(f"{self._source}{where}: {error}") from error

    def _count(self, parsed: Parsed, probability: npt.NDArray[np.float64]) -> None:
        self.faults.add(parsed.faults, self.n_rows)
        self.n_rejected += int(parsed.rejected.sum())
        self._total += float(np.nansum(probability))
        if self.drift is None:
            return
        kept = np.flatnonzero(~parsed.rejected)
        sample = kept[:: max(1, len(kept) // DRIFT_ROWS)]
        self.drift.add(parsed.frame[sample], probability[sample])


def _probability(
    model: Estimator, frame: pl.DataFrame, table: pl.DataFrame
) -> npt.NDArray[np.float64]:
    """What `predict_proba` says of the event, for rows that are parsed already."""
    encoded = model._encode_parsed(frame, table)
    return model.calibration_.apply(model._probability(encoded))


def _with_on_fault(schema: Schema, on_fault: str | None) -> Schema:
    if on_fault is None:
        return schema
    for column in schema.columns:
        if column.role in FEATURE_ROLES:
            schema = schema.with_column(replace(column, on_fault=on_fault))
    return schema


def _ids(table: pl.DataFrame, schema: Schema, wanted: Sequence[str] | None) -> list[str]:
    if wanted is None:
        named = [column.name for column in schema.columns if column.role == "id"]
        return [name for name in named if name in table.columns]
    lacking = [name for name in wanted if name not in table.columns]
    if lacking:
        raise DataError(f"the table lacks the id columns {', '.join(map(repr, lacking))}")
    if PROBABILITY in wanted:
        raise DataError(f"an id column cannot be called {PROBABILITY!r}: the score is")
    return list(wanted)


def _write(frames: Iterator[pl.DataFrame], schema: pl.Schema, temporary: Path, out: Path) -> None:
    if out.suffix == ".csv":
        with temporary.open("wb") as file:
            for place, frame in enumerate(frames):
                frame.write_csv(file, include_header=place == 0)
        return

    def source(*_: Any) -> Iterator[pl.DataFrame]:
        return (frame.cast(dict(schema)) for frame in frames)  # type: ignore[arg-type]

    try:
        register_io_source(source, schema=schema).sink_parquet(temporary)
    except pl.exceptions.PolarsError as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{out}: cannot be written: {reason}") from error
