"""Windows of 30 daily share moves in 4 (or 8) numbers, beside PCA; and paths drawn for back tests.

    python benchmarks/sequence_autoencoder.py

Moves of the 31 shares of `djia30.parquet`, each divided by its own deviation in the training years
(2006 to 2014). Later years (2015 to 2017) are the test. "Returns" are windows of moves, "paths" are
their running sums. Unexplained variance is the squared error over the squared distance from the
training mean, 1 for a model that knows nothing. Intervals draw quarters of the test years, the same
for all methods. Then a `SequenceVAE` learns windows of 60 moves, and the stylised facts of what it
draws stand beside the real ones. Results are kept as they come (`--kept FILE`), so that a run that
was cut short goes on. Writes `benchmarks/results/sequence_autoencoder.md`. CPU time, one thread.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import vl_convert

from thinfile.data.datasets import data_folder
from thinfile.data.windows import Windows, make_windows
from thinfile.metrics.stylised_facts import compare_facts
from thinfile.report.figures.paths import walk_figure
from thinfile.sequence.lstm_autoencoder import LSTMAutoencoder
from thinfile.sequence.sequence_vae import SequenceVAE

TABLE = Path(__file__).parent / "results" / "sequence_autoencoder.md"
WALKS = [TABLE.with_name(f"sequence_walk_{direction}.svg") for direction in (1, 2)]
KEPT = Path(tempfile.gettempdir()) / "thinfile_sequence_autoencoder.json"
LATER = date(2015, 1, 1)
LENGTH, STEP, TEST_STEP = 30, 10, 5
N_DRAWS = 1000
VAE_STEPS = 60

REFERENCE = "reference: LSTM → repeat → LSTM"
FORMS: dict[str, Callable[[int, str], dict[str, Any] | None]] = {
    REFERENCE: lambda code, kind: {"decoder": "reference", "linear": False},
    "LSTM with position": lambda code, kind: {"linear": False} if code == 4 else None,
    "LSTM that feeds back": lambda code, kind: (
        {"linear": False, "decoder": "feedback"} if code == 4 and kind == "paths" else None
    ),
    "PCA start + LSTM (default)": lambda code, kind: {},
    "the same with events": lambda code, kind: {"events": _n_events(code, kind)},
}
LONGER = {REFERENCE: 4, "LSTM with position": 2, "LSTM that feeds back": 2}
"""How much longer forms train that begin from chance."""


def _n_events(code: int, kind: str) -> int:
    """All of the code for events in returns, half of it in paths."""
    return code // 2 if kind == "returns" else code // 4


def moves() -> pl.DataFrame:
    """One row per share and day: `move`, in the share's deviations of the training years."""
    table = pl.read_parquet(data_folder() / "djia30.parquet").with_columns(
        pl.col("Date").str.to_date()
    )
    table = table.sort("Name", "Date").with_columns(
        move=pl.col("Close").log().diff().over("Name"), share=pl.col("Name")
    )
    spread = pl.col("move").filter(pl.col("Date") < LATER).std().over("Name")
    return table.with_columns(move=pl.col("move") / spread).drop_nulls("move")


def cut(table: pl.DataFrame, length: int, step: int) -> tuple[Windows, np.ndarray]:
    """Whole windows, and the quarter in which each begins."""
    windows = make_windows(table, "share", "Date", ["move"], length, step, min_length=length)
    assert windows.rows is not None
    begins = table["Date"].to_numpy()[windows.rows[:, 0]].astype("datetime64[M]").astype(int)
    return windows, begins // 3


def as_kind(windows: Windows, kind: str) -> Windows:
    if kind == "returns":
        return windows
    return replace(windows, values=np.cumsum(windows.values, axis=1))


def squares(true: np.ndarray, made: np.ndarray, block: np.ndarray) -> list[float]:
    """Squared error of each quarter."""
    each = np.square(true - made).sum((1, 2))
    return [float(each[block == b].sum()) for b in np.unique(block)]


