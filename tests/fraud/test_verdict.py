"""What is said of a choice: with evidence, with none, with one method, with baselines alone."""

from __future__ import annotations

from typing import Any

import polars as pl

from thinfile.compare.held_out_choice import Choice
from thinfile.fraud.verdict import write_verdict
from thinfile.methods import METHODS


def row(method: str, ap: float, *, best: bool = False, gap: float | None = None) -> dict[str, Any]:
    figures = {
        f"{name}{end}": ap + shift
        for name in ("ap", "recall", "precision")
        for end, shift in (("", 0.0), ("_low", -0.1), ("_high", 0.1))
    }
    ends = (None, None, None) if gap is None else (gap, gap - 0.05, gap + 0.05)
    return {
        "budget": 10,
        "method": method,
        "title": METHODS[method].title,
        "family": METHODS[method].family,
        **figures,
        "n": 1000,
        "n_events": 200,
        "n_seeds": 2,
        "worst": ap - 0.02,
        "best": ap + 0.02,
        "is_reference": best,
        **dict(zip(("difference", "difference_low", "difference_high"), ends, strict=True)),
    }


def verdict(
    rows: list[dict[str, Any]], choice: Choice, *, budgets: tuple[int, ...] = (10,), **more: Any
) -> dict[str, Any]:
    given = {"alerts": 0.01, "top": 100, **more}
    board = pl.DataFrame(rows, infer_schema_length=None)
    return write_verdict(board, dict.fromkeys(budgets, choice), given.pop("leak", None), **given)


BOTH = [row("boosted", 0.5, best=True, gap=0.0), row("sgan", 0.5, gap=0.01)]


def test_a_choice_with_evidence_names_the_rival() -> None:
    choice = Choice("boosted", {"boosted": 0.6, "sgan": 0.5}, "boosted", "sgan", 0.3, n_events=10)
    said = verdict(BOTH, choice)
    words = " ".join(said["sentences"])
    assert "No deep method pays here" in said["headline"]
    assert (
        "SGAN (0.500) was the best method beyond the baselines, and Boosted trees (0.600) the best "
        "baseline; the former was ahead in 30% of the rows drawn again" in words
    )
    assert "Only 10 labelled frauds stood behind the choice" in words
    assert "no better within the intervals: SGAN" in words


def test_the_headline_tells_of_each_budget_whether_a_deep_method_pays() -> None:
    choice = Choice("boosted", {"boosted": 0.6, "sgan": 0.5}, "boosted", "sgan", 0.3, n_events=10)
    ahead = [row("sgan", 0.7, gap=0.2), row("devnet", 0.7, gap=0.2)]
    later = [dict(each, budget=50) for each in (*BOTH[:1], *ahead)]
    last = [dict(each, budget=100) for each in BOTH]
    said = verdict([*BOTH, *later, *last], choice, budgets=(10, 50, 100))
    assert said["headline"].endswith(
        "On the test rows, which the choice must not know, SGAN and DevNet with 50 did better. "
        "With 10 and 100 no deep method pays."
    )


def test_a_deep_choice_is_named_without_a_word_of_what_does_not_pay() -> None:
    choice = Choice("sgan", {"boosted": 0.4, "sgan": 0.6}, "boosted", "sgan", 0.97, n_events=50)
    said = verdict([row("boosted", 0.5, best=True, gap=0.0), row("sgan", 0.7, gap=0.2)], choice)
    assert said["headline"].startswith("Build on: with 10 labelled frauds SGAN (AP 0.700")
    assert "pays" not in said["headline"]
    assert "better than it: SGAN" in " ".join(said["sentences"])


def test_a_choice_without_evidence_says_so() -> None:
    choice = Choice("boosted", {"boosted": 0.0, "sgan": 0.0}, "boosted", "sgan", 0.0)
    words = " ".join(verdict(BOTH, choice)["sentences"])
    assert "10 labelled frauds are too few to hold some back" in words
    assert "Boosted trees is no more than the default" in words
    assert "in 0% of the draws" not in words
    assert "0 labelled frauds stood" not in words


def test_methods_that_took_no_part_in_the_choice_are_named() -> None:
    rows = [row("ecod", 0.3, best=True, gap=0.0), row("sgan", 0.5, gap=0.2)]
    choice = Choice("ecod", {"sgan": 0.0, "ecod": 0.4}, "ecod", "sgan", 0.0)
    said = verdict(rows, choice)
    words = " ".join(said["sentences"])
    assert "so SGAN took no part in the choice" in words
    assert "of the draws" not in words
    assert "SGAN with 10 did better" in said["headline"]


def test_one_method_is_no_choice() -> None:
    said = verdict([row("sgan", 0.5)], Choice("sgan", {"sgan": 0.4}, None, "sgan", None, 10))
    words = " ".join(said["sentences"])
    assert "SGAN is the only method with a result" in words
    assert "No baseline has a result: whether it pays is not known" in words


def test_baselines_alone_tell_nothing_of_deep_methods() -> None:
    rows = [row("boosted", 0.5, best=True, gap=0.0), row("ecod", 0.2, gap=-0.3)]
    choice = Choice("boosted", {"boosted": 0.6, "ecod": 0.2}, "boosted", None, None, n_events=50)
    said = verdict(rows, choice, failed=["SGAN failed: no reason"])
    assert "No deep method pays" not in said["headline"]
    assert said["headline"].endswith("whether a deep method pays is not known.")
    assert said["warnings"] == ["SGAN failed: no reason"]


def test_a_leak_comes_first() -> None:
    choice = Choice("boosted", {"boosted": 0.6, "sgan": 0.5}, "boosted", "sgan", 0.3, n_events=10)
    said = verdict(BOTH, choice, leak="column 'a' knows the answer")
    assert said["headline"] == said["warnings"][0] == "column 'a' knows the answer"
    assert said["flagged"]
