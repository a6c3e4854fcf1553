"""Which encoded columns a variational autoencoder makes, which it is told, and their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from thinfile.data.encode import Encoded
from thinfile.data.images import ImageEncoder
from thinfile.data.mixed import MixedEncoder

N_LABELS = 2
"""Condition columns of a label: one for each class; both are 0 where it is not known."""


@dataclass(frozen=True)
class VAELayout:
    """The encoded columns by what the network does with them.

    Attributes
    ----------
    smooth, flags : tuple of int
        Places of the numbers that are made: continuous ones, and those that are 0 or 1 only.
    codes : tuple of int
        Places of the category columns that are made.
    given_numbers, given_codes : tuple of int
        Places of the columns that the network is told.
    cardinalities : tuple of int
        Of all category columns, in the encoder's order.
    has_label : bool
        Whether it is told the label too.
    """

    smooth: tuple[int, ...]
    flags: tuple[int, ...]
    codes: tuple[int, ...]
    given_numbers: tuple[int, ...]
    given_codes: tuple[int, ...]
    cardinalities: tuple[int, ...]
    has_label: bool

    @classmethod
    def of(
        cls, encoder: MixedEncoder | ImageEncoder, given: Sequence[str], *, has_label: bool
    ) -> Self:
        """Lay out the columns of a fitted encoder; `given` names raw columns."""
        told = set(given)
        raw_numbers, raw_codes = raw_columns(encoder)
        own = [i for i, name in enumerate(raw_numbers) if name not in told]
        is_flag = getattr(encoder, "binary_", [False] * len(raw_numbers))
        return cls(
            smooth=tuple(i for i in own if not is_flag[i]),
            flags=tuple(i for i in own if is_flag[i]),
            codes=tuple(i for i, name in enumerate(raw_codes) if name not in told),
            given_numbers=tuple(i for i, name in enumerate(raw_numbers) if name in told),
            given_codes=tuple(i for i, name in enumerate(raw_codes) if name in told),
            cardinalities=tuple(int(c) for c in encoder.cardinalities_),
            has_label=has_label,
        )

    @property
    def n_numbers(self) -> int:
        """Numbers that are made."""
        return len(self.smooth) + len(self.flags)

    @property
    def own_cardinalities(self) -> tuple[int, ...]:
        """Of the category columns that are made."""
        return tuple(self.cardinalities[i] for i in self.codes)

    @property
    def n_inputs(self) -> int:
        """Columns that are made, each category counted by its codes."""
        return self.n_numbers + sum(self.own_cardinalities)

    @property
    def n_condition(self) -> int:
        """Width of what the network is told."""
        told = len(self.given_numbers) + sum(self.cardinalities[i] for i in self.given_codes)
        return told + N_LABELS * self.has_label

    def tensors(
        self, encoded: Encoded, labels: npt.NDArray[np.int8] | None = None
    ) -> dict[str, torch.Tensor]:
        """Numbers (smooth first), codes and condition of each row, as a named batch."""
        order = [*self.smooth, *self.flags]
        numbers, codes = encoded.numbers, encoded.codes
        if order != list(range(numbers.shape[1])):
            numbers = np.ascontiguousarray(numbers[:, order])
        batch = {"numbers": torch.from_numpy(numbers)}
        if self.codes:
            batch["codes"] = torch.from_numpy(codes[:, list(self.codes)].astype(np.int64))
        if self.n_condition:
            batch["condition"] = torch.from_numpy(self.condition(encoded, labels))
        return batch

    def condition(
        self, encoded: Encoded, labels: npt.NDArray[np.int8] | None = None
    ) -> npt.NDArray[np.float32]:
        """What the network is told of each row, shape (rows, n_condition); the label first."""
        parts = []
        if self.has_label:
            known = np.full(len(encoded), -1) if labels is None else labels
            parts.append((known[:, None] == np.arange(N_LABELS)).astype(np.float32))
        parts.append(encoded.numbers[:, list(self.given_numbers)])
        for place in self.given_codes:
            width = np.arange(self.cardinalities[place])
            parts.append((encoded.codes[:, place, None] == width).astype(np.float32))
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def encoded(self, numbers: torch.Tensor, codes: torch.Tensor, given: Encoded | None) -> Encoded:
        """Made columns and given ones in the encoder's order."""
        n_rows = len(numbers)
        n_numbers = self.n_numbers + len(self.given_numbers)
        all_numbers = np.zeros((n_rows, n_numbers), dtype=np.float32)
        all_codes = np.zeros((n_rows, len(self.cardinalities)), dtype=np.int32)
        all_numbers[:, [*self.smooth, *self.flags]] = numbers.numpy()
        all_codes[:, list(self.codes)] = codes.numpy()
        if given is not None:
            all_numbers[:, list(self.given_numbers)] = given.numbers[:, list(self.given_numbers)]
            all_codes[:, list(self.given_codes)] = given.codes[:, list(self.given_codes)]
        return Encoded(all_numbers, all_codes)

    def to_state(self) -> dict[str, Any]:
        """The places as JSON values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The layout that wrote the state."""
        places: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in state.items()
        }
        return cls(**places)


def raw_columns(encoder: MixedEncoder | ImageEncoder) -> tuple[list[str], list[str]]:
    """The raw column that each encoded number, and each category, comes from."""
    if isinstance(encoder, ImageEncoder):
        return encoder.number_names_, []
    return encoder.number_columns_, encoder.code_columns_
