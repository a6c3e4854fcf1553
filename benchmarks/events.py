"""From a log of 10 million events to sorted histories and labelled snapshots, beside the peers.

``python benchmarks/events.py`` draws a log (``thinfile.data.synthetic_events``: 7 columns, in the
order of time, 1 % of the events without a customer) into a Parquet file, and brings it into the
order of customer and time in every way below, each time in a process of its own. Rows per second
are per CPU-second of all threads, imports not counted; the peak is that of the whole process,
mapped files included. The table goes to ``benchmarks/results/events.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# Nothing heavy is imported here: a process inherits the peak memory of the one that starts it.

RESULT = Path(__file__).parent / "results" / "events.md"
ROLES = ("customer", "time", "item", "category", "quantity", "amount")
CATEGORY = "category 03"
N_CUTS, HORIZON, STEP = 12, timedelta(days=60), timedelta(days=30)
END = datetime(2024, 12, 30)
PACKAGES = ("polars", "duckdb", "pyarrow", "numpy", "scipy", "pandas")


def cuts() -> list[datetime]:
    return [END - HORIZON - k * STEP for k in range(N_CUTS)]


class Clock:
    """CPU seconds of this process since it was last asked."""

    def __init__(self) -> None:
        self.at = self._now()

    @staticmethod
    def _now() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    def lap(self) -> float:
        before, self.at = self.at, self._now()
        return self.at - before


Answer = dict[str, Any]
"""CPU seconds to sort and to take snapshots, and counts that must agree between all ways."""


def thinfile(folder: Path, *, store: bool = False, opened: bool = False) -> Answer:
    from thinfile.data.events import EventColumns, EventLog
    from thinfile.data.snapshots import Buys

    path = folder / "store"
    clock = Clock()
    if opened:
        log = EventLog.open(path)
    else:
        source = folder / "log.parquet"
        log = EventLog.from_source(source, EventColumns(*ROLES), store=path if store else None)
    seconds = clock.lap()
    rows = log.snapshots(cuts(), HORIZON, buys=Buys("category", (CATEGORY,)))
    return {
        "sort": seconds,
        "snapshots": clock.lap(),
        "events": log.n_events,
        "customers": log.n_customers,
        "rows": len(rows),
        "positives": int((rows.label == 1).sum()),
        "history": int((rows.stop - rows.start).sum()),
    }


def pandas(folder: Path) -> Answer:
    import numpy as np
    import pandas as pd

    clock = Clock()
    log = pd.read_parquet(folder / "log.parquet").dropna(subset="customer")
    log = log.sort_values(["customer", "time"], kind="stable")
    sizes = log.groupby("customer", sort=True).size()
    offsets = np.append(0, sizes.to_numpy().cumsum())
    seconds = clock.lap()
    counts = {"rows": 0, "positives": 0, "history": 0}
    bought = (log["category"] == CATEGORY) & (log["quantity"] >= 0)
    for cut in cuts():
        history = log.loc[log["time"] < cut].groupby("customer").size()
        window = bought & (log["time"] >= cut) & (log["time"] < cut + HORIZON)
        buyers = log.loc[window, "customer"].unique()
        counts["rows"] += len(history)
        counts["history"] += int(history.sum())
        counts["positives"] += int(history.index.isin(buyers).sum())
    return {
        "sort": seconds,
        "snapshots": clock.lap(),
        "events": len(log),
        "customers": offsets.size - 1,
        **counts,
    }


def polars(folder: Path) -> Answer:
    import polars as pl

    clock = Clock()
    log = pl.read_parquet(folder / "log.parquet").filter(pl.col("customer").is_not_null())
    log = log.sort("customer", "time", maintain_order=True)
    offsets = log["customer"].rle().struct.field("len").cum_sum()
    seconds = clock.lap()
    counts = {"rows": 0, "positives": 0, "history": 0}
    bought = (pl.col("category") == CATEGORY) & (pl.col("quantity") >= 0)
    for cut in cuts():
        within = bought & pl.col("time").is_between(cut, cut + HORIZON, closed="left")
        seen = log.lazy().group_by("customer").agg(n=(pl.col("time") < cut).sum(), y=within.any())
        table = seen.filter(pl.col("n") > 0).collect()
        counts["rows"] += table.height
        counts["history"] += int(table["n"].sum())
        counts["positives"] += int(table["y"].sum())
    return {
        "sort": seconds,
        "snapshots": clock.lap(),
        "events": log.height,
        "customers": offsets.len(),
        **counts,
    }


def polars_streaming(folder: Path) -> Answer:
    import polars as pl

    clock = Clock()
    log = pl.scan_parquet(folder / "log.parquet").filter(pl.col("customer").is_not_null())
    table = log.sort("customer", "time", maintain_order=True).collect(engine="streaming")
    offsets = table["customer"].rle().struct.field("len").cum_sum()
    return {"sort": clock.lap(), "events": table.height, "customers": offsets.len()}


def duckdb(folder: Path) -> Answer:
    import duckdb as db

    clock = Clock()
    connection = db.connect(config={"temp_directory": str(folder), "memory_limit": "1GB"})
    query = (
        f"SELECT * FROM read_parquet('{folder / 'log.parquet'}', file_row_number = true) "
        "WHERE customer IS NOT NULL ORDER BY customer, time, file_row_number"
    )
    relation = connection.sql(query)
    table = (getattr(relation, "to_arrow_table", None) or relation.fetch_arrow_table)()
    customers = table["customer"].unique()
    return {"sort": clock.lap(), "events": table.num_rows, "customers": len(customers)}


WAYS: dict[str, Callable[[Path], Answer]] = {
    "thinfile, in memory": thinfile,
    "thinfile, sorted on disk into a store": lambda folder: thinfile(folder, store=True),
    "thinfile, the store opened again": lambda folder: thinfile(folder, opened=True),
    "pandas `sort_values`": pandas,
    "Polars `sort`": polars,
    "Polars `sort`, streaming": polars_streaming,
    "DuckDB `ORDER BY` to an Arrow table": duckdb,
}
PEER = "pandas `sort_values`"


def work(name: str, folder: Path) -> None:
    """Run one way in this process and print what it gives, or null where a package is missing."""
    try:
        answer: Any = WAYS[name](folder)
        answer["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    except ImportError:
        answer = None
    print(json.dumps(answer))


def make(folder: Path, n_events: int, n_customers: int) -> None:
    """Draw the log; prints what that took."""
    from thinfile.data.synthetic_events import SyntheticEvents

    clock = Clock()
    events = SyntheticEvents(n_events, n_customers, 50, missing_share=0.01, random_state=0)
    events.write(folder / "log.parquet")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps({"sort": clock.lap(), "peak": peak}))


def run(arguments: list[str]) -> Answer | None:
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    answer: Answer | None = json.loads(done.stdout.splitlines()[-1])
    return answer


def measure(folder: Path, n_repetitions: int) -> dict[str, list[Answer]]:
    answers: dict[str, list[Answer]] = {}
    for _ in range(n_repetitions):
        for name in WAYS:
            if name == "thinfile, sorted on disk into a store":
                for path in (folder / "store").glob("*"):
                    path.unlink()
            answer = run(["--way", name, "--folder", str(folder)])
            if answer is not None:
                answers.setdefault(name, []).append(answer)
                print(name, answer, file=sys.stderr)
    check(answers)
    return answers


def check(answers: dict[str, list[Answer]]) -> None:
    """All ways must find the same events, customers, rows and labels."""
    for key in ("events", "customers", "rows", "positives", "history"):
        found = {each[key] for way in answers.values() for each in way if key in each}
        if len(found) > 1:
            raise SystemExit(f"the ways do not agree on {key}: {sorted(found)}")


def middle(answers: list[Answer], key: str) -> float | None:
    values = [each[key] for each in answers if key in each]
    return statistics.median(values) if values else None


def table(answers: dict[str, list[Answer]], n_events: int) -> str:
    lines = [
        "| way | CPU-s | events per CPU-s | ratio to pandas | peak memory, GB | "
        f"{N_CUTS} cuts with labels, CPU-s |",
        "|---|---|---|---|---|---|",
    ]
    peer = middle(answers.get(PEER, []), "sort")
    for name in WAYS:
        own = answers.get(name, [])
        seconds, peak, rows = (middle(own, key) for key in ("sort", "peak", "snapshots"))
        if seconds is None or peak is None:
            lines.append(f"| {name} | not installed | | | | |")
            continue
        rate = f"{n_events / seconds:,.0f}"
        ratio = "" if peer is None else f"{peer / seconds:.1f}×"
        shown = "" if rows is None else f"{rows:.2f}"
        lines.append(f"| {name} | {seconds:.2f} | {rate} | {ratio} | {peak:.2f} | {shown} |")
    return "\n".join(lines)


def words(answers: dict[str, list[Answer]]) -> str:
    memory, store, opened, peer = (answers.get(name, []) for name in (*list(WAYS)[:3], PEER))
    counts = memory[0]
    peaks = [max(each["peak"] for each in way) for way in (memory, store, opened)]
    verdict = "below" if max(peaks) < 2 else "NOT below"
    lines = [
        f"All ways find the same {counts['events']:,} events of {counts['customers']:,} customers; "
        f"those that take snapshots the same {counts['rows']:,} rows with "
        f"{counts['positives']:,} positives and {counts['history']:,} events of history.",
        f"The peak of thinfile is {peaks[0]:.2f} GB in memory, {peaks[1]:.2f} GB into a store and "
        f"{peaks[2]:.2f} GB from a store opened again (snapshots included, file pages that were "
        f"touched counted): {verdict} the 2 GB that are asked for.",
    ]
    if peer:
        ratios = [
            (middle(peer, key) or 0.0) / (middle(memory, key) or 1.0)
            for key in ("sort", "snapshots")
        ]
        lines.append(
            f"Against pandas the sort in memory takes 1/{ratios[0]:.1f} of the CPU time, and the "
            f"snapshots 1/{ratios[1]:.0f}: they cost a binary search per customer and cut, where "
            "masks cost a pass over all events per cut."
        )
    return "\n\n".join(lines)


def installed(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} not installed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        return make(options.folder, options.events, options.customers)
    if options.way:
        return work(options.way, options.folder)
    with tempfile.TemporaryDirectory() as name:
        folder, size = Path(name), ["--events", str(options.events)]
        made = run(["--make", "--folder", name, *size, "--customers", str(options.customers)])
        assert made is not None
        answers = measure(folder, options.repetitions)
    settings = "" if options.events == 10_000_000 else f" --events {options.events}"
    n_processes = "one process each"
    if options.repetitions != 3:
        settings += f" --repetitions {options.repetitions}"
    if options.repetitions > 1:
        n_processes = f"median of {options.repetitions} processes each, interleaved"
    text = "\n\n".join(
        [
            f"# Event logs: {options.events:,} events",
            f"`python benchmarks/events.py{settings}`: Parquet in, sorted by customer and time "
            "out, with offsets per customer; CPU seconds of all threads (Polars and NumPy with "
            f"one, DuckDB with its own), {n_processes}. "
            "thinfile also checks the log: it counts missing customers, unreadable "
            "times, returns, ties and repeated events, which the peers do not. Labels: does the "
            f"customer buy `{CATEGORY}` in the {HORIZON.days} days from the cut on?",
            f"{platform.machine()}, {os.cpu_count()} cores, Python "
            f"{platform.python_version()}, {', '.join(map(installed, PACKAGES))}.",
            table(answers, options.events),
            f"Drawing the log took {made['sort']:.1f} CPU-s and {made['peak']:.2f} GB.",
            words(answers),
        ]
    )
    RESULT.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
