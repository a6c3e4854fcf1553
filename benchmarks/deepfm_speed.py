"""What a training step of DeepFM costs, beside DeepCTR-Torch, FuxiCTR and torch-rechub.

``python benchmarks/deepfm_speed.py`` writes ``benchmarks/results/deepfm_speed.md``. The peers run
in the interpreter that PEERS_PYTHON names (torch of the same version, deepctr-torch, fuxictr,
torch-rechub and thinfile in it) and are "not installed" where there is none.

MLP (256, 128) without norm and dropout, 10 factors, batches of 4,096 rows, one thread. Every
variant lives in a process of its own, which also gives its peak memory; all are asked in turn for
some steps, round by round, and the median of the rounds counts. Times are CPU time. thinfile's
include cutting the batches (`TensorBatches`); the peers' own loops get ready batches from a list,
because their loaders would take longer than the steps (see deepfm_batches.py).
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from deepfm_peers import BATCH, DIM, WIDTHS, Measured, Shape, machine, measure, work

RESULT = Path(__file__).parent / "results" / "deepfm_speed.md"

SHAPES = [
    Shape(n_fields, n_ids, draw)
    for n_fields, n_ids in ((10, 5_000), (39, 1_000_000))
    for draw in ("even", "Zipf")
]
VOCABULARIES = (10_000, 100_000, 1_000_000, 10_000_000)
BARS = {
    ("float32", "DeepCTR-Torch"): 2.5,
    ("float32", "FuxiCTR"): 1.5,
    ("bfloat16", "DeepCTR-Torch"): 5.0,
    ("bfloat16", "FuxiCTR"): 3.0,
}


def speed_table(shape: Shape, n_rounds: int, n_steps: int) -> str:
    found = measure([(name, shape) for name in VARIANTS], n_rounds, n_steps)
    lines = [
        f"## {str(shape)[0].upper()}{str(shape)[1:]}",
        "",
        "| training step | ms (middle half) | rows per CPU-second | peak memory, MB |",
        "|---|---|---|---|",
    ]
    for name in VARIANTS:
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
    """Our faster optimiser against each peer as documented and with fused Adam, in one line each."""
    lines = []
    for precision in ("float32", "bfloat16"):
        ending = ", bfloat16" if precision == "bfloat16" else ""
        ours = {n: found[n] for n in found if n in _ours(ending)}
        best = min(ours, key=lambda name: ours[name].median)
        parts = []
        for name, one in found.items():
            if name.startswith(("FuxiCTR", "DeepCTR", "torch-rechub")):
                ratio = statistics.median(p / o for p, o in zip(one.ms, ours[best].ms, strict=True))
                bar = BARS.get((precision, name))
                verdict = "" if bar is None else f" (bar {bar}: {_verdict(ratio, bar)})"
                parts.append(f"{ratio:.2f} × {name}{verdict}")
        lines.append(f"- {precision}, {best}: " + ("; ".join(parts) or "no peer installed"))
    return lines


def _ours(ending: str) -> tuple[str, ...]:
    return tuple(f"thinfile, {kind}{ending}" for kind in ("fused Adam", "`TouchedAdam`"))


def _verdict(ratio: float, bar: float) -> str:
    return "met" if ratio >= bar else "**missed**"


def flat_table(n_rounds: int, n_steps: int, vocabularies: tuple[int, ...]) -> str:
    names = ["thinfile, `TouchedAdam`", "thinfile, fused Adam"]
    shapes = [Shape(10, n, draw) for draw in ("Zipf", "even") for n in vocabularies]
    keys = [(name, shape) for shape in shapes for name in names]
    found = measure(keys, n_rounds, n_steps)
    lines = [
        "## From 10^4 to 10^7 ids, 10 fields",
        "",
        "| ids | draw | distinct rows per batch | `TouchedAdam`, ms | to 10^4 ids "
        "| fused Adam, ms | peak memory, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for shape in shapes:
        touched, dense = (found[name, shape] for name in names)
        first = found[names[0], Shape(10, vocabularies[0], shape.draw)]
        ratio = statistics.median(t / f for t, f in zip(touched.ms, first.ms, strict=True))
        lines.append(
            f"| {shape.n_ids:,} | {shape.draw} | {_distinct(shape):,} | {touched.median:.1f} "
            f"| {ratio:.2f} | {dense.median:.1f} | {touched.megabytes:,.0f}, "
            f"dense {dense.megabytes:,.0f} |"
        )
    return "\n".join(lines)


def _distinct(shape: Shape) -> int:
    return sum(len(column.unique()) for column in shape.codes()[:BATCH].unbind(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=8, help="per round and variant, at most 20")
    parser.add_argument("--quick", action="store_true", help="small tables, nothing is written")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        variant, n_fields, n_ids, draw = arguments.worker
        return work(variant, Shape(int(n_fields), int(n_ids), draw))
    rounds, steps = arguments.rounds, arguments.steps
    shapes = SHAPES[:1] if arguments.quick else SHAPES
    vocabularies = VOCABULARIES[: 2 if arguments.quick else 4]
    parts = [speed_table(shape, rounds, steps) for shape in shapes]
    parts.append(flat_table(rounds, steps, vocabularies))
    text = "\n\n".join([_intro(rounds, steps), *parts, NOTES]) + "\n"
    print(text)
    if not arguments.quick:
        RESULT.write_text(text)


def _intro(rounds: int, steps: int) -> str:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {_bfloat16()}"
    return (
        "# Training steps of DeepFM\n\n"
        "`PEERS_PYTHON=… python benchmarks/deepfm_speed.py`: CPU time, one thread, batches of "
        f"{BATCH:,}, MLP {WIDTHS}, {DIM} factors, medians of {rounds} interleaved rounds of "
        f"{steps} steps; {machine}; torch {torch.__version__}. Ratios are medians over rounds."
    )


def _bfloat16() -> str:
    has = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "with bfloat16 instructions" if has else "no bfloat16 instructions"


NOTES = ""


if __name__ == "__main__":
    main()
