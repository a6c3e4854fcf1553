from __future__ import annotations

import numpy as np
import pytest
import torch

from thinfile.anomaly.rows import MIN_USUAL, DrawnBatches, FewLabels, few_labels
from thinfile.data.encode import Encoded
from thinfile.estimator import TrainingData


def data(y: list[int]) -> TrainingData:
    n = len(y)
    encoded = Encoded(np.zeros((n, 1), np.float32), np.zeros((n, 0), np.int32))
    return TrainingData(encoded, np.array(y, np.int8), np.zeros(n, bool))


def test_rows_are_told_apart_and_sampled() -> None:
    y = [1, -1, 0, -1, 1, -1, -1, 0]
    kinds = few_labels("It", data(y), 2, np.random.default_rng(0))
    assert kinds.events.tolist() == [0, 4]
    assert kinds.others.tolist() == [2, 7]
    assert len(kinds.unlabelled) == 2
    assert set(kinds.unlabelled) <= {1, 3, 5, 6}
    assert (np.array(y)[kinds.all] == kinds.labels).all()


@pytest.mark.parametrize("n_unlabelled", [0, 10])
def test_draws_give_each_kind_its_share(n_unlabelled: int) -> None:
    kinds = FewLabels(np.arange(2), np.arange(2, 7), np.arange(7, 7 + n_unlabelled))
    weight = kinds.draw_weight(0.2, 0.25)
    assert weight.sum() == pytest.approx(1.0)
    assert weight[:2].sum() == pytest.approx(0.2)
    assert weight[2:7].sum() == pytest.approx(0.2 if n_unlabelled else 0.8)


def test_detectors_learn_what_is_usual_from_rows_without_a_label() -> None:
    events, others = np.arange(3), np.arange(3, 10)
    many = FewLabels(events, others, np.arange(10, 10 + MIN_USUAL))
    np.testing.assert_array_equal(many.usual, many.unlabelled)
    few = FewLabels(events, others, np.arange(10, 12))
    np.testing.assert_array_equal(few.usual, np.arange(3, 12))
    none = np.empty(0, np.intp)
    np.testing.assert_array_equal(FewLabels(events, none, none).usual, events)


def test_batches_are_drawn_by_weight() -> None:
    rows = torch.arange(4)
    batches = DrawnBatches({"row": rows}, 500, 4, np.array([0.0, 3.0, 1.0, 0.0]))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [batch["row"] for batch in batches]
    assert [len(d) for d in drawn] == [500] * len(batches)
    count = torch.bincount(torch.cat(drawn), minlength=4)
    assert count[0] == count[3] == 0
    assert float(count[1] / count[2]) == pytest.approx(3.0, abs=0.4)
