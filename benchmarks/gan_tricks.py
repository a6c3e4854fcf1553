"""What each trick does to a GAN, on digits and on card transactions.

    python benchmarks/gan_tricks.py --seeds 3

Each trick is put alone on a plain GAN (and the two that the plain one has are taken off it). Small
networks and few steps, so that all fits into minutes: the table says what helps early, not what a
day's training would say. Digits: 10,000 training images, two by two pixels made one, a `DCGAN`,
judged by a classifier that was trained on other digits. Cards: 10,000 genuine transactions and the
frauds of the first 80 % of the time, a `TableGAN` that is told the label; boosted trees are trained
on made rows and tested on the real last 20 %. Found results are kept in
`runs/gan_tricks.jsonl`, so a run that is cut short goes on. Writes
`benchmarks/results/gan_tricks.md` after each fit.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import gzip
import json
import platform
import statistics
import time
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from sklearn.metrics import average_precision_score
from torch import nn

from thinfile.data.datasets import data_folder
from thinfile.generative.dcgan import DCGAN, REFERENCE_TRICKS
from thinfile.generative.table_gan import TableGAN
from thinfile.generative.tricks import TRICKS
from thinfile.trees import fit_trees, predict_trees

RESULTS = Path(__file__).parent / "results"
TABLE, KEPT = RESULTS / "gan_tricks.md", Path("runs/gan_tricks.jsonl")
PLAIN = {"loss": "non_saturating", "input_scaling": True}
STEPS = {"digits": 250, "cards": 200}
MAIN = {"digits": ("distance", False), "cards": ("ap", True)}
"""The figure that a trick is judged by, and whether more of it is better."""
COLUMNS = {
    "digits": {
        "distance": "Fréchet distance",
        "entropy": "entropy of classes (ln 10 = 2.30)",
        "modes": "classes made",
        "certain": "judge is sure",
        "quality": "own quality score",
        "duplicates": "duplicates",
    },
    "cards": {
        "ap": "AP, trees on made rows",
        "quality": "own quality score",
        "told": "told apart (AUC)",
        "marginals": "distance of marginals",
        "duplicates": "duplicates",
    },
}


def variants(task: str) -> dict[str, dict[str, Any]]:
    """The tricks of each row, all others off."""
    plain = PLAIN if task == "digits" else {**PLAIN, "batch_norm": True, "class_labels": True}
    rows: dict[str, dict[str, Any]] = {"plain": plain}
    calm = {"loss": "hinge", "spectral_norm": True, "weight_average": 0.99}
    rows["hinge, spectral norm, averaged weights"] = {**plain, **calm}
    paper = {"loss": "wasserstein", "gradient_penalty": 10.0, "packing": 10}
    if task == "cards":
        rows["Wasserstein, penalty, packs of 10 (CTGAN's form)"] = {**plain, **paper}
    else:
        rows["soft and noisy labels, separate batches (reference)"] = dict(REFERENCE_TRICKS)
    for name, trick in TRICKS.items():
        if plain.get(name):
            rows[f"without: {trick.title}"] = {**plain, name: trick.off}
        else:
            rows[trick.title] = {**plain, name: trick.on}
    for loss in ("least_squares", "hinge", "wasserstein"):
        rows[f"loss: {loss}"] = {**plain, "loss": loss}
    return rows


def off(tricks: dict[str, Any]) -> dict[str, Any]:
    """The class's own tricks are turned off where a row does not name them."""
    return {**{name: trick.off for name, trick in TRICKS.items()}, **tricks}


