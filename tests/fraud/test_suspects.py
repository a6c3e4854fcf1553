from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl

from thinfile.fraud.suspects import LABEL, ROW, SCORE, SUSPECTS, load_suspects, most_suspicious
from thinfile.fraud.task import FraudTask
from thinfile.schema.model import Schema


def task() -> FraudTask:
    features = pl.DataFrame({"id": [f"t{i}" for i in range(8)], "amount": np.arange(8.0)})
    return FraudTask(
        features=features,
        names=features.select("id", day=pl.lit("Monday")),
        y=np.array([0, 0, 1, 0, 0, 1, 0, 0], np.int8),
        schema=Schema.numeric(["amount"]),
        train=np.arange(4),
        test=np.arange(4, 8),
        label="fraud",
        event="1",
        time=None,
        title="t",
        notes=(),
    )


def result(runs: list[list[float]]) -> SimpleNamespace:
    scores = {("boosted", 10): np.array(runs, dtype=float).reshape(-1, 4)}
    return SimpleNamespace(verdict={"choice": "boosted", "budget": 10}, test_scores=scores)


def test_the_most_suspicious_come_first_by_their_mean() -> None:
    runs = [[0.1, 0.9, 0.2, 0.0], [0.1, 0.7, 0.8, 0.0], [np.nan] * 4]
    found = most_suspicious(task(), result(runs), n=2)  # type: ignore[arg-type]
    assert found.columns == [ROW, SCORE, LABEL, "id", "day", "amount"]
    assert found.rows() == [(5, 0.8, 1, "t5", "Monday", 5.0), (6, 0.5, 0, "t6", "Monday", 6.0)]


def test_a_choice_without_scores_has_no_suspects() -> None:
    found = most_suspicious(task(), result([]))  # type: ignore[arg-type]
    assert found.height == 0


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    assert load_suspects(tmp_path) is None
    kept = most_suspicious(task(), result([[0.4, 0.3, 0.2, 0.1]]))  # type: ignore[arg-type]
    kept.write_parquet(tmp_path / SUSPECTS)
    again = load_suspects(tmp_path)
    assert again is not None
    assert again.equals(kept)
