"""Rows and ids that stand in a comparison more than once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl


def find_repeats(
    table: pl.DataFrame,
    ids: Sequence[str],
    features: Sequence[str],
    y: npt.NDArray[np.int8],
    n_source: int,
    names: tuple[str, str],
) -> list[str]:
    """Notes on ids that repeat, and on labelled target rows that the source holds too.

    Parameters
    ----------
    table
        Source rows first, shape (rows, columns).
    ids, features
        Names of the columns that identify a row, which may be absent, and of those that a model
        sees.
    y
        1, 0, or -1 for "no label", shape (rows,).
    n_source
        Number of source rows.
    names
        What notes call source and target.
    """
    is_target = np.arange(table.height) >= n_source
    notes: list[str] = []
    for column in [name for name in ids if name in table.columns]:
        known = table[column].is_not_null().to_numpy()
        keys = table.select(column).hash_rows().to_numpy()
        notes += _id_notes(column, keys[known & ~is_target], keys[known & is_target], names)
    labelled = y >= 0
    rows = table.select(features).hash_rows().to_frame("row")
    hashes = rows.with_columns(pl.Series("label", y)).hash_rows().to_numpy()
    return notes + _row_notes(hashes[labelled & ~is_target], hashes[labelled & is_target], names)


def _id_notes(
    column: str,
    source: npt.NDArray[np.uint64],
    target: npt.NDArray[np.uint64],
    names: tuple[str, str],
) -> list[str]:
    notes = []
    for keys, name in zip((source, target), names, strict=True):
        n = len(keys) - len(np.unique(keys))
        if n:
            notes.append(f"id {column!r}: {n} rows of {name!r} repeat the id of another row")
    n = int(np.isin(target, source).sum())
    if n:
        notes.append(
            f"id {column!r}: {n} rows of {names[1]!r} have an id of {names[0]!r} too: "
            "figures may be too good if they are the same customers"
        )
    return notes


def _row_notes(
    source: npt.NDArray[np.uint64], target: npt.NDArray[np.uint64], names: tuple[str, str]
) -> list[str]:
    """Coarse columns make rows alike by chance: in the source as often as between the two."""
    n = int(np.isin(target, source).sum())
    counts = np.unique(source, return_counts=True)[1]
    if not n or n / len(target) <= counts[counts > 1].sum() / len(source):
        return []
    return [
        f"{n} rows of {names[1]!r} stand in {names[0]!r} too, with the same label: "
        "figures may be too good"
    ]
