from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from thinfile.artifact.folder import load, save
from thinfile.errors import DataError
from thinfile.generative.autoencoder import Autoencoder
from thinfile.latent_map.build import PLACED, build_map, place_on
from thinfile.latent_map.folder import load_map, save_map
from thinfile.latent_map.neighbours import OriginalSpace


def test_a_map_holds_every_row_with_its_columns(made, table):
    assert made.positions.shape == (300, 2)
    assert made.ids == table["id"].to_list()
    assert made.label.tolist() == table["fraud"].to_list()
    assert made.roles == {
        "amount": "feature",
        "kind": "feature",
        "hour": "feature",
        "fraud": "label",
        "(probability)": "score",
    }
    assert made.frame["amount"].null_count() == 6
    assert made.settings["notes"] == ["200 rows were laid out together, 100 placed among them"]


def test_a_classifier_without_codes_says_what_is_mapped(made):
    assert made.settings["what"] == (
        "the columns as LogisticClassifier reads them, as it has no codes of its own"
    )


def test_an_encoder_maps_its_codes(coder, table):
    made = build_map(coder, table, n_iter=5)
    assert made.settings["what"] == "the codes of Coder"
    assert made.layout.codes.shape == (300, 2)
    assert "(probability)" not in made.frame.columns
    assert made.label is None


def test_neighbours_are_those_of_the_original_space(made):
    points = OriginalSpace.of(made.encoded, made.cardinalities).points(made.encoded)
    for row in (0, 7, 150):
        gaps = np.linalg.norm(points - points[row], axis=1)
        gaps[row] = np.inf
        np.testing.assert_allclose(made.distances[row], np.sort(gaps)[:10], atol=1e-3)


def test_a_large_table_is_sampled_but_no_event_is_lost(model, table):
    made = build_map(model, table, label="fraud", max_rows=120, n_iter=5)
    n_events = table["fraud"].sum()
    assert len(made.rows) == 120
    assert (made.label == 1).sum() == n_events
    assert made.kept == pytest.approx((120 - n_events) / (300 - n_events))
    assert made.frame["hour"].to_list() == table["hour"].gather(made.rows).to_list()


def test_new_rows_join_the_map_and_move_nothing(made, model, table):
    new = table.head(30).with_columns(id=pl.col("id") + "n").drop("fraud")
    joined = place_on(made, model, new)
    assert (joined.positions[:300] == made.positions).all()
    assert np.linalg.norm(joined.positions[300:] - made.positions[:30], axis=1).mean() < 2
    assert joined.frame[PLACED].to_list() == ["map"] * 300 + ["new"] * 30
    assert joined.ids[300] == "t0n"
    assert (joined.label[300:] == -1).all()
    assert (joined.rows[300:] == np.arange(30)).all()
    # Each new row equals an old one, which is its nearest.
    assert joined.distances[300:, 0].max() < 1e-3
    assert (joined.neighbours[300:] != np.arange(300, 330)[:, None]).all()


def test_rows_can_be_placed_twice(made, model, table):
    once = place_on(made, model, table.head(3))
    twice = place_on(once, model, table.head(4))
    assert len(twice.rows) == 307
    assert twice.frame[PLACED].to_list()[300:] == ["new"] * 7


def test_another_model_is_refused(made, coder, table):
    with pytest.raises(DataError, match="made with LogisticClassifier, the model given is a Coder"):
        place_on(made, coder, table)


def test_another_model_of_the_same_class_is_refused(made, model, table, tmp_path):
    other = type(model)().fit(table.head(200).drop("id", "fraud"), table["fraud"][:200].to_numpy())
    with pytest.raises(DataError, match="made with another LogisticClassifier than the one given"):
        place_on(made, other, table)
    again = load(save(model, tmp_path / "model"))
    assert len(place_on(made, again, table.head(2)).rows) == 302


def test_an_autoencoder_is_mapped_by_its_codes(table):
    model = Autoencoder(latent_size=2, widths=(8,), max_epochs=2, random_state=0)
    model.fit(table.drop("id", "fraud"))
    made = build_map(model, table, label="fraud", n_iter=5, max_laid_out=100)
    assert made.settings["what"] == "the codes of Autoencoder"
    np.testing.assert_allclose(made.layout.codes, model.transform(table)[made.layout.laid_out])
    np.testing.assert_allclose(
        made.frame["(abnormality)"], -model.score_samples(table), rtol=1e-4, atol=1e-5
    )
    assert len(place_on(made, model, table.head(7)).rows) == 307


def test_columns_that_are_not_there(model, table):
    with pytest.raises(DataError, match=r"the table lacks 'swindle', 'key' \(it has 'id'"):
        build_map(model, table, label="swindle", id_column="key")


def test_a_table_without_rows(model, table):
    with pytest.raises(DataError, match="the table has no rows: there is nothing to map"):
        build_map(model, table.head(0))


def test_codes_of_a_wrong_shape(coder, table):
    class Wrong(type(coder)):
        def transform(self, X):
            return super().transform(X)[:-1]

    with pytest.raises(DataError, match=r"Wrong.transform gave the shape \(299, 2\) for 300 rows"):
        build_map(Wrong(coder), table)


def test_a_placed_map_survives_its_folder(made, model, table, tmp_path):
    joined = place_on(made, model, table.head(3))
    save_map(joined, tmp_path / "map")
    again = load_map(tmp_path / "map")
    assert again.frame.equals(joined.frame)
    assert (
        again.layout.place(again.layout.codes[:5]) == made.layout.place(made.layout.codes[:5])
    ).all()
