"""What made rows may be used for and what not, in plain words, from the figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from thinfile.synthetic.fidelity import Fidelity
from thinfile.synthetic.membership import Attack
from thinfile.synthetic.privacy import Privacy
from thinfile.synthetic.usefulness import BOTH, IN_PLACE, MADE, Trained, Usefulness

CLOSE, ROUGH, FAR = "close", "rough", "far"
COPIES, STRONG, SOME, NONE, UNSETTLED, UNKNOWN = (
    "copies",
    "strong",
    "some",
    "none found",
    "unsettled",
    "unknown",
)
REFUSED = (COPIES, STRONG)
"""Risks at which `thinfile generate` does not write."""

AUC_ENDS, COLUMN_ENDS = (0.65, 0.85), (0.05, 0.15)
"""Up to the first the made rows are close to the real ones, beyond the second far from them: of the
telling classifier's AUC, or of the mean distance of columns where that could not be measured."""

STRONG_AUC, SOME_AUC = 0.6, 0.52
STRONG_FOUND, SOME_FOUND = 0.05, 0.02
NEAR_FACTOR, NEARER = 2.0, 0.55
"""Attack AUC, and share of members found at 1% false alarms, from which the risk is strong or some;
how many times as many near copies as the hold-out has, and what share nearer to training rows."""

DRIFT_AUC = 0.6
"""If hold-out and training rows are told apart by more than this, the attacks see that, too."""

MARGIN = 0.02
"""Loss of AUC that still counts as "as good"."""


@dataclass(frozen=True)
class Verdict:
    """What follows from the figures.

    Attributes
    ----------
    headline : str
    sentences : list of str
        One on each part.
    uses, not_for : list of str
        What the rows may be used for, and what they must not.
    warnings : list of str
    likeness : str
        "close", "rough" or "far".
    risk : str
        "copies", "strong", "some", "none found", "unsettled" or "unknown".
    """

    headline: str
    sentences: list[str]
    uses: list[str]
    not_for: list[str]
    warnings: list[str]
    likeness: str
    risk: str

    @property
    def is_refused(self) -> bool:
        """Whether the rows should not leave your hands unless somebody takes the risk."""
        return self.risk in REFUSED

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)


def reach_verdict(fidelity: Fidelity, usefulness: Usefulness, privacy: Privacy) -> Verdict:
    """From figures to words.

    Parameters
    ----------
    fidelity : Fidelity
    usefulness : Usefulness
    privacy : Privacy
    """
    likeness, risk = likeness_of(fidelity), risk_of(privacy)
    uses, not_for = _uses(likeness, risk, usefulness)
    return Verdict(
        headline=_headline(likeness, risk),
        sentences=[
            _likeness_sentence(fidelity, likeness),
            *_usefulness_sentences(usefulness),
            *_privacy_sentences(privacy, risk),
        ],
        uses=uses,
        not_for=not_for,
        warnings=_warnings(fidelity, usefulness, privacy),
        likeness=likeness,
        risk=risk,
    )


def likeness_of(fidelity: Fidelity) -> str:
    """How near the made rows come: "close", "rough" or "far"."""
    if fidelity.detection is not None:
        value, ends = fidelity.detection.auc, AUC_ENDS
    else:
        distance = fidelity.column_distance
        value, ends = (1.0 if distance is None else distance), COLUMN_ENDS
    return (CLOSE, ROUGH, FAR)[sum(value > end for end in ends)]


def risk_of(privacy: Privacy) -> str:
    """What the made rows give away, by the worst of copies, near copies and attacks."""
    if privacy.n_copies:
        return COPIES
    if not privacy.attacks:
        return SOME if _near_copies(privacy) else UNKNOWN
    if any(_reaches(each, STRONG_AUC, STRONG_FOUND) for each in privacy.attacks):
        return STRONG
    if _near_copies(privacy) or any(
        _reaches(each, SOME_AUC, SOME_FOUND) for each in privacy.attacks
    ):
        return SOME
    return UNSETTLED if max(each.high for each in privacy.attacks) > STRONG_AUC else NONE


def _reaches(attack: Attack, auc: float, found: float) -> bool:
    return attack.low > auc or (attack.found_low is not None and attack.found_low > found)


