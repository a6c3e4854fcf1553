"""A comparison asks its own rows for leaks, and keeps the answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl

from thinfile.compare.options import Options
from thinfile.compare.result import Result, load_result
from thinfile.compare.run import compare
from thinfile.compare.task import Task, build_task


def leaky_task(tables: Callable[..., tuple[pl.DataFrame, pl.DataFrame]], *sizes: int) -> Task:
    """The two portfolios with a column that was written down after the outcome."""
    noise = (pl.int_range(pl.len()) % 7).cast(pl.Float64)
    written = [
        table.with_columns(fees=pl.col("bad").fill_null(0) * 20 + noise) for table in tables(*sizes)
    ]
    return build_task(*written, label="bad", source_name="old", target_name="new")


def test_an_honest_comparison_raises_nothing(finished: tuple[Path, Result]) -> None:
    folder, result = finished
    assert result.probes
    assert not any(found["flagged"] for found in result.probes)
    assert result.verdict["leak"] is None
    assert json.loads((folder / "probes.json").read_text()) == result.probes
    assert load_result(folder).probes == result.probes


def test_a_leak_is_named_in_the_verdict(
    tables: Callable[..., tuple[pl.DataFrame, pl.DataFrame]],
    options: Callable[..., Options],
    tmp_path: Path,
) -> None:
    given = options(labels=(40,), n_seeds=1, methods=("boosted_source",))
    result = compare(leaky_task(tables), tmp_path / "run", given)
    (leak,) = [found for found in result.probes if found["flagged"]]
    assert (leak["probe"], leak["subject"]) == ("single column", "fees")
    assert result.verdict["leak"] == f"Leak suspected, do not trust the figures: {leak['words']}"
    assert load_result(tmp_path / "run").verdict["leak"] == result.verdict["leak"]


def test_rows_that_are_tested_are_never_what_the_probes_learn_from(
    tables: Callable[..., tuple[pl.DataFrame, pl.DataFrame]],
    options: Callable[..., Options],
    tmp_path: Path,
) -> None:
    """With few labels every labelled row is tested, and so would be remembered."""
    old, new = tables(240, 120, 40)
    numbered = [
        table.with_columns(branch=pl.format("B{}-{}", pl.lit(name), pl.int_range(pl.len()) // 2))
        for name, table in (("old", old), ("new", new))
    ]
    task = build_task(*numbered, label="bad", source_name="old", target_name="new")
    assert "branch" in task.features.columns
    result = compare(task, tmp_path / "run", options(labels=(20,), n_seeds=1, methods=("mlp",)))
    assert result.settings["mode"] == "cross-validation"
    assert result.verdict["leak"] is None


def test_a_run_of_a_version_without_probes_is_read(
    finished: tuple[Path, Result], tmp_path: Path
) -> None:
    folder, result = finished
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, symlinks=True)
    (copy / "probes.json").unlink()
    assert load_result(copy).probes == []
    assert replace(result, probes=[]).probes == []
