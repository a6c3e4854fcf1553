"""How each column differs between two populations: gaps, constants, values that never meet, PSI."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.metrics.drift import drift_word, psi, psi_categories
from thinfile.metrics.inputs import Floats
from thinfile.metrics.ranking import roc_auc

N_BINS = 20
"""Bins of equal counts into which a number is cut for its single-column AUC."""

MISSING_GAP = 0.2
"""A difference in the share of missing values from which it is a finding of its own."""

UNSEEN_SHARE = 0.2
"""The share of target values outside of what the source shows from which it is a finding."""

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class ColumnReport:
    """One column in both populations.

    Attributes
    ----------
    name, role : str
    auc : float or None
        How well held-out rows are told apart by this column alone; None where it does not vary.
    importance : float
        Its share of the gain of a boosted classifier of the populations, 0 to 1.
    psi : float or None
        Population stability index, target against source; None where a side has no value.
    psi_word : str
        "stable", "moderate", "large", or "" without a value.
    missing_source, missing_target : float
        Share of missing values.
    constant_source, constant_target : bool
        True where all rows, missing ones too, are the same.
    disjoint : bool
        True where no value (of a number: no part of its range) occurs in both.
    unseen_share : float
        Share of the target's present values that the source never shows.
    finding : str
        The worst of it in words, or "".
    """

    name: str
    role: str
    auc: float | None
    importance: float
    psi: float | None
    psi_word: str
    missing_source: float
    missing_target: float
    constant_source: bool
    constant_target: bool
    disjoint: bool
    unseen_share: float
    finding: str

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Contrast:
    """What the values of one column say: everything but the classifiers' part."""

    role: str
    missing: tuple[float, float]
    constant: tuple[bool, bool]
    disjoint: bool
    unseen_share: float
    psi: float | None

    def finding(self, name: str) -> str:
        """The worst of it in words."""
        if min(self.missing) < 1 and max(self.missing) == 1:
            where = "source" if self.missing[0] == 1 else "target"
            return f"column {name!r} is missing in every row of the {where}"
        if self.disjoint:
            return f"column {name!r} has no value in common between source and target"
        if self.constant[0] != self.constant[1]:
            where = "source" if self.constant[0] else "target"
            return f"column {name!r} is constant in the {where} only"
        if abs(self.missing[0] - self.missing[1]) > MISSING_GAP:
            return (
                f"column {name!r} is missing in {self.missing[0]:.0%} of the source and "
                f"{self.missing[1]:.0%} of the target"
            )
        if self.unseen_share > UNSEEN_SHARE:
            return f"column {name!r}: {self.unseen_share:.0%} of the target is new to the source"
        return ""


def contrast(role: str, source: pl.Series, target: pl.Series) -> Contrast:
    """Compare one parsed column over all rows; no model is fitted.

    Parameters
    ----------
    role
        The column's role in the schema.
    source, target : polars.Series
        Parsed values, (n_source,) and (n_target,).
    """
    missing = (_missing(source), _missing(target))
    disjoint, unseen = False, 0.0
    if max(missing) < 1:
        disjoint, unseen = _by_value(source, target) if _few(role) else _by_range(source, target)
    return Contrast(
        role=role,
        missing=missing,
        constant=(source.n_unique() == 1, target.n_unique() == 1),
        disjoint=disjoint,
        unseen_share=unseen,
        psi=None if max(missing) == 1 else _psi(role, source, target),
    )


def single_column_auc(
    values: npt.NDArray[Any], is_target: npt.NDArray[np.bool_], halves: tuple[Rows, Rows]
) -> float:
    """Tell the populations apart by one column: bins learned on one half, judged on the other.

    It sees any pattern that bins can show, missing values too, and not only a shift upwards.

    Parameters
    ----------
    values : (rows,)
        Numbers with NaN for missing, or integer codes.
    is_target : (rows,)
    halves
        Two sets of rows, each with both populations.

    Returns
    -------
    float
        About 0.5 where the column tells nothing; chance may put it slightly below.
    """
    bins = values.astype(np.intp) if values.dtype.kind in "iu" else _cut(values)
    n_bins = int(bins.max()) + 1
    found = []
    for learn, judge in (halves, halves[::-1]):
        counts = [
            np.bincount(bins[learn][is_target[learn] == side], minlength=n_bins) + 0.5
            for side in (True, False)
        ]
        score = np.log(counts[0]) - np.log(counts[1])
        found.append(roc_auc(is_target[judge].astype(np.int8), score[bins[judge]]))
    return float(np.mean(found))


def report_column(
    name: str, found: Contrast, *, auc: float | None, importance: float
) -> ColumnReport:
    """Put a column's contrast and the classifiers' findings together."""
    return ColumnReport(
        name=name,
        role=found.role,
        auc=auc,
        importance=importance,
        psi=found.psi,
        psi_word="" if found.psi is None else drift_word(found.psi),
        missing_source=found.missing[0],
        missing_target=found.missing[1],
        constant_source=found.constant[0],
        constant_target=found.constant[1],
        disjoint=found.disjoint,
        unseen_share=found.unseen_share,
        finding=found.finding(name),
    )


def _few(role: str) -> bool:
    return role in ("category", "boolean")


def _missing(values: pl.Series) -> float:
    return values.null_count() / max(values.len(), 1)


def _by_value(source: pl.Series, target: pl.Series) -> tuple[bool, float]:
    known = source.drop_nulls().unique()
    present = target.drop_nulls()
    n_new = present.len() - int(present.is_in(known.implode()).sum())
    return n_new == present.len(), n_new / present.len()


def _by_range(source: pl.Series, target: pl.Series) -> tuple[bool, float]:
    ends: list[Any] = [source.min(), source.max(), target.min(), target.max()]
    present = target.drop_nulls()
    n_new = present.len() - int(present.is_between(ends[0], ends[1]).sum())
    return bool(ends[2] > ends[1] or ends[3] < ends[0]), n_new / present.len()


def _psi(role: str, source: pl.Series, target: pl.Series) -> float:
    if _few(role):
        texts = [side.cast(pl.String).to_numpy() for side in (source, target)]
        return psi_categories(*texts).value
    return psi(*(_numbers(side) for side in (source, target))).value


def _numbers(values: pl.Series) -> Floats:
    if values.dtype.is_temporal():
        values = values.cast(pl.Int64)
    numbers: Floats = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return numbers


def _cut(values: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Bins of about equal counts, the last one for missing values: (rows,)."""
    missing = np.isnan(values)
    if missing.all():
        return np.zeros(len(values), dtype=np.intp)
    cuts = np.unique(np.quantile(values[~missing], np.linspace(0, 1, N_BINS + 1)[1:-1]))
    # Spikes lie on a cut; both sides of it keep the spike apart from its neighbours.
    bins = np.searchsorted(cuts, values, side="left") + np.searchsorted(cuts, values, side="right")
    bins[missing] = 2 * len(cuts) + 1
    return bins.astype(np.intp)
