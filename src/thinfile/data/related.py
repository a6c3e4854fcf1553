"""Which categories go with the one that is to be predicted, by lift."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile.data.snapshots import Buys, microseconds
from thinfile.params import check_params, integer, one_of, real

if TYPE_CHECKING:
    from thinfile.data.events import EventLog

DAY = 86_400_000_000
RULES = {
    "per": one_of("basket", "customer"),
    "min_support": integer(1),
    "min_lift": real(0, bounds="()"),
    "most": integer(1),
}


@dataclass(frozen=True)
class Related:
    """A category and how it goes with the one to be predicted.

    Attributes
    ----------
    value : str
        The category, as `Buys` takes it.
    lift : float
        How many times as often the two meet as they would by chance; 1 is chance.
    n_both, n : int
        Baskets (or customers) that hold both, and that hold this category.
    """

    value: str
    lift: float
    n_both: int
    n: int


def related_categories(
    log: EventLog,
    buys: Buys,
    before: datetime,
    *,
    column: str | None = None,
    per: str = "basket",
    min_support: int = 20,
    min_lift: float = 1.5,
    most: int = 10,
) -> tuple[Related, ...]:
    """Find the categories that are bought together with the one to be predicted.

    Use it where nobody has named related categories; a list by somebody who knows the shelves is
    better. Give the end of the training window as `before`: what is mined from later events is a
    leak. Lift favours rare categories, hence `min_support`.

    Parameters
    ----------
    log : EventLog
    buys : Buys
        The category to be predicted; its own values are never related to themselves. Only events
        of its action count, and no returns.
    before : datetime
        Events at or after this instant are not looked at.
    column : str, optional
        Column of the categories; that of `buys` by default.
    per : {"basket", "customer"}, default "basket"
        What counts as together: one customer on one day, or one customer ever. With "customer",
        those who buy much buy everything, and all lifts rise.
    min_support : int, default 20
        Least baskets (customers) that hold both, at least 1.
    min_lift : float, default 1.5
        Least lift, above 0.
    most : int, default 10
        Categories returned, at least 1.

    Returns
    -------
    tuple of Related
        Highest lift first; ties by support, then by name, so that the order is always the same.

    Raises
    ------
    ParameterError
        If an option breaks its rule.
    DataError
        If a column is not in the log or the category never occurs in it.

    References
    ----------
    Brin, Motwani, Ullman and Tsur, "Dynamic itemset counting and implication rules for market
    basket data", SIGMOD 1997 (lift, there called interest).

    Examples
    --------
    >>> from thinfile.data.events import EventColumns, EventLog
    >>> from thinfile.data.synthetic_events import make_events
    >>> table = make_events(20_000, 400, n_days=500, follow=0.9, random_state=0)
    >>> log = EventLog.from_table(table, EventColumns("customer", "time", category="category"))
    >>> [found] = related_categories(log, Buys("category", ("category 01",)), log.end)
    >>> found.value, round(found.lift, 1)
    ('category 00', 1.6)
    """
    given = {"per": per, "min_support": min_support, "min_lift": min_lift, "most": most}
    check_params("related_categories", given, RULES)
    column = column or buys.column
    own = buys.mask(log)
    rows = np.flatnonzero((log.times < microseconds(before)) & purchases(log, buys))
    basket = _baskets(log, rows, per)
    pairs = pl.DataFrame(
        {"value": log.table[column].gather(rows.tolist()).cast(pl.String), "basket": basket}
    )
    targets = np.unique(basket[own[rows]])
    if not len(targets):
        return ()
    counts = _counts(pairs, targets, [] if column != buys.column else list(buys.values))
    # Whole numbers divided once: equal lifts are equal to the bit, and ties stay ties.
    n_baskets, n_targets = len(np.unique(basket)), len(targets)
    kept = (
        counts.with_columns(lift=pl.col("n_both") * n_baskets / (pl.col("n") * n_targets))
        .filter((pl.col("n_both") >= min_support) & (pl.col("lift") >= min_lift))
        .sort(["lift", "n_both", "value"], descending=[True, True, False])
        .head(most)
    )
    return tuple(Related(**row) for row in kept.to_dicts())


def purchases(log: EventLog, buys: Buys) -> NDArray[np.bool_]:
    """Mark events of any category that are purchases: of the action, and no returns."""
    marked = ~log.returns()
    if buys.action is not None:
        column, value = buys.action
        marked &= Buys(column, (value,)).mask(log, must_occur=False)
    return marked


def _baskets(log: EventLog, rows: NDArray[np.intp], per: str) -> NDArray[np.int64]:
    """A number for the basket (or customer) of each of `rows`."""
    customer = np.searchsorted(log.offsets, rows, side="right") - 1
    if per == "customer":
        return customer.astype(np.int64)
    day = log.times[rows] // DAY
    first = int(day.min(initial=0))
    numbers: NDArray[np.int64] = customer * (int(day.max(initial=0)) - first + 1) + (day - first)
    return numbers


def _counts(pairs: pl.DataFrame, targets: NDArray[np.int64], own: list[str]) -> pl.DataFrame:
    """Baskets of each other category, and those of them that hold the one to be predicted."""
    has_target = pl.col("basket").is_in(pl.Series(targets).implode())
    return (
        pairs.filter(pl.col("value").is_not_null() & ~pl.col("value").is_in(own))
        .unique()
        .group_by("value")
        .agg(n=pl.len(), n_both=has_target.sum())
        .with_columns(pl.col("n", "n_both").cast(pl.Int64))
    )
