import re

import polars as pl
import pytest

from thinfile.data.datasets import (
    DEMO_SOURCE,
    DEMO_TARGET,
    data_folder,
    demo_path,
    load_demo,
    split_demo,
)
from thinfile.errors import DataError


def test_the_demo_is_small_and_has_the_documented_rows():
    assert demo_path().stat().st_size <= 2_000_000
    table = load_demo()
    assert dict(table["portfolio"].value_counts().iter_rows()) == {
        DEMO_SOURCE: 15_000,
        DEMO_TARGET: 10_000,
    }
    assert table["loan"].is_unique().all()
    assert set(table["defaulted"].unique()) == {0, 1, None}


def test_no_outcome_and_no_leak_has_come_along():
    gone = {
        "MIS_Status", "ChgOffDate", "ChgOffPrinGr", "BalanceGross", "Term", "DisbursementDate",
        "DisbursementGross", "NewExist", "Name",
    }  # fmt: skip
    assert not gone & set(load_demo().columns)


def test_text_is_as_published():
    table = load_demo()
    assert all(re.fullmatch(r"\$[\d,]+\.\d\d ", value) for value in table["GrAppv"])
    assert all(re.fullmatch(r"\d{1,2}-[A-Z][a-z]{2}-\d\d", v) for v in table["ApprovalDate"])


def test_the_readme_beside_the_file_names_every_column():
    text = (demo_path().parent / "README.md").read_text(encoding="utf-8")
    assert [name for name in load_demo().columns if f"`{name}`" not in text] == []


def test_source_and_target_are_the_whole_table():
    source, target = split_demo()
    assert (len(source), len(target)) == (15_000, 10_000)
    assert source.columns == target.columns
    assert "portfolio" not in source.columns
    rates = [table.select(pl.col("defaulted").mean()).item() for table in (source, target)]
    assert rates == pytest.approx([0.152, 0.282], abs=5e-4)


def test_the_folder_is_the_one_that_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("THINFILE_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.setenv("THINFILE_DATA", str(tmp_path / "absent"))
    with pytest.raises(DataError, match="set THINFILE_DATA"):
        data_folder()
