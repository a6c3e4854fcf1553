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

EVENTS = "events."
"""What the names of list columns begin with."""

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
        For a part of a history: whether to take the part away is to keep the events of the own
        category (True), the other events (False), or none (None).
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
        Log-odds of the row less the sum of its `values`. With exact contributions it is the
        log-odds of an average training row; otherwise it also holds what groups do together.
    is_exact : bool
        Whether they are the trees' own Shapley values.
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
    found = contributions(model.estimator, model.probability, table, reference, groups, buys)
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
) -> Contributions:
    """Measure what each group of columns adds to the log-odds of each row.

    Boosted trees are asked for their exact Shapley values, summed over the columns of a group.
    Any other model is asked what it says of the row with the group's values taken from reference
    rows, on average over these; a part of a history is taken away instead. The second kind does
    not add up where groups act together or say the same: of two columns that are copies each
    seems to matter half, or not at all. Both kinds explain the model and not the customer.

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
        columns = [total - _without(probability, table, reference, g, buys) for g in groups]
        values = np.column_stack(columns) if columns else np.zeros((table.height, 0))
    return Contributions(tuple(groups), values, total - values.sum(axis=1), is_exact)


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


def _without(
    probability: Probability,
    table: pl.DataFrame,
    reference: pl.DataFrame,
    group: ColumnGroup,
    buys: Buys | None,
) -> Floats:
    """Log-odds of the rows when the group says what it says of the reference rows, shape (n,)."""
    if group.is_history:
        return log_odds(probability(_shortened(table, group, buys)))
    stand_ins = reference.select(group.columns).unique(maintain_order=True)
    counts = reference.select(group.columns).group_by(pl.all(), maintain_order=True).len()["len"]
    at_once = max(1, _BATCH // max(1, table.height))
    total = np.zeros(table.height)
    for start in range(0, stand_ins.height, at_once):
        part = stand_ins[start : start + at_once]
        stacked = pl.concat([_replaced(table, row) for row in part.iter_slices(1)])
        odds = log_odds(probability(stacked)).reshape(part.height, table.height)
        total += counts[start : start + at_once].to_numpy() @ odds
    return total / reference.height


def _replaced(table: pl.DataFrame, row: pl.DataFrame) -> pl.DataFrame:
    """The table with one row's values in all of its rows."""
    return table.with_columns(row[name].new_from_index(0, table.height) for name in row.columns)


def _shortened(table: pl.DataFrame, group: ColumnGroup, buys: Buys | None) -> pl.DataFrame:
    """Histories with only the events that the group leaves; the same events in each column."""
    lists = list(group.columns)
    if group.keeps is None or buys is None:
        return table.with_columns(pl.col(lists).list.head(0))
    rows = table.select(lists).with_row_index("row").explode(lists)
    is_own = pl.col(EVENTS + buys.column).cast(pl.String).is_in(list(buys.values))
    is_own = is_own.fill_null(False)
    kept = rows.filter(is_own if group.keeps else ~is_own)
    short = kept.group_by("row", maintain_order=True).agg(lists)
    every = pl.DataFrame({"row": np.arange(table.height)}, schema={"row": pl.get_index_type()})
    joined = every.join(short, on="row", how="left", maintain_order="left")
    empty = [pl.col(c).fill_null(pl.lit([], dtype=table.schema[c])) for c in lists]
    return table.with_columns(joined.select(empty).get_columns())
