"""How an event log becomes the table of a purchase model; it goes with the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from thinfile.data.aggregates import Aggregates
from thinfile.data.buys import Buys
from thinfile.data.event_columns import EventColumns, near_names
from thinfile.data.events import EventLog
from thinfile.data.histories import Histories
from thinfile.data.snapshots import Snapshots
from thinfile.errors import ArtifactError, DataError

FORMAT = 1
CUT = "cut"
"""Column with the instant that a row is seen from; rows are ordered by it, it is no feature."""


@dataclass(frozen=True)
class Recipe:
    """What turns a log into rows: columns, what is predicted, aggregates and histories.

    Attributes
    ----------
    roles : EventColumns
    buys : Buys
        The event that is predicted.
    horizon, gap : timedelta
        The event is looked for in [cut + gap, cut + gap + horizon).
    aggregates : Aggregates
        Fitted.
    histories : Histories
    static : tuple of str
        Columns that describe the customer; a row has the value of the latest event.
    kinds : mapping
        "number", "text", "time" or "boolean" of each column that is read, as trained on.
    """

    roles: EventColumns
    buys: Buys
    horizon: timedelta
    gap: timedelta
    aggregates: Aggregates
    histories: Histories
    static: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)

    def flat(self, log: EventLog, snapshots: Snapshots) -> pl.DataFrame:
        """Aggregates and columns of the customer, shape (n, columns); numbers as Float32."""
        table = self.aggregates.transform(log, snapshots)
        numbers = table.select(pl.all().cast(pl.Float32))
        return numbers.hstack(self._static(log, snapshots).get_columns())

    def sequences(self, log: EventLog, snapshots: Snapshots) -> pl.DataFrame:
        """Histories as list columns, and columns of the customer, shape (n, columns)."""
        table = self.histories.transform(log, snapshots)
        return table.hstack(self._static(log, snapshots).get_columns())

    def check(self, log: EventLog) -> None:
        """Refuse a log that lacks a column the model reads, or has another kind in its place.

        Raises
        ------
        DataError
            With every column that is missing, and names that are like it.
        """
        known = log.table.columns
        faults = [
            f"{name!r} is missing{near_names(name, known)}"
            for name in self.columns
            if name not in known
        ]
        if faults:
            found = ", ".join(map(repr, known))
            raise DataError(f"the log does not fit the model: {', '.join(faults)}; it has {found}")
        now = kinds_of(log, self.columns)
        changed = [
            f"column {name!r} holds {now[name]} values (first: {log.table[name][0]!r}), "
            f"the model was trained on {kind}"
            for name, kind in self.kinds.items()
            if now.get(name, kind) != kind
        ]
        if changed:
            raise DataError(f"the log does not fit the model: {'; '.join(changed)}")

    @property
    def columns(self) -> list[str]:
        """Columns of the log that are read, without the customer."""
        roles = self.roles
        named = [roles.time, roles.item, roles.category, roles.quantity, roles.amount]
        action = [self.buys.action[0]] if self.buys.action else []
        wanted = [*named, self.buys.column, *action, *self.histories.columns, *self.static]
        return list(dict.fromkeys(name for name in wanted if name is not None))

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON values."""
        return {
            "format": FORMAT,
            "roles": self.roles.to_dict(),
            "buys": self.buys.to_dict(),
            "horizon_seconds": self.horizon.total_seconds(),
            "gap_seconds": self.gap.total_seconds(),
            "aggregates": self.aggregates.to_state(),
            "histories": self.histories.to_state(),
            "static": list(self.static),
            "kinds": dict(self.kinds),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_dict` described.

        Raises
        ------
        ArtifactError
            If it is of another format or damaged.
        """
        if state.get("format") != FORMAT:
            raise ArtifactError(
                f"recipe of format {state.get('format')!r}; this version reads {FORMAT}"
            )
        try:
            return cls(
                EventColumns.from_dict(state["roles"]),
                Buys.from_dict(state["buys"]),
                timedelta(seconds=state["horizon_seconds"]),
                timedelta(seconds=state["gap_seconds"]),
                Aggregates.from_state(state["aggregates"]),
                Histories.from_state(state["histories"]),
                tuple(state["static"]),
                dict(state["kinds"]),
            )
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"the recipe is damaged: {error!r}") from error

    def _static(self, log: EventLog, snapshots: Snapshots) -> pl.DataFrame:
        last = pl.Series(np.maximum(snapshots.stop - 1, 0))
        known = pl.Series(snapshots.stop > snapshots.start)
        values = log.table.select(self.static)[last] if self.static else pl.DataFrame()
        return values.select(
            pl.when(known).then(pl.col(name).cast(pl.String)).alias(name) for name in self.static
        )


def kinds_of(log: EventLog, columns: Sequence[str]) -> dict[str, str]:
    """Whether columns of a log hold numbers, text, times or booleans."""
    return {name: _kind(log.table.schema[name]) for name in columns if name in log.table.columns}


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return "number"
    if dtype.is_temporal():
        return "time"
    return "boolean" if dtype == pl.Boolean else "text"
