"""Which method to build on, and the answer in words.

The choice is made from evidence that holds no test row (`choice.choose`); the test rows then say
how good it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.compare.cell import SELECTION_FOLDS, Cell
from thinfile.compare.choice import Choice, choose
from thinfile.compare.evidence import Candidate
from thinfile.compare.expectation import Expectations
from thinfile.compare.label_free import label_free_evidence, mean_of
from thinfile.compare.plan import N_FOLDS
from thinfile.compare.task import Task
from thinfile.errors import DataError
from thinfile.methods import METHODS

FloatArray = npt.NDArray[np.float64]

WORTH_SAYING = 0.005
"""AUC difference below which a method is called no better and no worse."""
MORE_LABELS = 200


def choose_method(
    cells: Sequence[Cell],
    task: Task,
    source_weight: FloatArray | None,
    advice: Mapping[str, str],
    budget: int,
    expectations: Expectations | None = None,
) -> Choice:
    """Choose among the finished cells of one budget by evidence without test rows.

    Parameters
    ----------
    source_weight : ndarray of shape (n_source,)
        Density ratio of each of `task.source`, or None where it could not be estimated.
    advice
        "avoid" or "caution" by method, from the diagnosis.
    expectations
        What each method usually brings; those that ship with thinfile by default.

    Raises
    ------
    DataError
        If no method could be run at this budget.
    """
    mine = [c for c in cells if c.budget == budget and c.status == "ok"]
    names = [name for name in METHODS if any(c.method == name for c in mine)]
    if not names:
        failed = [f"{c.method}: {c.error}" for c in cells if c.budget == budget]
        raise DataError(f"no method could be run with {budget} labels; " + "; ".join(failed[:3]))
    seeds = sorted({c.seed for c in mine})
    by_key = {(c.method, c.seed): c for c in mine}
    rows = _label_rows(by_key, names, seeds)
    candidates = [
        _candidate(name, by_key, seeds, rows, task, source_weight, advice) for name in names
    ]
    preferred = ("boosted_pooled", "boosted_source") if budget else ("boosted_source",)
    reference = next((name for name in preferred if name in names), names[0])
    has_labels = rows is not None and any(
        c.name == reference and c.cv_scores is not None for c in candidates
    )
    expected = expectations or Expectations()
    if not has_labels:
        return choose(candidates, reference=reference, prior=expected.unlabelled)
    return choose(
        candidates,
        reference=reference,
        y=task.y[rows],
        rows=rows,
        n_folds=SELECTION_FOLDS,
        prior=expected.labelled,
    )


def _label_rows(
    by_key: Mapping[tuple[str, int], Cell], names: Sequence[str], seeds: Sequence[int]
) -> npt.NDArray[np.intp] | None:
    """Labelled rows of each seed, shape (n_seeds, budget): the same for every method."""
    found = []
    for seed in seeds:
        cell = next((by_key[n, seed] for n in names if (n, seed) in by_key), None)
        if cell is None or not len(cell.label_rows):
            return None
        found.append(cell.label_rows)
    return np.stack(found)


def _candidate(
    name: str,
    by_key: Mapping[tuple[str, int], Cell],
    seeds: Sequence[int],
    rows: npt.NDArray[np.intp] | None,
    task: Task,
    source_weight: FloatArray | None,
    advice: Mapping[str, str],
) -> Candidate:
    scores = None
    if rows is not None:
        scores = np.full(rows.shape, np.nan)
        for place, seed in enumerate(seeds):
            cell = by_key.get((name, seed))
            if cell is not None and len(cell.label_scores) == rows.shape[1]:
                scores[place] = cell.label_scores
        scores = scores if np.isfinite(scores).any() else None
    found = [
        label_free_evidence(cell, task, source_weight)
        for seed in seeds
        if (cell := by_key.get((name, seed))) is not None
    ]
    return Candidate(
        name=name,
        family=METHODS[name].family,
        cost_rank=list(METHODS).index(name),
        cv_scores=scores,
        iw_auc=mean_of([f["iw_auc"] for f in found]),
        iw_log_loss=mean_of([f["iw_log_loss"] for f in found]),
        effective_rows=mean_of([f["iw_effective_rows"] for f in found]),
        advice=advice.get(name),
    )


def write_verdict(
    board: pl.DataFrame,
    choices: Mapping[int, Choice],
    curve: pl.DataFrame,
    diagnosis: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """The answer in words, for the largest budget.

    Returns
    -------
    dict
        `choice`, `budget`, `headline`, `sentences`, `warnings`, `choices` (by budget).
    """
    budget = max(choices)
    choice = choices[budget]
    rows = {r["method"]: r for r in board.filter(pl.col("budget") == budget).to_dicts()}
    chosen = rows[choice.name]
    sentences = [_why(choice)]
    sentences += _against_best(chosen, rows, settings["mode"])
    sentences += _about_deep(choice.name, rows)
    sentences += _worth_of_labels(choice, budget, curve)
    sentences += _about_rate(settings, chosen)
    if settings["mode"] == "cross-validation":
        sentences.append(_about_folds(budget))
    return {
        "choice": choice.name,
        "budget": budget,
        "headline": _headline(chosen, budget, settings),
        "sentences": sentences,
        "warnings": _warnings(diagnosis, rows),
        "choices": {str(b): c.to_dict() for b, c in choices.items()},
    }


def _headline(row: Mapping[str, Any], budget: int, settings: Mapping[str, Any]) -> str:
    labels = f"{budget:,} labels" if budget else "no label"
    most = settings["n_target_labelled"] * (N_FOLDS - 1) // N_FOLDS
    if settings["mode"] == "cross-validation" and budget > most:
        labels = f"{most:,} of the {budget:,} labels in each fit"
    return (
        f"Build on: {row['title']}. AUC {row['auc']:.3f} "
        f"({row['auc_low']:.3f}–{row['auc_high']:.3f}) on the target with {labels}."
    )


def _about_folds(budget: int) -> str:
    text = "Labels were too few for rows set aside: every figure is cross-validated"
    if budget:
        text += " on the same labels that the choice was made from, so the chosen method's is "
        text += "slightly too good"
    return text + "."


def _why(choice: Choice) -> str:
    """How the choice was made, in words."""
    title = METHODS[choice.name].title
    chosen = next(e for e in choice.estimates if e.name == choice.name)
    others = [e for e in choice.estimates if e.name != choice.name and not e.excluded]
    evidence = {
        "target labels": "out-of-fold scores of the target's labels",
        "weighted source rows": "source rows weighted to look like the target",
        "none": "what such methods usually bring, for want of evidence",
    }[choice.evidence]
    if choice.name == choice.reference:
        text = f"{title} is the default, and {evidence} name nothing better"
        if others:
            text += f"; {METHODS[others[0].name].title} comes next, expected at "
            text += f"{_signed(others[0].posterior_mean)} ± {others[0].posterior_sd:.3f} AUC"
        return text + "."
    return (
        f"{title} is expected at {_signed(chosen.posterior_mean)} ± {chosen.posterior_sd:.3f} AUC "
        f"beside the default, {METHODS[choice.reference].title}, by {evidence}."
    )


def _against_best(chosen: Mapping[str, Any], rows: Mapping[str, Any], mode: str) -> list[str]:
    where = "On the test rows, which the choice has not seen,"
    if mode == "cross-validation":
        where = "On the cross-validated labels"
    best = max(rows.values(), key=lambda r: r["auc"])
    if best["method"] == chosen["method"]:
        return [f"{where} no method ranked better."]
    gap = best["auc"] - chosen["auc"]
    return [
        f"{where} {best['title']} ranked best with AUC {best['auc']:.3f}: the choice is {gap:.3f} "
        "behind."
    ]


def _about_deep(chosen: str, rows: Mapping[str, Any]) -> list[str]:
    """Each method that is no plain baseline beside the best one that is."""
    deep = [r for r in rows.values() if r["family"] != "baseline" and r["difference"] is not None]
    if not deep:
        return []
    reference = next(r for r in rows.values() if r.get("is_reference"))
    best = max(deep, key=lambda r: r["auc"])
    sentences = [_beside(best, reference, chosen)]
    worse = [r["title"] for r in deep if r["difference_high"] < 0 and r is not best]
    if best["difference_high"] < 0:
        sentences.append("None of the deep or transfer methods pays here.")
    elif worse:
        sentences.append(f"Clearly worse than that baseline: {', '.join(worse)}.")
    return sentences


def _beside(row: Mapping[str, Any], reference: Mapping[str, Any], chosen: str) -> str:
    """A method that is no plain baseline beside the best one that is, with its interval."""
    low, high = row["difference_low"], row["difference_high"]
    plain = f"the best plain baseline ({reference['title']}, {reference['auc']:.3f})"
    interval = f"({_signed(low)}…{_signed(high)})"
    if low <= 0 <= high:
        found = f"cannot be told from {plain}: {_signed(row['difference'])} {interval}"
        advice = "it is the choice" if row["method"] == chosen else "it is not recommended"
        return f"{row['title']} {found}; {advice}."
    word = "better" if row["difference"] > 0 else "worse"
    found = f"is {abs(row['difference']):.3f} {word} {interval} than {plain}"
    if row["method"] == chosen:
        return f"{row['title']} {found} and is the choice."
    if low > 0:
        return f"{row['title']} {found}; the evidence at hand was too weak to choose it."
    return f"{row['title']} {found} and is not recommended."


def _worth_of_labels(choice: Choice, budget: int, curve: pl.DataFrame) -> list[str]:
    """What more labels would bring, from a measured curve: auc = a − c / √labels."""
    method = curve_method(choice)
    if method is None or budget == 0:
        return []
    mine = curve.filter((pl.col("method") == method) & (pl.col("budget") > 0))
    if mine.height < 2:
        return []
    labels, auc = mine["budget"].to_numpy().astype(float), mine["auc"].to_numpy()
    slope = -float(np.polyfit(1 / np.sqrt(labels), auc, 1, w=np.sqrt(labels))[0])
    gain = slope * (budget**-0.5 - (budget + MORE_LABELS) ** -0.5)
    measured = ", ".join(f"{b:.0f}: {a:.3f}" for b, a in zip(labels, auc, strict=True))
    worth = "next to nothing" if gain < WORTH_SAYING / 5 else f"about {_signed(gain)}"
    who = "" if method == choice.name else f" to {METHODS[method].title}"
    return [f"{MORE_LABELS} more labels would be worth {worth}{who} (AUC by labels, {measured})."]


def curve_method(choice: Choice) -> str | None:
    """Whose curve tells what labels are worth: the choice's, or that of the best that uses them."""
    able = [e.name for e in choice.estimates if METHODS[e.name].uses_target_labels]
    usable = [e.name for e in choice.estimates if e.name in able and not e.excluded]
    return choice.name if choice.name in able else next(iter(usable), None)


