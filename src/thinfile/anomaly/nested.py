"""A model of raw tables inside another model: it reads what the outer one has encoded."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import polars as pl

from thinfile.data.encode import Encoded
from thinfile.schema.column import Column
from thinfile.schema.model import Schema
from thinfile.table_model import State, TableModel

PATHS = {
    "autoencoder": "thinfile.generative.autoencoder:Autoencoder",
    "vae": "thinfile.generative.vae:VAE",
}


def build_nested(
    name: str, schema: Schema, random_state: int | None, settings: Mapping[str, Any]
) -> Any:
    """An unfitted model of `PATHS`; it is imported only when it is asked for."""
    module, cls = PATHS[name].split(":")
    model: TableModel = getattr(import_module(module), cls)(
        schema=schema, random_state=random_state, **settings
    )
    return model


def encoded_schema(n_numbers: int, n_codes: int) -> Schema:
    """The schema of `encoded_table`."""
    numbers = [Column(f"number {i}", "number") for i in range(n_numbers)]
    return Schema((*numbers, *(Column(f"code {i}", "category") for i in range(n_codes))))


def encoded_table(encoded: Encoded) -> pl.DataFrame:
    """Encoded rows as a raw table: gaps are null, codes are text."""
    numbers = {
        f"number {i}": pl.Series(column.astype(np.float64)).fill_nan(None)
        for i, column in enumerate(encoded.numbers.T)
    }
    codes = {
        f"code {i}": pl.Series(column).cast(pl.String) for i, column in enumerate(encoded.codes.T)
    }
    return pl.DataFrame(numbers | codes)


def nested_state(model: TableModel, prefix: str) -> State:
    """A fitted model's state under names that begin with `prefix`."""
    state = model.get_state()
    return State(
        values={prefix: state.values},
        arrays={f"{prefix}.{name}": value for name, value in state.arrays.items()},
        files={f"{prefix}.{name}": value for name, value in state.files.items()},
    )


def load_nested(model: Any, state: State, prefix: str) -> Any:
    """Give an unfitted model back what `nested_state` took."""
    start = len(prefix) + 1
    return model.set_state(
        State(
            values=dict(state.values[prefix]),
            arrays={k[start:]: v for k, v in state.arrays.items() if k.startswith(f"{prefix}.")},
            files={k[start:]: v for k, v in state.files.items() if k.startswith(f"{prefix}.")},
        )
    )
