"""Models of the rows that a run leaves beside its best: to map, to generate, to explain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from thinfile.artifact.folder import save
from thinfile.fraud.options import FraudOptions
from thinfile.fraud.task import FraudTask
from thinfile.methods import MODELS
from thinfile.training.progress import Progress

KEPT: dict[str, dict[str, Any]] = {"autoencoder": {}, "vae": {"condition": "label"}}
"""Models of the registry that are fitted and saved under their own names, and their arguments."""
MAX_OTHERS = 30_000
"""Training rows without a fraud that they are fitted to."""


def save_models(task: FraudTask, folder: Path, options: FraudOptions, progress: Progress) -> None:
    """Fit each model to training rows with all their labels, and save it below `folder`.

    All frauds and at most `MAX_OTHERS` other rows are used. A model that is there already stays
    as it is.
    """
    rng = np.random.default_rng(options.random_state)
    others = rng.permutation(task.train[task.y[task.train] != 1])[:MAX_OTHERS]
    rows = np.sort(np.concatenate([task.of_class(1), others]))
    names = [name for name in KEPT if name in MODELS and not (folder / name).exists()]
    progress.start(len(names), "models of the rows")
    try:
        for name in names:
            cls = MODELS[name].estimator_class()
            model = cls(schema=task.schema, random_state=options.random_state, **KEPT[name])
            model.fit(task.features[rows], task.y[rows])
            save(model, folder / name)
            progress.advance(1)
    finally:
        progress.finish()
