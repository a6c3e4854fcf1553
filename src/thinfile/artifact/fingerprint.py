"""What a table was, in a few values: enough to tell later whether it is the same one."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import numpy.typing as npt

from thinfile.frame import as_frame


def fingerprint(table: Any, y: npt.ArrayLike | None = None) -> dict[str, Any]:
    """Describe a table so that a model can name the data it was fitted on.

    Use it on the training table before saving. It is no proof against a forger and it keeps no
    values; two tables with the same rows in another order differ.

    Parameters
    ----------
    table
        Any table of n rows.
    y : array-like of shape (n,), optional
        Labels; -1 counts as "no label".

    Returns
    -------
    dict
        ``rows``, ``columns`` (name to type), ``sha256`` of all cells and, with `y`, ``labelled``
        and ``events`` (rows with the label that sorts last).

    Examples
    --------
    >>> fingerprint({"age": [31.0, 54.0]})["columns"]
    {'age': 'Float64'}
    """
    frame = as_frame(table)
    text = io.BytesIO()
    # CSV is the one form of a table that does not change with a library's version.
    frame.rechunk().write_csv(text)
    record: dict[str, Any] = {
        "rows": frame.height,
        "columns": {name: str(dtype) for name, dtype in frame.schema.items()},
        "sha256": hashlib.sha256(text.getbuffer()).hexdigest(),
    }
    return record if y is None else record | _labels(np.asarray(y))


def _labels(y: npt.NDArray[Any]) -> dict[str, int]:
    labels = [value for value in y.tolist() if value is not None and value == value]
    present = [value for value in labels if isinstance(value, str) or value != -1]
    event = max(present, default=None)
    return {"labelled": len(present), "events": sum(value == event for value in present)}
