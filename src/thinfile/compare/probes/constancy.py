"""Is something fixed for each key in one class, and not in the other?

Typical of negatives that somebody made up: each app is either free or paid, but an invented
"did not use it" row carries the price of another app.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinfile.compare.probes.coding import Code, Codes, Tables
from thinfile.compare.probes.finding import Finding
from thinfile.compare.probes.strength import Labels, Values, two_classes

PROBE = "constant in one class"
LIMIT = 0.05
"""How much more often two rows of a key must agree in one class than in the other."""
CONSTANT = 0.99
VARIED = 0.95
"""How often two rows of *different* keys may agree: else the attribute is fixed for all keys."""
MIN_KEYS = 30
MAX_ROWS = 50_000
"""Rows looked at for one key: all rows of some of its values, not some rows of all."""
MAX_VALUES = 1000
"""Values of an attribute beyond which it is a measurement and no attribute of a key."""


class Agreement(NamedTuple):
    """How often two rows of one key agree, mean over the keys, by class; `n` keys.

    `chance` is how often two rows of any keys agree, in the class that agrees more.
    """

    negative: float
    positive: float
    chance: float
    n: int

    @property
    def gap(self) -> float:
        """Difference between the classes where one of them is constant per key, else 0."""
        if max(self.negative, self.positive) < CONSTANT or self.chance > VARIED:
            return 0.0
        return abs(self.negative - self.positive)


def probe_constancy(
    tables: Tables, keys: dict[str, Code], attributes: dict[str, Code]
) -> list[Finding]:
    """Each key and attribute of which this holds, or one finding that none was found."""
    if not two_classes(tables.y_train):
        return []
    found: dict[tuple[str, str], Agreement] = {}
    for key, code in keys.items():
        rows = _whole_keys(code)
        y, values = tables.y_train[rows], code.train[rows]
        for name in attributes:
            if name != key:
                found[key, name] = agreement(values, attributes[name].train[rows], y)
    found = {pair: each for pair, each in found.items() if each.n >= MIN_KEYS}
    if not found:
        return []
    leaks = [pair for pair, each in found.items() if each.gap > LIMIT]
    if leaks:
        leaks.sort(key=lambda pair: -found[pair].gap)
        return [_flagged(pair, found[pair]) for pair in leaks]
    best = max(found, key=lambda pair: found[pair].gap)
    words = f"None of {len(found)} attributes is fixed for each value of a key in one class only."
    return [Finding(PROBE, "", found[best].gap, LIMIT, False, words)]


def agreement(key: Codes, attribute: Codes, y: Labels) -> Agreement:
    """Chance that two rows of one key and class have the same attribute.

    Keys with two rows or more in both classes; each key counts once, whatever its size, so that a
    rare class with few rows per key can be held against a frequent one.

    Examples
    --------
    >>> key, price, y = np.array([1] * 4), np.array([5, 5, 5, 7]), np.array([1, 1, 0, 0])
    >>> agreement(key, price, y)
    Agreement(negative=0.0, positive=1.0, chance=1.0, n=1)
    """
    n_keys = int(key.max(initial=0)) + 1
    known = (key > 0) & (attribute > 0)
    shares = [
        _by_key(key[mine], attribute[mine], n_keys) for mine in (known & (y == c) for c in (0, 1))
    ]
    both = ~np.isnan(shares[0]) & ~np.isnan(shares[1])
    if not both.any():
        return Agreement(0.0, 0.0, 0.0, 0)
    means = [float(share[both].mean()) for share in shares]
    chance = _chance(attribute[known & (y == int(means[1] > means[0]))])
    return Agreement(means[0], means[1], chance, int(both.sum()))


def _chance(attribute: Codes) -> float:
    counts = np.unique(attribute, return_counts=True)[1].astype(np.float64)
    n = counts.sum()
    return float((counts * (counts - 1)).sum() / (n * (n - 1)))


def _whole_keys(code: Code) -> npt.NDArray[np.intp]:
    """Rows of the first values in a fixed random order, until they are enough."""
    counts = np.bincount(code.train, minlength=code.n)
    order = np.random.default_rng(0).permutation(code.n)
    n_values = int(np.searchsorted(np.cumsum(counts[order]), MAX_ROWS, side="right"))
    chosen = np.zeros(code.n, dtype=bool)
    chosen[order[: max(n_values, 1)]] = True
    return np.flatnonzero(chosen[code.train])


def _by_key(key: Codes, attribute: Codes, n_keys: int) -> Values:
    """For each key the share of its pairs of rows that agree; NaN below two rows."""
    n_values = int(attribute.max(initial=0)) + 1
    cells, counts = np.unique(key * n_values + attribute, return_counts=True)
    alike = np.bincount(cells // n_values, weights=counts * (counts - 1.0), minlength=n_keys)
    n = np.bincount(key, minlength=n_keys).astype(np.float64)
    shares: Values = np.divide(alike, n * (n - 1), out=np.full(n_keys, np.nan), where=n > 1)
    return shares


def _flagged(names: Sequence[str], found: Agreement) -> Finding:
    constant, other = ("positives", "negatives")
    if found.negative > found.positive:
        constant, other = other, constant
    low = min(found.negative, found.positive)
    words = (
        f"For each {names[0]!r}, {names[1]!r} is the same in all {constant} but changes within the "
        f"{other} (two rows agree {low:.0%} of the time): unless customers really are like that, "
        f"the rows of one class were made up, and a model learns how."
    )
    return Finding(PROBE, f"{names[1]} by {names[0]}", found.gap, LIMIT, True, words)
