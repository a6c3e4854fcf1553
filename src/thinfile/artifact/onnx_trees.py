"""Tree models as ONNX: LightGBM's from their nodes, a forest from its own ONNX model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightgbm as lgb

from thinfile.artifact.onnx_graph import ML_DOMAIN, Graph
from thinfile.artifact.tree_nodes import Split, read_trees


class _Ensemble:
    """Attributes of a TreeEnsembleRegressor, node by node; each booster is a result of its own."""

    def __init__(self) -> None:
        self._nodes: list[dict[str, Any]] = []
        self._leaves: list[dict[str, Any]] = []
        self._tree = -1

    def add_tree(self, tree: Split | float, target: int) -> None:
        self._tree += 1
        self._n_nodes, self._target = 0, target
        self._add(tree)

    def attributes(self) -> dict[str, list[Any]]:
        return _columns("nodes_", self._nodes) | _columns("target_", self._leaves)

    def _add(self, tree: Split | float) -> int:
        """Add a subtree; returns the number of its root."""
        if not isinstance(tree, Split):
            return self._leaf(tree)
        if tree.categories:
            return self._by_category(tree)
        node = self._node(tree.feature, tree.threshold, "BRANCH_LEQ", tree.missing_left)
        _link(node, self._add(tree.left), self._add(tree.right))
        return int(node["nodeids"])

    def _by_category(self, tree: Split) -> int:
        """A chain of questions, one for each code that goes left, all to the same left side."""
        chain = [self._node(tree.feature, float(c), "BRANCH_EQ", False) for c in tree.categories]
        left, right = self._add(tree.left), self._add(tree.right)
        following = [node["nodeids"] for node in chain[1:]] + [right]
        for node, otherwise in zip(chain, following, strict=True):
            _link(node, left, otherwise)
        return int(chain[0]["nodeids"])

    def _leaf(self, value: float) -> int:
        node = int(self._node(0, 0.0, "LEAF", False)["nodeids"])
        self._leaves.append(
            {"treeids": self._tree, "nodeids": node, "ids": self._target, "weights": value}
        )
        return node

    def _node(self, feature: int, value: float, mode: str, missing_left: bool) -> dict[str, Any]:
        node = {
            "treeids": self._tree,
            "nodeids": self._n_nodes,
            "featureids": feature,
            "values": value,
            "modes": mode,
            "truenodeids": 0,
            "falsenodeids": 0,
            "missing_value_tracks_true": int(missing_left),
        }
        self._nodes.append(node)
        self._n_nodes += 1
        return node


def _link(node: dict[str, Any], if_true: int, if_false: int) -> None:
    node["truenodeids"], node["falsenodeids"] = if_true, if_false


def _columns(prefix: str, records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {prefix + key: [record[key] for record in records] for key in records[0]}


def add_trees(graph: Graph, x: str, boosters: Sequence[lgb.Booster]) -> str:
    """Add boosted models.

    Parameters
    ----------
    x
        Float32, shape (rows, columns): numbers, codes and extra columns, as `tree_matrix`.

    Returns
    -------
    str
        Name of the log-odds, double, shape (rows, boosters).
    """
    ensemble = _Ensemble()
    for target, booster in enumerate(boosters):
        for tree in read_trees(booster):
            ensemble.add_tree(tree, target)
    score = graph.add(
        "TreeEnsembleRegressor",
        x,
        domain=ML_DOMAIN,
        n_targets=len(boosters),
        aggregate_function="SUM",
        post_transform="NONE",
        **ensemble.attributes(),
    )
    return graph.cast(score, "double")


def add_forest(graph: Graph, x: str, content: bytes) -> str:
    """Add a forest from its own ONNX model; returns the probability, double, shape (rows, 1)."""
    import onnx

    model = onnx.load_model_from_string(content)
    probability = graph.inline(model, {model.graph.input[0].name: x}, model.graph.output[1].name)
    event = graph.add("Gather", probability, graph.constant([1], "int64"), axis=1)
    return graph.cast(event, "double")
