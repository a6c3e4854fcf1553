"""Published files with the traps they have; skipped where they are not at hand."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from thinfile.schema.model import Schema

DATA = Path(os.environ.get("THINFILE_DATA", Path(__file__).parents[3] / "shared" / "data"))


def path_of(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not in THINFILE_DATA ({DATA})")
    return path


@pytest.fixture(scope="module")
def sba() -> pl.DataFrame:
    # Every 9th row, and the rows that hold the trap.
    frame = pl.read_parquet(path_of("sba_national.parquet"))
    keep = (pl.int_range(pl.len()) % 9 == 0) | (pl.col("ApprovalFY") == "1976A")
    return frame.filter(keep)


def test_sba_money_dates_and_1976a(sba: pl.DataFrame) -> None:
    schema = Schema.infer(sba, label="MIS_Status", domain="Bank")
    assert (schema["GrAppv"].role, schema["GrAppv"].format) == ("number", "money")
    assert (schema["ApprovalDate"].role, schema["ApprovalDate"].format) == ("date", "%d-%b-%y")
    parsed = schema.parse(sba)
    assert parsed.frame["GrAppv"].null_count() == 0
    assert parsed.frame["GrAppv"][0] == 60_000
    assert [fault.split(" of ")[0] for fault in parsed.faults] == ["column 'ApprovalFY': 18"]
    assert "'1976A'" in parsed.faults[0]
    assert any("'1976A'" in note for note in schema.notes_of("ApprovalFY"))
    days = parsed.frame["ApprovalDate"]
    assert days.null_count() == 0
    assert datetime(1961, 1, 1) < days.min() < days.max() < datetime(2014, 12, 31)  # type: ignore[operator]
    year = parsed.frame["ApprovalFY"]
    within = (days.dt.year() - year).drop_nulls().abs() <= 1
    assert within.mean() > 0.999  # type: ignore[operator]


def test_ccf2021_two_files_of_one_kind() -> None:
    from thinfile.data.read import read_table

    internet = read_table(path_of("ccf2021_personal_loan/train_internet.csv.gz"))
    bank = read_table(path_of("ccf2021_personal_loan/train_public.csv.gz"))
    assert internet.columns[0] == "loan_id"  # no byte-order mark left
    both = pl.concat([internet, bank], how="diagonal")
    schema = Schema.infer(both, label="is_Default")
    assert set(str(schema["issue_date"].format).split(" | ")) == {"%Y-%m-%d", "%Y/%m/%d"}
    assert schema["industry"].role == "category"
    assert schema["work_year"].order[0] == "< 1 year"
    assert schema["work_year"].order[-1] == "10+ years"
    assert schema["policy_code"].role == "ignored"
    parsed = schema.parse(both)
    assert parsed.faults == []
    assert parsed.frame["issue_date"].null_count() == 0
    assert parsed.frame["earlies_credit_mon"].max() < datetime(2020, 1, 1)  # type: ignore[operator]
    codes = [
        set(schema.parse(both[rows]).frame["post_code"])
        for rows in (slice(7412), slice(7412, None))
    ]
    assert len(codes[0] & codes[1]) > 500  # "259.0" and "259" are one code


@pytest.mark.parametrize(
    ("name", "code", "n_missing"),
    [("uci_bank_full.csv.gz", "-1", 36_954), ("uci_bank_additional_full.csv.gz", "999", 39_673)],
)
def test_uci_bank_unknown_and_pdays(name: str, code: str, n_missing: int) -> None:
    from thinfile.data.read import read_table

    raw = read_table(path_of(name))
    schema = Schema.infer(raw, label="y")
    assert schema["job"].missing == ("unknown",)
    assert schema["pdays"].missing == (code,)
    assert any(f"{code} ({n_missing} times) stands apart" in note for note in schema.notes)
    frame = schema.parse(raw).frame
    assert frame["pdays"].null_count() == n_missing
    assert "unknown" not in frame["job"].unique()
    assert np.isfinite(frame["age"].to_numpy()).all()
