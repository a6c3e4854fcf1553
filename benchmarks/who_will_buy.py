"""Who will buy: every method and baseline on a shop's log and on a bank's campaign.

    python benchmarks/who_will_buy.py

Runs what `thinfile intent` runs on "Online Retail" (541,909 lines, 4,372 customers) for lunch bags,
a horizon of 60 days and 2 seeds, with all labels and with 300; and what `thinfile compare` runs on
the bank's term-deposit campaign: `duration` left out, the last fifth of the calls as the target and
the test. Writes `benchmarks/results/who_will_buy.md`. Cells are kept below `runs/who-will-buy`, so
a stopped run goes on.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_name, "1")

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from thinfile.compare.options import Options
from thinfile.compare.result import Result
from thinfile.compare.run import compare
from thinfile.compare.task import build_task
from thinfile.data.buys import Buys
from thinfile.data.datasets import data_folder
from thinfile.data.event_columns import EventColumns
from thinfile.data.events import EventLog
from thinfile.data.read import read_table
from thinfile.data.retail import with_group
from thinfile.intent.options import IntentOptions
from thinfile.intent.result import IntentResult
from thinfile.intent.run import compare_intent
from thinfile.intent.task import build_intent_task
from thinfile.training.progress import choose_progress

ALL = 10**9
GROUPS = {"LUNCH BAG": (300, ALL)}
"""Kinds of article, and the label budgets of each."""
N_SEEDS = 2
HORIZON = timedelta(days=60)
RUNS = Path("runs/who-will-buy")
TABLE = Path(__file__).parent / "results" / "who_will_buy.md"


def main() -> None:
    """Run all, and write the page."""
    log = retail_log()
    bank = run_bank()
    found = {group: run_group(log, group) for group in GROUPS}
    TABLE.write_text(page(found, bank))
    print(f"written: {TABLE.name}")


def retail_log() -> EventLog:
    """The whole public table as an event log."""
    lines = with_group(pl.read_parquet(data_folder() / "online_retail.parquet"))
    lines = lines.with_columns((pl.col("Quantity") * pl.col("UnitPrice")).alias("Amount"))
    roles = EventColumns(
        "CustomerID",
        "InvoiceDate",
        item="StockCode",
        category="Group",
        quantity="Quantity",
        amount="Amount",
    )
    return EventLog.from_table(lines, roles)


def run_group(log: EventLog, group: str) -> IntentResult:
    """All methods for one kind of article."""
    options = IntentOptions(labels=GROUPS[group], n_seeds=N_SEEDS, n_jobs=1, static=("Country",))
    task = build_intent_task(log, Buys("Group", (group,)), HORIZON, options=options)
    out = RUNS / group.replace(" ", "-").lower()
    return compare_intent(task, out, options, progress=choose_progress())


def run_bank() -> Result:
    """The campaign: earlier calls as the source, the last fifth as the target."""
    calls = read_table(data_folder() / "uci_bank_additional_full.csv.gz").drop("duration")
    n_early = round(0.8 * calls.height)
    task = build_task(
        calls.head(n_early),
        calls.tail(calls.height - n_early),
        label="y",
        source_name="earlier calls",
        target_name="later calls",
    )
    options = Options(labels=(0,), n_seeds=N_SEEDS, n_jobs=1, curve=False)
    return compare(task, RUNS / "bank", options, progress=choose_progress())


def page(found: dict[str, IntentResult], bank: Result) -> str:
    """The results in words and tables."""
    parts = [
        "# Who will buy",
        "",
        f"Means of {N_SEEDS} seeds with 95 % intervals over test rows and seeds. The difference is "
        "in AUC, paired with the best baseline of the group. Made by "
        "`python benchmarks/who_will_buy.py`.",
        "",
    ]
    for group, result in found.items():
        parts += [f"## Online Retail: {group} within 60 days", "", *about(result)]
        groups = result.groups
        for name in groups["group"].unique(maintain_order=True):
            rows = groups.filter(
                (pl.col("group") == name) & (pl.col("budget") == groups["budget"].max())
            ).to_dicts()
            parts += [heading(rows[0]), "", *intent_table(rows), ""]
        if groups["budget"].n_unique() > 1:
            parts += ["With fewer labels, all later customers:", "", *label_table(groups), ""]
    parts += ["## Bank marketing: later calls", "", *about_bank(bank), *bank_table(bank), ""]
    return "\n".join(parts)


def about(result: IntentResult) -> list[str]:
    """The verdict's words."""
    verdict = result.verdict
    raised = sum(probe["flagged"] for probe in result.probes)
    told = [verdict["headline"], *verdict["sentences"], *verdict["warnings"]]
    told.append(f"Leak probes: {len(result.probes)} looked, {raised} raised.")
    return [*(f"- {sentence}" for sentence in told), ""]


def heading(row: dict[str, Any]) -> str:
    """Size of a group."""
    return (
        f"{row['group'].capitalize()}: {row['n']:,} customers, {row['rate']:.1%} buy, "
        f"k = {row['k']}."
    )


def intent_table(rows: list[dict[str, Any]]) -> list[str]:
    """One line per method."""
    lines = ["| method | AUC | AP | precision at k | lift at k | difference |", "|---" * 6 + "|"]
    for row in rows:
        cells = [
            row["title"],
            *(ends(row, name, 3) for name in ("auc", "ap", "precision")),
            ends(row, "lift", 1),
            "best baseline" if row["is_reference"] else ends(row, "difference", 3, sign=True),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def label_table(groups: pl.DataFrame) -> list[str]:
    """AUC by number of labels."""
    rows = groups.filter(pl.col("group") == "all")
    budgets = sorted(rows["budget"].unique())
    lines = ["| method | " + " | ".join(f"{b:,} labels" for b in budgets) + " |"]
    lines.append("|---" * (len(budgets) + 1) + "|")
    for title in rows.sort("budget")["title"].unique(maintain_order=True):
        cells = {row["budget"]: row for row in rows.filter(pl.col("title") == title).to_dicts()}
        shown = [ends(cells[b], "auc", 3) if b in cells else "–" for b in budgets]
        lines.append(f"| {title} | " + " | ".join(shown) + " |")
    return lines


def about_bank(result: Result) -> list[str]:
    """What was compared, and the verdict."""
    told = result.settings
    return [
        f"`duration` left out; {told['n_source']:,} earlier calls ({told['source_rate']:.1%} "
        f"subscribe) are trained on, {told['n_test']:,} later ones tested "
        f"({float(result.test_y.mean()):.1%}). " + result.verdict["headline"],
        "",
    ]


def bank_table(result: Result) -> list[str]:
    """The leaderboard."""
    lines = ["| method | AUC | KS | AP | difference |", "|---" * 5 + "|"]
    for row in result.leaderboard.to_dicts():
        is_best = row["is_reference"]
        cells = [
            row["title"],
            *(ends(row, name, 3) for name in ("auc", "ks", "ap")),
            "best baseline" if is_best else ends(row, "difference", 3, sign=True),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def ends(row: dict[str, Any], name: str, places: int, *, sign: bool = False) -> str:
    """A figure with its interval."""
    form = f"{'+' if sign else ''}.{places}f"
    if row[name] is None:
        return "–"
    text = f"{row[name]:{form}} ({row[f'{name}_low']:{form}}…{row[f'{name}_high']:{form}})"
    return text.replace("-", "−")


if __name__ == "__main__":
    main()
