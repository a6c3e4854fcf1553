"""Abnormal months of bank accounts: which are listed, and whether planted ones are found.

    python benchmarks/account_months.py

Months of the accounts in `berka/` (what came in, what was withdrawn, what was sent, transactions,
lowest and last balance; signed logarithms), windows of 12 months. An `LSTMAutoencoder` sees them
all without labels. Two checks: months with penalty interest for a negative balance (the bank's own
sign, not among the channels), and planted months: 1 % of the months are swapped for a month of
another account. Each method scores months; average precision. Writes
`benchmarks/results/account_months.md`. CPU time, one thread.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch
from sklearn.ensemble import IsolationForest

from thinfile.data.datasets import data_folder
from thinfile.data.windows import Windows, make_windows
from thinfile.metrics.ranking import average_precision
from thinfile.sequence.lstm_autoencoder import LSTMAutoencoder

TABLE = Path(__file__).parent / "results" / "account_months.md"
CHANNELS = ("came in", "withdrawn", "sent", "transactions", "lowest balance", "last balance")
LENGTH, STEP, PLANTED_SHARE = 12, 6, 0.01


def account_months(n_accounts: int) -> pl.DataFrame:
    """One row per account and month in which something was booked."""
    booked = pl.read_parquet(data_folder() / "berka" / "trans.parquet").with_columns(
        pl.col("date").str.to_date().dt.truncate("1mo").alias("month")
    )
    amount, kind = pl.col("amount"), pl.col("operation")
    months = (
        booked.filter(pl.col("account_id") <= n_accounts)
        .sort("account_id", "date", maintain_order=True)
        .group_by("account_id", "month", maintain_order=True)
        .agg(
            amount.filter(pl.col("type") == "PRIJEM").sum().alias("came in"),
            amount.filter(kind.is_in(["VYBER", "VYBER KARTOU"])).sum().alias("withdrawn"),
            amount.filter(kind == "PREVOD NA UCET").sum().alias("sent"),
            pl.len().alias("transactions"),
            pl.col("balance").min().alias("lowest balance"),
            pl.col("balance").last().alias("last balance"),
            (pl.col("k_symbol") == "SANKC. UROK").any().fill_null(False).alias("penalty"),
        )
    )
    signed = [
        (pl.col(name).cast(pl.Float64).sign() * pl.col(name).abs().cast(pl.Float64).log1p()).alias(
            name
        )
        for name in CHANNELS
    ]
    return months.with_columns(signed)


def plant(months: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, np.ndarray]:
    """The months with some swapped for another account's, and which."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(months.height)[: round(PLANTED_SHARE * months.height)]
    values = months.select(CHANNELS).to_numpy().copy()
    values[rows] = values[rng.integers(0, months.height, len(rows))]
    planted = np.zeros(months.height, dtype=bool)
    planted[rows] = True
    return months.with_columns(pl.DataFrame(values, schema=list(CHANNELS))), planted


def windows_of(months: pl.DataFrame) -> Windows:
    return make_windows(months, "account_id", "month", CHANNELS, LENGTH, STEP, min_length=4)


def by_month(windows: Windows, step_errors: np.ndarray, n: int) -> np.ndarray:
    """Mean error of each row of the table over the windows that hold it."""
    assert windows.rows is not None
    inside = windows.rows >= 0
    total = np.bincount(windows.rows[inside], step_errors[inside], n)
    return total / np.maximum(1, np.bincount(windows.rows[inside], minlength=n))


def autoencoder(months: pl.DataFrame, seed: int, epochs: int) -> tuple[np.ndarray, pl.DataFrame]:
    windows = windows_of(months)
    model = LSTMAutoencoder(latent=12, max_epochs=epochs, random_state=seed, device="cpu")
    errors = model.fit(windows).errors(windows)
    return by_month(windows, errors.step, months.height), errors.worst(12)


def own_habit(months: pl.DataFrame, seed: int, epochs: int) -> tuple[np.ndarray, None]:
    """Squared distance from the account's own mean, in the channels' usual distances."""
    far = months.select(pl.col(name) - pl.col(name).mean().over("account_id") for name in CHANNELS)
    square = np.square(far.to_numpy())
    return (square / square.mean(0)).mean(1), None


