"""A fitted estimator as one ONNX model: raw typed columns in, calibrated probability out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from thinfile.artifact.onnx_encoding import Encoding, add_encoding
from thinfile.artifact.onnx_graph import Graph
from thinfile.artifact.onnx_trees import add_forest, add_trees
from thinfile.baselines.refit import SCORE_SCALE
from thinfile.errors import ArtifactError
from thinfile.estimator import Estimator, State

OUTPUT = "probability"

SMALLEST = 1e-12
"""How far calibration keeps probabilities from 0 and 1."""

REFIT_LOG_ODDS = float(np.log((1 - 1e-6) / 1e-6))
"""How far the refitted score lets the source's log-odds go."""


@dataclass(frozen=True)
class OnnxModel:
    """An exported model.

    Attributes
    ----------
    content : bytes
        The ONNX file.
    inputs : dict
        Column name to "double", "string" or "int64", each of shape (rows, 1).
    output : str
        Name of the probability of the event, double, shape (rows,).
    """

    content: bytes
    inputs: dict[str, str]
    output: str


@dataclass(frozen=True)
class _Parts:
    """What a family's export is made from."""

    graph: Graph
    encoding: Encoding
    model: Any
    state: State

    def matrix(self, *, is_target: bool = False, numbers: list[str] | None = None) -> str:
        """Numbers and codes as float32, shape (rows, columns), as `tree_matrix`."""
        columns = self.encoding.numbers if numbers is None else numbers
        columns = columns + [self.graph.cast(code, "float") for code in self.encoding.codes]
        if is_target:
            columns.append(self._ones(columns[0]))
        return self.graph.concat(columns)

    def _ones(self, column: str) -> str:
        shape = self.graph.add("Shape", column)
        one = self.graph.constant(1.0, np.float32)
        return self.graph.add("Expand", one, shape)


def export_onnx(model: Estimator, state: State | None = None) -> OnnxModel:
    """Turn a fitted estimator into ONNX, with encoding and calibration inside.

    Use it to serve a model without Python. Inputs are the columns as `Schema.parse` types them;
    text such as ``$1,000.00`` has to be parsed before. Columns that the encoder left out are no
    inputs.

    Parameters
    ----------
    model
        A fitted estimator of thinfile.
    state
        What its `get_state` gives, if it is at hand.

    Returns
    -------
    OnnxModel

    Raises
    ------
    ArtifactError
        If the estimator's class cannot be exported.
    MissingPackageError
        If the package onnx is not installed.

    Examples
    --------
    >>> from thinfile.baselines.logistic import LogisticClassifier
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> export_onnx(LogisticClassifier().fit(X, (X[:, 0] > 0) * 1)).inputs
    {'x0': 'double', 'x1': 'double'}
    """
    add_core = _family(model)
    state = model.get_state() if state is None else state
    encoder = state.values["encoder"]
    graph = Graph(column["name"] for column in encoder["columns"])
    encoding = add_encoding(graph, encoder)
    probability = add_core(_Parts(graph, encoding, model, state))
    slope, intercept = state.values["calibration"]
    calibrated = _calibrate(graph, probability, slope, intercept)
    flat = graph.add("Reshape", calibrated, graph.constant([-1], np.int64))
    output = OUTPUT
    while output in encoding.inputs:
        output += "_"
    return OnnxModel(graph.to_bytes(flat, output), encoding.inputs, output)


def _family(model: Estimator) -> Callable[[_Parts], str]:
    # By name along the bases: asking by class would import torch for a tree model.
    for cls in type(model).__mro__:
        if cls.__module__.startswith("thinfile.") and cls.__name__ in FAMILIES:
            return FAMILIES[cls.__name__]
        if cls.__name__ in WITHOUT_EXPORT:
            break
    raise ArtifactError(f"{type(model).__name__} has no ONNX export")


def _calibrate(graph: Graph, probability: str, slope: float, intercept: float) -> str:
    ends = [graph.constant(end, np.float64) for end in (SMALLEST, 1 - SMALLEST)]
    inside = graph.add("Clip", probability, *ends)
    rest = graph.add("Sub", graph.constant(1.0, np.float64), inside)
    log_odds = graph.add("Sub", graph.add("Log", inside), graph.add("Log", rest))
    return _sigmoid_of_line(graph, log_odds, slope, intercept)


