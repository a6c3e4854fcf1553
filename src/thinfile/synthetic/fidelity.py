"""How like the real rows the made ones are: columns, pairs, and a classifier of the two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from thinfile.errors import DataError
from thinfile.synthetic.columns import ColumnFidelity, judge_columns
from thinfile.synthetic.detection import Detection, detect
from thinfile.synthetic.pairs import MAX_ROWS, PairFidelity, judge_pairs
from thinfile.synthetic.sides import Sides


@dataclass(frozen=True)
class Fidelity:
    """Everything about likeness.

    Attributes
    ----------
    columns : list of ColumnFidelity
        The farthest first.
    pairs : list of PairFidelity
        The largest differences first.
    detection, detection_holdout : Detection or None
        Made against real rows; hold-out against real rows, as the yardstick.
    unmeasured : list of str
        What could not be measured, and why.
    """

    columns: list[ColumnFidelity]
    pairs: list[PairFidelity]
    detection: Detection | None
    detection_holdout: Detection | None
    unmeasured: list[str]

    @property
    def column_distance(self) -> float | None:
        """Mean distance of the columns."""
        return _mean([column.distance for column in self.columns])

    @property
    def column_holdout(self) -> float | None:
        """Mean distance of the hold-out's columns: what other real rows get."""
        return _mean([column.holdout for column in self.columns])

    @property
    def pair_difference(self) -> float | None:
        """Mean difference of the pairs' strengths."""
        return _mean([pair.difference for pair in self.pairs])

    @property
    def pair_holdout(self) -> float | None:
        """The same of the hold-out."""
        return _mean([None if p.holdout is None else abs(p.holdout - p.real) for p in self.pairs])

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "column_distance": self.column_distance,
            "column_distance_holdout": self.column_holdout,
            "pair_difference": self.pair_difference,
            "pair_difference_holdout": self.pair_holdout,
            "detection": _record(self.detection),
            "detection_holdout": _record(self.detection_holdout),
            "columns": [column.to_dict() for column in self.columns],
            "pairs": [pair.to_dict() for pair in self.pairs],
            "unmeasured": self.unmeasured,
        }


def judge_fidelity(sides: Sides, *, random_state: int = 0) -> Fidelity:
    """Measure likeness; what cannot be measured is named in the result.

    Parameters
    ----------
    sides : Sides
    random_state : int
        For the rows that are drawn where a table is large.
    """
    unmeasured: list[str] = []

    def attempt(what: str, work: Callable[[], Detection]) -> Detection | None:
        try:
            return work()
        except DataError as error:
            unmeasured.append(f"{what}: {error}")
            return None

    made = attempt(
        "telling made from real rows", lambda: detect(sides, sides.made, random_state=random_state)
    )
    holdout = None
    if sides.holdout is not None:
        rows = sides.holdout
        holdout = attempt(
            "telling hold-out from real rows",
            lambda: detect(sides, rows, random_state=random_state),
        )
    return Fidelity(
        judge_columns(sides, random_state=random_state),
        judge_pairs(sides, random_state=random_state),
        made,
        holdout,
        unmeasured,
    )


def sampled(sides: Sides) -> list[str]:
    """What was measured on a sample of the rows, in words."""
    frames = [sides.real, sides.made, *([] if sides.holdout is None else [sides.holdout])]
    if max(frame.height for frame in frames) <= MAX_ROWS:
        return []
    return [f"Pairs of columns: at most {MAX_ROWS:,} rows of each side, drawn at random."]


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return fmean(present) if present else None


def _record(found: Detection | None) -> dict[str, Any] | None:
    return None if found is None else found.to_dict()
