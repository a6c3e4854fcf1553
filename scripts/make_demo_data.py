"""Make the demo table that ships with the package from the SBA's public loan records.

Run it as ``python scripts/make_demo_data.py``; it reads ``sba_national.parquet`` in the folder
that THINFILE_DATA names and writes ``src/thinfile/data/files/sba_demo.parquet``. The same input
gives the same table. Which columns are kept, and why, stands in the README beside that file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from thinfile.data.datasets import (
    DEMO_DOMAIN,
    DEMO_LABEL,
    DEMO_SOURCE,
    DEMO_TARGET,
    data_folder,
    demo_path,
)

KEPT = [
    "ApprovalDate",
    "State",
    "Bank",
    "BankState",
    "NAICS",
    "NoEmp",
    "CreateJob",
    "RetainedJob",
    "FranchiseCode",
    "UrbanRural",
    "RevLineCr",
    "LowDoc",
    "GrAppv",
    "SBA_Appv",
]
N_SOURCE = 15_000
N_TARGET = 10_000
RANDOM_STATE = 20_240_501
MAX_BYTES = 2_000_000


def draw(
    loans: pl.DataFrame,
    business: str,
    years: tuple[int, int],
    n_rows: int,
    generator: np.random.Generator,
) -> pl.DataFrame:
    """Draw `n_rows` loans of one kind of business approved in the fiscal years given."""
    eligible = loans.filter(
        (pl.col("NewExist") == business)
        & pl.col("ApprovalFY").is_in([str(year) for year in range(years[0], years[1] + 1)])
    )
    chosen = np.sort(generator.choice(len(eligible), size=n_rows, replace=False))
    return eligible[chosen.tolist()]


def make_demo(loans: pl.DataFrame) -> pl.DataFrame:
    """Draw source and target and keep what was known when the loan was decided on."""
    generator = np.random.default_rng(RANDOM_STATE)
    loans = loans.with_row_index("row")
    source = draw(loans, "1", (1998, 2005), N_SOURCE, generator)
    target = draw(loans, "2", (2005, 2006), N_TARGET, generator)
    status = pl.col("MIS_Status")
    outcome = pl.when(status == "CHGOFF").then(1).when(status == "P I F").then(0)
    identity = pl.format("SBA-{}", pl.col("row").cast(pl.String).str.zfill(6))
    return pl.concat(
        [
            population.select(
                identity.alias("loan"),
                pl.lit(name).alias(DEMO_DOMAIN),
                *KEPT,
                outcome.cast(pl.Int8).alias(DEMO_LABEL),
            )
            for name, population in ((DEMO_SOURCE, source), (DEMO_TARGET, target))
        ]
    )


def write(table: pl.DataFrame, path: Path) -> None:
    """Write the table and refuse a file that is too large to ship."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path, compression="zstd", compression_level=19)
    if path.stat().st_size > MAX_BYTES:
        raise SystemExit(f"{path.name}: {path.stat().st_size} bytes, at most {MAX_BYTES} may ship")


def main() -> None:
    """Make the table, write it and print what it holds."""
    table = make_demo(pl.read_parquet(data_folder() / "sba_national.parquet"))
    write(table, demo_path())
    summary = table.group_by(DEMO_DOMAIN, maintain_order=True).agg(
        pl.len().alias("rows"),
        pl.col(DEMO_LABEL).null_count().alias("unlabelled"),
        pl.col(DEMO_LABEL).mean().alias("rate"),
    )
    for name, n_rows, n_unlabelled, rate in summary.iter_rows():
        print(f"{name}: {n_rows} rows, {n_unlabelled} without outcome, {rate:.2%} defaulted")
    print(f"{demo_path().name}: {demo_path().stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
