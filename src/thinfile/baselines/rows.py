"""Which labelled rows a baseline trains on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from thinfile import params
from thinfile.errors import DataError
from thinfile.estimator import TrainingData
from thinfile.params import Rule

ROWS: Rule = params.one_of("source", "target", "pooled")
TARGET_WEIGHT: Rule = params.either(params.one_of("auto"), params.real(0))
TREE_RULES: dict[str, Rule] = {
    "n_trees": params.integer(1),
    "n_leaves": params.integer(2),
    "learning_rate": params.real(0, bounds="()"),
    "min_leaf_rows": params.integer(1),
}


def training_rows(owner: str, data: TrainingData, rows: str) -> npt.NDArray[np.intp]:
    """Positions of the labelled rows to train on.

    Where there is one population only, "source" and "target" are that one.

    Raises
    ------
    DataError
        If there are none, or all are of one class.
    """
    labelled = np.flatnonzero(data.is_labelled)
    parts = {"source": data.source, "target": data.target_labelled, "pooled": labelled}
    is_one = not len(data.target) or not len(data.source)
    chosen = labelled if is_one and not (rows == "target" and len(data.target)) else parts[rows]
    n_events = int(data.y[chosen].sum())
    if not 0 < n_events < len(chosen):
        raise DataError(
            f"{owner}: rows={rows!r} has {n_events} events in {len(chosen)} labelled rows; "
            "labelled rows of two classes are needed"
        )
    return chosen
