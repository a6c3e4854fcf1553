"""Card fraud with a handful of labels: every method and baseline under the same budget.

    python benchmarks/cards.py

Runs what `thinfile compare --group fraud` runs on European card payments of two days (284,807 rows,
492 frauds): trained on the first 80 % of the time, tested on the rest, `Time` no feature; 10, 50,
100 and all labelled frauds with 1,000 to 5,000 labelled genuine ones, 20,000 of the other rows
without a label, 5 seeds. Then 10 and 50 frauds with fewer than 1,000 labelled payments in all.
Writes `benchmarks/results/cards.md`. Cells are kept below `runs/cards`, so a stopped run goes on.
`--jobs` sets the processes.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
from pathlib import Path
from typing import Any

import polars as pl

from thinfile.compare.result import Result
from thinfile.data.datasets import data_folder
from thinfile.fraud.options import FraudOptions
from thinfile.fraud.run import compare_fraud
from thinfile.fraud.task import build_fraud_task
from thinfile.training.progress import choose_progress

N_SEEDS = 5
BUDGETS = (10, 50, 100, "all")
FEW_GENUINE = 900
FEW = ("logistic", "boosted", "boosted_rest", "mlp_few", "devnet", "sgan")
"""Methods of the run with fewer than 1,000 labels in all."""
RUNS = Path("runs/cards")
TABLE = Path(__file__).parent / "results" / "cards.md"


def main() -> None:
    """Run both parts, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=N_SEEDS)
    given = parser.parse_args()
    payments = pl.read_parquet(data_folder() / "ulb_creditcard.parquet")
    common: dict[str, Any] = {"time": "Time", "n_seeds": given.seeds, "n_jobs": given.jobs}
    found = run(payments, "all", FraudOptions(labels=BUDGETS, **common))
    few = FraudOptions(labels=(10, 50), genuine=FEW_GENUINE, methods=FEW, **common)
    TABLE.write_text(page(found, run(payments, "few", few), given.seeds))
    print(f"written: {TABLE.name}")


def run(payments: pl.DataFrame, name: str, options: FraudOptions) -> Result:
    """One comparison."""
    task = build_fraud_task(payments, label="Class", options=options, title="cards")
    return compare_fraud(task, RUNS / name, options, progress=choose_progress())


def page(found: Result, few: Result | None, n_seeds: int) -> str:
    """The results in words and tables; `few` is None where that run is not finished."""
    settings = found.settings
    parts = [
        "# Card fraud with a handful of labels",
        "",
        f"Means of {n_seeds} seeds (other labels drawn) with 95 % intervals over test rows and "
        f"seeds: {settings['n_test']:,} payments of the last fifth of the time, "
        f"{settings['n_test_frauds']} of them frauds; {settings['n_train_frauds']} frauds lie in "
        "the training part. The difference is in average precision (AP), paired with the best "
        "baseline of the budget. Made by `python benchmarks/cards.py`.",
        "",
        found.verdict["headline"],
        "",
        *(f"- {sentence}" for sentence in found.verdict["sentences"]),
        *(f"- {warning}" for warning in found.verdict["warnings"]),
        "",
    ]
    for budget in settings["budgets"]:
        n_genuine = settings["n_genuine"][str(budget)]
        parts += [f"## {budget} labelled frauds, {n_genuine:,} genuine", ""]
        parts += [*table(found.leaderboard, budget, settings), ""]
    parts += ["## Fewer than 1,000 labelled payments in all", ""]
    parts += ["Not finished.", ""] if few is None else []
    for budget in few.settings["budgets"] if few is not None else ():
        assert few is not None
        parts += [f"{budget} labelled frauds, {FEW_GENUINE} genuine:", ""]
        parts += [*table(few.leaderboard, budget, few.settings), ""]
    versions = ", ".join(f"{name} {number}" for name, number in settings["versions"].items())
    return "\n".join([*parts, f"Versions: {versions}."]) + "\n"


def table(board: pl.DataFrame, budget: int, settings: dict[str, Any]) -> list[str]:
    """One budget, the best first."""
    alerts, top = f"recall at {settings['alerts']:.1%}", f"precision at {settings['top']}"
    lines = [
        f"| method | AP | seeds from–to | {alerts} | {top} | AUC | AP to best baseline | CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in board.filter(pl.col("budget") == budget).to_dicts():
        mark = " (the choice)" if row["chosen"] else ""
        figures = [ends(row, name) for name in ("ap", "recall", "precision", "auc")]
        figures.insert(1, f"{row['worst']:.3f}–{row['best']:.3f}")
        lines.append(
            f"| {row['title']}{mark} | {' | '.join(figures)} | {difference(row)} "
            f"| {row['cpu_seconds']:.1f} |"
        )
    return lines


def ends(row: dict[str, Any], name: str) -> str:
    """A figure with its interval."""
    return f"{row[name]:.3f} ({row[f'{name}_low']:.3f}–{row[f'{name}_high']:.3f})"


def difference(row: dict[str, Any]) -> str:
    """To the best baseline."""
    if row["is_reference"]:
        return "best baseline"
    low, high = row["difference_low"], row["difference_high"]
    return f"{row['difference']:+.3f} ({low:+.3f}…{high:+.3f})".replace("-", "−")


if __name__ == "__main__":
    main()
