"""How fast a table GAN trains beside CTGAN, with the same batch, widths, packs and steps.

    PEERS_PYTHON=… python benchmarks/gan_speed.py

The peer (package `ctgan`, under a licence that allows a comparison and no more) runs in the
interpreter that PEERS_PYTHON names. CPU time, one thread; the two take turns, and every repetition
compares the two runs of one turn. Encoding (finding the modes, reading the table) is timed apart
from training. Writes `benchmarks/results/gan_speed.md`.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # the peer's encoding hides its time in child processes

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl

RESULT = Path(__file__).parent / "results" / "gan_speed.md"
KEPT = Path("runs") / f"gan_speed_{os.environ.get('GAN_SPEED_ROWS', '20000')}.json"
N_ROWS = int(os.environ.get("GAN_SPEED_ROWS", "20000"))
BATCH, N_EPOCHS = 500, 6
STEPS = N_ROWS // BATCH * N_EPOCHS
FORMS = ("ctgan", "thinfile, the same form", "thinfile, the default (hinge, spectral norm)")
TABLES = ("credit", "cards")


def table(name: str) -> tuple[pl.DataFrame, list[str]]:
    """Rows, and the columns that are categories."""
    from thinfile.data.datasets import data_folder

    if name == "cards":
        frame = pl.read_parquet(data_folder() / "ulb_creditcard.parquet")
        return frame.drop("Time", "Class")[:N_ROWS].cast(pl.Float64), []
    path = data_folder() / "uci_default_credit.csv.gz"
    frame = pl.read_csv(path, infer_schema_length=None).drop("ID")[:N_ROWS]
    few = [column for column in frame.columns if frame[column].n_unique() <= 20]
    return frame, few


def ours(name: str, changes: dict[str, Any]) -> dict[str, float]:
    """Seconds of encoding and of training, and the width of an encoded row."""
    from thinfile.generative import table_gan

    frame, _ = table(name)
    clock: dict[str, float] = {}

    class Timed(table_gan.TableGAN):
        def _run(self, *given: Any) -> Any:
            run = super()._run(*given)
            self.game_.measure = lambda: {"quality": 0.0, "spread": 1.0, "duplicates": 0.0}
            clock["began"] = time.process_time()
            return run

    began = time.process_time()
    model = Timed(max_steps=STEPS, max_epochs=N_EPOCHS, n_checks=1, random_state=0, **changes)
    model.fit(frame)
    clock["ended"] = time.process_time()
    encoder = model.encoder_
    return {
        "encode": clock["began"] - began,
        "train": clock["ended"] - clock["began"],
        "steps": model.history_[-1]["step"],
        "width": len(encoder.number_names_) + sum(encoder.cardinalities_),
    }


def theirs(name: str) -> dict[str, float]:
    """The same of CTGAN."""
    import torch
    from ctgan import CTGAN
    from ctgan.synthesizers import ctgan as room

    frame, few = table(name)
    model = CTGAN(epochs=N_EPOCHS, batch_size=BATCH, enable_gpu=False, verbose=False)
    spent = [0.0]

    def timed(inner: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            began = time.process_time()
            found = inner(*given, **named)
            spent[0] += time.process_time() - began
            return found

        return call

    room.DataTransformer.fit = timed(room.DataTransformer.fit)
    room.DataTransformer.transform = timed(room.DataTransformer.transform)
    room.DataSampler.__init__ = timed(room.DataSampler.__init__)
    torch.manual_seed(0)
    began = time.process_time()
    model.fit(frame.to_pandas(), discrete_columns=few)
    whole = time.process_time() - began
    width = int(model._transformer.output_dimensions)
    return {"encode": spent[0], "train": whole - spent[0], "steps": STEPS, "width": width}


def work(form: str, name: str) -> None:
    """One measurement, printed as JSON."""
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    from thinfile.generative.tricks import CTGAN_TRICKS

    if form == "ctgan":
        found = theirs(name)
    else:
        found = ours(name, {"tricks": CTGAN_TRICKS, "dropout": 0.5} if form == FORMS[1] else {})
    print("FOUND" + json.dumps(found))


def ask(python: str, form: str, name: str) -> dict[str, float] | None:
    """Run one measurement in a process of its own."""
    command = [python, __file__, "--form", form, "--table", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND")]
    if not lines:
        print(done.stderr[-500:], file=sys.stderr)
        return None
    found: dict[str, float] = json.loads(lines[0][5:])
    return found


def page(found: list[dict[str, Any]], n_repetitions: int) -> str:
    """The table in Markdown, and what it says."""
    lines = [
        "# Training a table GAN beside CTGAN",
        "",
        f"`GAN_SPEED_ROWS={N_ROWS} PEERS_PYTHON=… python benchmarks/gan_speed.py --repetitions "
        f"{n_repetitions}`: "
        f"{N_ROWS:,} rows, batches of {BATCH}, packs of 10 (none in the default), hidden layers "
        f"256 and 256 on both sides, {STEPS} steps. CPU time, one thread, {platform.machine()}, "
        f"Python {platform.python_version()}. Ratios are within one turn, medians.",
        "",
        "| table | model | encoded width | encoding, CPU-s | training, CPU-s | rows per CPU-s, "
        "training | to CTGAN | with encoding, to CTGAN |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in TABLES:
        for form in FORMS:
            lines.append(_line(found, name, form))
    return "\n".join([*lines, "", *_words(found), ""])


def _line(found: list[dict[str, Any]], name: str, form: str) -> str:
    rows = [turn[name][form] for turn in found if turn.get(name, {}).get(form)]
    if not rows:
        return f"| {name} | {form} | not installed | | | | | |"
    encode, train = (statistics.median(row[part] for row in rows) for part in ("encode", "train"))
    speed = statistics.median(BATCH * row["steps"] / row["train"] for row in rows)
    ratios = [_ratio(found, name, form, parts) for parts in (("train",), ("encode", "train"))]
    return (
        f"| {name} | {form} | {rows[0]['width']:.0f} | {encode:.1f} | {train:.1f} | {speed:,.0f} | "
        + " | ".join(ratios)
        + " |"
    )


def _ratio(found: list[dict[str, Any]], name: str, form: str, parts: tuple[str, ...]) -> str:
    values = [
        sum(turn[name]["ctgan"][p] for p in parts) / sum(turn[name][form][p] for p in parts)
        for turn in found
        if turn.get(name, {}).get(form) and turn[name].get("ctgan")
    ]
    if not values:
        return ""
    return f"{statistics.median(values):.1f}× ({min(values):.1f}–{max(values):.1f})"


def _words(found: list[dict[str, Any]]) -> list[str]:
    said = []
    for name in TABLES:
        ratio = _ratio(found, name, FORMS[1], ("train",))
        if ratio:
            met = "met" if float(ratio.split("×")[0]) >= 2 else "missed"
            said.append(f"The bar of 2× on `{name}`, same form of the game: {met} ({ratio}).")
    said += [
        "",
        "Where the time goes at CTGAN: the generator runs twice a step and is differentiated "
        "three times, since the discriminator's loss and its penalty are not cut off from it; each "
        "column's softmax is a call of its own; batches are drawn by NumPy row by row; the penalty "
        "goes twice through autograd; Adam loops over weights. Here one made batch serves both "
        "sides, columns of one size share one softmax, rows are drawn from sorted positions, the "
        "penalty of a piecewise linear network is a product of its weights, and Adam is fused. "
        f"{_widths(found)}The default has no packs, so its discriminator takes ten times as many "
        "rows, and follows an average of the weights: a step costs more than in the same form, and "
        "brings more.",
    ]
    return said


def _widths(found: list[dict[str, Any]]) -> str:
    """How wide encoded rows are beside CTGAN's, on each table where both were measured."""
    said = []
    for name in TABLES:
        ours, theirs = (
            next((t[name][form]["width"] for t in found if t.get(name, {}).get(form)), None)
            for form in (FORMS[1], "ctgan")
        )
        if ours is None or theirs is None:
            continue
        if ours == theirs:
            said.append(f"on `{name}` rows are as wide as CTGAN's ({ours:.0f})")
        else:
            word = "narrower" if ours < theirs else "wider"
            part = ": part of the ratio is due to it" if ours < theirs else ""
            said.append(f"on `{name}` rows are {word} ({ours:.0f} beside {theirs:.0f}){part}")
    return f"Modes that say nothing are merged; {'; '.join(said)}. " if said else ""


def main() -> None:
    """Measure in turns, and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--form", choices=FORMS, help=argparse.SUPPRESS)
    parser.add_argument("--table", choices=TABLES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.form:
        return work(given.form, given.table)
    peers = os.environ.get("PEERS_PYTHON", sys.executable)
    found: list[dict[str, Any]] = json.loads(KEPT.read_text()) if KEPT.exists() else []
    while len(found) < given.repetitions:
        turn: dict[str, Any] = {}
        for name, form in [*product(TABLES, FORMS[:2]), *product(TABLES, FORMS[2:])]:
            python = peers if form == "ctgan" else sys.executable
            turn.setdefault(name, {})[form] = ask(python, form, name)
            print(name, form, turn[name][form], flush=True)
            RESULT.write_text(page([*found, turn], len(found) + 1))
        found.append(turn)
        KEPT.write_text(json.dumps(found))
    RESULT.write_text(page(found, len(found)))
    print(RESULT.read_text())


if __name__ == "__main__":
    main()
