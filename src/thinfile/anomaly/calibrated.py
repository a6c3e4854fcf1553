"""From an anomaly score of any scale to a probability, with a handful of labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from thinfile.estimator import FloatArray

MIN_SLOPE = 0.05
"""A slope is not taken below this, so a calibration never turns a ranking round."""
MAX_LOGIT = 20.0
"""Log-odds of the most abnormal training row at most: beyond 27 probabilities would be equal."""


@dataclass(frozen=True)
class ScoreCalibration:
    """Log-odds = slope · t + intercept, with t = asinh((score − middle) / spread).

    Scores of anomaly detectors have long tails. The inverse hyperbolic sine is a line in the
    middle and a logarithm in the tails, so that one extreme row does not decide the slope. The
    order of rows is kept.

    Parameters
    ----------
    middle, spread
        Median and half the distance of the quartiles of the scores of all training rows.
    slope, intercept
        Of the logistic regression on the labelled rows.

    Examples
    --------
    >>> score = np.arange(100.0)
    >>> fitted = ScoreCalibration.fit(score, score, score > 89)
    >>> bool((np.diff(fitted.apply(score)) > 0).all())
    True
    """

    middle: float
    spread: float
    slope: float
    intercept: float
    falls: bool = False

    @classmethod
    def fit(cls, scores: FloatArray, labelled: FloatArray, y: npt.NDArray[Any]) -> ScoreCalibration:
        """Fit to the scores of all training rows and those of the labelled rows.

        Parameters
        ----------
        scores : ndarray of shape (rows,)
            Higher is more abnormal.
        labelled, y : ndarray of shape (labelled rows,)
            Their scores, and 1 or 0.
        """
        low, middle, high = (float(q) for q in np.quantile(scores, [0.25, 0.5, 0.75]))
        spread = max((high - low) / 2, float(np.std(scores)) * 1e-3, 1e-12)
        shape = cls(middle, spread, 1.0, 0.0)
        t = shape._stretched(labelled)
        model = LogisticRegression(C=1.0, max_iter=200).fit(t[:, None], y)
        slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
        falls = slope < MIN_SLOPE
        if falls:
            slope = MIN_SLOPE
            rate = float(np.mean(y))
            intercept = float(np.log(rate / (1 - rate)) - slope * t.mean())
        top = float(shape._stretched(scores).max())
        if top > 0 and slope * top + intercept > MAX_LOGIT:
            slope = max((MAX_LOGIT - intercept) / top, 1e-6)
        return cls(middle, spread, slope, intercept, falls)

    def apply(self, score: FloatArray) -> FloatArray:
        """Probability of the event, shape (rows,)."""
        return np.asarray(expit(self.slope * self._stretched(score) + self.intercept))

    def to_values(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def _stretched(self, score: FloatArray) -> FloatArray:
        return np.asarray(np.arcsinh((score - self.middle) / self.spread), dtype=np.float64)
