"""BG/NBD: how often a customer comes back, fitted to past purchases alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import minimize
from scipy.special import digamma, expit, gammaln

from thinfile.errors import DataError, ParameterError

FloatArray = npt.NDArray[np.float64]

LOG_BOUND = 12.0
"""Each parameter stays between e^-12 and e^12 (alpha: times the mean age)."""

NODES = 40
"""Points of the quadrature over the chance of dropping out."""


@dataclass(frozen=True)
class BGNBDParameters:
    """The law of repeat buying in a population of customers.

    While alive, a customer buys at a rate of his own, drawn from a gamma distribution; after each
    repeat purchase he drops out for good with a probability of his own, drawn from a beta
    distribution. Use it for what is bought again and again without a contract. It knows no
    seasons, no promotions and nothing of the customer but his purchases of this one kind.

    All methods take three arrays of shape (n,): repeat purchases (0 for a customer who bought
    once), recency (time from the first purchase to the last) and age (time from the first
    purchase to now), in one unit of time.

    Attributes
    ----------
    r, alpha : float > 0
        Shape and rate of the gamma distribution; `alpha` is in the unit of time.
    a, b : float > 0
        The beta distribution of the drop-out probability.

    References
    ----------
    Fader, Hardie, Lee: "Counting your customers" the easy way: an alternative to the Pareto/NBD
    model, Marketing Science 24(2), 2005.

    Examples
    --------
    >>> law = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> law.expected_purchases([2], [30.43], [38.86], 39.0).round(3)
    array([1.226])
    """

    r: float
    alpha: float
    a: float
    b: float

    def __post_init__(self) -> None:
        faults = [
            f"{name}={value!r} must be a finite number > 0"
            for name, value in asdict(self).items()
            if not (np.isfinite(value) and value > 0)
        ]
        if faults:
            raise ParameterError(f"BGNBDParameters: {'; '.join(faults)}")

    def probability_alive(
        self, repeat: npt.ArrayLike, recency: npt.ArrayLike, age: npt.ArrayLike
    ) -> FloatArray:
        """Probability that the customer has not dropped out, shape (n,); 1 where repeat is 0."""
        x, last, now = check_history(repeat, recency, age)
        log_dead = (
            np.log(self.a)
            - np.log(self.b + np.maximum(x, 1.0) - 1.0)
            + (self.r + x) * (np.log(self.alpha + now) - np.log(self.alpha + last))
        )
        return np.where(x > 0, expit(-log_dead), 1.0)

    def probability_of_purchase(
        self, repeat: npt.ArrayLike, recency: npt.ArrayLike, age: npt.ArrayLike, horizon: float
    ) -> FloatArray:
        """Probability of at least one purchase within `horizon` from now, shape (n,).

        Who is alive drops out only *after* a purchase, so he buys nothing within the horizon t
        with the probability of a gamma-Poisson count of 0, ((α + T) / (α + T + t))^(r + x).
        """
        x, _, now = check_history(repeat, recency, age)
        none = np.exp(-(self.r + x) * np.log1p(_check_horizon(horizon) / (self.alpha + now)))
        return np.asarray(self.probability_alive(repeat, recency, age) * (1.0 - none))

    def expected_purchases(
        self, repeat: npt.ArrayLike, recency: npt.ArrayLike, age: npt.ArrayLike, horizon: float
    ) -> FloatArray:
        """Expected number of purchases within `horizon` from now, shape (n,).

        The published closed form holds a Gauss hypergeometric function that overflows for large
        counts and is undefined at a = 1; here the mean over the drop-out probability p, of
        (1 − (1 + p·t / (α + T))^−(r + x)) / p, is a quadrature that has neither fault.
        """
        x, _, now = check_history(repeat, recency, age)
        share = _check_horizon(horizon) / (self.alpha + now)
        expected = np.empty(len(x))
        for count in np.unique(x):
            rows = np.flatnonzero(x == count)
            p, weight = _beta_quadrature(self.a, self.b + count)
            bought = -np.expm1(-(self.r + count) * np.log1p(np.outer(share[rows], p)))
            expected[rows] = (bought / p) @ weight
        return np.asarray(self.probability_alive(repeat, recency, age) * expected)

    def log_likelihood(
        self, repeat: npt.ArrayLike, recency: npt.ArrayLike, age: npt.ArrayLike
    ) -> float:
        """Log-likelihood of the histories, in all."""
        history = check_history(repeat, recency, age)
        theta = np.log([self.r, self.alpha, self.a, self.b])
        return -_loss(theta, *history, np.ones(len(history[0])))[0]


def fit_bg_nbd(
    repeat: npt.ArrayLike, recency: npt.ArrayLike, age: npt.ArrayLike
) -> BGNBDParameters:
    """Fit the law of repeat buying by maximum likelihood; no labels are needed.

    Use it with at least some hundred customers who have bought once; purchases on one day count
    as one. It is of no use where hardly anybody bought twice.

    Parameters
    ----------
    repeat : array-like of shape (n,)
        Purchases after the first, ≥ 0.
    recency : array-like of shape (n,)
        Time from the first purchase to the last, ≥ 0; 0 where `repeat` is 0.
    age : array-like of shape (n,)
        Time from the first purchase to the end of the observation, ≥ recency.

    Returns
    -------
    BGNBDParameters
        `alpha` in the unit of `recency` and `age`.

    Raises
    ------
    DataError
        If there is no customer, a number breaks its rule, or nobody bought twice.

    References
    ----------
    Fader, Hardie, Lee, Marketing Science 24(2), 2005.

    Examples
    --------
    >>> law = fit_bg_nbd([0, 2, 1, 0, 4], [0, 30.4, 1.7, 0, 38.0], [38.9, 38.9, 38.9, 37, 38.6])
    >>> bool(law.r > 0)
    True
    """
    x, last, now = check_history(repeat, recency, age)
    if not x.any():
        raise DataError(f"BG/NBD: none of {len(x)} customers bought twice: there is no law to fit")
    scale = max(float(now.mean()), 1e-12)
    x, last, now, weight = _count_alike(x, last / scale, now / scale)
    best = minimize(
        _loss,
        np.zeros(4),
        args=(x, last, now, weight),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-LOG_BOUND, LOG_BOUND)] * 4,
        options={"maxiter": 1000, "ftol": 1e-13, "gtol": 1e-9 * weight.sum()},
    )
    r, alpha, a, b = np.exp(best.x).tolist()
    return BGNBDParameters(r, alpha * scale, a, b)


def check_history(
    repeat: npt.ArrayLike, recency: npt.ArrayLike, age: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The three arrays as float64, or every fault of them in one message.

    Raises
    ------
    DataError
        If lengths differ, there is no row, or a value breaks its rule.
    """
    x, last, now = (np.asarray(v, dtype=np.float64).ravel() for v in (repeat, recency, age))
    if not len(x) == len(last) == len(now) or not len(x):
        raise DataError(
            f"BG/NBD: repeat, recency and age have {len(x)}, {len(last)} and {len(now)} values; "
            "one of each is needed for each customer, and at least one customer"
        )
    rules = (
        ("repeat", x, (x >= 0) & np.isfinite(x), "≥ 0"),
        ("recency", last, (last >= 0) & np.isfinite(last), "≥ 0"),
        ("age", now, (now >= last) & np.isfinite(now), "≥ recency"),
        ("recency", last, (last == 0) | (x > 0), "0 where repeat is 0"),
    )
    faults = [
        f"{name}: {np.sum(~good)} of {len(x)} rows are not {rule} "
        f"(first: row {np.argmin(good)}, {values[np.argmin(good)]})"
        for name, values, good, rule in rules
        if not good.all()
    ]
    if faults:
        raise DataError(f"BG/NBD: {'; '.join(faults)}")
    return x, last, now


