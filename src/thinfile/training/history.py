"""What happened in a training run, one record per check: plain numbers, ready for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from thinfile.errors import DataError

Record = dict[str, float | int | None]
"""One line of a history; a number that was not finite is None."""


@dataclass
class History:
    """The course of one training run.

    It is a sequence of records. Each holds ``epoch``, ``step`` (updates done), ``seconds`` and
    ``cpu_seconds`` (of the process, all threads) since the start, ``learning_rate``
    (``learning_rate_2`` for a second phase), the mean of each loss term and of their weighted sum
    ``total`` since the record before, ``weight_<term>`` for each term whose weight follows a
    schedule, and what ``check`` measured.

    Attributes
    ----------
    records : list of dict
        The records in order.
    best_step : int or None
        Step of the best monitored value; None when nothing was monitored.
    best_value : float or None
        The monitored value at that step.
    stopped : str
        Why training ended, in words.

    Examples
    --------
    >>> history = History([{"step": 10, "loss": 0.7}, {"step": 20, "loss": 0.5}])
    >>> history.column("loss")
    [0.7, 0.5]
    """

    records: list[Record] = field(default_factory=list)
    best_step: int | None = None
    best_value: float | None = None
    stopped: str = "not finished"

    def column(self, name: str) -> list[float | int | None]:
        """Return one quantity over all records, None where a record lacks it.

        Raises
        ------
        DataError
            If no record has it; the message names what there is.
        """
        known = sorted({key for record in self.records for key in record})
        if name not in known:
            raise DataError(f"History: no record has {name!r}; there is {', '.join(known)}")
        return [record.get(name) for record in self.records]

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, fit for ``json.dump``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> History:
        """Rebuild a history from what `to_dict` gave."""
        return cls(**state)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __getitem__(self, index: int) -> Record:
        return self.records[index]
