"""What pays, in words that a marketing team can act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from thinfile.compare.held_out_choice import SURE, Choice
from thinfile.intent.board import ALL, NEVER, PAST
from thinfile.methods import METHODS

FEW_EVENTS = 100
FEW_CHOSEN_BY = 20
"""Buyers among the validation rows below which a choice is a guess."""

Row = dict[str, Any]


def write_verdict(
    groups: pl.DataFrame,
    choices: Mapping[int, Choice],
    leak: str | None,
    task_title: str,
    failed: Sequence[str] = (),
) -> dict[str, Any]:
    """Headline, sentences and warnings about the largest label budget.

    Parameters
    ----------
    groups
        What :func:`thinfile.intent.board.group_board` gave.
    choices
        By budget.
    leak
        What the leak probes say, where they flag something: it comes first.
    task_title
        What is predicted.
    failed
        Methods without a result, with the reason.
    """
    budget = max(choices)
    choice = choices[budget]
    boards = {
        group: groups.filter((pl.col("group") == group) & (pl.col("budget") == budget)).to_dicts()
        for group in (ALL, PAST, NEVER)
    }
    rows = boards[ALL]
    mine = next(row for row in rows if row["method"] == choice.name)
    sentences = [
        *_on_choice(choice, mine),
        *_on_top(mine),
        *_on_level(mine),
        *_no_better(rows),
        *_on_group(boards[PAST], "customers who have bought it before", choice.name),
        *_on_group(boards[NEVER], "customers who have never bought it", choice.name),
        *_on_budgets(groups, choices),
    ]
    return {
        "choice": choice.name,
        "budget": budget,
        "headline": _headline(choice, mine, rows, leak, task_title),
        "sentences": sentences,
        "warnings": [*([leak] if leak else []), *_few_events(mine), *failed],
        "flagged": leak is not None,
    }


def _headline(
    choice: Choice, mine: Row, rows: Sequence[Row], leak: str | None, task_title: str
) -> str:
    if leak:
        return leak
    figure = f"AUC {_ends(mine, 'auc')} on later customers"
    if mine["auc_low"] <= 0.5:
        return (
            f"{task_title}: nothing that was chosen here ranks better than chance on later "
            f"customers ({mine['title']}, {figure})."
        )
    if METHODS[choice.name].family != "baseline":
        return f"{task_title}: build on {mine['title']}, {figure}."
    others = [row for row in rows if row["family"] != "baseline"]
    if not others:
        return f"{task_title}: build on {mine['title']}, {figure}; only baselines have a result."
    better = [row for row in others if (row["difference_low"] or 0) > 0]
    if better:
        return (
            f"{task_title}: build on {mine['title']}, {figure}; {better[0]['title']} did better "
            "on the test rows, which the choice must not know."
        )
    return f"{task_title}: no deep method pays; build on {mine['title']}, {figure}."


def _on_choice(choice: Choice, mine: Row) -> list[str]:
    words = [
        f"{mine['title']} was chosen on the validation rows (AUC "
        f"{choice.validation[choice.name]:.3f}), without a look at the test rows."
    ]
    if choice.sureness is not None and choice.baseline and choice.rival:
        auc = choice.validation
        words.append(
            f"There {METHODS[choice.rival].title} ({auc[choice.rival]:.3f}) was ahead of the best "
            f"baseline, {METHODS[choice.baseline].title} ({auc[choice.baseline]:.3f}), in "
            f"{choice.sureness:.0%} of the draws; it takes {SURE:.0%} to be chosen before it."
        )
    if choice.n_events < FEW_CHOSEN_BY:
        words.append(
            f"Only {choice.n_events} buyers were among the labelled validation rows: the choice "
            "is little more than a guess."
        )
    return words


def _on_top(mine: Row) -> list[str]:
    return [
        f"Of the {mine['k']:,} customers that it ranks first, {mine['precision']:.1%} buy "
        f"({_percents(mine, 'precision')}); of all {mine['n']:,} it is {mine['rate']:.1%}: lift "
        f"{mine['lift']:.1f} ({mine['lift_low']:.1f}–{mine['lift_high']:.1f})."
    ]


def _on_level(mine: Row) -> list[str]:
    """Whether as many buy as the probabilities say."""
    expected, n = mine["mean_probability"], mine["n"]
    deviation = (expected * (1 - expected) / n) ** 0.5
    if abs(expected - mine["rate"]) <= 3 * deviation:
        return []
    side = "low" if expected < mine["rate"] else "high"
    return [
        f"Its probabilities run {side}: {expected:.1%} on average, while {mine['rate']:.1%} buy. "
        "Rank by them; do not plan stock by them."
    ]


def _no_better(rows: Sequence[Row]) -> list[str]:
    best = next((row for row in rows if row["is_reference"]), None)
    if best is None:
        return []
    others = [row for row in rows if row["family"] != "baseline" and row["difference"] is not None]
    equal = [row["title"] for row in others if row["difference_low"] <= 0 <= row["difference_high"]]
    worse = [row["title"] for row in others if row["difference_high"] < 0]
    better = [row for row in others if row["difference_low"] > 0]
    words = [
        f"{row['title']} is better than {best['title']} by {row['difference']:.3f} AUC "
        f"({_ends(row, 'difference', only_ends=True)})."
        for row in better
    ]
    if equal:
        words.append(
            f"No better than {best['title']}, the best baseline on the test rows, within the "
            f"intervals: {', '.join(equal)}."
        )
    if worse:
        words.append(f"Worse than {best['title']}: {', '.join(worse)}.")
    return words


def _on_group(rows: Sequence[Row], name: str, choice: str) -> list[str]:
    mine = next((row for row in rows if row["method"] == choice), None)
    if mine is None:
        return [f"Among {name} too few buy for figures of their own."]
    words = f"Among {name} ({mine['n']:,}, {mine['rate']:.1%} buy) its AUC is {_ends(mine, 'auc')}"
    if mine["auc_high"] < 0.5:
        return [f"{words}: it ranks them the wrong way round."]
    if mine["auc_low"] <= 0.5:
        better = [row for row in rows if row["auc_low"] > max(0.5, mine["auc"])]
        words += ", which cannot be told from chance: do not pick among them by it"
        return [
            f"{words}. {better[0]['title']} does ({better[0]['auc']:.3f})."
            if better
            else f"{words}."
        ]
    best = next((row for row in rows if row["is_reference"]), None)
    if best is None or best["method"] == choice:
        return [f"{words}."]
    verb = "no better than" if mine["difference_low"] <= 0 else "better than"
    if mine["difference_high"] < 0:
        verb = "worse than"
    return [f"{words}, {verb} {best['title']} ({best['auc']:.3f})."]


def _on_budgets(groups: pl.DataFrame, choices: Mapping[int, Choice]) -> list[str]:
    words = []
    for budget in sorted(choices)[:-1]:
        rows = groups.filter((pl.col("group") == ALL) & (pl.col("budget") == budget)).to_dicts()
        mine = next((row for row in rows if row["method"] == choices[budget].name), None)
        if mine is not None:
            words.append(
                f"With {budget:,} labels the choice is {mine['title']}, AUC {_ends(mine, 'auc')}."
            )
    return words


def _few_events(mine: Row) -> list[str]:
    if mine["n_events"] >= FEW_EVENTS:
        return []
    return [
        f"The test rows hold {mine['n_events']} buyers: intervals are wide, and differences "
        "between methods within them may be chance."
    ]


def _ends(row: Row, name: str, *, only_ends: bool = False) -> str:
    ends = f"{row[f'{name}_low']:.3f}–{row[f'{name}_high']:.3f}"
    return ends if only_ends else f"{row[name]:.3f} ({ends})"


def _percents(row: Row, name: str) -> str:
    return f"{row[f'{name}_low']:.1%}–{row[f'{name}_high']:.1%}"