def _check_horizon(horizon: float) -> float:
    if not (np.isfinite(horizon) and horizon > 0):
        raise ParameterError(f"BG/NBD: horizon={horizon!r} must be a finite number > 0")
    return float(horizon)


def _count_alike(
    x: FloatArray, last: FloatArray, now: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Each distinct history once, and how many customers have it."""
    order = np.lexsort((now, last, x))
    rows = np.stack([x, last, now])[:, order]
    first = np.concatenate([[True], (np.diff(rows) != 0).any(axis=0)])
    starts = np.flatnonzero(first)
    weight = np.diff(np.append(starts, len(x))).astype(np.float64)
    return rows[0, starts], rows[1, starts], rows[2, starts], weight


def _loss(
    theta: FloatArray, x: FloatArray, last: FloatArray, now: FloatArray, weight: FloatArray
) -> tuple[float, FloatArray]:
    """Negative log-likelihood and its gradient by the logarithms of r, alpha, a, b."""
    r, alpha, a, b = np.exp(theta)
    returned = x > 0
    since_start, since_last = np.log(alpha + now), np.log(alpha + last)
    alive = -(r + x) * since_start
    dead = np.log(a) - np.log(b + np.maximum(x, 1.0) - 1.0) - (r + x) * since_last
    value = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + _log_beta_ratio(a, b, x)
    value += np.where(returned, np.logaddexp(alive, dead), alive)
    q = np.where(returned, expit(dead - alive), 0.0)  # probability of having dropped out
    by_r = digamma(r + x) - digamma(r) + np.log(alpha) - (1 - q) * since_start - q * since_last
    by_alpha = r / alpha - (r + x) * ((1 - q) / (alpha + now) + q / (alpha + last))
    both = digamma(a + b) - digamma(a + b + x)
    by_a = both + q / a
    by_b = both + digamma(b + x) - digamma(b) - q / (b + np.maximum(x, 1.0) - 1.0)
    gradient = np.array([weight @ by_r, weight @ by_alpha, weight @ by_a, weight @ by_b])
    return -float(weight @ value), -gradient * np.array([r, alpha, a, b])


def _log_beta_ratio(a: float, b: float, x: FloatArray) -> FloatArray:
    """log B(a, b + x) − log B(a, b)."""
    ratio: FloatArray = gammaln(a + b) - gammaln(a + b + x) + gammaln(b + x) - gammaln(b)
    return ratio


def _beta_quadrature(a: float, b: float) -> tuple[FloatArray, FloatArray]:
    """Points p and weights (sum 1) of the mean over a Beta(a, b) (Golub and Welsch 1969)."""
    k = np.arange(1, NODES, dtype=np.float64)
    # Recurrence of Jacobi polynomials on [−1, 1] with weight (1 − z)^(b−1) (1 + z)^(a−1).
    total = a + b - 2.0
    centre = np.empty(NODES)
    centre[0] = (a - b) / (a + b)
    centre[1:] = (a - b) * total / ((2 * k + total) * (2 * k + total + 2.0))
    side = 4 * k * (k + a - 1) * (k + b - 1) * (k + total)
    side /= (2 * k + total) ** 2 * ((2 * k + total) ** 2 - 1.0)
    # The general term is 0/0 at k = 1 and a + b = 1.
    side[0] = 4 * a * b / ((a + b) ** 2 * (a + b + 1.0))
    z, vectors = eigh_tridiagonal(centre, np.sqrt(side))
    return np.maximum((z + 1.0) / 2.0, 1e-300), vectors[0] ** 2
