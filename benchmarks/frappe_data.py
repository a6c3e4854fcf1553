"""The Frappe benchmark: published validation and test rows, and the training rows rebuilt.

The published training file is not among the public tables. It is rebuilt: ids are numbered by
first appearance in the raw log, field by field; training positives are the log without the
positives of validation and test; each positive gets two negatives with its own context and an app
that its user never used (Baltrunas et al., "Frappe: understanding the usage and perception of
mobile app recommendations in-the-wild", 2015; He and Chua, "Neural factorization machines", 2017,
who made the split).
"""

from __future__ import annotations

import gzip
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

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
Codes = npt.NDArray[np.int32]
Labels = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Frappe:
    """Ids of the ten fields, (rows, 10) int32, each field with numbers of its own; labels 1 and 0.

    `cardinalities` holds ids 0 … n of each field; one id space over all fields is `ids + offsets`.
    """

    x_train: Codes
    y_train: Labels
    x_validation: Codes
    y_validation: Labels
    x_test: Codes
    y_test: Labels
    cardinalities: tuple[int, ...]

    @property
    def offsets(self) -> Codes:
        """Where each field starts in the numbering of the published files."""
        return np.concatenate([[0], np.cumsum(self.cardinalities[:-1])]).astype(np.int32)

    def frame(self, part: str) -> pl.DataFrame:
        """One part as a table of ids: "train", "validation" or "test"."""
        return pl.DataFrame(getattr(self, f"x_{part}"), schema=list(FIELDS), orient="row")


def load_frappe(random_state: int = 0) -> Frappe:
    """Read validation and test as published, and rebuild the training rows."""
    folder = data_folder() / "frappe"
    log, cardinalities = _numbered(folder)
    offsets = np.concatenate([[0], np.cumsum(cardinalities[:-1])])
    published = [
        _libfm(folder / f"frappe.{part}.libfm.gz", offsets) for part in ("validation", "test")
    ]
    held = np.concatenate([x[y == 1] for x, y in published])
    positives = _without(log, held)
    negatives = _negatives(log, positives, np.random.default_rng(random_state))
    x_train = np.concatenate([positives, negatives])
    y_train = np.repeat([1, 0], [len(positives), len(negatives)]).astype(np.int8)
    (x_validation, y_validation), (x_test, y_test) = published
    return Frappe(
        x_train, y_train, x_validation, y_validation, x_test, y_test, tuple(cardinalities)
    )


def _numbered(folder: Path) -> tuple[Codes, list[int]]:
    """The raw log with ids by first appearance, and the number of ids of each field."""
    with zipfile.ZipFile(folder / "Mobile_Frappe.zip") as archive:
        raw = archive.read("Mobile_Frappe/frappe/frappe.csv")
    table = pl.read_csv(io.BytesIO(raw), separator="\t", infer_schema_length=0)
    columns, sizes = [], []
    for field in FIELDS:
        values = table[field].unique(maintain_order=True)
        ids = pl.DataFrame({field: values}).with_row_index("id")
        columns.append(
            table.select(field).join(ids, on=field, how="left", maintain_order="left")["id"]
        )
        sizes.append(len(values))
    return np.stack([each.to_numpy() for each in columns], axis=1).astype(np.int32), sizes


def _libfm(path: Path, offsets: npt.NDArray[np.int64]) -> tuple[Codes, Labels]:
    with gzip.open(path, "rt") as file:
        rows = [line.split() for line in file]
    y = np.array([row[0] == "1" for row in rows], dtype=np.int8)
    ids = np.array([[int(each.split(":")[0]) for each in row[1:]] for row in rows])
    return (ids - offsets).astype(np.int32), y


def _without(log: Codes, held: Codes) -> Codes:
    """Rows of the log that are not among the held-out positives; each of those takes out one."""
    rows, which, counts = np.unique(
        np.concatenate([log, held]), axis=0, return_inverse=True, return_counts=True
    )
    which = which.ravel()
    n_held = np.bincount(which[len(log) :], minlength=len(rows))
    n_log = counts - n_held
    if (n_held > n_log).any():
        raise ValueError(f"{int((n_held > n_log).sum())} held-out positives are not in the log")
    order = np.argsort(which[: len(log)], kind="stable")
    place = np.arange(len(log)) - np.concatenate([[0], np.cumsum(n_log)])[which[order]]
    kept = order[place >= n_held[which[order]]]
    return log[np.sort(kept)]


def _negatives(log: Codes, positives: Codes, rng: np.random.Generator) -> Codes:
    """For each positive two rows with its context and an app that its user never used."""
    n_items = int(log[:, 1].max()) + 1
    used = np.unique(log[:, 0].astype(np.int64) * n_items + log[:, 1])
    rows = np.repeat(positives, N_NEGATIVES, axis=0)
    wrong = np.arange(len(rows))
    while len(wrong):
        rows[wrong, 1] = rng.integers(n_items, size=len(wrong))
        pairs = rows[wrong, 0].astype(np.int64) * n_items + rows[wrong, 1]
        wrong = wrong[np.isin(pairs, used)]
    return rows
