"""Five real transfers to measure on: a source, a target, and why the two differ.

``python benchmarks/transfers.py`` prints the size and base rate of each. The tables lie in the
folder that THINFILE_DATA names (see ``thinfile.data.datasets.data_folder``). Columns are left as
published, text included, but for those that a lender could not know when deciding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from thinfile.data.datasets import data_folder

MAX_SOURCE = 8_000
MAX_TARGET = 8_000
RANDOM_STATE = 7

# Outcomes, columns filled in after the decision, and places finer than a state. `Term` is
# shortened when a loan is charged off; the gross disbursement of a credit line grows as long as
# the line is alive. Dates of approval are left out because a row would learn the default rate of
# its own year from loans whose outcome was still years away.
SBA_DROPPED = [
    "ChgOffDate",
    "ChgOffPrinGr",
    "BalanceGross",
    "Term",
    "DisbursementDate",
    "DisbursementGross",
    "MIS_Status",
    "City",
    "Zip",
    "ApprovalDate",
    "ApprovalFY",
]


@dataclass(frozen=True)
class Transfer:
    """A source and a target with the same columns; `label` is 1, 0 or null in both."""

    name: str
    source: pl.DataFrame
    target: pl.DataFrame
    label: str
    note: str


def load(name: str) -> Transfer:
    """Load one of the transfers that :data:`TRANSFERS` names; the same rows at every call."""
    if name not in TRANSFERS:
        raise SystemExit(f"no transfer {name!r}: there are {', '.join(TRANSFERS)}")
    return TRANSFERS[name]()


def _sba_new_business() -> Transfer:
    existing, new = pl.col("NewExist") == "1", pl.col("NewExist") == "2"
    return _sba("sba_new_business", existing, new, ["NewExist"], "existing → new businesses")


def _sba_crisis() -> Transfer:
    year = pl.col("ApprovalFY").str.slice(0, 4).cast(pl.Int32)
    note = "approvals up to fiscal 2000 → fiscal 2007–08"
    return _sba("sba_crisis", year <= 2000, year.is_between(2007, 2008), [], note)


def _sba_bank() -> Transfer:
    first = pl.col("Bank") == "BANK OF AMERICA NATL ASSOC"
    second = pl.col("Bank") == "WELLS FARGO BANK NATL ASSOC"
    note = "the largest lender → the second largest"
    return _sba("sba_bank", first, second, ["Bank", "BankState"], note)


def _sba(
    name: str, in_source: pl.Expr, in_target: pl.Expr, defining: list[str], note: str
) -> Transfer:
    loans = pl.read_parquet(data_folder() / "sba_national.parquet")
    bad = (pl.col("MIS_Status") == "CHGOFF").cast(pl.Int8).alias("defaulted")
    loans = loans.filter(pl.col("MIS_Status").is_not_null()).with_columns(bad)
    dropped = [*SBA_DROPPED, *defining]
    return Transfer(
        name,
        _sample(loans.filter(in_source), MAX_SOURCE).drop(dropped),
        _sample(loans.filter(in_target), MAX_TARGET).drop(dropped),
        "defaulted",
        note,
    )


def _uci_education() -> Transfer:
    customers = _read(data_folder() / "uci_default_credit.csv.gz")
    education, dropped = pl.col("EDUCATION"), ["ID", "EDUCATION"]
    return Transfer(
        "uci_education",
        _sample(customers.filter(education.is_in([1, 2])), MAX_SOURCE).drop(dropped),
        _sample(customers.filter(education == 3), MAX_TARGET).drop(dropped),
        "default.payment.next.month",
        "graduate school and university → high school",
    )


def _ccf2021() -> Transfer:
    folder = data_folder() / "ccf2021_personal_loan"
    source = _read(folder / "train_internet.csv.gz")
    target = _read(folder / "train_public.csv.gz")
    # Ids are dropped because their ranges give the population away; early_return* are known only
    # after the loan was granted.
    dropped = {"loan_id", "user_id"}
    shared = [
        column
        for column in source.columns
        if column in target.columns
        and column not in dropped
        and not column.startswith("early_return")
    ]
    numbers = [
        column
        for column in shared
        if source[column].dtype.is_numeric() and source[column].dtype != target[column].dtype
    ]
    same_types = [pl.col(column).cast(pl.Float64) for column in numbers]
    return Transfer(
        "ccf2021",
        _sample(source.select(shared).with_columns(same_types), MAX_SOURCE),
        _sample(target.select(shared).with_columns(same_types), MAX_TARGET),
        "is_Default",
        "loans of an internet lender → loans of a bank; nearly disjoint populations",
    )


def _read(path: Path) -> pl.DataFrame:
    # Types are taken from all of the file: one of the amounts is written as 1e+05.
    return pl.read_csv(path, infer_schema_length=None)


def _sample(table: pl.DataFrame, n_rows: int) -> pl.DataFrame:
    if len(table) <= n_rows:
        return table
    generator = np.random.default_rng(RANDOM_STATE)
    chosen = np.sort(generator.choice(len(table), size=n_rows, replace=False))
    return table[chosen.tolist()]


TRANSFERS: dict[str, Callable[[], Transfer]] = {
    "sba_new_business": _sba_new_business,
    "sba_crisis": _sba_crisis,
    "sba_bank": _sba_bank,
    "uci_education": _uci_education,
    "ccf2021": _ccf2021,
}


def main() -> None:
    """Print size, base rate and meaning of every transfer."""
    print(f"{'transfer':<18}{'source':>8}{'rate':>8}{'target':>8}{'rate':>8}{'columns':>9}  what")
    for name in TRANSFERS:
        transfer = load(name)
        sizes = [
            f"{len(table):>8}{table.select(pl.col(transfer.label).mean()).item():>8.2%}"
            for table in (transfer.source, transfer.target)
        ]
        n_columns = len(transfer.source.columns) - 1
        print(f"{name:<18}{''.join(sizes)}{n_columns:>9}  {transfer.note}")


if __name__ == "__main__":
    main()