def pca(old: Windows, new: Windows, code: int) -> np.ndarray:
    train, test = (w.values.astype(np.float64) for w in (old, new))
    flat, mean = test.reshape(len(test), -1), train.reshape(len(train), -1).mean(0)
    parts = np.linalg.svd(train.reshape(len(train), -1) - mean, full_matrices=False)[2][:code]
    return (mean + (flat - mean) @ parts.T @ parts).reshape(test.shape)


def measure(name: str, kind: str, code: int, seed: int, epochs: int) -> dict[str, Any] | None:
    """Quarterly squared errors of one fit, and its CPU-seconds."""
    table = moves()
    train = as_kind(cut(table.filter(pl.col("Date") < LATER), LENGTH, STEP)[0], kind)
    windows, block = cut(table.filter(pl.col("Date") >= LATER), LENGTH, TEST_STEP)
    test, began = as_kind(windows, kind), time.process_time()
    if name in ("mean", "PCA"):
        made = pca(train, test, 0 if name == "mean" else code)
    else:
        settings = FORMS[name](code, kind)
        if settings is None:
            return None
        model = LSTMAutoencoder(
            latent=code,
            hidden=48,
            max_epochs=epochs * LONGER.get(name, 1),
            batch_tokens=4096,
            random_state=seed,
            device="cpu",
            **settings,
        )
        made = model.fit(train).reconstruct(test)
    return {"squares": squares(test.values, made, block), "seconds": time.process_time() - began}


def facts(seed: int, epochs: int) -> list[dict[str, Any]]:
    """Stylised facts of real later windows, real earlier ones, and drawn ones."""
    table = moves()
    train = cut(table.filter(pl.col("Date") < LATER), VAE_STEPS, 10)[0]
    alone = cut(table.filter(pl.col("Date") < LATER), VAE_STEPS, VAE_STEPS)[0]
    later = cut(table.filter(pl.col("Date") >= LATER), VAE_STEPS, VAE_STEPS)[0]
    began = time.process_time()
    model = SequenceVAE(latent=4, max_epochs=epochs, random_state=seed, device="cpu").fit(train)
    fit_seconds = time.process_time() - began
    made = model.sample(len(alone), random_state=seed)
    normal = np.random.default_rng(seed).normal(size=made.shape)
    beside = {
        "made": compare_facts(alone.values, made, random_state=0),
        "normal": compare_facts(alone.values, normal, random_state=0),
        "later": compare_facts(alone.values, later.values, random_state=0),
    }
    rows = []
    for place, row in enumerate(beside["made"].to_dicts()):
        others = {key: beside[key]["made"][place] for key in ("normal", "later")}
        rows.append({**row, **others})
    rows[0] |= {"active": model.active_units_, "seconds": fit_seconds, "n": len(alone)}
    return rows


def walk() -> dict[str, Any]:
    """Walks along the two main directions of the code of a month's path, as a picture each."""
    train = as_kind(cut(moves().filter(pl.col("Date") < LATER), LENGTH, 20)[0], "paths")
    model = LSTMAutoencoder(latent=4, events=1, max_epochs=3, random_state=0, device="cpu")
    model.fit(train)
    told = []
    for direction, path in enumerate(WALKS):
        places = np.linspace(-2, 2, 9)
        title = f"Direction {direction + 1} of the code: sum of 30 daily moves"
        figure = walk_figure(model.walk(direction, len(places)), places.tolist(), title=title)
        still = {**figure.still, "background": "white", "padding": 12}
        path.write_text(vl_convert.vegalite_to_svg(still), encoding="utf-8")
        told.append(figure.alt)
    return {"told": told}


def work(kept: dict[str, Any], path: Path, given: argparse.Namespace) -> None:
    """Whatever is not kept yet, one piece after the other."""
    jobs: list[tuple[str, Callable[[], Any]]] = []
    for code in given.codes:
        for kind in ("returns", "paths"):
            for name in ("mean", "PCA", *FORMS):
                seeds = range(1 if name in ("mean", "PCA") else given.seeds)
                jobs += [
                    (
                        f"{kind}|{code}|{name}|{seed}",
                        lambda a=(name, kind, code, seed): measure(*a, given.epochs),  # type: ignore[misc]
                    )
                    for seed in seeds
                ]
        if code == 4:
            jobs.append(("walk", walk))
            jobs.append(("facts", lambda: facts(0, given.vae_epochs)))
    for key, job in jobs:
        if key not in kept:
            kept[key] = job()
            path.write_text(json.dumps(kept))
            print(key, flush=True)
        TABLE.write_text(page(kept, given))


