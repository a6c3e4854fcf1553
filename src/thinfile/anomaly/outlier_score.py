"""Detectors under one roof: fitted on encoded rows without labels, a score per row, plain state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from thinfile.anomaly.ecod import TailScore
from thinfile.anomaly.isolation import IsolationTrees
from thinfile.anomaly.nested import (
    PATHS,
    build_nested,
    encoded_schema,
    encoded_table,
    load_nested,
    nested_state,
)
from thinfile.data.encode import Encoded, TableEncoder
from thinfile.errors import ParameterError
from thinfile.estimator import FloatArray, State

DETECTORS = ("isolation_forest", "ecod", "autoencoder", "vae")


class OutlierScore:
    """One detector of `DETECTORS`: what it was fitted on, it needs no more.

    Parameters
    ----------
    name : {"isolation_forest", "ecod", "autoencoder", "vae"}
    settings : mapping, optional
        Arguments of the detector: of `IsolationTrees`, `Autoencoder` or `VAE`.

    Examples
    --------
    >>> numbers = np.r_[np.random.default_rng(0).normal(size=(99, 2)), [[9, 9]]]
    >>> rows = Encoded(numbers.astype(np.float32), np.empty((100, 0), np.int32))
    >>> int(OutlierScore("isolation_forest").fit(rows, (), seed=0).score(rows).argmax())
    99
    """

    def __init__(self, name: str, settings: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.settings = dict(settings or {})
        self._model: Any = self._build()

    def fit(self, rows: Encoded, cardinalities: tuple[int, ...], seed: int) -> Self:
        """Fit to rows encoded with ``scaling="none"``."""
        self.cardinalities = tuple(int(c) for c in cardinalities)
        self.n_numbers = rows.numbers.shape[1]
        if self.name == "ecod":
            self._model.fit(rows, self.cardinalities)
        elif self.name == "isolation_forest":
            self.fill = _medians(rows.numbers)
            self._model.fit(self._matrix(rows), seed)
        else:
            self._model = self._build_nested(seed).fit(encoded_table(rows))
        return self

    def score(self, rows: Encoded) -> FloatArray:
        """How abnormal each row is, shape (rows,)."""
        if not len(rows):
            return np.empty(0)
        if self.name == "ecod":
            return np.asarray(self._model.score(rows))
        if self.name == "isolation_forest":
            return np.asarray(self._model.score(self._matrix(rows)))
        return np.asarray(-self._model.score_samples(encoded_table(rows)), dtype=np.float64)

    def codes(self, rows: Encoded) -> npt.NDArray[np.float32]:
        """The latent code of each row, shape (rows, latent); for autoencoder and vae."""
        return np.asarray(self._model.transform(encoded_table(rows)), dtype=np.float32)

    @property
    def history(self) -> list[dict[str, Any]]:
        """One record for each epoch of the detector; empty where there are none."""
        return list(getattr(self._model, "history_", []))

    def state(self, prefix: str) -> State:
        """All that was fitted, under names that begin with `prefix`."""
        if self.name in PATHS:
            state = nested_state(self._model, f"{prefix}.model")
        else:
            arrays = self._model.arrays
            state = State(arrays={f"{prefix}.{name}": value for name, value in arrays.items()})
        if self.name == "isolation_forest":
            state.arrays[f"{prefix}.fill"] = self.fill
        state.values[prefix] = {
            "n_numbers": self.n_numbers,
            "cardinalities": list(self.cardinalities),
        }
        return state

    def load(self, state: State, prefix: str) -> Self:
        """Become what `state` described."""
        values = state.values[prefix]
        self.n_numbers = values["n_numbers"]
        self.cardinalities = tuple(values["cardinalities"])
        start = len(prefix) + 1
        arrays = {k[start:]: v for k, v in state.arrays.items() if k.startswith(f"{prefix}.")}
        if self.name in PATHS:
            self._model = load_nested(self._build_nested(None), state, f"{prefix}.model")
            return self
        if self.name == "isolation_forest":
            self.fill = arrays.pop("fill")
        self._model.arrays = arrays
        return self

    def _build(self) -> Any:
        if self.name in PATHS:
            return None
        try:
            return {"isolation_forest": IsolationTrees, "ecod": TailScore}[self.name](
                **self.settings
            )
        except TypeError:
            raise ParameterError(
                f"settings={self.settings!r} are no arguments of detector={self.name!r}"
            ) from None

    def _build_nested(self, seed: int | None) -> Any:
        n_inputs = self.n_numbers + len(self.cardinalities)
        settings = dict(self.settings)
        if self.name == "vae" and "latent_size" not in settings:
            settings["latent_size"] = max(1, min(VAE_LATENT, n_inputs // 2))
        schema = encoded_schema(self.n_numbers, len(self.cardinalities))
        return build_nested(self.name, schema, seed, settings)

    def _matrix(self, rows: Encoded) -> npt.NDArray[np.float32]:
        """Numbers with the median in gaps, then a column per code."""
        filled = np.where(np.isnan(rows.numbers), self.fill, rows.numbers)
        one_hot = [
            (codes[:, None] == np.arange(size)).astype(np.float32)
            for codes, size in zip(rows.codes.T, self.cardinalities, strict=True)
        ]
        return np.concatenate([filled, *one_hot], axis=1, dtype=np.float32)


VAE_LATENT = 8
"""Width of the code where nothing is said; narrower on narrow tables."""


def plain_encoder(schema: Any) -> TableEncoder:
    """The encoder whose rows detectors read: numbers as they are, gaps as NaN."""
    return TableEncoder(schema, scaling="none")


def _medians(numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    known = ~np.isnan(numbers).all(axis=0)
    medians = np.zeros(numbers.shape[1], dtype=np.float32)
    if known.any():
        medians[known] = np.nanmedian(numbers[:, known], axis=0)
    return medians
