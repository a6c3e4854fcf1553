"""Encoding a table beside scikit-learn, and reading raw text: time and memory in one run.

``python benchmarks/encode.py`` writes ``benchmarks/results/encode.md``. The table holds 30
heavy-tailed numbers with 5 % gaps and 20 categories of up to 2,000 values. Each way runs in
processes of its own, one thread, the ways taking turns; medians of the repetitions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from thinfile.data.encode import TableEncoder
from thinfile.schema.model import Schema

RESULT = Path(__file__).parent / "results" / "encode.md"
N_NUMBERS, N_CATEGORIES = 30, 20
ONE_THREAD = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def make_table(n_rows: int) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    numbers = {
        f"number{place}": np.where(rng.random(n_rows) < 0.05, np.nan, rng.lognormal(size=n_rows))
        for place in range(N_NUMBERS)
    }
    categories = {
        f"category{place}": pl.Series(rng.zipf(1.4, n_rows) % 2000).cast(pl.String)
        for place in range(N_CATEGORIES)
    }
    return pl.DataFrame(numbers | categories)


class Meter:
    """CPU seconds and megabytes of memory that one step adds at its highest."""

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}
        self.start_mb = _peak_mb()

    def run(self, name: str, step: Callable[[], Any]) -> Any:
        start = time.process_time()
        result = step()
        self.steps[name] = time.process_time() - start
        return result

    def record(self) -> dict[str, float]:
        return {**self.steps, "memory": _peak_mb() - self.start_mb}


def _peak_mb() -> float:
    """Peak of resident memory so far; set back by `reset_peak`."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def run_thinfile(n_rows: int) -> dict[str, float]:
    frame = make_table(n_rows)
    schema = Schema.numeric(frame.columns[:N_NUMBERS])
    for name in frame.columns[N_NUMBERS:]:
        schema = schema.with_column(Schema.infer(frame.select(name).head(1000)).columns[0])
    frame = frame.with_columns(pl.col(pl.Float64).fill_nan(None))
    reset_peak()
    meter = Meter()
    encoder = TableEncoder(schema)
    meter.run("fit", lambda: encoder.fit(frame))
    meter.run("transform", lambda: encoder.transform(frame))
    return meter.record()


def run_sklearn(n_rows: int) -> dict[str, float]:
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OrdinalEncoder, QuantileTransformer

    frame = make_table(n_rows).to_pandas()
    numbers, categories = list(frame.columns[:N_NUMBERS]), list(frame.columns[N_NUMBERS:])
    quantiles = QuantileTransformer(n_quantiles=256, output_distribution="normal")
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, max_categories=256, dtype=np.int32
    )
    encoder = ColumnTransformer([("numbers", quantiles, numbers), ("codes", codes, categories)])
    reset_peak()
    meter = Meter()
    meter.run("fit", lambda: encoder.fit(frame))
    meter.run("transform", lambda: encoder.transform(frame))
    return meter.record()


def run_parse(n_rows: int) -> dict[str, float]:
    """Raw text: money, dates with two-digit years, percent, codes and plain numbers."""
    rng = np.random.default_rng(0)
    amount = pl.Series(rng.integers(1, 900_000, n_rows)) * 100
    days = pl.Series(rng.integers(0, 14_000, n_rows)).cast(pl.Duration("us")) * 86_400_000_000
    frame = pl.DataFrame({"amount": amount, "day": days.cast(pl.Int64).cast(pl.Datetime("us"))})
    raw = frame.select(
        money=pl.format("${} ", pl.col("amount").cast(pl.String).str.replace(r"(\d{3})$", ",$1")),
        day=pl.col("day").dt.strftime("%d-%b-%y"),
        percent=pl.format("{}%", pl.col("amount") / 1e6),
        zip=(pl.col("amount") % 33_000).cast(pl.String),
        plain=pl.col("amount").cast(pl.String),
    )
    schema = Schema.infer(raw.head(50_000))
    reset_peak()
    meter = Meter()
    meter.run("transform", lambda: schema.parse(raw))
    return meter.record()


WAYS = {"thinfile": run_thinfile, "scikit-learn": run_sklearn, "parse": run_parse}


def measure(n_rows: int, repetitions: int) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(repetitions):
        for way in WAYS:
            command = [sys.executable, __file__, "--way", way, "--rows", str(n_rows)]
            done = subprocess.run(
                command, env=os.environ | ONE_THREAD, check=True, capture_output=True, text=True
            )
            found[way].append(json.loads(done.stdout))
    return found


def median(records: list[dict[str, float]], key: str) -> float:
    return statistics.median(record.get(key, 0.0) for record in records)


def write(found: dict[str, list[dict[str, float]]], n_rows: int, repetitions: int) -> str:
    import sklearn

    lines = [
        "# Encoding",
        "",
        f"`python benchmarks/encode.py`: {n_rows:,} rows × {N_NUMBERS} numbers and {N_CATEGORIES} "
        f"categories, one thread, medians of {repetitions} interleaved processes; "
        f"{platform.machine()}, polars {pl.__version__}, scikit-learn {sklearn.__version__}.",
        "Memory is what fit and transform add at their highest, output included (the output of",
        "thinfile is 32-bit and holds an indicator for each of the 30 numbers; scikit-learn's is",
        "64-bit without them).",
        "",
        "| way | fit, CPU-s | transform, CPU-s | both | memory, MB |",
        "|---|---:|---:|---:|---:|",
    ]
    for way, name in (
        ("thinfile", "thinfile `TableEncoder`"),
        ("scikit-learn", "scikit-learn `QuantileTransformer` + `OrdinalEncoder`"),
    ):
        fit, transform = (median(found[way], key) for key in ("fit", "transform"))
        memory = median(found[way], "memory")
        lines.append(
            f"| {name} | {fit:.2f} | {transform:.2f} | {fit + transform:.2f} | {memory:.0f} |"
        )
    seconds = median(found["parse"], "transform")
    lines += [
        "",
        f"`Schema.parse` of {n_rows:,} rows × 5 columns of text (money, percent, dates with "
        "two-digit years, "
        f"codes, plain numbers): {seconds:.2f} CPU-s, {n_rows * 5 / seconds / 1e6:.1f} M values "
        f"per CPU-second, {median(found['parse'], 'memory'):.0f} MB.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--repetitions", type=int, default=3)
    options.add_argument("--way", choices=list(WAYS))
    chosen = options.parse_args()
    if chosen.way:
        print(json.dumps(WAYS[chosen.way](chosen.rows)))
        return
    text = write(measure(chosen.rows, chosen.repetitions), chosen.rows, chosen.repetitions)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