def unexplained(kept: dict[str, Any], kind: str, code: int, name: str) -> dict[str, Any] | None:
    """Mean over seeds, its interval, and the difference to PCA with its interval."""
    runs = [v for k, v in kept.items() if k.startswith(f"{kind}|{code}|{name}|") and v]
    needed = [f"{kind}|{code}|mean|0", f"{kind}|{code}|PCA|0"]
    if not runs or any(key not in kept for key in needed):
        return None
    total, base = (np.array(kept[key]["squares"]) for key in needed)
    own = np.mean([run["squares"] for run in runs], axis=0)
    rng = np.random.default_rng(0)
    weights = rng.multinomial(len(total), np.full(len(total), 1 / len(total)), N_DRAWS)
    drawn = (weights @ own) / (weights @ total)
    gap = drawn - (weights @ base) / (weights @ total)
    return {
        "value": own.sum() / total.sum(),
        "ends": np.quantile(drawn, [0.025, 0.975]),
        "gap": (own.sum() - base.sum()) / total.sum(),
        "gap_ends": np.quantile(gap, [0.025, 0.975]),
        "seconds": np.mean([run["seconds"] for run in runs]),
        "n": len(runs),
    }


def board(kept: dict[str, Any], kind: str, code: int) -> list[str]:
    lines = [
        f"## {kind.capitalize()}, {code} numbers for {LENGTH} moves",
        "",
        "| form | unexplained variance | less PCA's | CPU s | seeds |",
        "|---|---|---|---|---|",
    ]
    for name in ("PCA", *FORMS):
        found = unexplained(kept, kind, code, name)
        if found is None:
            continue
        low, high = found["ends"]
        gap = ""
        if name != "PCA":
            gap = "{:+.4f} ({:+.4f}…{:+.4f})".format(found["gap"], *found["gap_ends"])
        seconds = f"{found['seconds']:.0f}" if name != "PCA" else "<1"
        title = name
        if "events" in name:
            title = f"{name}: {_n_events(code, kind)} of two numbers each"
        lines.append(
            f"| {title} | {found['value']:.4f} ({low:.4f}–{high:.4f}) | {gap} | {seconds} "
            f"| {found['n']} |"
        )
    return [*lines, ""]


