"""An export that is kept only if it says what Python says."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.artifact.onnx_export import OnnxModel, export_onnx
from thinfile.errors import ArtifactError, MissingPackageError
from thinfile.estimator import Estimator, State

TOLERANCE = 1e-5
"""Largest difference in probability between ONNX and Python."""

CHECK_ROWS = 200


def checked_onnx(
    estimator: Estimator, state: State, sample: pl.DataFrame | None
) -> tuple[dict[str, Any], bytes | None]:
    """Export a fitted estimator and, where there are rows and a runtime, hold it against Python.

    Returns
    -------
    tuple of dict and (bytes or None)
        What the manifest says of it (``file``, ``inputs``, ``output`` and, if it was checked,
        ``largest_difference``; or the ``reason`` why there is none), and the model.
    """
    try:
        exported = export_onnx(estimator, state)
    except (ArtifactError, MissingPackageError) as error:
        return {"reason": str(error)}, None
    record: dict[str, Any] = {
        "file": "model.onnx",
        "inputs": exported.inputs,
        "output": exported.output,
    }
    difference = None if sample is None else _difference(exported, estimator, sample)
    if difference is None:
        return record, exported.content
    if difference > TOLERANCE:
        return {"reason": f"the export differs from the model by {difference:.2g}"}, None
    return {**record, "largest_difference": difference}, exported.content


def onnx_inputs(frame: pl.DataFrame, inputs: dict[str, str]) -> dict[str, npt.NDArray[Any]]:
    """A parsed frame as the arrays that an exported model takes.

    Parameters
    ----------
    frame
        What :meth:`thinfile.schema.model.Schema.parse` gives, shape (rows, features).
    inputs
        Column name to type, as in :attr:`OnnxModel.inputs` and in the manifest.

    Returns
    -------
    dict
        Column name to array of shape (rows, 1).
    """
    return {name: _column(frame[name], kind).reshape(-1, 1) for name, kind in inputs.items()}


def _column(values: pl.Series, kind: str) -> npt.NDArray[Any]:
    if kind == "string":
        return np.array(values.fill_null("").to_list(), dtype=object)
    if kind == "int64":
        return values.to_numpy().astype("datetime64[us]").astype(np.int64)
    return values.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _difference(exported: OnnxModel, estimator: Estimator, sample: pl.DataFrame) -> float | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    rows = sample.head(CHECK_ROWS)
    session = onnxruntime.InferenceSession(exported.content, providers=["CPUExecutionProvider"])
    frame = estimator.schema_.parse(rows).frame
    found = session.run([exported.output], onnx_inputs(frame, exported.inputs))[0]
    return float(np.abs(found - estimator.predict_proba(rows)[:, 1]).max())
