"""Do generated frauds help a classifier, and do a VAE's codes? Card transactions, few labels.

``python benchmarks/augmentation.py`` writes ``benchmarks/results/augmentation.md``. Cards of two
days, sorted by time: the first 80 % for training, the rest for testing; `Time` is left out. 10,
50 or 100 frauds and 1,000 genuine transactions have a label, 20,000 others have none. Every way
ends in the same boosted trees (or the same logistic regression) and sees the same rows. Scores of
finished runs lie in the folder ``--partial``, so that a run can be taken up again.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import platform
import time
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import torch

from thinfile.data.datasets import data_folder
from thinfile.generative.augmented import AugmentedClassifier
from thinfile.generative.vae import VAE
from thinfile.metrics.intervals import PairedBootstrap, paired_bootstrap

RESULT = Path(__file__).parent / "results" / "augmentation.md"
BUDGETS = (10, 50, 100)
N_GENUINE, N_UNLABELLED = 1_000, 20_000

TREES: dict[str, dict[str, Any]] = {
    "boosted trees alone": {"generator": None, "codes": False},
    "+ SMOTE": {"generator": "smote", "codes": False},
    "+ VAE, variations of the frauds": {"draw": "like", "codes": False},
    "+ VAE of the frauds alone": {"draw": "class", "codes": False},
    "+ VAE told the label": {"draw": "label", "codes": False},
    "+ codes": {"generator": None},
    "+ codes and variations": {"draw": "like"},
    "+ table GAN told the label": {"generator": "gan", "codes": False},
}
LINE: dict[str, dict[str, Any]] = {
    "logistic regression alone": {"generator": None, "codes": False, "classifier": "logistic"},
    "+ SMOTE (logistic)": {"generator": "smote", "codes": False, "classifier": "logistic"},
    "+ VAE, variations (logistic)": {"draw": "like", "codes": False, "classifier": "logistic"},
    "+ codes (logistic)": {"generator": None, "classifier": "logistic"},
}
WAYS = TREES | LINE


class SharedVAE(AugmentedClassifier):
    """The ways of one seed have the same VAE of all rows: it is fitted once, and paid by each."""

    fitted: ClassVar[dict[tuple[int, int], tuple[VAE, float]]] = {}
    budget: int
    saved_seconds: float = 0.0

    def _fit_vae(self, table: Any, rows: Any, seed: int, *, condition: str | None) -> VAE:
        if condition is not None or len(rows) <= 100:
            return super()._fit_vae(table, rows, seed, condition=condition)
        key = (self.budget, seed)
        if key in self.fitted:
            vae, self.saved_seconds = self.fitted[key]
            return vae
        start = time.process_time()
        vae = super()._fit_vae(table, rows, seed, condition=condition)
        self.fitted[key] = vae, time.process_time() - start
        return vae


class Cards:
    """Transactions in time order, cut at 80 %."""

    def __init__(self) -> None:
        table = pl.read_parquet(data_folder() / "ulb_creditcard.parquet").sort("Time")
        self.y = table["Class"].to_numpy().astype(np.int8)
        self.X = table.drop("Class", "Time")
        self.cut = int(0.8 * len(self.y))

    @property
    def test_y(self) -> np.ndarray[Any, Any]:
        return self.y[self.cut :]

    def training(self, n_frauds: int, seed: int) -> tuple[pl.DataFrame, np.ndarray[Any, Any]]:
        """Labelled rows first, then unlabelled ones, none of them twice."""
        rng = np.random.default_rng(seed)
        before = self.y[: self.cut]
        frauds = rng.permutation(np.flatnonzero(before == 1))[:n_frauds]
        genuine = rng.permutation(np.flatnonzero(before == 0))[:N_GENUINE]
        labelled = np.concatenate([frauds, genuine])
        others = np.setdiff1d(np.arange(self.cut), labelled)
        rows = np.concatenate([labelled, rng.permutation(others)[:N_UNLABELLED]])
        y = np.full(len(rows), -1)
        y[: len(labelled)] = before[labelled]
        return self.X[rows], y


def run(cards: Cards, way: str, budget: int, seed: int, folder: Path) -> None:
    """Fit and score once, unless the scores lie there."""
    file = folder / f"{list(WAYS).index(way)}_{budget}_{seed}.npz"
    if file.exists():
        return
    X, y = cards.training(budget, seed)
    start = time.process_time()
    model = SharedVAE(random_state=seed, **WAYS[way])
    model.budget = budget
    model.fit(X, y)
    seconds = time.process_time() - start + model.saved_seconds
    score = model.predict_proba(cards.X[cards.cut :])[:, 1].astype(np.float32)
    np.savez(file, score=score, seconds=seconds, made=model.n_generated_)
    print(f"{budget} frauds, seed {seed}, {way}: {seconds:.1f} CPU-s", flush=True)


def read(way: str, budget: int, seed: int, folder: Path) -> Any:
    file = folder / f"{list(WAYS).index(way)}_{budget}_{seed}.npz"
    return np.load(file) if file.exists() else None


@cache
def compare(
    cards: Cards, budget: int, seeds: int, folder: Path, n_draws: int
) -> tuple[list[str], PairedBootstrap, list[float], list[int]]:
    ways, scores, seconds, made = [], [], [], []
    for way in WAYS:
        files = [read(way, budget, seed, folder) for seed in range(seeds)]
        done = [file for file in files if file is not None]
        if not done:
            continue
        ways.append(way)
        lacking = np.full(len(cards.test_y), np.nan)
        scores.append([lacking if f is None else f["score"].astype(float) for f in files])
        seconds.append(float(np.median([file["seconds"] for file in done])))
        made.append(int(np.median([file["made"] for file in done])))
    found = paired_bootstrap(
        cards.test_y, np.array(scores), metric="ap", n_draws=n_draws, random_state=0
    )
    return ways, found, seconds, made


def table(cards: Cards, budget: int, seeds: int, folder: Path, n_draws: int) -> str:
    ways, found, seconds, made = compare(cards, budget, seeds, folder, n_draws)
    lines = [
        f"## {budget} labelled frauds",
        "",
        "| way | frauds made | AP (95 %) | seeds | beside the classifier alone (95 %) | CPU-s |",
        "|---|---:|---|---:|---|---:|",
    ]
    for place, way in enumerate(ways):
        base = ways.index("logistic regression alone" if way in LINE else "boosted trees alone")
        gap = found.difference(place, base)
        beside = "" if place == base else f"{gap.estimate:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
        n_seeds = int(np.isfinite(found.per_seed[place]).sum())
        lines.append(
            f"| {way} | {made[place]} | {found.point[place]:.3f} ({found.low[place]:.3f} to "
            f"{found.high[place]:.3f}) | {n_seeds} | {beside} | {seconds[place]:.1f} |"
        )
    return "\n".join(lines)


def verdict(cards: Cards, seeds: int, folder: Path, n_draws: int) -> str:
    """What the tables say in words."""
    better, worse, open_ones = [], [], 0
    for budget in BUDGETS:
        ways, found, _, _ = compare(cards, budget, seeds, folder, n_draws)
        for place, way in enumerate(ways):
            base = ways.index("logistic regression alone" if way in LINE else "boosted trees alone")
            if place == base:
                continue
            gap = found.difference(place, base)
            text = f"{way.removeprefix('+ ')} at {budget} ({gap.estimate:+.3f})"
            if gap.low > 0:
                better.append(text)
            elif gap.high < 0:
                worse.append(text)
            else:
                open_ones += 1
    return (
        f"**Read:** better than the classifier alone beyond the interval: "
        f"{'; '.join(better) or 'none'}. Worse beyond the interval: {'; '.join(worse) or 'none'}. "
        f"Within noise: {open_ones} of {open_ones + len(better) + len(worse)} comparisons."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60.0, help="start no run after this")
    parser.add_argument("--partial", type=Path, default=Path("runs/augmentation"))
    options = parser.parse_args()
    options.partial.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    cards = Cards()
    began = time.monotonic()
    todo = [(s, b, w) for s in range(options.seeds) for b in BUDGETS for w in WAYS]
    todo.sort(key=lambda each: "GAN" in each[2])  # the slowest last, if time runs out
    for seed, budget, way in todo:
        if time.monotonic() - began < 60 * options.minutes:
            run(cards, way, budget, seed, options.partial)
    parts = [
        "# Generated frauds and codes beside the classifier alone",
        f"`python benchmarks/augmentation.py --seeds {options.seeds}`: card transactions, first "
        f"80 % by time for training, average precision on the other {len(cards.test_y):,} "
        f"({int(cards.test_y.sum())} frauds); {N_GENUINE:,} labelled genuine and "
        f"{N_UNLABELLED:,} unlabelled rows, the frauds brought up to half of the genuine rows; "
        "intervals and differences by paired bootstrap over test rows and seeds; one thread, "
        f"{platform.machine()}, torch {torch.__version__}, polars {pl.__version__}.",
        verdict(cards, options.seeds, options.partial, options.draws),
        *(table(cards, b, options.seeds, options.partial, options.draws) for b in BUDGETS),
    ]
    text = "\n\n".join(parts) + "\n"
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
