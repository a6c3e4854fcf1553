"""The diagnosis finds what was put in, says so in words, and warns of the right methods."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from thinfile.compare.advice import worst_actions
from thinfile.compare.base_rate import SourceModel, cross_fit_source, find_base_rate
from thinfile.compare.columns import contrast, single_column_auc
from thinfile.compare.decomposition import Judged, decompose
from thinfile.compare.diagnosis import diagnose
from thinfile.compare.overlap import auc_with_interval
from thinfile.errors import DataError, SchemaError
from thinfile.metrics.ranking import roc_auc
from thinfile.schema.column import Column
from thinfile.schema.model import Schema

NUMBERS = Schema.numeric(["x0", "x1", "x2", "x3"])


def table(n, seed, *, shift=0.0, slope=1.0, level=-1.5):
    """Four numbers, the first moved by `shift`; the event follows `slope` times the first two."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    x[:, 0] += shift
    p = expit(level + slope * (x[:, 0] + x[:, 1]))
    y = (rng.random(n) < p).astype(int)
    return pl.DataFrame(x, schema=NUMBERS.features), y


def run(source, target, *, y_target=None, schema=NUMBERS, **options):
    (old, y_old), (new, _) = source, target
    y_new = np.full(new.height, -1) if y_target is None else y_target
    return diagnose(
        old, new, schema=schema, y_source=y_old, y_target=y_new, random_state=0, **options
    )


def keep(y, n, seed=0):
    """Labels of `n` rows by chance, the rest hidden."""
    seen = np.full(len(y), -1)
    rows = np.random.default_rng(seed).permutation(len(y))[:n]
    seen[rows] = np.asarray(y)[rows]
    return seen


@pytest.fixture(scope="module")
def like():
    return run(table(3000, 0), table(3000, 1), y_target=keep(table(3000, 1)[1], 1000))


@pytest.fixture(scope="module")
def far():
    return run(table(3000, 0), table(3000, 1, shift=5.0), target_name="new card")


def test_like_populations_raise_no_alarm(like):
    assert like.overlap.low < 0.52
    assert abs(like.overlap.auc - 0.5) < 0.03
    assert like.overlap.effective_share > 0.9
    assert worst_actions(like.advice) == {}
    assert all(column.psi_word == "stable" for column in like.columns)
    assert like.base_rate.verdict == "agree"
    assert like.decomposition.verdict in ("no drop seen", "unclear")


def test_far_populations_are_told_apart_by_the_right_column(far):
    assert far.overlap.auc > 0.99
    assert far.overlap.low <= far.overlap.auc <= far.overlap.high <= 1
    assert far.columns[0].name == far.overlap.leading[0] == "x0"
    assert far.columns[0].psi_word == "large"
    assert far.overlap.auc_without_leading < 0.6
    assert_allclose(sum(column.importance for column in far.columns), 1)
    avoided = {name for name, action in worst_actions(far.advice).items() if action == "avoid"}
    assert avoided == {"dan", "dann", "deep_coral", "boosted_coral", "boosted_weighted"}
    assert far.action("boosted_pooled") is None
    assert any("AUC 0.99" in reason or "AUC 1.0" in reason for reason in far.reasons("dan"))


def test_result_is_json_and_repeatable(far):
    record = json.loads(json.dumps(far.to_dict(), allow_nan=False))
    assert record["target_name"] == "new card"
    assert record["decomposition"] is None
    assert record["advice"][0]["action"] == "avoid"
    again = run(table(3000, 0), table(3000, 1, shift=5.0), target_name="new card")
    assert again == far


def test_hidden_labels_change_nothing():
    source, target = table(800, 0), table(600, 1)
    seen = keep(target[1], 100)
    first = run(source, target, y_target=seen)
    other = (target[0], 1 - target[1])
    assert run(source, other, y_target=seen).to_dict() == first.to_dict()


