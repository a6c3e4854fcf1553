"""How fast batches of 39 columns come, without any training, beside the loaders of other libraries.

``python benchmarks/deepfm_batches.py`` writes ``benchmarks/results/deepfm_batches.md``. The peers
run in the interpreter that PEERS_PYTHON names and are "not installed" where there is none;
DeepCTR-Torch makes torch's `DataLoader` itself, so that row is its own.

Shuffled batches of 4,096 rows of 39 ids and a label, all in memory, one thread, no workers. Every
variant lives in a process of its own and all are asked in turn; CPU time, medians of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from deepfm_peers import BATCH, LOADING, Shape
from deepfm_workers import Measured, machine, measure

RESULT = Path(__file__).parent / "results" / "deepfm_batches.md"
SHAPE = Shape(39, 1_000_000, "even", n_batches=100)
BAR = 3e6


def table(found: dict[str, Measured]) -> str:
    lines = [
        "| batches | rows per CPU-second (middle half) | peak memory, MB |",
        "|---|---|---|",
    ]
    for name in LOADING:
        one = found.get(name)
        lines.append(f"| {name} | not installed | |" if one is None else _row(name, one))
    return "\n".join(lines)


def _row(name: str, one: Measured) -> str:
    low, _, high = statistics.quantiles(one.ms, n=4)
    speeds = [f"{BATCH * 1000 / ms:,.0f}" for ms in (one.median, high, low)]
    return f"| {name} | {speeds[0]} ({speeds[1]}–{speeds[2]}) | {one.megabytes:,.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--batches", type=int, default=SHAPE.n_batches, help="per round and variant"
    )
    arguments = parser.parse_args()
    keys = [(name, SHAPE) for name in LOADING]
    found = {n: m for (n, _), m in measure(keys, arguments.rounds, arguments.batches).items()}
    speed = BATCH * 1000 / found[next(iter(LOADING))].median
    intro = (
        "# Batches of 39 columns\n\n"
        f"`PEERS_PYTHON=… python benchmarks/deepfm_batches.py`: shuffled batches of {BATCH:,} out "
        f"of {SHAPE.n_rows:,} rows, CPU time, one thread, medians of {arguments.rounds} "
        f"interleaved rounds of {arguments.batches} batches; {machine()}.\n\n"
        f"One int32 matrix gives {speed / 1e6:.1f} M rows per CPU-second; bar "
        f"{BAR / 1e6:.0f} M: {'met' if speed >= BAR else '**missed**'}. A tensor per column costs "
        "one gather each, so the columns of a model should lie in one matrix. Each round starts a "
        "pass, so its permutation of all rows is in the figure."
    )
    text = f"{intro}\n\n{table(found)}\n"
    RESULT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
