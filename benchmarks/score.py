"""Rows per second and memory of `score_file`, with a boosted model and a network.

``python benchmarks/score.py`` makes Parquet files of 1 and 10 million rows and a CSV of 1 million
(18 columns: 11 numbers with gaps, 4 categories, 1 date, 1 boolean, 1 id) in a temporary folder,
fits both models on 20,000 rows, and scores each file in a process of its own. Rows per second
are per CPU-second of the whole process, start and loading included. The table goes to
``benchmarks/results/score.md``.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from thinfile.artifact.folder import save
from thinfile.methods import get_method
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

RESULTS = Path(__file__).parent / "results" / "score.md"
METHODS = ("boosted_pooled", "mlp")
CHUNK = 250_000
N_NUMBERS, CATEGORIES = 11, {"job": 12, "city": 200, "branch": 40, "channel": 4}


def make_rows(n_rows: int, seed: int) -> pl.DataFrame:
    """Rows like those of a lender's monthly file."""
    rng = np.random.default_rng(seed)
    columns: dict[str, object] = {"customer": rng.integers(0, 10**9, n_rows)}
    for number in range(N_NUMBERS):
        values = np.round(rng.lognormal(3.0, 1.0, n_rows), 2)
        gap = rng.random(n_rows) < 0.05 * (number % 3)
        columns[f"amount_{number}"] = pl.Series(values).set(pl.Series(gap), None)
    for name, n_levels in CATEGORIES.items():
        levels = np.array([f"{name} {level}" for level in range(n_levels)])
        columns[name] = levels[rng.zipf(1.6, n_rows) % n_levels]
    days = rng.integers(0, 4_000, n_rows)
    columns["opened"] = np.datetime64("2010-01-01") + days.astype("timedelta64[D]")
    columns["owner"] = rng.random(n_rows) < 0.6
    return pl.DataFrame(columns)


def schema() -> Schema:
    """The roles of the columns of `make_rows`."""
    numbers = [Column(f"amount_{number}", "number") for number in range(N_NUMBERS)]
    categories = [Column(name, "category") for name in CATEGORIES]
    others = [Column("customer", "id"), Column("opened", "date"), Column("owner", "boolean")]
    return Schema((*numbers, *categories, *others))


def fit_models(folder: Path) -> dict[str, Path]:
    """Fit and save one artifact per method."""
    rows = make_rows(20_000, 0)
    log_odds = np.log(rows["amount_0"].to_numpy()) - 3 + (rows["job"] == "job 1").to_numpy()
    y = (log_odds + np.random.default_rng(1).logistic(size=len(log_odds)) > 1).astype(int)
    saved = {}
    for name in METHODS:
        model = get_method(name).build(schema=schema(), random_state=0)
        saved[name] = save(model.fit(rows, y), folder / name, reference=rows)
    return saved


def chunks(n_rows: int) -> Iterator[pl.DataFrame]:
    """The rows of a large file, piece by piece."""
    for place, start in enumerate(range(0, n_rows, CHUNK)):
        yield make_rows(min(CHUNK, n_rows - start), 100 + place)


def write_file(path: Path, n_rows: int) -> Path:
    """Write the large file without ever holding it."""
    if path.suffix == ".csv":
        with path.open("wb") as file:
            for place, rows in enumerate(chunks(n_rows)):
                rows.write_csv(file, include_header=place == 0)
        return path
    from polars.io.plugins import register_io_source

    dtypes = make_rows(1, 0).schema
    source = register_io_source(lambda *_: chunks(n_rows), schema=dtypes)
    source.sink_parquet(path)
    return path


def score_once(model: str, source: str, out: str) -> None:
    """Score one file in this process and print what it took as JSON."""
    from thinfile.artifact.score import score_file

    summary = score_file(model, source, out)
    used = resource.getrusage(resource.RUSAGE_SELF)
    record = {
        "rows": summary.n_rows,
        "cpu": used.ru_utime + used.ru_stime,
        "peak_mb": peak_megabytes(),
    }
    print(json.dumps(record))


def peak_megabytes() -> float:
    """Peak resident memory of this process alone; `ru_maxrss` would include its parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure(model: Path, source: Path, out: Path) -> dict[str, float]:
    """Run `score_once` in a fresh process on one thread."""
    command = [sys.executable, __file__, "--once", str(model), str(source), str(out)]
    env = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    record: dict[str, float] = json.loads(done.stdout)
    return record


def table(lines: list[str]) -> str:
    """The results as Markdown."""
    head = [
        "# Scoring files",
        "",
        f"`python benchmarks/score.py`, {dt.datetime.now(dt.UTC):%Y-%m-%d}, Python "
        f"{platform.python_version()}, polars {pl.__version__}, one thread. 18 columns. CPU is "
        "that of the whole process, imports and loading included.",
        "",
        "| model | file | rows | CPU s | rows per CPU-second | peak memory MB |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    return "\n".join([*head, *lines]) + "\n"


def main(n_rows: list[int], n_csv: int) -> None:
    """Measure all and write the table."""
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        models = fit_models(folder)
        files = [write_file(folder / f"{n}.parquet", n) for n in n_rows]
        files.append(write_file(folder / "rows.csv", n_csv))
        for source in files:
            for name, model in models.items():
                got = measure(model, source, folder / "scores.parquet")
                lines.append(
                    f"| {name} | {source.suffix[1:]} | {got['rows']:,} | "
                    f"{got['cpu']:.1f} | {got['rows'] / got['cpu']:,.0f} | {got['peak_mb']:.0f} |"
                )
                print(lines[-1], flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(table(lines), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--csv-rows", type=int, default=1_000_000)
    parser.add_argument("--once", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        score_once(*options.once)
    else:
        main(options.rows, options.csv_rows)