def _near_copies(privacy: Privacy) -> bool:
    distances = privacy.distances
    if distances is None:
        return False
    too_near = any(
        share.low > NEAR_FACTOR * share.expected and share.value > NEAR_FACTOR * share.expected
        for share in distances.near.values()
    )
    return too_near or distances.nearer.low > NEARER


def _headline(likeness: str, risk: str) -> str:
    if risk == COPIES:
        return "Do not pass these rows on: some of them are training rows."
    if risk == STRONG:
        return "Do not pass these rows on: they tell who was in the training table."
    like = {
        CLOSE: "The made rows are hard to tell from real ones",
        ROUGH: "The made rows resemble real ones, with differences",
        FAR: "The made rows are easily told from real ones",
    }[likeness]
    said = {
        SOME: "and there are signs of single training rows in them.",
        NONE: "and no attack found out who was in the training table.",
        UNSETTLED: "and too few rows were there to rule a risk out.",
        UNKNOWN: "and what they give away could not be measured.",
    }[risk]
    return f"{like}, {said}"


def _likeness_sentence(fidelity: Fidelity, likeness: str) -> str:
    parts = []
    found, other = fidelity.detection, fidelity.detection_holdout
    if found is not None:
        yardstick = f"; other real rows: {other.auc:.2f}" if other is not None else ""
        parts.append(
            f"A classifier tells made from real rows with AUC {found.auc:.2f} "
            f"({found.low:.2f} to {found.high:.2f}; 0.5 is not at all{yardstick})"
        )
    if fidelity.column_distance is not None:
        parts.append(
            f"columns are {fidelity.column_distance:.3f} apart on average "
            f"(0 is the same, 1 disjoint{_beside(fidelity.column_holdout)})"
        )
    if fidelity.pair_difference is not None:
        parts.append(
            f"the strength of pairs differs by {fidelity.pair_difference:.3f}"
            + (_beside(fidelity.pair_holdout)).replace("; ", ", ")
        )
    said = "; ".join(parts) or "Nothing about likeness could be measured"
    return f"Likeness, {likeness}: {said}."


def _beside(holdout: float | None) -> str:
    return "" if holdout is None else f"; other real rows {holdout:.3f}"


def _usefulness_sentences(usefulness: Usefulness) -> list[str]:
    if not usefulness.trained:
        return [f"Usefulness could not be measured: {_reason(usefulness)}."]
    real = usefulness.trained[0]
    lines = [
        f"Usefulness for {usefulness.label!r} (event: {usefulness.event}), trained and then tested "
        f"on {usefulness.n_test:,} real rows with {usefulness.n_test_events:,} events: on "
        f"the real rows alone AUC {real.auc:.3f}, average precision {real.ap:.3f}."
    ]
    for name in (MADE, IN_PLACE, BOTH):
        arm = usefulness.get(name)
        if arm is not None:
            lines.append(_arm_sentence(arm))
    return lines


def _reason(usefulness: Usefulness) -> str:
    return usefulness.unmeasured[0].removeprefix("usefulness: ")


def _arm_sentence(arm: Trained) -> str:
    assert arm.auc_gap is not None
    assert arm.ap_gap is not None
    said = {
        "helps": "better than the real rows alone",
        "harms": "worse than the real rows alone",
        "even": "not told from the real rows alone",
    }[effect(arm)]
    return (
        f"On {arm.name}: AUC {arm.auc:.3f} ({_signed(arm.auc_gap)}), average precision "
        f"{arm.ap:.3f} ({_signed(arm.ap_gap)}): {said}."
    )


def effect(arm: Trained) -> str:
    """What the made rows did to average precision: "helps", "harms" or "even"."""
    assert arm.ap_gap is not None
    if arm.ap_gap[1] > 0:
        return "helps"
    return "harms" if arm.ap_gap[2] < 0 else "even"


def _signed(gap: tuple[float, float, float]) -> str:
    text = f"{gap[0]:+.3f}, {gap[1]:+.3f} to {gap[2]:+.3f}"
    return text.replace("-", "−")


