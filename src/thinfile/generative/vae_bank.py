"""What a conditional generator was told in training, kept for rows drawn later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.categories import FIRST
from thinfile.data.encode import Encoded
from thinfile.data.images import ImageEncoder
from thinfile.data.mixed import MixedEncoder
from thinfile.errors import DataError
from thinfile.generative.vae_layout import VAELayout, raw_columns
from thinfile.table_model import State, TableData

LABEL = "label"
N_KEPT = 10_000
"""Training rows whose given columns are kept; of the other columns nothing is."""

_NUMBERS, _CODES, _LABELS = "kept.given_numbers", "kept.given_codes", "kept.given_labels"


@dataclass(frozen=True)
class ConditionBank:
    """Given columns and labels of training rows, from which conditions are drawn together."""

    layout: VAELayout
    encoder: MixedEncoder | ImageEncoder
    rows: Encoded  # columns that are not given hold 0
    labels: npt.NDArray[np.int8]

    @classmethod
    def of(
        cls,
        layout: VAELayout,
        encoder: MixedEncoder | ImageEncoder,
        data: TableData,
        rng: np.random.Generator,
    ) -> Self:
        """Keep what the network was told of training rows, at most 10,000 of them."""
        n_kept = N_KEPT if layout.n_condition else 0
        chosen = rng.permutation(len(data.encoded))[:n_kept]
        labels = np.full(len(data.encoded), -1, np.int8) if data.y is None else data.y
        return cls(layout, encoder, _only_given(layout, data.encoded.take(chosen)), labels[chosen])

    def names(self) -> list[str]:
        """The raw columns that the network is told."""
        numbers, codes = raw_columns(self.encoder)
        given = [numbers[i] for i in self.layout.given_numbers]
        given += [codes[i] for i in self.layout.given_codes]
        return list(dict.fromkeys(given))

    def draw(
        self,
        n: int,
        where: Mapping[str, Any],
        label: int | None,
        rng: np.random.Generator,
    ) -> tuple[Encoded | None, npt.NDArray[np.float32] | None]:
        """Conditions as they were in training, with the wanted values put in their place.

        Raises
        ------
        DataError
            If a wanted category was not in training.
        """
        if not self.layout.n_condition:
            return None, None
        chosen = rng.integers(len(self.labels), size=n)
        given, labels = self.rows.take(chosen), self.labels[chosen]
        if label is not None:
            labels = np.full(n, label, dtype=np.int8)
        if where:
            given = self._replaced(given, where)
        return given, self.layout.condition(given, labels)

    def _replaced(self, given: Encoded, wanted: Mapping[str, Any]) -> Encoded:
        assert isinstance(self.encoder, MixedEncoder)
        table = self.encoder.inverse(given, random_state=0)
        put = [_column(name, value, table.schema[name]) for name, value in wanted.items()]
        encoded = _only_given(self.layout, self.encoder.transform(table.with_columns(put)))
        _, names = raw_columns(self.encoder)
        for place in self.layout.given_codes:
            name = names[place]
            if wanted.get(name) is not None and encoded.codes[0, place] < FIRST:
                raise DataError(
                    f"VAE.sample: where {name!r}={wanted[name]!r} was not in training, or rare"
                )
        return encoded

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What a saved model holds of it."""
        return {_NUMBERS: self.rows.numbers, _CODES: self.rows.codes, _LABELS: self.labels}

    @classmethod
    def load(cls, layout: VAELayout, encoder: MixedEncoder | ImageEncoder, state: State) -> Self:
        """The bank whose arrays are in a state."""
        arrays = state.arrays
        return cls(layout, encoder, Encoded(arrays[_NUMBERS], arrays[_CODES]), arrays[_LABELS])


def _column(name: str, value: Any, dtype: pl.DataType) -> pl.Expr:
    try:
        return pl.lit(pl.Series([value]).cast(dtype)).first().alias(name)
    except (pl.exceptions.PolarsError, TypeError):
        raise DataError(
            f"VAE.sample: where {name!r}={value!r} must be a value of the column, {dtype}"
        ) from None


def _only_given(layout: VAELayout, encoded: Encoded) -> Encoded:
    numbers, codes = np.zeros_like(encoded.numbers), np.zeros_like(encoded.codes)
    for kept, raw, places in (
        (numbers, encoded.numbers, list(layout.given_numbers)),
        (codes, encoded.codes, list(layout.given_codes)),
    ):
        kept[:, places] = raw[:, places]
    return Encoded(numbers, codes)
