"""What became of an audience: the picked beside those held out and the rest, weeks later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thinfile import params
from thinfile.data.buys import Buys
from thinfile.data.snapshots import microseconds
from thinfile.errors import DataError, ParameterError
from thinfile.frame import as_frame
from thinfile.intent.audience import CUSTOMER, GROUP, GROUPS, HOLD_OUT, PICKED, REST
from thinfile.intent.group_intervals import (
    Comparison,
    Estimate,
    Share,
    amounts,
    compare_means,
    compare_shares,
    draw_means,
)
from thinfile.intent.outcomes import SHARE, Measure, measures_of, outcomes_of, what_is_bought
from thinfile.params import check_params
from thinfile.random_state import RandomState, seed_from

if TYPE_CHECKING:
    from thinfile.data.events import EventLog

CAMPAIGN, RANKING, BOTH = "campaign", "ranking", "ranking and campaign"
QUESTIONS = {(PICKED, HOLD_OUT): CAMPAIGN, (HOLD_OUT, REST): RANKING, (PICKED, REST): BOTH}
"""What the difference between two groups is due to."""

MORE, LESS, UNKNOWN = "more", "less", "no effect can be told"


@dataclass(frozen=True)
class FollowUp:
    """What the groups of an audience did in a later window.

    Attributes
    ----------
    levels : polars.DataFrame
        One row per measure and group: ``measure, group, n_customers, value, low, high``. The ends
        are empty where too few customers did anything for an interval to be given.
    contrasts : polars.DataFrame
        One row per measure and pair of groups: ``measure, first, second, question, lift,
        lift_low, lift_high, difference, difference_low, difference_high, verdict``. ``question``
        is what the pair tells of: "campaign" (picked and hold-out differ in nothing else),
        "ranking" (hold-out and rest differ in their scores only), or both at once.
    customers : polars.DataFrame
        ``customer, group`` and each measure, one row per customer of the audience.
    measures : tuple of Measure
    sizes : dict
        Customers by group.
    silent : dict
        Of these, customers without any event in the window; they count as zeros.
    since, until : datetime
        The window [since, until); UTC where the log had a zone.
    seen_until : datetime
        Last event of the log, where that is before `until`.
    what : str
        What was to be bought, in words.
    n_new : int
        Customers of the window who had no score and are in no group.
    notes : tuple of str
        What a reader must know before they believe a figure.
    """

    levels: pl.DataFrame
    contrasts: pl.DataFrame
    customers: pl.DataFrame
    measures: tuple[Measure, ...]
    sizes: dict[str, int]
    silent: dict[str, int]
    since: datetime
    until: datetime
    seen_until: datetime
    what: str
    n_new: int
    notes: tuple[str, ...]

    def level(self, measure: str, group: str) -> dict[str, Any] | None:
        """The row of `levels`, or None where the group has no customers."""
        found = self.levels.filter(measure=measure, group=group).to_dicts()
        return found[0] if found else None

    def contrast(self, measure: str, question: str) -> dict[str, Any] | None:
        """The row of `contrasts`, or None where a group has no customers."""
        found = self.contrasts.filter(measure=measure, question=question).to_dicts()
        return found[0] if found else None


def follow_up(
    groups: Any,
    log: EventLog,
    buys: Buys,
    since: datetime,
    until: datetime,
    *,
    n: int = 10,
    m: int = 3,
    n_draws: int = 2000,
    random_state: RandomState = 0,
) -> FollowUp:
    """Compare what the picked did in a later window with the hold-out and the rest.

    Use it some weeks after a campaign. Picked against hold-out is the *campaign's* effect, for
    only chance separates the two. Hold-out against rest is the *model's ranking*: neither was
    contacted. Picked against rest is both at once, and proves neither. Do not read the ranking
    as an effect: who was going to buy anyway is what the model was made to find.

    Parameters
    ----------
    groups : table
        ``customer`` and ``group`` ("picked", "hold-out", "rest") of every scored customer, as
        :func:`thinfile.intent.audience.choose_audience` drew them, whether contacted or not.
    log : EventLog
        Must reach into the window; it may begin long before.
    buys : Buys
        What the audience was made for.
    since, until : datetime
        The window [since, until); without a zone they are UTC where the log had one.
    n, m : int ≥ 0, default 10 and 3
        A measure is the share with more than `n` purchases in more than `m` categories.
    n_draws : int ≥ 200, default 2000
        Redrawn samples of customers behind the intervals of means.
    random_state : int, optional
        Makes the intervals of means repeatable.

    Returns
    -------
    FollowUp

    Raises
    ------
    ParameterError
        If the window is empty or a number breaks its rule.
    DataError
        If the log ends before the window or begins after it, knows none of the customers, or the
        groups are not as they must be.

    Notes
    -----
    A purchase is an event, such as a line of a receipt; returns are none, and their money is
    taken off. Customers who do not occur in the window count as zeros. Intervals are of 95 %:
    Wilson, Newcombe and MOVER-R for shares, the bootstrap by customer for means; see
    :mod:`thinfile.intent.group_intervals`.
    """
    check_params("follow_up", {"n": n, "m": m, "n_draws": n_draws}, _RULES)
    members = _checked_groups(as_frame(groups, name="groups"))
    start, stop = _checked_window(log, since, until)
    outcomes, n_new = outcomes_of(members, log, buys, (start, stop), n, m)
    measures = measures_of(log, buys, n, m)
    generator = np.random.default_rng(seed_from(random_state))
    levels, contrasts = _compare(outcomes, measures, n_draws, generator)
    by_group = outcomes.group_by(GROUP).agg(n=pl.len(), silent=pl.col("is_silent").sum())
    found = {row[GROUP]: row for row in by_group.to_dicts()}
    return FollowUp(
        levels=levels,
        contrasts=contrasts,
        customers=outcomes.select(CUSTOMER, GROUP, *(each.name for each in measures)),
        measures=tuple(measures),
        sizes={name: found[name]["n"] if name in found else 0 for name in GROUPS},
        silent={name: found[name]["silent"] if name in found else 0 for name in GROUPS},
        since=_instant(start),
        until=_instant(stop),
        seen_until=_instant(min(microseconds(log.end), stop)),
        what=what_is_bought(buys),
        n_new=n_new,
        notes=tuple(_notes(log, buys, start, stop)),
    )


_RULES: Mapping[str, params.Rule] = {
    "n": params.integer(0),
    "m": params.integer(0),
    "n_draws": params.integer(200),
}


def _checked_groups(frame: pl.DataFrame) -> pl.DataFrame:
    lacking = [name for name in (CUSTOMER, GROUP) if name not in frame.columns]
    if lacking:
        raise DataError(f"groups lack {lacking}; their columns are {frame.columns}")
    frame = frame.select(CUSTOMER, GROUP)
    unknown = frame.filter(~pl.col(GROUP).is_in(GROUPS).fill_null(False))
    faults = []
    if unknown.height:
        faults.append(
            f"group must be one of {', '.join(GROUPS)}, but {unknown.height} of {frame.height} "
            f"rows hold others (first: {unknown[GROUP][0]!r})"
        )
    n_twice = frame.height - frame[CUSTOMER].n_unique()
    if n_twice:
        faults.append(f"a customer must occur once, but {n_twice} rows repeat one")
    if PICKED not in frame[GROUP]:
        faults.append("nobody is picked")
    if faults:
        raise DataError("groups: " + "; ".join(faults))
    return frame


def _checked_window(log: EventLog, since: datetime, until: datetime) -> tuple[int, int]:
    start, stop = microseconds(since), microseconds(until)
    if start >= stop:
        raise ParameterError(f"the window must end after it begins, found {since} to {until}")
    if microseconds(log.end) < start:
        raise DataError(
            f"the log ends on {log.end}, before the window begins on {_instant(start)}: "
            "nothing can be followed up yet"
        )
    if microseconds(log.start) >= stop:
        raise DataError(f"the log begins on {log.start}, after the window ends on {_instant(stop)}")
    return start, stop


def _compare(
    outcomes: pl.DataFrame,
    measures: Sequence[Measure],
    n_draws: int,
    generator: np.random.Generator,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    levels, contrasts = [], []
    parts = {name: outcomes.filter(pl.col(GROUP) == name) for name in GROUPS}
    present = [name for name in GROUPS if parts[name].height]
    for measure in measures:
        values = {name: parts[name][measure.name].to_numpy() for name in present}
        tell = _Shares(values) if measure.kind == SHARE else _Means(values, n_draws, generator)
        levels += [
            {"measure": measure.name, "group": name, "n_customers": len(values[name])}
            | vars(tell.level(name))
            for name in present
        ]
        contrasts += [
            {"measure": measure.name, "first": a, "second": b, "question": question}
            | _contrast(tell.compare(a, b))
            for (a, b), question in QUESTIONS.items()
            if a in values and b in values
        ]
    return (
        pl.DataFrame(levels, schema_overrides=_FLOATS, infer_schema_length=None),
        pl.DataFrame(contrasts, schema=_CONTRASTS),
    )


class _Shares:
    def __init__(self, values: Mapping[str, NDArray[Any]]) -> None:
        self._shares = {name: Share(int(v.sum()), v.size) for name, v in values.items()}

    def level(self, name: str) -> Estimate:
        return self._shares[name].interval()

    def compare(self, first: str, second: str) -> Comparison:
        return compare_shares(self._shares[first], self._shares[second])


class _Means:
    def __init__(
        self, values: Mapping[str, NDArray[Any]], n_draws: int, generator: np.random.Generator
    ) -> None:
        self._groups = {name: amounts(v) for name, v in values.items()}
        self._draws = {
            name: draw_means(group, n_draws, generator) for name, group in self._groups.items()
        }

    def level(self, name: str) -> Estimate:
        return self._groups[name].interval(self._draws[name])

    def compare(self, first: str, second: str) -> Comparison:
        groups, draws = self._groups, self._draws
        return compare_means(groups[first], groups[second], draws[first], draws[second])


_FLOATS: dict[str, Any] = dict.fromkeys(("value", "low", "high"), pl.Float64)
_CONTRASTS: dict[str, Any] = {
    **dict.fromkeys(("measure", "first", "second", "question"), pl.String),
    **dict.fromkeys(("lift", "lift_low", "lift_high"), pl.Float64),
    **dict.fromkeys(("difference", "difference_low", "difference_high"), pl.Float64),
    "verdict": pl.String,
}


def _contrast(found: Comparison) -> dict[str, Any]:
    lift = found.ratio or Estimate(float("nan"), None, None)
    gap = found.difference
    return {
        "lift": None if np.isnan(lift.value) else lift.value,
        "lift_low": lift.low,
        "lift_high": lift.high,
        "difference": gap.value,
        "difference_low": gap.low,
        "difference_high": gap.high,
        "verdict": _verdict(gap),
    }


def _verdict(gap: Estimate) -> str:
    if gap.low is not None and gap.low > 0:
        return MORE
    return LESS if gap.high is not None and gap.high < 0 else UNKNOWN


def _instant(at: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(microseconds=at)


def _notes(log: EventLog, buys: Buys, start: int, stop: int) -> list[str]:
    notes = []
    day = 86_400_000_000
    end, begin = microseconds(log.end), microseconds(log.start)
    if end < stop - day:
        notes.append(
            f"the log ends on {log.end}: {(end - start) / day:.1f} of the window's "
            f"{(stop - start) / day:.1f} days are seen"
        )
    if begin > start + day:
        notes.append(
            f"the log begins on {log.start}: what was bought in the first "
            f"{(begin - start) / day:.1f} days of the window is not seen"
        )
    if not buys.mask(log, must_occur=False).any():
        notes.append(_absent(log, buys))
    return notes


def _absent(log: EventLog, buys: Buys) -> str:
    """Nobody bought it, or it has another name now: the message says which names come near."""
    try:
        buys.mask(log)
    except DataError as error:
        return f"nobody bought it in the log: {error}"
    return f"nobody bought {what_is_bought(buys)} in the log"
