"""The best sort by one column: what an analyst would do in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from thinfile.baselines.rows import training_rows
from thinfile.data.encode import Encoded, TableEncoder
from thinfile.estimator import Estimator, FloatArray, State, TrainingData
from thinfile.random_state import seed_from

MAX_GRID = 512
"""Values of the column whose place among the training rows is remembered."""
MAX_BINS = 50
MIN_BIN_ROWS = 20
TIE_BREAK = 0.01
"""Share of the probability that rises with the rank where the event rates do not."""
SMOOTHING_ROWS = 10.0
"""Rows at the base rate that each category's own rate is mixed with."""

Labels = npt.NDArray[np.int8]


@dataclass(frozen=True)
class _Sort:
    """One way of ordering rows by one column."""

    name: str
    place: int  # column of Encoded.numbers, or of Encoded.codes
    direction: int  # 1: high values first, -1: low values first
    missing: str  # "first" or "last" in the order
    rates: tuple[float, ...] | None  # of each code, for a category

    def score(self, encoded: Encoded) -> FloatArray:
        """Higher means earlier in the order; NaN where the cell is empty."""
        if self.rates is not None:
            return np.asarray(self.rates)[encoded.codes[:, self.place]]
        return self.direction * encoded.numbers[:, self.place].astype(np.float64)


