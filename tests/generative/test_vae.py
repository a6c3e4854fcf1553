from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.data.row_hash import known, row_hashes
from thinfile.errors import ArtifactError, DataError, ParameterError, TrainingError
from thinfile.generative.vae import VAE

N = 400
FAST: dict[str, Any] = {
    "latent_size": 3,
    "widths": (16,),
    "max_epochs": 4,
    "batch_size": 50,
    "learning_rate": 0.01,
    "n_importance_samples": 2,
    "random_state": 0,
    "device": "cpu",
}


@cache
def table() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    size = rng.normal(size=N)
    return pl.DataFrame(
        {
            "amount": np.exp(size).round(2),
            "twin": 2 * size + rng.normal(size=N) * 0.1,
            "count": rng.integers(0, 30, N),
            "shop": np.where(size > 0, "big", rng.choice(["small", "tiny"], N)),
            "abroad": rng.random(N) < 0.2,
            "gap": np.where(rng.random(N) < 0.2, None, rng.normal(size=N)).astype(float),
        }
    ).with_columns(pl.col("gap").fill_nan(None))


@cache
def fitted() -> VAE:
    return VAE(**{**FAST, "max_epochs": 40}).fit(table())


def test_made_rows_are_typed_like_the_table_and_within_its_range() -> None:
    made = fitted().sample(300, random_state=1)
    assert made.columns == table().columns
    assert made.schema["abroad"] == pl.Boolean
    assert made["amount"].min() >= table()["amount"].min()  # type: ignore[operator]
    assert made["amount"].max() <= table()["amount"].max()  # type: ignore[operator]
    assert made["count"].drop_nulls().round(0).equals(made["count"].drop_nulls())
    assert set(made["shop"].unique()) <= {"big", "small", "tiny"}
    assert made.drop("gap").null_count().sum_horizontal().item() == 0
    assert 0 < made["gap"].null_count() < 150


def test_a_constant_column_is_put_back() -> None:
    X = np.random.default_rng(0).normal(size=(50, 2))
    X[:, 1] = 7
    model = VAE(**{**FAST, "latent_size": 1}).fit(X)
    assert model.sample(9, random_state=0)["x1"].unique().to_list() == [7.0]
    assert model.column_errors(X)["x1"].to_list() == [0.0] * 50
    assert any("'x1'" in note for note in model.notes_)


def test_marginals_and_pairs_come_back() -> None:
    made = fitted().sample(3_000, random_state=2)
    assert made["abroad"].mean() == pytest.approx(table()["abroad"].mean(), abs=0.08)
    assert made["gap"].null_count() / 3_000 == pytest.approx(0.2, abs=0.1)
    for share in (0.1, 0.5, 0.9):
        expected = table()["twin"].quantile(share)
        assert made["twin"].quantile(share) == pytest.approx(expected, abs=0.45)
    assert np.corrcoef(made["amount"].log(), made["twin"])[0, 1] > 0.5
    shares = made["shop"].value_counts(normalize=True)
    assert shares.filter(shop="big")["proportion"].item() == pytest.approx(0.5, abs=0.1)


def test_no_training_row_comes_out() -> None:
    hashes = np.unique(row_hashes(fitted()._parse(table())))
    assert known(row_hashes(fitted()._parse(table())), hashes).all()
    assert not known(fitted().sample(2_000, random_state=3), hashes).any()
    assert not known(fitted().sample_like(table(), 2_000, random_state=3), hashes).any()


def test_a_table_with_too_few_values_gives_up_with_the_reason() -> None:
    small = pl.DataFrame({"a": ["x", "y"] * 30, "b": ["u", "u", "v", "v"] * 15})
    model = VAE(**FAST, validation_fraction=0).fit(small)
    with pytest.raises(
        DataError, match=r"VAE: \d+ of 5 rows could not be made: of \d+ drawn, all but"
    ):
        model.sample(5, random_state=0)


