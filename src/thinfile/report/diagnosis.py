"""The diagnosis of the populations as sentences, pairs and figures; missing parts are left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thinfile.report.figures.figure import Figure
from thinfile.report.figures.populations import (
    Estimate,
    Named,
    psi_figure,
    rates_figure,
    shift_figure,
    telling_figure,
)
from thinfile.report.subject import Subject, is_number
from thinfile.report.tables import Table, words
from thinfile.report.words import count, interval, listing, percent, three

UNTOLD = "no shared ground"
"""The verdict that a drop cannot be taken apart."""

ACTIONS = {"avoid": "not to be used", "caution": "with caution"}


@dataclass(frozen=True)
class DiagnosisPart:
    """What the page shows of a diagnosis."""

    sentences: Sequence[str]
    findings: Sequence[str]
    advice: Table | None
    figures: Sequence[Figure]
    psi: Figure | None


def diagnosis_part(subject: Subject) -> DiagnosisPart:
    """Read the diagnosis of a comparison."""
    found = subject.result.diagnosis
    columns = [column for column in found.get("columns") or [] if isinstance(column, Mapping)]
    split = _mapping(found, "decomposition")
    figures = [
        _telling(columns),
        _shift(split),
        _rates(_mapping(found, "base_rate")),
    ]
    sentences = [
        *_overlap_sentences(_mapping(found, "overlap")),
        *_rate_sentences(_mapping(found, "base_rate")),
        *([_sentence(split["sentence"])] if split.get("sentence") else []),
    ]
    return DiagnosisPart(
        sentences=sentences,
        findings=[_sentence(str(c["finding"])) for c in columns if c.get("finding")],
        advice=_advice(subject, found.get("advice") or []),
        figures=[figure for figure in figures if figure is not None],
        psi=psi_figure(_named(columns, "psi")),
    )


def _mapping(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    return value if isinstance(value, Mapping) else {}


def _named(columns: Sequence[Mapping[str, Any]], key: str) -> Named:
    return [(str(c.get("name")), float(c[key])) for c in columns if is_number(c.get(key))]


def _sentence(text: str) -> str:
    """The text as a sentence: a capital first, a full stop last."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _overlap_sentences(overlap: Mapping[str, Any]) -> list[str]:
    auc = overlap.get("auc")
    if not is_number(auc):
        return []
    ends = interval(overlap.get("low"), overlap.get("high"))
    sentences = [
        f"Held-out rows of source and target are told apart with AUC {three(auc)}"
        + (f" ({ends})" if ends else "")
        + f": {_overlap_word(float(auc or 0))}."
    ]
    if overlap.get("leading"):
        sentences.append(_leading(overlap))
    if is_number(overlap.get("effective_rows")):
        sentences.append(
            f"Weighted to look like the target, the source is worth "
            f"{count(overlap['effective_rows'])} rows"
            + (
                f" ({percent(overlap.get('effective_share'))} of them)."
                if overlap.get("effective_share")
                else "."
            )
        )
    return sentences


def _leading(overlap: Mapping[str, Any]) -> str:
    names = listing([f"“{name}”" for name in overlap["leading"]])
    text = f"The columns that tell most are {names}"
    without = overlap.get("auc_without_leading")
    return (
        f"{text}; without them the AUC is {three(without)}." if is_number(without) else f"{text}."
    )


def _overlap_word(auc: float) -> str:
    if auc < 0.6:
        return "the populations are much alike"
    if auc < 0.8:
        return "they differ, but overlap widely"
    if auc < 0.95:
        return "they differ much, and overlap in part"
    return "they hardly overlap"


def _rate_sentences(found: Mapping[str, Any]) -> list[str]:
    if found.get("sentence"):
        return [_sentence(str(found["sentence"]))]
    if is_number(found.get("source_rate")):
        return [f"The source's event rate is {percent(found['source_rate'])}."]
    return []


def _rates(found: Mapping[str, Any]) -> Figure | None:
    estimated = _mapping(found, "estimated")
    doubt = "" if is_number(estimated.get("estimate")) else " (not relied on)"
    rates = [Estimate("Source", found.get("source_rate"), None, None)]
    rates += [
        Estimate(name.upper() + doubt, estimated.get(name), *_log_odds_ends(estimated, name))
        for name in ("em", "bbse")
    ]
    observed = [found.get(name) for name in ("observed", "observed_low", "observed_high")]
    rates.append(Estimate("Target's labels", *observed))
    return rates_figure([rate for rate in rates if is_number(rate.value)])


def _log_odds_ends(estimated: Mapping[str, Any], name: str) -> tuple[float | None, float | None]:
    """Ends of a 95% interval from a rate and its standard error on the log-odds."""
    rate, error = estimated.get(name), estimated.get(f"{name}_error")
    if not (is_number(rate) and is_number(error) and 0 < float(rate or 0) < 1):
        return None, None
    middle, half = math.log(float(rate or 0) / (1 - float(rate or 0))), 1.96 * float(error or 0)
    low, high = (1 / (1 + math.exp(-(middle + sign * half))) for sign in (-1, 1))
    return low, high


def _advice(subject: Subject, entries: Sequence[Any]) -> Table | None:
    """One row per method: the stronger action and every reason."""
    by_method: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        if isinstance(entry, Mapping) and entry.get("action") in ACTIONS:
            by_method.setdefault(str(entry.get("method", "")), []).append(entry)
    if not by_method:
        return None
    rows = [
        [words(subject.title(method)), words(_worst(own)), words(_reasons(own))]
        for method, own in by_method.items()
    ]
    return Table("Methods that the diagnosis speaks against.", ["Method", "Advice", "Why"], rows)


def _worst(entries: Sequence[Mapping[str, Any]]) -> str:
    actions = [entry["action"] for entry in entries]
    return next(words for action, words in ACTIONS.items() if action in actions)


def _reasons(entries: Sequence[Mapping[str, Any]]) -> str:
    return " ".join(dict.fromkeys(_sentence(str(entry.get("reason", ""))) for entry in entries))


def _telling(columns: Sequence[Mapping[str, Any]]) -> Figure | None:
    told = [pair for pair in _named(columns, "importance") if pair[1] > 0]
    return telling_figure(told, "Share of the classifier's gain")


def _shift(split: Mapping[str, Any]) -> Figure | None:
    """The fall turned round, so that a loss is drawn to the left."""
    if split.get("verdict") == UNTOLD:
        return None
    measures = _mapping(split, "auc")
    names = {
        "x_shift": "X-shift (other customers)",
        "y_given_x_shift": "Y|X-shift (other outcomes)",
        "drop": "Together",
    }
    parts = [_turned(title, measures.get(key)) for key, title in names.items()]
    known = [part for part in parts if part is not None]
    return shift_figure(known) if len(known) == len(names) else None


def _turned(title: str, fall: Any) -> Estimate | None:
    if not isinstance(fall, list | tuple) or len(fall) != 3 or not all(map(is_number, fall)):
        return None
    value, low, high = fall
    return Estimate(title, -value, -high, -low)