def _about_rate(settings: Mapping[str, Any], chosen: Mapping[str, Any]) -> list[str]:
    source, target = settings["source_rate"], settings["target_rate"]
    corrected = "corrected for it and" if settings["is_rate_corrected"] else "not corrected for it:"
    return [
        f"The event is {_times(target, source)} in {settings['target']} ({target:.1%}) as in "
        f"{settings['source']} ({source:.1%}); probabilities are {corrected} off by "
        f"{chosen['calibration_error']:.3f} on average."
    ]


def _times(target: float, source: float) -> str:
    ratio = target / source
    if 0.9 < ratio < 1.1:
        return "about as frequent"
    return f"{ratio:.2g} times as frequent"


def _warnings(diagnosis: Mapping[str, Any], rows: Mapping[str, Any]) -> list[str]:
    """Methods that were run and must not be used here, those of one reason together."""
    by_reason: dict[str, list[str]] = {}
    for entry in diagnosis.get("advice", []):
        if entry["action"] == "avoid" and entry["method"] in rows:
            by_reason.setdefault(entry["reason"], []).append(METHODS[entry["method"]].title)
    return [
        f"Not to be used here: {', '.join(titles)}. {reason[0].upper()}{reason[1:]}."
        for reason, titles in by_reason.items()
    ]


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