def test_prior_shift_is_found_by_both_and_marginal_alignment_is_warned_of():
    rng = np.random.default_rng(0)

    def drawn(n, rate):
        y = (rng.random(n) < rate).astype(int)
        return pl.DataFrame(rng.normal(size=(n, 4)) + 1.2 * y[:, None], schema=NUMBERS.features), y

    source, target = drawn(4000, 0.10), drawn(4000, 0.30)
    found = run(source, target)
    assert found.base_rate.verdict == "agree"
    assert abs(found.base_rate.rate - 0.30) < 0.03
    assert found.action("dann") == found.action("deep_coral") == "caution"
    assert found.action("dan") == "caution"
    assert "estimated twice" in found.reasons("dann")[0]
    with_labels = run(source, target, y_target=keep(target[1], 300))
    assert with_labels.base_rate.observed_low < 0.30 < with_labels.base_rate.observed_high
    assert "observed" in with_labels.reasons("dann")[-1]


def test_a_rate_that_chance_explains_is_no_shift():
    y_source = np.r_[np.ones(100), np.zeros(900)].astype(np.int8)
    few = np.r_[np.ones(2), np.zeros(8)].astype(np.int8)
    many = np.tile(few, 100)
    assert not find_base_rate(y_source, few, None, seed=0).differs(1.3)
    assert find_base_rate(y_source, many, None, seed=0).differs(1.3)
    assert find_base_rate(y_source, many, None, seed=0).verdict == "none"
    assert not find_base_rate(y_source, many[:0], None, seed=0).differs(1.3)


