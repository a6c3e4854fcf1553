"""Numbers as a mode and a place within it: how a GAN sees columns with several peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile import params
from thinfile.data.encode import Encoded
from thinfile.data.mixed import MixedEncoder
from thinfile.data.mixture import Mixture, fit_mixture
from thinfile.errors import DataError
from thinfile.random_state import RandomState, seed_from
from thinfile.schema.model import Schema

FloatArray = npt.NDArray[np.float64]

STATE_FORMAT = 1
"""Version of the state's format."""

_RULES = {
    "max_modes": params.integer(1, 100),
    "max_levels": params.integer(2, 1000),
    "max_categories": params.integer(1),
}


class ModeEncoder:
    """Typed columns to modes, places within modes and codes, and back again.

    Use it in front of GANs on tables. A number with many values becomes two columns: the mode of
    its distribution that it belongs to (a code), and where it lies within that mode (a number from
    −1 to 1; the tail beyond 4 deviations is kept on a logarithmic scale). A value that fills a
    twentieth of the rows is a mode of its own, so that it is made again exactly. Numbers of few
    values and booleans become codes, as categories do, and a gap is one code more. For networks
    that reconstruct rows take `MixedEncoder`.

    Parameters
    ----------
    schema : Schema
        Its feature columns are encoded, in its order.
    max_modes : int, default 10
        Most modes of a number, 1 to 100.
    max_levels : int, default 20
        A number with at most so many different training values counts as a category, 2 to 1,000.
    max_categories : int, default 255
        Largest vocabulary of a category; the most frequent values stay.

    Attributes
    ----------
    number_names_, code_names_ : list of str
        Names of the columns of `Encoded.numbers` (places) and `Encoded.codes`. Code columns are
        sorted by their number of codes.
    number_columns_, code_columns_ : list of str
        The raw column that each of them comes from.
    cardinalities_ : list of int
        Codes of each code column.
    is_mode_ : list of bool
        Which code columns hold modes; the others are columns of the table.
    notes_ : list of str
        Columns left out, and why.

    References
    ----------
    Xu, Skoularidou, Cuesta-Infante and Veeramachaneni, "Modeling tabular data using conditional
    GAN", NeurIPS 2019, section 4.2.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> values = np.concatenate([rng.normal(0, 1, 500), rng.normal(50, 1, 500)])
    >>> parsed = pl.DataFrame({"amount": values})
    >>> encoder = ModeEncoder(Schema.numeric(["amount"])).fit(parsed)
    >>> encoded = encoder.transform(parsed)
    >>> encoder.code_names_, bool(np.abs(encoded.numbers).max() <= 1)
    (['amount (mode)'], True)
    >>> bool(abs(encoder.inverse(encoded)["amount"] - parsed["amount"]).max() < 0.001)
    True
    """

    def __init__(
        self,
        schema: Schema,
        *,
        max_modes: int = 10,
        max_levels: int = 20,
        max_categories: int = 255,
    ) -> None:
        self.schema = schema
        self.max_modes = max_modes
        self.max_levels = max_levels
        self.max_categories = max_categories
        params.check_params("ModeEncoder", vars(self), _RULES)

    def fit(self, parsed: pl.DataFrame) -> Self:
        """Learn modes, levels and vocabularies from training rows.

        Parameters
        ----------
        parsed : polars.DataFrame
            A parsed frame (:meth:`Schema.parse`), shape (rows, features).

        Raises
        ------
        DataError
            If there is no row, or no column varies.
        """
        if not self.schema.features:
            reasons = "; ".join(self.schema.notes) or "the table has none"
            raise DataError(f"no column that a model can use: {reasons}")
        base = MixedEncoder(self.schema, max_categories=self.max_categories).fit(parsed)
        encoded = base.transform(parsed)
        numbers = [
            self._fit_number(encoded.numbers[~_gaps(encoded, at, gap), at])
            for at, gap in _value_columns(base)
        ]
        seen = [np.unique(column).tolist() for column in encoded.codes.T]
        self._keep(base, numbers, seen)
        return self

    def transform(self, parsed: pl.DataFrame, *, random_state: RandomState = None) -> Encoded:
        """Encode a parsed frame.

        Parameters
        ----------
        parsed : polars.DataFrame
            A parsed frame, shape (rows, features).
        random_state : int, numpy generator or None
            With one, a value's mode is drawn by the modes' probabilities, as training needs it;
            None takes the likeliest.

        Returns
        -------
        Encoded
            Numbers (rows, n_numbers) from −1 to 1, and codes (rows, n_codes).
        """
        rng = None if random_state is None else np.random.default_rng(seed_from(random_state))
        raw = self._base.transform(parsed)
        places, codes = [], []
        for (at, gap), state in zip(self._values, self._numbers, strict=True):
            column, missing = raw.numbers[:, at], _gaps(raw, at, gap)
            if isinstance(state, Mixture):
                mode = state.assign(column, rng)
                places.append(np.where(missing, 0.0, state.place(column, mode)))
                codes.append(np.where(missing, len(state), mode))
            else:
                codes.append(np.where(missing, len(state), _nearest(column, state)))
        codes += [
            _dense(column, seen) for column, seen in zip(raw.codes.T, self._seen, strict=True)
        ]
        n_rows = parsed.height
        return Encoded(
            np.ascontiguousarray(np.array(places, dtype=np.float32).reshape(-1, n_rows).T),
            np.ascontiguousarray(np.array(codes, dtype=np.int32)[self._order].T),
        )

    def inverse(self, encoded: Encoded, *, random_state: RandomState = None) -> pl.DataFrame:
        """Typed rows for modes, places and codes, be they encoded or made by a network.

        Parameters
        ----------
        encoded : Encoded
            Numbers (rows, n_numbers), clipped to −1…1; codes (rows, n_codes).
        random_state : int, numpy generator or None
            For rare values only.

        Returns
        -------
        polars.DataFrame
            All feature columns, in the schema's order and with the parsed types.

        Raises
        ------
        DataError
            If the arrays have another shape, or hold a code that its column does not have.
        """
        self._check(encoded)
        codes = np.empty_like(encoded.codes)
        codes[:, self._order] = encoded.codes
        numbers = np.zeros((len(encoded), len(self._base.number_names_)), dtype=np.float32)
        modal = 0
        for place, ((at, gap), state) in enumerate(zip(self._values, self._numbers, strict=True)):
            code = np.minimum(codes[:, place], len(state) - 1)
            if isinstance(state, Mixture):
                numbers[:, at] = state.value(encoded.numbers[:, modal], code)
                modal += 1
            else:
                numbers[:, at] = np.asarray(state, dtype=np.float32)[code]
            if gap:
                numbers[:, at + 1] = codes[:, place] == len(state)
        texts = np.empty((len(encoded), len(self._seen)), dtype=np.int32)
        for place, seen in enumerate(self._seen):
            texts[:, place] = np.asarray(seen)[codes[:, len(self._numbers) + place]]
        return self._base.inverse(Encoded(numbers, texts), random_state=random_state)

    def features(self, parsed: pl.DataFrame) -> npt.NDArray[np.float32]:
        """Typed rows as plain numbers, to measure with: scaled values, then codes.

        Returns
        -------
        numpy.ndarray of float32, shape (rows, numbers and categories)
        """
        raw = self._base.transform(parsed)
        return np.concatenate([raw.numbers, raw.codes], axis=1, dtype=np.float32)

    def code_of(self, name: str, value: Any) -> tuple[int, int] | str:
        """Code column and code of a value of a raw column; a sentence if it has none."""
        places = [k for k, n in enumerate(self.code_names_) if n == name]
        if not places:
            known = sorted(
                {n for n, m in zip(self.code_names_, self.is_mode_, strict=True) if not m}
            )
            return (
                f"column {name!r} cannot be asked for, only {', '.join(map(repr, known)) or 'none'}"
            )
        nothing = Encoded(
            np.zeros((1, len(self.number_names_)), dtype=np.float32),
            np.zeros((1, len(self.code_names_)), dtype=np.int32),
        )
        row = self.inverse(nothing, random_state=0)
        cell = pl.Series(name, [value]).cast(row[name].dtype, strict=False)
        encoded = self.transform(row.with_columns(cell))
        if self.inverse(encoded, random_state=0)[name][0] != cell[0] or (
            value is not None and cell[0] is None
        ):
            return f"column {name!r}: training held no {value!r}"
        return places[0], int(encoded.codes[0, places[0]])

    def to_state(self) -> dict[str, Any]:
        """Everything that `transform` and `inverse` need, as JSON values."""
        return {
            "format": STATE_FORMAT,
            **{name: getattr(self, name) for name in _RULES},
            "base": self._base.to_state(),
            "numbers": [s.to_state() if isinstance(s, Mixture) else s for s in self._numbers],
            "seen": self._seen,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ModeEncoder:
        """An encoder that gives bit for bit what the one gave that wrote the state.

        Raises
        ------
        DataError
            If the state is of another format, or damaged.
        """
        if state.get("format") != STATE_FORMAT:
            raise DataError(
                f"encoder state has format {state.get('format')!r}, "
                f"this version reads {STATE_FORMAT}"
            )
        try:
            base = MixedEncoder.from_state(state["base"])
            encoder = cls(base.schema, **{name: state[name] for name in _RULES})
            numbers = [
                Mixture.from_state(each) if isinstance(each, Mapping) else list(each)
                for each in state["numbers"]
            ]
            encoder._keep(base, numbers, [list(each) for each in state["seen"]])
        except (KeyError, TypeError) as error:
            raise DataError(f"encoder state is damaged: {error!r}") from error
        return encoder

    def _fit_number(self, column: npt.NDArray[np.float32]) -> Mixture | list[float]:
        levels, counts = _count(column)
        if len(levels) <= self.max_levels:
            return [float(level) for level in levels]
        return fit_mixture(levels.astype(np.float64), counts, self.max_modes)

    def _keep(
        self,
        base: MixedEncoder,
        numbers: Sequence[Mixture | list[float]],
        seen: Sequence[list[int]],
    ) -> None:
        self._base, self._numbers, self._seen = base, list(numbers), list(seen)
        self.notes_ = list(base.notes_)
        is_mode = [isinstance(each, Mixture) for each in numbers]
        self._values = _value_columns(base)
        owners = [base.number_columns_[at] for at, _ in self._values]
        self.number_columns_ = [name for name, m in zip(owners, is_mode, strict=True) if m]
        self.number_names_ = list(self.number_columns_)
        gaps = [gap for _, gap in self._values]
        sizes = [len(each) + gap for each, gap in zip(numbers, gaps, strict=True)]
        sizes += [len(each) for each in seen]
        names = [f"{n} (mode)" if m else n for n, m in zip(owners, is_mode, strict=True)]
        self._order = np.argsort(sizes, kind="stable")
        self.code_names_ = _sorted([*names, *base.code_names_], self._order)
        self.code_columns_ = _sorted([*owners, *base.code_columns_], self._order)
        self.cardinalities_ = _sorted(sizes, self._order)
        self.is_mode_ = _sorted([*is_mode, *[False] * len(seen)], self._order)

    def _check(self, encoded: Encoded) -> None:
        widths = (encoded.numbers.shape[1], encoded.codes.shape[1])
        if widths != (len(self.number_names_), len(self.code_names_)):
            raise DataError(
                f"{widths[0]} numbers and {widths[1]} codes per row must be "
                f"{len(self.number_names_)} and {len(self.code_names_)}"
            )
        faults = [
            f"column {name!r}: a code is outside 0 … {size - 1}"
            for name, size, codes in zip(
                self.code_names_, self.cardinalities_, encoded.codes.T, strict=True
            )
            if len(codes) and (codes.min() < 0 or codes.max() >= size)
        ]
        if faults:
            raise DataError("; ".join(faults))


def _sorted(values: Sequence[Any], order: npt.NDArray[np.intp]) -> list[Any]:
    return [values[k] for k in order]


def _value_columns(base: MixedEncoder) -> list[tuple[int, bool]]:
    """Where each column's values lie among the base's numbers, and whether gaps are noted."""
    owners = base.number_columns_
    firsts = [k for k in range(len(owners)) if k == 0 or owners[k] != owners[k - 1]]
    return [(k, owners[k : k + 2] == [owners[k]] * 2) for k in firsts]


def _gaps(encoded: Encoded, at: int, gap: bool) -> npt.NDArray[np.bool_]:
    """Which rows of a column are missing; minmax scaling from 0 to 1 is the base's."""
    if not gap:
        return np.zeros(len(encoded), dtype=np.bool_)
    missing: npt.NDArray[np.bool_] = encoded.numbers[:, at + 1] > 0.5
    return missing


def _count(column: npt.NDArray[np.float32]) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """Different values, rising, and their rows; sorting beats np.unique's table many times."""
    values = np.sort(column)
    first = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    return values[first], np.diff(np.append(first, len(values)))


def _nearest(values: npt.NDArray[Any], levels: Sequence[float]) -> npt.NDArray[np.intp]:
    """Code of the closest level; rows of later tables may hold values between them."""
    middles = (np.asarray(levels[1:]) + np.asarray(levels[:-1])) / 2
    return np.searchsorted(middles, values)


def _dense(codes: npt.NDArray[np.int32], seen: Sequence[int]) -> npt.NDArray[np.intp]:
    """Codes without those that training never held; a code never seen becomes the rarest kind."""
    place = np.searchsorted(seen, codes).clip(max=len(seen) - 1)
    fallback = min(len(seen) - 1, int(np.searchsorted(seen, 1)))
    return np.where(np.asarray(seen)[place] == codes, place, fallback)
