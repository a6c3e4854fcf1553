"""Made rows in the form of a table: new, of the kind, typed and named as there."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from thinfile.data.row_hash import known, row_hashes
from thinfile.errors import DataError, ParameterError
from thinfile.generative.dcgan import DCGAN
from thinfile.sequence.sequence_vae import SequenceVAE
from thinfile.synthetic.condition import read_condition
from thinfile.synthetic.generate import check_generator, make_rows, part_rows

WHERE = read_condition("bad == 1")


@pytest.fixture
def table(people):
    return (
        people(300).with_row_index("customer").with_columns(customer=pl.format("C{}", "customer"))
    )


@pytest.fixture
def model(table, toy):
    """Knows the first 200 rows."""
    return toy().fit(table.head(200).drop("customer", "bad"))


def test_rows_have_the_columns_order_and_types_of_the_table(model, table):
    made = make_rows(model, 40, like=table, where=WHERE)
    assert made.table.schema == table.schema
    assert made.table.height == 40
    assert made.label == "bad"
    assert made.table["bad"].to_list() == [1] * 40
    assert made.table["customer"].null_count() == 40
    assert made.notes == ["Columns left empty, since the model does not make them: customer"]


def test_only_rows_of_the_kind_that_the_model_knows_are_handed_to_it(model, table):
    made = make_rows(model, 10, like=table, where=WHERE)
    known_bad = table.head(200).filter(pl.col("bad") == 1)
    assert model.given[0].equals(known_bad)
    assert made.parts.real.equals(table.head(200))
    assert made.parts.holdout.equals(table.tail(100))
    assert made.parts.note.startswith("Hold-out: 100 of the 300 rows, ")


def test_a_table_that_the_model_does_not_know_has_a_fifth_held_back(model, people):
    fresh = people(200, seed=9)
    parts = part_rows(model, fresh, None, None, 0)
    assert (parts.real.height, parts.holdout.height) == (160, 40)
    assert "a fifth of the rows at random" in parts.note
    again = part_rows(model, fresh, None, None, 0)
    assert again.holdout.equals(parts.holdout)


def test_where_the_model_knows_few_rows_half_of_the_others_are_held_out(model, table, people):
    many = pl.concat([table.head(20).drop("customer"), people(180, seed=9)])
    parts = part_rows(model, many, None, None, 0)
    assert (parts.real.height, parts.holdout.height) == (110, 90)
    assert not known(model.schema_.parse(parts.holdout).frame, model.row_hashes_).any()


def test_without_unseen_rows_there_is_no_holdout_and_it_says_so(model, table, toy):
    parts = part_rows(model, table.head(200), WHERE, None, 0)
    assert parts.holdout is None
    assert parts.note.startswith("All 200 rows are training rows of the model")
    silent = toy(keeps_hashes=False).fit(table.drop("customer", "bad"))
    assert (
        "does not say which rows it was trained on" in part_rows(silent, table, None, None, 0).note
    )


def test_a_holdout_of_its_own_loses_the_rows_that_are_known(model, table, people):
    own = pl.concat([table.head(30).drop("customer"), people(50, seed=5)])
    parts = part_rows(model, table, WHERE, own, 0)
    assert parts.real.equals(table)
    assert parts.holdout.height == 50
    assert "30 more were left out" in parts.note
    with pytest.raises(DataError, match="all 30 hold-out rows are training rows"):
        part_rows(model, table, WHERE, own.head(30), 0)


def test_no_real_row_comes_out_whatever_the_generator_does(table, toy):
    features = table.drop("customer", "bad")
    model = toy(copies=15).fit(features)
    made = make_rows(model, 60, like=table, where=WHERE)
    typed = model.schema_.parse(made.table).frame
    assert made.table.height == 60
    assert not known(typed, np.unique(row_hashes(model.schema_.parse(table).frame))).any()


def test_a_table_without_room_for_new_rows_is_refused(toy):
    few = pl.DataFrame({"a": ["x", "y"] * 10, "b": ["x", "y"] * 5 + ["y", "x"] * 5})
    with pytest.raises(DataError, match="5 of 5 rows could not be made: in 10 rounds"):
        make_rows(toy().fit(few), 5, like=few)


def test_a_label_that_the_condition_leaves_open_is_made_value_by_value(model, table):
    made = make_rows(model, 50, like=table, where=read_condition("owns"), label="bad")
    kind = made.parts.real.filter(pl.col("owns"))
    assert made.table["bad"].mean() == pytest.approx(kind["bad"].mean(), abs=0.03)
    assert {rows["bad"].n_unique() for rows in model.given} == {1}
    assert made.table["owns"].all()


def test_rows_are_repeatable_and_depend_on_the_seed(model, table):
    first, second, other = (
        make_rows(model, 20, like=table, where=WHERE, random_state=seed).table for seed in (3, 3, 4)
    )
    assert first.equals(second)
    assert not first.equals(other)


def test_without_a_table_the_models_own_law_is_drawn_from(model):
    made = make_rows(model, 7)
    assert made.table.columns == model.schema_.features
    assert (made.parts, made.label) == (None, None)


def test_labels_are_passed_to_a_generator_that_is_told_them(table, toy):
    class Told(toy):
        condition = "label"

        def sample_like(self, X, n, *, y=None, random_state=None):
            self.told = y
            return super().sample_like(X, n, random_state=random_state)

    model = Told().fit(table.drop("customer", "bad"))
    make_rows(model, 5, like=table, where=WHERE)
    assert set(model.told) == {1}


def test_arguments_that_do_not_fit_are_refused_together(model, table):
    with pytest.raises(ParameterError) as caught:
        make_rows(model, 0, where=WHERE, holdout=table)
    assert str(caught.value) == (
        "n=0 must be at least 1; a condition needs a table (--like) whose rows it picks; "
        "hold-out rows need the table (--like) that they were held out of"
    )
    with pytest.raises(DataError, match="none of the 300 rows fulfils the condition 'bad == 7'"):
        make_rows(model, 5, like=table, where=read_condition("bad == 7"))
    with pytest.raises(DataError, match="no column 'worse' for the label"):
        make_rows(model, 5, like=table, label="worse")


def test_only_generators_of_tables_are_taken(model):
    assert check_generator(model) is model
    with pytest.raises(ParameterError, match="dict makes no rows: a generator is needed"):
        check_generator({})
    images = np.random.default_rng(0).integers(0, 256, (8, 4, 4))
    gan = DCGAN(widths=(2, 2), discriminator_widths=(2, 2), max_steps=1, n_checks=1, batch_size=4)
    with pytest.raises(ParameterError, match="this DCGAN makes images, not rows"):
        check_generator(gan.fit(images))
    paths = SequenceVAE(latent=1, hidden=2, max_epochs=1).fit(images / 256.0)
    with pytest.raises(ParameterError, match="SequenceVAE makes windows, not rows"):
        check_generator(paths)