class BestColumnClassifier(Estimator):
    """Sort by the one column that ranks the labelled rows best.

    Use it beside every model: a model that is no better than "bought most recently first" is not
    worth its upkeep, and this says which column that is. A single column that is nearly perfect
    mostly gives a leak away. Do not use it where several columns must be weighed.

    Numbers are tried both ways round with empty cells first and last, by AUC on the labelled
    rows; categories are sorted by their event rate, judged on the half of the rows that did not
    give the rate. The probability is the event rate along the order (isotonic), with ties in the
    rate broken by the order itself.

    Parameters
    ----------
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile; `random_state` draws the halves for categories.

    Attributes
    ----------
    column_ : str
        Name of the column.
    direction_ : int
        1 where high values come first, −1 where low values do (1 for categories).
    missing_ : {"first", "last"}
        Where empty cells stand in the order.
    auc_ : float
        AUC of the order on the labelled rows, chosen as the best of many and so too high.

    References
    ----------
    Wübben, Wangenheim: Instant customer base analysis: managerial heuristics often "get it
    right", Journal of Marketing 72(3), 2008.

    Examples
    --------
    >>> import polars as pl
    >>> X = pl.DataFrame({"days_since_last": [3.5, 90.0, 7.0, None], "units": [1.5, 1.0, 1.0, 2.0]})
    >>> model = BestColumnClassifier().fit(X, [1, 0, 1, 0])
    >>> model.column_, model.direction_, model.missing_
    ('days_since_last', -1, 'last')
    """

    def __init__(
        self,
        *,
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        random_state: Any = None,
    ) -> None:
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        """One column is rarely enough, and it says so."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags

    def _make_encoder(self) -> TableEncoder:
        return TableEncoder(self.schema_, scaling="none")

    def _fit(self, data: TrainingData) -> None:
        rows = training_rows(type(self).__name__, data, "pooled")
        train, y = data.encoded.take(rows), data.y[rows]
        ways = [*self._number_sorts(train, y), *self._category_sorts(train, y)]
        auc, sort = max(ways, key=lambda way: way[0])
        self._keep(sort, auc)
        self._order = _fit_order(sort.score(train), sort.missing)
        self._curve = _fit_curve(self._order.rank(sort.score(train)), y)
        self.notes_.append(self._words(len(ways)))

    def _number_sorts(self, train: Encoded, y: Labels) -> Iterator[tuple[float, _Sort]]:
        for place, name in enumerate(self.encoder_.number_names_):
            auc, direction, missing = best_order(train.numbers[:, place], y)
            yield auc, _Sort(name, place, direction, missing, None)

    def _category_sorts(self, train: Encoded, y: Labels) -> Iterator[tuple[float, _Sort]]:
        half = np.random.default_rng(seed_from(self.random_state)).permutation(len(y)) % 2 == 0
        sizes = self.encoder_.cardinalities_
        for place, name in enumerate(self.encoder_.code_names_):
            codes = train.codes[:, place]
            known = _rates(codes, y, sizes[place])
            crossed = np.where(
                half,
                _rates(codes[~half], y[~half], sizes[place])[codes],
                _rates(codes[half], y[half], sizes[place])[codes],
            )
            yield _auc(crossed, y), _Sort(name, place, 1, "last", tuple(known.tolist()))

    def _words(self, n_ways: int) -> str:
        order = "high values first" if self.direction_ > 0 else "low values first"
        if self._sort.rates is not None:
            order = "categories by their event rate"
        else:
            order += f", empty cells {self.missing_}"
        return (
            f"sorted by {self.column_!r}, {order}: best of {n_ways} columns, "
            f"AUC {self.auc_:.3f} on the labelled rows"
        )

    def _probability(self, encoded: Encoded) -> FloatArray:
        return self._curve.at(self._order.rank(self._sort.score(encoded)))

    def _keep(self, sort: _Sort, auc: float) -> None:
        self._sort = sort
        self.column_, self.direction_, self.missing_ = sort.name, sort.direction, sort.missing
        self.auc_ = float(auc)

    def _state(self) -> State:
        values = {"sort": asdict(self._sort), "auc": self.auc_, "missing": self._order.missing}
        values |= {"rate": self._curve.rate}
        arrays = {
            "values": self._order.values,
            "ranks": self._order.ranks,
            "points": self._curve.points,
            "rates": self._curve.rates,
        }
        return State(values=values, arrays=arrays)

    def _load(self, state: State) -> None:
        sort = dict(state.values["sort"])
        sort["rates"] = None if sort["rates"] is None else tuple(sort["rates"])
        self._keep(_Sort(**sort), state.values["auc"])
        part = state.arrays
        self._order = _Order(part["values"], part["ranks"], float(state.values["missing"]))
        self._curve = _Curve(part["points"], part["rates"], float(state.values["rate"]))


def best_order(values: npt.NDArray[Any], y: Labels) -> tuple[float, int, str]:
    """AUC, direction and place of the empty cells of the best order by one column.

    Parameters
    ----------
    values : (n,)
        NaN where empty.
    y : (n,)
        1 and 0, both there.

    Returns
    -------
    tuple of float, int, str
        ``(auc, 1 or -1, "first" or "last")``; empty cells come last where it makes no difference.
    """
    present = ~np.isnan(values)
    events, others = float(y.sum()), float(len(y) - y.sum())
    n_events = float(y[present].sum())
    n_others = float(present.sum()) - n_events
    lost_events, lost_others = events - n_events, others - n_others
    rising = n_events * n_others * _auc(values[present], y[present])
    within = max(rising, n_events * n_others - rising)
    last, first = n_events * lost_others, lost_events * n_others
    auc = (within + max(last, first) + 0.5 * lost_events * lost_others) / (events * others)
    return auc, 1 if within == rising else -1, "last" if last >= first else "first"


@dataclass(frozen=True)
class _Order:
    """Where a score stands among the training rows: 0 first of the losers, 1 first of all."""

    values: FloatArray  # rising
    ranks: FloatArray  # rising, of the same length
    missing: float

    def rank(self, score: FloatArray) -> FloatArray:
        rank = np.interp(score, self.values, self.ranks)
        # Beyond what was seen the order goes on, ever more slowly.
        span = max(float(self.values[-1] - self.values[0]), 1e-12)
        above = np.maximum(score - self.values[-1], 0.0) / span
        below = np.maximum(self.values[0] - score, 0.0) / span
        rank = rank + 0.001 * (above / (1 + above) - below / (1 + below))
        return np.where(np.isnan(score), self.missing, rank)


@dataclass(frozen=True)
class _Curve:
    """Event rate along the order."""

    points: FloatArray  # rising ranks
    rates: FloatArray  # not falling
    rate: float

    def at(self, rank: FloatArray) -> FloatArray:
        tie = self.rate + min(self.rate, 1 - self.rate) * (np.clip(rank, -0.01, 1.01) - 0.5) / 1.1
        chances = (1 - TIE_BREAK) * np.interp(rank, self.points, self.rates) + TIE_BREAK * tie
        return np.asarray(chances, dtype=np.float64)


def _fit_order(score: FloatArray, missing: str) -> _Order:
    empty = np.isnan(score)
    share = float(empty.mean())
    if share == 1.0:
        return _Order(np.zeros(1), np.full(1, 0.5), 0.5)
    values, counts = np.unique(score[~empty], return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / len(score)  # middle of each tie
    if missing == "last":
        ranks = ranks + share
    if len(values) > MAX_GRID:
        kept = np.unique(np.linspace(0, len(values) - 1, MAX_GRID).round().astype(int))
        values, ranks = values[kept], ranks[kept]
    at = share / 2 if missing == "last" else 1 - share / 2
    return _Order(values, ranks, at if share else 0.5)


def _fit_curve(rank: FloatArray, y: Labels) -> _Curve:
    rate = float(y.mean())
    n_bins = int(np.clip(len(y) // MIN_BIN_ROWS, 1, MAX_BINS))
    # Equal ranks stay in one bin.
    edges = np.unique(np.quantile(rank, np.linspace(0, 1, n_bins + 1)[1:-1]))
    bins = np.searchsorted(edges, rank, side="left")
    size = np.bincount(bins, minlength=len(edges) + 1).astype(np.float64)
    used = size > 0
    events = np.bincount(bins, weights=y, minlength=len(size))[used]
    points = np.bincount(bins, weights=rank, minlength=len(size))[used] / size[used]
    rates = (events + rate) / (size[used] + 1)
    return _Curve(points, isotonic_regression(rates, weights=size[used]).x, rate)


def _rates(codes: npt.NDArray[np.int32], y: Labels, size: int) -> FloatArray:
    """Event rate of each code, drawn to the base rate where rows are few."""
    rate = float(y.mean()) if len(y) else 0.5
    events = np.bincount(codes, weights=y, minlength=size)
    rows = np.bincount(codes, minlength=size)
    return np.asarray((events + SMOOTHING_ROWS * rate) / (rows + SMOOTHING_ROWS))


def _auc(score: npt.NDArray[Any], y: Labels) -> float:
    """AUC by counting: sorting two arrays of numbers is many times faster than ranking one."""
    events, others = np.sort(score[y == 1]), np.sort(score[y == 0])
    if not len(events) or not len(others):
        return 0.5
    below = np.searchsorted(others, events, "left") + np.searchsorted(others, events, "right")
    return float(below.sum() / (2.0 * len(events) * len(others)))
