"""A made-up purchase log whose truth is known, of any length, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.io.plugins import register_io_source

from thinfile.params import Rule, check_params, integer, optional, real

FIRST_DAY = datetime(2023, 1, 1)
ITEMS_PER_CATEGORY = 20
FAVOURITES = 3
FAVOURITE_SHARE = 0.5
"""Share of purchases that fall into one of the customer's favourite categories."""
FOLLOW_DAYS = 30.0
"""How fast the pull of a related category fades, in days."""

_FIRST = int(np.datetime64(FIRST_DAY, "us").astype(np.int64))
_SLICE_EVENTS = 250_000
_SCHEMA = pl.Schema(
    {
        "customer": pl.Int64(),
        "time": pl.Datetime("us"),
        "item": pl.String(),
        "category": pl.String(),
        "quantity": pl.Int64(),
        "amount": pl.Float64(),
        "channel": pl.String(),
    }
)


def make_events(
    n_events: int,
    n_customers: int | None = None,
    n_categories: int = 20,
    *,
    n_days: int = 730,
    follow: float = 0.5,
    return_share: float = 0.02,
    missing_share: float = 0.0,
    random_state: int | None = None,
) -> pl.DataFrame:
    """Draw a purchase log in which what a customer buys next can partly be told.

    Use it to try the event tools, to time them, and to see what a method finds when the truth is
    known; a ranking of methods on it says little about real shops. The truth itself is in
    :class:`SyntheticEvents`, which also writes logs that do not fit into memory.

    Parameters
    ----------
    n_events
        Rows, at least 1; met to the row.
    n_customers
        At least 1; by default one for each 100 events. Some may draw no event.
    n_categories
        At least 2, each with 20 items.
    n_days
        Length of the log in days, at least 1. It begins on 1 January 2023.
    follow
        In [0, 1]: chance that a purchase right after another one falls into the category related
        to it; fades with the days between them by exp(-days / 30).
    return_share
        In [0, 1): share of events with a negative quantity and amount.
    missing_share
        In [0, 1): share of events that do not name their customer.
    random_state
        Whole number for repeatable logs.

    Returns
    -------
    polars.DataFrame
        In the order of time: ``customer`` (Int64), ``time`` (Datetime, whole seconds), ``item``,
        ``category``, ``quantity``, ``amount``, ``channel``.

    Raises
    ------
    ParameterError
        Naming every argument that breaks its rule.

    Examples
    --------
    >>> log = make_events(1000, 50, 4, random_state=0)
    >>> log.height, log["category"].n_unique(), log["time"].is_sorted()
    (1000, 4, True)
    """
    return SyntheticEvents(
        n_events,
        n_customers,
        n_categories,
        n_days=n_days,
        follow=follow,
        return_share=return_share,
        missing_share=missing_share,
        random_state=random_state,
    ).table()


_RULES: dict[str, Rule] = {
    "n_events": integer(1),
    "n_customers": optional(integer(1)),
    "n_categories": integer(2),
    "n_days": integer(1),
    "follow": real(0, 1),
    "return_share": real(0, 1, bounds="[)"),
    "missing_share": real(0, 1, bounds="[)"),
    "random_state": optional(integer(0)),
}


@dataclass(frozen=True)
class Truth:
    """What a synthetic log was drawn from.

    Attributes
    ----------
    customers : polars.DataFrame, one row per customer
        ``customer``; ``rate``, purchases per day while active (gamma, shape 0.6); ``first_day``
        and ``dropout_day``, days from the start of the log between which the customer is active
        (dropout is exponential and may lie beyond the log's end); ``favourites``, list of three
        categories that take half of all purchases that follow no other; ``web_share``.
    related : dict
        The category that each category pulls along.
    popularity : numpy.ndarray, shape (n_categories,)
        Chance of each category in purchases that follow no other and are no favourite's.
    """

    customers: pl.DataFrame
    related: dict[str, str]
    popularity: NDArray[np.float64]


