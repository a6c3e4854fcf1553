"""Processes for `deepfm_speed.py` and `deepfm_batches.py`: one for each variant, asked in turn."""

from __future__ import annotations

import io
import json
import logging
import os
import platform
import resource
import statistics
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import torch

from deepfm_peers import LOADING, TRAINING, Shape


def work(variant: str, shape: Shape) -> None:
    """Build one variant, then answer each number of steps with their time and the peak memory."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    answers = sys.stdout
    silence = io.StringIO()
    with redirect_stdout(silence), redirect_stderr(silence):
        try:
            steps = {**TRAINING, **LOADING}[variant](shape)
        except ImportError:
            steps = None
        for line in sys.stdin:
            answer = None
            if steps is not None:
                seconds = steps(int(line))
                answer = [seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]
            print(json.dumps(answer), file=answers, flush=True)


class Worker:
    """One variant in a process of its own."""

    def __init__(self, variant: str, shape: Shape) -> None:
        ours = variant.startswith(("thinfile", "products", "torch `"))
        python = sys.executable if ours else os.environ.get("PEERS_PYTHON", sys.executable)
        fields = [variant, *map(str, (shape.n_fields, shape.n_ids, shape.draw, shape.n_batches))]
        self.variant, self.megabytes = variant, 0.0
        self.process = subprocess.Popen(
            [python, __file__, *fields],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, n_steps: int) -> float | None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{n_steps}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the process of {self.variant!r} ended")
        if (answer := json.loads(line)) is None:
            return None
        self.megabytes = answer[1]
        return 1000 * answer[0] / n_steps

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@dataclass(frozen=True)
class Measured:
    """Of one variant: ms per step of each round, and the peak memory."""

    ms: list[float]
    megabytes: float

    @property
    def median(self) -> float:
        return statistics.median(self.ms)


def measure(
    variants: list[tuple[str, Shape]], n_rounds: int, n_steps: int
) -> dict[tuple[str, Shape], Measured]:
    """Ask all variants in turn, `n_rounds` times after a round of warming up."""
    workers = {key: Worker(*key) for key in variants}
    times: dict[tuple[str, Shape], list[float]] = {}
    for number in range(n_rounds + 1):
        for key, worker in workers.items():
            ms = worker.ask(n_steps)
            if ms is not None and number:
                times.setdefault(key, []).append(ms)
    for worker in workers.values():
        worker.end()
    return {key: Measured(ms, workers[key].megabytes) for key, ms in times.items()}


def machine() -> str:
    has = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    kind = "with bfloat16 instructions" if has else "without bfloat16 instructions"
    return f"{platform.machine()} {kind}, {os.cpu_count()} cores; torch {torch.__version__}"


if __name__ == "__main__":
    name, n_fields, n_ids, draw, n_batches = sys.argv[1:]
    work(name, Shape(int(n_fields), int(n_ids), draw, int(n_batches)))
