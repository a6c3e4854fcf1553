"""How a comparison was measured, in sentences that a head of risk can check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thinfile.report.subject import Subject, is_number
from thinfile.report.words import count, listing, percent

FEW_EVENTS = 100


def populations(subject: Subject) -> tuple[str, str, str]:
    """Names of the label, the source and the target."""
    settings = subject.result.settings
    return (
        f"“{settings.get('label', 'the label')}”",
        f"“{_joined(settings.get('source', 'source'))}”",
        f"“{_joined(settings.get('target', 'target'))}”",
    )


def _joined(name: Any) -> str:
    return listing(name) if isinstance(name, list | tuple) else str(name)


def protocol_sentences(subject: Subject) -> list[str]:
    """What was trained on what, how it was tested, where the intervals come from."""
    return [*_data_sentences(subject), _test_sentence(subject), *_method_sentences(subject)]


def _data_sentences(subject: Subject) -> list[str]:
    settings = subject.result.settings
    label, source, target = populations(subject)
    rows = [
        f"{count(settings.get('n_source'))} rows of the source {source}"
        + _rate(settings.get("source_rate")),
        f"{count(settings.get('n_target'))} rows of the target {target}"
        + _rate(settings.get("target_rate")),
    ]
    budgets = listing([count(b) for b in settings.get("budgets") or [subject.budget]])
    return [
        f"Data: {listing(rows)}. The label is {label}.",
        f"Target labels given to the methods: {budgets}. They are drawn once per seed, and all "
        "methods get the same ones; the labels of the other target rows are hidden from every fit.",
    ]


def _rate(rate: Any) -> str:
    return f" (event rate {percent(rate)})" if is_number(rate) else ""


def _test_sentence(subject: Subject) -> str:
    settings = subject.result.settings
    y = subject.result.test_y
    size = f"{count(len(y))} rows of the target with {count(int((y == 1).sum()))} events"
    if settings.get("mode") == "cross-validation":
        return (
            f"Test by cross-validation, as there are too few target labels to set any aside: "
            f"{size}, each scored by a model that has not seen its label."
        )
    return f"Test on held-out rows: {size}, never seen in training, stopping or selection."


def _method_sentences(subject: Subject) -> list[str]:
    settings = subject.result.settings
    seeds = settings.get("seeds") or []
    level = settings.get("level", 0.95)
    return [
        f"Every method is trained {count(len(seeds))} times, with the seeds "
        f"{listing(seeds)}; figures are means over them."
        if len(seeds) != 1
        else f"Every method is trained once, with the seed {seeds[0]}.",
        f"Intervals hold {100 * level:.0f}% and come from a bootstrap over test rows and seeds. "
        "Differences are paired: both methods on the same rows, labels and seeds.",
        "The method is chosen from the same labels, cross-validated."
        if settings.get("mode") == "cross-validation"
        else "The method is chosen without a look at the test rows.",
        "Probabilities are corrected for the target's base rate and calibrated where labels allow.",
    ]


def chance_note(subject: Subject) -> str:
    """A warning where the test rows hold few events; empty otherwise."""
    n_events = int((subject.result.test_y == 1).sum())
    if n_events >= FEW_EVENTS:
        return ""
    return (
        f"The test rows hold {count(n_events)} events: intervals are wide, and differences "
        "between methods within them may be chance."
    )


def versions(subject: Subject) -> list[tuple[str, str]]:
    """Versions of the packages that made the result, where they were kept."""
    kept = subject.result.settings.get("versions")
    return [(str(k), str(v)) for k, v in kept.items()] if isinstance(kept, Mapping) else []


def settings_pairs(subject: Subject) -> list[tuple[str, str]]:
    """Every plain setting of the run that has no sentence of its own."""
    told = {"versions", "title", "notes"}
    return [
        (str(k), _joined(v))
        for k, v in subject.result.settings.items()
        if k not in told and not isinstance(v, Mapping) and v is not None
    ]
