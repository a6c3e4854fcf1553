from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from thinfile.baselines.boosted import BoostedTreesClassifier
from thinfile.baselines.logistic import LogisticClassifier
from thinfile.compare.cell import Cell, Settings, build_method, fit_method, run_cell
from thinfile.compare.plan import Plan, make_plan
from thinfile.compare.task import Task
from thinfile.estimator import Estimator
from thinfile.methods import METHODS, get_method

LEARNERS = [
    "boosted_source",
    "boosted_pooled",
    "boosted_weighted",
    "boosted_coral",
    "logistic_pooled",
    "score_refit",
    "mlp",
    "dan",
    "fine_tune",
]
Overrides = dict[str, dict[str, Any]]
Same = Callable[[Cell, Cell], bool]


@pytest.fixture(scope="module")
def plan(small_task: Task) -> Plan:
    return make_plan(small_task, [0, 40])


@pytest.fixture(scope="module")
def settings(overrides: Overrides) -> Settings:
    return Settings(overrides=overrides)


def hidden_rows(task: Task, plan: Plan, labels: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Target rows with a label that a fit must not see: tested ones and ones not drawn."""
    return np.setdiff1d(task.target_labelled, labels)


def fit(task: Task, plan: Plan, settings: Settings, method: str, budget: int) -> Estimator:
    (part,) = plan.parts(budget, 0)
    unlabelled = np.setdiff1d(task.target, np.concatenate([part.labels, part.test]))
    return fit_method(
        task,
        settings,
        get_method(method),
        source=task.source,
        labels=part.labels,
        unlabelled=unlabelled,
        seed=0,
    )


# Hidden labels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("flip", [False, True], ids=["dealt out anew", "flipped"])
@pytest.mark.parametrize("method", LEARNERS)
def test_hidden_labels_change_no_bit_of_a_fit(
    small_task: Task,
    plan: Plan,
    settings: Settings,
    relabelled: Callable[..., Task],
    fitted_bits: Callable[[Estimator], Any],
    method: str,
    flip: bool,
) -> None:
    hidden = hidden_rows(small_task, plan, plan.parts(40, 0)[0].labels)
    other = relabelled(small_task, hidden, flip=flip)
    models = [fit(task, plan, settings, method, 40) for task in (small_task, other)]
    first, second = map(fitted_bits, models)
    assert first == second
    scores = [model.predict_proba(small_task.features) for model in models]
    assert np.array_equal(*scores)


def test_labels_that_are_seen_do_change_the_fit(
    small_task: Task,
    plan: Plan,
    settings: Settings,
    relabelled: Callable[..., Task],
    fitted_bits: Callable[[Estimator], Any],
) -> None:
    """The test above would pass too if nothing of the target were learned."""
    other = relabelled(small_task, plan.parts(40, 0)[0].labels, flip=True)
    for method in ("boosted_pooled", "mlp"):
        first, second = (fit(task, plan, settings, method, 40) for task in (small_task, other))
        assert fitted_bits(first) != fitted_bits(second)


@pytest.mark.parametrize("budget", [0, 40])
@pytest.mark.parametrize("method", ["boosted_source", "boosted_pooled", "score_refit", "dan"])
def test_hidden_labels_change_no_bit_of_a_cell(
    small_task: Task,
    plan: Plan,
    settings: Settings,
    relabelled: Callable[..., Task],
    method: str,
    budget: int,
    same: Same,
) -> None:
    hidden = hidden_rows(small_task, plan, plan.parts(budget, 1)[0].labels)
    other = relabelled(small_task, hidden, flip=True)
    first, second = (run_cell(t, plan, settings, method, budget, 1) for t in (small_task, other))
    assert first.status in ("ok", "not applicable")
    assert same(first, second)


class Spy:
    """Notes what each fit is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, task: Task, cls: type[Estimator]) -> None:
        self.seen: list[set[int]] = []  # rows whose columns a fit saw
        self.labelled: list[set[int]] = []  # rows whose label it saw
        self.scored: list[set[int]] = []
        self._row = {age: row for row, age in enumerate(task.features["age"])}
        true_fit, true_score = cls.fit, cls.predict_proba

        def fit(model: Estimator, X: Any, y: Any, *, domain: Any = None) -> Estimator:
            rows = self._rows(X)
            self.seen.append(set(rows))
            self.labelled.append({row for row, label in zip(rows, y, strict=True) if label >= 0})
            return true_fit(model, X, y, domain=domain)

        def predict_proba(model: Estimator, X: Any) -> Any:
            self.scored.append(set(self._rows(X)))
            return true_score(model, X)

        monkeypatch.setattr(cls, "fit", fit)
        monkeypatch.setattr(cls, "predict_proba", predict_proba)

    def _rows(self, X: pl.DataFrame) -> list[int]:
        return [self._row[age] for age in X["age"]]


