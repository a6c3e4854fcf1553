"""What pays with so few labelled frauds, in words that a fraud team can act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from thinfile.compare.held_out_choice import SURE, Choice
from thinfile.methods import METHODS

FEW_EVENTS = 100
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
        *_on_choice(choices[budget]),
        *_on_alerts(mine[budget], alerts, top),
        *(sentence for b in rows for sentence in _on_budget(b, rows[b], mine[b], choices[b])),
        *_on_seeds(mine[budget]),
    ]
    return {
        "choice": choices[budget].name,
        "budget": budget,
        "headline": leak or _headline(rows, mine, choices),
        "sentences": sentences,
        "warnings": [*([leak] if leak else []), *_few_events(mine[budget]), *failed],
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
    better = [b for b in rows if _better(rows[b])]
    if better:
        row = _better(rows[better[0]])[0]
        return (
            f"{text} On the test rows, which the choice must not know, {row['title']} did better "
            f"with {better[0]:,}."
        )
    return f"No deep method pays here. {text}"


def _better(rows: Sequence[Row]) -> list[Row]:
    others = [row for row in rows if row["family"] != "baseline"]
    return [row for row in others if (row["difference_low"] or 0) > 0]


def _on_choice(choice: Choice) -> list[str]:
    title = METHODS[choice.name].title
    words = [
        f"{title} was chosen on labelled training rows that its fits had not seen (AP "
        f"{choice.validation[choice.name]:.3f} there), without a look at the test rows."
    ]
    if choice.sureness is not None and choice.baseline and choice.rival:
        found = choice.validation
        words.append(
            f"There {METHODS[choice.rival].title} ({found[choice.rival]:.3f}) was ahead of the "
            f"best baseline, {METHODS[choice.baseline].title} ({found[choice.baseline]:.3f}), in "
            f"{choice.sureness:.0%} of the draws; it takes {SURE:.0%} to be chosen before it."
        )
    if choice.n_events < FEW_CHOSEN_BY:
        words.append(
            f"Only {choice.n_events} labelled frauds stood behind the choice: it is little more "
            "than a guess."
        )
    return words


def _on_alerts(mine: Row, alerts: float, top: int) -> list[str]:
    return [
        f"If one in {1 / alerts:,.0f} of the later rows is looked into, it finds "
        f"{mine['recall']:.0%} of the frauds ({_percents(mine, 'recall')}); of the first {top:,} "
        f"alerts {mine['precision']:.0%} are frauds ({_percents(mine, 'precision')}), where "
        f"{mine['n_events'] / mine['n']:.2%} of all rows are."
    ]


def _on_budget(budget: int, rows: Sequence[Row], mine: Row, choice: Choice) -> list[str]:
    best = next((row for row in rows if row["is_reference"]), None)
    start = f"With {budget:,} labelled frauds"
    if best is None:
        return [f"{start} the choice is {mine['title']}, AP {_ends(mine, 'ap')}."]
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


def _ends(row: Row, name: str) -> str:
    return f"{row[name]:.3f} ({row[f'{name}_low']:.3f}–{row[f'{name}_high']:.3f})"


def _percents(row: Row, name: str) -> str:
    return f"{row[f'{name}_low']:.0%}–{row[f'{name}_high']:.0%}"