def _sigmoid_of_line(graph: Graph, values: str, slope: float, intercept: float) -> str:
    scaled = graph.add("Mul", values, graph.constant(slope, np.float64))
    shifted = graph.add("Add", scaled, graph.constant(intercept, np.float64))
    return graph.add("Sigmoid", shifted)


def _boosted(parts: _Parts) -> str:
    numbers = parts.encoding.numbers
    if parts.model.align == "scale":
        numbers = _scaled(parts)
    x = parts.matrix(is_target=parts.state.values["has_domain"], numbers=numbers)
    return parts.graph.add("Sigmoid", add_trees(parts.graph, x, [parts.model.booster_]))


def _scaled(parts: _Parts) -> list[str]:
    graph, arrays = parts.graph, parts.state.arrays
    scaled = []
    for place, column in enumerate(parts.encoding.numbers):
        location = graph.constant(arrays["location"][place], np.float32)
        scale = graph.constant(arrays["scale"][place], np.float32)
        scaled.append(graph.add("Div", graph.add("Sub", column, location), scale))
    return scaled


def _tradaboost(parts: _Parts) -> str:
    log_odds = add_trees(parts.graph, parts.matrix(), parts.model.boosters_)
    said = parts.graph.add("Sigmoid", log_odds)  # (rows, boosters)
    votes = parts.graph.constant(np.reshape(parts.model.votes_, (-1, 1)), np.float64)
    return parts.graph.add("MatMul", said, votes)


def _forest(parts: _Parts) -> str:
    return add_forest(parts.graph, parts.matrix(), parts.state.files["forest.onnx"])


def _logistic(parts: _Parts) -> str:
    score = _linear(parts, parts.model.coef_)
    return _sigmoid_of_line(parts.graph, score, 1.0, parts.model.intercept_)


def _refit(parts: _Parts) -> str:
    graph = parts.graph
    ends = [graph.constant(end, np.float64) for end in (-REFIT_LOG_ODDS, REFIT_LOG_ODDS)]
    trees = add_trees(graph, parts.matrix(), [parts.model.booster_])
    log_odds = graph.add("Clip", trees, *ends)
    weight = graph.constant(SCORE_SCALE * parts.model.coef_[0], np.float64)
    score = graph.add("Mul", log_odds, weight)
    score = graph.add("Add", score, _linear(parts, parts.model.coef_[1:]))
    return _sigmoid_of_line(graph, score, 1.0, parts.model.intercept_)


def _linear(parts: _Parts, coef: Any) -> str:
    """Numbers and one-hot codes times `coef`, double, shape (rows, 1)."""
    graph, encoding = parts.graph, parts.encoding
    terms = []
    n_numbers = len(encoding.numbers)
    if n_numbers:
        numbers = graph.cast(graph.concat(encoding.numbers), "double")
        weights = graph.constant(np.reshape(coef[:n_numbers], (-1, 1)), np.float64)
        terms.append(graph.add("MatMul", numbers, weights))
    offset = n_numbers
    for code, cardinality in zip(encoding.codes, parts.model.encoder_.cardinalities_, strict=True):
        weights = graph.constant(coef[offset : offset + cardinality], np.float64)
        terms.append(graph.add("Gather", weights, code))
        offset += cardinality
    return terms[0] if len(terms) == 1 else graph.add("Sum", *terms)


def _network(parts: _Parts) -> str:
    # Here and not above: a tree model is saved without importing torch.
    from thinfile.artifact.onnx_network import add_network

    logit = add_network(parts.graph, parts.encoding, parts.model.network_)
    return parts.graph.add("Sigmoid", parts.graph.cast(logit, "double"))


WITHOUT_EXPORT = ("FieldClassifier", "HistoryEstimator")
"""Networks whose inputs are not encoded columns: ids of any size, lists of events."""

FAMILIES: dict[str, Callable[[_Parts], str]] = {
    "NetworkClassifier": _network,
    "BoostedTreesClassifier": _boosted,
    "TrAdaBoostClassifier": _tradaboost,
    "RandomForestOnSourceClassifier": _forest,
    "LogisticClassifier": _logistic,
    "ScoreRefitClassifier": _refit,
}
