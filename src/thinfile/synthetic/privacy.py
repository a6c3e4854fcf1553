"""What the made rows give away of the training rows: copies, distances, and attacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thinfile.data.row_hash import known, row_hashes
from thinfile.errors import DataError
from thinfile.metrics.calibration import wilson_interval
from thinfile.synthetic.membership import Attack, Targets, attack
from thinfile.synthetic.neighbours import Floats, Matrix, Space, nearest
from thinfile.synthetic.sides import Sides, some

MAX_QUERIES = 5_000
"""Rows whose nearest neighbours are looked for; a share of so many is known to ±0.014."""

MAX_ROWS = 200_000
"""Rows of each side that are nearest neighbours or not; more would only cost memory. Copies are
looked for among all rows."""

MIN_HOLDOUT = 20
"""Hold-out rows below which their distances are no yardstick."""

NEAR_SHARES = (0.01, 0.05)
"""Shares of the hold-out that lie this near to training rows; more of the made rows must not."""


@dataclass(frozen=True)
class Share:
    """A share with its 95% interval (Wilson), and what it would be without memory."""

    value: float
    low: float
    high: float
    expected: float
    n: int

    @classmethod
    def of(cls, count: float, n: int, expected: float) -> Share:
        """From a count; ties may count half."""
        low, high = wilson_interval(count, n)
        return cls(count / n, float(low), float(high), expected, n)


@dataclass(frozen=True)
class Distances:
    """Distances to the closest training row.

    Attributes
    ----------
    made, holdout : ndarray
        Of the made rows and of the hold-out rows.
    near : dict
        Share of the made rows that lie nearer to a training row than all but 1% and 5% of the
        hold-out rows do, by the text of that share ("0.01", "0.05"); 1% needs 100 hold-out rows.
    nearer : Share
        Made rows whose closest training row is nearer than their closest hold-out row, with as
        many rows of each to choose from; 0.5 is expected.
    """

    made: Floats = field(repr=False)
    holdout: Floats = field(repr=False)
    near: dict[str, Share]
    nearer: Share

    def to_dict(self) -> dict[str, Any]:
        """Quantiles and shares as plain JSON values."""
        at = [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95]
        return {
            "quantiles": at,
            "made": np.quantile(self.made, at).tolist(),
            "holdout": np.quantile(self.holdout, at).tolist(),
            "near": {name: vars(share) for name, share in self.near.items()},
            "nearer_to_training": vars(self.nearer),
        }


@dataclass(frozen=True)
class Privacy:
    """Everything about what is given away.

    Attributes
    ----------
    n_made, n_copies : int
        Made rows, and those among them that equal a training row in every column but the label.
    n_repeats : int
        Made rows that equal an earlier made row.
    copies_holdout : float or None
        Share of the hold-out rows that equal a training row: what chance does.
    distances : Distances or None
    attacks : list of Attack
        The most successful first; empty where none could be measured.
    unmeasured : list of str
        What could not be measured, and why.
    """

    n_made: int
    n_copies: int
    n_repeats: int
    copies_holdout: float | None
    distances: Distances | None
    attacks: list[Attack]
    unmeasured: list[str]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "n_made": self.n_made,
            "n_copies": self.n_copies,
            "n_repeats": self.n_repeats,
            "copies_holdout": self.copies_holdout,
            "distances": None if self.distances is None else self.distances.to_dict(),
            "attacks": [each.to_dict() for each in self.attacks],
            "unmeasured": self.unmeasured,
        }


def judge_privacy(sides: Sides, *, random_state: int = 0) -> Privacy:
    """Look for copies, near copies and members; what cannot be measured is named in the result.

    The label takes no part: a person is known by the other columns.

    Parameters
    ----------
    sides : Sides
    random_state : int
        For the rows that are drawn where a table is large.

    References
    ----------
    van Breugel, Sun, Qian and van der Schaar, "Membership inference attacks against synthetic
    data through overfitting detection", AISTATS 2023. Yao and others, "The DCR delusion:
    measuring the privacy risk of synthetic data", 2025.
    """
    features = sides.features
    made_hashes = row_hashes(sides.made.select(features))
    real_hashes = np.unique(row_hashes(sides.real.select(features)))
    copies_holdout = None
    if sides.holdout is not None:
        own = known(sides.holdout.select(features), real_hashes)
        copies_holdout = float(own.mean())
    distances, attacks, unmeasured = _measure(sides, random_state)
    return Privacy(
        n_made=len(made_hashes),
        n_copies=int(known(made_hashes, real_hashes).sum()),
        n_repeats=len(made_hashes) - len(np.unique(made_hashes)),
        copies_holdout=copies_holdout,
        distances=distances,
        attacks=attacks,
        unmeasured=unmeasured,
    )


def _measure(sides: Sides, seed: int) -> tuple[Distances | None, list[Attack], list[str]]:
    if sides.holdout is None:
        reason = "there are no hold-out rows that the generator has not seen"
        return None, [], [f"distances and membership attacks: {reason}"]
    n_holdout = sides.holdout.height
    if n_holdout < MIN_HOLDOUT:
        reason = f"{n_holdout} hold-out rows, and {MIN_HOLDOUT} are needed"
        return None, [], [f"distances and membership attacks: {reason}"]
    features, unmeasured, attacks = sides.features, [], list[Attack]()
    try:
        space = Space.of(
            sides.feature_schema(), sides.real.select(features), sides.holdout.select(features)
        )
    except DataError as error:
        return None, [], [f"distances and membership attacks: {error}"]
    real, made, holdout = (
        space.place(some(frame.select(features), MAX_ROWS, seed))
        for frame in (sides.real, sides.made, sides.holdout)
    )
    distances = _distances(real, made, holdout, seed)
    if len(distances.near) < len(NEAR_SHARES):
        unmeasured.append(f"the nearest 1% of the hold-out: {n_holdout} rows, and 100 are needed")
    try:
        targets = Targets.of(real, holdout, seed)
        attacks = attack(made, targets, random_state=seed)
        unmeasured += _not_attacked(attacks, targets)
    except DataError as error:
        unmeasured.append(f"membership attacks: {error}")
    return distances, attacks, unmeasured


def _not_attacked(attacks: list[Attack], targets: Targets) -> list[str]:
    said = []
    if len(attacks) < 3:
        said.append(
            f"attacks by density ratio: {len(targets.reference)} hold-out rows are left for "
            "reference, and 100 are needed"
        )
    if attacks[0].found is None:
        said.append(
            f"members found at 1% false alarms: {len(targets.outsiders)} non-members, and 100 "
            "are needed"
        )
    return said


def _distances(real: Matrix, made: Matrix, holdout: Matrix, seed: int) -> Distances:
    rng = np.random.default_rng(seed)
    queries, controls = _draw(made, MAX_QUERIES, rng), _draw(holdout, MAX_QUERIES, rng)
    own, other = nearest(queries, real), nearest(controls, real)
    n_each = min(len(real), len(holdout))
    first = nearest(queries, _draw(real, n_each, rng))
    second = nearest(queries, _draw(holdout, n_each, rng))
    wins = float((first < second).sum() + 0.5 * (first == second).sum())
    near = {
        str(share): _near(own, other, share) for share in NEAR_SHARES if len(other) * share >= 1
    }
    return Distances(own, other, near, Share.of(wins, len(queries), 0.5))


def _near(made: Floats, holdout: Floats, share: float) -> Share:
    threshold = np.quantile(holdout, share)
    # Strictly nearer, and of those at the threshold itself no more than the hold-out has.
    count = float((made < threshold).sum())
    expected = float((holdout < threshold).mean())
    if expected < share:
        count, expected = float((made <= threshold).sum()), float((holdout <= threshold).mean())
    return Share.of(count, len(made), expected)


def _draw(rows: Matrix, n: int, rng: np.random.Generator) -> Matrix:
    if len(rows) <= n:
        return rows
    drawn: Matrix = rows[rng.choice(len(rows), n, replace=False)]
    return drawn
