"""Python values as strict JSON and back: schemas, tuples, numpy numbers, NaN and infinity."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from thinfile.errors import ArtifactError
from thinfile.schema.model import Schema

FLOAT, SCHEMA = "__float__", "__schema__"
"""Keys that mark what JSON has no word for."""


def to_json(values: Mapping[str, Any]) -> str:
    """Text of a JSON object, keys in order; NaN and infinity are marked.

    Raises
    ------
    ArtifactError
        If a value is of a kind that JSON cannot hold; the message names where it is.
    """
    plain = to_plain(values)
    return json.dumps(plain, ensure_ascii=False, indent=1, allow_nan=False)


def from_json(text: str) -> Any:
    """The values that :func:`to_json` wrote.

    Raises
    ------
    ArtifactError
        If the text is not JSON.
    """
    try:
        return json.loads(text, object_hook=_revive, parse_constant=_refuse)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"is no JSON: {error}") from error


def to_plain(value: Any, where: str = "") -> Any:
    """Values that JSON can hold; see :func:`to_json`."""
    if isinstance(value, Schema):
        return {SCHEMA: to_plain(value.to_dict(), where)}
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return {FLOAT: str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): to_plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item, f"{where}[{place}]") for place, item in enumerate(value)]
    raise ArtifactError(f"{where.lstrip('.')} is a {type(value).__name__}: it cannot be written")


def _revive(record: dict[str, Any]) -> Any:
    if set(record) == {FLOAT} and record[FLOAT] in ("nan", "inf", "-inf"):
        return float(record[FLOAT])
    if set(record) == {SCHEMA}:
        return Schema.from_dict(record[SCHEMA])
    return record


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON value")