def _privacy_sentences(privacy: Privacy, risk: str) -> list[str]:
    lines = [
        f"Privacy, {risk}: {privacy.n_copies:,} of {privacy.n_made:,} made rows equal a training "
        "row"
        + (
            f" (of other real rows {privacy.copies_holdout:.1%} do)."
            if privacy.copies_holdout is not None
            else "."
        )
    ]
    if privacy.attacks:
        worst = privacy.attacks[0]
        found = (
            ""
            if worst.found is None
            else f", and finds {worst.found:.1%} of the members at 1% false alarms"
        )
        n = len(privacy.attacks)
        best = f"The best of {n} membership attacks" if n > 1 else "The membership attack"
        lines.append(
            f"{best} ({worst.name}) reaches AUC "
            f"{worst.auc:.2f} ({worst.low:.2f} to {worst.high:.2f}; 0.5 is guessing){found}."
        )
    if privacy.distances is not None:
        for text, share in privacy.distances.near.items():
            lines.append(
                f"{share.value:.1%} of the made rows lie nearer to a training row than "
                f"{1 - float(text):.0%} of other real rows do ({share.expected:.1%} expected)."
            )
        nearer = privacy.distances.nearer
        lines.append(
            f"{nearer.value:.1%} are nearer to a training row than to any of as many hold-out rows "
            f"({nearer.expected:.0%} expected)."
        )
    return lines


Lines = tuple[list[str], list[str]]
"""What the rows may be used for, and what not."""


def _uses(likeness: str, risk: str, usefulness: Usefulness) -> Lines:
    place = "in the house and outside" if risk == NONE else "inside the house"
    uses = [f"Trying out software and reports with rows of the right form, {place}."]
    not_for: list[str] = []
    drawn = "Drawing conclusions about the real customers from single columns and pairs"
    if likeness == CLOSE:
        uses.append(f"{drawn}, within the differences shown below.")
    else:
        not_for.append(f"{drawn}: the made rows differ from them where the figures below say so.")
    for more in (_training_uses(usefulness), _passing_on(risk)):
        uses += more[0]
        not_for += more[1]
    return uses, not_for


def _training_uses(usefulness: Usefulness) -> Lines:
    uses: list[str] = []
    not_for: list[str] = []
    alone = usefulness.get(MADE) or usefulness.get(IN_PLACE)
    if alone is not None and alone.auc_gap is not None:
        in_place = "Training a model in place of the real rows"
        if alone.auc_gap[1] > -MARGIN and effect(alone) != "harms":
            uses.append(f"{in_place}: no loss was seen.")
        elif effect(alone) == "harms" or alone.auc_gap[2] < 0:
            not_for.append(f"{in_place}: it costs accuracy.")
        else:
            not_for.append(f"{in_place}: whether it costs accuracy is not settled.")
    both = usefulness.get(BOTH)
    if both is not None:
        added = "Joining them to the real rows for training"
        lines, said = {
            "helps": (uses, f"{added}: it helped here."),
            "even": (not_for, f"{added} in the hope of a better model: no gain was shown."),
            "harms": (not_for, f"{added}: it made the model worse."),
        }[effect(both)]
        lines.append(said)
    if not usefulness.trained:
        not_for.append("Training models, until it has been measured what that costs.")
    return uses, not_for


def _passing_on(risk: str) -> Lines:
    passing = "Giving them to others who must not learn about single customers"
    if risk == NONE:
        said = (
            f"{passing}: nothing was found by these attacks. That is no guarantee; only training "
            "under differential privacy gives one."
        )
        return [said], []
    why = {
        COPIES: "training rows are among them",
        STRONG: "membership can be told",
        SOME: "there are signs of single training rows in them",
        UNSETTLED: "too few rows were there to rule the risk out",
        UNKNOWN: "the risk was not measured",
    }[risk]
    return [], [f"{passing}: {why}."]


def _warnings(fidelity: Fidelity, usefulness: Usefulness, privacy: Privacy) -> list[str]:
    parts = (fidelity, usefulness, privacy)
    lines = [f"Not measured: {line}." for part in parts for line in part.unmeasured]
    other = fidelity.detection_holdout
    if other is not None and other.low > DRIFT_AUC:
        lines.append(
            f"Hold-out and training rows are of different kinds (a classifier tells them apart "
            f"with AUC {other.auc:.2f}, as with a hold-out from a later time). The attacks see "
            "that as membership, so they look more successful than they are."
        )
    if fidelity.detection is not None and fidelity.detection.high < 0.45:
        lines.append(
            "The classifier is wrong more often than right: made rows lie beside single real ones, "
            "as copies with noise do. Look at privacy."
        )
    return lines
