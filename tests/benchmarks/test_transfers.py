import importlib.util
import sys
from pathlib import Path

import pytest

from thinfile.data.datasets import data_folder
from thinfile.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


def load_script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


transfers = load_script(ROOT / "benchmarks" / "transfers.py")


@pytest.fixture(autouse=True)
def _needs_data():
    try:
        data_folder()
    except DataError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", list(transfers.TRANSFERS))
def test_both_sides_share_columns_types_and_a_label(name):
    transfer = transfers.load(name)
    assert transfer.source.schema == transfer.target.schema
    for table in (transfer.source, transfer.target):
        assert set(table[transfer.label].unique()) == {0, 1}
        leaks = {"Term", "ChgOffDate", "MIS_Status", "loan_id", "ID"}
        assert not leaks & set(table.columns)
        assert not [column for column in table.columns if column.startswith("early_return")]
    assert 7_000 <= len(transfer.source) <= 12_000
    assert 4_900 <= len(transfer.target) <= 8_000


def test_the_same_rows_at_every_call():
    first, second = transfers.load("uci_education"), transfers.load("uci_education")
    assert first.source.equals(second.source)
    assert first.target.equals(second.target)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(SystemExit, match="there are sba_new_business, sba_crisis"):
        transfers.load("sba")


def test_the_demo_file_is_what_its_script_makes():
    import polars as pl

    from thinfile.data.datasets import load_demo

    script = load_script(ROOT / "scripts" / "make_demo_data.py")
    made = script.make_demo(pl.read_parquet(data_folder() / "sba_national.parquet"))
    assert made.equals(load_demo())
