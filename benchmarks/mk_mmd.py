"""Loss and gradient of MK-MMD beside its floor, slow forms and peers.

``PEERS_PYTHON=… python benchmarks/mk_mmd.py`` writes ``benchmarks/results/mk_mmd.md``. The peers
run in the interpreter that PEERS_PYTHON names (tensorflow, torch of the same version, skada and
skorch in it) and are "not installed" where there is none.

One thread, CPU time. Every form has a process of its own, and in every round each of them is
asked once, one after the other, so that what disturbs the machine disturbs all of them alike. The
median over the rounds counts; ratios are medians of the ratios within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

VARIANTS = Path(__file__).parent / "mk_mmd_variants.py"
RESULT = Path(__file__).parent / "results" / "mk_mmd.md"
SIZES = ((512, 64), (512, 291), (2048, 64), (4096, 256))
SMALL, WIDE, MANY, LARGE = SIZES
LABELS = {
    "thinfile": "thinfile `mk_mmd`",
    "linear": "thinfile `mk_mmd`, linear-time estimator",
    "products": "matrix-product distances, one exponential, autograd",
    "eager": "all differences, eager torch",
    "per_kernel": "all differences anew per kernel, eager torch (TLlib's form)",
    "tensorflow": "reference: all differences, TensorFlow graph",
    "skada": "skada `dan_loss` (33 kernels)",
}
PEERS = ("tensorflow", "skada")
# What is left out would need more memory than the machines this is meant for have.
RUNS = {
    SMALL: tuple(LABELS),
    WIDE: ("thinfile", "linear", "products", "eager", "tensorflow", "skada"),
    MANY: ("thinfile", "linear", "products", "skada"),
    LARGE: ("thinfile", "linear", "products"),
}
ROUNDS = {SMALL: 15, WIDE: 9, MANY: 5, LARGE: 5}
REPEATS = {SMALL: 10, WIDE: 5, MANY: 2, LARGE: 1}
SLOW = ("eager", "per_kernel", "tensorflow", "skada")
SLOW_ROUNDS = 3
MEMORY_BARS = {SMALL: 10, WIDE: 10, MANY: 10, LARGE: 80, (20_000, 64): 150}
Times = dict[tuple[str, tuple[int, int]], list[float]]


class Worker:
    """A process that serves one form."""

    def __init__(self, name: str) -> None:
        interpreter = os.environ["PEERS_PYTHON"] if name in PEERS else sys.executable
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [interpreter, str(VARIANTS), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **one_thread},
        )

    def ask(self, **request: Any) -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("answer "):
                return dict(json.loads(line.removeprefix("answer ")))
        raise RuntimeError(f"{request}: the form stopped without an answer")


@contextmanager
def worker(name: str) -> Iterator[Worker]:
    one = Worker(name)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()


def measure_times(names: tuple[str, ...], *, quick: bool) -> Times:
    times: Times = {}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(worker(name)) for name in names}
        for size in SIZES:
            for i in range(1 if quick else ROUNDS[size]):
                _round(workers, size, i, times)
                print(f"{size}: round {i + 1}", file=sys.stderr)
    return times


def _round(workers: Mapping[str, Worker], size: tuple[int, int], i: int, times: Times) -> None:
    n, d = size
    floor = workers["thinfile"].ask(ask="floor", n=n, d=d, repeats=REPEATS[size])
    times.setdefault(("floor", size), []).append(floor["ms"])
    for name in RUNS[size]:
        slow = name in SLOW
        if name in workers and (not slow or i < SLOW_ROUNDS):
            answer = workers[name].ask(ask="time", n=n, d=d, repeats=1 if slow else REPEATS[size])
            times.setdefault((name, size), []).append(answer["ms"])


def measure_memory(names: tuple[str, ...]) -> dict[tuple[str, tuple[int, int]], dict[str, float]]:
    asked = [(name, size) for size in SIZES for name in RUNS[size] if name in names]
    asked += [("thinfile", (20_000, 64))]
    found = {}
    for name, (n, d) in asked:
        with worker(name) as one:
            found[name, (n, d)] = one.ask(ask="memory", n=n, d=d)
        print(f"memory {name} {n} x {d}", file=sys.stderr)
    return found


def measure_errors() -> list[tuple[str, dict[str, float]]]:
    found = []
    with worker("thinfile") as one:
        for n, d in (SMALL, WIDE, MANY):
            for narrow in (False, True):
                kind = "narrow sigmoid" if narrow else "normal"
                answer = one.ask(ask="error", n=n, d=d, narrow=narrow)
                found.append((f"{n} + {n} × {d}, {kind}", answer))
    return found


def table(header: list[str], body: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def times_table(times: Times, missing: tuple[str, ...]) -> str:
    header = ["CPU ms (times ours)"] + [f"{n} + {n} × {d}" for n, d in SIZES]
    labels = {"floor": "floor: its products and half an exponential pass", **LABELS}
    body = []
    for name, label in labels.items():
        cells = ["not installed" if name in missing else _cell(times, name, s) for s in SIZES]
        body.append([label, *cells])
    return table(header, body)


def _cell(times: Times, name: str, size: tuple[int, int]) -> str:
    if (name, size) not in times:
        return "–"
    other = times[name, size]
    ms = (
        f"{statistics.median(other):.3g}"
        if statistics.median(other) < 100
        else f"{statistics.median(other):,.0f}"
    )
    if name == "thinfile":
        return ms
    return f"{ms} ({_ratio(times, name, 'thinfile', size):.3g}×)"


def bars_table(times: Times, memory: Any, errors: Any) -> str:
    lines = [
        _bar(f"time over the floor, {n} × {d}", _ratio(times, "thinfile", "floor", (n, d)), 2, "×")
        for n, d in SIZES
    ]
    for peer, bar, sizes in (("tensorflow", 30, (SMALL, WIDE)), ("skada", 40, (SMALL, WIDE, MANY))):
        for n, d in sizes:
            ratio = _ratio(times, peer, "thinfile", (n, d))
            lines.append(_bar(f"{peer} over ours, {n} × {d}", ratio, bar, "×", below=False))
    for (n, d), limit in MEMORY_BARS.items():
        lines.append(
            _bar(f"extra memory, {n} × {d}", memory["thinfile", (n, d)]["mb"], limit, " MB")
        )
    worst = max(answer["norm"] for _, answer in errors)
    lines.append(_bar("gradient error, worst", worst, 2e-6, ""))
    return table(["what", "measured", "bar", ""], lines)


def _ratio(times: Times, one: str, other: str, size: tuple[int, int]) -> float | None:
    if (one, size) not in times or (other, size) not in times:
        return None
    pairs = zip(times[one, size], times[other, size], strict=False)
    return statistics.median(a / b for a, b in pairs)


def _reach(times: Times) -> str:
    ratio = _ratio(times, "skada", "floor", WIDE)
    if ratio is None:
        return ""
    return f"""
