"""Digits made by the reference DCGAN, as a picture, with its curves.

    python benchmarks/gan_picture.py --steps 1000

`DCGAN.reference()` on the 60,000 training digits, without labels. Writes
`benchmarks/results/gan_samples.png` at every check (so a run that is cut short leaves its last
picture) and `benchmarks/results/gan_samples.json` with the curves.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import gzip
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thinfile.data.datasets import data_folder
from thinfile.generative.adversarial import Run
from thinfile.generative.dcgan import DCGAN
from thinfile.report.figures.png import image_grid, write_png

RESULTS = Path(__file__).parent / "results"
PICTURE, CURVES = RESULTS / "gan_samples.png", RESULTS / "gan_samples.json"
PAGE = RESULTS / "gan_samples.md"
BATCH = 128


def digits(kind: str = "train") -> np.ndarray:
    """Images (n, 28, 28) as bytes."""
    path = data_folder() / "mnist" / f"{kind}-images-idx3-ubyte.gz"
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=16).reshape(
        -1, 28, 28
    )


def keep(found: dict[str, Any]) -> None:
    """Write the curves, and a page that says how far the run has come."""
    CURVES.write_text(json.dumps(found))
    records = found["records"]
    if records:
        PAGE.write_text(page(records, found["n_rows"]))


def page(records: list[dict[str, Any]], n_rows: int) -> str:
    """The picture with its curves as a table, in Markdown."""
    last = records[-1]
    names = ("discriminator_loss", "generator_loss", "accuracy_real", "accuracy_fake")
    names += ("quality", "told_apart", "spread", "duplicates")
    lines = [
        "# Digits made by the reference DCGAN",
        "",
        f"`python benchmarks/gan_picture.py`: {last['step']} steps of {BATCH} = "
        f"{last['step'] * BATCH / n_rows:.2f} epochs of {n_rows:,} digits (the reference trains "
        f"50), {last['cpu_seconds']:.0f} CPU-seconds on one thread.",
        "",
        "![made digits](gan_samples.png)",
        "",
        "| step | " + " | ".join(name.replace("_", " ") for name in names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for record in records:
        cells = (f"{record[name]:.3f}" for name in names)
        lines.append(f"| {record['step']} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


class Watched(DCGAN):
    """A DCGAN that writes its picture at every check."""

    def _run(self, tricks: Mapping[str, Any], n_rows: int, batch_size: int) -> Run:
        run = super()._run(tricks, n_rows, batch_size)
        inner = self.game_.measure

        def measure() -> Mapping[str, float]:
            pixels = self.game_.images(100)
            write_png(PICTURE, image_grid(self._pictures(pixels)))
            records = list(run.history.records)
            keep({"n_rows": n_rows, "records": records})
            print(records[-1:], flush=True)
            return inner()

        self.game_.measure = measure
        return run


def main() -> None:
    """Train, and write picture and curves."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--checks", type=int, default=20)
    given = parser.parse_args()
    images = digits()
    model = Watched.reference(max_steps=given.steps, n_checks=given.checks, random_state=0)
    began = time.process_time()
    model.fit(images)
    seconds = time.process_time() - began
    write_png(PICTURE, image_grid(model.sample(100, random_state=1)))
    epochs = given.steps * model.batch_size / len(images)
    found = {"n_rows": len(images), "records": model.history_, "notes": model.notes_}
    keep(found)
    print(f"{given.steps} steps = {epochs:.2f} epochs, {seconds:.0f} CPU-s")


if __name__ == "__main__":
    main()
