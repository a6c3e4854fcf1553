"""Frappe as the public DeepFM benchmark has it, with its training file rebuilt.

Validation and test are published as libfm files; the training file is not at hand. Its parts are:
ids are numbered by first appearance in the raw log, field by field; the 96,203 raw rows are the
positives, and each has two negatives with its own user and context and an app, drawn evenly, that
the user never used. What validation and test hold of both is left out, so 67,604 positives and
134,423 negatives remain: 202,027 rows, the published number. Which apps the negatives show is the
only thing that is not known, and is drawn here.

``python benchmarks/frappe_data.py`` checks all of this and prints what it found.

Reference: Baltrunas et al., Frappe: understanding the usage and perception of mobile app
recommendations in-the-wild, 2015 (arXiv 1505.03014).
"""

from __future__ import annotations

import gzip
import io
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.datasets import data_folder

FIELDS = (
    "user",
    "item",
    "daytime",
    "weekday",
    "isweekend",
    "homework",
    "cost",
    "weather",
    "country",
    "city",
)
N_NEGATIVES = 2
PUBLISHED = {"train": 202_027, "validation": 57_722, "test": 28_860}
N_IDS = 5_382

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Rows of one file: ids in the published numbering (rows, 10), and the label 0 or 1."""

    ids: Ids
    y: Ids

    def frame(self) -> pl.DataFrame:
        return pl.DataFrame({name: self.ids[:, i] for i, name in enumerate(FIELDS)})


def load_frappe(random_state: int = 0) -> tuple[dict[str, Part], list[int]]:
    """Return train, validation and test, and the first id of each field and the end of the last.

    Raises
    ------
    SystemExit
        If a file does not fit the published sizes or numbering.
    """
    folder = data_folder() / "frappe"
    raw, starts = _numbered(_raw(folder / "Mobile_Frappe.zip"))
    parts = {name: _libfm(folder / f"frappe.{name}.libfm.gz") for name in ("validation", "test")}
    rng = np.random.default_rng(random_state)
    positives = _left(raw, [part.ids[part.y == 1] for part in parts.values()])
    contexts = _left(
        np.repeat(np.delete(raw, 1, axis=1), N_NEGATIVES, axis=0),
        [np.delete(part.ids[part.y == 0], 1, axis=1) for part in parts.values()],
    )
    held_out = np.concatenate([part.ids for part in parts.values()])
    negatives = _with_unused_items(contexts, raw, held_out, starts, rng)
    train = Part(
        np.concatenate([positives, negatives]),
        np.repeat([1, 0], [len(positives), len(negatives)]),
    )
    found = {"train": train, **parts}
    _check(found, starts)
    return found, starts


def _raw(path: Path) -> pl.DataFrame:
    with zipfile.ZipFile(path) as archive:
        text = archive.read("Mobile_Frappe/frappe/frappe.csv")
    return pl.read_csv(io.BytesIO(text), separator="\t", quote_char=None)


def _numbered(raw: pl.DataFrame) -> tuple[Ids, list[int]]:
    starts, columns = [0], []
    for name in FIELDS:
        values = raw[name].unique(maintain_order=True).to_list()
        number = {value: starts[-1] + i for i, value in enumerate(values)}
        columns.append([number[value] for value in raw[name].to_list()])
        starts.append(starts[-1] + len(values))
    return np.array(columns, dtype=np.int64).T, starts


def _libfm(path: Path) -> Part:
    with gzip.open(path, "rt") as lines:
        rows = [line.split() for line in lines]
    ids = [[int(cell.partition(":")[0]) for cell in row[1:]] for row in rows]
    y = [int(row[0]) == 1 for row in rows]
    return Part(np.array(ids, dtype=np.int64), np.array(y, dtype=np.int64))


def _left(rows: Ids, taken: list[Ids]) -> Ids:
    """The rows less those taken, each as often as it is left over."""
    count = Counter(map(tuple, rows.tolist()))
    count.subtract(Counter(map(tuple, np.concatenate(taken).tolist())))
    if strays := sum(-n for n in count.values() if n < 0):
        raise SystemExit(f"Frappe: {strays} rows of validation and test are not in the raw log")
    return np.array(list(count.elements()), dtype=np.int64)


def _with_unused_items(
    contexts: Ids, raw: Ids, held_out: Ids, starts: list[int], rng: np.random.Generator
) -> Ids:
    """Give each context an app that its user never used, and no row of validation and test."""
    n_items = starts[2] - starts[1]
    used = np.zeros((starts[1], n_items), dtype=bool)
    used[raw[:, 0], raw[:, 1] - starts[1]] = True
    rows = np.insert(contexts, 1, starts[1], axis=1)
    again = np.ones(len(rows), dtype=bool)
    while again.any():
        rows[again, 1] = starts[1] + rng.integers(0, n_items, int(again.sum()))
        again = used[rows[:, 0], rows[:, 1] - starts[1]]
        again |= np.isin(_keys(rows, starts), _keys(held_out, starts))
    return rows


def _keys(rows: Ids, starts: list[int]) -> Ids:
    """One number per row."""
    codes = (rows - starts[:-1]).T
    return np.ravel_multi_index(tuple(codes), tuple(np.diff(starts).tolist())).astype(np.int64)


def _check(parts: dict[str, Part], starts: list[int]) -> None:
    sizes = {name: len(part.y) for name, part in parts.items()}
    if sizes != PUBLISHED or starts[-1] != N_IDS:
        raise SystemExit(f"Frappe: {sizes} rows and {starts[-1]} ids, not {PUBLISHED} and {N_IDS}")
    for name, part in parts.items():
        low, high = np.array(starts[:-1]), np.array(starts[1:])
        if ((part.ids < low) | (part.ids >= high)).any():
            raise SystemExit(f"Frappe: an id of {name} lies outside its field's numbers")


def summary(parts: dict[str, Part], starts: list[int]) -> dict[str, Any]:
    """Rows, share of positives, and how many rows of validation and test are in training too."""
    known = set(map(tuple, parts["train"].ids.tolist()))
    return {
        "fields": dict(zip(FIELDS, np.diff(starts).tolist(), strict=True)),
        **{
            name: {
                "rows": len(part.y),
                "positive": round(float(part.y.mean()), 4),
                "in training": sum(tuple(row) in known for row in part.ids.tolist()),
            }
            for name, part in parts.items()
        },
    }


if __name__ == "__main__":
    for key, value in summary(*load_frappe()).items():
        print(key, value)
