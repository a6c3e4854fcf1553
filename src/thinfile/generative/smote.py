"""SMOTE for mixed tables: new rows between a row and one of its nearest neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.spatial import cKDTree
from sklearn.utils.validation import check_is_fitted

from thinfile import params
from thinfile.data.encode import Encoded
from thinfile.data.mixed import MixedEncoder
from thinfile.data.row_hash import Hashes, row_hashes
from thinfile.errors import DataError
from thinfile.generative.new_rows import draw_new
from thinfile.params import Rule, check_params
from thinfile.random_state import RandomState, seed_from
from thinfile.table_model import State, TableData, TableModel

MIN_ROWS = 2

Rows = npt.NDArray[np.intp]


class SMOTE(TableModel):
    """New rows of a rare class, on the lines between its rows and their nearest neighbours.

    Use it as the plain way to enlarge a rare class, beside which a generative model must show
    its worth. Do not use it for rows that lie in several far islands with fewer than
    `n_neighbours` rows each: the lines between islands are empty land. The fitted model holds
    the rows themselves, unlike a network.

    Parameters
    ----------
    n_neighbours : int ≥ 1
        Neighbours that a row may be joined with; fewer where there are fewer rows.
    scaling : {"standard", "quantile", "minmax"}
        Of numbers, for distances and for the lines. With standard and minmax a line is one in
        the raw numbers too.
    schema, random_state
        As in every model of thinfile.

    Attributes
    ----------
    rows_ : Encoded
        The encoded rows of the class.
    row_hashes_ : ndarray of uint64
        What it knows all rows given to `fit` by; it gives none of them out.

    Notes
    -----
    Categories and flags become what most of the neighbours have. In the distance a category that
    differs counts as much as the median of the numbers' standard deviations (SMOTE-NC).

    References
    ----------
    Chawla, Bowyer, Hall, Kegelmeyer: SMOTE: synthetic minority over-sampling technique, JAIR
    2002; section 6.1 for mixed columns.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(20, 3))
    >>> SMOTE().fit(X).sample(4, random_state=0).shape
    (4, 3)
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "n_neighbours": params.integer(1),
        "scaling": params.one_of("standard", "quantile", "minmax"),
    }

    def __init__(
        self,
        *,
        n_neighbours: int = 5,
        scaling: str = "standard",
        schema: Any = None,
        random_state: Any = None,
    ) -> None:
        self.n_neighbours = n_neighbours
        self.scaling = scaling
        self.schema = schema
        self.random_state = random_state

    def sample(self, n: int, *, random_state: RandomState = None) -> pl.DataFrame:
        """New rows of the class, each of its rows joined as often as any other.

        Raises
        ------
        ParameterError
            If `n` is no whole number from 1 on.
        DataError
            If there are too few different values for rows that are new.
        """
        check_is_fitted(self, "rows_")
        return self._sample(self.rows_, n, self.row_hashes_, random_state)

    def sample_like(self, X: Any, n: int, *, random_state: RandomState = None) -> pl.DataFrame:
        """New rows between rows of `X` and their nearest neighbours among the fitted rows."""
        check_is_fitted(self, "rows_")
        parsed = self._parse(X)
        forbidden = np.union1d(self.row_hashes_, row_hashes(parsed))
        return self._sample(self.encoder_.transform(parsed), n, forbidden, random_state)

    def _sample(
        self, bases: Encoded, n: int, forbidden: Hashes, random_state: RandomState
    ) -> pl.DataFrame:
        check_params("SMOTE.sample", {"n": n}, {"n": params.integer(1)})
        rng = np.random.default_rng(
            seed_from(self.random_state if random_state is None else random_state)
        )
        near = self._neighbours(bases)

        def draw(n_rows: int) -> pl.DataFrame:
            chosen = rng.permutation(np.resize(rng.permutation(len(bases)), n_rows))
            made = self._between(bases.take(chosen), near[chosen], rng)
            table: pl.DataFrame = self.encoder_.inverse(made, random_state=rng)
            return table

        return draw_new(draw, n, forbidden, owner="SMOTE")

    def _neighbours(self, bases: Encoded) -> Rows:
        """Places of the nearest fitted rows of each row, itself left out: (rows, neighbours)."""
        k = min(self.n_neighbours, len(self.rows_) - 1)
        distance, near = cKDTree(self._space(self.rows_)).query(self._space(bases), k=k + 1)
        # A row that is among the fitted ones is at distance 0 from itself, and comes first.
        own = distance[:, :1] > 0
        chosen: Rows = np.where(own, near[:, :k], near[:, 1:]).astype(np.intp)
        return chosen

    def _space(self, encoded: Encoded) -> npt.NDArray[np.float64]:
        """Columns whose Euclidean distance is that of SMOTE-NC."""
        flags = np.array(self.encoder_.binary_, dtype=bool)
        parts = [encoded.numbers[:, ~flags].astype(np.float64)]
        step = self._category_step() / np.sqrt(2)  # two one-hot columns differ in a mismatch
        parts.append(encoded.numbers[:, flags].astype(np.float64) * np.sqrt(2) * step)
        for place, size in enumerate(self.encoder_.cardinalities_):
            parts.append((encoded.codes[:, [place]] == np.arange(size)) * step)
        return np.concatenate(parts, axis=1)

    def _category_step(self) -> float:
        smooth = self.rows_.numbers[:, ~np.array(self.encoder_.binary_, dtype=bool)]
        return float(np.median(smooth.std(axis=0))) if smooth.shape[1] else 1.0

    def _between(self, bases: Encoded, near: Rows, rng: np.random.Generator) -> Encoded:
        rows = np.arange(len(bases))
        partner = near[rows, rng.integers(near.shape[1], size=len(rows))]
        share = rng.random((len(rows), 1), dtype=np.float32)
        numbers = bases.numbers + share * (self.rows_.numbers[partner] - bases.numbers)
        for place in np.flatnonzero(self.encoder_.binary_):
            numbers[:, place] = np.median(self.rows_.numbers[near, place], axis=1).round()
        codes = [
            _commonest(self.rows_.codes[near, place], size)
            for place, size in enumerate(self.encoder_.cardinalities_)
        ]
        made = np.stack(codes, axis=1) if codes else bases.codes
        return Encoded(numbers, made.astype(np.int32))

    def _make_encoder(self) -> MixedEncoder:
        return MixedEncoder(self.schema_, scaling=self.scaling, min_count=1)

    def _load_encoder(self, state: State) -> MixedEncoder:
        return MixedEncoder.from_state(state.values["encoder"])

    def _fit(self, data: TableData) -> None:
        rare = np.ones(len(data.encoded), dtype=bool) if data.y is None else data.y == 1
        if rare.sum() < MIN_ROWS:
            raise DataError(
                f"SMOTE: {rare.sum()} rows of the class to enlarge, at least {MIN_ROWS} are "
                "needed: a new row lies between two (n_samples)"
            )
        self.rows_ = data.encoded.take(rare)
        self.row_hashes_ = np.unique(row_hashes(data.parsed))
        self.notes_ += self.encoder_.notes_

    def _state(self) -> State:
        return State(
            arrays={
                "numbers": self.rows_.numbers,
                "codes": self.rows_.codes,
                "row_hashes": self.row_hashes_,
            }
        )

    def _load(self, state: State) -> None:
        self.rows_ = Encoded(state.arrays["numbers"], state.arrays["codes"])
        self.row_hashes_ = state.arrays["row_hashes"].astype(np.uint64)


def _commonest(codes: npt.NDArray[np.int32], size: int) -> npt.NDArray[np.int64]:
    """The code that most of the neighbours have, the nearest one's in a tie: (rows,)."""
    votes = (codes[:, :, None] == np.arange(size)).sum(axis=1).astype(np.float64)
    votes[np.arange(len(codes)), codes[:, 0]] += 0.5
    winner: npt.NDArray[np.int64] = votes.argmax(axis=1)
    return winner
