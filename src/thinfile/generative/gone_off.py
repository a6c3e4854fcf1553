"""Signs that a GAN has gone off: one side at zero loss, constant output, rows that repeat."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ZERO_LOSS = 0.01
"""A loss below this teaches the other side nothing."""
CONSTANT_SPREAD = 0.05
"""Deviation of made columns beside real ones, below which all made rows are one row."""
MANY_DUPLICATES = 0.5
"""Share of made rows that repeat others, above what real rows do."""
EARLY = 0.5
"""Share of a run in which output that was never varied may yet become so."""
CONSTANT, COLLAPSED = "constant output", "collapsed output"


@dataclass
class Watch:
    """Looks at the record of every check; a sign seen at several checks in a row ends a run.

    Constant and collapsed output are usual while the first weights still show: in the first half
    of a run they count only once a check was without them.

    Parameters
    ----------
    loss : str
        The kind of loss; Wasserstein's has no zero.
    soft : float
        Softness of the labels, which the discriminator's loss cannot get below.
    natural : float
        Share of real rows that repeat others.
    patience : int
        Checks in a row, at least 1.
    """

    loss: str
    soft: float = 0.0
    natural: float = 0.0
    patience: int = 3
    _seen: dict[str, int] = field(default_factory=dict)
    _was_well: set[str] = field(default_factory=set)

    def see(self, record: Mapping[str, Any], progress: float = 1.0) -> str | None:
        """Take a record at a share of the run; return what is wrong, or None."""
        signs = self._output_signs(record)
        if progress < EARLY:
            signs = {sign: text for sign, text in signs.items() if sign in self._was_well}
        if self.loss != "wasserstein":
            signs |= self._zero_losses(record)
        self._seen = {sign: self._seen.get(sign, 0) + 1 for sign in signs}
        for sign, count in self._seen.items():
            if count >= self.patience:
                return f"{sign} ({signs[sign]}) at {count} checks in a row"
        return None

    def _output_signs(self, record: Mapping[str, Any]) -> dict[str, str]:
        """Signs in what is made; notes which of them were once absent."""
        signs = {}
        spread, repeated = record.get("spread"), record.get("duplicates")
        if spread is not None and spread < CONSTANT_SPREAD:
            signs[CONSTANT] = f"made columns vary {spread:.2g} times as much as real ones"
        elif spread is not None:
            self._was_well.add(CONSTANT)
        if repeated is not None and repeated - self.natural > MANY_DUPLICATES:
            signs[COLLAPSED] = f"{repeated:.0%} of made rows repeat others"
        elif repeated is not None:
            self._was_well.add(COLLAPSED)
        return signs

    def _zero_losses(self, record: Mapping[str, Any]) -> dict[str, str]:
        signs = {}
        floors = {"discriminator": _least_loss(self.loss, self.soft), "generator": 0.0}
        if self.loss == "hinge":
            floors.pop("generator")  # its loss has no least value
        for side, floor in floors.items():
            loss = record.get(f"{side}_loss")
            if loss is not None and abs(loss - floor) < ZERO_LOSS:
                signs[f"the {side} at zero loss"] = f"{side} loss {loss:.2g}"
        return signs


def _least_loss(kind: str, soft: float) -> float:
    """The loss of a discriminator that is always right."""
    if not soft or kind not in ("saturating", "non_saturating"):
        return 0.0
    return -0.5 * (soft * math.log(soft) + (1 - soft) * math.log(1 - soft))
