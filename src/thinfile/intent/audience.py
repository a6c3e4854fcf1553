"""The audience: the customers to be written to, and a random part of them that is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from thinfile import params
from thinfile.errors import DataError
from thinfile.frame import as_frame
from thinfile.params import check_params
from thinfile.random_state import RandomState, seed_from

PICKED, HOLD_OUT, REST = "picked", "hold-out", "rest"
GROUPS = (PICKED, HOLD_OUT, REST)
"""Who is written to, who would have been and is not, and everybody else with a score."""

CUSTOMER, RANK, PROBABILITY, GROUP = "customer", "rank", "probability", "group"

MIN_TOP = 10
SMALL_HOLD_OUT = 100
"""Below this many held out, only large effects can be told; the audience says so."""


@dataclass(frozen=True)
class Audience:
    """The best customers by their score, and the group of every customer with a score.

    Attributes
    ----------
    table : polars.DataFrame
        One row for each of the best, best first: ``customer``, ``rank`` from 1, ``probability``,
        ``group`` ("picked" or "hold-out") and, once :meth:`with_reasons` has put them there,
        ``reason_1``, ``reason_2``, ….
    groups : polars.DataFrame
        ``customer`` and ``group`` ("picked", "hold-out" or "rest") of all scored customers, by
        customer: what :func:`thinfile.intent.follow_up.follow_up` compares.
    holdout : float
        Share of the best that was set aside.
    random_state : int
        The seed that drew the hold-out group and broke ties.
    notes : tuple of str
        What the user should know of.
    """

    table: pl.DataFrame
    groups: pl.DataFrame
    holdout: float
    random_state: int
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Customers by group, and all with a score."""
        found = dict(self.groups[GROUP].value_counts().rows())
        return {name: found.get(name, 0) for name in GROUPS} | {"scored": self.groups.height}

    def with_reasons(self, reasons: pl.DataFrame) -> Audience:
        """The same audience with columns of words; row i belongs to rank i + 1."""
        if reasons.height != self.table.height:
            raise DataError(
                f"reasons have {reasons.height} rows, the audience has {self.table.height}"
            )
        return replace(self, table=self.table.hstack(reasons))


def choose_audience(
    scores: Any, top: int, holdout: float = 0.1, random_state: RandomState = 0
) -> Audience:
    """Choose the customers with the highest probability and set a random part of them aside.

    Use it when a campaign is to be run. The hold-out group is drawn at random from *within* the
    best and must not be contacted: what it does is what the picked would have done anyway, and
    without it nobody can tell later what the campaign has brought. Do not use it to split
    customers for a test of the model; that needs no campaign.

    Equal probabilities are ordered by lot, not by customer number (which often tells the age of
    the account). The lot depends on `random_state` and the customers, not on the order of rows.

    Parameters
    ----------
    scores : table of n customers
        Columns ``customer`` (each once) and ``probability`` (0 to 1).
    top : int ≥ 10
        How many of the best; the hold-out group is among them.
    holdout : float in [0, 0.9], default 0.1
        Share of the best that is set aside; at least one customer unless it is 0.
    random_state : int, optional
        Makes lots and the hold-out group repeatable.

    Returns
    -------
    Audience

    Raises
    ------
    ParameterError
        If `top` or `holdout` breaks its rule.
    DataError
        If there are fewer customers than `top`, a customer twice, or a score that is no
        probability.

    References
    ----------
    Kohavi, Tang and Xu, *Trustworthy Online Controlled Experiments*, 2020, chapter 23, on
    hold-out groups.

    Examples
    --------
    >>> scores = {"customer": range(100), "probability": [c / 100 for c in range(100)]}
    >>> audience = choose_audience(scores, top=20, holdout=0.25)
    >>> audience.counts
    {'picked': 15, 'hold-out': 5, 'rest': 80, 'scored': 100}
    >>> audience.table["customer"].head(3).to_list()
    [99, 98, 97]
    """
    check_params("choose_audience", {"top": top, "holdout": holdout}, _RULES)
    frame = _checked(as_frame(scores, name="scores"), top)
    seed = seed_from(random_state)
    generator = np.random.default_rng(seed)
    lots = pl.Series("lot", generator.random(frame.height))
    ranked = frame.sort(CUSTOMER).with_columns(lots)
    ranked = ranked.sort([PROBABILITY, "lot"], descending=[True, False]).drop("lot")
    group = np.full(frame.height, REST, dtype=object)
    group[:top] = PICKED
    group[generator.choice(top, _n_held_out(top, holdout), replace=False)] = HOLD_OUT
    ranked = ranked.with_columns(pl.Series(GROUP, group.tolist(), dtype=pl.String))
    best = ranked.head(top).with_columns(pl.int_range(1, top + 1).alias(RANK))
    return Audience(
        table=best.select(CUSTOMER, RANK, PROBABILITY, GROUP),
        groups=ranked.select(CUSTOMER, GROUP).sort(CUSTOMER),
        holdout=float(holdout),
        random_state=seed,
        notes=tuple(_notes(ranked, top, holdout)),
    )