def test_draws_repeat_with_random_state_and_leave_global_state_alone() -> None:
    before = torch.random.get_rng_state()
    first = fitted().sample(20, random_state=5)
    assert first.equals(fitted().sample(20, random_state=5))
    assert not first.equals(fitted().sample(20, random_state=6))
    assert torch.equal(before, torch.random.get_rng_state())


def test_variations_lie_near_their_row() -> None:
    row = table().filter(pl.col("twin") == table()["twin"].max())
    made = fitted().sample_like(row, 200, random_state=0)
    assert made["twin"].mean() > table()["twin"].quantile(0.85)  # type: ignore[operator]
    assert made["twin"].n_unique() > 50
    still = fitted().sample_like(table(), 200, spread=0.0, random_state=0)
    assert still.height == 200


def test_codes_and_spread() -> None:
    mean, spread = fitted().transform(table()), fitted().transform_spread(table())
    assert mean.shape == spread.shape == (N, 3)
    assert mean.dtype == np.float32
    assert (spread > 0).all()
    assert (spread <= np.exp(6)).all()
    # Over all rows the codes fill the prior: variance of means + mean of variances is near 1.
    total = mean.var(axis=0) + (spread**2).mean(axis=0)
    np.testing.assert_allclose(total, 1, atol=0.35)


def test_active_units_are_counted_from_the_means() -> None:
    model = fitted()
    variances = model.transform(table()).var(axis=0)
    assert model.active_units_ == (variances > 0.01).sum()
    assert all("active_units" in record for record in model.history_)
    silent = VAE(**{**FAST, "beta": 100.0, "warm_up_epochs": 0, "max_epochs": 10}).fit(table())
    assert silent.active_units_ == 0


def test_free_bits_keep_units_awake() -> None:
    arguments = {**FAST, "beta": 20.0, "warm_up_epochs": 0, "max_epochs": 8}
    without = VAE(**arguments).fit(table())
    with_bits = VAE(**arguments, free_bits=0.5).fit(table())
    assert with_bits.active_units_ > without.active_units_


def test_the_weight_of_the_divergence_rises() -> None:
    model = VAE(**{**FAST, "warm_up_epochs": 3, "beta": 0.5}).fit(table())
    weights = [record["weight_kl"] for record in model.history_]
    assert weights[0] < weights[1] < weights[2] == weights[3] == 0.5


