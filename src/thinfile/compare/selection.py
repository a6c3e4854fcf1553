"""Evidence for choosing a model: without target labels, and with the few there are.

None of these measures may see a test row. Those without target labels each stand on an
assumption that the data cannot confirm; read "when not to use" before you trust one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thinfile.errors import DataError, ParameterError
from thinfile.metrics.inputs import (
    Floats,
    check_labels,
    check_probability,
    check_values,
    check_weight,
)
from thinfile.metrics.ranking import roc_auc

SMALLEST_PROBABILITY = 1e-6
"""Probabilities are held this far from 0 and 1, so that one row cannot make a loss infinite."""

BLOCK_ROWS = 1024
"""Rows of the neighbourhood table held at once."""


@dataclass(frozen=True)
class WeightedValidation:
    """Quality on source rows, weighted to look like the target.

    Attributes
    ----------
    log_loss, log_loss_error : float
        Weighted mean of −log p(y), and its standard error.
    auc, auc_error : float
        Weighted AUC, and its standard error.
    effective_rows, effective_events : float
        Kish's effective sample size of all rows, and of the rows with y = 1.
    """

    log_loss: float
    log_loss_error: float
    auc: float
    auc_error: float
    effective_rows: float
    effective_events: float


def importance_weighted_validation(
    y: ArrayLike, probability: ArrayLike, weight: ArrayLike
) -> WeightedValidation:
    """Judge a model for the target on held-out source rows, weighted by the density ratio.

    Use it where there is no target label and the populations overlap. Do not use it where
    `effective_rows` is below 200 or below a tenth of the rows (a few rows then decide), or where
    P(y|x) differs between the populations: it cannot see that. It also leans towards models
    trained on the source alone, as its rows come from there.

    Parameters
    ----------
    y : (rows,)
        Labels of source rows that the model was not fitted on.
    probability : (rows,)
        The model's probability of 1 for them.
    weight : (rows,)
        p_target(x) / p_source(x), up to a factor; see :func:`thinfile.density.density_ratio`.

    Returns
    -------
    WeightedValidation
        Self-normalised estimates with standard errors.

    Raises
    ------
    DataError
        If shapes do not fit, a class is missing or has no weight, or a value breaks its rule.

    References
    ----------
    Sugiyama, Krauledat, Müller, "Covariate shift adaptation by importance weighted cross
    validation", JMLR 2007.

    Examples
    --------
    >>> found = importance_weighted_validation([0, 1, 1], [0.2, 0.9, 0.6], [1.0, 1.0, 1.0])
    >>> round(found.log_loss, 3), found.auc, round(found.effective_rows, 9)
    (0.28, 1.0, 3.0)
    """
    labels = check_labels(y)
    scores = check_probability(probability, labels.size)
    w = check_weight(weight, labels.size)
    auc = roc_auc(labels, scores, weight=w)
    losses = row_log_loss(labels, scores)
    share = w / w.sum()
    mean = float(share @ losses)
    influence = _auc_influence(labels, scores, w)
    return WeightedValidation(
        log_loss=mean,
        log_loss_error=float(np.sqrt(np.sum((share * (losses - mean)) ** 2))),
        auc=auc,
        auc_error=float(np.sqrt(np.sum(influence**2))),
        effective_rows=effective_size(w),
        effective_events=effective_size(w[labels == 1]),
    )


@dataclass(frozen=True)
class DevRisk:
    """A model's estimated loss on the target.

    Attributes
    ----------
    risk : float
        The estimate with the control variate.
    standard_error : float
    plain : float
        The estimate without it: the mean of weight times loss.
    control : float
        The coefficient η of the control variate.
    """

    risk: float
    standard_error: float
    plain: float
    control: float


def dev_risk(loss: ArrayLike, weight: ArrayLike) -> DevRisk:
    """Deep Embedded Validation: importance-weighted loss with its variance taken down.

    The mean of the true density ratio is 1, so how far the sample's mean is from 1 tells in part
    how far the weighted loss is off. Use it like :func:`importance_weighted_validation`, for a
    loss of your own. Do not use it where the density ratio rests on a few rows or P(y|x) differs;
    and do not scale the weights to a mean of 1 over *these* rows: then it only repeats the
    weighted mean. Scale them over all source rows, and hand in the held-out part.

    Parameters
    ----------
    loss : (rows,)
        Loss of each held-out source row.
    weight : (rows,)
        Its density ratio p_target(x) / p_source(x), of mean 1 over the source.

    Returns
    -------
    DevRisk

    Raises
    ------
    DataError
        If there are fewer than two rows, shapes do not fit, or a value breaks its rule.

    References
    ----------
    You, Wang, Long, Jordan, "Towards accurate model selection in deep unsupervised domain
    adaptation", ICML 2019.

    Examples
    --------
    >>> dev_risk([0.5, 0.5, 0.5], [1.0, 2.0, 0.5]).risk
    0.5
    """
    losses = check_values("loss", loss)
    w = check_weight(weight, losses.size)
    if losses.size < 2:
        raise DataError(f"dev_risk: {losses.size} rows; at least 2 are needed")
    weighted = w * losses
    variance = float(np.var(w, ddof=1))
    control = -float(np.cov(weighted, w)[0, 1]) / variance if variance > 0 else 0.0
    rows = weighted + control * (w - 1)
    return DevRisk(
        risk=float(rows.mean()),
        standard_error=float(rows.std(ddof=1) / np.sqrt(rows.size)),
        plain=float(weighted.mean()),
        control=control,
    )


def soft_neighbourhood_density(
    probability: ArrayLike, *, temperature: float = 0.05, max_rows: int = 3000
) -> float:
    """How densely the target's predictions lie together; higher is taken to be better.

    Use it to choose between settings of *one* kind of model, where there is no target label and
    no density ratio to trust. Do not use it alone: a model that gives every row the same answer
    has the highest value there is, so leave out any whose source quality has dropped. With two
    classes and a rare event it is weak evidence at best, and it says nothing about ranking.

    Parameters
    ----------
    probability : (rows,) or (rows, classes)
        Predictions for target rows; one column means the probability of 1 of two classes.
    temperature
        In (0, ∞); the paper's 0.05.
    max_rows
        At least 2; of more rows an evenly spaced part is taken, as cost grows with the square.

    Returns
    -------
    float
        Mean entropy of each row's softened similarities to the others, in nats; at most
        log(rows − 1).

    Raises
    ------
    DataError
        If there are fewer than two rows or a value is not a probability.
    ParameterError
        If an option breaks its rule.

    References
    ----------
    Saito et al., "Tune it the right way: unsupervised validation of domain adaptation via soft
    neighborhood density", ICCV 2021.

    Examples
    --------
    >>> flat = soft_neighbourhood_density([0.3] * 5)
    >>> bool(np.isclose(flat, np.log(4)))
    True
    """
    if not temperature > 0 or max_rows < 2:
        raise ParameterError(
            f"soft_neighbourhood_density: temperature={temperature!r} must be > 0 and "
            f"max_rows={max_rows!r} at least 2"
        )
    table = _class_table(probability)
    table = table[np.linspace(0, len(table) - 1, min(len(table), max_rows)).astype(int)]
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    total = 0.0
    for start in range(0, len(table), BLOCK_ROWS):
        total += _block_entropy(table, start, temperature)
    return total / len(table)


@dataclass(frozen=True)
class PairedDifference:
    """One score's AUC minus another's on the same labelled rows.

    Attributes
    ----------
    difference, standard_error : float
    auc_first, auc_second : float
    """

    difference: float
    standard_error: float
    auc_first: float
    auc_second: float


def paired_auc_difference(y: ArrayLike, first: ArrayLike, second: ArrayLike) -> PairedDifference:
    """Compare two methods' out-of-fold scores on the labelled target rows (DeLong).

    Use it on repeated cross-validation: give one row of scores per repeat, and the repeats are
    averaged before the rows' spread is taken. Do not read its standard error as the last word
    with few events: it knows the rows' chance, and not that models differ from fold to fold.

    Parameters
    ----------
    y : (rows,)
        0 or 1.
    first, second : (rows,) or (repeats, rows)
        Out-of-fold scores; higher means more likely 1.

    Returns
    -------
    PairedDifference

    Raises
    ------
    DataError
        If shapes do not fit, or there are fewer than two rows of a class.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson, "Comparing the areas under two or more correlated receiver
    operating characteristic curves", Biometrics 1988.

    Examples
    --------
    >>> found = paired_auc_difference([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.8], [0.1, 0.6, 0.4, 0.8])
    >>> found.difference
    0.25
    """
    labels = check_labels(y)
    (auc_first, rows_first), (auc_second, rows_second) = (
        mean_auc_influence(labels, scores) for scores in (first, second)
    )
    spread = rows_first - rows_second
    return PairedDifference(
        difference=auc_first - auc_second,
        standard_error=float(np.sqrt(np.sum(spread**2))),
        auc_first=auc_first,
        auc_second=auc_second,
    )


def mean_auc_influence(y: ArrayLike, scores: ArrayLike) -> tuple[float, Floats]:
    """AUC, mean over repeats, and each row's pull on it (DeLong's components).

    The root of the sum of squared pulls is the standard error; the difference of two scores'
    pulls gives the standard error of their difference.

    Parameters
    ----------
    y : (rows,)
    scores : (rows,) or (repeats, rows)

    Returns
    -------
    auc : float
    pull : (rows,)

    Raises
    ------
    DataError
        If shapes do not fit, or there are fewer than two rows of a class.
    """
    labels = check_labels(y)
    repeats = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    n_events = int(labels.sum())
    if min(n_events, labels.size - n_events) < 2:
        raise DataError(
            f"y has {n_events} rows of class 1 and {labels.size - n_events} of class 0: "
            "two of each are needed for a standard error"
        )
    runs = [check_values("scores", run, labels.size) for run in repeats]
    ones = np.ones(labels.size)
    pull = np.mean([_auc_influence(labels, run, ones) for run in runs], axis=0)
    # DeLong divides by n − 1 in each class, which a plain sum of squares does not.
    n_class = np.where(labels == 1, n_events, labels.size - n_events)
    pull = pull * np.sqrt(n_class / (n_class - 1))
    return float(np.mean([roc_auc(labels, run) for run in runs])), pull


def row_log_loss(y: Floats, probability: Floats) -> Floats:
    """−log p(y) of each row, with probabilities held off 0 and 1: (rows,)."""
    p = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    losses: Floats = -np.where(y == 1, np.log(p), np.log1p(-p))
    return losses


def effective_size(weight: Floats) -> float:
    """Kish's effective sample size (Σw)² / Σw²: equal weights count each row once."""
    total = float((weight**2).sum())
    return float(weight.sum() ** 2 / total) if total > 0 else 0.0


