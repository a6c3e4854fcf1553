"""Attacks that ask: can somebody with the made rows tell who was in the training table?

Distances to the closest record say little about this. The attacks here get the made rows and a
reference sample of the population, and score rows of the training table and rows that no
generator has seen; the area under the curve is what they are judged by, and the share of the
members that are found at a false-alarm rate of 1%.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from thinfile.errors import DataError
from thinfile.metrics.intervals import paired_bootstrap
from thinfile.synthetic.neighbours import Floats, Matrix, nearest
from thinfile.trees import TreeSettings, fit_trees, predict_trees

MAX_TARGETS, MAX_MADE, MAX_REFERENCE = 5_000, 50_000, 20_000
MIN_TARGETS, MIN_REFERENCE = 20, 100
"""Members and non-members that an attack is measured on at least, and reference rows that the two
attacks that need them start from."""

FALSE_ALARMS = 0.01
MIN_OUTSIDERS = 100
"""Non-members below which a false-alarm rate of 1% cannot be seen."""

N_DRAWS = 300
N_CURVE = 60

CLOSENESS = "closeness"
DENSITY = "density ratio by neighbours"
TREES = "density ratio by trees"
REFERENCES = {
    CLOSENESS: "Chen, Yu, Zhang and Fritz, GAN-Leaks, CCS 2020",
    DENSITY: "van Breugel, Sun, Qian and van der Schaar, DOMIAS, AISTATS 2023",
    TREES: "the same, densities by a classifier",
}


@dataclass(frozen=True)
class Attack:
    """One attack and how far it got.

    Attributes
    ----------
    name : str
    auc, low, high : float
        Chance that a member scores above a non-member; 0.5 is guessing. The interval is wider
        than 95% by as much as there are attacks, because the worst of them is looked at.
    found, found_low, found_high : float or None
        Share of the members found at 1% false alarms; None with fewer than 100 non-members.
    lowest : float
        Least false-alarm rate that can be measured: one of the non-members.
    curve : list of (float, float)
        False-alarm rate and share found; between no false alarm and `lowest` there is no point.
    """

    name: str
    auc: float
    low: float
    high: float
    found: float | None
    found_low: float | None
    found_high: float | None
    lowest: float
    curve: list[tuple[float, float]] = field(repr=False, default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self) | {"curve": [list(point) for point in self.curve]}


@dataclass(frozen=True)
class Targets:
    """Whom the attacks are measured on, and what they know.

    Attributes
    ----------
    members, outsiders : ndarray of shape (rows, dimensions)
        Rows the generator was trained on, and rows it was not.
    reference : ndarray
        Other rows that it was not trained on: the attacker's knowledge of the population.
    """

    members: Matrix
    outsiders: Matrix
    reference: Matrix

    @classmethod
    def of(cls, real: Matrix, holdout: Matrix, random_state: int) -> Targets:
        """Members from the real rows; half of the hold-out to be told apart, half as reference.

        Raises
        ------
        DataError
            If there are too few rows on either side.
        """
        rng = np.random.default_rng(random_state)
        shuffled = holdout[rng.permutation(len(holdout))]
        n_outsiders = min(MAX_TARGETS, max(len(holdout) // 2, min(MIN_TARGETS, len(holdout))))
        members = real[rng.permutation(len(real))[:MAX_TARGETS]]
        few = min(len(members), n_outsiders)
        if few < MIN_TARGETS:
            raise DataError(
                f"{len(real)} training rows and {len(holdout)} hold-out rows; an attack is "
                f"measured on {MIN_TARGETS} of each at least"
            )
        rest = shuffled[n_outsiders : n_outsiders + MAX_REFERENCE]
        return cls(members, shuffled[:n_outsiders], rest)


def attack(made: Matrix, targets: Targets, *, random_state: int = 0) -> list[Attack]:
    """Run every attack that the rows suffice for, the most successful first.

    Parameters
    ----------
    made : ndarray of shape (rows, dimensions)
        What the attacker holds.
    targets : Targets
    random_state : int
    """
    rng = np.random.default_rng(random_state)
    made = made[rng.permutation(len(made))[:MAX_MADE]]
    rows = np.concatenate([targets.members, targets.outsiders])
    y = np.r_[np.ones(len(targets.members), int), np.zeros(len(targets.outsiders), int)]
    to_made = nearest(rows, made)
    scores = {CLOSENESS: -to_made}
    if len(targets.reference) >= MIN_REFERENCE:
        # The density of a nearest neighbour's law: its logarithm falls with that of the distance.
        floor = 1e-6
        to_reference = nearest(rows, targets.reference)
        scores[DENSITY] = np.log(to_reference + floor) - np.log(to_made + floor)
        scores[TREES] = _tree_ratio(rows, made, targets.reference, random_state)
    return _measure(y, scores, random_state)


def _tree_ratio(rows: Matrix, made: Matrix, reference: Matrix, seed: int) -> Floats:
    n = min(len(made), 5 * len(reference), MAX_REFERENCE)
    x = np.concatenate([made[:n], reference])
    y = np.r_[np.ones(n, int), np.zeros(len(reference), int)]
    trees = fit_trees(
        x, y, categories=range(0), seed=seed, settings=TreeSettings(n_trees=100, min_leaf_rows=5)
    )
    return predict_trees(trees, rows)


def _measure(y: npt.NDArray[Any], scores: dict[str, Floats], seed: int) -> list[Attack]:
    names = list(scores)
    stacked = np.stack(list(scores.values()))[:, None]
    level = 1 - 0.05 / len(names)
    found = paired_bootstrap(y, stacked, n_draws=N_DRAWS, random_state=seed, level=level)
    attacks = []
    for place, name in enumerate(names):
        share = _found(y, scores[name], level, seed)
        attacks.append(
            Attack(
                name,
                float(found.point[place]),
                float(found.low[place]),
                float(found.high[place]),
                *share,
                lowest=1 / int((y == 0).sum()),
                curve=_curve(y, scores[name]),
            )
        )
    return sorted(attacks, key=lambda each: -each.auc)


def _found(
    y: npt.NDArray[Any], score: Floats, level: float, seed: int
) -> tuple[float | None, float | None, float | None]:
    """Share of the members above all but 1% of the others, with a bootstrap interval."""
    members, outsiders = score[y == 1], score[y == 0]
    if len(outsiders) < MIN_OUTSIDERS:
        return None, None, None
    rng = np.random.default_rng(seed)
    drawn = [
        share_found(
            members[rng.integers(0, len(members), len(members))],
            outsiders[rng.integers(0, len(outsiders), len(outsiders))],
        )
        for _ in range(N_DRAWS)
    ]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return share_found(members, outsiders), float(low), float(high)


def share_found(members: Floats, outsiders: Floats, false_alarms: float = FALSE_ALARMS) -> float:
    """Share of members above a threshold that at most this share of the outsiders passes.

    Examples
    --------
    >>> import numpy as np
    >>> share_found(np.array([0.2, 0.8, 0.9, 2.0]), np.arange(100) / 100)
    0.25
    """
    allowed = int(np.floor(false_alarms * len(outsiders) + 1e-9))  # 49 * (1 / 49) is below 1
    threshold = np.partition(outsiders, len(outsiders) - allowed - 1)[len(outsiders) - allowed - 1]
    return float(np.mean(members > threshold))


def _curve(y: npt.NDArray[Any], score: Floats) -> list[tuple[float, float]]:
    members, outsiders = np.sort(score[y == 1]), np.sort(score[y == 0])
    lowest = 1 / len(outsiders)
    rates = np.unique(np.r_[np.geomspace(max(lowest, 1e-3), 1.0, N_CURVE), FALSE_ALARMS])
    points = [(0.0, share_found(members, outsiders, 0.0))]
    for rate in rates[(rates >= lowest) & (rates < 1)].tolist():
        points.append((rate, share_found(members, outsiders, rate)))
    return [*points, (1.0, 1.0)]
