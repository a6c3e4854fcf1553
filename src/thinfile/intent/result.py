"""What a purchase comparison found, and how it is read again from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from thinfile.compare.folder import RunFolder
from thinfile.compare.result import Result, load_result
from thinfile.errors import DataError

KIND = "intent"


@dataclass(frozen=True)
class IntentResult:
    """What the report reads.

    Attributes
    ----------
    result : Result
        Cells, leaderboard, verdict and scores of all later customers.
    groups : polars.DataFrame
        Figures of all, of past buyers, and of those who never bought; see
        :func:`thinfile.intent.board.group_board`.
    """

    result: Result
    groups: pl.DataFrame

    @property
    def probes(self) -> list[dict[str, Any]]:
        """What the leak probes found."""
        return self.result.probes

    @property
    def verdict(self) -> dict[str, Any]:
        """`choice`, `budget`, `headline`, `sentences`, `warnings`, `flagged`."""
        return self.result.verdict


def is_intent_run(path: str | Path) -> bool:
    """Whether a run's folder holds a purchase comparison."""
    kind = RunFolder(Path(path)).read_json("run.json").get("kind")
    return bool(kind == KIND)


def load_intent(path: str | Path) -> IntentResult:
    """The result of a finished purchase comparison, from its folder.

    Raises
    ------
    DataError
        If the folder holds none, or a file of it is damaged.
    """
    if not is_intent_run(path):
        raise DataError(f"{str(path)!r} holds no purchase comparison")
    folder = RunFolder(Path(path))
    groups = pl.DataFrame(folder.read_json("groups.json"), infer_schema_length=None)
    return IntentResult(load_result(path), groups)
