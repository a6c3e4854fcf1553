"""Rare events in one table: which rows are trained on, which are tested, what is a feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.labels import read_labels
from thinfile.data.split import by_time
from thinfile.data.split_later import times_of
from thinfile.errors import DataError
from thinfile.fraud.options import MIN_FRAUDS, FraudOptions
from thinfile.schema.model import Schema

Rows = npt.NDArray[np.intp]

MIN_TEST_FRAUDS = 5
"""Frauds in the test part below which nothing is measured."""
FEW_KINDS = 0.5
"""Share of copies among training rows above which columns merely have few values."""


@dataclass(frozen=True)
class FraudTask:
    """One table of n rows, cut into an earlier and a later part.

    Attributes
    ----------
    features : polars.DataFrame
        Raw columns that a model sees, and ids.
    names : polars.DataFrame
        Raw columns that tell a person which row it is: ids and the time.
    y : ndarray of shape (n,)
        1 for a fraud, 0 for genuine, -1 where it is not known.
    schema : Schema
    train, test : ndarray of int
        Positions; all rows of `test` have a label.
    label : str
    event : str
        The label's value that is a fraud, as it stands in the table.
    time : str or None
        Column that the rows were split by.
    title : str
    notes : tuple of str
    """

    features: pl.DataFrame
    names: pl.DataFrame
    y: npt.NDArray[np.int8]
    schema: Schema
    train: Rows
    test: Rows
    label: str
    event: str
    time: str | None
    title: str
    notes: tuple[str, ...]

    @property
    def rate(self) -> float:
        """Share of frauds among the labelled training rows."""
        known = self.y[self.train][self.y[self.train] >= 0]
        return float(known.mean())

    def of_class(self, value: int) -> Rows:
        """Training rows with that label."""
        rows: Rows = self.train[self.y[self.train] == value]
        return rows


def build_fraud_task(
    table: pl.DataFrame,
    *,
    label: str,
    options: FraudOptions | None = None,
    event: str | None = None,
    schema: Schema | None = None,
    title: str = "table",
) -> FraudTask:
    """Read labels and columns, and set the test rows aside.

    Parameters
    ----------
    table
        Raw rows; the label may be missing in some.
    label
        Name of the label column.
    options
        `time`, `ignore`, `test_share`, `max_test` and `random_state` are used.
    event
        Label value that is the event; None where it is plain.
    schema
        Corrected by hand; None infers it.
    title
        What messages and pictures call the table.

    Raises
    ------
    DataError
        If a column is not there, a class is missing, or too few frauds are left to test.
    """
    options = options or FraudOptions()
    notes: list[str] = []
    aside = dict.fromkeys([*([options.time] if options.time else []), *options.ignore])
    _check_columns(table, [label, *aside])
    y = read_labels(table[label], table[label].head(0), label, notes, event=event)
    value = _value_of_event(table[label], y)
    features = table.drop([label, *aside])
    given, schema = schema, _schema_of(features, schema, notes)
    if not schema.features:
        raise DataError(f"{title!r} has no column that can be used beside the label {label!r}")
    train, test = _split(table, y, options, given, notes)
    train = _without_copies(features, schema.features, train, test, notes)
    _check_frauds(y, train, test, label)
    kept = [c.name for c in schema.columns if c.role == "id" or c.name in schema.features]
    ids = [c.name for c in schema.columns if c.role == "id"]
    return FraudTask(
        features.select(kept),
        table.select([*ids, *([options.time] if options.time else [])]),
        y,
        schema,
        train,
        test,
        label,
        value,
        options.time,
        title,
        tuple(notes),
    )


def _schema_of(features: pl.DataFrame, given: Schema | None, notes: list[str]) -> Schema:
    schema = given
    if schema is None:
        schema = Schema.infer(features)
        notes += schema.notes
    return Schema(tuple(c for c in schema.columns if c.name in features.columns), schema.notes)


def _value_of_event(raw: pl.Series, y: npt.NDArray[np.int8]) -> str:
    """How the event is written in the label column."""
    value = raw.filter(pl.Series(y == 1)).head(1).to_list()
    if not value:
        return "1"
    if isinstance(value[0], bool):
        return str(value[0]).lower()
    return f"{value[0]:g}" if isinstance(value[0], float) else str(value[0])


def _check_columns(table: pl.DataFrame, names: Sequence[str]) -> None:
    lacking = [name for name in names if name not in table.columns]
    if lacking:
        raise DataError(
            f"column {lacking[0]!r} is not in the table; its columns are "
            f"{', '.join(table.columns[:12])}"
        )
    if not table.height:
        raise DataError("the table has no rows")


def _times(table: pl.DataFrame, name: str, schema: Schema | None) -> npt.NDArray[Any]:
    """The column to split by as dates or numbers, text as the schema reads it."""
    times = times_of(table, name, schema)
    unknown = np.flatnonzero(np.isnat(times) if times.dtype.kind == "M" else np.isnan(times))
    if len(unknown):
        raise DataError(
            f"time {name!r}: {len(unknown):,} of {len(times):,} rows have no time that can be "
            f"read (first: row {unknown[0]}, {table[name][int(unknown[0])]!r}); leave them out, or "
            "split at random without --time"
        )
    return times


def _moment(time: Any) -> str:
    if isinstance(time, np.datetime64):
        return str(time.astype("datetime64[s]")).replace("T", " ")
    return f"{time:,.10g}"


def _split(
    table: pl.DataFrame,
    y: npt.NDArray[np.int8],
    options: FraudOptions,
    schema: Schema | None,
    notes: list[str],
) -> tuple[Rows, Rows]:
    rng = np.random.default_rng(options.random_state)
    if options.time:
        times = _times(table, options.time, schema)
        train, test = by_time(times, test_share=options.test_share)
        notes.append(
            f"split by {options.time!r}: the latest {len(test):,} of {len(y):,} rows are tested, "
            f"from {_moment(times[test].min())} to {_moment(times[test].max())}; the others begin "
            f"at {_moment(times[train].min())}"
        )
    else:
        drawn = [
            rng.permutation(rows)[: round(len(rows) * options.test_share)]
            for rows in (np.flatnonzero(y == value) for value in (0, 1))
        ]
        test = np.sort(np.concatenate(drawn))
        train = np.setdiff1d(np.arange(len(y)), test)
        notes.append(
            f"split at random: {len(test):,} of {len(y):,} rows are tested; name the column with "
            "--time to test on later rows, which is harder and nearer to use"
        )
    n_unknown = int((y[test] < 0).sum())
    if n_unknown:
        notes.append(f"{n_unknown:,} of the rows to test have no label and are not measured")
    test = test[y[test] >= 0]
    if len(test) > options.max_test:
        frauds, others = test[y[test] == 1], test[y[test] == 0]
        drawn_others = rng.permutation(others)[: max(0, options.max_test - len(frauds))]
        notes.append(f"{len(drawn_others):,} of {len(others):,} genuine test rows were drawn")
        test = np.sort(np.concatenate([frauds, drawn_others]))
    return train, test


def _without_copies(
    features: pl.DataFrame, names: Sequence[str], train: Rows, test: Rows, notes: list[str]
) -> Rows:
    """Training rows that the test does not hold too: what is known by heart is not measured."""
    hashes = features.select(names).hash_rows(seed=0).to_numpy()
    copied = np.isin(hashes[train], hashes[test])
    if copied.sum() > FEW_KINDS * len(train):
        notes.append(
            f"{int(copied.sum()):,} training rows equal a test row in every column: the columns "
            "have few values, so they are kept"
        )
        return train
    if copied.any():
        notes.append(
            f"{int(copied.sum()):,} training rows left out: the test part holds exact copies"
        )
    return train[~copied]


def _check_frauds(y: npt.NDArray[np.int8], train: Rows, test: Rows, label: str) -> None:
    counts = {name: int((y[rows] == 1).sum()) for name, rows in (("train", train), ("test", test))}
    others = {name: int((y[rows] == 0).sum()) for name, rows in (("train", train), ("test", test))}
    if counts["train"] < MIN_FRAUDS or counts["test"] < MIN_TEST_FRAUDS or not all(others.values()):
        raise DataError(
            f"label {label!r}: too few to measure anything. The training part has "
            f"{counts['train']} frauds and {others['train']:,} genuine rows, of which {MIN_FRAUDS} "
            f"and 1 are needed; the test part has {counts['test']} and {others['test']:,}, of "
            f"which {MIN_TEST_FRAUDS} and 1 are needed. `thinfile fit` with logistic, devnet or "
            "isolation_forest fits a model without measuring it"
        )
