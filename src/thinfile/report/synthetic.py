"""The report on made rows as a page: what they may be used for, and the figures behind it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from thinfile.report.card import Section
from thinfile.report.page import fill, require_packages, write_page
from thinfile.report.parts import Fact, Folded, Part
from thinfile.report.tables import Table, number, words
from thinfile.report.words import count, interval, percent, three
from thinfile.synthetic.judge import Judgement
from thinfile.synthetic.membership import REFERENCES
from thinfile.synthetic.verdict import COPIES, NONE, SOME, STRONG, UNKNOWN, UNSETTLED

RISK_WORDS = {
    COPIES: "Copies found",
    STRONG: "Strong",
    SOME: "Some",
    NONE: "None found",
    UNSETTLED: "Not settled",
    UNKNOWN: "Not measured",
}


def write_synthetic(found: Judgement, path: str | Path) -> Path:
    """Write the report on made rows as one HTML page, whole or not at all.

    Parameters
    ----------
    found : Judgement
        What :func:`thinfile.synthetic.judge.judge_synthetic` gave.
    path
        File to write; its folder is made.

    Raises
    ------
    MissingPackageError
        If altair, vl-convert or jinja2 is not installed.
    ArtifactError
        If the file cannot be written.
    """
    return write_page(render_synthetic(found), path)


def render_synthetic(found: Judgement) -> str:
    """The page as text; see :func:`write_synthetic`."""
    require_packages()
    created = datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC")
    parts = [_verdict(found), _likeness(found), _usefulness(found), _privacy(found), _method(found)]
    return fill(parts, f"Made rows: {found.what}", created)


def _verdict(found: Judgement) -> Part:
    verdict = found.verdict
    sections = [
        Section("They may be used for", verdict.uses),
        Section("They must not be used for", verdict.not_for),
    ]
    return Part(
        "verdict",
        "What these rows are good for",
        headline=verdict.headline,
        facts=_facts(found),
        warnings=verdict.warnings,
        sections=[section for section in sections if section.sentences],
    )


def _facts(found: Judgement) -> list[Fact]:
    sizes, privacy = found.sizes, found.privacy
    note = f"{count(sizes['real'])} real, {count(sizes['holdout'])} held out"
    facts = [
        Fact("Made rows", count(sizes["made"]), note),
        Fact("Risk to single customers", RISK_WORDS[found.verdict.risk]),
        Fact("Copies of training rows", count(privacy.n_copies)),
    ]
    detection = found.fidelity.detection
    if detection is not None:
        ends = interval(detection.low, detection.high)
        facts.append(
            Fact("Told from real: AUC", three(detection.auc), f"{ends}; 0.5 is not at all")
        )
    if privacy.attacks:
        worst = privacy.attacks[0]
        ends = interval(worst.low, worst.high)
        facts.append(Fact("Best membership attack: AUC", three(worst.auc), f"{ends}; 0.5 guesses"))
    both = found.usefulness.trained[1:]
    if both:
        gap = both[-1].ap_gap
        assert gap is not None
        ends = interval(gap[1], gap[2], sign=True)
        facts.append(Fact("Gain in AP by adding them", three(gap[0], sign=True), ends))
    return facts


def _likeness(found: Judgement) -> Part:
    from thinfile.report.figures.synthetic_columns import (
        column_figure,
        distribution_figures,
        pair_figure,
    )

    figures = [column_figure(found), pair_figure(found), *distribution_figures(found)]
    kept = [figure for figure in figures if figure is not None]
    said = [sentence for sentence in found.verdict.sentences if sentence.startswith("Likeness")]
    if not any(pair.first for pair in found.fidelity.pairs):
        said.append("There is no pair of columns that both vary.")
    return Part(
        "likeness",
        "How like the real rows they are",
        sentences=said,
        figures=kept,
        folded=_telling_table(found),
    )


def _telling_table(found: Judgement) -> list[Folded]:
    detection = found.fidelity.detection
    if detection is None or not detection.columns:
        return []
    rows = [[words(name), number(percent(share), share)] for name, share in detection.columns]
    caption = (
        "What the classifier of made against real rows leans on most (share of its gain). Where "
        "it tells them apart well, begin there."
    )
    return [Folded("By what the classifier tells them", Table(caption, ["Column", "Share"], rows))]


def _usefulness(found: Judgement) -> Part:
    from thinfile.report.figures.synthetic import usefulness_figures

    usefulness = found.usefulness
    said = (
        [
            f"Boosted trees for {usefulness.label!r} (event: {usefulness.event}), trained on "
            f"different rows and tested on the same {count(usefulness.n_test)} real rows that no "
            f"generator has seen, {count(usefulness.n_test_events)} of them events."
        ]
        if usefulness.trained
        else [f"Not measured: {line}." for line in usefulness.unmeasured]
    )
    return Part(
        "usefulness",
        "What they are worth for training",
        sentences=said,
        figures=usefulness_figures(found),
        tables=[_trained_table(found)] if usefulness.trained else [],
    )


def _trained_table(found: Judgement) -> Table:
    rows = []
    for each in found.usefulness.trained:
        cells = [words(each.name[:1].upper() + each.name[1:])]
        cells += [number(count(each.n_rows), each.n_rows, f"{count(each.n_events)} events")]
        for measure in ("auc", "ap"):
            value, gap = getattr(each, measure), getattr(each, f"{measure}_gap")
            ends = interval(getattr(each, f"{measure}_low"), getattr(each, f"{measure}_high"))
            cells.append(number(three(value), value, ends))
            cells.append(
                number("", None)
                if gap is None
                else number(three(gap[0], sign=True), gap[0], interval(*gap[1:], sign=True))
            )
        rows.append(cells)
    headings = ["Trained on", "Rows", "AUC", "To real rows", "Average precision", "To real rows"]
    return Table("Intervals below the figures; differences are paired.", headings, rows)


def _privacy(found: Judgement) -> Part:
    from thinfile.report.figures.synthetic import attack_figure, distance_figure

    privacy = found.privacy
    figures = [attack_figure(found), distance_figure(found)]
    said = [
        f"{count(privacy.n_copies)} of {count(privacy.n_made)} made rows equal a training row in "
        f"every column but the label, and {count(privacy.n_repeats)} equal another made row."
    ]
    if privacy.copies_holdout is not None:
        said.append(
            f"Of other real rows {percent(privacy.copies_holdout)} equal a training row by chance."
        )
    said += [f"Not measured: {line}." for line in privacy.unmeasured]
    return Part(
        "privacy",
        "What they give away of the training rows",
        sentences=said,
        figures=[figure for figure in figures if figure is not None],
        tables=[*_attack_table(found), *_distance_table(found)],
    )


def _attack_table(found: Judgement) -> list[Table]:
    if not found.privacy.attacks:
        return []
    rows = [
        [
            words(each.name[:1].upper() + each.name[1:], REFERENCES[each.name]),
            number(three(each.auc), each.auc, interval(each.low, each.high)),
            number(
                percent(each.found),
                each.found,
                ""
                if each.found is None
                else f"{percent(each.found_low)}…{percent(each.found_high)}",
            ),
        ]
        for each in found.privacy.attacks
    ]
    caption = (
        "Membership attacks. 0.5 and 1.0% are guessing. The intervals are wider than 95% by as "
        "much as there are attacks, since the worst of them counts."
    )
    return [Table(caption, ["Attack", "AUC", "Members found at 1% false alarms"], rows)]


def _distance_table(found: Judgement) -> list[Table]:
    distances = found.privacy.distances
    if distances is None:
        return []
    rows = [
        [
            words(f"Nearer to a training row than {1 - float(text):.0%} of other real rows"),
            number(percent(share.value), share.value, _ends(share.low, share.high)),
            number(percent(share.expected), share.expected),
        ]
        for text, share in distances.near.items()
    ]
    nearer = distances.nearer
    rows.append(
        [
            words("Nearer to a training row than to any of as many hold-out rows"),
            number(percent(nearer.value), nearer.value, _ends(nearer.low, nearer.high)),
            number(percent(nearer.expected), nearer.expected),
        ]
    )
    return [Table("Near copies among the made rows.", ["What", "Made rows", "Expected"], rows)]


def _ends(low: float, high: float) -> str:
    return f"{percent(low)}…{percent(high)}"


def _method(found: Judgement) -> Part:
    said = [
        *found.notes,
        "Likeness and privacy are measured against real rows of the kind that was made; "
        "usefulness with all kinds.",
        "Distances: numbers as normal scores, categories as corners, a gap as one more number.",
        "A membership attack gets the made rows and half of the hold-out for reference; it must "
        "tell training rows from the other half.",
        "No attack proves privacy: it shows what this attacker finds. Distances to the closest "
        "row say even less.",
        f"It took {found.seconds:.1f} CPU seconds.",
    ]
    return Part("method", "How it was measured", sections=[Section("Measurement", said)])