def forest(months: pl.DataFrame, seed: int, epochs: int) -> tuple[np.ndarray, None]:
    values = months.select(CHANNELS).to_numpy()
    return -IsolationForest(n_estimators=200, random_state=seed).fit(values).score_samples(
        values
    ), None


def forest_on_habit(months: pl.DataFrame, seed: int, epochs: int) -> tuple[np.ndarray, None]:
    values = months.select(
        pl.col(name) - pl.col(name).mean().over("account_id") for name in CHANNELS
    ).to_numpy()
    return -IsolationForest(n_estimators=200, random_state=seed).fit(values).score_samples(
        values
    ), None


METHODS: dict[str, Callable[..., tuple[np.ndarray, pl.DataFrame | None]]] = {
    "isolation forest on months": forest,
    "distance from the account's own mean": own_habit,
    "isolation forest on that distance": forest_on_habit,
    "`LSTMAutoencoder(latent=12)`, error of the month": autoencoder,
}


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--accounts", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    months = account_months(given.accounts)
    penalty = months["penalty"].to_numpy()
    rows, worst = [], None
    for name, score in METHODS.items():
        began = time.process_time()
        scores, listed = score(months, 0, given.epochs)
        seconds = time.process_time() - began
        worst = listed if listed is not None else worst
        top = penalty[np.argsort(-scores)[: months.height // 100]].mean() / penalty.mean()
        found = []
        for seed in range(given.seeds):
            changed, planted = plant(months, seed)
            found.append(average_precision(planted, score(changed, seed, given.epochs)[0]))
        rows.append((name, average_precision(penalty, scores), top, np.mean(found), seconds))
        TABLE.write_text(page(months, rows, worst, given))
    print(TABLE.read_text())


def page(
    months: pl.DataFrame,
    rows: list[tuple[str, float, float, float, float]],
    worst: pl.DataFrame | None,
    given: argparse.Namespace,
) -> str:
    lines = [
        "# Abnormal months of bank accounts",
        "",
        f"`python benchmarks/account_months.py`: {months['account_id'].n_unique():,} accounts of "
        f"`berka/`, {months.height:,} months, {int(months['penalty'].sum())} of them with penalty "
        f"interest; {PLANTED_SHARE:.0%} planted, {given.seeds} seeds. Average precision of months; "
        "lift is the share of penalty months among the hundredth that is most abnormal, over their "
        f"share in all. One thread; torch {torch.__version__}, Python "
        f"{platform.python_version()}.",
        "",
        "| method | AP, penalty months | lift in the top 1 % | AP, planted months | CPU s |",
        "|---|---|---|---|---|",
        *(f"| {n} | {a:.3f} | {t:.1f} | {p:.3f} | {s:.1f} |" for n, a, t, p, s in rows),
        "",
        f"By chance: {months['penalty'].mean():.3f}, 1.0 and {PLANTED_SHARE:.3f}.",
        "",
        "Penalty months are a plausibility check, not a test: a negative balance shows in the "
        "lowest balance, so a simple distance from the account's own mean finds them too. Planted "
        "months look ordinary by themselves and only do not fit their account; they are what the "
        "windows are for.",
        "",
    ]
    if worst is not None and "row" in worst.columns:
        lines += listing(months, worst)
    return "\n".join(lines)


def listing(months: pl.DataFrame, worst: pl.DataFrame) -> list[str]:
    head = ["account", "month", "error", "worst channel", "penalty", *CHANNELS]
    lines = [
        "## The most abnormal months",
        "",
        "Errors are multiples of what is usual for the channel.",
        "",
        "| " + " | ".join(head) + " |",
        "|---" * len(head) + "|",
    ]
    for row in worst.to_dicts():
        own = months.row(row["row"], named=True)
        errors = [f"{row[f'error {name}']:.1f}" for name in CHANNELS]
        cells = [
            str(own["account_id"]),
            f"{own['month']:%Y-%m}",
            f"{row['error']:.1f}",
            row["channel"],
            "yes" if own["penalty"] else "",
            *errors,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


if __name__ == "__main__":
    main()
