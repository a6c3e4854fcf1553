"""A LightGBM model as plain nodes: what the ONNX export and the fast scorer are built from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np

from thinfile.errors import ArtifactError

OBJECTIVE = "binary sigmoid:1"


@dataclass(frozen=True)
class Split:
    """An inner node: which rows go left.

    Attributes
    ----------
    feature : int
        Column of the matrix.
    threshold : float
        Values up to it go left; the largest float32 that is not above LightGBM's own threshold,
        which decides the same for float32 input. NaN for a split by categories.
    categories : tuple of int
        Codes that go left; empty for a split by a threshold.
    missing_left : bool
        Where NaN goes.
    left, right : Split or float
        What follows: another split, or a leaf's value.
    n_left, n_leaves : int
        Leaves on the left, and in all.
    """

    feature: int
    threshold: float
    categories: tuple[int, ...]
    missing_left: bool
    left: Split | float
    right: Split | float
    n_left: int
    n_leaves: int


def read_trees(booster: lgb.Booster) -> list[Split | float]:
    """The trees of a binary model, in order; a tree without a split is its value.

    Raises
    ------
    ArtifactError
        If the model is not a plain binary one (another objective, linear leaves, averaging).
    """
    model = booster.dump_model()
    if model.get("objective") != OBJECTIVE or model.get("average_output"):
        raise ArtifactError(
            f"a LightGBM model with objective {model.get('objective')!r} is not supported, "
            f"must be {OBJECTIVE!r} without averaging"
        )
    return [_read(tree["tree_structure"]) for tree in model["tree_info"]]


def splits_of(tree: Split | float, first_leaf: int = 0) -> Iterator[tuple[Split, int]]:
    """Every split of a tree and the number of the first leaf below it, the root first."""
    if isinstance(tree, Split):
        yield tree, first_leaf
        yield from splits_of(tree.left, first_leaf)
        yield from splits_of(tree.right, first_leaf + tree.n_left)


def leaves_of(tree: Split | float) -> list[float]:
    """The values of the leaves from left to right."""
    if isinstance(tree, Split):
        return leaves_of(tree.left) + leaves_of(tree.right)
    return [tree]


def _read(node: dict[str, Any]) -> Split | float:
    if "split_feature" not in node:
        return float(node["leaf_value"])
    left, right = _read(node["left_child"]), _read(node["right_child"])
    by_category = node["decision_type"] == "=="
    return Split(
        feature=int(node["split_feature"]),
        threshold=np.nan if by_category else _float32_below(node["threshold"]),
        categories=_categories(node["threshold"]) if by_category else (),
        missing_left=not by_category and _missing_left(node),
        left=left,
        right=right,
        n_left=len(leaves_of(left)),
        n_leaves=len(leaves_of(left)) + len(leaves_of(right)),
    )


def _categories(text: Any) -> tuple[int, ...]:
    return tuple(sorted(int(code) for code in str(text).split("||")))


def _missing_left(node: dict[str, Any]) -> bool:
    # A column without gaps in training has no side for them: LightGBM then reads NaN as 0.
    return bool(node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0.0)


def _float32_below(threshold: float) -> float:
    """The largest float32 that is not above a threshold."""
    # 1e300 is LightGBM's way to part gaps from all numbers.
    limit = float(np.finfo(np.float32).max)
    rounded = np.float32(min(max(threshold, -limit), limit))
    if float(rounded) > threshold:
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return float(rounded)
