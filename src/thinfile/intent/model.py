"""A purchase model: an estimator, and the recipe that makes its table from a log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.artifact.folder import load_classifier, read_extra, save_version
from thinfile.data.events import EventLog
from thinfile.data.snapshots import Snapshots
from thinfile.errors import ArtifactError, DataError
from thinfile.estimator import Estimator
from thinfile.intent.recipe import CUT, Recipe

EVENTS = "events.json"
"""File of an artifact that holds the recipe; where it lies, a log is scored and not a table."""
CHUNK = 50_000
"""Rows that are built and scored at a time."""


@dataclass(frozen=True)
class IntentModel:
    """Scores the customers of an event log.

    Attributes
    ----------
    estimator : Estimator
        Fitted on the recipe's table.
    recipe : Recipe
    reads : frozenset of {"aggregates", "histories"}
        Columns that the estimator takes.
    leak : str or None
        What the leak probes said, if they flagged the comparison that the model comes from.
    """

    estimator: Estimator
    recipe: Recipe
    reads: frozenset[str]
    leak: str | None = None

    def known(self, log: EventLog, cut: datetime | None = None) -> Snapshots:
        """Every customer with an event before the cut; labels are -1.

        Parameters
        ----------
        cut
            The instant to look from; just after the log's last event by default.
        """
        self.recipe.check(log)
        cut = log.end + timedelta(microseconds=1) if cut is None else cut
        rows = log.snapshots([cut], self.recipe.horizon, self.recipe.gap)
        if not len(rows):
            raise DataError(
                f"no customer of the log has an event before the cut {cut}; "
                f"the log begins on {log.start}"
            )
        return rows

    def table(self, log: EventLog, snapshots: Snapshots) -> pl.DataFrame:
        """The columns that the estimator takes, one row per snapshot, in order."""
        return build_table(self.recipe, log, snapshots, self.reads, self.estimator)

    def probability(self, table: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Probability of the event for rows of :meth:`table`, shape (n,)."""
        found: npt.NDArray[np.float64] = self.estimator.predict_proba(table)[:, 1]
        return found

    def score(self, log: EventLog, cut: datetime | None = None) -> pl.DataFrame:
        """Customer and probability, for every customer with an event before the cut."""
        rows = self.known(log, cut)
        parts = [self.probability(self.table(log, part)) for part in in_chunks(rows)]
        return pl.DataFrame(
            {
                log.roles.customer: log.customers[rows.customer],
                "probability": np.concatenate(parts),
            }
        )


def build_table(
    recipe: Recipe,
    log: EventLog,
    snapshots: Snapshots,
    reads: frozenset[str],
    estimator: Estimator,
) -> pl.DataFrame:
    """The table of an estimator: what it reads, and the cut where it orders rows by it."""
    parts = []
    if "aggregates" in reads:
        parts.append(recipe.flat(log, snapshots))
    if "histories" in reads:
        table = recipe.sequences(log, snapshots)
        parts.append(table.drop(recipe.static) if parts else table)
    if getattr(estimator, "time_column", None) == CUT:
        parts.append(pl.DataFrame({CUT: snapshots.cut}))
    return pl.concat(parts, how="horizontal")


def in_chunks(snapshots: Snapshots, size: int = CHUNK) -> Iterator[Snapshots]:
    """The rows in stretches of at most `size`."""
    for start in range(0, len(snapshots), size):
        yield snapshots.take(np.arange(start, min(start + size, len(snapshots))))


def save_model(
    model: IntentModel, models: str | Path, *, metrics: Mapping[str, Any], reference: pl.DataFrame
) -> Path:
    """Write the model as a new version below `models`, the recipe beside the weights."""
    recipe = {
        "recipe": model.recipe.to_dict(),
        "reads": sorted(model.reads),
        "leak": model.leak,
    }
    return save_version(
        model.estimator,
        models,
        metrics=metrics,
        reference=reference,
        extra={EVENTS: json.dumps(recipe, ensure_ascii=False).encode()},
    )


def is_intent_model(path: str | Path) -> bool:
    """Whether an artifact scores event logs."""
    return read_extra(path, EVENTS) is not None


def load_model(path: str | Path) -> IntentModel:
    """Read a purchase model from its folder, a folder of versions, or a run.

    Raises
    ------
    ArtifactError
        If it is no artifact, is damaged, or scores tables and no logs.
    """
    content = read_extra(path, EVENTS)
    if content is None:
        raise ArtifactError(f"{path}: is a model of tables, not of event logs: it has no {EVENTS}")
    try:
        state = json.loads(content)
        recipe, reads = Recipe.from_dict(state["recipe"]), frozenset(state["reads"])
        leak = state["leak"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: {EVENTS} is damaged: {error!r}") from error
    return IntentModel(load_classifier(path), recipe, reads, leak)
