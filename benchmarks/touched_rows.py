"""Does updating only the touched rows cost AUC on a large table? And what does it save?

    python benchmarks/touched_rows.py

Draws clicks of 200,000 users on 60,000 articles (both by a Zipf law) whose taste is partly a matter
of a few hidden factors, with six small fields beside. The last tenth of the rows is the test, the
tenth before it stops the training. The same `DeepFMClassifier` is fitted with dense Adam, with an
L2 penalty on the whole table, and with only the touched rows updated. CPU time, one thread. Writes
`benchmarks/results/touched_rows.md`.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from thinfile.metrics.ranking import roc_auc
from thinfile.tabular.deepfm import DeepFMClassifier

TABLE = Path(__file__).parent / "results" / "touched_rows.md"
N_USERS, N_ITEMS, N_FACTORS = 200_000, 60_000, 4
SMALL = (7, 12, 24, 5, 3, 50)
NEVER = 10**12
VARIANTS: dict[str, dict[str, Any]] = {
    "dense Adam": {"touched_rows_above": NEVER, "embedding_l2": 0.0},
    "dense Adam, L2 1e-6 on the whole table": {"touched_rows_above": NEVER, "embedding_l2": 1e-6},
    "touched rows only": {"touched_rows_above": 0, "embedding_l2": 0.0},
}


def make_clicks(n_rows: int, seed: int) -> tuple[pl.DataFrame, np.ndarray]:
    """Rows in the order of time, and whether each was clicked."""
    rng = np.random.default_rng(seed)
    user = rng.zipf(1.2, n_rows) % N_USERS
    item = rng.zipf(1.3, n_rows) % N_ITEMS
    tastes = rng.normal(0, 0.6, (N_USERS, N_FACTORS))
    traits = rng.normal(0, 0.6, (N_ITEMS, N_FACTORS))
    log_odds = -1.5 + (tastes[user] * traits[item]).sum(1)
    log_odds += rng.normal(0, 0.5, N_USERS)[user] + rng.normal(0, 0.7, N_ITEMS)[item]
    columns: dict[str, Any] = {"user": user, "item": item}
    for place, size in enumerate(SMALL):
        values = rng.integers(0, size, n_rows)
        log_odds += rng.normal(0, 0.3, size)[values]
        columns[f"field_{place}"] = [f"v{v}" for v in values]
    columns["row"] = np.arange(n_rows, dtype=np.float64)
    y = (rng.random(n_rows) < 1 / (1 + np.exp(-log_odds))).astype(np.int8)
    return pl.DataFrame(columns), y


def measure(arguments: dict[str, Any], n_rows: int, seed: int) -> dict[str, float]:
    """Fit one variant, and score the latest rows."""
    table, y = make_clicks(n_rows, seed)
    n_train = round(0.9 * n_rows)
    model = DeepFMClassifier(
        sparse=("user", "item"),
        min_count=1,
        widths=(128, 64),
        max_epochs=6,
        patience=2,
        batch_size=4096,
        validation_fraction=0.1,
        time_column="row",
        device="cpu",
        random_state=seed,
        **arguments,
    )
    began = time.process_time()
    model.fit(table[:n_train], y[:n_train])
    seconds = time.process_time() - began
    score = model.predict_proba(table[n_train:])[:, 1]
    return {
        "auc": roc_auc(y[n_train:], score),
        "seconds": seconds,
        "epochs": len(model.history_),
        "per_epoch": seconds / len(model.history_),
    }


def main() -> None:
    """Measure every variant with every seed, and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=600_000)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    found = {
        name: [measure(arguments, given.rows, seed) for seed in range(given.seeds)]
        for name, arguments in VARIANTS.items()
    }
    TABLE.write_text(page(found, given.rows, given.seeds))
    print(TABLE.read_text())


def page(found: dict[str, list[dict[str, float]]], n_rows: int, n_seeds: int) -> str:
    """The table in Markdown."""
    first = next(iter(found.values()))
    lines = [
        "# Only the touched rows",
        "",
        f"`python benchmarks/touched_rows.py --rows {n_rows} --seeds {n_seeds}`: synthetic clicks, "
        f"{N_USERS:,} users and {N_ITEMS:,} articles; the last tenth is the test. CPU time, one "
        f"thread; {platform.machine()}, Python {platform.python_version()}.",
        "",
        "| variant | test AUC, mean | of each seed | to the first row | epochs | CPU-s per epoch |",
        "|---|---|---|---|---|---|",
    ]
    for name, fits in found.items():
        gaps = [fit["auc"] - other["auc"] for fit, other in zip(fits, first, strict=True)]
        cells = [
            name,
            f"{statistics.mean(fit['auc'] for fit in fits):.4f}",
            " ".join(f"{fit['auc']:.4f}" for fit in fits),
            f"{statistics.mean(gaps):+.4f}",
            "/".join(f"{fit['epochs']:.0f}" for fit in fits),
            f"{statistics.mean(fit['per_epoch'] for fit in fits):.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