def _auc_influence(labels: Floats, scores: Floats, weight: Floats) -> Floats:
    """Each row's pull on the weighted AUC, with the sum of squares as the variance: (rows,)."""
    event = labels == 1
    influence = np.empty(labels.size)
    beaten = _share_below(scores[event], scores[~event], weight[~event])
    beaten_by = 1 - _share_below(scores[~event], scores[event], weight[event])
    for rows, placement in ((event, beaten), (~event, beaten_by)):
        share = weight[rows] / weight[rows].sum()
        influence[rows] = share * (placement - share @ placement)
    return influence


def _share_below(points: Floats, others: Floats, weight: Floats) -> Floats:
    """Weighted share of `others` below each point, ties counting half: (points,)."""
    order = np.argsort(others, kind="stable")
    cumulated = np.concatenate([[0.0], np.cumsum(weight[order])])
    ordered = others[order]
    below = cumulated[np.searchsorted(ordered, points, side="left")]
    up_to = cumulated[np.searchsorted(ordered, points, side="right")]
    share: Floats = 0.5 * (below + up_to) / cumulated[-1]
    return share


def _class_table(probability: ArrayLike) -> Floats:
    array: Any = np.asarray(probability, dtype=np.float64)
    if array.ndim not in (1, 2) or len(array) < 2:
        raise DataError(f"probability has shape {array.shape}, must be (rows,) or (rows, classes)")
    checked = check_probability(array.ravel()).reshape(array.shape)
    table = np.stack([1 - checked, checked], axis=1) if checked.ndim == 1 else checked
    if not (table.sum(axis=1) > 0).all():
        raise DataError("probability: a row is 0 for every class")
    return table.copy()


def _block_entropy(table: Floats, start: int, temperature: float) -> float:
    """Sum over the block's rows of the entropy of their similarities to all others."""
    block = table[start : start + BLOCK_ROWS] @ table.T / temperature  # (block, rows)
    own = np.arange(len(block))
    block[own, start + own] = -np.inf
    block -= block.max(axis=1, keepdims=True)
    np.exp(block, out=block)
    block /= block.sum(axis=1, keepdims=True)
    logs = np.log(block, where=block > 0, out=np.zeros_like(block))
    return float(-(block * logs).sum())