_RULES: Mapping[str, params.Rule] = {
    "top": params.integer(MIN_TOP),
    "holdout": params.real(0, 0.9),
}


def _n_held_out(top: int, holdout: float) -> int:
    return max(1, round(top * holdout)) if holdout else 0


def _checked(frame: pl.DataFrame, top: int) -> pl.DataFrame:
    lacking = [name for name in (CUSTOMER, PROBABILITY) if name not in frame.columns]
    if lacking:
        raise DataError(f"scores lack {lacking}; their columns are {frame.columns}")
    frame = frame.select(CUSTOMER, PROBABILITY)
    faults = [*_customer_faults(frame[CUSTOMER]), *_probability_faults(frame[PROBABILITY])]
    if faults:
        raise DataError("scores: " + "; ".join(faults))
    if frame.height < top:
        raise DataError(
            f"top={top}: {frame.height} customers have a score; ask for at most as many"
        )
    return frame.with_columns(pl.col(PROBABILITY).cast(pl.Float64))


def _customer_faults(customers: pl.Series) -> list[str]:
    faults = []
    if customers.null_count():
        first = int(customers.is_null().arg_true()[0])
        faults.append(
            f"customer is missing in {customers.null_count()} of {len(customers)} rows "
            f"(first: row {first})"
        )
    n_twice = len(customers) - customers.n_unique()
    if n_twice:
        first = int(customers.is_duplicated().arg_true()[0])
        faults.append(
            f"a customer must occur once, {n_twice} of {len(customers)} rows repeat one "
            f"(first: row {first}, {customers[first]!r})"
        )
    return faults


def _probability_faults(values: pl.Series) -> list[str]:
    if not values.dtype.is_numeric():
        return [f"probability is of type {values.dtype}, must be numbers from 0 to 1"]
    is_fine = (values.is_between(0, 1) & values.is_not_null()).fill_null(False)
    wrong = (~is_fine).arg_true()
    if not len(wrong):
        return []
    first = int(wrong[0])
    return [
        f"column 'probability': {len(wrong)} of {len(values)} rows are no number from 0 to 1 "
        f"(first: row {first}, {values[first]})"
    ]


def _notes(ranked: pl.DataFrame, top: int, holdout: float) -> list[str]:
    notes = []
    n_out = _n_held_out(top, holdout)
    if not n_out:
        notes.append(
            "no hold-out group was set aside: what the campaign has brought cannot be told later"
        )
    elif n_out < SMALL_HOLD_OUT:
        notes.append(
            f"{n_out} customers are held out: only a large effect will be told from chance; "
            f"{SMALL_HOLD_OUT} or more are better"
        )
    return [*notes, *_tie_note(ranked, top)]


def _tie_note(ranked: pl.DataFrame, top: int) -> list[str]:
    """Where the border runs through equal scores, it was drawn by lot."""
    if top == ranked.height or ranked[PROBABILITY][top - 1] != ranked[PROBABILITY][top]:
        return []
    border = ranked[PROBABILITY][top - 1]
    tied = ranked[PROBABILITY] == border
    n_in = int(tied.head(top).sum())
    return [
        f"{int(tied.sum())} customers share the probability {border:.4g} at the border; "
        f"{n_in} of them were taken by lot"
    ]
