from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

Call = Callable[..., Any]


def test_a_leak_is_named_when_compare_ends(
    call: Call, files: Path, quick: list[str], tmp_path: Path
) -> None:
    tables = []
    for name in ("old", "new"):
        table = pl.read_parquet(files / f"{name}.parquet")
        tables.append(tmp_path / f"{name}.parquet")
        table.with_columns(
            status=pl.col("bad").replace_strict({1: "closed", 0: "open"})
        ).write_parquet(tables[-1])
    common = ["--label=bad", "--labels=40", *quick]
    answer = call("compare", *tables, *common, "--out", tmp_path / "run")
    assert answer.code == 0
    assert answer.err.startswith(
        "thinfile: Leak suspected, do not trust the figures: Column 'status'"
    )
    assert answer.err.count("\n") == 1
    machine = call("compare", *tables, *common, "--out", tmp_path / "run", "--json")
    leak = json.loads(machine.out)["verdict"]["leak"]
    assert machine.err == f"thinfile: {leak}\n"
    again = json.loads((tmp_path / "run" / "verdict.json").read_text())
    assert again["leak"] == leak
