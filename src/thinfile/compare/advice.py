"""Which methods must not be used on these populations, and why, with the figures that say so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from thinfile.compare.base_rate import BaseRate
from thinfile.compare.columns import ColumnReport
from thinfile.compare.decomposition import Decomposition
from thinfile.compare.overlap import Overlap

DISJOINT_AUC = 0.95
"""Above this the populations hardly overlap. Without overlap no method can carry what it learned
across (Ben-David et al., "Impossibility theorems for domain adaptation", AISTATS 2010); measured
here at 0.997, aligning the last layer took AUC from 0.84 to 0.73."""

APART_AUC = 0.85
"""From here on alignment and weighting are a gamble: our own line, half way to the above."""

RATE_RATIO = 1.3
"""Event rates that differ by this factor. Equal marginals then force an error on one side (Zhao et
al., "On learning invariant representations for domain adaptation", ICML 2019); the factor is
ours: below it the bound is smaller than the noise of a comparison."""

MIN_EFFECTIVE_SHARE = 0.10
MIN_EFFECTIVE_ROWS = 200.0
"""Effective rows below which a weighted fit rests on a few rows (Owen, *Monte Carlo theory,
methods and examples*, 2013, section 9.3, for the measure; the lines are ours)."""

Y_GIVEN_X_DROP = 0.02
"""A loss of AUC by Y|X-shift whose interval lies above this is more than a seed's chance."""

FEW_EVENTS = 100
"""Trees on fewer events than this are unstable (van der Ploeg, Austin, Steyerberg, BMC Medical
Research Methodology 2014, find them to need ten times as many as a regression)."""

VERY_FEW_EVENTS = 20
"""Even a penalised regression on fewer events is mostly chance (Peduzzi et al., Journal of Clinical
Epidemiology 1996: ten per variable)."""

ALIGNING = ("dan", "dann", "deep_coral", "boosted_coral")
"""Methods that draw the marginal distributions of the populations together."""

WEIGHTING = ("boosted_weighted",)
SOURCE_ONLY = ("boosted_source", "logistic_source", "forest_source")
UNLABELLED_ALIGNING = ("dan", "dann", "deep_coral", "boosted_coral", "boosted_weighted")
TREES_ON_TARGET = ("boosted_target",)
TARGET_ONLY = ("boosted_target", "logistic_target")


@dataclass(frozen=True)
class Advice:
    """A warning about one method.

    Attributes
    ----------
    method : str
        Name in the registry of methods.
    action : {"avoid", "caution"}
    reason : str
        One sentence with the figures.
    """

    method: str
    action: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)


def advise(
    overlap: Overlap,
    base_rate: BaseRate,
    columns: Sequence[ColumnReport],
    decomposition: Decomposition | None,
    *,
    n_events: int,
) -> tuple[Advice, ...]:
    """Turn the findings into warnings, the strong ones first.

    Parameters
    ----------
    overlap, base_rate, columns, decomposition
        What was found; the last is None where the target has too few labels.
    n_events
        Labelled target rows with y = 1.
    """
    advice = [
        *_about_overlap(overlap),
        *_about_weights(overlap),
        *_about_base_rate(base_rate),
        *_about_columns(columns),
        *_about_outcomes(decomposition),
        *_about_labels(base_rate.n_labels, n_events),
    ]
    return tuple(sorted(advice, key=lambda a: a.action != "avoid"))


def worst_actions(advice: Sequence[Advice]) -> dict[str, str]:
    """The stronger action of each method that is warned of: name → "avoid" or "caution"."""
    actions: dict[str, str] = {}
    for each in advice:
        if actions.get(each.method) != "avoid":
            actions[each.method] = each.action
    return actions


def _each(methods: Sequence[str], action: str, reason: str) -> Iterator[Advice]:
    for method in methods:
        yield Advice(method, action, reason)


def _about_overlap(overlap: Overlap) -> Iterator[Advice]:
    told = f"held-out rows of the two populations are told apart with AUC {overlap.auc:.3f}"
    if overlap.auc_without_leading is not None and overlap.auc_without_leading < DISJOINT_AUC:
        names = ", ".join(overlap.leading)
        told += f" ({overlap.auc_without_leading:.3f} without {names})"
    if overlap.auc > DISJOINT_AUC:
        reason = (
            f"{told}, so they hardly overlap, and drawing their distributions together mixes "
            "customers that have nothing in common"
        )
        yield from _each(ALIGNING, "avoid", reason)
        yield from _each(
            WEIGHTING, "avoid", f"{told}, so hardly any source row could come from the target"
        )
    elif overlap.auc > APART_AUC:
        reason = f"{told}: what is drawn together may be what tells good from bad"
        yield from _each(ALIGNING, "caution", reason)


def _about_weights(overlap: Overlap) -> Iterator[Advice]:
    rows, share = overlap.effective_rows, overlap.effective_share
    if rows < MIN_EFFECTIVE_ROWS or share < MIN_EFFECTIVE_SHARE:
        reason = (
            f"importance weights leave {rows:.0f} effective source rows ({share:.1%}): a few rows "
            "would decide the model"
        )
        yield from _each(WEIGHTING, "avoid", reason)


def _about_base_rate(base_rate: BaseRate) -> Iterator[Advice]:
    if not base_rate.differs(RATE_RATIO):
        return
    how = "observed" if base_rate.observed is not None else "estimated twice, with agreement"
    rates = (
        f"the event rate is {base_rate.source_rate:.1%} in the source and {base_rate.rate:.1%} in "
        f"the target ({how})"
    )
    reason = f"{rates}: drawing unweighted distributions together is then provably harmful"
    yield from _each(("dan", "dann", "deep_coral"), "caution", f"{reason}; leave match_prior on")
    reason = f"{rates}: matching the covariance of all rows also matches the mix of classes"
    yield Advice("boosted_coral", "caution", reason)


def _about_columns(columns: Sequence[ColumnReport]) -> Iterator[Advice]:
    # A column that varies in the source only or never takes the same values was learned in vain.
    broken = [
        c.name
        for c in columns
        if c.disjoint
        or (c.constant_target and not c.constant_source)
        or (c.missing_target == 1 and c.missing_source < 1)
    ]
    if broken:
        some = ", ".join(repr(name) for name in broken[:3]) + (", …" if len(broken) > 3 else "")
        reason = (
            f"{len(broken)} of the source's columns are constant, missing or of other values in "
            f"the target ({some}): what is learned from them there is lost here"
        )
        yield from _each(SOURCE_ONLY, "caution", reason)


def _about_outcomes(found: Decomposition | None) -> Iterator[Advice]:
    if found is None or found.verdict != "y|x-shift":
        return
    estimate, low, high = found.auc.y_given_x_shift
    reason = (
        f"like customers behave differently in the target: this alone costs a source model "
        f"{estimate:.3f} AUC ({low:.3f}…{high:.3f})"
    )
    action = "avoid" if low > Y_GIVEN_X_DROP else "caution"
    yield from _each(SOURCE_ONLY, action, reason)
    reason += ", which no unlabelled row can show"
    yield from _each(UNLABELLED_ALIGNING, "caution", reason)


def _about_labels(n_labels: int, n_events: int) -> Iterator[Advice]:
    if not n_labels:
        return
    if n_events < VERY_FEW_EVENTS:
        reason = f"{n_labels} target labels hold {n_events} events, too few to stand alone on"
        yield from _each(TARGET_ONLY, "avoid", reason)
    elif n_events < FEW_EVENTS:
        reason = f"{n_labels} target labels hold {n_events} events, few for trees on them alone"
        yield from _each(TREES_ON_TARGET, "caution", reason)
