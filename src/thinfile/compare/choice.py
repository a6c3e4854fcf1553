"""Which method the verdict names: shrunken evidence instead of the largest figure.

With 100 labels and 15 events an AUC has a standard error of about 0.05. The largest of 17 such
figures is mostly luck, so each method's difference to a sensible default is drawn towards what
such methods usually bring, the more the less the labels can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from thinfile.compare.evidence import Candidate, Evidence, Seeds, from_labels, from_weights
from thinfile.compare.expectation import CAUTION, Prior, expected_difference
from thinfile.errors import ParameterError
from thinfile.metrics.inputs import Floats

MARGIN = 0.001
"""Posterior means closer than this are a tie: the default wins it, then the cheaper method."""

SHARED = 0.3
"""Part of the spread that methods have in common because it is the default's own: on one transfer
the default is better or worse than usual beside all the others."""

PSEUDO_METHODS = 10.0
"""How many methods' worth of weight the stated spread has against the one observed."""


@dataclass(frozen=True)
class Estimate:
    """What is believed of one method's AUC difference to the default.

    Attributes
    ----------
    name : str
    measured, standard_error : float or None
        The paired difference and its standard error; None without evidence.
    prior_mean, prior_sd : float
    posterior_mean, posterior_sd : float
    probability_better : float
        Posterior probability that it beats the default.
    excluded : bool
        True where the diagnosis advises against it.
    """

    name: str
    measured: float | None
    standard_error: float | None
    prior_mean: float
    prior_sd: float
    posterior_mean: float
    posterior_sd: float
    probability_better: float
    excluded: bool


@dataclass(frozen=True)
class Choice:
    """The method chosen and why.

    Attributes
    ----------
    name, reference : str
        The method chosen, and the default it was held against.
    estimates : tuple of Estimate
        One per candidate, best posterior mean first; the default has 0.
    evidence : {"target labels", "weighted source rows", "none"}
    sentence : str
        The choice in words.
    """

    name: str
    reference: str
    estimates: tuple[Estimate, ...]
    evidence: str
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)


def choose(
    candidates: Sequence[Candidate],
    *,
    reference: str,
    y: ArrayLike | None = None,
    rows: ArrayLike | None = None,
    n_folds: int = 5,
    prior: Mapping[str, Prior] | None = None,
) -> Choice:
    """Choose a method by the posterior mean of its AUC difference to a default.

    d is the vector of paired differences of out-of-fold AUC to the default's on the labelled
    target rows, mean over the seeds, and S its covariance (DeLong, steadied by a common
    correlation), as the default's luck is in every difference. The prior is N(m, c²·T): m and the
    spread of each method are stated (:mod:`thinfile.compare.expectation`), and one stretch c for
    all is estimated from the spread of d. Then

        posterior mean = m + c²T · (c²T + S)⁻¹ · (d − m)

    and the method with the largest one is chosen, the default having 0. Without target labels d
    comes from importance-weighted AUC, with an S that holds its bias too. Do not give scores of
    test rows: the choice would then be part of the test.

    Parameters
    ----------
    candidates
        At least the default.
    reference
        Name of the default: ``boosted_pooled`` where target labels exist, else
        ``boosted_source``. It is never excluded.
    y : (labels,) or (seeds, labels), optional
        Labels of the rows that `cv_scores` belong to.
    rows : like `y`, optional
        An identity of each row, so that a row drawn by several seeds counts as one. Without it
        seeds with their own `y` are taken to have drawn different rows.
    n_folds
        Of the cross-validation, at least 2. The variance is multiplied by 1 + k / (k − 1), as
        models of different folds share rows (Nadeau and Bengio).
    prior
        Overrides the expectation of methods by name.

    Returns
    -------
    Choice

    Raises
    ------
    ParameterError
        If names repeat, the default is not among them, or advice or `n_folds` breaks its rule.
    DataError
        If scores and labels do not fit together.

    References
    ----------
    Ledoit and Wolf, "Honey, I shrunk the sample covariance matrix", 2004 (common correlation).
    Efron and Morris, "Stein's estimation rule and its competitors", JASA 1973. Nadeau and
    Bengio, "Inference for the generalization error", Machine Learning 2003.

    Examples
    --------
    >>> y = [0, 1] * 50
    >>> noise = np.random.default_rng(0).normal(size=(2, 100))
    >>> default = Candidate("boosted_pooled", cv_scores=np.add(y, noise[0]))
    >>> other = Candidate("dan", "transfer", 5, cv_scores=np.add(y, noise[1]))
    >>> choose([default, other], reference="boosted_pooled", y=y).name
    'boosted_pooled'
    """
    _check_candidates(candidates, reference, n_folds)
    default = next(c for c in candidates if c.name == reference)
    others = [c for c in candidates if c is not default]
    labelled = y is not None and default.cv_scores is not None
    if labelled:
        evidence = from_labels(others, default, Seeds(y, rows), 1 + n_folds / (n_folds - 1))
    else:
        evidence = from_weights(others, default)
    families = {c.name: c.family for c in candidates}
    priors = expected_difference(families, reference, labelled=labelled, given=prior)
    estimates = _posterior(others, evidence, priors)
    estimates.append(Estimate(reference, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, False))
    estimates.sort(key=lambda e: -e.posterior_mean)
    name = _best(estimates, {c.name: c.cost_rank for c in candidates}, reference)
    ground = ("target labels" if labelled else "weighted source rows") if evidence.at else "none"
    sentence = _sentence(name, reference, estimates, ground)
    return Choice(name, reference, tuple(estimates), ground, sentence)


