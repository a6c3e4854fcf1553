"""A thin hand on onnx.helper: operations by name, results named for us."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from thinfile._version import __version__
from thinfile.errors import MissingPackageError

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
"""Versions that onnxruntime 1.14 (2023) and later can read."""

ML_DOMAIN = "ai.onnx.ml"


class Graph:
    """A graph under construction; every method returns the name of what it added.

    Parameters
    ----------
    columns
        Names that inputs will have; those of other things in the graph are chosen apart from them.

    Raises
    ------
    MissingPackageError
        If the package onnx is not installed.
    """

    def __init__(self, columns: Iterable[str] = ()) -> None:
        try:
            import onnx
        except ImportError as error:
            raise MissingPackageError("onnx", "onnx", "exporting a model to ONNX") from error
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._inputs: dict[str, Any] = {}
        self._constants: dict[str, Any] = {}
        self._n_names = 0
        # More blanks in front than any column has keep our names apart from all of theirs.
        self._blanks = " " * (1 + max((len(c) - len(c.lstrip(" ")) for c in columns), default=0))

    def input(self, name: str, dtype: str) -> str:
        """Add an input of shape (rows, 1); `dtype` is "double", "int64" or "string"."""
        kind = getattr(self._onnx.TensorProto, dtype.upper())
        self._inputs[name] = self._onnx.helper.make_tensor_value_info(name, kind, ["rows", 1])
        return name

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Add an array that is part of the model."""
        name = self._new_name()
        array = np.asarray(value, dtype=dtype)
        self._constants[name] = self._onnx.numpy_helper.from_array(array, name)
        return name

    def add(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operation with one result."""
        name = self._new_name()
        node = self._onnx.helper.make_node(op, list(inputs), [name], domain=domain, **attributes)
        self._nodes.append(node)
        return name

    def cast(self, value: str, dtype: str) -> str:
        """Convert to "float", "double" or "int64"."""
        return self.add("Cast", value, to=getattr(self._onnx.TensorProto, dtype.upper()))

    def concat(self, values: list[str]) -> str:
        """Columns side by side, shape (rows, columns)."""
        return values[0] if len(values) == 1 else self.add("Concat", *values, axis=1)

    def inline(self, model: Any, inputs: Mapping[str, str], output: str) -> str:
        """Add the nodes of another model, fed by names of ours; returns its result `output`."""
        renamed = dict(inputs)

        def own(name: str) -> str:
            return renamed.setdefault(name, self._new_name()) if name else ""

        for tensor in model.graph.initializer:
            copied = self._onnx.TensorProto()
            copied.CopyFrom(tensor)
            copied.name = own(tensor.name)
            self._constants[copied.name] = copied
        for node in model.graph.node:
            copied = self._onnx.NodeProto()
            copied.CopyFrom(node)
            copied.name = ""
            copied.input[:] = [own(name) for name in node.input]
            copied.output[:] = [own(name) for name in node.output]
            self._nodes.append(copied)
        return own(output)

    def to_bytes(self, result: str, output: str) -> bytes:
        """The finished model: its one output is `result` under the name `output`, shape (rows,)."""
        onnx = self._onnx
        self._nodes.append(onnx.helper.make_node("Identity", [result], [output]))
        graph = onnx.helper.make_graph(
            self._nodes,
            "thinfile",
            list(self._inputs.values()),
            [onnx.helper.make_tensor_value_info(output, onnx.TensorProto.DOUBLE, ["rows"])],
            list(self._constants.values()),
        )
        opsets = [
            onnx.helper.make_opsetid("", OPSET),
            onnx.helper.make_opsetid(ML_DOMAIN, ML_OPSET),
        ]
        model = onnx.helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name="thinfile",
            producer_version=__version__,
        )
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    def _new_name(self) -> str:
        self._n_names += 1
        return f"{self._blanks}{self._n_names}"
