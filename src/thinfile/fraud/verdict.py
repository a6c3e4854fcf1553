"""What pays with so few labelled frauds, in words that a fraud team can act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from thinfile.compare.held_out_choice import SURE, Choice
from thinfile.methods import METHODS

FEW_EVENTS, FEW_ALERTS = 100, 10
FEW_CHOSEN_BY = 20
"""Frauds among the labelled rows below which a choice is a guess."""
WIDE_SPREAD = 0.1
"""Difference in AP between seeds of one method from which on it is said."""

Row = dict[str, Any]


def write_verdict(
    board: pl.DataFrame,
    choices: Mapping[int, Choice],
    leak: str | None,
    *,
    alerts: float,
    top: int,
    failed: Sequence[str] = (),
) -> dict[str, Any]:
    """Headline, sentences and warnings; the largest budget first.

    Parameters
    ----------
    board
        What :func:`thinfile.fraud.board.fraud_board` gave.
    choices
        By budget.
    leak
        What the leak probes say, where they flag something: it comes first.
    alerts, top
        As in the options.
    failed
        Methods without a result, with the reason.
    """
    budget = max(choices)
    rows = {b: board.filter(pl.col("budget") == b).to_dicts() for b in sorted(choices)}
    mine = {b: _of(rows[b], choices[b].name) for b in rows}
    sentences = [
        *_on_choice(choices[budget], budget),
        *_on_alerts(mine[budget], alerts, top),
        *(sentence for b in rows for sentence in _on_budget(b, rows[b], mine[b], choices[b])),
        *_on_seeds(mine[budget]),
    ]
    return {
        "choice": choices[budget].name,
        "budget": budget,
        "headline": leak or _headline(rows, mine, choices),
        "sentences": sentences,
        "warnings": [
            *([leak] if leak else []),
            *_few_events(mine[budget]),
            *_few_alerts(mine[budget], alerts),
            *failed,
        ],
        "flagged": leak is not None,
    }


def _of(rows: Sequence[Row], name: str) -> Row:
    return next(row for row in rows if row["method"] == name)


def _headline(
    rows: Mapping[int, Sequence[Row]], mine: Mapping[int, Row], choices: Mapping[int, Choice]
) -> str:
    """What to build on at each budget, and whether anything deep pays."""
    words = [
        f"with {budget:,} labelled frauds {row['title']} (AP {_ends(row, 'ap')})"
        for budget, row in mine.items()
    ]
    deep = [b for b, choice in choices.items() if METHODS[choice.name].family != "baseline"]
    text = f"Build on: {'; '.join(words)}."
    if deep:
        return text
    if all(row["family"] == "baseline" for each in rows.values() for row in each):
        return f"{text} Only baselines have a result: whether a deep method pays is not known."
    better = {b: [row["title"] for row in _better(rows[b])] for b in rows}
    found = [f"{_listed(titles)} with {b:,}" for b, titles in better.items() if titles]
    if not found:
        return f"No deep method pays here. {text}"
    none = [f"{b:,}" for b, titles in better.items() if not titles]
    text += f" On the test rows, which the choice must not know, {'; '.join(found)} did better."
    return f"{text} With {_listed(none)} no deep method pays." if none else text


def _better(rows: Sequence[Row]) -> list[Row]:
    others = [row for row in rows if row["family"] != "baseline"]
    return [row for row in others if (row["difference_low"] or 0) > 0]


def _on_choice(choice: Choice, budget: int) -> list[str]:
    title, found = METHODS[choice.name].title, choice.validation
    if len(found) == 1:
        return [f"{title} is the only method with a result: there was nothing to choose between."]
    if not found[choice.name]:
        return [
            f"{budget:,} labelled frauds are too few to hold some back, so nothing was there to "
            f"choose by: {title} is no more than the default."
        ]
    words = [
        f"{title} was chosen on labelled training rows that its fits had not seen (AP "
        f"{found[choice.name]:.3f} there), without a look at the test rows."
    ]
    words += _on_rival(choice)
    blind = [METHODS[name].title for name, value in found.items() if not value]
    if blind:
        words.append(
            f"{budget:,} labelled frauds are too few to hold some back, so {', '.join(blind)} "
            "took no part in the choice."
        )
    n_events = choice.n_events or budget
    if n_events < FEW_CHOSEN_BY:
        words.append(
            f"Only {n_events} labelled frauds stood behind the choice: it is little more than a "
            "guess."
        )
    return words


def _on_rival(choice: Choice) -> list[str]:
    """How near another method came; nothing where one of the two was not measured."""
    found = choice.validation
    if choice.sureness is None or not choice.baseline or not choice.rival:
        return []
    if not found[choice.rival] or not found[choice.baseline]:
        return []
    return [
        f"On those rows {METHODS[choice.rival].title} ({found[choice.rival]:.3f}) was the best "
        f"method beyond the baselines, and {METHODS[choice.baseline].title} "
        f"({found[choice.baseline]:.3f}) the best baseline; the former was ahead in "
        f"{choice.sureness:.0%} of the rows drawn again, and it takes {SURE:.0%} to be chosen."
    ]


def _on_alerts(mine: Row, alerts: float, top: int) -> list[str]:
    n_alerts = max(1, round(alerts * mine["n"]))
    most = min(1.0, n_alerts / mine["n_events"])
    ceiling = f", of at most {most:.0%} that so many alerts can find" if most < 1 else ""
    return [
        f"If one in {1 / alerts:,.0f} rows is looked into ({n_alerts:,} of the tested ones), it "
        f"finds {mine['recall']:.0%} of the frauds ({_percents(mine, 'recall')}){ceiling}; of the "
        f"first {top:,} alerts {mine['precision']:.0%} are frauds "
        f"({_percents(mine, 'precision')}), where {mine['n_events'] / mine['n']:.2%} of all rows "
        "are."
    ]


def _few_alerts(mine: Row, alerts: float) -> list[str]:
    n_alerts = max(1, round(alerts * mine["n"]))
    if n_alerts >= FEW_ALERTS:
        return []
    return [
        f"Recall is measured on {n_alerts} alerts only: that is chance; name a larger share with "
        "--alerts."
    ]


def _on_budget(budget: int, rows: Sequence[Row], mine: Row, choice: Choice) -> list[str]:
    best = next((row for row in rows if row["is_reference"]), None)
    start = f"With {budget:,} labelled frauds"
    if best is None:
        return [
            f"{start} the choice is {mine['title']}, AP {_ends(mine, 'ap')}. No baseline has a "
            "result: whether it pays is not known."
        ]
    others = [row for row in rows if row["family"] != "baseline" and row["difference"] is not None]
    better = [row["title"] for row in others if row["difference_low"] > 0]
    equal = [row["title"] for row in others if row["difference_low"] <= 0 <= row["difference_high"]]
    worse = [row["title"] for row in others if row["difference_high"] < 0]
    words = f"{start} the best baseline on the test rows is {best['title']}, AP {_ends(best, 'ap')}"
    parts = [
        f"{verb} {', '.join(titles)}"
        for verb, titles in (
            ("better than it:", better),
            ("no better within the intervals:", equal),
            ("worse:", worse),
        )
        if titles
    ]
    return [f"{words}; {'; '.join(parts)}." if parts else f"{words}."]


def _on_seeds(mine: Row) -> list[str]:
    if mine["n_seeds"] < 2 or mine["best"] - mine["worst"] < WIDE_SPREAD:
        return []
    return [
        f"Which frauds happen to be labelled matters: from draw to draw its AP goes from "
        f"{mine['worst']:.3f} to {mine['best']:.3f}."
    ]


def _few_events(mine: Row) -> list[str]:
    if mine["n_events"] >= FEW_EVENTS:
        return []
    return [
        f"The test rows hold {mine['n_events']} frauds: intervals are wide, and differences "
        "between methods within them may be chance."
    ]


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _ends(row: Row, name: str) -> str:
    return f"{row[name]:.3f} ({row[f'{name}_low']:.3f}–{row[f'{name}_high']:.3f})"


def _percents(row: Row, name: str) -> str:
    return f"{row[f'{name}_low']:.0%}–{row[f'{name}_high']:.0%}"
