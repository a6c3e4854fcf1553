"""Privacy: nearest neighbours against a slow way, attacks on memory and on none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.schema.model import Schema
from thinfile.synthetic import neighbours
from thinfile.synthetic.membership import Targets, attack, share_found
from thinfile.synthetic.neighbours import Space, nearest
from thinfile.synthetic.privacy import judge_privacy
from thinfile.synthetic.sides import read_sides


def judge(made, real, holdout):
    schema = Schema.infer(real, label="bad")
    return judge_privacy(read_sides(made, real, holdout, schema, "bad"))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 6), st.integers(0, 99))
def test_nearest_neighbours_are_those_of_the_slow_way(n_queries, n_rows, width, seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(50, 3, (n_rows, width)).astype(np.float32)
    queries = np.concatenate([rng.normal(50, 3, (n_queries, width)), rows[:1]]).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_QUERY_TILE", 7)
        patch.setattr(neighbours, "_ROW_TILE", 11)
        found = nearest(queries, rows)
    slow = np.sqrt(((queries[:, None].astype(float) - rows[None]) ** 2).sum(-1)).min(1)
    assert found == pytest.approx(slow, abs=1e-5)
    assert found[-1] == 0.0


def test_the_space_puts_mixed_rows_apart_by_their_columns(people):
    raw = people(200).drop("bad")
    schema = Schema.infer(raw)
    table = schema.parse(raw).frame
    two = table[[0, 0]].with_columns(job=pl.Series(["clerk", "smith"]))
    points = Space.of(schema, table).place(two)
    assert np.linalg.norm(points[0] - points[1]) == pytest.approx(np.sqrt(2))


def test_copies_and_repeats_are_counted_without_the_label(people):
    real, holdout = people(200), people(100, seed=1)
    made = pl.concat([real.head(5), real.head(2), people(43, seed=2)])
    made = made.with_columns(bad=1 - pl.col("bad"))
    found = judge(made, real, holdout)
    assert (found.n_made, found.n_copies, found.n_repeats) == (50, 7, 2)
    assert found.copies_holdout == 0.0


def test_rows_drawn_again_are_found_out_by_every_figure(people):
    real, holdout = people(500), people(500, seed=1)
    found = judge(real.sample(500, with_replacement=True, seed=3), real, holdout)
    assert found.n_copies == 500
    assert found.attacks[0].low > 0.7
    assert found.attacks[0].found > 0.5
    assert found.distances.near["0.05"].value == 1.0
    assert found.distances.nearer.value == pytest.approx(1.0, abs=0.01)
    assert found.unmeasured == []


def test_copies_with_noise_are_found_out_although_none_is_equal(people):
    real, holdout = people(500), people(500, seed=1)
    made = real.with_columns(age=pl.col("age") + 0.1, income=pl.col("income") * 1.01)
    found = judge(made, real, holdout)
    assert found.n_copies == 0
    assert found.attacks[0].low > 0.7
    assert found.distances.near["0.05"].low > 0.5


def test_other_rows_of_the_law_give_nothing_away(people):
    found = judge(people(500, seed=2), people(500), people(500, seed=1))
    assert len(found.attacks) == 3
    assert all(each.low < 0.5 < each.high for each in found.attacks)
    assert found.attacks[0].found_low < 0.05
    assert found.distances.nearer.low < 0.5 < found.distances.nearer.high
    near = found.distances.near["0.05"]
    assert near.low < 0.09


def test_members_found_is_the_share_above_one_false_alarm_in_a_hundred():
    outsiders = np.arange(200.0)
    # Two of 200 may be above: the threshold is the third from the top.
    assert share_found(np.array([196.0, 197.0, 198.0, 500.0]), outsiders) == 0.5
    assert share_found(np.array([199.0, 200.0]), outsiders, 0.0) == 0.5
    # All alike: nobody can be told.
    assert share_found(np.zeros(10), np.zeros(200)) == 0.0


def test_the_attack_needs_no_scale_and_is_repeatable(people):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 3)).astype(np.float32)
    targets = Targets.of(rows[:200], rows[200:], 0)
    assert (len(targets.outsiders), len(targets.reference)) == (100, 100)
    first, second = (attack(rows[:200], targets, random_state=5) for _ in range(2))
    assert [each.to_dict() for each in first] == [each.to_dict() for each in second]
    assert first[0].curve[0][0] == 0.0
    assert first[0].curve[-1] == (1.0, 1.0)


@pytest.mark.parametrize("n_outsiders", [49, 100, 130])
def test_no_curve_has_points_below_one_false_alarm(n_outsiders):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 3)).astype(np.float32)
    targets = Targets(rows[:200], rows[200 : 200 + n_outsiders], rows[-60:])
    (found,) = attack(rows[:100], targets)
    assert found.lowest == 1 / n_outsiders
    rates = [rate for rate, _ in found.curve]
    assert rates[:2] == [0.0, found.lowest]
    assert rates == sorted(rates)
    assert (0.01 in rates) == (found.found is not None) == (n_outsiders >= 100)
    outsiders = np.arange(float(n_outsiders))
    # One false alarm is allowed at the least rate.
    assert share_found(outsiders[-2:], outsiders, found.lowest) == 0.5


@pytest.mark.parametrize(
    ("n_holdout", "said"),
    [
        (0, ["distances and membership attacks: there are no hold-out rows"]),
        (12, ["distances and membership attacks: 12 hold-out rows, and 20 are needed"]),
        (
            60,
            [
                "the nearest 1% of the hold-out: 60 rows, and 100 are needed",
                "attacks by density ratio: 30 hold-out rows are left for reference",
                "members found at 1% false alarms: 30 non-members, and 100 are needed",
            ],
        ),
    ],
)
def test_what_too_few_rows_leave_unmeasured_is_said(people, n_holdout, said):
    holdout = people(n_holdout, seed=1) if n_holdout else None
    found = judge(people(50, seed=2), people(100), holdout)
    assert len(found.unmeasured) == len(said)
    for line, start in zip(found.unmeasured, said, strict=True):
        assert line.startswith(start)
    assert bool(found.attacks) == (n_holdout == 60)


def test_columns_that_do_not_vary_leave_privacy_unmeasured():
    flat = pl.DataFrame({"a": [1.0] * 30, "bad": [0, 1] * 15})
    schema = Schema.infer(flat.with_columns(a=pl.Series(np.arange(30.0))), label="bad")
    found = judge_privacy(read_sides(flat, flat, flat, schema, "bad"))
    assert found.n_copies == 30
    assert "no column varies" in found.unmeasured[0]
