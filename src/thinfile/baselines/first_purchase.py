"""How likely the next visit brings the first purchase, after so many visits without one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import betaln, digamma

from thinfile.errors import DataError

FloatArray = npt.NDArray[np.float64]

LOG_BOUND = 10.0
"""Both parameters stay between e^-10 and e^10."""


@dataclass(frozen=True)
class FirstPurchase:
    """Each customer has a chance q per visit, drawn from a beta distribution.

    The longer somebody has come without buying the category, the less likely he ever will: that
    is why one share for all visits overstates regular visitors who never bought it.

    Attributes
    ----------
    c, d : float > 0
        The beta distribution of q; c / (c + d) is the chance at a first visit.

    References
    ----------
    Fader, Hardie: How to project customer retention, Journal of Interactive Marketing 21(1),
    2007 (the same law, there of leaving).

    Examples
    --------
    >>> FirstPurchase(1.0, 3.0).probability([0, 0, 4], [1.0, 2.0, 1.0]).round(3)
    array([0.25 , 0.4  , 0.125])
    """

    c: float
    d: float

    def probability(self, visits: npt.ArrayLike, further: npt.ArrayLike) -> FloatArray:
        """Probability of a first purchase in `further` visits, after `visits` without, shape (n,).

        `further` may be an expected number of visits.
        """
        before, more = (np.asarray(v, dtype=np.float64) for v in (visits, further))
        still = betaln(self.c, self.d + before + more) - betaln(self.c, self.d + before)
        return np.asarray(-np.expm1(still))


def fit_first_purchase(visits: npt.ArrayLike, bought: npt.ArrayLike) -> FirstPurchase:
    """Fit by maximum likelihood; no labels are needed.

    Parameters
    ----------
    visits : (n,)
        Visits up to and with the first purchase of the category, or so far; ≥ 1, fractions too.
    bought : (n,)
        Whether the last of them was the first purchase.

    Raises
    ------
    DataError
        If there is no customer or a customer has less than one visit.
    """
    count, was = np.asarray(visits, dtype=np.float64), np.asarray(bought, dtype=bool)
    if not len(count) or not (count >= 1).all():
        raise DataError(f"first purchase: each of {len(count)} customers needs at least one visit")
    rate = float(np.clip(was.sum() / count.sum(), 1e-4, 0.9))
    best = minimize(
        _loss,
        np.log([rate, 1.0 - rate]),
        args=(count - was, was.astype(np.float64)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-LOG_BOUND, LOG_BOUND)] * 2,
    )
    c, d = np.exp(best.x).tolist()
    return FirstPurchase(c, d)


def _loss(theta: FloatArray, without: FloatArray, bought: FloatArray) -> tuple[float, FloatArray]:
    """Mean negative log-likelihood and its gradient by log c and log d."""
    c, d = np.exp(theta)
    value = betaln(c + bought, d + without) - betaln(c, d)
    total = digamma(c + d) - digamma(c + d + bought + without)
    by_c = digamma(c + bought) - digamma(c) + total
    by_d = digamma(d + without) - digamma(d) + total
    return -float(value.mean()), -np.array([c * by_c.mean(), d * by_d.mean()])
