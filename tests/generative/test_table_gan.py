"""The GAN for tables: what it makes, what it never makes, and what it refuses."""

import copy
import json
import pickle

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.base import clone

from thinfile.data.row_hash import known, row_hashes
from thinfile.errors import ArtifactError, DataError, ParameterError, TrainingError
from thinfile.generative.alike import choose_alike
from thinfile.generative.table_conditions import Conditions
from thinfile.generative.table_gan import TableGAN
from thinfile.generative.tricks import CTGAN_TRICKS
from thinfile.schema.column import Column
from thinfile.schema.model import Schema
from thinfile.table_model import State

RNG = np.random.default_rng(0)
TINY = {
    "widths": (16,),
    "discriminator_widths": (16,),
    "n_latent": 8,
    "max_steps": 12,
    "batch_size": 100,
    "n_checks": 2,
    "random_state": 0,
}


def table(n=400):
    job = RNG.choice(["clerk", "nurse", "smith"], n, p=[0.6, 0.37, 0.03])
    pay = np.where(job == "nurse", 50.0, 10.0) + RNG.normal(0, 2, n)
    age = pl.Series("age", RNG.normal(45, 10, n).round()).set(pl.Series(RNG.random(n) < 0.1), None)
    return pl.DataFrame({"job": job, "pay": pay, "age": age, "children": RNG.integers(0, 4, n)})


TABLE = table()
MODEL = TableGAN(**TINY).fit(TABLE, (TABLE["pay"] > 30).cast(int))


def test_rows_are_typed_like_the_table_and_new():
    made = MODEL.sample(250, random_state=1)
    parsed = MODEL.schema_.parse(TABLE).frame
    assert made.schema == parsed.schema
    assert made.height == 250
    assert not known(row_hashes(made), MODEL.row_hashes_).any()
    assert set(made["job"].unique()) <= set(TABLE["job"])
    assert made["children"].is_in([0.0, 1.0, 2.0, 3.0]).all()
    assert made["pay"].min() >= TABLE["pay"].min() - 1e-4
    assert made["age"].null_count() > 0


def test_a_fit_and_a_sample_are_repeatable_and_leave_the_world_alone():
    before = torch.random.get_rng_state()
    again = TableGAN(**TINY).fit(TABLE, (TABLE["pay"] > 30).cast(int))
    one, two = MODEL.sample(20, random_state=5), again.sample(20, random_state=5)
    assert one.equals(two)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not one.equals(MODEL.sample(20, random_state=6))


def test_a_value_a_label_and_both_can_be_asked_for():
    made = MODEL.sample(30, where={"job": "smith"}, random_state=0)
    assert made["job"].unique().to_list() == ["smith"]
    made = MODEL.sample(30, where={"job": "nurse", "children": 2}, label=1, random_state=0)
    assert made["job"].unique().to_list() == ["nurse"]
    assert made["children"].unique().to_list() == [2]


def test_all_that_cannot_be_asked_for_in_one_message():
    with pytest.raises(DataError) as error:
        MODEL.sample(3, where={"job": "king", "pay": 3.0}, label=7)
    text = str(error.value)
    assert text.startswith("TableGAN: where: column 'job': training held no 'king'; where: column")
    assert "'pay' cannot be asked for, only 'children', 'job'" in text
    assert text.endswith("label=7 must be one that the fit was told of (0, 1)")
    with pytest.raises(ParameterError, match="n=0 must be a whole number ≥ 1"):
        MODEL.sample(0)


def test_training_learns_what_belongs_together():
    """A few hundred steps: the pay of nurses is not that of clerks."""
    model = TableGAN(
        **{**TINY, "max_steps": 250, "widths": (32,), "learning_rate": 2e-3},
        max_epochs=1000,
        dropout=0.0,
        tricks={"packing": 1, "loss": "non_saturating", "gradient_penalty": 0},
    ).fit(TABLE)
    pay = {
        job: model.sample(150, where={"job": job}, random_state=0)["pay"].median()
        for job in ("clerk", "nurse")
    }
    assert pay["nurse"] > pay["clerk"] + 15


def test_rows_like_given_rows():
    nurses = TABLE.filter(pl.col("pay") > 40)
    made = MODEL.sample_like(nurses, 60, random_state=0)
    plain = MODEL.sample(60, random_state=0)
    assert made.height == 60
    assert (made["job"] == "nurse").mean() > (plain["job"] == "nurse").mean()
    one = MODEL.sample_like(TABLE[:1], 3, random_state=0)
    assert one.equals(MODEL.sample_like(TABLE[:1], 3, random_state=0))


def test_the_draw_of_alike_rows_follows_the_wanted_ones():
    rng = np.random.default_rng(0)
    made, wanted = rng.normal(size=(4000, 2)), rng.normal([1.0, 0.0], 0.5, size=(300, 2))
    chosen = made[choose_alike(made, wanted, 300, 0)]
    assert abs(chosen[:, 0].mean() - 1) < 0.25
    assert abs(chosen[:, 1].mean()) < 0.15


def test_history_follows_both_sides_and_quality():
    assert [record["step"] for record in MODEL.history_] == [6, 12]
    losses = ["discriminator_loss", "generator_loss", "condition_loss"]
    measured = ["quality", "told_apart", "distance", "spread", "duplicates"]
    others = ["accuracy_real", "accuracy_fake", "seconds", "learning_rate"]
    for name in [*losses, *measured, *others]:
        assert all(np.isfinite(record[name]) for record in MODEL.history_)
    json.dumps(MODEL.history_)
    published = TableGAN(**{**TINY, "max_steps": 2, "n_checks": 1}, tricks=CTGAN_TRICKS).fit(TABLE)
    assert np.isfinite(published.history_[0]["gradient_penalty"])


