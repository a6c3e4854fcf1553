from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.artifact.folder import load
from thinfile.baselines.logistic import LogisticClassifier
from thinfile.compare import workers
from thinfile.compare.cell import Cell, run_cell
from thinfile.compare.options import Options
from thinfile.compare.plan import make_plan
from thinfile.compare.result import Result
from thinfile.compare.run import compare
from thinfile.compare.task import Task
from thinfile.errors import ArtifactError, DataError, ParameterError

MakeOptions = Callable[..., Options]


class Counted:
    """Counts the cells that are run, and stops the run after some, as a kill would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stop_after: int | None = None) -> None:
        self.keys: list[str] = []
        self.stop_after = stop_after
        monkeypatch.setattr(workers, "run_cell", self._run)

    def _run(self, *arguments: Any) -> Cell:
        if self.stop_after is not None and len(self.keys) >= self.stop_after:
            raise KeyboardInterrupt
        self.keys.append("-".join(map(str, arguments[3:])))
        return run_cell(*arguments)


# What is found ---------------------------------------------------------------------------------


def test_results_are_tidy(finished: tuple[Path, Result]) -> None:
    folder, result = finished
    table = pl.read_parquet(folder / "results.parquet")
    keys = table.select("method", "budget", "seed")
    assert keys.is_unique().all()
    wanted = {(m, b, s) for m in result.settings["methods"] for b in (0, 40) for s in (0, 1)}
    extra = set(keys.rows()) - wanted
    assert wanted <= set(keys.rows())
    # The choice at other budgets, for the value of labels.
    assert {method for method, _, _ in extra} <= {result.verdict["choice"]}
    assert set(table["status"]) == {"ok", "not applicable"}
    assert table.filter(pl.col("status") == "ok")["auc"].is_between(0, 1).all()
    assert table.filter(pl.col("status") == "ok")["cpu_seconds"].min() > 0
    assert table.equals(result.cells)


def test_all_files_are_there_and_nothing_half_written(finished: tuple[Path, Result]) -> None:
    folder, result = finished
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "run.json",
        "cells",
        "results.parquet",
        "test.safetensors",
        "leaderboard.json",
        "label_curve.json",
        "diagnosis.json",
        "verdict.json",
        "models",
        "best",
    }
    assert not [path for path in folder.rglob("*") if ".part" in path.name or ".link" in path.name]
    assert len(list((folder / "cells").iterdir())) == 2 * result.cells.height


def test_settings_say_what_was_compared(finished: tuple[Path, Result], small_task: Task) -> None:
    settings = finished[1].settings
    assert settings["title"] == "old → new"
    assert (settings["n_source"], settings["n_target"], settings["n_test"]) == (240, 260, 100)
    assert (settings["budgets"], settings["seeds"]) == ([0, 40], [0, 1])
    assert settings["mode"] == "hold-out"
    assert settings["target_rate"] == small_task.rate(small_task.target_labelled)


def test_scores_of_the_test_rows_are_complete(
    finished: tuple[Path, Result], small_task: Task
) -> None:
    result = finished[1]
    plan = make_plan(small_task, [0, 40])
    assert np.array_equal(result.test_y, small_task.y[plan.test])
    for (_, budget), scores in result.test_scores.items():
        assert budget in (0, 40)
        assert scores.shape == (2, 100)
        assert ((scores > 0) & (scores < 1)).all()


def test_the_best_model_scores_as_its_cell_did(
    finished: tuple[Path, Result], small_task: Task
) -> None:
    folder, result = finished
    assert not os.path.isabs(os.readlink(folder / "best"))
    model = load(folder / "best")
    rows = make_plan(small_task, [0, 40]).test
    scores = model.predict_proba(small_task.features[rows.tolist()])[:, 1]
    expected = result.test_scores[result.verdict["choice"], 40][0]
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_one_method_per_budget_is_chosen(finished: tuple[Path, Result]) -> None:
    result = finished[1]
    chosen = result.leaderboard.filter(pl.col("chosen"))
    assert chosen["budget"].to_list() == [0, 40]
    assert chosen.filter(pl.col("budget") == 40)["method"].to_list() == [result.verdict["choice"]]
    # 40 labels are too few for a curve that is more than noise.
    assert set(result.label_curve["budget"]) == {0, 40}


def test_from_100_labels_on_there_is_a_curve(small_task: Task, tmp_path: Path) -> None:
    options = Options(labels=[100], n_seeds=1, methods=["boosted_pooled"], n_jobs=1)
    result = compare(small_task, tmp_path / "run", options)
    assert set(result.label_curve["budget"]) == {25, 50, 100}
    assert any("200 more labels" in sentence for sentence in result.verdict["sentences"])


def test_hidden_labels_do_not_change_the_choice_nor_its_model(
    finished: tuple[Path, Result],
    small_task: Task,
    options: MakeOptions,
    relabelled: Callable[..., Task],
    tmp_path: Path,
) -> None:
    """Labels of test rows, and of rows that no seed has drawn, are dealt out anew."""
    folder, result = finished
    plan = make_plan(small_task, [0, 40])
    drawn = np.concatenate([plan.parts(40, seed)[0].labels for seed in (0, 1)])
    other = relabelled(small_task, np.setdiff1d(small_task.target_labelled, drawn))
    again = compare(other, tmp_path / "run", options())
    assert again.verdict["choice"] == result.verdict["choice"]
    assert again.verdict["choices"] == result.verdict["choices"]
    assert again.diagnosis == result.diagnosis
    for key, scores in result.test_scores.items():
        assert np.array_equal(scores, again.test_scores[key])
    for name in ("weights.safetensors", "trees.txt"):
        saved = [each / "best" / name for each in (folder, tmp_path / "run")]
        assert saved[0].exists() == saved[1].exists()
        assert not saved[0].exists() or saved[0].read_bytes() == saved[1].read_bytes()
    assert not again.leaderboard["auc"].equals(result.leaderboard["auc"])


def test_a_base_rate_that_is_expected_is_met_without_labels(
    small_task: Task, options: MakeOptions, tmp_path: Path
) -> None:
    common = {"methods": ("boosted_source",), "n_seeds": 1, "target_rate": 0.1}
    result = compare(small_task, tmp_path / "run", options(labels=(0, 40), **common))
    without, with_labels = (result.test_scores["boosted_source", b].mean() for b in (0, 40))
    assert without == pytest.approx(0.1, abs=0.03)
    assert with_labels > 0.3  # labels tell it better
    with pytest.raises(DataError, match="holds another comparison"):
        compare(small_task, tmp_path / "run", options(**(common | {"target_rate": 0.2})))


def test_few_labels_are_cross_validated(
    few_labels: Task, options: MakeOptions, tmp_path: Path
) -> None:
    result = compare(
        few_labels,
        tmp_path / "run",
        options(labels=(0, 20), methods=("boosted_source", "logistic_pooled")),
    )
    assert result.settings["mode"] == "cross-validation"
    assert np.array_equal(result.test_y, few_labels.y[few_labels.target_labelled])
    assert all(np.isfinite(scores).all() for scores in result.test_scores.values())
    assert "cross-validated" in " ".join(result.verdict["sentences"])
    evidence = {b: c["evidence"] for b, c in result.verdict["choices"].items()}
    assert evidence["0"] != "target labels"
    assert evidence["20"] == "target labels"
    probability = load(tmp_path / "run" / "best").predict_proba(few_labels.features)
    assert np.isfinite(probability).all()


@pytest.mark.parametrize("methods", [("mlp",), ("boosted_target", "mlp")])
def test_networks_alone_are_compared_too(
    small_task: Task, options: MakeOptions, tmp_path: Path, methods: tuple[str, ...]
) -> None:
    result = compare(small_task, tmp_path / "run", options(methods=methods, n_seeds=1))
    board = {(r["method"], r["budget"]): r for r in result.leaderboard.to_dicts()}
    assert board["mlp", 0]["difference"] is None
    assert result.verdict["choices"]["0"]["name"] == "mlp"


# Going on ----------------------------------------------------------------------------------------


def test_a_killed_run_goes_on_where_it_was(
    small_task: Task,
    options: MakeOptions,
    finished: tuple[Path, Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "run"
    first = Counted(monkeypatch, stop_after=5)
    with pytest.raises(KeyboardInterrupt):
        compare(small_task, folder, options())
    assert len(first.keys) == 5
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}
    assert len(before) == 10

    second = Counted(monkeypatch)
    result = compare(small_task, folder, options())
    assert not set(first.keys) & set(second.keys)
    assert set(Counter(second.keys).values()) == {1}
    assert len(first.keys) + len(second.keys) == result.cells.height
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}
    assert {name: after[name] for name in before} == before
    # It ends as the run that was never stopped.
    timing = ["wall_seconds", "cpu_seconds"]
    assert result.cells.drop(timing).equals(finished[1].cells.drop(timing))
    assert result.verdict == finished[1].verdict

    third = Counted(monkeypatch)
    compare(small_task, folder, options())
    assert third.keys == []
    assert len(list((folder / "models").iterdir())) == 2  # each run adds a version


def test_half_a_cell_is_run_again(
    small_task: Task, options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = options(labels=(0,), methods=("boosted_source",))
    compare(small_task, tmp_path, small)
    damaged = tmp_path / "cells" / "boosted_source-0-1.json"
    damaged.write_bytes(damaged.read_bytes()[:20])
    counted = Counted(monkeypatch)
    compare(small_task, tmp_path, small)
    assert counted.keys == ["boosted_source-0-1"]


def test_methods_and_seeds_may_be_added(
    small_task: Task, options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(small_task, tmp_path, options(labels=(0,), methods=("boosted_source",), n_seeds=1))
    counted = Counted(monkeypatch)
    more = options(labels=(0,), methods=("boosted_source", "logistic_source"))
    result = compare(small_task, tmp_path, more)
    assert sorted(counted.keys) == [
        "boosted_source-0-1",
        "logistic_source-0-0",
        "logistic_source-0-1",
    ]
    assert result.cells.height == 4


@pytest.mark.parametrize(
    "change", [{"random_state": 1}, {"overrides": {"boosted_source": {"n_trees": 3}}}]
)
def test_another_comparison_in_the_same_folder_is_refused(
    small_task: Task, options: MakeOptions, tmp_path: Path, change: dict[str, Any]
) -> None:
    small = {"labels": (0,), "methods": ("boosted_source",), "n_seeds": 1}
    compare(small_task, tmp_path, options(**small))
    before = (tmp_path / "verdict.json").read_bytes()
    with pytest.raises(DataError, match="holds another comparison"):
        compare(small_task, tmp_path, options(**small, **change))
    y = small_task.y.copy()
    y[0] = 1 - y[0]
    with pytest.raises(DataError, match="holds another comparison"):
        compare(replace(small_task, y=y), tmp_path, options(**small))
    assert (tmp_path / "verdict.json").read_bytes() == before


# Failures ----------------------------------------------------------------------------------------


def test_one_method_that_fails_does_not_take_the_others_down(
    small_task: Task, options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr(LogisticClassifier, "_fit", fail)
    only = options(labels=(40,), methods=("boosted_pooled", "logistic_pooled"))
    result = compare(small_task, tmp_path / "run", only)
    status = dict(result.cells.filter(pl.col("budget") == 40).select("method", "status").rows())
    assert status == {"boosted_pooled": "ok", "logistic_pooled": "failed"}
    failed = result.cells.filter(pl.col("status") == "failed")
    assert set(failed["error"]) == {"RuntimeError: no luck"}
    assert set(result.leaderboard["method"]) == {"boosted_pooled"}
    assert result.verdict["choice"] == "boosted_pooled"


def test_one_seed_that_fails_leaves_the_others(
    small_task: Task, options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_fit = LogisticClassifier._fit

    def fail(model: LogisticClassifier, data: Any) -> None:
        if model.random_state == 1:
            raise RuntimeError("no luck")
        true_fit(model, data)

    monkeypatch.setattr(LogisticClassifier, "_fit", fail)
    only = options(labels=(40,), methods=("boosted_pooled", "logistic_pooled"))
    result = compare(small_task, tmp_path / "run", only)
    assert dict(result.leaderboard.select("method", "n_seeds").rows()) == {
        "boosted_pooled": 2,
        "logistic_pooled": 1,
    }
    assert np.isnan(result.test_scores["logistic_pooled", 40][1]).all()


def test_no_method_at_all_is_told_with_the_reasons(
    small_task: Task, options: MakeOptions, tmp_path: Path
) -> None:
    broken = {"boosted_pooled": {"n_trees": 0}}
    only = options(labels=(40,), methods=("boosted_pooled",), overrides=broken)
    message = r"no method could be run with 40 labels; boosted_pooled: .* n_trees=0 must be"
    with pytest.raises(DataError, match=message):
        compare(small_task, tmp_path / "run", only)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"methods": ("boosted_source", "magic")}, ParameterError, "method='magic' is no method"),
        ({"overrides": {"magic": {}}}, ParameterError, "method='magic' is no method"),
        ({"target_rate": 1.5}, ParameterError, r"target_rate=1.5 must be .* in \(0, 1\)"),
        ({"n_seeds": 0}, ParameterError, "n_seeds=0 must be a whole number ≥ 1"),
        ({"labels": (-1,)}, ParameterError, "must be whole numbers ≥ 0"),
        (
            {"methods": ("boosted_pooled", "score_refit")},
            ParameterError,
            "labels=0: boosted_pooled, score_refit cannot be run without labels of the target",
        ),
        ({"labels": (999,)}, DataError, "labels=999 were asked for"),
        ({"device": "abacus"}, ParameterError, "device is 'abacus'"),
    ],
)
def test_bad_options_leave_no_folder(
    small_task: Task,
    options: MakeOptions,
    tmp_path: Path,
    change: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        compare(small_task, tmp_path / "run", options(**change))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("refused", ["results.parquet", "verdict.json", "boosted_source-0-0.json"])
def test_a_full_disk_is_told_and_the_run_goes_on_later(
    small_task: Task,
    options: MakeOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: str,
) -> None:
    small = options(labels=(0,), methods=("boosted_source",), n_seeds=1)
    with monkeypatch.context() as full:
        real = Path.open

        def open_file(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            if refused in path.name and "w" in mode:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(path, mode, *arguments, **named)

        full.setattr(Path, "open", open_file)
        with pytest.raises(ArtifactError, match=f"{refused}: cannot be written: No space left"):
            compare(small_task, tmp_path / "run", small)
    assert not [path for path in tmp_path.rglob("*") if refused in path.name]
    compare(small_task, tmp_path / "run", small)
    assert (tmp_path / "run" / "best" / "manifest.json").exists()
