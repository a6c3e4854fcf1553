"""A `TableNetwork` as ONNX nodes, layer by layer; an exporter would take seconds for the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from thinfile.artifact.onnx_encoding import Encoding
from thinfile.artifact.onnx_graph import Graph
from thinfile.errors import ArtifactError
from thinfile.network import TableNetwork
from thinfile.nn.embeddings import TableInput


def add_network(graph: Graph, encoding: Encoding, network: TableNetwork) -> str:
    """Add a trained network; returns the name of its logit, float32, shape (rows, 1).

    Raises
    ------
    ArtifactError
        If it has a layer that is not known here.
    """
    x = _inputs(graph, encoding, network.inputs)
    for layer in network.body.hidden:
        x = _layer(graph, x, layer)
    return _layer(graph, x, network.head)


def _inputs(graph: Graph, encoding: Encoding, inputs: TableInput) -> str:
    parts = list(encoding.numbers)
    cardinalities = inputs.limits.tolist()
    for place in inputs.small_columns.tolist():
        rows = np.eye(cardinalities[place], dtype=np.float32)
        parts.append(_look_up(graph, rows, encoding.codes[place]))
    for place, offset in zip(
        inputs.large_columns.tolist(), inputs.large_offsets.tolist(), strict=True
    ):
        rows = _array(inputs.table.weight)[offset : offset + cardinalities[place]]  # type: ignore[union-attr]
        parts.append(_look_up(graph, rows, encoding.codes[place]))
    return graph.concat(parts)


def _look_up(graph: Graph, rows: Any, codes: str) -> str:
    """Rows of a table by code, shape (rows, width)."""
    found = graph.add("Gather", graph.constant(rows, np.float32), codes)  # (rows, 1, width)
    return graph.add("Reshape", found, graph.constant([-1, rows.shape[1]], np.int64))


def _layer(graph: Graph, x: str, layer: nn.Module) -> str:
    for kind, add in _LAYERS.items():
        if isinstance(layer, kind):
            return add(graph, x, layer)
    raise ArtifactError(f"a layer {type(layer).__name__} has no ONNX export")


def _sequence(graph: Graph, x: str, layers: Any) -> str:
    for layer in layers:
        x = _layer(graph, x, layer)
    return x


def _linear(graph: Graph, x: str, layer: Any) -> str:
    weight = graph.constant(_array(layer.weight), np.float32)
    bias = graph.constant(_array(layer.bias), np.float32)
    return graph.add("Gemm", x, weight, bias, transB=1)


def _batch_norm(graph: Graph, x: str, layer: Any) -> str:
    parts = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    constants = [graph.constant(_array(part), np.float32) for part in parts]
    return graph.add("BatchNormalization", x, *constants, epsilon=layer.eps)


def _layer_norm(graph: Graph, x: str, layer: Any) -> str:
    constants = [graph.constant(_array(part), np.float32) for part in (layer.weight, layer.bias)]
    return graph.add("LayerNormalization", x, *constants, axis=-1, epsilon=layer.eps)


def _silu(graph: Graph, x: str, _: Any) -> str:
    return graph.add("Mul", x, graph.add("Sigmoid", x))


def _gelu(graph: Graph, x: str, _: Any) -> str:
    scaled = graph.add("Mul", x, graph.constant(1 / math.sqrt(2), np.float32))
    above = graph.add("Add", graph.add("Erf", scaled), graph.constant(1.0, np.float32))
    half = graph.add("Mul", x, graph.constant(0.5, np.float32))
    return graph.add("Mul", half, above)


def _plain(op: str) -> Callable[[Graph, str, Any], str]:
    return lambda graph, x, _: graph.add(op, x)


def _array(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy()


_LAYERS: dict[type[nn.Module], Callable[[Graph, str, Any], str]] = {
    nn.Sequential: _sequence,
    nn.Linear: _linear,
    nn.BatchNorm1d: _batch_norm,
    nn.LayerNorm: _layer_norm,
    nn.ReLU: _plain("Relu"),
    nn.Sigmoid: _plain("Sigmoid"),
    nn.Tanh: _plain("Tanh"),
    nn.LeakyReLU: lambda graph, x, layer: graph.add("LeakyRelu", x, alpha=layer.negative_slope),
    nn.SiLU: _silu,
    nn.GELU: _gelu,
    nn.Dropout: lambda graph, x, _: x,
}
