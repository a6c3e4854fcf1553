"""The model card: what a model is for, how it was made and measured, where it must not be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from thinfile.methods import METHODS
from thinfile.report.protocol import chance_note, populations, protocol_sentences
from thinfile.report.subject import Subject, is_number, subject_of
from thinfile.report.words import count, measured, percent, three

if TYPE_CHECKING:
    from thinfile.compare.result import Result

MEASURES = {"auc": "AUC", "gini": "Gini", "ks": "KS", "ap": "Average precision", "brier": "Brier"}


@dataclass(frozen=True)
class Section:
    """A part of the card: sentences, and pairs of a name and a value."""

    title: str
    sentences: Sequence[str] = ()
    pairs: Sequence[tuple[str, str]] = field(default_factory=tuple)


def model_card(source: Result | Mapping[str, Any]) -> str:
    """Write a model card in Markdown.

    Use it for the ``card.md`` of an artifact.

    Parameters
    ----------
    source
        A finished comparison; the card is that of the chosen method. Or, for a model that was
        fitted without one, a mapping with a ``title``: its other texts become paragraphs, its
        lists bullet points and its mappings (``metrics``, ``data``, ``params``) tables.

    Returns
    -------
    str
        Markdown. Names from the data are escaped.

    Examples
    --------
    >>> print(model_card({"title": "Pooled trees", "metrics": {"auc": 0.68149}}))
    # Pooled trees
    <BLANKLINE>
    ## Metrics
    <BLANKLINE>
    | | |
    |---|---|
    | auc | 0.681 |
    <BLANKLINE>
    """
    if isinstance(source, Mapping):
        return _markdown(str(source.get("title", "Model card")), _given_sections(source))
    subject = subject_of(source)
    how = Section("How it was measured", protocol_sentences(subject))
    return _markdown(card_title(subject), [*card_sections(subject), how])


def card_title(subject: Subject) -> str:
    """Name of the chosen model."""
    return f"Model card: {subject.title(subject.choice) if subject.choice else 'no model chosen'}"


def card_sections(subject: Subject) -> list[Section]:
    """The card of the chosen method, all but how it was measured."""
    return [_purpose(subject), _model(subject), _performance(subject), _limits(subject)]


def _purpose(subject: Subject) -> Section:
    label, _, target = populations(subject)
    return Section(
        "What it is for",
        [
            f"It gives the probability that {label} is 1 for a customer of {target}, and ranks "
            "customers by it.",
            "It is meant for customers like those of the test rows. Other products, channels and "
            "periods need a comparison of their own.",
        ],
    )


def _model(subject: Subject) -> Section:
    method = METHODS.get(subject.choice or "")
    known = [("Method", subject.title(subject.choice or "–"))]
    if method is not None:
        known += [("What it does", method.summary), ("Paper", method.paper)]
    known += [("Labels of the target", count(subject.budget)), *_rows(subject)]
    return Section("Model and data", (), known)


def _rows(subject: Subject) -> list[tuple[str, str]]:
    settings = subject.result.settings
    names = {
        "n_source": "Source rows",
        "n_target": "Target rows",
        "n_test": "Test rows of the target",
        "n_features": "Columns",
    }
    rates = {"source_rate": "Event rate, source", "target_rate": "Event rate, target"}
    counts = [(t, count(settings[k])) for k, t in names.items() if is_number(settings.get(k))]
    shares = [(t, percent(settings[k])) for k, t in rates.items() if is_number(settings.get(k))]
    return counts + shares


def _performance(subject: Subject) -> Section:
    row = subject.chosen
    if row is None:
        return Section("Performance", ["No method has a result."])
    pairs = [(title, measured(row, name)) for name, title in MEASURES.items() if name in row]
    best = subject.best_baseline
    if best is not None and best["method"] != row["method"]:
        name = f"AUC beside {subject.title(best['method'])}"
        pairs.append((name, measured(row, "difference", sign=True)))
    return Section("Performance on the target", (), pairs)


def _limits(subject: Subject) -> Section:
    sentences = [str(warning) for warning in subject.result.verdict.get("warnings") or []]
    note = chance_note(subject)
    if note:
        sentences.append(note)
    sentences += [
        "Nothing here says how the model treats protected groups: measure that before use.",
        "Only applicants with a known outcome were seen; for those refused before, it is untested.",
        "Watch the population stability index of its columns and of the score every month.",
    ]
    return Section("Limits", sentences)


def _given_sections(source: Mapping[str, Any]) -> list[Section]:
    return [_given(str(name), value) for name, value in source.items() if name != "title"]


def _given(name: str, value: Any) -> Section:
    title = name.replace("_", " ").capitalize()
    if isinstance(value, Mapping):
        return Section(title, (), [(str(k), _value(v)) for k, v in value.items()])
    if isinstance(value, str) or not isinstance(value, Sequence):
        return Section(title, [_value(value)])
    return Section(title, [_value(item) for item in value])


def _value(value: Any) -> str:
    if isinstance(value, float):
        return three(value)
    return str(value)


def _markdown(title: str, sections: Sequence[Section]) -> str:
    blocks = [f"# {_escaped(title)}"]
    for section in sections:
        blocks.append(f"## {_escaped(section.title)}")
        if section.sentences:
            blocks.append("\n".join(f"- {_escaped(s)}" for s in section.sentences))
        if section.pairs:
            lines = [f"| {_escaped(k)} | {_escaped(v)} |" for k, v in section.pairs]
            blocks.append("\n".join(["| | |", "|---|---|", *lines]))
    return "\n\n".join(blocks) + "\n"


def _escaped(text: str) -> str:
    """Text that Markdown, with HTML in it, shows as it is."""
    text = " ".join(text.split()).replace("\\", "\\\\")
    for sign in "`*[]|#":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
