"""What a pair of populations must keep before they are compared: shapes, values, row weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thinfile.errors import DataError, ParameterError

Layers = Tensor | Sequence[Tensor]


def layer_pairs(source: Layers, target: Layers) -> list[tuple[Tensor, Tensor]]:
    """Pair the layers of both populations and refuse what cannot be compared.

    Raises
    ------
    ParameterError
        Something other than floating tensors, or unequal numbers of layers.
    DataError
        A layer without rows, without columns, or with unequal columns or rows.
    """
    sources, targets = _as_list("source", source), _as_list("target", target)
    if len(sources) != len(targets):
        raise ParameterError(f"source has {len(sources)} layers and target {len(targets)}")
    faults = [
        f for i, pair in enumerate(zip(sources, targets, strict=True)) for f in _shape(i, *pair)
    ]
    faults += _row_counts("source", sources) + _row_counts("target", targets)
    if faults:
        raise DataError("; ".join(faults))
    return list(zip(sources, targets, strict=True))


def as_tensor(name: str, table: Any) -> Tensor:
    """A floating tensor from a tensor or an array.  # (rows, columns)"""
    if isinstance(table, Tensor):
        rows = table.detach()
        return rows if rows.is_floating_point() else rows.to(torch.float64)
    try:
        array = np.array(table)
        kept = array.dtype if array.dtype.kind == "f" and array.itemsize <= 8 else np.float64
        return torch.from_numpy(array.astype(kept))
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} of type {type(table).__name__} must be numbers") from error


def working(rows: Tensor) -> Tensor:
    """Half-precision layers (mixed precision) are compared in float32."""
    return rows if rows.dtype == torch.float64 else rows.float()


def refuse_not_finite(pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Raise DataError for the first layer that holds NaN or infinity, or overflows its dtype."""
    for i, pair in enumerate(pairs):
        for name, rows in zip(("source", "target"), pair, strict=True):
            bad = ~torch.isfinite(rows).all(dim=1)
            if bool(bad.any()):
                first = int(bad.int().argmax())
                raise DataError(
                    f"{name}, layer {i}: {int(bad.sum())} of {len(rows)} rows hold values that"
                    f" are not finite (first: row {first})"
                )
    raise DataError("source and target: values are too large for their mean to be finite")


def row_weights(name: str, weight: Any, rows: Tensor) -> Tensor:
    """Weights in float64 that sum to 1, equal where none are given.  # (rows,)

    Raises
    ------
    DataError
        Not one finite, non-negative number per row, or all of them zero.
    """
    n_rows = len(rows)
    if weight is None:
        return rows.new_full((n_rows,), 1.0 / n_rows, dtype=torch.float64)
    given = torch.as_tensor(weight).detach().to(device=rows.device, dtype=torch.float64)
    if given.shape != (n_rows,):
        raise DataError(f"{name} of shape {tuple(given.shape)} must have shape ({n_rows},)")
    bad = ~(given >= 0) | torch.isinf(given)
    if bool(bad.any()):
        first = int(bad.int().argmax())
        raise DataError(
            f"{name}: {int(bad.sum())} of {n_rows} values are negative or not finite"
            f" (first: row {first}, {float(given[first])})"
        )
    largest = given.max()
    if float(largest) == 0.0:
        raise DataError(f"{name}: all {n_rows} values are zero; one must be positive")
    scaled = given / largest
    return scaled / scaled.sum()


def _as_list(name: str, layers: Layers) -> list[Tensor]:
    listed = [layers] if isinstance(layers, Tensor) else list(layers)
    wrong = [type(rows).__name__ for rows in listed if not isinstance(rows, Tensor)]
    wrong += [str(r.dtype) for r in listed if isinstance(r, Tensor) and not r.is_floating_point()]
    if wrong or not listed:
        raise ParameterError(
            f"{name} holds {', '.join(wrong) or 'no layer'};"
            " it must be a floating tensor or a list of them"
        )
    return listed


def _shape(i: int, source: Tensor, target: Tensor) -> list[str]:
    faults = [
        f"{name}, layer {i}: shape {tuple(rows.shape)} must be (rows ≥ 1, columns ≥ 1)"
        for name, rows in (("source", source), ("target", target))
        if rows.ndim != 2 or 0 in rows.shape
    ]
    if not faults and source.shape[1] != target.shape[1]:
        faults.append(
            f"layer {i}: source has {source.shape[1]} columns and target {target.shape[1]}"
        )
    if (source.dtype, source.device) != (target.dtype, target.device):
        faults.append(
            f"layer {i}: source is {source.dtype} on {source.device}"
            f" and target {target.dtype} on {target.device}"
        )
    return faults


def _row_counts(name: str, layers: Sequence[Tensor]) -> list[str]:
    counts = [rows.shape[0] for rows in layers if rows.ndim == 2]
    return [f"{name}: layers of {counts} rows must have equal rows"] if len(set(counts)) > 1 else []
