"""What a score brings when it is used: gain table, lift and profit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from thinfile.errors import DataError, ParameterError
from thinfile.metrics.inputs import Floats, check_labels, check_values, check_weight


@dataclass(frozen=True)
class GainTable:
    """One line per bin of the score, highest score first; arrays of (bins,).

    Attributes
    ----------
    n_rows, n_positive : (bins,)
        Rows (or weight) and rows of class 1 in the bin; fractions where a tie is cut.
    rate : (bins,)
        Rate of class 1 in the bin.
    lift : (bins,)
        The bin's rate over the rate of all.
    share_rows, share_positive : (bins,)
        Shares of all rows and of all class 1 from the top to the end of the bin.
    cumulative_lift : (bins,)
        Rate from the top to the end of the bin, over the rate of all.
    """

    n_rows: Floats
    n_positive: Floats
    rate: Floats
    lift: Floats
    share_rows: Floats
    share_positive: Floats
    cumulative_lift: Floats


@dataclass(frozen=True)
class ProfitCurve:
    """Profit by the share of applicants accepted, lowest score first; arrays of (points,).

    `best_share` and `best_profit` are where it is highest; accepting nobody brings 0.
    """

    share_accepted: Floats
    profit: Floats
    best_share: float
    best_profit: float


def gain_table(
    y: ArrayLike, score: ArrayLike, *, weight: ArrayLike | None = None, n_bins: int = 10
) -> GainTable:
    """Cut the rows into equal shares by score and count class 1 in each.

    Rows of one score that a cut runs through are divided in proportion, so the order of rows in
    the table never matters.

    Parameters
    ----------
    y : (rows,)
        0 or 1; both must occur.
    score : (rows,)
        Higher means more likely 1.
    weight : (rows,), optional
        Not negative.
    n_bins
        At least 1.

    Raises
    ------
    DataError
        If a class is missing, lengths differ or a value is not finite.

    Examples
    --------
    >>> gain_table([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], n_bins=2).lift
    array([1., 1.])
    """
    if n_bins < 1:
        raise ParameterError(f"gain_table: n_bins={n_bins} must be a whole number ≥ 1")
    total, positive = _cumulated(y, score, weight)
    shares = np.linspace(0, 1, n_bins + 1)
    caught = np.interp(shares * total[-1], total, positive)
    n_rows, n_positive = np.full(n_bins, total[-1] / n_bins), np.diff(caught)
    overall = positive[-1] / total[-1]
    rate = n_positive / n_rows
    return GainTable(
        n_rows=n_rows,
        n_positive=n_positive,
        rate=rate,
        lift=rate / overall,
        share_rows=shares[1:],
        share_positive=caught[1:] / positive[-1],
        cumulative_lift=caught[1:] / positive[-1] / shares[1:],
    )


def lift_at(
    y: ArrayLike, score: ArrayLike, share: float, *, weight: ArrayLike | None = None
) -> float:
    """Rate of class 1 among the top `share` of rows, over the rate of all rows.

    Parameters
    ----------
    y, score, weight
        As in :func:`gain_table`.
    share
        In (0, 1].

    Examples
    --------
    >>> lift_at([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.25)
    2.0
    """
    if not 0 < share <= 1:
        raise ParameterError(f"lift_at: share={share} must be a number in (0, 1]")
    total, positive = _cumulated(y, score, weight)
    return float(np.interp(share * total[-1], total, positive) / positive[-1] / share)


def lift_curve(
    y: ArrayLike, score: ArrayLike, *, weight: ArrayLike | None = None, n_points: int = 100
) -> tuple[Floats, Floats]:
    """Share of rows from the top against the share of class 1 caught; `n_points` + 1 points.

    Both run from 0 to 1; for drawing. A score without information lies on the diagonal.
    """
    if n_points < 1:
        raise ParameterError(f"lift_curve: n_points={n_points} must be a whole number ≥ 1")
    total, positive = _cumulated(y, score, weight)
    shares = np.linspace(0, 1, n_points + 1)
    return shares, np.interp(shares * total[-1], total, positive) / positive[-1]


def profit_curve(
    y: ArrayLike,
    score: ArrayLike,
    *,
    gain: float,
    loss: float,
    weight: ArrayLike | None = None,
    n_points: int = 100,
) -> ProfitCurve:
    """Profit of accepting the rows with the lowest scores, by the share accepted.

    Parameters
    ----------
    y, score, weight
        As in :func:`gain_table`; class 1 is bad.
    gain
        What an accepted row of class 0 brings, in money, ≥ 0.
    loss
        What an accepted row of class 1 costs, in money, ≥ 0.
    n_points
        Points besides the one where nobody is accepted, at least 1.

    Examples
    --------
    >>> profit_curve([0, 0, 1], [0.1, 0.2, 0.9], gain=1, loss=5, n_points=3).profit
    array([ 0.,  1.,  2., -3.])
    """
    if gain < 0 or loss < 0 or n_points < 1:
        raise ParameterError(
            f"profit_curve: gain={gain} and loss={loss} must be ≥ 0, "
            f"n_points={n_points} a whole number ≥ 1"
        )
    total, positive = _cumulated(y, score, weight)
    shares = np.linspace(0, 1, n_points + 1)
    n_accepted = shares * total[-1]
    n_bad = positive[-1] - np.interp(total[-1] - n_accepted, total, positive)
    profit = gain * (n_accepted - n_bad) - loss * n_bad
    best = int(np.argmax(profit))
    return ProfitCurve(shares, profit, float(shares[best]), float(profit[best]))


def _cumulated(y: ArrayLike, score: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats]:
    """Return weight of all and of class 1, from the highest score down, one point per score."""
    labels = check_labels(y)
    scores = check_values("score", score, labels.size)
    weights = check_weight(weight, labels.size)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), labels.size - 1)
    total = np.append(0.0, np.cumsum(weights[order])[ends])
    positive = np.append(0.0, np.cumsum((weights * labels)[order])[ends])
    if positive[-1] == 0:
        raise DataError("weight: the rows of class 1 have no weight")
    return total, positive
