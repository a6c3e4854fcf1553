"""Flat features of a customer at a cut: counts, recency and amounts per category and window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile import params
from thinfile.data.aggregate_query import DAY, UNITS, Marks, Sums, sum_histories
from thinfile.data.buys import Buys
from thinfile.data.event_columns import near_names
from thinfile.data.related import purchases, related_categories
from thinfile.errors import DataError, ParameterError
from thinfile.params import Rule, check_params

if TYPE_CHECKING:
    from thinfile.data.events import EventLog
    from thinfile.data.snapshots import Snapshots

STATE_FORMAT = 1
WEEK = 7 * DAY

_RULES: dict[str, Rule] = {
    "buys": params.instance(Buys),
    "windows": params.sequence_of(params.integer(1, 36_500)),
    "related": params.optional(params.sequence_of(params.instance(str))),
    "max_categories": params.integer(0, 10_000),
}

_ACTIVITY = (
    "any_days_since_last",
    "any_days_since_first",
    "any_n_categories",
    "any_returns",
    "any_repeat_purchases",
    "any_recency_weeks",
    "any_age_weeks",
)

Floats = NDArray[np.float64]


class Aggregates:
    """Numbers that say what a customer did before a cut, one row per snapshot.

    Use it for every method that takes a flat table, boosted trees above all: in published event
    tables they beat supervised sequence networks on such columns. It is not for methods that read
    the events themselves (:class:`thinfile.data.histories.Histories`).

    Only rows ``start:stop`` of a snapshot are read, so nothing at or after a cut can change a
    number; which categories get columns is fixed by `fit` from events before the last training
    cut. Runs in DuckDB in blocks, in memory that does not grow with the log.

    Parameters
    ----------
    buys : Buys
        The purchase to be predicted: the "own" category.
    windows : sequence of int, default (7, 30, 90, 365)
        Days before the cut in which events are counted beside the whole history, 1 to 36,500.
    related : sequence of str, optional
        Categories that go with the own one; mined by lift where None; () for none.
    max_categories : int, default 20
        The most frequent categories that get columns of their own, 0 to 10,000.

    Attributes
    ----------
    names_ : list of str
        Columns, in order.
    groups_ : dict of str to list of str
        Columns by what they tell, for reasons in words.
    categories_, related_ : tuple of str
        Categories with columns of their own, and related ones.
    fitted_until_ : datetime
        Nothing at or after this instant was looked at by `fit`; UTC.
    notes_ : list of str
        What was left out.

    Notes
    -----
    Columns, each for the whole history and as ``…_30d`` for a window where so said. Days since
    what never happened are null; so are the weeks of who never bought.

    - ``own_count`` (windows), ``own_days_since_last``, ``own_days_since_first``, ``own_amount``
      (windows): purchases to be predicted, without returns.
    - ``any_count`` (windows), ``any_days_since_last``, ``any_days_since_first``,
      ``any_n_categories``: all events but returns; ``any_returns``; ``any_amount`` (windows) is
      purchases less returns.
    - ``related_count`` (windows), ``related_days_since_last``: events of related categories.
    - ``count[X]``, ``days_since[X]``: events of category X, without returns.
    - ``own_repeat_purchases``, ``own_recency_weeks``, ``own_age_weeks`` and ``any_…``: for BG/NBD,
      purchases of one UTC day counted once; a purchase counts from the start of its day.

    Amounts are rounded to a millionth and columns of money exist where the log has an amount.

    Examples
    --------
    >>> from datetime import datetime, timedelta
    >>> from thinfile.data.events import EventColumns, EventLog
    >>> from thinfile.data.synthetic_events import make_events
    >>> roles = EventColumns("customer", "time", category="category")
    >>> log = EventLog.from_table(make_events(500, 20, 4, random_state=0), roles)
    >>> snapshots = log.snapshots([datetime(2024, 6, 1)], timedelta(days=30))
    >>> features = Aggregates(Buys("category", ("category 01",)), windows=(30,))
    >>> table = features.fit(log, snapshots).transform(log, snapshots)
    >>> table.height == len(snapshots), features.names_[:3]
    (True, ['own_count', 'own_count_30d', 'own_repeat_purchases'])
    """

    def __init__(
        self,
        buys: Buys,
        *,
        windows: Sequence[int] = (7, 30, 90, 365),
        related: Sequence[str] | None = None,
        max_categories: int = 20,
    ) -> None:
        given = {"buys": buys, "windows": windows, "related": related}
        check_params("Aggregates", given | {"max_categories": max_categories}, _RULES)
        if len(set(windows)) < len(windows):
            raise ParameterError(f"Aggregates: windows={windows!r} must not name one twice")
        self.buys = buys
        self.windows = tuple(int(days) for days in windows)
        self.related = None if related is None else tuple(related)
        self.max_categories = max_categories

    def fit(self, log: EventLog, snapshots: Snapshots) -> Self:
        """Choose frequent and related categories from events before the last of the cuts.

        Parameters
        ----------
        log : EventLog
        snapshots : Snapshots
            Those of training; their last cut is where `fit` stops looking.

        Raises
        ------
        DataError
            If there is no snapshot, a column is missing or a related category never occurs.
        """
        if not len(snapshots):
            raise DataError("Aggregates: no snapshots to fit to")
        self._column = log.roles.category or self.buys.column
        _check_columns(log, self._column, None)
        self._amount = log.roles.amount is not None
        last = int(snapshots.cut.max().astype("datetime64[us]").astype(np.int64))
        self.fitted_until_ = datetime.fromtimestamp(last / 1e6, UTC).replace(tzinfo=None)
        self.notes_: list[str] = []
        self.categories_ = self._frequent(log, last)
        self.related_ = self._find_related(log)
        self._name()
        return self

    def transform(self, log: EventLog, snapshots: Snapshots) -> pl.DataFrame:
        """Describe snapshots of this or a later log.

        Returns
        -------
        polars.DataFrame, shape (len(snapshots), len(names_))
            Float32, in the order of the snapshots.

        Raises
        ------
        DataError
            If the log lacks the column of the categories or the amounts.
        MissingPackageError
            If duckdb is not installed.
        """
        _check_columns(log, self._column, "amount" if self._amount else None)
        marks = Marks(
            self.buys.mask(log, must_occur=False), purchases(log, self.buys), log.returns()
        )
        named = tuple(dict.fromkeys((*self.categories_, *self.related_)))
        table = np.full((len(snapshots), len(self.names_)), np.nan, dtype=np.float32, order="F")
        blocks = sum_histories(
            log, snapshots, marks, column=self._column, named=named, windows=self.windows
        )
        for rows, sums in blocks:
            columns = self._columns(sums, snapshots.take(rows), named)
            for place, name in enumerate(self.names_):
                table[rows, place] = columns[name]
        return pl.DataFrame(
            {name: table[:, place] for place, name in enumerate(self.names_)},
            schema=dict.fromkeys(self.names_, pl.Float32),
            nan_to_null=True,
        )

    def to_state(self) -> dict[str, Any]:
        """Everything that :meth:`transform` needs, as JSON values."""
        return {
            "format": STATE_FORMAT,
            "buys": self.buys.to_dict(),
            "windows": list(self.windows),
            "related": None if self.related is None else list(self.related),
            "max_categories": self.max_categories,
            "column": self._column,
            "amount": self._amount,
            "categories": list(self.categories_),
            "related_found": list(self.related_),
            "fitted_until": self.fitted_until_.isoformat(),
            "notes": list(self.notes_),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """One that gives bit for bit what the one gave that wrote the state.

        Raises
        ------
        DataError
            If the state is of another format or damaged.
        """
        if state.get("format") != STATE_FORMAT:
            raise DataError(
                f"aggregates: state has format {state.get('format')!r}, "
                f"this version reads {STATE_FORMAT}"
            )
        try:
            made = cls(
                Buys.from_dict(state["buys"]),
                windows=tuple(state["windows"]),
                related=state["related"],
                max_categories=state["max_categories"],
            )
            made._column, made._amount = str(state["column"]), bool(state["amount"])
            made.categories_ = tuple(map(str, state["categories"]))
            made.related_ = tuple(map(str, state["related_found"]))
            made.fitted_until_ = datetime.fromisoformat(state["fitted_until"])
            made.notes_ = list(state["notes"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"aggregates: state is damaged: {error!r}") from error
        made._name()
        return made

    # Fitting -----------------------------------------------------------------------------------

    def _frequent(self, log: EventLog, last: int) -> tuple[str, ...]:
        seen = pl.Series((log.times < last) & ~log.returns())
        found = log.table[self._column].filter(seen).cast(pl.String).drop_nulls().alias("value")
        counts = found.value_counts(name="n").sort(["n", "value"], descending=[True, False])
        # Without other actions the own category has its columns under another name.
        if self._column == self.buys.column and self.buys.action is None:
            counts = counts.filter(~pl.col("value").is_in(list(self.buys.values)))
        return tuple(counts["value"].head(self.max_categories))

    def _find_related(self, log: EventLog) -> tuple[str, ...]:
        if self.related is None:
            found = related_categories(log, self.buys, self.fitted_until_, column=self._column)
            return tuple(each.value for each in found)
        known = log.table[self._column].cast(pl.String).drop_nulls().unique()
        faults = [
            f"{name!r} never occurs{near_names(name, known.sort().to_list())}"
            for name in sorted(set(self.related) - set(known))
        ]
        if faults:
            raise DataError(f"column {self._column!r}: related category {'; '.join(faults)}")
        return self.related

    def _name(self) -> None:
        spans = ["", *(f"_{days}d" for days in self.windows)]
        amounts = spans if self._amount else []
        related = [f"related_count{s}" for s in spans]
        self.groups_ = {
            "own purchases": [*(f"own_count{s}" for s in spans), "own_repeat_purchases"],
            "recency of own category": ["own_days_since_last", "own_days_since_first"],
            "activity": [*(f"any_count{s}" for s in spans), *_ACTIVITY],
            "amounts": [f"{who}_amount{s}" for who in ("own", "any") for s in amounts],
            "related categories": [*related, "related_days_since_last"],
        }
        self.groups_["recency of own category"] += ["own_recency_weeks", "own_age_weeks"]
        for name in self.categories_:
            self.groups_[f"category {name}"] = [f"count[{name}]", f"days_since[{name}]"]
        if not amounts:
            del self.groups_["amounts"]
        self.names_ = [name for names in self.groups_.values() for name in names]

    # From sums to columns ----------------------------------------------------------------------

    def _columns(
        self, sums: Sums, part: Snapshots, named: tuple[str, ...]
    ) -> dict[str, NDArray[Any]]:
        kept = ~sums.returned
        n = len(part)
        related = np.isin(sums.code, [named.index(name) + 2 for name in self.related_])
        columns = self._group(sums, n, "own", sums.own)
        columns |= self._group(sums, n, "any", kept)
        columns |= self._group(sums, n, "related", related & kept)
        cut = part.cut.astype("datetime64[us]").astype(np.int64)
        columns |= _weeks(sums, cut, "own", sums.own, sums.own_days)
        columns |= _weeks(sums, cut, "any", sums.purchase, sums.purchase_days)
        columns["any_n_categories"] = _distinct(sums, n, kept & (sums.category >= 0))
        columns["any_returns"] = _total(sums, n, sums.returned, sums.count)
        for who, chosen in (("own", sums.own), ("any", np.ones(len(kept), dtype=bool))):
            for span, name in enumerate(["", *(f"_{days}d" for days in self.windows)]):
                money = _total(sums, n, chosen, sums.amounts[:, span]) / UNITS
                columns[f"{who}_amount{name}"] = money
        return columns | self._per_category(sums, n, kept, named)

    def _group(
        self, sums: Sums, n: int, who: str, chosen: NDArray[np.bool_]
    ) -> dict[str, NDArray[Any]]:
        columns: dict[str, NDArray[Any]] = {
            f"{who}_days_since_last": _least(sums, n, chosen) / DAY,
            f"{who}_days_since_first": _most(sums, n, chosen) / DAY,
        }
        for span, name in enumerate(["", *(f"_{days}d" for days in self.windows)]):
            columns[f"{who}_count{name}"] = _total(sums, n, chosen, sums.counts[:, span])
        return columns

    def _per_category(
        self, sums: Sums, n: int, kept: NDArray[np.bool_], named: tuple[str, ...]
    ) -> dict[str, NDArray[Any]]:
        """All categories at once: each sum has its place in a matrix."""
        size = len(named) + 2
        place = sums.snapshot[kept] * size + sums.code[kept]
        count = np.bincount(place, weights=sums.count[kept], minlength=n * size).reshape(n, size)
        latest = np.full(n * size, np.inf)
        np.minimum.at(latest, place, sums.latest[kept])
        days = np.where(np.isinf(latest), np.nan, latest).reshape(n, size) / DAY
        columns: dict[str, NDArray[Any]] = {}
        for name in self.categories_:
            code = named.index(name) + 2
            columns[f"count[{name}]"] = count[:, code]
            columns[f"days_since[{name}]"] = days[:, code]
        return columns


def _total(sums: Sums, n: int, chosen: NDArray[np.bool_], values: NDArray[Any]) -> Floats:
    total = np.bincount(sums.snapshot[chosen], weights=values[chosen], minlength=n)
    return np.asarray(total, dtype=np.float64)


def _least(sums: Sums, n: int, chosen: NDArray[np.bool_]) -> Floats:
    """Age of the last event, in microseconds; NaN where there is none."""
    found = np.full(n, np.inf)
    np.minimum.at(found, sums.snapshot[chosen], sums.latest[chosen])
    return np.where(np.isinf(found), np.nan, found)


def _most(sums: Sums, n: int, chosen: NDArray[np.bool_]) -> Floats:
    """Age of the first event, in microseconds; NaN where there is none."""
    found = np.full(n, -np.inf)
    np.maximum.at(found, sums.snapshot[chosen], sums.earliest[chosen])
    return np.where(np.isinf(found), np.nan, found)


def _distinct(sums: Sums, n: int, chosen: NDArray[np.bool_]) -> Floats:
    """Categories per snapshot; one category may come as several kinds."""
    width = int(sums.category.max(initial=0)) + 1
    pairs = np.sort(sums.snapshot[chosen] * width + sums.category[chosen])
    pairs = pairs[np.diff(pairs, prepend=-1) != 0]
    return np.bincount(pairs // width, minlength=n).astype(np.float64)


def _weeks(
    sums: Sums, cut: NDArray[np.int64], who: str, chosen: NDArray[np.bool_], days: NDArray[Any]
) -> dict[str, Floats]:
    """Repeat purchases, recency and age as BG/NBD takes them."""
    n = len(cut)
    # Ages of some decades in microseconds are exact in float64.
    first = np.floor((cut - _most(sums, n, chosen)) / DAY) * DAY
    last = np.floor((cut - _least(sums, n, chosen)) / DAY) * DAY
    return {
        f"{who}_repeat_purchases": np.where(
            np.isnan(first), np.nan, _total(sums, n, chosen, days) - 1.0
        ),
        f"{who}_recency_weeks": (last - first) / WEEK,
        f"{who}_age_weeks": (cut - first) / WEEK,
    }


def _check_columns(log: EventLog, column: str, amount: str | None) -> None:
    faults = []
    if column not in log.table.columns:
        known = ", ".join(map(repr, log.table.columns[:12]))
        faults.append(f"the log has no column {column!r} of categories; it has {known}")
    if amount is not None and log.roles.amount is None:
        faults.append("the log has no amount, but the one fitted to had")
    if faults:
        raise DataError(f"Aggregates: {'; '.join(faults)}")
