"""Seconds of an SGAN's 5,000 steps on one core.

``python benchmarks/sgan_speed.py`` writes ``benchmarks/results/sgan_speed.md``: CPU time of
`fit` on card transactions at batch 128, the first hundred steps (imports, first calls) included,
with one record of the history every 1,000 steps.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from sgan_data import Cards
from thinfile import __version__
from thinfile.generative.sgan import SGANClassifier

RESULT = Path(__file__).parent / "results" / "sgan_speed.md"
BAR = 60.0
N_STEPS = 5_000


def recipes(n_steps: int) -> dict[str, SGANClassifier]:
    common: dict[str, Any] = {
        "max_steps": n_steps,
        "check_every": 1_000,
        "random_state": 0,
        "device": "cpu",
    }
    return {
        "reference (one network, three updates a step)": SGANClassifier.reference(**common),
        "default, one network": SGANClassifier(n_members=1, **common),
        "default, five networks": SGANClassifier(**common),
    }


def _option(n_steps: int) -> str:
    return "" if n_steps == N_STEPS else f" --steps {n_steps}"


def _note(n_steps: int) -> str:
    return "" if n_steps == N_STEPS else ", from which the time of 5,000 is reckoned"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=N_STEPS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    X, y = Cards().draw(50, 900, 0)
    lines = [
        "# 5,000 steps of an SGAN on one core",
        "",
        f"`python benchmarks/sgan_speed.py{_option(arguments.steps)}`: {arguments.steps:,} "
        f"steps at batch 128 on 29 columns{_note(arguments.steps)}, "
        f"one thread; thinfile {__version__}, torch {torch.__version__}. The reference took five "
        "minutes on a GPU; the bar is a minute on one core. The machine was shared: wall time "
        "says how much of the core the run got.",
        "",
        "| recipe | CPU s for 5,000 steps | ms per step | under a minute | wall s of the run |",
        "|---|---|---|---|---|",
    ]
    SGANClassifier(max_steps=5, random_state=0).fit(X, y)  # first calls of the process
    for name, model in recipes(arguments.steps).items():
        began, wall = time.process_time(), time.perf_counter()
        model.fit(X, y)
        seconds, wall = time.process_time() - began, time.perf_counter() - wall
        each = 1_000 * seconds / arguments.steps
        full = 5.0 * each
        verdict = "yes" if full < BAR else "**no**"
        lines.append(f"| {name} | {full:.0f} | {each:.2f} | {verdict} | {wall:.0f} |")
        print(lines[-1], flush=True)
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
