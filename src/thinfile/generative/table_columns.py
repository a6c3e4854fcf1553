"""Code columns of a table GAN: those of the encoder, and the label among them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from thinfile.data.encode import Encoded
from thinfile.data.modes import ModeEncoder
from thinfile.errors import DataError
from thinfile.generative.table_conditions import Conditions


class TableColumns:
    """Where each code column of the networks comes from.

    The label, where there is one, is a code column that the encoder does not know; it lies where
    the columns stay sorted by their number of codes.

    Parameters
    ----------
    encoder : ModeEncoder
    labels : sequence of int
        Labels that training rows had, sorted; none without a label column.
    """

    def __init__(self, encoder: ModeEncoder, labels: Sequence[int] = ()) -> None:
        self._encoder = encoder
        self.labels = [int(label) for label in labels]
        self.label_at: int | None = None
        self.cardinalities = list(encoder.cardinalities_)
        if self.labels:
            self.label_at = bisect_left(self.cardinalities, len(self.labels))
            self.cardinalities.insert(self.label_at, len(self.labels))

    def place(self, column: int) -> int:
        """Position of an encoder's code column among those of the networks."""
        return column + int(self.label_at is not None and column >= self.label_at)

    @property
    def askable(self) -> list[int]:
        """Columns that can be asked for: all but modes."""
        free = [self.place(k) for k, m in enumerate(self._encoder.is_mode_) if not m]
        return sorted([*free, *([] if self.label_at is None else [self.label_at])])

    def with_label(self, encoded: Encoded, y: npt.NDArray[np.int8] | None) -> Encoded:
        """Put the label among the codes."""
        if self.label_at is None or y is None:
            return encoded
        codes = np.searchsorted(self.labels, y).astype(np.int32)
        return Encoded(encoded.numbers, np.insert(encoded.codes, self.label_at, codes, axis=1))

    def without_label(self, encoded: Encoded) -> Encoded:
        """What the encoder can read."""
        if self.label_at is None:
            return encoded
        return Encoded(encoded.numbers, np.delete(encoded.codes, self.label_at, axis=1))

    def conditions(self, counts: Sequence[npt.NDArray[np.int64]]) -> Conditions:
        """Conditions, given the rows of each code of the columns that can be asked for."""
        return Conditions(self.askable, counts)

    def count(self, codes: npt.NDArray[np.int32]) -> list[npt.NDArray[np.int64]]:
        """Rows of each code of the columns that can be asked for."""
        return [
            np.bincount(codes[:, k], minlength=self.cardinalities[k]).astype(np.int64)
            for k in self.askable
        ]

    def wanted(self, where: Mapping[str, Any], label: int | None, owner: str) -> dict[int, int]:
        """Code that each column must have.

        Raises
        ------
        DataError
            If a column or value cannot be asked for; all faults in one message.
        """
        faults: list[str] = []
        wanted: dict[int, int] = {}
        for name, value in where.items():
            found = self._encoder.code_of(name, value)
            if isinstance(found, str):
                faults.append(f"where: {found}")
            else:
                wanted[self.place(found[0])] = found[1]
        if label is not None and self.label_at is not None and label in self.labels:
            wanted[self.label_at] = self.labels.index(label)
        elif label is not None:
            known = ", ".join(map(str, self.labels)) or "none"
            faults.append(f"label={label!r} must be one that the fit was told of ({known})")
        if faults:
            raise DataError(f"{owner}: " + "; ".join(faults))
        return wanted
