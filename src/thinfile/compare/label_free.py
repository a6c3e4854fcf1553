"""How good a cell's model looks without one label of the target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from thinfile.compare.cell import Cell
from thinfile.compare.selection import (
    dev_risk,
    importance_weighted_validation,
    row_log_loss,
    soft_neighbourhood_density,
)
from thinfile.compare.task import Task

MEASURES = ("iw_auc", "iw_log_loss", "iw_effective_rows", "dev_risk", "neighbourhood_density")


def label_free_evidence(
    cell: Cell, task: Task, source_weight: npt.NDArray[np.float64] | None
) -> dict[str, float | None]:
    """Importance-weighted validation, DEV and soft neighbourhood density of one cell.

    Parameters
    ----------
    cell
        With scores of held-out source rows and of unlabelled target rows.
    task
        What the cell's rows belong to.
    source_weight : ndarray of shape (n_source,)
        Density ratio of each of `task.source`, or None where there is none.

    Returns
    -------
    dict
        A value for each of :data:`MEASURES`; None where it cannot be told.
    """
    found: dict[str, float | None] = dict.fromkeys(MEASURES)
    if len(cell.unlabelled_scores) > 1:
        found["neighbourhood_density"] = soft_neighbourhood_density(cell.unlabelled_scores)
    if source_weight is None or not len(cell.source_rows):
        return found
    y = task.y[cell.source_rows]
    weight = source_weight[np.searchsorted(task.source, cell.source_rows)]
    weighted = importance_weighted_validation(y, cell.source_scores, weight)
    losses = row_log_loss(y.astype(np.float64), cell.source_scores)
    return found | {
        "iw_auc": weighted.auc,
        "iw_log_loss": weighted.log_loss,
        "iw_effective_rows": weighted.effective_rows,
        "dev_risk": dev_risk(losses, weight).risk,
    }


def mean_of(values: Sequence[float | None]) -> float | None:
    """Mean over seeds of what could be told."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
