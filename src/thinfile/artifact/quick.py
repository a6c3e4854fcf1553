"""A fitted estimator made ready to score many rows."""

from __future__ import annotations

import copy
from typing import Any

from thinfile.artifact.tree_tables import TreeTables
from thinfile.estimator import Estimator


def quick(model: Estimator) -> Estimator:
    """A copy of a fitted estimator whose boosted trees are scored by tables.

    Its probabilities are those of the original. Estimators without boosted trees come back as
    they are.
    """
    if not hasattr(model, "booster_") and not hasattr(model, "boosters_"):
        return model
    ready: Any = copy.copy(model)
    if hasattr(model, "booster_"):
        ready.booster_ = TreeTables.from_booster(model.booster_) or model.booster_
    if hasattr(model, "boosters_"):
        ready.boosters_ = [TreeTables.from_booster(each) or each for each in model.boosters_]
    fitted: Estimator = ready
    return fitted