skada's cost hardly grows with the columns, while ours is mostly products from 291 columns on. The
floor itself is {ratio:.0f} times below skada there: a bar above that is out of reach of any form
that computes all pairs in float32.
"""


def _bar(
    what: str, value: float | None, limit: float, unit: str, *, below: bool = True
) -> list[str]:
    bar = f"{'≤' if below else '≥'} {limit:g}{unit}"
    if value is None:
        return [what, "not installed", bar, ""]
    kept = value <= limit if below else value >= limit
    return [what, f"{value:.3g}{unit}", bar, "kept" if kept else "**missed**"]


def memory_table(memory: Any) -> str:
    sizes = [*SIZES, (20_000, 64)]
    names = [name for name in LABELS if any((name, size) in memory for size in sizes)]
    body = [
        [LABELS[name]]
        + [f"{memory[name, s]['mb']:,.1f}" if (name, s) in memory else "–" for s in sizes]
        for name in names
    ]
    return table(["extra MB at the peak"] + [f"{n} + {n} × {d}" for n, d in sizes], body)


def page(times: Times, memory: Any, errors: Any, missing: tuple[str, ...]) -> str:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {version('torch')}"
    error_rows = [[what, f"{a['norm']:.1e}", f"{a['largest']:.1e}"] for what, a in errors]
    seconds = memory["thinfile", (20_000, 64)]["seconds"]
    return f"""# MK-MMD: loss and gradient

`PEERS_PYTHON=… python benchmarks/mk_mmd.py`: one thread, CPU time, float32, medians of interleaved
rounds; {machine}. Rows of source + target × columns.

{bars_table(times, memory, errors)}
{_reach(times)}
## Time

{times_table(times, missing)}

– means not run: it would need more memory than a small machine has. 20,000 + 20,000 × 64 takes
{seconds:.1f} CPU seconds with thinfile.

## Memory

Peak resident memory of one call beyond what was there before, in a fresh process.

{memory_table(memory)}

## Gradient error

float32 against autograd through exact float64 distances: norm of the difference over norm of the
gradient (what the bar means), and largest difference over largest entry.

{table(["rows", "norm", "largest entry"], error_rows)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round, for a look")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    missing = () if os.environ.get("PEERS_PYTHON") else PEERS
    names = tuple(name for name in LABELS if name not in missing)
    errors = measure_errors()
    memory = measure_memory(names)
    times = measure_times(names, quick=options.quick)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(page(times, memory, errors, missing), encoding="utf-8")
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
