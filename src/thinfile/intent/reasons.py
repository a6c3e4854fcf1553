"""Why a customer is in the audience: what each group of columns adds to the log-odds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile.baselines.boosted import BoostedTreesClassifier
from thinfile.data.buys import Buys
from thinfile.data.encode import TableEncoder
from thinfile.intent.reason_words import phrase
from thinfile.random_state import RandomState, seed_from

if TYPE_CHECKING:
    from thinfile.data.events import EventLog
    from thinfile.data.snapshots import Snapshots
    from thinfile.intent.model import IntentModel

Floats = NDArray[np.float64]
Probability = Callable[[pl.DataFrame], Floats]
Order = NDArray[np.int64]

EVENTS = "events."
"""What the names of list columns begin with."""

DAYS = EVENTS + "days_to_cut"

OWN_EVENTS = "own-category events in the history"
OTHER_EVENTS = "other events in the history"
HISTORY = "history"

N_REASONS, N_REFERENCES = 3, 12
SMALLEST = 0.05
"""Log-odds below this are no reason: they would be written as 0.0."""

_BATCH = 50_000
_EDGE = 1e-7  # probabilities are kept this far from 0 and 1, so that log-odds are finite


@dataclass(frozen=True)
class ColumnGroup:
    """Columns that are one reason together.

    Attributes
    ----------
    title : str
    columns : tuple of str
        For a part of a history, all list columns.
    keeps : bool or None
        For a part of a history: without it, the events of the own category stay (True), the
        other events (False), or none (None).
    is_history : bool
    """

    title: str
    columns: tuple[str, ...]
    keeps: bool | None = None
    is_history: bool = False


@dataclass(frozen=True)
class Contributions:
    """What the groups of columns add to each row's log-odds.

    Attributes
    ----------
    groups : tuple of ColumnGroup
    values : numpy.ndarray of float64, shape (n, n_groups)
    rest : numpy.ndarray of float64, shape (n,)
        Log-odds of the row less the sum of its `values`: those of an average training row for
        trees, of the average reference row for other models, and so one number for all rows.
    is_exact : bool
        Whether they are the trees' own Shapley values, or sampled ones.
    """

    groups: tuple[ColumnGroup, ...]
    values: Floats
    rest: Floats
    is_exact: bool


def audience_reasons(
    model: IntentModel,
    log: EventLog,
    known: Snapshots,
    customers: pl.Series,
    *,
    n_reasons: int = N_REASONS,
    n_references: int = N_REFERENCES,
    random_state: RandomState = 0,
) -> pl.DataFrame:
    """Say for each customer of an audience what has put them there.

    Parameters
    ----------
    model : IntentModel
    log : EventLog
    known : Snapshots
        All customers as they were scored: ``model.known(log, cut)``.
    customers : polars.Series
        Those to be explained, as in ``log.customers``.
    n_reasons : int ≥ 1, default 3
    n_references : int ≥ 1, default 12
        Customers drawn from `known` whose values stand for "the average customer".
    random_state : int, optional
        Makes the draw repeatable.

    Returns
    -------
    polars.DataFrame
        ``reason_1``, ``reason_2``, …: the largest positive contributions in words with their
        size in log-odds, such as "last bought TEA 12 days ago (+1.3)"; empty where there are no
        more.
    """
    place = pl.DataFrame({"customer": log.customers[known.customer], "row": np.arange(len(known))})
    wanted = customers.rename("customer").to_frame()
    rows = wanted.join(place, on="customer", how="left", maintain_order="left")["row"].to_numpy()
    generator = np.random.default_rng(seed_from(random_state))
    drawn = generator.choice(len(known), min(n_references, len(known)), replace=False)
    table = model.table(log, known.take(rows))
    reference = model.table(log, known.take(np.sort(drawn)))
    groups = column_groups(
        table, model.recipe.aggregates.groups_, model.recipe.buys, leave_out=_not_read(model)
    )
    buys = model.recipe.buys
    found = contributions(
        model.estimator,
        model.probability,
        table,
        reference,
        groups,
        buys,
        random_state=generator,
    )
    return in_words(found, table, buys, n_reasons)


def _not_read(model: IntentModel) -> Sequence[str]:
    """Columns that order the rows and are no feature."""
    name = getattr(model.estimator, "time_column", None)
    return () if name is None else (name,)


def column_groups(
    table: pl.DataFrame,
    named: Mapping[str, Sequence[str]],
    buys: Buys,
    *,
    leave_out: Sequence[str] = (),
) -> list[ColumnGroup]:
    """Put the columns of a model's table into groups that are one reason each.

    Parameters
    ----------
    table
        With list columns ``events.…`` for histories.
    named : mapping of str to names of columns
        Groups of aggregates; columns that `table` does not have are passed over. A column that
        no group names is one of its own.
    buys : Buys
        Its column parts a history into events of the own category and others.
    leave_out : sequence of str
        Columns that are no features.
    """
    flat = [c for c in table.columns if not c.startswith(EVENTS) and c not in leave_out]
    groups = [
        ColumnGroup(title, tuple(c for c in columns if c in flat))
        for title, columns in named.items()
    ]
    covered = {column for group in groups for column in group.columns}
    groups += [ColumnGroup(column, (column,)) for column in flat if column not in covered]
    lists = tuple(c for c in table.columns if c.startswith(EVENTS))
    if EVENTS + buys.column in lists:
        groups.append(ColumnGroup(OWN_EVENTS, lists, keeps=False, is_history=True))
        groups.append(ColumnGroup(OTHER_EVENTS, lists, keeps=True, is_history=True))
    elif lists:
        groups.append(ColumnGroup(HISTORY, lists, is_history=True))
    return [group for group in groups if group.columns]


def contributions(
    estimator: Any,
    probability: Probability,
    table: pl.DataFrame,
    reference: pl.DataFrame,
    groups: Sequence[ColumnGroup],
    buys: Buys | None = None,
    *,
    random_state: RandomState = 0,
) -> Contributions:
    """Measure what each group of columns adds to the log-odds of each row.

    Boosted trees are asked for their exact Shapley values, summed over the columns of a group.
    Any other model is walked from the row to a reference row, one group after the other in an
    order drawn by lot, and each step is credited to its group: Shapley values by sampling, one
    walk for each reference row. A part of a history is replaced by that part of the reference
    row's. Both kinds add up, and both explain the model and not the customer.

    Parameters
    ----------
    estimator
        Fitted.
    probability : callable
        From a table to the probability of the event, shape (n,).
    table : polars.DataFrame
        n rows to be explained.
    reference : polars.DataFrame
        A few rows of the population, same columns.
    groups : sequence of ColumnGroup
    buys : Buys, optional
        Needed where groups are parts of a history.
    random_state : int, optional
        Makes the orders of the walks repeatable.

    References
    ----------
    Lundberg, Erion and Lee, "Consistent individualized feature attribution for tree ensembles",
    2018. Strumbelj and Kononenko, "Explaining prediction models and individual predictions with
    feature contributions", Knowledge and Information Systems 2014.
    """
    total = log_odds(probability(table))
    is_exact = isinstance(estimator, BoostedTreesClassifier) and estimator.align != "scale"
    if is_exact:
        values = _tree_contributions(estimator, table, groups)
    else:
        walk = _Walk(probability, table, total, groups, buys)
        orders = walk_orders(len(groups), reference.height, random_state)
        rows = reference.iter_slices(1)
        values = np.zeros((table.height, len(groups)))
        for row, order in zip(rows, orders, strict=True):
            values += walk.to(row, order) / reference.height
    return Contributions(tuple(groups), values, total - values.sum(axis=1), is_exact)


def walk_orders(n_groups: int, n_walks: int, random_state: RandomState = 0) -> list[Order]:
    """Orders of groups by lot, each followed by its reverse, which takes noise out."""
    generator = np.random.default_rng(seed_from(random_state))
    orders: list[Order] = []
    while len(orders) < n_walks:
        order = generator.permutation(n_groups)
        orders += [order, order[::-1]]
    return orders[:n_walks]


def log_odds(probability: Floats) -> Floats:
    """Logarithm of the odds, finite also at 0 and 1."""
    inside = np.clip(probability, _EDGE, 1 - _EDGE)
    result: Floats = np.log(inside) - np.log1p(-inside)
    return result


def in_words(
    found: Contributions, table: pl.DataFrame, buys: Buys, n_reasons: int = N_REASONS
) -> pl.DataFrame:
    """The largest positive contributions of each row in words; see :func:`audience_reasons`."""
    n = table.height
    order = np.argsort(-found.values, axis=1, kind="stable")[:, :n_reasons]
    texts = np.full((n, n_reasons), None, dtype=object)
    for place, group in enumerate(found.groups):
        rows, rank = np.nonzero((order == place) & (found.values[:, [place]] >= SMALLEST))
        values = table.select(group.columns)[rows].to_dicts()
        for row, k, value in zip(rows, rank, values, strict=True):
            words = phrase(group.title, value, buys, history_keeps=_part(group))
            texts[row, k] = f"{words} (+{found.values[row, place]:.1f})"
    return pl.DataFrame(
        [pl.Series(f"reason_{k + 1}", texts[:, k].tolist(), pl.String) for k in range(n_reasons)]
    )


def _part(group: ColumnGroup) -> str | None:
    if not group.is_history:
        return None
    return {False: "own", True: "other", None: "all"}[group.keeps]


def _tree_contributions(
    estimator: BoostedTreesClassifier, table: pl.DataFrame, groups: Sequence[ColumnGroup]
) -> Floats:
    matrix = estimator._matrix(estimator._encode(table))
    shares = np.asarray(estimator.booster_.predict(matrix, pred_contrib=True, num_threads=1))
    shares *= estimator.calibration_.slope
    sources = encoded_sources(estimator.encoder_, table.columns)
    values = np.zeros((table.height, len(groups)))
    for place, group in enumerate(groups):
        own = [at for at, column in enumerate(sources) if column in group.columns]
        values[:, place] = shares[:, own].sum(axis=1)
    return values


def encoded_sources(encoder: TableEncoder, columns: Sequence[str]) -> list[str]:
    """The column of the table behind each encoded column: "age (missing)" comes from "age"."""
    found = []
    for name in (*encoder.number_names_, *encoder.code_names_):
        fitting = [c for c in columns if name == c or name.startswith(f"{c} (")]
        found.append(name if name in columns else max(fitting, key=len, default=name))
    return found


class _Walk:
    """From the rows of a table to one reference row, group by group."""

    def __init__(
        self,
        probability: Probability,
        table: pl.DataFrame,
        total: Floats,
        groups: Sequence[ColumnGroup],
        buys: Buys | None,
    ) -> None:
        self._probability, self._table, self._total = probability, table, total
        self._groups, self._buys = groups, buys
        self._at_once = max(1, _BATCH // max(1, table.height))

    def to(self, row: pl.DataFrame, order: Order) -> Floats:
        """What each step takes from the log-odds, shape (n, n_groups)."""
        odds = [self._total]
        for start in range(0, len(order), self._at_once):
            ends = range(start + 1, min(start + self._at_once, len(order)) + 1)
            tables = [self._without(row, order[:end]) for end in ends]
            asked = log_odds(self._probability(pl.concat(tables)))
            odds += list(asked.reshape(len(tables), self._table.height))
        steps = np.zeros((self._table.height, len(order)))
        for place, before, after in zip(order, odds, odds[1:], strict=False):
            steps[:, place] = before - after
        return steps

    def _without(self, row: pl.DataFrame, gone: Order) -> pl.DataFrame:
        """The table when these groups say what they say of the reference row."""
        groups = [self._groups[place] for place in gone]
        names = [name for group in groups if not group.is_history for name in group.columns]
        n = self._table.height
        table = self._table.with_columns(row[name].new_from_index(0, n) for name in names)
        parts = [group for group in groups if group.is_history]
        if not parts:
            return table
        lists = parts[0].columns
        if len(parts) > 1 or parts[0].keeps is None or self._buys is None:
            return table.with_columns(row[name].new_from_index(0, n) for name in lists)
        mixed = mix(table.select(lists), row.select(lists), self._buys, keep_own=parts[0].keeps)
        return table.with_columns(mixed.get_columns())


def mix(
    histories: pl.DataFrame, reference: pl.DataFrame, buys: Buys, *, keep_own: bool
) -> pl.DataFrame:
    """Histories with one part their own and the other part of a reference row, oldest first.

    Parameters
    ----------
    histories, reference
        List columns only; `reference` has one row.
    buys
        Names the events of the own category.
    keep_own
        Whether the histories keep these, or the other events.
    """
    lists = histories.columns
    is_own = pl.col(EVENTS + buys.column).cast(pl.String).is_in(list(buys.values))
    is_own = is_own.fill_null(False)
    rows = histories.with_row_index("row").explode(lists)
    kept = rows.filter((is_own if keep_own else ~is_own) & _is_event(histories))
    every = pl.DataFrame({"row": np.arange(histories.height)}, schema={"row": pl.get_index_type()})
    events = reference.explode(lists).filter(~is_own if keep_own else is_own)
    if reference[lists[0]].list.len()[0]:
        kept = pl.concat([kept, every.join(events, how="cross")])
    if DAYS in lists:
        kept = kept.sort(["row", DAYS], descending=[False, True], maintain_order=True)
    whole = kept.group_by("row", maintain_order=True).agg(lists)
    joined = every.join(whole, on="row", how="left", maintain_order="left")
    return joined.select(
        pl.col(name).fill_null(pl.lit([], dtype=histories.schema[name])) for name in lists
    )


def _is_event(histories: pl.DataFrame) -> pl.Expr:
    """An empty list becomes a row without an event when it is spread out."""
    empty = histories.select(pl.all().list.len() == 0).to_series(0).arg_true()
    return ~pl.col("row").is_in(empty.implode())
