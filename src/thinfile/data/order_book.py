"""A made-up order book of many traders, with planted spoofing and with what looks like it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from thinfile.errors import DataError
from thinfile.params import Rule, check_params, integer, optional, real

CHANNELS = (
    "placed bid",
    "placed ask",
    "cancelled bid",
    "cancelled ask",
    "traded bid",
    "traded ask",
    "resting bid",
    "resting ask",
)
"""Volumes of a trader: what happened in a step, and what is open after it."""
CYCLE_STEPS = 400
"""A trading day: busy at its ends."""
EPISODE_STEPS = (3, 8)
DECOYS = ("block", "slow", "both sides")
MARGIN = 40
"""Steps kept free of episodes at both ends."""
_COLUMNS = ("trader", "step", "side", "size", "end", "traded", "kind")


@dataclass(frozen=True)
class OrderBook:
    """What :func:`make_order_book` drew.

    Attributes
    ----------
    table : polars.DataFrame
        One row per trader and step: ``trader``, ``step``, the volumes of `CHANNELS`, ``move`` (of
        the middle price, in ticks, the same for all traders) and ``spoofing`` (an episode is on).
    orders : polars.DataFrame
        One row per order: ``trader``, ``step`` (placed), ``side`` (0 bid, 1 ask), ``size``,
        ``end`` (step of its end), ``traded`` (else cancelled), ``kind`` ("usual", "spoof",
        "spoof trade", or a decoy).
    episodes : polars.DataFrame
        ``trader``, ``step``, ``end``, ``side`` of each planted episode.
    """

    table: pl.DataFrame
    orders: pl.DataFrame
    episodes: pl.DataFrame


def make_order_book(
    n_traders: int = 30,
    n_steps: int = 2000,
    n_episodes: int = 60,
    *,
    strength: float = 6.0,
    decoys: float = 1.0,
    random_state: int | None = None,
) -> OrderBook:
    """Draw an order book in which some traders spoof now and then.

    An *episode*: a trader places several large orders on one side within two steps, trades a
    little on the other side, and after 3 to 8 steps withdraws the large orders untouched. The
    same large sizes also occur innocently (*decoys*): orders that are traded piece by piece
    ("block"), that are withdrawn after a long time ("slow"), and quotes on both sides that are
    withdrawn together ("both sides"). Use it to see whether a detector finds the pattern and not
    the size; a ranking of methods on it says little about a real exchange.

    Parameters
    ----------
    n_traders
        At least 1; they differ in activity, size and patience.
    n_steps
        Steps of each trader, at least 100. 400 are a day.
    n_episodes
        Planted episodes, 0 or more, at random traders and times.
    strength
        Volume of an episode's large orders in units of the trader's usual volume in a step,
        above 0. About 3 is hard to see, 12 is easy.
    decoys
        Decoys for each episode, 0 or more; with no episode, none.
    random_state
        Whole number for repeatable books.

    Raises
    ------
    ParameterError
        Naming every argument that breaks its rule.
    DataError
        If there is no room for the episodes.

    Examples
    --------
    >>> book = make_order_book(3, 200, 2, random_state=0)
    >>> book.table.height, book.episodes.height, book.orders["kind"].n_unique() > 2
    (600, 2, True)
    """
    check_params("make_order_book", locals(), _RULES)
    rng = np.random.default_rng(random_state)
    traders = _Traders.draw(n_traders, rng)
    n_decoys = round(decoys * n_episodes)
    slots = _slots(n_traders, n_steps, n_episodes + n_decoys, rng)
    parts = [_usual(traders, n_steps, rng)]
    planted = []
    for trader, step in slots[:n_episodes].tolist():
        side, length = int(rng.integers(2)), int(rng.integers(*EPISODE_STEPS, endpoint=True))
        planted.append((trader, step, step + length, side))
        parts.append(_episode(traders, planted[-1], strength, rng))
    for place, (trader, step) in enumerate(slots[n_episodes:].tolist()):
        make = _DECOYS[DECOYS[place % len(DECOYS)]]
        parts.append(make(traders, (trader, step), strength, rng))
    orders = pl.concat(parts).filter(pl.col("size") > 0).sort("trader", "step", maintain_order=True)
    names = ["trader", "step", "end", "side"]
    types = dict.fromkeys(names, pl.Int64)
    episodes = pl.DataFrame(planted, schema=types, orient="row").sort("trader", "step")
    return OrderBook(_table(orders, episodes, n_traders, n_steps, rng), orders, episodes)


_RULES: dict[str, Rule] = {
    "n_traders": integer(1),
    "n_steps": integer(100),
    "n_episodes": integer(0),
    "strength": real(0, bounds="()"),
    "decoys": real(0),
    "random_state": optional(integer(0)),
}


@dataclass(frozen=True)
class _Traders:
    """Habits of each trader, shape (traders,)."""

    rate: NDArray[np.float64]  # orders per step
    size: NDArray[np.float64]  # median size
    cancelled: NDArray[np.float64]  # share of orders withdrawn
    life: NDArray[np.float64]  # mean steps until an order ends

    @classmethod
    def draw(cls, n: int, rng: np.random.Generator) -> _Traders:
        return cls(
            rate=rng.lognormal(0.3, 0.5, n),
            size=rng.lognormal(3.0, 0.7, n),
            cancelled=rng.uniform(0.4, 0.95, n),
            life=rng.uniform(1.5, 8.0, n),
        )

    def usual_volume(self, trader: int) -> float:
        return float(self.rate[trader] * self.size[trader])


def _slots(n_traders: int, n_steps: int, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Different (trader, step) pairs, far enough apart not to overlap."""
    starts = np.arange(MARGIN, n_steps - MARGIN, MARGIN)
    if n > len(starts) * n_traders:
        raise DataError(
            f"make_order_book: {n} episodes and decoys do not fit into {n_traders} traders of "
            f"{n_steps} steps; there is room for {len(starts) * n_traders}"
        )
    drawn = rng.permutation(len(starts) * n_traders)[:n]
    # Not all on the same grid: a slot is wider than an episode.
    step = starts[drawn % len(starts)] + rng.integers(0, MARGIN // 4, n)
    return np.column_stack([drawn // len(starts), step])


def _orders(
    trader: ArrayLike,
    step: ArrayLike,
    side: ArrayLike,
    size: ArrayLike,
    end: ArrayLike,
    traded: ArrayLike,
    kind: str,
) -> pl.DataFrame:
    columns = np.broadcast_arrays(trader, step, side, size, end, traded)
    types = (np.int64, np.int64, np.int64, np.float64, np.int64, np.bool_)
    values: list[NDArray[Any]] = [
        np.atleast_1d(c).astype(t) for c, t in zip(columns, types, strict=True)
    ]
    return pl.DataFrame(dict(zip(_COLUMNS, [*values, [kind] * len(values[0])], strict=True)))


def _usual(traders: _Traders, n_steps: int, rng: np.random.Generator) -> pl.DataFrame:
    day = np.arange(n_steps) % CYCLE_STEPS / CYCLE_STEPS
    busy = 0.6 + 1.6 * (2 * day - 1) ** 2
    # Quiet and hectic times of each trader, slow to change.
    mood = np.exp(0.5 * _slow(rng.normal(size=(len(traders.rate), n_steps))))
    counts = rng.poisson(traders.rate[:, None] * busy * mood)
    trader, step = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    n = len(trader)
    size = traders.size[trader] * rng.lognormal(0.0, 0.7, n)
    end = step + rng.geometric(1 / traders.life[trader])
    traded = rng.random(n) >= traders.cancelled[trader]
    return _orders(trader, step, rng.integers(0, 2, n), np.ceil(size), end, traded, "usual")


def _slow(noise: NDArray[np.float64], keep: float = 0.97) -> NDArray[np.float64]:
    """Autoregressive series of variance 1 along the last axis."""
    out = noise.copy()
    for step in range(1, noise.shape[1]):
        out[:, step] = keep * out[:, step - 1] + np.sqrt(1 - keep**2) * noise[:, step]
    return out


def _large(volume: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Sizes of a few orders that have this volume together."""
    shares = rng.dirichlet(np.full(int(rng.integers(3, 7)), 6.0))
    return np.ceil(shares * volume)


def _episode(
    traders: _Traders, plan: tuple[int, int, int, int], strength: float, rng: np.random.Generator
) -> pl.DataFrame:
    trader, start, end, side = plan
    usual = traders.usual_volume(trader)
    sizes = _large(strength * usual, rng)
    placed = start + rng.integers(0, 2, len(sizes))
    large = _orders(trader, placed, side, sizes, end, False, "spoof")
    steps = rng.integers(start + 1, end, 2)
    own = np.ceil(np.full(2, 0.5 * usual))
    return pl.concat([large, _orders(trader, steps, 1 - side, own, steps, True, "spoof trade")])


def _block(
    traders: _Traders, slot: tuple[int, int], strength: float, rng: np.random.Generator
) -> pl.DataFrame:
    """Large orders that are traded, one after the other."""
    sizes = _large(strength * traders.usual_volume(slot[0]), rng)
    start = slot[1] + rng.integers(0, 2, len(sizes))
    end = slot[1] + rng.integers(*EPISODE_STEPS, len(sizes))
    return _orders(slot[0], start, int(rng.integers(2)), sizes, end, True, "block")


def _slow_order(
    traders: _Traders, slot: tuple[int, int], strength: float, rng: np.random.Generator
) -> pl.DataFrame:
    """Large orders that are withdrawn long after, one by one."""
    sizes = _large(strength * traders.usual_volume(slot[0]), rng)
    start = slot[1] + rng.integers(0, 2, len(sizes))
    end = slot[1] + rng.integers(12, 26, len(sizes))
    return _orders(slot[0], start, int(rng.integers(2)), sizes, end, False, "slow")


def _both_sides(
    traders: _Traders, slot: tuple[int, int], strength: float, rng: np.random.Generator
) -> pl.DataFrame:
    """Large quotes on both sides, withdrawn together: a market maker steps back."""
    sizes = _large(strength * traders.usual_volume(slot[0]), rng)
    start = slot[1] + rng.integers(0, 2, len(sizes))
    end = slot[1] + int(rng.integers(*EPISODE_STEPS))
    return _orders(slot[0], start, np.arange(len(sizes)) % 2, sizes, end, False, "both sides")


_Decoy = Callable[[_Traders, tuple[int, int], float, np.random.Generator], pl.DataFrame]
_DECOYS: dict[str, _Decoy] = {"block": _block, "slow": _slow_order, "both sides": _both_sides}


def _table(
    orders: pl.DataFrame,
    episodes: pl.DataFrame,
    n_traders: int,
    n_steps: int,
    rng: np.random.Generator,
) -> pl.DataFrame:
    volumes = np.zeros((6, n_traders, n_steps))
    trader, side = orders["trader"].to_numpy(), orders["side"].to_numpy()
    size, traded = orders["size"].to_numpy(), orders["traded"].to_numpy().astype(int)
    np.add.at(volumes, (side, trader, orders["step"].to_numpy()), size)
    end = orders["end"].to_numpy()
    inside = end < n_steps
    channel = 2 + 2 * traded + side
    np.add.at(volumes, (channel[inside], trader[inside], end[inside]), size[inside])
    spoofing = np.zeros((n_traders, n_steps), dtype=np.int8)
    for who, start, stop, _ in episodes.iter_rows():
        spoofing[who, start : stop + 1] = 1
    who, step = np.indices((n_traders, n_steps))
    resting = np.cumsum(volumes[:2] - volumes[2:4] - volumes[4:], axis=2)
    both = np.concatenate([volumes, resting]).reshape(len(CHANNELS), -1)
    columns = dict(zip(CHANNELS, both, strict=True))
    move = np.tile(_moves(volumes, rng), n_traders)
    keys = {"trader": who.ravel(), "step": step.ravel()}
    return pl.DataFrame({**keys, **columns, "move": move, "spoofing": spoofing.ravel()})


def _moves(volumes: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Of the middle price: what is placed and traded on a side pushes it."""
    net = volumes.sum(1)
    placed, cancelled, traded = (net[i] - net[i + 1] for i in (0, 2, 4))
    push = placed - cancelled + 2 * traded
    moves: NDArray[np.float64] = push / (push.std() + 1e-9) + rng.normal(0, 1.5, push.shape)
    return moves