def test_no_fit_is_given_a_test_row(
    small_task: Task, plan: Plan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy(monkeypatch, small_task, BoostedTreesClassifier)
    cell = run_cell(small_task, plan, settings, "boosted_pooled", 40, 0)
    (part,) = plan.parts(40, 0)
    allowed = set(small_task.source) | set(part.labels)
    assert len(spy.seen) == 4  # three folds and the final fit
    for seen, labelled in zip(spy.seen, spy.labelled, strict=True):
        assert not seen & set(plan.test)
        assert labelled <= allowed
    assert spy.labelled[-1] == allowed
    assert spy.seen[-1] == set(range(len(small_task.y))) - set(plan.test)
    assert cell.label_rows.tolist() == part.labels.tolist()


def test_out_of_fold_scores_are_of_rows_held_out(
    small_task: Task, plan: Plan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy(monkeypatch, small_task, BoostedTreesClassifier)
    cell = run_cell(small_task, plan, settings, "boosted_pooled", 40, 0)
    held_labels, held_source = [], []
    for fold in range(3):
        labels, source = spy.scored[2 * fold : 2 * fold + 2]
        assert not (labels | source) & spy.labelled[fold]
        held_labels += labels
        held_source += source
    assert sorted(held_labels) == sorted(cell.label_rows)
    assert sorted(held_source) == sorted(cell.source_rows) == small_task.source.tolist()
    assert np.isfinite(cell.label_scores).all()


@pytest.mark.parametrize("method", ["boosted_pooled", "boosted_source"])
def test_folds_score_every_label_once_without_having_seen_it(
    few_labels: Task, settings: Settings, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    spy = Spy(monkeypatch, few_labels, BoostedTreesClassifier)
    plan = make_plan(few_labels, [20])
    cell = run_cell(few_labels, plan, settings, method, 20, 0)
    for part, seen, labelled in zip(plan.parts(20, 0), spy.seen, spy.labelled, strict=True):
        assert not seen & set(part.test)
        assert labelled == set(few_labels.source) | set(part.labels)
    assert np.isfinite(cell.scores).all()
    assert cell.label_rows.tolist() == few_labels.target_labelled.tolist()
    assert np.array_equal(cell.label_scores, cell.scores)


def test_folds_without_a_budget_give_the_choice_no_label(
    few_labels: Task, settings: Settings
) -> None:
    plan = make_plan(few_labels, [0])
    cell = run_cell(few_labels, plan, settings, "boosted_source", 0, 0)
    assert plan.mode == "cross-validation"
    assert cell.status == "ok"
    assert len(cell.label_rows) == len(cell.label_scores) == 0
    assert len(cell.source_scores) > 0  # evidence from the source is left


# What a cell says ------------------------------------------------------------------------------


def test_scores_are_those_of_the_fitted_method(
    small_task: Task, plan: Plan, settings: Settings
) -> None:
    cell = run_cell(small_task, plan, settings, "boosted_pooled", 40, 0)
    model = fit(small_task, plan, settings, "boosted_pooled", 40)
    raw = model.predict_proba(small_task.features[plan.test.tolist()])[:, 1]
    # Recalibration on out-of-fold scores moves them, and keeps their order.
    assert (np.argsort(raw, kind="stable") == np.argsort(cell.scores, kind="stable")).all()
    model.calibration_ = type(model.calibration_)(*cell.calibration)
    again = model.predict_proba(small_task.features[plan.test.tolist()])[:, 1]
    assert np.array_equal(again, cell.scores)
    assert cell.wall_seconds > 0
    assert cell.cpu_seconds > 0


def test_a_network_tells_its_training(small_task: Task, plan: Plan, settings: Settings) -> None:
    cell = run_cell(small_task, plan, settings, "dan", 0, 0)
    assert [record["epoch"] for record in cell.history] == [1, 2]
    assert {"classification", "mmd", "total"} <= set(cell.history[-1])


def test_a_method_that_needs_labels_is_not_run_without(
    small_task: Task, plan: Plan, settings: Settings
) -> None:
    cell = run_cell(small_task, plan, settings, "boosted_target", 0, 0)
    assert (cell.status, cell.error) == ("not applicable", "needs labels of the target")


def test_a_method_that_fails_is_reported_in_one_line(
    small_task: Task, plan: Plan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no luck\nat all")

    monkeypatch.setattr(LogisticClassifier, "_fit", fail)
    cell = run_cell(small_task, plan, settings, "logistic_pooled", 40, 0)
    assert (cell.status, cell.error) == ("failed", "RuntimeError: no luck")
    assert len(cell.scores) == 0


@pytest.mark.parametrize("error", [MemoryError(), ValueError(""), KeyError("x")])
def test_any_error_has_a_text(
    small_task: Task,
    plan: Plan,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(LogisticClassifier, "_fit", fail)
    cell = run_cell(small_task, plan, settings, "logistic_pooled", 40, 0)
    assert cell.status == "failed"
    assert type(error).__name__ in cell.error


def test_scores_that_are_no_number_are_a_failure(
    small_task: Task, plan: Plan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(self: Estimator, encoded: Any) -> Any:
        return np.full(len(encoded.numbers), np.nan)

    monkeypatch.setattr(LogisticClassifier, "_probability", score)
    monkeypatch.setattr(LogisticClassifier, "_correct_base_rate", lambda *_: None)
    cell = run_cell(small_task, plan, settings, "logistic_source", 0, 0)
    assert cell.status == "failed"
    assert "NaN" in cell.error or "finite" in cell.error


def test_a_wrong_argument_fails_its_method_only(small_task: Task, plan: Plan) -> None:
    settings = Settings(overrides={"boosted_source": {"n_trees": 0}})
    cell = run_cell(small_task, plan, settings, "boosted_source", 0, 0)
    assert cell.status == "failed"
    assert cell.error == "BoostedTreesClassifier: n_trees=0 must be a whole number ≥ 1"


@pytest.mark.parametrize(
    ("given", "has_labels", "expected"),
    [(None, False, "auto"), (0.2, False, 0.2), (0.2, True, "auto")],
)
def test_an_estimated_base_rate_is_used_without_labels_only(
    small_task: Task, given: float | None, has_labels: bool, expected: object
) -> None:
    settings = Settings(target_rate=given)
    for name in METHODS:
        model = build_method(small_task, settings, METHODS[name], seed=3, has_labels=has_labels)
        arguments = model.get_params()
        assert arguments["target_rate"] == expected
        assert arguments["random_state"] == 3
        assert arguments["target_domain"] == "new"
        assert arguments.get("device", "cpu") == "cpu"


def test_overrides_reach_their_method(small_task: Task) -> None:
    settings = Settings(overrides={"mlp": {"widths": (3,)}})
    given = [
        build_method(small_task, settings, METHODS[name], seed=0, has_labels=True).get_params()
        for name in ("mlp", "dan")
    ]
    assert [each["widths"] for each in given] == [(3,), (64, 32)]


def test_a_cell_is_computed_on_one_thread(
    small_task: Task, plan: Plan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums over several threads are not the same to the last bit as those in a process."""
    found = []
    true_fit = LogisticClassifier._fit

    def fit(model: LogisticClassifier, data: Any) -> None:
        found.extend(each["num_threads"] for each in threadpool_info())
        true_fit(model, data)

    monkeypatch.setattr(LogisticClassifier, "_fit", fit)
    with threadpool_limits(2):
        assert run_cell(small_task, plan, settings, "logistic_source", 0, 0).status == "ok"
    assert set(found) == {1}


def test_cells_of_equal_input_are_equal(
    small_task: Task, plan: Plan, settings: Settings, same: Same
) -> None:
    first, second, other = (
        run_cell(small_task, plan, settings, "mlp", 40, seed) for seed in (0, 0, 1)
    )
    assert same(first, second)
    assert not same(first, replace(other, seed=0))
