"""Reasons in words: what a customer has done, read from the names of columns and their values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from thinfile.data.buys import Buys
from thinfile.intent.outcomes import what_is_bought

_AGGREGATE = re.compile(
    r"(?P<subject>own|any|related)_"
    r"(?P<what>count|amount|days_since_last|days_since_first|n_categories|returns)"
    r"(?:_(?P<days>\d+)d)?"
)
_CATEGORY = re.compile(r"(?P<what>count|days_since)\[(?P<category>.*)\]", re.DOTALL)
_DAYS = "events.days_to_cut"

Value = float | None
Windows = dict[int | None, Value]


@dataclass
class _Facts:
    """What is known of one subject: counts and money by window (None = ever), and days."""

    count: Windows = field(default_factory=dict)
    amount: Windows = field(default_factory=dict)
    single: dict[str, Value] = field(default_factory=dict)


def phrase(
    title: str, values: Mapping[str, Any], buys: Buys, *, history_keeps: str | None = None
) -> str:
    """Say what the columns of one group hold, in words that fit behind "because".

    Parameters
    ----------
    title : str
        Title of the group; used where its columns say nothing.
    values : mapping
        Column to value of one customer.
    buys : Buys
        Names the own category.
    history_keeps : {"own", "other", "all"}, optional
        For list columns: which events are meant.

    Examples
    --------
    >>> tea = Buys("group", ("TEA",))
    >>> phrase("recency of own category", {"own_days_since_last": 12.2}, tea)
    'last bought TEA 12 days ago'
    >>> phrase("related categories", {"related_count": 9, "related_count_30d": 3}, tea)
    'bought 3 related articles in 30 days'
    """
    if history_keeps is not None:
        return _history(values, buys, history_keeps)
    subjects, others = _sorted(values)
    texts = [_subject(name, facts, buys) for name, facts in subjects.items()]
    texts += [_plain(name, value) for name, value in others.items()]
    return ", ".join([text for text in texts if text][:2]) or title


def _sorted(values: Mapping[str, Any]) -> tuple[dict[str, _Facts], dict[str, Any]]:
    """Values by subject, and those whose name has no known form."""
    subjects: dict[str, _Facts] = {}
    others = {}
    for name, value in values.items():
        if match := _AGGREGATE.fullmatch(name):
            facts = subjects.setdefault(match["subject"], _Facts())
            days = int(match["days"]) if match["days"] else None
            if match["what"] in ("count", "amount"):
                getattr(facts, match["what"])[days] = value
            else:
                facts.single[match["what"]] = value
        elif match := _CATEGORY.fullmatch(name):
            facts = subjects.setdefault(f"category {match['category']}", _Facts())
            if match["what"] == "count":
                facts.count[None] = value
            else:
                facts.single["days_since_last"] = value
        elif not re.fullmatch(r"(own|any)_(repeat_purchases|recency_weeks|age_weeks)", name):
            others[name] = value
    return subjects, others


def _subject(name: str, facts: _Facts, buys: Buys) -> str:
    if name == "any":
        return _anything(facts, has_actions=buys.action is not None)
    if name == "related":
        return _articles(facts)
    what = what_is_bought(buys) if name == "own" else name.removeprefix("category ")
    return _thing(what, facts)


def _thing(what: str, facts: _Facts) -> str:
    last = facts.single.get("days_since_last")
    if facts.count:
        n, days = _recent(facts.count)
        if not n:
            return f"never bought {what}" if days is None else f"no {what} in {days} days"
        words = f"bought {what} {_times(n)}{_in(days)}"
        return words if last is None else f"{words}, the last {_ago(last)}"
    if last is not None:
        return f"last bought {what} {_ago(last)}"
    if facts.amount:
        return _spent(facts.amount, f" on {what}")
    first = facts.single.get("days_since_first")
    return f"never bought {what}" if first is None else f"first bought {what} {_ago(first)}"


def _articles(facts: _Facts) -> str:
    last = facts.single.get("days_since_last")
    n, days = _recent(facts.count)
    if n:
        words = f"bought {_counted(n, 'related article')}{_in(days)}"
        return words if last is None else f"{words}, the last {_ago(last)}"
    if last is not None:
        return f"last bought a related article {_ago(last)}"
    return f"no related article{_in(days)}" if days else "never bought a related article"


def _anything(facts: _Facts, *, has_actions: bool) -> str:
    thing = "event" if has_actions else "purchase"
    last, n_categories = (facts.single.get(k) for k in ("days_since_last", "n_categories"))
    parts = []
    if facts.count:
        n, days = _recent(facts.count)
        parts.append(f"{_counted(n, thing)}{_in(days)}" if n else f"no {thing}{_in(days)}")
    if last is not None:
        parts.append(f"the last {_ago(last)}" if parts else f"last {thing} {_ago(last)}")
    if facts.amount and not parts:
        parts.append(_spent(facts.amount, " in all"))
    if n_categories and len(parts) < 2:
        parts.append(f"from {_counted(n_categories, 'category', 'categories')}")
    first = facts.single.get("days_since_first")
    if first is not None and not parts:
        parts.append(f"customer since {_days(first)}")
    returns = facts.single.get("returns")
    if returns is not None and not parts:
        parts.append(_counted(returns, "return"))
    return ", ".join(parts)


def _spent(amounts: Windows, on: str) -> str:
    value, days = _recent(amounts)
    if not value:
        return f"nothing spent{on}{_in(days)}"
    return f"spent {value:,.0f}{on}{_in(days)}"


def _recent(windows: Windows) -> tuple[float, int | None]:
    """The shortest window in which there was anything; else the longest, with 0."""
    known = sorted(windows.items(), key=lambda item: float("inf") if item[0] is None else item[0])
    for days, value in known:
        if value:
            return value, days
    return 0.0, known[-1][0] if known else None


def _history(values: Mapping[str, Any], buys: Buys, keeps: str) -> str:
    categories: Sequence[Any] = values.get(f"events.{buys.column}") or []
    days: Sequence[Any] = values.get(_DAYS) or []
    n_all = max((len(each or []) for each in values.values()), default=0)
    is_own = [str(category) in buys.values for category in categories] or [True] * n_all
    meant = [keeps == "all" or own == (keeps == "own") for own in is_own]
    ago = [float(d) for d, m in zip(days, meant, strict=False) if m and d is not None]
    last = f", the last {_ago(min(ago))}" if ago else ""
    n = sum(meant)
    if keeps == "own":
        what = what_is_bought(buys)
        if not n:
            return f"no {what} in the latest {_counted(n_all, 'event')}"
        return f"{what} {_times(n)} in the latest {_counted(n_all, 'event')}{last}"
    return f"{_counted(n, 'other event' if keeps == 'other' else 'event')}{last}"


def _plain(name: str, value: Any) -> str:
    if value is None or value != value:
        return f"{name} is not known"
    return f"{name} {value:,.6g}" if isinstance(value, float) else f"{name} {value}"


def _times(n: float) -> str:
    return {1: "once", 2: "twice"}.get(round(n), f"{n:,.0f} times")


def _counted(n: float, one: str, many: str | None = None) -> str:
    return f"{n:,.0f} {one if round(n) == 1 else many or one + 's'}"


def _in(days: int | None) -> str:
    return "" if days is None else f" in {days} days"


def _days(value: float) -> str:
    return "less than a day" if value < 1 else _counted(int(value), "day")


def _ago(value: float) -> str:
    return f"{_days(value)} ago"
