"""Every method and baseline on five real transfers, and what the verdict chose.

    python benchmarks/quality.py [transfer …]

Runs `compare` at 0, 100, 350 and 1,000 target labels with 5 seeds and writes
`benchmarks/results/quality.md`. Cells are kept below `runs/quality`, so a stopped run goes on.
The choice of the verdict never sees a test row; "best in hindsight" is picked on them. What the
verdict expects of each method beforehand is taken from the *other* transfers, so that no transfer
helps to choose for itself.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_name, "1")

import sys
from pathlib import Path

import numpy as np
import polars as pl

import transfers
from thinfile.compare.expectation import Expectations, Prior
from thinfile.compare.options import Options
from thinfile.compare.result import Result
from thinfile.compare.run import compare
from thinfile.compare.task import build_task
from thinfile.methods import METHODS
from thinfile.training.progress import choose_progress

BUDGETS = (0, 100, 350, 1000)
N_SEEDS = 5
RUNS = Path("runs/quality")
TABLE = Path(__file__).parent / "results" / "quality.md"


def main(names: list[str]) -> None:
    """Run the transfers named, or all, and write the table of all that are finished."""
    names = names or list(transfers.TRANSFERS)
    found = {name: _run(name) for name in names}
    results = {name: _run(name, expected_from(found, without=name)) for name in names}
    print(expected_from(found))
    TABLE.write_text(_page(results))
    print(f"written: {TABLE.name}")


def expected_from(found: dict[str, Result], without: str | None = None) -> Expectations | None:
    """Mean and spread of each method's difference to the default over transfers and budgets."""
    others = [result for name, result in found.items() if name != without]
    if len(others) < 2:
        return None
    return Expectations(
        labelled=_priors(others, [b for b in BUDGETS if b], "boosted_pooled"),
        unlabelled=_priors(others, [0], "boosted_source"),
    )


def _priors(results: list[Result], budgets: list[int], default: str) -> dict[str, Prior]:
    """The spread is that of the upper side: only how likely a method is the better one matters."""
    gaps: dict[str, list[float]] = {}
    for result in results:
        for budget in budgets:
            board = result.leaderboard.filter(pl.col("budget") == budget)
            auc = dict(zip(board["method"], board["auc"], strict=True))
            for method, value in auc.items():
                gaps.setdefault(method, []).append(value - auc[default])
    priors = {}
    for method, values in gaps.items():
        middle = float(np.median(values))
        above = [v - middle for v in values if v >= middle]
        spread = float(np.sqrt(np.mean(np.square(above))))
        priors[method] = Prior(round(middle, 4), round(max(spread, 0.005), 4))
    return priors


def _run(name: str, expectations: Expectations | None = None) -> Result:
    transfer = transfers.load(name)
    task = build_task(transfer.source, transfer.target, label=transfer.label, source_name="source")
    options = Options(labels=BUDGETS, n_seeds=N_SEEDS, curve=False, expectations=expectations)
    return compare(task, RUNS / name, options, progress=choose_progress())


def _page(results: dict[str, Result]) -> str:
    parts = [
        "# Quality on real transfers",
        "",
        f"AUC on target rows that nobody has seen, mean of {N_SEEDS} seeds; 95 % intervals over "
        "rows and seeds. **Bold**: what the verdict chose, from evidence without test rows. "
        "*Italic*: best in hindsight. Made by `python benchmarks/quality.py`.",
        "",
        _summary(results),
    ]
    for name, result in results.items():
        parts += [f"## {name}", "", _about(name, result), "", _table(result), ""]
    return "\n".join(parts)


def _summary(results: dict[str, Result]) -> str:
    lines = ["| transfer | labels | verdict's choice | AUC | best in hindsight | AUC | regret |"]
    lines.append("|---|---|---|---|---|---|---|")
    regrets = []
    for name, result in results.items():
        for budget in BUDGETS:
            board = result.leaderboard.filter(pl.col("budget") == budget)
            chosen = board.filter(pl.col("chosen")).row(0, named=True)
            best = board.sort("auc", descending=True).row(0, named=True)
            regrets.append(best["auc"] - chosen["auc"])
            lines.append(
                f"| {name} | {budget} | {chosen['method']} | {chosen['auc']:.4f} | "
                f"{best['method']} | {best['auc']:.4f} | {regrets[-1]:.4f} |"
            )
    mean = sum(regrets) / len(regrets)
    n_over = sum(regret > 0.005 for regret in regrets)
    lines += [
        "",
        f"Mean regret {mean:.4f} AUC over {len(regrets)} cases (bar: 0.005); "
        f"above 0.005 in {n_over}.",
        "",
    ]
    return "\n".join(lines)


def _about(name: str, result: Result) -> str:
    s = result.settings
    return (
        f"{transfers.load(name).note}: {s['n_source']:,} source rows ({s['source_rate']:.1%} "
        f"events), {s['n_target']:,} target rows ({s['target_rate']:.1%}), {s['n_test']:,} tested."
    )


def _table(result: Result) -> str:
    lines = ["| method | " + " | ".join(f"{b} labels" for b in BUDGETS) + " | CPU-s per cell |"]
    lines.append("|---" * (len(BUDGETS) + 2) + "|")
    best = {b: result.leaderboard.filter(pl.col("budget") == b)["auc"].max() for b in BUDGETS}
    for method in METHODS:
        mine = result.leaderboard.filter(pl.col("method") == method)
        rows = {row["budget"]: row for row in mine.to_dicts()}
        cells = [_cell(rows.get(b), best[b]) for b in BUDGETS]
        seconds = mine["cpu_seconds"].mean()
        lines.append(f"| {METHODS[method].title} | " + " | ".join(cells) + f" | {seconds:.1f} |")
    return "\n".join(lines)


def _cell(row: dict[str, float] | None, best: float) -> str:
    if row is None:
        return "–"
    text = f"{row['auc']:.4f}"
    if row["chosen"]:
        text = f"**{text}**"
    if row["auc"] == best:
        text = f"*{text}*"
    return f"{text} ({row['auc_low']:.3f}–{row['auc_high']:.3f})"


if __name__ == "__main__":
    main(sys.argv[1:])
