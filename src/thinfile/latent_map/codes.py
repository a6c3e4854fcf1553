"""What of a model is mapped: its codes where it has any, else what it reads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.artifact.values import to_json
from thinfile.data.encode import Encoded
from thinfile.errors import DataError
from thinfile.latent_map.neighbours import OriginalSpace
from thinfile.schema.parse import Parsed

FloatMatrix = npt.NDArray[np.float32]

BLOCK_ROWS = 20_000
"""Rows that a model codes at a time."""


@dataclass(frozen=True)
class Coded:
    """Rows as a model sees them.

    Attributes
    ----------
    codes : ndarray of float32, shape (rows, dimensions)
        What is laid out.
    encoded : Encoded
        What the model reads: numbers and category codes.
    parsed : polars.DataFrame
        The typed columns.
    score : ndarray of float32, shape (rows,), or None
        Probability of the event, or of a detector how abnormal the row is.
    """

    codes: FloatMatrix
    encoded: Encoded
    parsed: pl.DataFrame
    score: npt.NDArray[np.float32] | None


def what_is_mapped(model: Any) -> str:
    """A phrase for the page: codes of an encoder, or the columns that a model reads."""
    name = type(model).__name__
    if hasattr(model, "transform"):
        return f"the codes of {name}"
    return f"the columns as {name} reads them, as it has no codes of its own"


def score_name(model: Any) -> str | None:
    """What the score of a row is called; None for a model that gives none."""
    if hasattr(model, "predict_proba"):
        return "(probability)" if len(model.classes_) == 2 else None
    return "(abnormality)" if hasattr(model, "score_samples") else None


def code_rows(model: Any, table: pl.DataFrame, *, space: OriginalSpace | None = None) -> Coded:
    """Run rows through a model.

    Parameters
    ----------
    model
        Fitted. With `transform(X)` its codes are mapped; without, the columns that it reads are,
        scaled as :class:`OriginalSpace` says.
    table
        Raw rows.
    space
        Of the map that the rows will be placed on; without it that of these rows.

    Raises
    ------
    DataError
        If the table lacks columns or has no rows, or the model gives codes of another shape.
    """
    if not table.height:
        raise DataError("the table has no rows: there is nothing to map")
    if not hasattr(model, "_encode") or not hasattr(model, "schema_"):
        raise DataError(f"{type(model).__name__} does not read tables: its codes cannot be mapped")
    encoded, parsed = model._encode(table), parsed_rows(model, table)
    if hasattr(model, "transform"):
        codes = np.concatenate([_codes(model, part) for part in table.iter_slices(BLOCK_ROWS)])
    else:
        codes = (space or OriginalSpace.of(encoded, cardinalities(model))).points(encoded)
    score = _score(model, table)
    return Coded(codes, encoded, parsed, score)


def model_sum(model: Any) -> str | None:
    """SHA-256 of what a model has fitted; None for one that does not tell."""
    if not hasattr(model, "get_state"):
        return None
    state = model.get_state()
    digest = hashlib.sha256(to_json({"encoder": state.values.get("encoder")}).encode())
    for name, array in sorted(state.arrays.items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    for name, content in sorted(state.files.items()):
        digest.update(name.encode() + content)
    return digest.hexdigest()


def cardinalities(model: Any) -> list[int]:
    """Number of codes of each category that a model reads."""
    return list(getattr(model.encoder_, "cardinalities_", ()))


def parsed_rows(model: Any, table: pl.DataFrame) -> pl.DataFrame:
    """The typed feature columns of raw rows."""
    parsed: Parsed = model.schema_.parse(table)
    return parsed.frame


def _codes(model: Any, part: pl.DataFrame) -> FloatMatrix:
    codes = np.asarray(model.transform(part), dtype=np.float32)
    if codes.ndim != 2 or len(codes) != part.height:
        raise DataError(
            f"{type(model).__name__}.transform gave the shape {codes.shape} for {part.height} "
            "rows: one code for each row is needed"
        )
    return codes


def _score(model: Any, table: pl.DataFrame) -> npt.NDArray[np.float32] | None:
    if score_name(model) is None:
        return None
    parts = []
    for part in table.iter_slices(BLOCK_ROWS):
        if hasattr(model, "predict_proba"):
            parts.append(np.asarray(model.predict_proba(part))[:, 1])
        else:
            parts.append(-np.asarray(model.score_samples(part)))
    return np.concatenate(parts).astype(np.float32)
