"""What each customer of an audience did in a later window, and in which words it is counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile.data.buys import Buys
from thinfile.errors import DataError
from thinfile.intent.audience import CUSTOMER, GROUP

if TYPE_CHECKING:
    from thinfile.data.events import EventLog

SHARE, MEAN = "share", "mean"


@dataclass(frozen=True)
class Measure:
    """One thing that is counted of each customer.

    Attributes
    ----------
    name : str
        Column of `FollowUp.customers`.
    title : str
        In words.
    kind : {"share", "mean"}
    """

    name: str
    title: str
    kind: str


def what_is_bought(buys: Buys) -> str:
    """The category in words: its name, or the first of several.

    Examples
    --------
    >>> what_is_bought(Buys("group", ("TEA", "COFFEE", "SUGAR")))
    'TEA or 2 others'
    """
    first, *others = buys.values
    if not others:
        return first
    return f"{first} or {others[0] if len(others) == 1 else f'{len(others)} others'}"


def measures_of(log: EventLog, buys: Buys, n: int, m: int) -> list[Measure]:
    """What is counted: the category, much in many categories, everything, and money."""
    what = what_is_bought(buys)
    found = [
        Measure("bought", f"Bought {what}", SHARE),
        Measure("purchases", f"Purchases of {what} per head", MEAN),
        Measure("broad", f"More than {n} purchases in more than {m} categories", SHARE),
        Measure("all_purchases", "Purchases of anything per head", MEAN),
    ]
    if log.roles.amount is not None:
        found.append(Measure("amount", f"Money per head ({log.roles.amount})", MEAN))
    return found


def outcomes_of(
    members: pl.DataFrame,
    log: EventLog,
    buys: Buys,
    window: tuple[int, int],
    n: int,
    m: int,
) -> tuple[pl.DataFrame, int]:
    """What each member did in the window, and how many others were active in it."""
    own, known = _same_type(members[CUSTOMER], log.customers)
    if not own.is_in(known.implode()).any():
        raise DataError(
            f"none of the {len(own)} customers of the audience is among the {len(known)} of the "
            f"log (audience: {members[CUSTOMER][0]!r}, log: {log.customers[0]!r})"
        )
    counts = _counts(log, buys, window)
    counts = counts.with_columns(known[counts["at"]].alias("key")).drop("at")
    n_new = int((~counts["key"].is_in(own.implode())).sum())
    joined = members.with_columns(own.alias("key")).join(counts, on="key", how="left")
    filled = joined.with_columns(
        pl.col("any_events").is_null().alias("is_silent"),
        pl.exclude(CUSTOMER, GROUP, "key").fill_null(0),
    )
    is_broad = (pl.col("all_purchases") > n) & (pl.col("n_categories") > m)
    return filled.with_columns(
        bought=(pl.col("purchases") > 0).cast(pl.Int64), broad=is_broad.cast(pl.Int64)
    ), n_new


def _same_type(first: pl.Series, second: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Customers of two files, one of which may hold as text what the other holds as numbers."""
    if first.dtype == second.dtype:
        return first, second
    kind = pl.Int64 if first.dtype.is_integer() and second.dtype.is_integer() else pl.String
    return first.cast(kind), second.cast(kind)


def _counts(log: EventLog, buys: Buys, window: tuple[int, int]) -> pl.DataFrame:
    """One row per customer with an event in the window; `at` is the place in log.customers."""
    rows = np.flatnonzero((log.times >= window[0]) & (log.times < window[1]))
    bought = _all_purchases(log, buys)[rows]
    category = log.table[log.roles.category or buys.column][rows]
    events = pl.DataFrame(
        {
            "at": np.searchsorted(log.offsets, rows, side="right") - 1,
            "own": buys.mask(log, must_occur=False)[rows],
            "bought": bought,
            "category": category.cast(pl.String),
            "money": _money(log, rows, bought),
        }
    )
    return events.group_by("at").agg(
        any_events=pl.len(),
        purchases=pl.col("own").sum().cast(pl.Int64),
        all_purchases=pl.col("bought").sum().cast(pl.Int64),
        n_categories=pl.col("category").filter("bought").drop_nulls().n_unique(),
        amount=pl.col("money").sum(),
    )


def _all_purchases(log: EventLog, buys: Buys) -> NDArray[np.bool_]:
    """Purchases of any category."""
    if buys.action is None:
        return ~log.returns()
    column, value = buys.action
    return Buys(column, (value,)).mask(log, must_occur=False)


def _money(log: EventLog, rows: NDArray[np.intp], bought: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Money of purchases, less that of returns, whose sign differs from shop to shop."""
    if log.roles.amount is None:
        return np.zeros(len(rows))
    column = log.table[log.roles.amount][rows].cast(pl.Float64, strict=False)
    money = column.fill_nan(None).fill_null(0.0).to_numpy()
    returned = log.returns()[rows]
    return np.where(returned, -np.abs(money), np.where(bought, money, 0.0))
