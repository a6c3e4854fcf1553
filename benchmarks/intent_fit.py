"""Fitting on a log of ten million events: rows per second and peak memory.

    python benchmarks/intent_fit.py [--events 10000000]

Writes a synthetic log (`thinfile.data.synthetic_events`) as Parquet into a temporary folder. Then,
in a process of its own for each method: the log is sorted on disk and mapped into memory, rows are
made (three training cuts, one for validation, one for the test, at most 50,000 rows each), columns
are built, and the method is fitted and scores the test rows, as `thinfile intent` does it. Events
per CPU-second are those of the log over the whole process, start included. The table goes to
`benchmarks/results/intent_fit.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

METHODS = ("boosted_aggregates", "deepfm_aggregates", "cnn_lstm")
RESULTS = Path(__file__).parent / "results" / "intent_fit.md"
MAX_ROWS = 50_000
ONE_THREAD = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main() -> None:
    """Make the log, measure every method, write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--one", nargs=3, metavar=("METHOD", "LOG", "STORE"))
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(*given.one)))
        return
    from thinfile.data.synthetic_events import SyntheticEvents

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "events.parquet")
        SyntheticEvents(given.events, random_state=0).write(log)
        found = [in_process(method, log, Path(folder, f"store-{method}")) for method in METHODS]
    RESULTS.write_text(page(found, given.events))
    print(RESULTS.read_text())


def in_process(method: str, log: Path, store: Path) -> dict[str, float | str]:
    """Measure a method in a process of its own."""
    command = [sys.executable, __file__, "--one", method, str(log), str(store)]
    done = subprocess.run(
        command, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float | str] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(method: str, source: str, store: str) -> dict[str, float | str]:
    """Fit one method on the log, and say what each step took in CPU-seconds."""
    from thinfile.compare.workers import Key
    from thinfile.data.buys import Buys
    from thinfile.data.event_columns import EventColumns
    from thinfile.data.events import EventLog
    from thinfile.intent.cells import IntentCells
    from thinfile.intent.options import IntentOptions
    from thinfile.intent.task import build_intent_task, frames
    from thinfile.methods import METHODS as KNOWN
    from thinfile.metrics.ranking import roc_auc

    steps = {"start": time.process_time()}
    roles = EventColumns(
        "customer", "time", item="item", category="category", quantity="quantity", amount="amount"
    )
    log = EventLog.from_source(source, roles, store=store)
    steps["sort"] = time.process_time()
    options = IntentOptions(max_rows=MAX_ROWS, max_events=50)
    task = build_intent_task(
        log, Buys("category", ("category 05",)), timedelta(days=60), options=options
    )
    steps["rows"] = time.process_time()
    cells = IntentCells(
        frames(task, KNOWN[method].needs),
        task.y,
        task.snapshots.cut,
        task.train,
        task.validation,
        task.test,
        True,
        (),
        60 / 7,
        "cpu",
        {},
    )
    steps["columns"] = time.process_time()
    cell = cells(Key(method, len(task.train) + len(task.validation), 0))
    steps["fit twice and score"] = time.process_time()
    if cell.status != "ok":
        raise SystemExit(f"{method} failed: {cell.error}")
    names = list(steps)
    seconds = {b: steps[b] - steps[a] for a, b in pairwise(names)}
    return {
        "method": KNOWN[method].title,
        "n_events": log.n_events,
        "n_customers": log.n_customers,
        "n_rows": len(task.snapshots),
        "auc": roc_auc(task.y[task.test], cell.scores),
        "start": steps["start"],
        **seconds,
        "cpu": time.process_time(),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def page(found: list[dict], n_events: int) -> str:
    """The table in Markdown."""
    steps = ("start", "sort", "rows", "columns", "fit twice and score")
    first = found[0]
    head = ["method", *(f"{step}, CPU-s" for step in steps), "events per CPU-s", "peak MB", "AUC"]
    lines = [
        "# Fitting on a large event log",
        "",
        f"{n_events:,} synthetic events of {first['n_customers']:,} customers in Parquet, columns "
        f"as in `thinfile intent`, {first['n_rows']:,} rows in all, one thread, "
        f"{platform.machine()}, Python {platform.python_version()}. Made by "
        "`python benchmarks/intent_fit.py`.",
        "",
        "| " + " | ".join(head) + " |",
        "|---" * len(head) + "|",
    ]
    for row in found:
        cells = [
            row["method"],
            *(f"{row[step]:.1f}" for step in steps),
            f"{row['n_events'] / row['cpu']:,.0f}",
            f"{row['peak_mb']:,.0f}",
            f"{row['auc']:.3f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