def facts_board(rows: list[dict[str, Any]]) -> list[str]:
    head = rows[0]
    lines = [
        f"## Stylised facts of drawn paths ({VAE_STEPS} moves each)",
        "",
        f"`SequenceVAE(latent=4)`, {head['seconds']:.0f} CPU-s, {head['active']} of 4 numbers of "
        f"the code in use; as many drawn paths as real ones from the training years "
        f"({head['n']}, no two overlap). The interval (90 %) draws the real paths one by one; as "
        "shares fall on the same days, it is too narrow. The last two columns show what the "
        "report would say of real paths of later years, and of normal noise.",
        "",
        "| fact | real | interval | made | inside | real, later years | normal noise |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = row["fact"].replace("|", "\\|")
        ends = f"{row['low']:.3f} … {row['high']:.3f}"
        lines.append(
            f"| {name} | {row['real']:.3f} | {ends} | {row['made']:.3f} "
            f"| {'yes' if row['within'] else 'no'} | {row['later']:.3f} | {row['normal']:.3f} |"
        )
    return [*lines, ""]


def words(kept: dict[str, Any]) -> list[str]:
    """What the tables say."""
    lines = []
    for code in (4, 8):
        for kind in ("returns", "paths"):
            found = {n: unexplained(kept, kind, code, n) for n in ("PCA", *FORMS)}
            known = {n: f for n, f in found.items() if f}
            if len(known) < 2:
                continue
            base = known.pop("PCA")
            best = min(known, key=lambda n: known[n]["value"])
            beats = known[best]["gap_ends"][1] < 0
            ahead = [n for n in known if known[n]["gap_ends"][1] < 0]
            lines.append(
                f"- {kind.capitalize()}, code {code}: PCA {base['value']:.3f}; best form "
                f"“{best}” {known[best]['value']:.3f}, "
                + ("which beats PCA" if beats else "which does not beat PCA beyond noise")
                + f" ({len(ahead)} of {len(known)} forms do)."
            )
    if "facts" in kept:
        inside = [row["fact"] for row in kept["facts"] if row["within"]]
        outside = [row["fact"] for row in kept["facts"] if not row["within"]]
        lines.append(
            f"- Drawn paths: {len(inside)} of {len(kept['facts'])} facts lie in the interval of "
            f"the real ones; outside: {', '.join(outside) or 'none'}. {_nearness(kept['facts'])}"
        )
    return [*lines, ""]


def _nearness(rows: list[dict[str, Any]]) -> str:
    """Beside real paths of other years: the yardstick that the narrow intervals are not."""
    inside = {
        key: sum(row["low"] <= row[key] <= row["high"] for row in rows)
        for key in ("later", "normal")
    }
    nearer = sum(abs(r["made"] - r["real"]) < abs(r["later"] - r["real"]) for r in rows)
    return (
        f"Real paths of later years lie inside in {inside['later']}, normal noise in "
        f"{inside['normal']}; the drawn paths are nearer to the training years than the later "
        f"years are in {nearer} of {len(rows)} facts."
    )


def page(kept: dict[str, Any], given: argparse.Namespace) -> str:
    lines = [
        "# Windows of share moves in a few numbers",
        "",
        "`python benchmarks/sequence_autoencoder.py`: 31 shares of `djia30.parquet`, training "
        f"2006 to 2014 (windows every {STEP} days), test 2015 to 2017, {given.epochs} epochs "
        "(two to four times as many for forms that begin from chance). Unexplained "
        "variance, lower is better; intervals (95 %) draw quarters of the "
        f"test years. One thread; torch {torch.__version__}, numpy {np.__version__}, Python "
        f"{platform.python_version()}.",
        "",
        *words(kept),
    ]
    for code in (4, 8):
        for kind in ("returns", "paths"):
            if f"{kind}|{code}|PCA|0" in kept:
                lines += board(kept, kind, code)
    if "walk" in kept:
        lines += ["## A walk through the latent space", ""]
        lines += ["From two deviations below the mean code to two above, in nine steps.", ""]
        for path, told in zip(WALKS, kept["walk"]["told"], strict=True):
            lines += [f"![{told}]({path.name})", ""]
    if "facts" in kept:
        lines += facts_board(kept["facts"])
    return "\n".join([*lines, *NOTES])


NOTES = [
    "## What it says",
    "",
    "Moves of neighbouring days hardly depend on each other, so no small number of fixed shapes "
    "holds them, and a recurrent network that has to find its own shapes from a random start ends "
    "behind PCA. The default begins as PCA and keeps a correction only where the last windows of "
    "each share agree; on these data it stays at PCA or goes a hair beyond. What PCA cannot do is "
    "choose: moves have fat tails, so a window is better told by *where* its largest moves are "
    "and how large. An event costs two numbers (place, size) and is found by trying every place; "
    "in returns it is a single day, in paths a jump that stays. That is the form that beats PCA. "
    "The reference's output is an LSTM's state and cannot leave −1…1.",
    "",
]


def main() -> None:
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--codes", type=int, nargs="+", default=[4], help="4, 8 or both")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--vae-epochs", type=int, default=10)
    parser.add_argument("--kept", type=Path, default=KEPT)
    given = parser.parse_args()
    kept = json.loads(given.kept.read_text()) if given.kept.exists() else {}
    work(kept, given.kept, given)
    print(TABLE.read_text())


if __name__ == "__main__":
    main()
