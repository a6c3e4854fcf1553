"""The published cold-start study repeated, with the part of its result that is luck set apart.

The study keeps the checkpoint with the best AUC on the very rows that the AUC is reported for. The
best of many noisy values is too high; here the same run is also read without that choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from thinfile.data.encode import Encoded
from thinfile.errors import DataError
from thinfile.estimator import UNLABELLED, FloatArray
from thinfile.metrics.ranking import ks, roc_auc
from thinfile.transfer.dan import DANClassifier

VALIDATION_SHARE = 0.3
N_HALVINGS = 25
"""Random halvings of the validation rows that the honest figure is the mean of."""

Labels = npt.NDArray[np.int8]
Rows = npt.NDArray[np.intp]
SOURCE, TARGET = "source", "target"


@dataclass(frozen=True)
class Study:
    """The rows of one repetition; the target is split once, 70 % hidden and 30 % validation."""

    source: pl.DataFrame
    source_y: Labels  # (source rows,)
    target: pl.DataFrame
    target_y: Labels  # (target rows,)
    validation: Rows  # positions in the target
    source_validation: pl.DataFrame  # source rows that no run trains on
    source_validation_y: Labels

    @classmethod
    def split(
        cls,
        source: pl.DataFrame,
        target: pl.DataFrame,
        label: str,
        *,
        n_source_validation: int,
        random_state: int,
    ) -> Study:
        """Draw the validation rows: 30 % of the target by class, and some of the source.

        Parameters
        ----------
        source, target : polars.DataFrame
            Same columns; `label` holds 1 or 0 in every row.
        n_source_validation : int
            Source rows to set aside, taken from `source`.
        """
        rng = np.random.default_rng(random_state)
        y = target[label].to_numpy().astype(np.int8)
        parts = [rng.permutation(np.flatnonzero(y == value)) for value in (0, 1)]
        validation = np.sort(np.concatenate([p[: round(len(p) * VALIDATION_SHARE)] for p in parts]))
        order = rng.permutation(source.height)
        aside, trained = source[order[:n_source_validation]], source[order[n_source_validation:]]
        return cls(
            trained.drop(label),
            trained[label].to_numpy().astype(np.int8),
            target.drop(label),
            y,
            validation,
            aside.drop(label),
            aside[label].to_numpy().astype(np.int8),
        )

    @property
    def table(self) -> pl.DataFrame:
        """Source, then target."""
        return pl.concat([self.source, self.target])

    @property
    def y(self) -> Labels:
        """What a fit may see: all of the source, and of the target the validation rows."""
        seen = np.full(len(self.target_y), UNLABELLED, dtype=np.int8)
        seen[self.validation] = self.target_y[self.validation]
        return np.concatenate([self.source_y, seen])

    @property
    def domain(self) -> npt.NDArray[np.str_]:
        """Population of each row of `table`."""
        return np.repeat([SOURCE, TARGET], [len(self.source_y), len(self.target_y)])


@dataclass(frozen=True)
class Reading:
    """AUC and KS on the 30 % and on the whole target, for one way to choose the checkpoint."""

    auc: float
    ks: float
    whole_auc: float
    whole_ks: float


@dataclass(frozen=True)
class ReferenceResult:
    """One run of the study's network, read in four ways.

    Attributes
    ----------
    picked_on_test : Reading
        As published: the checkpoint with the best AUC on the 30 %, reported on the 30 %.
    cross_fitted : Reading
        The checkpoint chosen on one half of the 30 %, read on the other half; mean over both
        halves and many halvings. The whole target less the choosing half is the second figure.
    picked_on_source : Reading
        The checkpoint with the best AUC on source rows that were set aside.
    last : Reading
        The last checkpoint: no choice at all.
    history : list of dict
        Curves of the losses, and of AUC and KS on the 30 %.
    """

    picked_on_test: Reading
    cross_fitted: Reading
    picked_on_source: Reading
    last: Reading
    n_checks: int
    history: list[dict[str, Any]] = field(repr=False)

    @property
    def luck(self) -> dict[str, float]:
        """AUC on the 30 % that comes from choosing on it, against both honest choices."""
        auc = self.picked_on_test.auc
        return {
            "cross_fitted": auc - self.cross_fitted.auc,
            "picked_on_source": auc - self.picked_on_source.auc,
        }

    def __str__(self) -> str:
        published, honest, source = self.picked_on_test, self.cross_fitted, self.picked_on_source
        return (
            f"AUC {published.auc:.3f} / KS {published.ks:.3f} on the 30 %, "
            f"{published.whole_auc:.3f} / {published.whole_ks:.3f} on the whole target; "
            f"of the AUC, {self.luck['cross_fitted']:+.3f} comes from choosing the checkpoint on "
            f"the test rows ({honest.auc:.3f} if it is chosen on one half and read on the other, "
            f"{source.auc:.3f} if it is chosen on source rows)"
        )


class WatchedDAN(DANClassifier):
    """`DANClassifier` that writes down, at every check, its scores of the rows `watched`."""

    watched: pl.DataFrame
    scores: list[FloatArray]
    _encoded_watched: Encoded | None = None

    def _check(self, held_out: Mapping[str, torch.Tensor]) -> dict[str, float]:
        if self._encoded_watched is None:
            self._encoded_watched = self._encode(self.watched)
        self.scores.append(self._probability(self._encoded_watched))
        return super()._check(held_out)


def run_reference(study: Study, *, random_state: int = 0, **overrides: Any) -> ReferenceResult:
    """Train the study's network with its settings, and read it honestly beside.

    Use it to see what the published figure is made of. Do not use the settings for a model of
    your own.

    Parameters
    ----------
    study : Study
    random_state : int
        Of the network and of the halvings.
    **overrides
        Constructor arguments of `DANClassifier` in place of the study's; `mmd_weight=0` gives the
        same network without adaptation.

    Returns
    -------
    ReferenceResult

    Raises
    ------
    DataError
        If the validation rows have fewer than two events or two others, so that they cannot be
        halved.

    References
    ----------
    Long, Cao, Wang, Jordan: Learning transferable features with deep adaptation networks, ICML
    2015. Cawley, Talbot: On over-fitting in model selection and subsequent selection bias in
    performance evaluation, JMLR 2010.

    Examples
    --------
    >>> from thinfile.data.synthetic import make_transfer
    >>> made = make_transfer(400, 300, 5, random_state=0)
    >>> study = Study.split(
    ...     made.source, made.target, made.label, n_source_validation=100, random_state=0
    ... )
    >>> result = run_reference(study, max_epochs=2, widths=(8,), batch_size=150)
    >>> result.n_checks
    4
    """
    y = study.target_y[study.validation]
    if min((y == 1).sum(), (y == 0).sum()) < 2:
        raise DataError(
            f"run_reference: the validation rows have {(y == 1).sum()} events and "
            f"{(y == 0).sum()} others; halving them needs two of each"
        )
    model = WatchedDAN.reference(
        target_domain=TARGET, random_state=random_state, device="cpu", **overrides
    )
    model.watched = pl.concat([study.target, study.source_validation])
    model.scores = []
    model.fit(study.table, study.y, domain=study.domain)
    scores = np.stack(model.scores)  # (checks, target rows + source rows set aside)
    return _read(study, scores, model.history_, random_state)


def _read(
    study: Study, scores: FloatArray, history: list[dict[str, Any]], random_state: int
) -> ReferenceResult:
    n_target = len(study.target_y)
    on_target, on_source = scores[:, :n_target], scores[:, n_target:]

    def reading(check: int) -> Reading:
        return _reading(study, on_target[check], study.validation, np.arange(n_target))

    return ReferenceResult(
        picked_on_test=reading(_best(study.target_y, on_target, study.validation)),
        cross_fitted=_cross_fitted(study, on_target, np.random.default_rng(random_state)),
        picked_on_source=reading(
            _best(study.source_validation_y, on_source, np.arange(on_source.shape[1]))
        ),
        last=reading(-1),
        n_checks=len(scores),
        history=history,
    )


def _cross_fitted(study: Study, scores: FloatArray, rng: np.random.Generator) -> Reading:
    """Choose on one half of the validation rows, read on what is left."""
    readings = []
    everything = np.arange(len(study.target_y))
    for _ in range(N_HALVINGS):
        for half in _halves(study.validation, study.target_y, rng):
            check = _best(study.target_y, scores, half)
            other = np.setdiff1d(study.validation, half)
            readings.append(_reading(study, scores[check], other, np.setdiff1d(everything, half)))
    table = np.array([[r.auc, r.ks, r.whole_auc, r.whole_ks] for r in readings])
    return Reading(*(float(value) for value in table.mean(0)))


def _halves(rows: Rows, y: Labels, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Two random halves of `rows` with the same share of events."""
    parts = [rng.permutation(rows[y[rows] == value]) for value in (0, 1)]
    first = np.concatenate([part[: len(part) // 2] for part in parts])
    return first, np.setdiff1d(rows, first)


def _best(y: Labels, scores: FloatArray, rows: Rows) -> int:
    """The first check with the best AUC on `rows`."""
    return int(np.argmax([roc_auc(y[rows], score[rows]) for score in scores]))


def _reading(study: Study, score: FloatArray, rows: Rows, whole: Rows) -> Reading:
    y = study.target_y
    return Reading(
        roc_auc(y[rows], score[rows]),
        ks(y[rows], score[rows]),
        roc_auc(y[whole], score[whole]),
        ks(y[whole], score[whole]),
    )