@cache
def digits(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Images of 14 × 14 in 0…1, and their classes."""
    folder = data_folder() / "mnist"
    images = gzip.decompress((folder / f"{kind}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{kind}-labels-idx1-ubyte.gz").read_bytes())
    x = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 14, 2, 14, 2).mean((2, 4)) / 255
    return x.astype(np.float32), np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


@cache
def judge() -> tuple[nn.Sequential, float]:
    """A classifier of digits that the GANs do not see, and its accuracy on test digits."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Flatten(),
        nn.Linear(196, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    x, y = (torch.from_numpy(part[20_000:50_000]) for part in digits("train"))
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, fused=True)
    for _ in range(4):
        for rows in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    test, classes = digits("t10k")
    with torch.no_grad():
        right = (net(torch.from_numpy(test)).argmax(1).numpy() == classes).mean()
    return net, float(right)


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of two normals with the moments of a and b."""
    left, right = np.cov(a.T), np.cov(b.T)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(left @ right).real, 0)).sum()
    gap = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return float(gap + np.trace(left + right) - 2 * roots)


def run_digits(tricks: dict[str, Any], seed: int) -> dict[str, float]:
    """Fit, make 1,000 digits and judge them."""
    x, y = digits("train")
    model = DCGAN(
        tricks=off(tricks),
        widths=(32, 16),
        discriminator_widths=(16, 32),
        batch_size=64,
        max_steps=STEPS["digits"],
        max_epochs=100,
        n_checks=4,
        learning_rate=1e-3,
        device="cpu",
        random_state=seed,
    ).fit(x[:10_000], y[:10_000])
    net, _ = judge()
    made = torch.from_numpy(model.sample(1000, random_state=seed).astype(np.float32))
    real = torch.from_numpy(digits("t10k")[0][:2000])
    with torch.no_grad():
        chance = net(made).softmax(1).numpy()
        seen = [net[:5](part).numpy() for part in (real, made)]
    share = np.bincount(chance.argmax(1), minlength=10) / len(chance)
    best = max(model.history_, key=lambda record: record["quality"] or 0)
    return {
        "distance": frechet(*seen),
        "entropy": float(-(share[share > 0] * np.log(share[share > 0])).sum()),
        "modes": int((share >= 0.01).sum()),
        "certain": float((chance.max(1) > 0.9).mean()),
        "quality": best["quality"],
        "duplicates": best["duplicates"],
        "gone_off": bool(model.gone_off_),
    }


@cache
def cards() -> tuple[pl.DataFrame, np.ndarray, pl.DataFrame, np.ndarray]:
    """Training rows with labels, and the rows of the last fifth of the time."""
    frame = pl.read_parquet(data_folder() / "ulb_creditcard.parquet").sort("Time")
    y = frame["Class"].to_numpy().astype(np.int8)
    table = frame.drop("Time", "Class").cast(pl.Float64)
    n_train = int(0.8 * len(y))
    rng = np.random.default_rng(0)
    genuine = rng.choice(np.flatnonzero(y[:n_train] == 0), 10_000, replace=False)
    rows = np.concatenate([genuine, np.flatnonzero(y[:n_train] == 1)])
    return table[rows], y[rows], table[n_train:], y[n_train:]


def trees_on(table: pl.DataFrame, y: np.ndarray) -> float:
    """AP on the real test rows of trees trained on these."""
    _, _, test, truth = cards()
    trees = fit_trees(table.to_numpy().astype(np.float32), y, categories=range(0), seed=0)
    return float(average_precision_score(truth, predict_trees(trees, test.to_numpy())))


def run_cards(tricks: dict[str, Any], seed: int) -> dict[str, float]:
    """Fit, make rows of both classes, train on them and test on real ones."""
    table, y, _, _ = cards()
    model = TableGAN(
        tricks=off(tricks),
        widths=(128, 128),
        discriminator_widths=(128, 128),
        dropout=0.25,
        max_steps=STEPS["cards"],
        max_epochs=1000,
        batch_size=500,
        learning_rate=1e-3,
        n_checks=3,
        random_state=seed,
    ).fit(table, y)
    told = tricks.get("class_labels")
    ap = float("nan")
    if told:
        parts = [model.sample(n, label=k, random_state=seed) for k, n in ((0, 5000), (1, 400))]
        ap = trees_on(pl.concat(parts), np.repeat([0, 1], [5000, 400]))
    best = max(model.history_, key=lambda record: record["quality"] or 0)
    return {
        "ap": ap,
        "quality": best["quality"],
        "told": best["told_apart"],
        "marginals": best["distance"],
        "duplicates": best["duplicates"],
        "gone_off": bool(model.gone_off_),
    }


RUNS = {"digits": run_digits, "cards": run_cards}


def page(found: list[dict[str, Any]], command: str) -> str:
    """Both tables in Markdown."""
    lines = [
        "# What each trick does",
        "",
        f"`{command}`: CPU, one thread, {platform.machine()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}. Mean of the seeds ± their standard deviation. Every run ends "
        "with its best weights by its own quality score. Few steps and small networks: read it as "
        "what helps early.",
    ]
    for task in RUNS:
        names = list(variants(task))
        rows = [each for each in found if each["task"] == task and each["name"] in names]
        rows.sort(key=lambda each: names.index(each["name"]))
        if rows:
            lines += ["", *_table(task, rows)]
    wanted = {(task, name) for task in RUNS for name in variants(task)}
    missing = len(wanted - {(each["task"], each["name"]) for each in found})
    if missing:
        lines += ["", f"Not finished: {missing} of {len(wanted)} rows; the same command goes on."]
    return "\n".join([*lines, ""])


def _table(task: str, rows: list[dict[str, Any]]) -> list[str]:
    columns = COLUMNS[task]
    words = {
        "digits": f"## Digits (14 × 14, {STEPS['digits']} steps of 64; the judge is right on "
        f"{judge()[1]:.1%} of test digits)",
        "cards": f"## Cards (10,000 genuine and 384 or so frauds, {STEPS['cards']} steps of 500; "
        f"trees on the same real rows: AP {trees_on(*cards()[:2]):.3f})",
    }
    lines = [
        words[task],
        "",
        "| trick | " + " | ".join(columns.values()) + " | gone off | CPU-s | seeds |",
        "|---|" + "---|" * (len(columns) + 3),
    ]
    for name in dict.fromkeys(row["name"] for row in rows):
        fits = [row for row in rows if row["name"] == name]
        cells = [_mean([fit["found"][key] for fit in fits]) for key in columns]
        n_off = sum(fit["found"]["gone_off"] for fit in fits)
        seconds = statistics.mean(fit["seconds"] for fit in fits)
        cells += [f"{n_off} of {len(fits)}", f"{seconds:.0f}", str(len(fits))]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, "", _in_words(rows, *MAIN[task])]


def _in_words(rows: list[dict[str, Any]], key: str, is_better_high: bool) -> str:
    """Which tricks differ from `plain` by more than two standard errors in the main figure."""
    sides: dict[bool, list[str]] = {True: [], False: []}
    values = {
        name: [row["found"][key] for row in rows if row["name"] == name]
        for name in dict.fromkeys(row["name"] for row in rows)
    }
    plain = values["plain"]
    for name, own in values.items():
        if name == "plain" or min(len(own), len(plain)) < 2 or not np.isfinite(own).all():
            continue
        gap = statistics.mean(own) - statistics.mean(plain)
        error = (
            statistics.variance(own) / len(own) + statistics.variance(plain) / len(plain)
        ) ** 0.5
        if abs(gap) > 2 * error:
            sides[(gap > 0) == is_better_high].append(name)
    return (
        f"Beyond two standard errors of three or so seeds, in the first column: better than plain: "
        f"{', '.join(sides[True]) or 'none'}; worse: {', '.join(sides[False]) or 'none'}."
    )


def _mean(values: list[float]) -> str:
    known = [value for value in values if value is not None and np.isfinite(value)]
    if not known:
        return "–"
    spread = f" ± {statistics.stdev(known):.3f}" if len(known) > 1 else ""
    return f"{statistics.mean(known):.3f}{spread}"


def main() -> None:
    """Fit what has not been fitted yet, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="*", choices=list(RUNS), default=list(RUNS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    command = f"python benchmarks/gan_tricks.py --seeds {given.seeds}"
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    found = [json.loads(line) for line in lines]
    done = {(each["task"], each["name"], each["seed"]) for each in found}
    for seed in range(given.seeds):
        for task in given.tasks:
            for name, tricks in variants(task).items():
                if (task, name, seed) in done:
                    continue
                began = time.process_time()
                result = RUNS[task](tricks, seed)
                row = {"task": task, "name": name, "seed": seed, "found": result}
                found.append({**row, "seconds": time.process_time() - began})
                with KEPT.open("a") as file:
                    file.write(json.dumps(found[-1]) + "\n")
                print(task, name, seed, result, flush=True)
                TABLE.write_text(page(found, command))
    TABLE.write_text(page(found, command))
    print(TABLE.read_text())


if __name__ == "__main__":
    main()
