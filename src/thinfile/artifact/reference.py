"""Binned distributions of the rows a model was made for, to hold later rows against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.errors import ArtifactError
from thinfile.metrics.drift import psi_shares
from thinfile.schema.model import Schema

SCORE = "(probability)"
"""Name of the score's own rows beside those of the columns."""

MISSING, OTHER = "missing", "other"
N_BINS, MAX_LEVELS, MIN_LEVEL_ROWS = 10, 20, 5

FRAME_SCHEMA = {
    "column": pl.String,
    "kind": pl.String,
    "bin": pl.Int64,
    "upper": pl.Float64,
    "level": pl.String,
    "count": pl.Int64,
}


@dataclass
class _Bins:
    """Bins of one column and how many rows fell into each.

    Numbers have `edges`, the last value of every bin but the last; categories have `levels`.
    Behind them lie one bin for all else and one for missing values.
    """

    edges: npt.NDArray[np.float64] | None
    levels: tuple[str, ...] = ()
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def n_bins(self) -> int:
        return (len(self.levels) if self.edges is None else len(self.edges)) + 2

    def count(self, values: pl.Series) -> npt.NDArray[np.int64]:
        present = values.drop_nulls()
        if self.edges is None:
            places = _places(present, self.levels)
        else:
            places = np.searchsorted(self.edges, present.to_numpy())
        counts = np.bincount(places, minlength=self.n_bins)
        counts[-1] += len(values) - len(present)
        return counts.astype(np.int64)


class Reference:
    """Distributions of each feature column and of the score, in bins without raw rows.

    Use it for population stability (PSI) of later data. It keeps deciles and frequent levels
    (at least 5 rows each) and no row; it cannot show how columns move together.

    Parameters
    ----------
    bins
        Bins by column, with the counts of the rows that they were made from.

    Examples
    --------
    >>> frame = pl.DataFrame({"age": [20.0, 30.0, 40.0, None]})
    >>> reference = Reference.of(frame, np.array([0.1, 0.2, 0.3, 0.4]))
    >>> drift = reference.start()
    >>> drift.add(frame, np.array([0.1, 0.2, 0.3, 0.4]))
    >>> drift.psi()["age"]
    0.0
    """

    def __init__(self, bins: dict[str, _Bins]) -> None:
        self._bins = bins

    @classmethod
    def of(cls, frame: pl.DataFrame, probability: npt.NDArray[np.float64]) -> Reference:
        """Bin a parsed frame (rows, features) and the probabilities (rows,) of its rows."""
        bins = {}
        for values in _with_score(frame, probability):
            made = _make_bins(values)
            made.counts = made.count(values)
            bins[values.name] = made
        return cls(bins)

    def to_frame(self) -> pl.DataFrame:
        """One row for each bin: ``column kind bin upper level count``."""
        rows = [row for name, bins in self._bins.items() for row in _rows(name, bins)]
        return pl.DataFrame(rows, schema=FRAME_SCHEMA, orient="row")

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> Reference:
        """The reference that :meth:`to_frame` described.

        Raises
        ------
        ArtifactError
            If the frame has other columns.
        """
        if dict(frame.schema) != FRAME_SCHEMA:
            raise ArtifactError("reference.parquet has other columns than a reference has")
        parts = frame.partition_by("column", maintain_order=True)
        return cls({part["column"][0]: _from_rows(part) for part in parts})

    def start(self) -> Drift:
        """An empty count of later rows in these bins."""
        return Drift(self._bins)


class Drift:
    """Later rows counted in the bins of a reference, batch by batch."""

    def __init__(self, bins: dict[str, _Bins]) -> None:
        self._bins = bins
        self._counts = {name: np.zeros(each.n_bins, np.int64) for name, each in bins.items()}
        self.n_rows = 0

    def add(self, frame: pl.DataFrame, probability: npt.NDArray[np.float64]) -> None:
        """Count a parsed frame (rows, features) and the probabilities (rows,) of its rows."""
        self.n_rows += len(probability)
        for values in _with_score(frame, probability):
            if values.name in self._bins:
                self._counts[values.name] += self._bins[values.name].count(values)

    def psi(self) -> dict[str, float]:
        """Population stability index of each column and of the score, largest first."""
        found = {
            name: float(psi_shares(each.counts, self._counts[name]).sum())
            for name, each in self._bins.items()
            if self._counts[name].sum() and each.counts.sum()
        }
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def reference_of(model: Any, table: pl.DataFrame) -> Reference:
    """The reference of a raw table as a fitted estimator sees it."""
    schema: Schema = model.schema_
    return Reference.of(schema.parse(table).frame, model.predict_proba(table)[:, 1])


def _with_score(frame: pl.DataFrame, probability: npt.NDArray[np.float64]) -> list[pl.Series]:
    return [*map(_comparable, frame.get_columns()), pl.Series(SCORE, probability)]


def _comparable(values: pl.Series) -> pl.Series:
    """Dates as microseconds, booleans as text; the others as they are."""
    if values.dtype == pl.Boolean:
        return values.cast(pl.String)
    if values.dtype.is_temporal():
        return values.cast(pl.Int64).cast(pl.Float64)
    return values


def _make_bins(values: pl.Series) -> _Bins:
    present = values.drop_nulls()
    if values.dtype == pl.String:
        counts = present.alias("level").value_counts(name="n")
        frequent = counts.filter(pl.col("n") >= MIN_LEVEL_ROWS)
        frequent = frequent.sort(["n", "level"], descending=[True, False]).head(MAX_LEVELS)
        return _Bins(None, tuple(frequent["level"].to_list()))
    return _Bins(_edges(present.to_numpy()) if len(present) else np.zeros(0))


def _edges(present: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Last value of each bin but the last, as :func:`thinfile.metrics.drift.psi` cuts them.

    A column of few values gets a bin below and above them too, where a new value would fall.
    """
    values = np.unique(present)
    if len(values) <= N_BINS:
        return np.append(np.nextafter(values[0], -np.inf), values)
    inner = np.linspace(0, 1, N_BINS + 1)[1:-1]
    edges = np.unique(np.quantile(present, inner, method="inverted_cdf"))
    below: npt.NDArray[np.float64] = edges[edges < present.max()]
    return below


def _places(present: pl.Series, levels: Sequence[str]) -> npt.NDArray[np.int64]:
    if not levels:
        return np.zeros(len(present), np.int64)
    known = present.cast(pl.Enum(levels), strict=False).to_physical().cast(pl.Int64)
    return known.fill_null(len(levels)).to_numpy()


def _rows(name: str, bins: _Bins) -> list[tuple[Any, ...]]:
    kind = "category" if bins.edges is None else "number"
    uppers: list[float | None] = [None] * bins.n_bins
    levels: list[str | None] = [*([None] * (bins.n_bins - 1)), MISSING]
    if bins.edges is None:
        levels = [*bins.levels, OTHER, MISSING]
    else:
        uppers = [*bins.edges.tolist(), None, None]
    return [
        (name, kind, place, uppers[place], levels[place], int(bins.counts[place]))
        for place in range(bins.n_bins)
    ]


def _from_rows(part: pl.DataFrame) -> _Bins:
    counts = part["count"].to_numpy()
    if part["kind"][0] == "category":
        return _Bins(None, tuple(part["level"].to_list()[:-2]), counts)
    return _Bins(part["upper"].to_numpy()[:-2], (), counts)
