"""One purchase comparison from end to end, its folder, its model and what refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.intent.conftest import HORIZON, OPTIONS, ROLES

from thinfile.artifact.folder import find_artifact
from thinfile.data.events import EventLog
from thinfile.errors import ArtifactError, DataError, ParameterError
from thinfile.intent.board import GROUPS
from thinfile.intent.model import is_intent_model, load_model
from thinfile.intent.result import IntentResult, load_intent
from thinfile.intent.run import compare_intent
from thinfile.intent.score import score_log
from thinfile.intent.task import IntentTask, build_intent_task, frames
from thinfile.metrics.ranking import roc_auc

Run = tuple[Path, IntentResult]


def test_every_method_is_measured_on_the_same_later_customers(run: Run, task: IntentTask) -> None:
    _, result = run
    assert result.result.cells["status"].to_list() == ["ok"] * 6
    assert set(result.groups["group"]) <= set(GROUPS)
    y = task.y[task.test]
    for (method, budget), scores in result.result.test_scores.items():
        row = result.groups.row(
            by_predicate=(pl.col("group") == "all") & (pl.col("method") == method), named=True
        )
        assert row["budget"] == budget == len(task.train) + len(task.validation)
        assert row["auc"] == pytest.approx(np.mean([roc_auc(y, s) for s in scores]))


def test_an_honest_plan_raises_no_probe(run: Run) -> None:
    _, result = run
    assert result.probes
    assert not any(probe["flagged"] for probe in result.probes)
    assert not result.verdict["flagged"]


def test_the_literal_recipe_is_flagged_at_the_top(
    log: EventLog, task: IntentTask, tmp_path: Path
) -> None:
    options = replace(OPTIONS, plan="literal-recipe", methods=["best_column"], n_seeds=1)
    leaky = build_intent_task(log, task.recipe.buys, HORIZON, options=options)
    result = compare_intent(leaky, tmp_path / "leaky", options)
    assert result.verdict["flagged"]
    assert result.verdict["headline"] == result.verdict["warnings"][0]
    assert "cut" in result.verdict["headline"]
    measured = {probe["probe"] for probe in result.probes if probe["flagged"] and probe["value"]}
    assert "days since last event" in measured


def test_the_recipe_meets_the_true_base_rate(
    log: EventLog, task: IntentTask, tmp_path: Path
) -> None:
    methods = ["prior", "boosted_aggregates"]
    options = replace(OPTIONS, plan="recipe", methods=methods, n_seeds=1)
    short = timedelta(days=20)
    sampled = build_intent_task(log, task.recipe.buys, short, options=options)
    result = compare_intent(sampled, tmp_path / "recipe", options)
    rate = float(sampled.y[sampled.validation].mean())
    assert abs(float(sampled.y[sampled.train].mean()) - rate) > 0.1
    rows = result.groups.filter(pl.col("group") == "all")
    assert rows["mean_probability"].to_list() == pytest.approx([rate, rate], abs=0.05)


def test_a_run_in_which_nothing_works_leaves_no_folder(task: IntentTask, tmp_path: Path) -> None:
    broken = {"boosted_aggregates": {"n_trees": -1}}
    options = replace(OPTIONS, methods=["boosted_aggregates"], n_seeds=1, overrides=broken)
    with pytest.raises(DataError, match=r"no method could be run: boosted_aggregates: .*n_trees"):
        compare_intent(task, tmp_path / "broken", options)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_gives_the_result_again(run: Run) -> None:
    folder, result = run
    again = load_intent(folder)
    assert again.groups.equals(result.groups)
    assert again.probes == result.probes
    assert again.verdict == result.verdict
    for key, scores in result.result.test_scores.items():
        np.testing.assert_array_equal(again.result.test_scores[key], scores)


def test_a_second_call_runs_nothing_again(run: Run, task: IntentTask) -> None:
    folder, result = run
    before = {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}
    again = compare_intent(task, folder, OPTIONS)
    assert {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()} == before
    assert again.groups.equals(result.groups)


def test_rows_and_columns_are_the_same_each_time(events: pl.DataFrame, task: IntentTask) -> None:
    for _ in range(3):
        log = EventLog.from_table(events, ROLES)
        again = build_intent_task(log, task.recipe.buys, HORIZON, options=OPTIONS)
        both = frozenset({"aggregates", "histories"})
        mine, theirs = frames(task, both), frames(again, both)
        assert all(mine[name].equals(theirs[name]) for name in both)
        assert again.recipe.to_dict() == task.recipe.to_dict()


def test_another_comparison_does_not_go_into_the_same_folder(run: Run, log: EventLog) -> None:
    folder, _ = run
    options = replace(OPTIONS, windows=(14,))
    buys = load_model(folder / "best").recipe.buys
    other = build_intent_task(log, buys, HORIZON, options=options)
    with pytest.raises(DataError, match="holds another comparison"):
        compare_intent(other, folder, options)


def test_the_model_scores_the_test_rows_as_they_were_measured(run: Run, task: IntentTask) -> None:
    folder, result = run
    model = load_model(folder / "best")
    key = (result.verdict["choice"], result.verdict["budget"])
    table = model.table(task.log, task.snapshots.take(task.test))
    np.testing.assert_allclose(
        model.probability(table), result.result.test_scores[key][0], atol=1e-6
    )


def test_the_audience_ranks_every_known_customer(run: Run, log: EventLog) -> None:
    folder, _ = run
    ranked = pl.read_parquet(folder / "audience.parquet")
    assert ranked.columns == ["rank", "customer", "probability"]
    assert ranked["probability"].is_sorted(descending=True)
    assert set(ranked["customer"]) == set(log.customers)


def test_few_labels_are_drawn_and_the_rest_hidden(
    task: IntentTask, log: EventLog, tmp_path: Path
) -> None:
    options = replace(OPTIONS, labels=(100, 10**9), methods=["boosted_aggregates"], n_seeds=1)
    result = compare_intent(task, tmp_path / "few", options)
    n_all = len(task.train) + len(task.validation)
    assert sorted(set(result.groups["budget"])) == [100, n_all]
    assert "With 100 labels the choice is" in " ".join(result.verdict["sentences"])


def test_a_log_is_scored_from_a_file(
    run: Run, log: EventLog, events: pl.DataFrame, tmp_path: Path
) -> None:
    folder, _ = run
    source, out = tmp_path / "next.parquet", tmp_path / "scores.csv"
    events.write_parquet(source)
    summary = score_log(folder / "best", source, out)
    scores = pl.read_csv(out)
    assert scores.height == summary.n_customers == log.n_customers
    expected = load_model(folder / "best").score(log)
    np.testing.assert_allclose(scores["probability"], expected["probability"])
    assert summary.psi is None or min(summary.psi.values()) >= 0
    earlier = score_log(folder / "best", source, out, cut=log.start + timedelta(days=30))
    assert earlier.n_customers < summary.n_customers


def test_a_log_that_does_not_fit_is_refused_and_nothing_is_written(
    run: Run, log: EventLog, events: pl.DataFrame, tmp_path: Path
) -> None:
    folder, _ = run
    out = tmp_path / "scores.parquet"
    source = tmp_path / "next.parquet"
    events.rename({"item": "items"}).write_parquet(source)
    with pytest.raises(DataError, match=r"'item'.*near: 'items'"):
        score_log(folder / "best", source, out)
    events.with_columns(pl.col("quantity").cast(pl.String) + "x").write_parquet(source)
    with pytest.raises(DataError, match=r"quantity"):
        score_log(folder / "best", source, out)
    events.with_columns(channel=pl.col("amount")).write_parquet(source)
    with pytest.raises(DataError, match=r"'channel' holds number values .*trained on text"):
        score_log(folder / "best", source, out)
    events.write_parquet(source)
    with pytest.raises(DataError, match="no customer of the log has an event before the cut"):
        score_log(folder / "best", source, out, cut=log.start - timedelta(days=1))
    with pytest.raises(ParameterError, match=r"must end in .parquet or .csv"):
        score_log(folder / "best", source, tmp_path / "scores.txt")
    with pytest.raises(ParameterError, match="would replace the log"):
        score_log(folder / "best", source, source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["next.parquet"]


def test_the_recipe_is_held_against_the_manifest(run: Run, tmp_path: Path) -> None:
    folder, _ = run
    import shutil

    copied = tmp_path / "model"
    shutil.copytree(find_artifact(folder / "best"), copied)
    assert is_intent_model(copied)
    recipe = json.loads((copied / "events.json").read_text())
    recipe["recipe"]["buys"]["values"] = ["something else"]
    (copied / "events.json").write_text(json.dumps(recipe))
    with pytest.raises(ArtifactError, match=r"events.json"):
        load_model(copied)


def test_a_log_without_the_columns_of_the_histories_is_refused(
    run: Run, events: pl.DataFrame
) -> None:
    folder, _ = run
    recipe = load_model(folder / "best").recipe
    log = EventLog.from_table(events.drop("channel"), ROLES)
    with pytest.raises(DataError, match="the log does not fit the model: 'channel' is missing"):
        recipe.check(log)
