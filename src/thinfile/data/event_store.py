"""Sorted event logs on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile.data.event_columns import EventColumns


@dataclass
class StoredEvents:
    roles: EventColumns
    table: pl.DataFrame
    customers: pl.Series
    offsets: NDArray[np.int64]
    times: NDArray[np.int64]
    notes: tuple[str, ...]
    start: int
    end: int


def write_store(
    store: Path, source: str | Path, roles: EventColumns, options: dict[str, str]
) -> None:
    raise NotImplementedError


def open_store(store: Path, *, verify: bool = False) -> StoredEvents:
    raise NotImplementedError