def test_scores_do_not_depend_on_the_rows_beside() -> None:
    together = fitted().score_samples(table().head(5))
    alone = [fitted().score_samples(table()[i])[0] for i in range(5)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_odd_rows_score_lowest() -> None:
    odd = table().head(20).with_columns(twin=-pl.col("twin") * 3)
    model = fitted()
    assert model.score_samples(odd).mean() < np.quantile(model.score_samples(table()), 0.2)
    errors = model.column_errors(odd)
    assert errors.columns == table().columns
    assert max(errors.columns, key=lambda name: errors[name].mean()) in ("twin", "amount")  # type: ignore[arg-type, return-value]
    assert (errors.to_numpy() >= -1e-6).all()


def test_reconstructions_without_noise() -> None:
    again = fitted().reconstruct(table())
    assert again.columns == table().columns
    assert again.equals(fitted().reconstruct(table()))
    assert np.corrcoef(again["twin"], table()["twin"])[0, 1] > 0.8


def test_state_makes_the_same_model_again() -> None:
    model = fitted()
    state = model.get_state()
    again = VAE(**model.get_params()).set_state(state)
    np.testing.assert_array_equal(again.score_samples(table()), model.score_samples(table()))
    assert again.sample(9, random_state=1).equals(model.sample(9, random_state=1))
    assert again.active_units_ == model.active_units_
    state.arrays["plain"] = state.arrays.pop("statistics.weight")
    with pytest.raises(ArtifactError, match="weights do not fit the network"):
        VAE(**model.get_params()).set_state(state)


def test_conditions_on_columns() -> None:
    model = VAE(**{**FAST, "max_epochs": 30}, condition=["shop", "count"]).fit(table())
    made = model.sample(300, where={"shop": "big"}, random_state=0)
    assert made["shop"].unique().to_list() == ["big"]
    others = model.sample(300, where={"shop": "tiny"}, random_state=0)
    assert made["twin"].mean() > others["twin"].mean() + 1  # type: ignore[operator]
    assert set(made["count"].unique()) <= set(table()["count"].cast(pl.Float64))
    assert model.column_errors(table())["shop"].sum() == 0
    again = VAE(**model.get_params()).set_state(model.get_state())
    assert again.sample(4, random_state=0).equals(model.sample(4, random_state=0))
    with pytest.raises(DataError, match="'shop'='huge' was not in training"):
        model.sample(3, where={"shop": "huge"})
    with pytest.raises(
        DataError, match="where 'count'='many' must be a value of the column, Float"
    ):
        model.sample(3, where={"count": "many"})
    with pytest.raises(ParameterError, match="where names 'twin'; the model is told"):
        model.sample(3, where={"twin": 1.0})


def test_condition_on_a_label_that_is_mostly_unknown() -> None:
    y = np.where(np.arange(N) < 200, table()["twin"].to_numpy() > 1, -1)
    model = VAE(**{**FAST, "max_epochs": 30}, condition="label").fit(table(), y)
    yes, no = (model.sample(400, label=value, random_state=0) for value in (1, 0))
    assert yes["twin"].mean() > no["twin"].mean() + 1  # type: ignore[operator]
    assert model.transform(table()).shape == (N, 3)
    like = model.sample_like(table().head(50), 50, y=np.ones(50), random_state=0)
    assert like.height == 50


def test_known_events_are_left_out_where_the_label_is_not_told() -> None:
    y = np.where(np.arange(N) < 30, 1, -1)
    model = VAE(**FAST).fit(table(), y)
    assert "30 known events were left out of training" in model.notes_
    shuffled = table().with_columns(
        twin=pl.when(pl.int_range(pl.len()) < 30).then(pl.col("twin") * 1.0).otherwise("twin")
    )
    np.testing.assert_array_equal(
        model.score_samples(table()), VAE(**FAST).fit(shuffled, y).score_samples(table())
    )


def test_threshold_by_labels() -> None:
    odd = table().head(20).with_columns(twin=-pl.col("twin") * 5)
    both = pl.concat([table(), odd])
    y = np.repeat([0, 1], [N, 20])
    model = VAE(**{**FAST, "max_epochs": 30}, threshold="labels").fit(both, y)
    caught = model.predict(both) == -1
    assert caught[N:].mean() > caught[:N].mean()


@pytest.mark.parametrize("filters", [(), (4, 8)])
def test_images(filters: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    images = np.zeros((80, 8, 8))
    images[:40, :4], images[40:, 4:] = 1, 1
    images = np.clip(images + rng.normal(size=images.shape) * 0.05, 0, 1)
    model = VAE(**{**FAST, "max_epochs": 15}, image_shape=(8, 8), filters=filters).fit(images)
    made = model.sample(10, random_state=0)
    assert made.shape == (10, 8, 8)
    assert made.min() >= 0
    assert made.max() <= 1
    assert model.reconstruct(images).shape == images.shape
    assert np.abs(model.reconstruct(images) - images).mean() < 0.25
    assert model.sample_like(images[:3], 7, random_state=0).shape == (7, 8, 8)
    again = VAE(**model.get_params()).set_state(model.get_state())
    np.testing.assert_array_equal(again.sample(2, random_state=1), model.sample(2, random_state=1))
    assert model.score_samples(images.reshape(80, 64)).shape == (80,)


def test_reference_presets() -> None:
    digits = VAE.reference("digits", device="cpu")
    assert (digits.latent_size, digits.widths, digits.batch_size) == (32, (256,), 100)
    assert digits.max_epochs == 50
    cards = VAE.reference("cards", max_epochs=1, random_state=0)
    X = np.random.default_rng(0).normal(size=(300, 29))
    shapes = [tuple(p.shape) for p in cards.fit(X).network_.parameters() if p.ndim == 2]
    assert (16, 29) in shapes
    assert (12, 16) in shapes  # mean and log-variance of 6 units
    assert (29, 16) in shapes
    assert cards.column_errors(X).to_numpy().max() <= 1  # squared errors on 0…1
    with pytest.raises(ParameterError, match="preset='faces' must be one of 'digits', 'cards'"):
        VAE.reference("faces")


def test_all_faults_of_arguments_in_one_message() -> None:
    with pytest.raises(ParameterError) as caught:
        VAE(latent_size=0, widths=(), beta=-1.0, condition=3).fit(table())
    for name in ("latent_size=0", "widths=()", "beta=-1.0", "condition=3"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latent_size": 99}, r"latent_size=99 must be at most \d+, the encoded columns"),
        ({"number_loss": "bce"}, "number_loss='bce' needs scaling='minmax'"),
        ({"filters": (4,)}, "filters=.4,. are for images"),
    ],
)
def test_arguments_that_do_not_fit_the_table(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        VAE(**{**FAST, **arguments}).fit(table())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"condition": ["nobody"]}, "condition names 'nobody': no such column"),
        ({"condition": "label"}, "condition='label' needs y with at least one label"),
        ({"condition": table().columns}, "leaves no column to be made"),
    ],
)
def test_conditions_that_cannot_be(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        VAE(**FAST, **arguments).fit(table())


def test_hostile_tables() -> None:
    with pytest.raises(DataError, match="n_samples=1"):
        VAE(**FAST, image_shape=(4, 4)).fit(np.zeros((1, 4, 4)))
    with pytest.raises(ValueError, match="infinity"):
        VAE(**FAST).fit(np.array([[1.0, np.inf], [2.0, 3.0]]))
    with pytest.raises(DataError, match="no column varies"):
        VAE(**FAST).fit(np.ones((10, 2)))
    with pytest.raises(DataError, match="different sizes"):
        VAE(**FAST, image_shape=(4, 4)).fit([np.zeros((4, 4)), np.zeros((5, 4))])
    with pytest.raises(ParameterError, match="n=0 must be a whole number"):
        fitted().sample(0)
    with pytest.raises(ParameterError, match="label=1 needs condition='label'"):
        fitted().sample(2, label=1)


def test_a_batch_larger_than_the_table_is_noted() -> None:
    model = VAE(**{**FAST, "batch_size": 4_096}).fit(table())
    assert f"batch_size=4096 is more than the {N} rows: each step takes all" in model.notes_


def test_a_loss_that_is_not_finite_stops_with_its_step() -> None:
    with pytest.raises(TrainingError, match=r"at step \d+ \(learning rate 1e\+30.*put back"):
        VAE(**{**FAST, "learning_rate": 1e30}).fit(table())


@settings(max_examples=8, deadline=None)
@given(
    n_rows=st.integers(2, 40),
    n_numbers=st.integers(1, 4),
    n_texts=st.integers(0, 2),
    n=st.integers(1, 30),
)
def test_any_size(n_rows: int, n_numbers: int, n_texts: int, n: int) -> None:
    rng = np.random.default_rng(n_rows)
    columns: dict[str, Any] = {f"x{i}": rng.normal(size=n_rows) for i in range(n_numbers)}
    for i in range(n_texts):
        columns[f"t{i}"] = rng.permutation(np.resize(["a", "b"], n_rows))
    model = VAE(**{**FAST, "latent_size": 1, "max_epochs": 1}).fit(pl.DataFrame(columns))
    assert model.sample(n, random_state=0).shape == (n, n_numbers + n_texts)
    assert np.isfinite(model.score_samples(pl.DataFrame(columns))).all()