@dataclass(frozen=True)
class SyntheticEvents:
    """A synthetic purchase log that can be read piece by piece; arguments as :func:`make_events`.

    Examples
    --------
    >>> events = SyntheticEvents(1000, 50, 4, random_state=0)
    >>> events.truth().related["category 00"]
    'category 01'
    >>> sum(batch.height for batch in events.batches())
    1000
    """

    n_events: int
    n_customers: int | None = None
    n_categories: int = 20
    n_days: int = field(default=730, kw_only=True)
    follow: float = field(default=0.5, kw_only=True)
    return_share: float = field(default=0.02, kw_only=True)
    missing_share: float = field(default=0.0, kw_only=True)
    random_state: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_params("make_events", vars(self), _RULES)
        if self.n_customers is None:
            object.__setattr__(self, "n_customers", max(1, self.n_events // 100))
        if self.random_state is None:
            # Batches and truth must speak of one log, however often they are asked for.
            drawn = int(np.random.default_rng().integers(2**31))
            object.__setattr__(self, "random_state", drawn)

    def truth(self) -> Truth:
        """What the log is drawn from: use it to judge what a method has found."""
        people, names = _People.draw(self), _category_names(self.n_categories)
        favourites = np.array(names, dtype=object)[people.favourites]
        customers = pl.DataFrame(
            {
                "customer": people.ids,
                "rate": people.rate,
                "first_day": people.first,
                "dropout_day": people.last,
                "favourites": pl.Series(favourites.tolist(), dtype=pl.List(pl.String)),
                "web_share": people.web_share,
            }
        )
        related = {name: names[_related(k, self.n_categories)] for k, name in enumerate(names)}
        return Truth(customers, related, _popularity(self.n_categories))

    def table(self) -> pl.DataFrame:
        """The whole log in memory."""
        return pl.concat(self.batches())

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the log in the order of time, about 250,000 rows at a time."""
        people = _People.draw(self)
        generator = np.random.default_rng([self._seed, 1])
        n_slices = -(-self.n_events // _SLICE_EVENTS)
        edges = np.linspace(0.0, self.n_days, n_slices + 1)
        exposure = np.array([people.exposure(*span).sum() for span in pairwise(edges)])
        counts = generator.multinomial(self.n_events, exposure / exposure.sum())
        for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True):
            if n:
                yield _slice(self, people, float(low), float(high), int(n), generator)

    def write(self, path: Path) -> None:
        """Write the log as one Parquet file, in memory that does not grow with it."""

        def source(
            columns: list[str] | None, predicate: pl.Expr | None, n: int | None, size: int | None
        ) -> Iterator[pl.DataFrame]:
            for batch in self.batches():
                yield batch if columns is None else batch.select(columns)

        register_io_source(source, schema=_SCHEMA).sink_parquet(path, maintain_order=True)

    @property
    def _seed(self) -> int:
        assert self.random_state is not None
        return self.random_state


@dataclass
class _People:
    """Customers, and what each has bought last as the log is drawn from start to end."""

    ids: NDArray[np.int64]
    rate: NDArray[np.float64]
    first: NDArray[np.float64]
    last: NDArray[np.float64]
    favourites: NDArray[np.int64]  # (customers, favourites)
    web_share: NDArray[np.float64]
    last_time: NDArray[np.float64]  # seconds; -inf before the first purchase
    last_category: NDArray[np.int64]

    @classmethod
    def draw(cls, events: SyntheticEvents) -> _People:
        generator, n = np.random.default_rng([events._seed, 0]), events.n_customers or 1
        first = np.maximum(0.0, generator.uniform(-0.5, 0.8, n)) * events.n_days
        chance = _popularity(events.n_categories)
        return cls(
            ids=100_000 + generator.permutation(n).astype(np.int64),
            rate=generator.gamma(0.6, 0.05, n) + 1e-4,
            first=first,
            last=first + generator.exponential(events.n_days, n),
            favourites=generator.choice(events.n_categories, (n, FAVOURITES), p=chance),
            web_share=generator.beta(0.5, 0.5, n),
            last_time=np.full(n, -np.inf),
            last_category=np.zeros(n, dtype=np.int64),
        )

    def exposure(self, low: float, high: float) -> NDArray[np.float64]:
        """Purchases to be expected of each customer between two days."""
        active: NDArray[np.float64] = np.minimum(self.last, high) - np.maximum(self.first, low)
        return self.rate * np.maximum(active, 0.0)


def _slice(
    events: SyntheticEvents,
    people: _People,
    low: float,
    high: float,
    n: int,
    generator: np.random.Generator,
) -> pl.DataFrame:
    exposure = people.exposure(low, high)
    counts = generator.multinomial(n, exposure / exposure.sum())
    who = np.repeat(np.arange(counts.size), counts)
    begin = np.maximum(people.first[who], low)
    days = begin + generator.random(n) * (np.minimum(people.last[who], high) - begin)
    seconds = np.floor(days * 86_400.0)
    order = np.lexsort((seconds, who))
    who, seconds = who[order], seconds[order]
    category = _categories(events, people, who, seconds, generator)
    frame = _columns(events, people, who, seconds, category, generator)
    return frame.sort("time", maintain_order=True)


def _categories(
    events: SyntheticEvents,
    people: _People,
    who: NDArray[np.intp],
    seconds: NDArray[np.float64],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Categories of purchases that are sorted by customer and time; moves `people` on."""
    n, place = who.size, np.arange(who.size)
    opens = np.append(True, who[1:] != who[:-1])
    before = np.where(opens, people.last_time[who], np.append(0.0, seconds[:-1]))
    fading = np.exp(-(seconds - before) / 86_400.0 / FOLLOW_DAYS)
    follows = generator.random(n) < events.follow * fading
    own = people.favourites[who, generator.integers(FAVOURITES, size=n)]
    any_ = generator.choice(events.n_categories, n, p=_popularity(events.n_categories))
    free = np.where(generator.random(n) < FAVOURITE_SHARE, own, any_)
    # A chain of following purchases swings between two categories from where it began, which is
    # the last free purchase, or what the customer had bought in the slice before.
    start = np.maximum.accumulate(np.where(opens, place, 0))
    root = np.maximum.accumulate(np.where(follows, start - 1, place))
    root = np.maximum(root, start - 1)
    base = np.where(root < start, people.last_category[who], free[np.maximum(root, 0)])
    odd = (place - root) % 2 == 1
    category = np.where(odd, _related(base, events.n_categories), base).astype(np.int64)
    closes = np.append(who[1:] != who[:-1], True)
    people.last_time[who[closes]] = seconds[closes]
    people.last_category[who[closes]] = category[closes]
    return category


def _columns(
    events: SyntheticEvents,
    people: _People,
    who: NDArray[np.intp],
    seconds: NDArray[np.float64],
    category: NDArray[np.int64],
    generator: np.random.Generator,
) -> pl.DataFrame:
    n = who.size
    shelf = np.floor(ITEMS_PER_CATEGORY * generator.random(n) ** 2).astype(np.int64)
    item = category * ITEMS_PER_CATEGORY + shelf
    returned = generator.random(n) < events.return_share
    quantity = generator.geometric(0.6, n) * np.where(returned, -1, 1)
    price = np.round(np.exp(1.0 + 0.37 * (item % 11) + 0.5 * (category % 3)), 2)
    web = generator.random(n) < people.web_share[who]
    missing = generator.random(n) < events.missing_share
    names = _category_names(events.n_categories)
    items = [f"{name[9:]}-{k:02d}" for name in names for k in range(ITEMS_PER_CATEGORY)]
    micros = seconds.astype(np.int64) * 1_000_000 + _FIRST
    return pl.DataFrame(
        {
            "customer": pl.Series(people.ids[who]).set(pl.Series(missing), None),
            "time": pl.Series(micros).cast(pl.Datetime("us")),
            "item": pl.Series(items).gather(item),
            "category": pl.Series(names).gather(category),
            "quantity": quantity.astype(np.int64),
            "amount": np.round(quantity * price, 2),
            "channel": pl.Series(["shop", "web"]).gather(web.astype(np.int64)),
        },
        schema=_SCHEMA,
    )


def _related(category: Any, n_categories: int) -> Any:
    """The other one of a pair; the last category of an odd number stands alone."""
    return np.minimum(np.bitwise_xor(category, 1), n_categories - 1)


def _popularity(n_categories: int) -> NDArray[np.float64]:
    weight = np.arange(1, n_categories + 1, dtype=np.float64) ** -0.7
    chance: NDArray[np.float64] = weight / weight.sum()
    return chance


def _category_names(n_categories: int) -> list[str]:
    width = len(str(n_categories - 1))
    return [f"category {k:0{max(2, width)}d}" for k in range(n_categories)]
