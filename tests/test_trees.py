from __future__ import annotations

import numpy as np
import pytest

from thinfile.data.encode import Encoded
from thinfile.errors import ArtifactError
from thinfile.metrics.ranking import roc_auc
from thinfile.trees import (
    TreeSettings,
    fit_trees,
    predict_trees,
    tree_matrix,
    trees_from_text,
    trees_to_text,
)

SMALL = TreeSettings(n_trees=10)


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.column_stack([rng.normal(size=400), rng.integers(0, 6, 400)]).astype(np.float32)


@pytest.fixture(scope="module")
def y(x: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).normal(size=len(x))
    return ((x[:, 0] + 2.0 * np.isin(x[:, 1], [1, 4]) + noise) > 1).astype(int)


def test_the_matrix_is_numbers_then_codes_then_the_rest() -> None:
    encoded = Encoded(np.ones((2, 2), np.float32), np.full((2, 1), 5, np.int32))
    matrix = tree_matrix(encoded, np.array([True, False]), np.full((2, 2), 7.0))
    assert matrix.dtype == np.float32
    assert matrix.tolist() == [[1, 1, 5, 1, 7, 7], [1, 1, 5, 0, 7, 7]]


def test_settings_reach_the_trees(x: np.ndarray, y: np.ndarray) -> None:
    booster = fit_trees(x, y, categories=range(1, 2), seed=0, settings=TreeSettings(7, 3))
    assert booster.num_trees() == 7
    assert max(tree["num_leaves"] for tree in booster.dump_model()["tree_info"]) == 3
    decisions = str(booster.dump_model())
    assert "'decision_type': '=='" in decisions  # the second column is taken as codes


def test_trees_learn_and_repeat(x: np.ndarray, y: np.ndarray) -> None:
    first, second = (
        predict_trees(fit_trees(x, y, categories=range(1, 2), seed=3, settings=SMALL), x)
        for _ in range(2)
    )
    assert np.array_equal(first, second)
    assert roc_auc(y, first) > 0.8


def test_only_ratios_of_weights_matter(x: np.ndarray, y: np.ndarray) -> None:
    weight = np.where(x[:, 0] > 0, 4.0, 1.0)
    scores = [
        predict_trees(fit_trees(x, y, categories=range(0), seed=0, weight=w, settings=SMALL), x)
        for w in (weight, weight * 1024, None)
    ]
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_a_weight_of_nothing_is_as_good_as_no_row(x: np.ndarray, y: np.ndarray) -> None:
    """The rows that count for nothing have the labels turned round."""
    keep = np.arange(len(y)) < 300
    turned = np.where(keep, y, 1 - y)
    with_weight = fit_trees(
        x, turned, categories=range(0), seed=0, weight=keep.astype(float), settings=SMALL
    )
    assert np.corrcoef(predict_trees(with_weight, x[~keep]), y[~keep])[0, 1] > 0.2


def test_text_gives_the_same_trees(x: np.ndarray, y: np.ndarray) -> None:
    booster = fit_trees(x, y, categories=range(1, 2), seed=0, settings=SMALL)
    text = trees_to_text(booster)
    assert np.array_equal(predict_trees(trees_from_text(text), x), predict_trees(booster, x))
    assert trees_to_text(trees_from_text(text)) == text


@pytest.mark.parametrize("text", [b"", b"tree\nnonsense", b"\xff\xfe"])
def test_other_text_is_refused(text: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"trees\.txt is no LightGBM model"):
        trees_from_text(text)
