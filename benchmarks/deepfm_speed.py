"""What a training step of DeepFM costs, beside DeepCTR-Torch, FuxiCTR and torch-rechub.

``python benchmarks/deepfm_speed.py`` writes ``benchmarks/results/deepfm_speed.md``. The peers run
in the interpreter that PEERS_PYTHON names (torch of the same version, deepctr-torch, fuxictr with
ray, torch-rechub in it) and are "not installed" where there is none.

MLP (256, 128) without norm and dropout, 10 factors, batches of 4,096 rows, one thread. Every
variant lives in a process of its own, which also gives its peak memory; all are asked in turn for
some steps, round by round, and the median of the rounds counts. Times are CPU time. thinfile's
are of `train` and include cutting the batches. The peers have three rows each: their own training
loop with the loader that it comes with, which is what their users run; their own step on batches
that lie ready in a list, without any L2 penalty; and the same with torch's fused Adam.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from deepfm_peers import BATCH, DIM, TRAINING, WIDTHS, Shape
from deepfm_workers import Measured, machine, measure

RESULT = Path(__file__).parent / "results" / "deepfm_speed.md"

SHAPES = [
    Shape(10, 5_000, "even"),
    Shape(39, 1_000_000, "even"),
    Shape(39, 1_000_000, "Zipf"),
]
VOCABULARIES = (10_000, 100_000, 1_000_000, 10_000_000)
LARGEST_DENSE = 1_000_000
"""Above, dense Adam takes a second and gigabytes."""
BARS = {
    "float32": {"DeepCTR-Torch": 2.5, "FuxiCTR": 1.5},
    "bfloat16": {"DeepCTR-Torch": 5.0, "FuxiCTR": 3.0},
}
OURS = ("thinfile, fused Adam", "thinfile, `TouchedAdam`")

READING = """## How to read this

"Products alone" is the network's forward and backward pass and nothing else; the ratio that it
would have is in brackets, and a bar above it cannot be met on that machine. On a processor without
bfloat16 instructions torch emulates them: products alone are then slower than in float32, and the
bars for bfloat16 are out of reach. DeepCTR-Torch cannot be trained through `fit` without its own
loader; its ready batches and the fused Adam of the third rows are our doing, to show what is left
when loader and optimiser are taken out of the comparison.

A step's time does not depend on the size of the table as such, but on how many distinct rows a
batch touches and on whether they lie in the cache: from 10^4 ids, where a batch touches nearly all
and they stay in the cache, to 10^6 it rises with both; from 10^6 to 10^7 nearly every id of an even
draw is a row of its own already."""


def speed_table(shape: Shape, n_rounds: int, n_steps: int) -> str:
    found = measure([(name, shape) for name in TRAINING], n_rounds, n_steps)
    lines = [
        f"## {str(shape)[0].upper()}{str(shape)[1:]}",
        "",
        "| training step | ms (middle half) | rows per CPU-second | peak memory, MB |",
        "|---|---|---|---|",
    ]
    for name in TRAINING:
        one = found.get((name, shape))
        lines.append(f"| {name} | not installed | | |" if one is None else _row(name, one))
    return "\n".join([*lines, "", *_ratios({name: one for (name, _), one in found.items()})])


def _row(name: str, one: Measured) -> str:
    low, _, high = statistics.quantiles(one.ms, n=4) if len(one.ms) > 1 else one.ms * 3
    rows = BATCH * 1000 / one.median
    return (
        f"| {name} | {one.median:.1f} ({low:.1f}–{high:.1f}) | {rows:,.0f} | {one.megabytes:,.0f} |"
    )


def _ratios(found: dict[str, Measured]) -> list[str]:
    """How many times as fast our faster optimiser is as each peer, and how many are possible."""
    peers = [n for n in found if n.startswith(("FuxiCTR", "DeepCTR", "torch-rechub"))]
    lines = []
    for precision, bars in BARS.items():
        ending = "" if precision == "float32" else f", {precision}"
        best = min((f"{name}{ending}" for name in OURS), key=lambda name: found[name].median)
        floor = found[f"products alone{ending}"].median
        lines.append(f"- In {precision}, {best} is so many times as fast:")
        for name in peers:
            pairs = zip(found[name].ms, found[best].ms, strict=True)
            ratio = statistics.median(peer / own for peer, own in pairs)
            bar = bars.get(name.split(",")[0])
            verdict = "" if bar is None else f"; bar {bar}: {_verdict(ratio >= bar)}"
            possible = f"products alone would be {found[name].median / floor:.2f}"
            lines.append(f"  - as {name}: {ratio:.2f} ({possible}){verdict}")
    return lines


def _verdict(met: bool) -> str:
    return "met" if met else "**missed**"


def flat_table(n_rounds: int, n_steps: int, vocabularies: tuple[int, ...]) -> str:
    lines = [
        "## From 10^4 to 10^7 ids, 10 fields",
        "",
        "| ids | draw | distinct rows per batch | `TouchedAdam`, ms | to the first row "
        "| peak memory, MB | fused Adam, ms | peak memory, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for draw in ("Zipf", "even"):
        shapes = [Shape(10, n, draw) for n in vocabularies]
        keys = [(OURS[1], shape) for shape in shapes]
        keys += [(OURS[0], shape) for shape in shapes if shape.n_ids <= LARGEST_DENSE]
        found = measure(keys, n_rounds, n_steps)
        first = found[keys[0]]
        for shape in shapes:
            touched, dense = found[OURS[1], shape], found.get((OURS[0], shape))
            ratio = statistics.median(t / f for t, f in zip(touched.ms, first.ms, strict=True))
            plain = "| |" if dense is None else f"{dense.median:.1f} | {dense.megabytes:,.0f} |"
            lines.append(
                f"| {shape.n_ids:,} | {draw} | {_distinct(shape):,} | {touched.median:.1f} "
                f"| {ratio:.2f} | {touched.megabytes:,.0f} | {plain}"
            )
    return "\n".join(lines)


def _distinct(shape: Shape) -> int:
    return sum(len(column.unique()) for column in shape.codes()[:BATCH].unbind(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=8, help="per round and variant, at most 20")
    parser.add_argument("--quick", action="store_true", help="small tables, nothing is written")
    arguments = parser.parse_args()
    rounds, steps = arguments.rounds, arguments.steps
    shapes = SHAPES[:1] if arguments.quick else SHAPES
    vocabularies = VOCABULARIES[: 2 if arguments.quick else 4]
    parts = [_intro(rounds, steps)]
    jobs = [lambda shape=shape: speed_table(shape, rounds, steps) for shape in shapes]
    for job in [*jobs, lambda: flat_table(rounds, steps, vocabularies)]:
        parts.append(job())
        print(parts[-1], flush=True)
        if not arguments.quick:  # after each part, so that a run cut short has not been for nothing
            RESULT.write_text("\n\n".join([*parts, READING]) + "\n")


def _intro(rounds: int, steps: int) -> str:
    return (
        "# Training steps of DeepFM\n\n"
        "`PEERS_PYTHON=… python benchmarks/deepfm_speed.py`: CPU time, one thread, batches of "
        f"{BATCH:,}, MLP {WIDTHS}, {DIM} factors, medians of {rounds} interleaved rounds of "
        f"{steps} steps; {machine()}. Ratios are medians over rounds."
    )


if __name__ == "__main__":
    main()