def _posterior(
    others: Sequence[Candidate], evidence: Evidence, priors: Mapping[str, Prior]
) -> list[Estimate]:
    caution = np.array([CAUTION if c.advice == "caution" else 0.0 for c in others])
    mean = np.array([priors[c.name].mean for c in others]) - caution
    spread = np.array([priors[c.name].sd for c in others])
    at, error = evidence.at, np.sqrt(np.diag(evidence.covariance))
    spread = spread * _stretch(evidence.difference - mean[at], spread[at], error)
    prior = np.outer(spread, spread) * (SHARED + (1 - SHARED) * np.eye(len(others)))
    # A hair on the diagonal keeps two equal methods from making the sum singular.
    total = prior[np.ix_(at, at)] + evidence.covariance + 1e-10 * np.eye(len(at))
    gain = np.linalg.solve(total, prior[at]).T  # (others, measured)
    posterior = mean + gain @ (evidence.difference - mean[at])
    variance = np.diag(prior - gain @ prior[at])
    measured = {i: (float(evidence.difference[k]), float(error[k])) for k, i in enumerate(at)}
    return [
        _estimate(c, measured.get(i), (mean[i], spread[i]), posterior[i], variance[i])
        for i, c in enumerate(others)
    ]


def _stretch(surprise: Floats, spread: Floats, error: Floats) -> float:
    """How much wider than stated the true differences spread upwards, by the method of moments.

    Only upwards: that some methods fail badly on a transfer is common, and no reason to believe
    that others excel.
    """
    upper = 2 * np.maximum(surprise, 0.0) ** 2
    excess = np.minimum((upper - error**2) / spread**2, 9.0)
    ratio = (PSEUDO_METHODS + excess.sum()) / (PSEUDO_METHODS + len(excess))
    return float(np.sqrt(np.clip(ratio, 1.0, 4.0)))


def _estimate(
    candidate: Candidate,
    measured: tuple[float, float] | None,
    prior: tuple[float, float],
    mean: float,
    variance: float,
) -> Estimate:
    sd = float(np.sqrt(max(variance, 1e-12)))
    return Estimate(
        name=candidate.name,
        measured=measured and measured[0],
        standard_error=measured and measured[1],
        prior_mean=float(prior[0]),
        prior_sd=float(prior[1]),
        posterior_mean=float(mean),
        posterior_sd=sd,
        probability_better=float(norm.cdf(mean / sd)),
        excluded=candidate.advice == "avoid",
    )


def _best(estimates: Sequence[Estimate], cost: Mapping[str, int], reference: str) -> str:
    allowed = [e for e in estimates if not e.excluded]
    top = max(e.posterior_mean for e in allowed)
    if top <= MARGIN:
        return reference
    tied = [e for e in allowed if e.posterior_mean > top - MARGIN]
    return min(tied, key=lambda e: (cost[e.name], -e.posterior_mean)).name


def _sentence(name: str, reference: str, estimates: Sequence[Estimate], evidence: str) -> str:
    others = [e for e in estimates if e.name != reference and not e.excluded]
    chosen = next(e for e in estimates if e.name == name)
    if name != reference:
        words = f"{name} is expected to be {_spread(chosen)} AUC above {reference}, the default"
    elif others:
        words = (
            f"{reference}, the default, stays: of the others {others[0].name} is the best, "
            f"expected at {_spread(others[0])} AUC beside it"
        )
    else:
        words = f"{reference} stays: there is nothing to hold against it"
    avoided = ", ".join(e.name for e in estimates if e.excluded)
    left_out = (
        f"; not considered, as the diagnosis advises against it: {avoided}" if avoided else ""
    )
    ground = "no evidence of their own" if evidence == "none" else evidence
    return f"{words} (by {ground}, drawn towards what such methods usually bring){left_out}."


def _spread(e: Estimate) -> str:
    return f"{e.posterior_mean:+.3f} ± {e.posterior_sd:.3f}"


def _check_candidates(candidates: Sequence[Candidate], reference: str, n_folds: int) -> None:
    names = [c.name for c in candidates]
    faults = [f"{n!r} is named twice" for n in sorted({n for n in names if names.count(n) > 1})]
    if reference not in names:
        faults.append(f"reference={reference!r} must be one of {', '.join(names) or 'none'}")
    if n_folds < 2:
        faults.append(f"n_folds={n_folds} must be a whole number ≥ 2")
    faults += [
        f"advice={c.advice!r} of {c.name!r} must be None, 'avoid' or 'caution'"
        for c in candidates
        if c.advice not in (None, "avoid", "caution")
    ]
    if faults:
        raise ParameterError("choose: " + "; ".join(faults))