def test_labels_can_contradict_two_estimates_that_agree():
    rng = np.random.default_rng(0)
    y = (rng.random(4000) < 0.2).astype(np.int8)
    p = expit(2 * (y + rng.normal(size=4000)) - 2.4)
    later = (rng.random(4000) < 0.4).astype(np.int8)
    model = SourceModel(y, p, expit(2 * (later + rng.normal(size=4000)) - 2.4))
    labels = np.tile([1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 40).astype(np.int8)
    assert find_base_rate(y, labels[:0], model, seed=0).verdict == "agree"
    found = find_base_rate(y, labels, model, seed=0)
    assert (found.verdict, found.rate) == ("contradicted", 0.1)
    assert "more than the rate has changed" in found.sentence


def test_changed_behaviour_warns_of_source_only_methods():
    target = table(4000, 1, slope=-1.0)
    found = run(table(4000, 0), target, y_target=keep(target[1], 1500))
    parts = found.decomposition
    assert parts.verdict == "y|x-shift"
    assert found.action("boosted_source") == "avoid"
    assert found.action("dan") == "caution"
    assert "behave differently" in found.reasons("boosted_source")[0]


def test_parts_add_up_and_a_mere_change_of_customers_is_x_shift():
    rng = np.random.default_rng(0)
    # The model ranks by x; where x is small the event does not follow it.
    x, z = rng.uniform(-1, 3, 20_000), rng.uniform(-3, 1, 20_000)

    def judged(v):
        y = (rng.random(len(v)) < expit(3 * np.maximum(v, 0) - 2)).astype(int)
        # Densities are equal from −1 to 1 and only one is there outside.
        return Judged(y, expit(v), np.select([v < -1, v > 1], [1.0, 0.0], 0.5))

    parts = decompose(judged(x), judged(z), random_state=0)
    assert parts.verdict == "x-shift"
    for split in (parts.auc, parts.log_loss):
        assert_allclose(split.x_shift[0] + split.y_given_x_shift[0], split.drop[0], atol=1e-12)
        assert split.y_given_x_shift[1] < 0 < split.y_given_x_shift[2]
    assert_allclose(parts.auc.source - parts.auc.target, parts.auc.drop[0])
    assert_allclose(parts.log_loss.target - parts.log_loss.source, parts.log_loss.drop[0])
    assert_allclose(parts.shared_rows_source, 10_000, rtol=0.03)


def test_disjoint_populations_cannot_be_split():
    rng = np.random.default_rng(0)
    y, p = np.tile([0, 0, 1], 200), rng.random(600)
    share = np.r_[np.full(590, 1e-4), np.full(10, 0.5)]
    parts = decompose(Judged(y, p, share), Judged(y, p, 1 - share), random_state=0)
    assert parts.verdict == "no shared ground"
    assert "share too little" in parts.sentence


def test_split_refuses_few_events():
    y, half = np.array([1, 0, 0, 0, 0, 0, 0]), np.full(7, 0.5)
    with pytest.raises(DataError, match="1 rows of class 1 of 7"):
        decompose(Judged(y, half, half), Judged(y, half, half))


def test_intervals_of_the_split_cover_the_truth():
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x, z = rng.normal(size=(2, 300))
        y, later = rng.random(300) < expit(2 * x), rng.random(300) < expit(0.5 * z)
        half = np.full(300, 0.5)
        parts = decompose(
            Judged(y, expit(x), half), Judged(later, expit(z), half), n_draws=100, random_state=0
        )
        truth = TRUE_AUC[2.0] - TRUE_AUC[0.5]
        covered += parts.auc.y_given_x_shift[1] <= truth <= parts.auc.y_given_x_shift[2]
    assert covered >= 33


def true_auc(slope):
    x = np.random.default_rng(0).normal(size=400_000)
    return roc_auc(np.random.default_rng(1).random(400_000) < expit(slope * x), x)


TRUE_AUC = {slope: true_auc(slope) for slope in (2.0, 0.5)}


def test_broken_columns_are_named():
    n = 400
    rng = np.random.default_rng(0)
    both = {"steady": rng.normal(size=n)}
    old = pl.DataFrame(
        both
        | {
            "gone": rng.normal(size=n),
            "fixed": rng.normal(size=n),
            "place": ["a", "b"] * (n // 2),
            "often": rng.normal(size=n),
            "range": rng.uniform(0, 1, n),
            "when": [f"2001-01-{d % 28 + 1:02d}" for d in range(n)],
        }
    )
    new = pl.DataFrame(
        both
        | {
            "gone": [None] * n,
            "fixed": [1.0] * n,
            "place": ["c", "d"] * (n // 2),
            "often": [None, 0.5] * (n // 2),
            "range": rng.uniform(2, 3, n),
            "when": [f"2005-03-{d % 28 + 1:02d}" for d in range(n)],
        },
        schema_overrides={"gone": pl.Float64},
    )
    roles = {"place": ("category", None), "when": ("date", "%Y-%m-%d")}
    schema = Schema(tuple(Column(c, *roles.get(c, ("number", None))) for c in old.columns))
    found = run((old, rng.integers(0, 2, n)), (new, None), schema=schema)
    columns = {column.name: column for column in found.columns}
    assert columns["steady"].finding == ""
    assert columns["gone"].finding == "column 'gone' is missing in every row of the target"
    assert columns["gone"].psi is None
    assert columns["fixed"].finding == "column 'fixed' is constant in the target only"
    assert columns["place"].disjoint
    assert columns["range"].disjoint
    assert columns["when"].disjoint
    assert columns["place"].unseen_share == 1
    assert "missing in 0% of the source and 50% of the target" in columns["often"].finding
    assert found.action("boosted_source") == "caution"
    assert "5 of the source's columns" in found.reasons("boosted_source")[0]
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("source", "target", "disjoint", "unseen"),
    [
        ([1.0, 2.0], [1.5, 2.5], False, 0.5),
        ([1.0, 2.0], [3.0, None], True, 1.0),
        ([None, None], [3.0, 1.0], False, 0.0),
    ],
)
def test_ranges(source, target, disjoint, unseen):
    sides = [pl.Series(values, dtype=pl.Float64) for values in (source, target)]
    found = contrast("number", *sides)
    assert (found.disjoint, found.unseen_share) == (disjoint, unseen)


def test_single_column_auc_sees_what_a_shift_hides():
    rng = np.random.default_rng(0)
    n = 4000
    is_target = np.arange(n) >= n // 2
    halves = (np.arange(0, n, 2), np.arange(1, n, 2))
    wide = rng.normal(size=n) * np.where(is_target, 4.0, 1.0)
    assert abs(roc_auc(is_target * 1, wide) - 0.5) < 0.03
    assert single_column_auc(wide, is_target, halves) > 0.7
    gaps = np.where(is_target & (rng.random(n) < 0.5), np.nan, rng.normal(size=n))
    assert_allclose(single_column_auc(gaps, is_target, halves), 0.75, atol=0.03)
    spike = np.where(is_target & (rng.random(n) < 0.5), 0.0, rng.normal(size=n))
    assert single_column_auc(spike, is_target, halves) > 0.7
    noise = single_column_auc(rng.normal(size=n), is_target, halves)
    assert abs(noise - 0.5) < 0.03
    assert single_column_auc(np.full(n, np.nan), is_target, halves) == 0.5


def test_auc_interval_covers_and_stays_inside():
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        y = np.repeat([0, 1], 60)
        score = y * 2.33 + rng.normal(size=120)  # a true AUC of 0.9503
        _, low, high = auc_with_interval(y, score)
        covered += low <= 0.9503 <= high
        assert 0 <= low <= high <= 1
    assert covered >= 88


def test_source_answers_are_held_out():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4)).astype(np.float32)
    y = rng.integers(0, 2, 600).astype(np.int8)
    model = cross_fit_source(x, y, x[:2], categories=range(4, 4), seed=0)
    assert abs(roc_auc(y, model.source) - 0.5) < 0.1
    assert cross_fit_source(x[:15], y[:15], x, categories=range(4, 4), seed=0) is None


def test_a_source_with_few_events_still_gets_a_diagnosis():
    old, _ = table(300, 0)
    y = np.r_[1, np.zeros(299)].astype(int)
    found = run((old, y), table(300, 1))
    assert found.base_rate.verdict == "none"
    assert found.decomposition is None
    json.dumps(found.to_dict(), allow_nan=False)


def test_few_target_events_warn_of_target_only_models():
    target = table(300, 1)
    y = np.full(300, -1)
    y[:40] = np.r_[np.ones(6), np.zeros(34)]
    found = run(table(600, 0), target, y_target=y)
    assert found.action("boosted_target") == found.action("logistic_target") == "avoid"
    assert "40 target labels hold 6 events" in found.reasons("logistic_target")[0]


def test_mmd_test_is_there_if_asked_for():
    found = run(table(200, 0), table(200, 1, shift=1.0), test_mmd=True)
    assert found.overlap.mmd_p_value < 0.05


def test_diagnosis_does_not_load_torch():
    code = "import sys, thinfile.compare.diagnosis; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("y_source", "text"),
    [
        (np.zeros(29), r"source: 30 rows and labels of the shape \(29,\)"),
        (np.full(30, 2), r"30 labels are none of 1, 0 and -1 \(first: row 0, 2\)"),
    ],
)
def test_refuses_labels(y_source, text):
    new, y = table(30, 0)
    with pytest.raises(DataError, match=text):
        diagnose(new, new, schema=NUMBERS, y_source=y_source, y_target=y)


def test_refuses_few_rows_and_missing_columns():
    new, y = table(9, 0)
    with pytest.raises(DataError, match="9 rows; a diagnosis needs at least 10"):
        diagnose(new, new, schema=NUMBERS, y_source=y, y_target=y)
    with pytest.raises(SchemaError, match="x3"):
        diagnose(new.drop("x3"), new, schema=NUMBERS, y_source=y, y_target=y)