def test_state_comes_back_without_pickle():
    state = MODEL.get_state()
    values = json.loads(json.dumps(state.values))
    again = TableGAN(**TINY).set_state(State(values, dict(state.arrays)))
    for given in ({}, {"where": {"job": "smith"}}, {"label": 1}):
        one, two = (m.sample(15, random_state=2, **given) for m in (MODEL, again))
        assert one.equals(two)
    arrays = dict(state.arrays)
    arrays.pop("generator.last.bias")
    with pytest.raises(ArtifactError, match=r"weights do not fit the generator: .*last\.bias"):
        TableGAN(**TINY).set_state(State(values, arrays))


def test_numbers_alone_need_no_condition():
    X = RNG.normal(size=(300, 3))
    model = clone(TableGAN(**TINY)).fit(X)
    assert model.game_.conditions.width == 0
    assert model.sample(7, random_state=0).shape == (7, 3)
    assert model.sample_like(X[:5], 4, random_state=0).shape == (4, 3)


@pytest.mark.parametrize(
    "tricks",
    [
        ["spectral_norm", "replay", "target_network", "historical_averaging"],
        ["weight_average", "spherical_latent", "soft_labels", "noisy_labels", "input_noise"],
        {"loss": "non_saturating", "gradient_penalty": 0, "packing": 1, "diversity": True},
        {"input_scaling": False, "batch_norm": False, "generator_dropout": True},
        CTGAN_TRICKS,
        {"loss": "hinge", "separate_batches": True, "train_while_above": [0.5, 0.5]},
    ],
)
def test_every_trick_runs(tricks):
    model = TableGAN(**{**TINY, "max_steps": 3, "n_checks": 1}, tricks=tricks).fit(TABLE)
    assert model.sample(5, random_state=0).height == 5


def test_a_table_without_new_rows_is_said():
    full = pl.DataFrame(
        {"a": [True, True, False, False] * 20, "b": [True, False, True, False] * 20}
    )
    model = TableGAN(**TINY, tricks={"packing": 1}).fit(full)
    with pytest.raises(DataError, match=r"TableGAN: 3 of 3 rows could not be made: of \d+ drawn"):
        model.sample(3, random_state=0)


def test_bad_tables():
    with pytest.raises(
        DataError, match=r"TableGAN: 15 rows, at least 20 are needed \(two packs of"
    ):
        TableGAN(**TINY, tricks=CTGAN_TRICKS).fit(TABLE[:15])
    with pytest.raises(DataError, match="no column that a model can use: column 'a': "):
        TableGAN(**TINY).fit(pl.DataFrame({"a": [1.0] * 50}))
    with pytest.raises(ParameterError, match="TableGAN: tricks: 'magic' is no trick"):
        TableGAN(tricks=["magic"]).fit(TABLE)
    with pytest.raises(ParameterError, match=r"batch_size=1 must be .*; learning_rate=0 must be"):
        TableGAN(batch_size=1, learning_rate=0).fit(TABLE)
    with pytest.raises(ValueError, match="infinity"):
        TableGAN(**TINY).fit(np.full((50, 2), np.inf))


def test_notes_tell_of_small_tables_and_columns_left_out():
    schema = Schema.infer(TABLE).with_column(Column("fixed", "category"))
    few = TABLE[:95].with_columns(pl.lit("x").alias("fixed"))
    model = TableGAN(**{**TINY, "batch_size": 500}, tricks=CTGAN_TRICKS, schema=schema).fit(few)
    notes = " | ".join(model.notes_)
    assert "batch_size=500 is above the 95 rows: batches are of 90" in notes
    assert model.sample(4, random_state=0)["fixed"].to_list() == ["x"] * 4
    assert "column 'fixed': 'x' in every training row" in notes


def test_a_learning_rate_that_is_too_large_is_reported():
    wild = {**TINY, "learning_rate": 1e36, "n_checks": 12}
    try:
        model = TableGAN(**wild).fit(TABLE)
    except TrainingError as error:
        text = str(error)
    else:
        text = str(model.gone_off_)
        assert model.notes_[-1] == text
        assert model.sample(3, random_state=0).height == 3
    assert "learning rate 1e+36, largest gradient of the last updates" in text


def test_conditions_follow_logarithms_in_training_and_rows_in_sampling():
    torch.manual_seed(0)
    counts = [np.array([90, 10]), np.array([50, 30, 20])]
    codes = np.zeros((100, 4), dtype=np.int32)
    codes[:, 1] = np.repeat([0, 1], [90, 10])
    codes[:, 3] = RNG.permutation(np.repeat([0, 1, 2], [50, 30, 20]))
    conditions = Conditions([1, 3], counts)
    conditions.index(codes)
    for by, share in (("log", np.log1p(counts[0])), ("rows", counts[0])):
        asked = conditions.draw(20_000, by=by)
        first = asked.code[asked.column == 1].numpy()
        found = np.bincount(first) / len(first)
        np.testing.assert_allclose(found, share / share.sum(), atol=0.02)
        rows = conditions.rows().numpy()
        assert (codes[rows, asked.column.numpy()] == asked.code.numpy()).all()
        assert (asked.one_hot.sum(1) == 1).all()
    assert conditions.position(3, 2) == 4


def test_a_fitted_model_is_pickled_and_copied():
    """Its layers with spectral norm refuse it."""
    for again in (pickle.loads(pickle.dumps(MODEL)), copy.deepcopy(MODEL)):
        assert again.get_params() == MODEL.get_params()
        assert again.sample(9, random_state=1).equals(MODEL.sample(9, random_state=1))
    assert pickle.loads(pickle.dumps(TableGAN(**TINY))).get_params()["max_steps"] == 12
