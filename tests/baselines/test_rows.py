from __future__ import annotations

import numpy as np
import pytest

from thinfile.baselines.rows import training_rows
from thinfile.data.encode import Encoded
from thinfile.errors import DataError
from thinfile.estimator import TrainingData


def data(y: list[int], is_target: list[int]) -> TrainingData:
    empty = Encoded(np.zeros((len(y), 1), np.float32), np.zeros((len(y), 0), np.int32))
    return TrainingData(empty, np.array(y, np.int8), np.array(is_target, bool))


BOTH = data([1, 0, -1, 1, 0, -1], [0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize(
    ("rows", "expected"), [("source", [0, 1]), ("target", [3, 4]), ("pooled", [0, 1, 3, 4])]
)
def test_rows_are_the_labelled_ones_of_their_population(rows: str, expected: list[int]) -> None:
    assert training_rows("Model", BOTH, rows).tolist() == expected


@pytest.mark.parametrize("rows", ["source", "target", "pooled"])
@pytest.mark.parametrize("is_target", [0, 1])
def test_one_population_is_whichever_is_asked_for(rows: str, is_target: int) -> None:
    one = data([1, 0, -1], [is_target] * 3)
    assert training_rows("Model", one, rows).tolist() == [0, 1]


def test_no_labels_of_the_target_are_said_to_be_none() -> None:
    unlabelled = data([1, 0, -1, -1], [0, 0, 1, 1])
    with pytest.raises(DataError, match="Model: rows='target' has 0 events in 0 labelled rows"):
        training_rows("Model", unlabelled, "target")


def test_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="rows='target' has 2 events in 2 labelled rows"):
        training_rows("Model", data([1, 0, 1, 1], [0, 0, 1, 1]), "target")
