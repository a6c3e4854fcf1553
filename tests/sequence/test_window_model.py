"""What both models of windows refuse: codes of another shape, and training that diverged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from thinfile.errors import DataError, TrainingError
from thinfile.sequence.lstm_autoencoder import LSTMAutoencoder
from thinfile.sequence.sequence_vae import SequenceVAE

SMALL: dict[str, Any] = {"latent": 2, "hidden": 4, "max_epochs": 1, "random_state": 0}
WINDOWS = np.random.default_rng(0).normal(size=(40, 12, 1))
BOTH = pytest.mark.parametrize("kind", [LSTMAutoencoder, SequenceVAE])


@BOTH
def test_codes_of_another_shape_are_refused(kind: Any) -> None:
    model = kind(**SMALL).fit(WINDOWS)
    name = kind.__name__
    for codes in (np.zeros((2, 7)), np.zeros(2), np.zeros((1, 2, 2))):
        with pytest.raises(DataError) as caught:
            model.decode(codes)
        assert str(caught.value) == f"{name}: codes have shape {codes.shape}, must have (n, 2)"
    for codes in ("a", [[1.0, 2.0], [3.0]]):
        with pytest.raises(DataError, match=r"codes are no array of numbers \(n, 2\)"):
            model.decode(codes)
    wrong = np.zeros((3, 2))
    wrong[1, 0], wrong[2, 1] = np.nan, np.inf
    message = r"2 of 3 codes hold NaN or infinity \(shape \(3, 2\)\), must be finite .* \(n, 2\)"
    with pytest.raises(DataError, match=message):
        model.decode(wrong)
    assert model.decode(np.zeros((3, 2))).shape == (3, 12, 1)


@BOTH
@pytest.mark.parametrize("n", [9, 40, 200])
def test_training_that_diverged_at_its_last_step_is_not_fitted(kind: Any, n: int) -> None:
    windows = np.random.default_rng(0).normal(size=(n, 12, 1))
    model = kind(**SMALL, learning_rate=1e30, validation_fraction=0.3, batch_tokens=10_000)
    words = r"is -?(nan|inf) after step 1.*learning rate 1e\+30.*weights of step 0 are put back"
    with pytest.raises(TrainingError, match=words):
        model.fit(windows)
