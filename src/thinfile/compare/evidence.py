"""What is known of each method without a test row: differences to the default, and their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from thinfile.compare.selection import mean_auc_influence
from thinfile.errors import DataError
from thinfile.metrics.inputs import Floats

WEIGHTED_BIAS_SD = 0.02
"""Error of importance-weighted AUC differences that no sample size cures: P(y|x) may differ."""

EVENT_SHARE, PAIRED_CORRELATION = 0.15, 0.7
"""Taken for the standard error of an importance-weighted difference, which has no rows here."""


@dataclass(frozen=True)
class Candidate:
    """A method and the evidence for it, none of which has seen a test row.

    Parameters
    ----------
    name, family : str
        As in the registry of methods.
    cost_rank
        Cheaper methods have lower ranks; it breaks ties.
    cv_scores : (labels,) or (seeds, labels), optional
        Out-of-fold probabilities for the labelled target rows; NaN throughout a failed seed.
    iw_auc, iw_log_loss, effective_rows : float, optional
        From :func:`thinfile.compare.selection.importance_weighted_validation`.
    advice : {"avoid", "caution"}, optional
        What the diagnosis says of the method.
    """

    name: str
    family: str = "baseline"
    cost_rank: int = 0
    cv_scores: ArrayLike | None = None
    iw_auc: float | None = None
    iw_log_loss: float | None = None
    effective_rows: float | None = None
    advice: str | None = None


class Evidence(NamedTuple):
    """Differences to the default where there are any, and how they err together.

    Attributes
    ----------
    at : list of int
        Places of the measured methods among the others.
    difference : (measured,)
    covariance : (measured, measured)
    """

    at: list[int]
    difference: Floats
    covariance: Floats


def from_labels(
    others: Sequence[Candidate], default: Candidate, seeds: Seeds, inflation: float
) -> Evidence:
    """Paired differences of out-of-fold AUC on the labelled target rows.

    Parameters
    ----------
    others, default
        Methods, and the one they are held against.
    seeds
        The labelled rows.
    inflation
        What the variance is multiplied by, as models of different folds share rows.
    """
    found = [seeds.compare(candidate, default) for candidate in others]
    at = [i for i, each in enumerate(found) if each is not None]
    known = [each for each in found if each is not None]
    if not known:
        return Evidence([], np.empty(0), np.empty((0, 0)))
    pulls = np.array([pull for _, pull in known])  # (measured, rows)
    covariance = _steady(inflation * pulls @ pulls.T)
    return Evidence(at, np.array([gap for gap, _ in known]), covariance)


def _steady(covariance: Floats) -> Floats:
    """Draw errors half way to their median and give all pairs the mean correlation.

    From a dozen events a covariance of 16 methods is mostly chance, and its inverse would take
    the method whose error happens to look small at its word.
    """
    raw = np.maximum(np.sqrt(np.diag(covariance)), 1e-6)
    error = np.sqrt((raw**2 + np.median(raw) ** 2) / 2)
    alike = covariance / np.outer(raw, raw)
    n = len(raw)
    mean = (alike.sum() - np.trace(alike)) / max(n * (n - 1), 1)
    common = np.clip(mean, 0.0, 1.0)
    steady: Floats = np.outer(error, error) * (common + (1 - common) * np.eye(n))
    return steady


def from_weights(others: Sequence[Candidate], default: Candidate) -> Evidence:
    """Differences of importance-weighted AUC on held-out source rows, with their bias."""
    found = [_weighted_difference(candidate, default) for candidate in others]
    at = [i for i, each in enumerate(found) if each is not None]
    known = [each for each in found if each is not None]
    errors = np.array([error for _, error in known])
    # Half of each variance is the default's own, which all differences have in common.
    alike = 0.5 + 0.5 * np.eye(len(known))
    return Evidence(at, np.array([gap for gap, _ in known]), alike * np.outer(errors, errors))


class Seeds:
    """Labels of each seed's rows, and which rows of different seeds are the same."""

    def __init__(self, y: ArrayLike | None, rows: ArrayLike | None) -> None:
        labels: Any = np.asarray(y)
        self.shared = labels.ndim == 1
        self.y = np.atleast_2d(labels)
        ids = np.arange(self.y.size).reshape(self.y.shape) if rows is None else np.asarray(rows)
        if np.atleast_2d(ids).shape != self.y.shape:
            raise DataError(f"rows has shape {ids.shape} and y {labels.shape}: they must be equal")
        places = np.unique(ids, return_inverse=True)[1]
        self.rows = places.reshape(self.y.shape)
        self._found: dict[tuple[str, int], tuple[float, Floats]] = {}

    def compare(self, one: Candidate, default: Candidate) -> tuple[float, Floats] | None:
        """Paired difference over the seeds that both have, and the rows' pull on it: (rows,)."""
        if one.cv_scores is None:
            return None
        first, second = self._scores(one), self._scores(default)
        gaps = []
        pull = np.zeros(self.rows.max() + 1)
        for seed, labels in enumerate(self._labels(len(first))):
            if not np.isfinite(first[seed] + second[seed]).all() or not _can_tell(labels):
                continue
            auc_first, pull_first = self._judge(one.name, seed, labels, first[seed])
            auc_second, pull_second = self._judge(default.name, seed, labels, second[seed])
            gaps.append(auc_first - auc_second)
            np.add.at(pull, self.rows[0 if self.shared else seed], pull_first - pull_second)
        if not gaps:
            return None
        return float(np.mean(gaps)), pull / len(gaps)

    def _judge(self, name: str, seed: int, y: Floats, scores: Floats) -> tuple[float, Floats]:
        # The default is in every pair; it is judged once.
        if (name, seed) not in self._found:
            self._found[name, seed] = mean_auc_influence(y, scores)
        return self._found[name, seed]

    def _labels(self, n_seeds: int) -> list[Floats]:
        return [self.y[0 if self.shared else seed] for seed in range(n_seeds)]

    def _scores(self, candidate: Candidate) -> Floats:
        scores: Any = np.atleast_2d(np.asarray(candidate.cv_scores, dtype=np.float64))
        n_seeds, n_labels = self.y.shape
        if scores.shape[1] != n_labels or (not self.shared and len(scores) != n_seeds):
            raise DataError(
                f"candidate {candidate.name!r}: cv_scores has shape {scores.shape} and y "
                f"{self.y.shape}: one score per label and seed is needed"
            )
        table: Floats = scores
        return table


def _can_tell(labels: Floats) -> bool:
    return bool(min(np.sum(labels == 1), np.sum(labels == 0)) >= 2)


def _weighted_difference(one: Candidate, default: Candidate) -> tuple[float, float] | None:
    if one.iw_auc is None or default.iw_auc is None:
        return None
    n = min(e for e in (one.effective_rows, default.effective_rows, np.inf) if e is not None)
    if not n > 2 or not np.isfinite([one.iw_auc, default.iw_auc]).all():
        return None
    # A placement of a row lies between 0 and 1 and has at most about a uniform's variance.
    one_auc = (1 / (EVENT_SHARE * n) + 1 / ((1 - EVENT_SHARE) * n)) / 12
    variance = 2 * (1 - PAIRED_CORRELATION) * one_auc + WEIGHTED_BIAS_SD**2
    return one.iw_auc - default.iw_auc, float(np.sqrt(variance))
