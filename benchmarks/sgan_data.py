"""Card transactions for the SGAN benchmarks: a few labels early, a labelled stretch later.

Rows are ordered by time. Labels are drawn from the first 60 %, curves are followed on the next
20 %, and the last 20 % are for final figures only. Of the genuine rows of the stretch that is
followed a random part stands for all, with weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from thinfile.data.datasets import data_folder
from thinfile.metrics.ranking import average_precision

N_UNLABELLED = 20_000
N_WATCHED = 12_000


@dataclass(frozen=True)
class Watched:
    """Rows on which a run is followed."""

    X: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    weight: np.ndarray[Any, Any]

    def ap(self, score: np.ndarray[Any, Any]) -> float:
        return average_precision(self.y, score, weight=self.weight)

    def f1(self, called: np.ndarray[Any, Any]) -> float:
        """F1 of the fraud class where `called` says fraud; 0 where nothing is called."""
        hits = float(self.weight[called & (self.y == 1)].sum())
        wrong = float(self.weight[called].sum()) - hits
        missed = float(self.weight[self.y == 1].sum()) - hits
        return 2 * hits / (2 * hits + wrong + missed) if hits else 0.0


class Cards:
    """The table, split by time at 60 % and 80 %; `Time` itself is dropped."""

    def __init__(self) -> None:
        table = pl.read_parquet(data_folder() / "ulb_creditcard.parquet")
        table = table.sort("Time", maintain_order=True)
        self.y = table["Class"].to_numpy().astype(np.int8)
        self.X = table.drop("Time", "Class").to_numpy().astype(np.float64)
        n = len(self.y)
        self.train = np.arange(int(0.6 * n))
        self.later = np.arange(int(0.6 * n), int(0.8 * n))
        self.last = np.arange(int(0.8 * n), n)

    def draw(self, n_frauds: int, n_genuine: int, seed: int) -> tuple[Any, Any]:
        """Labelled and unlabelled training rows: X, and y with −1."""
        rng = np.random.default_rng(seed)
        fraud, genuine = (self.train[self.y[self.train] == label] for label in (1, 0))
        labelled = np.concatenate(
            [rng.choice(fraud, n_frauds, replace=False), rng.choice(genuine, n_genuine, False)]
        )
        rest = rng.choice(np.setdiff1d(self.train, labelled), N_UNLABELLED, replace=False)
        y = np.concatenate([self.y[labelled], np.full(len(rest), -1)]).astype(np.int8)
        return self.X[np.concatenate([labelled, rest])], y

    def watched(self, rows: np.ndarray[Any, Any] | None = None) -> Watched:
        """All frauds of a stretch and a part of its genuine rows, weighted to all."""
        rows = self.later if rows is None else rows
        fraud, genuine = rows[self.y[rows] == 1], rows[self.y[rows] == 0]
        part = np.random.default_rng(0).choice(genuine, N_WATCHED, replace=False)
        weight = np.full(len(part), len(genuine) / len(part))
        kept = np.concatenate([fraud, part])
        return Watched(self.X[kept], self.y[kept], np.concatenate([np.ones(len(fraud)), weight]))
