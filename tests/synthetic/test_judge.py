"""The whole judgement: use for training, verdict in words, and everything as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from thinfile.errors import DataError, ParameterError
from thinfile.schema.model import Schema
from thinfile.synthetic.judge import judge_synthetic
from thinfile.synthetic.membership import Attack
from thinfile.synthetic.privacy import Privacy
from thinfile.synthetic.usefulness import IN_PLACE, MADE, REAL, judge_usefulness
from thinfile.synthetic.verdict import risk_of


@pytest.fixture(scope="module")
def judged(people, independent):
    """What the same real rows say of two ends and of rows of the same law."""
    real, holdout = people(500), people(400, seed=1)
    made = {
        "drawn again": real.sample(400, with_replacement=True, seed=0),
        "independent": independent(real, 400),
        "same law": people(400, seed=2),
    }
    return {
        name: judge_synthetic(rows, real, holdout=holdout, label="bad", notes=["a note"])
        for name, rows in made.items()
    }


def test_rows_drawn_again_are_close_and_give_everything_away(judged):
    verdict = judged["drawn again"].verdict
    assert (verdict.likeness, verdict.risk, verdict.is_refused) == ("close", "copies", True)
    assert verdict.headline == "Do not pass these rows on: some of them are training rows."
    assert any("training rows are among them" in line for line in verdict.not_for)


def test_independent_columns_are_of_no_use_and_give_nothing_away(judged):
    found = judged["independent"]
    assert found.verdict.risk in ("none found", "unsettled")
    assert found.fidelity.pair_difference > 2 * found.fidelity.pair_holdout
    made = found.usefulness.get(MADE)
    assert made.auc_gap[2] < 0
    assert "Training a model in place of the real rows: it costs accuracy." in found.verdict.not_for


def test_rows_of_the_same_law_pass(judged):
    found = judged["same law"]
    assert found.verdict.likeness == "close"
    assert found.verdict.risk in ("none found", "unsettled")
    assert found.usefulness.get(MADE).auc_gap[2] > -0.02
    assert found.unmeasured == []
    assert found.notes == ["a note"]


def test_everything_is_plain_json(judged):
    for found in judged.values():
        record = json.loads(found.to_json())
        assert record["verdict"]["risk"] == found.verdict.risk
        assert record["rows"]["made"] == 400
        assert len(record["fidelity"]["columns"]) == 6
        assert len(record["privacy"]["attacks"]) == 3
        assert record["usefulness"]["trained"][0]["name"] == REAL


def test_the_judgement_is_repeatable(people):
    tables = [people(120, seed=seed) for seed in (0, 1, 2)]
    first, second = (
        judge_synthetic(tables[0], tables[1], holdout=tables[2], label="bad").to_dict()
        for _ in range(2)
    )
    assert first | {"cpu_seconds": 0} == second | {"cpu_seconds": 0}


def test_without_a_holdout_it_says_what_is_not_known(people):
    found = judge_synthetic(people(100), people(100, seed=1), label="bad")
    assert found.verdict.risk == "unknown"
    assert found.usefulness.trained == []
    assert found.unmeasured == [
        "usefulness: there are no hold-out rows to test on",
        "distances and membership attacks: there are no hold-out rows that the generator has "
        "not seen",
    ]
    assert found.verdict.warnings[0].startswith("Not measured: usefulness")
    assert "could not be measured" in found.verdict.headline
    assert any("the risk was not measured" in line for line in found.verdict.not_for)


def test_a_kind_is_held_against_its_kind_and_trained_with_all(people):
    real, holdout = people(500), people(400, seed=1)
    made = people(300, seed=2).filter(pl.col("bad") == 1)
    found = judge_synthetic(made, real, holdout=holdout, label="bad", where="bad == 1")
    assert found.sizes["real"] == real["bad"].sum()
    assert found.sizes["real_of_all_kinds"] == 500
    arm = found.usefulness.get(IN_PLACE)
    assert arm.n_events == made.height
    assert arm.n_rows == made.height + (real["bad"] == 0).sum()
    assert found.usefulness.n_test == 400


def test_faults_are_named(people):
    real = people(60)
    with pytest.raises(
        DataError, match="none of the 60 real rows fulfils the condition 'bad == 3'"
    ):
        judge_synthetic(real, real, where="bad == 3")
    with pytest.raises(ParameterError, match="cannot be read"):
        judge_synthetic(real, real, where="bad ==")


def test_a_holdout_without_the_kind_is_no_holdout(people):
    real, holdout = people(80), people(80, seed=1).filter(pl.col("bad") == 0)
    found = judge_synthetic(real, real, holdout=holdout, where="bad == 1")
    assert found.sizes["holdout"] == 0
    assert found.verdict.risk == "copies"


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, "there is no label column"),
        ("job", r"the label 'job' has 4 values among the real rows \('clerk', 'lead'"),
        ("age", "it is measured for labels of two"),
        ("worse", "rows have no column 'worse'"),
    ],
)
def test_usefulness_needs_a_label_of_two_values(people, label, message):
    tables = [people(100, seed=seed) for seed in range(3)]
    found = judge_usefulness(*tables, Schema.infer(tables[1]), label)
    assert found.trained == []
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(found.unmeasured[0])


def test_usefulness_needs_events_on_both_sides(people):
    real = people(100)
    few = real.filter(pl.col("bad") == 0).vstack(real.filter(pl.col("bad") == 1).head(4))
    found = judge_usefulness(real, few, few, Schema.infer(real, label="bad"), "bad")
    n = few.height
    assert found.unmeasured == [
        f"usefulness: 4 events among {n} real rows and 4 events among {n} hold-out rows; 10 of "
        "each class are needed"
    ]


def test_rows_without_a_label_take_no_part(people):
    real, holdout = people(300), people(200, seed=1)
    hidden = pl.when(pl.int_range(pl.len()) < 100).then(-1).otherwise("bad").alias("bad")
    found = judge_usefulness(
        people(100, seed=2),
        real.with_columns(hidden),
        holdout.with_columns(bad=pl.when(pl.col("age") > 40).then("bad")),
        Schema.infer(real, label="bad"),
        "bad",
    )
    assert found.get(REAL).n_rows == 200
    assert found.n_test == (holdout["age"] > 40).sum()


def _privacy(**attack) -> Privacy:
    figures = {"auc": 0.5, "low": 0.48, "high": 0.52, "found": 0.01}
    figures |= {"found_low": 0.0, "found_high": 0.02, "lowest": 0.01} | attack
    return Privacy(10, 0, 0, 0.0, None, [Attack("closeness", **figures)], [])


@pytest.mark.parametrize(
    ("attack", "risk"),
    [
        ({}, "none found"),
        ({"low": 0.4, "high": 0.61}, "unsettled"),
        ({"low": 0.53, "high": 0.58}, "some"),
        ({"low": 0.61, "high": 0.7}, "strong"),
        ({"found_low": 0.03}, "some"),
        ({"found_low": 0.06}, "strong"),
        ({"found": None, "found_low": None, "found_high": None}, "none found"),
    ],
)
def test_the_risk_follows_from_the_lower_ends(attack, risk):
    assert risk_of(_privacy(**attack)) == risk
    assert risk_of(replace(_privacy(**attack), n_copies=1)) == "copies"
    assert risk_of(replace(_privacy(**attack), attacks=[])) == "unknown"


def test_a_holdout_of_another_time_is_warned_of(people):
    real, holdout = people(300), people(300, seed=1).with_columns(age=pl.col("age") + 25)
    found = judge_synthetic(people(300, seed=2), real, holdout=holdout, label="bad")
    assert any(
        "Hold-out and training rows are of different kinds" in w for w in found.verdict.warnings
    )


def test_large_tables_are_sampled_and_it_says_so(people, monkeypatch):
    from thinfile.synthetic import detection, judge, membership, privacy

    for module, name in (
        (privacy, "MAX_QUERIES"),
        (judge, "MAX_QUERIES"),
        (membership, "MAX_TARGETS"),
    ):
        monkeypatch.setattr(module, name, 60)
    for module in (judge, detection):
        name = "DETECTION_ROWS" if module is judge else "MAX_ROWS"
        monkeypatch.setattr(module, name, 80)
    found = judge_synthetic(people(200), people(220, seed=1), holdout=people(210, seed=2))
    assert found.fidelity.detection.n_real == 80
    assert len(found.privacy.distances.made) == 60
    assert found.notes == [
        "Telling made from real rows: as many of each, at most 80, drawn at random.",
        "Nearest neighbours and attacks: at most 60 rows of a side, drawn at random.",
    ]
    assert np.isfinite(found.privacy.attacks[0].auc)


def worded(table, words=("ok", "stolen")):
    return table.with_columns(bad=pl.col("bad").replace_strict([0, 1], words))


@pytest.mark.parametrize(
    ("words", "given", "event"),
    [
        (("stolen", "ok"), {"where": "bad == 'ok'"}, "ok"),
        (("ok", "stolen"), {"where": "bad == 'stolen' and age > 30"}, "stolen"),
        (("stolen", "ok"), {"where": "age > 30", "event": "OK"}, "ok"),
        (("paid", "bad"), {"where": "bad == 'paid'"}, "bad"),
    ],
)
def test_the_event_is_what_was_asked_for_not_the_last_word(people, words, given, event):
    tables = [worded(people(n, seed=seed), words) for n, seed in ((200, 2), (400, 0), (300, 1))]
    found = judge_synthetic(tables[0], tables[1], holdout=tables[2], label="bad", **given)
    n_events = int((tables[2]["bad"] == event).sum())
    assert (found.usefulness.event, found.usefulness.n_test_events) == (event, n_events)
    assert f"(event: {event})" in found.verdict.sentences[1]


def test_without_a_word_on_the_event_usefulness_is_not_measured(people):
    tables = [worded(people(n, seed=seed)) for n, seed in ((200, 2), (400, 0), (300, 1))]
    found = judge_synthetic(tables[0], tables[1], holdout=tables[2], label="bad", where="age > 30")
    assert "say which is the event with --event" in found.usefulness.unmeasured[0]
