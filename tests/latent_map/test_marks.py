from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from thinfile.errors import DataError
from thinfile.latent_map.marks import could_be_label, event_labels, ids_of, sample_rows


@pytest.mark.parametrize(
    ("values", "event", "labels"),
    [
        ([1, 0, None, -1], None, [1, 0, -1, -1]),
        ([1.0, 0.0, float("nan"), -1.0], None, [1, 0, -1, -1]),
        ([True, False, None], None, [1, 0, -1]),
        (["Yes", "no", " "], None, [1, 0, -1]),
        (["Fraud", "genuine"], None, [1, 0]),
        (["stolen", "fine"], "stolen", [1, 0]),
        ([1, 2, 2], "2", [0, 1, 1]),
        ([0, 0, None], None, [0, 0, -1]),
    ],
)
def test_labels_are_read(values, event, labels):
    assert event_labels(pl.Series("fraud", values, strict=False), event).tolist() == labels


def test_an_event_that_is_not_plain_is_asked_for():
    with pytest.raises(DataError, match="label 'l' has the values 'blue', 'red': name the event"):
        event_labels(pl.Series("l", ["red", "blue"]))
    with pytest.raises(DataError, match="none of them is the event that was named"):
        event_labels(pl.Series("l", ["red", "blue"]), "green")
    with pytest.raises(DataError, match=r"label 'l' has 3 values \('0', '1', '2'\); two"):
        event_labels(pl.Series("l", [0, 1, 2]))


def test_what_could_be_a_label():
    assert could_be_label(pl.Series("c", [0, 1, None]))
    assert not could_be_label(pl.Series("c", [0.5, 1.5, 2.5]))
    assert not could_be_label(pl.Series("c", ["a", "b"]))


def test_ids_are_text():
    assert ids_of(pl.Series("id", [12, None])) == ["12", ""]


def test_a_sample_keeps_every_event_and_says_so():
    labels = (np.arange(1000) % 50 == 0).astype(np.int8)
    rows, kept, notes = sample_rows(1000, labels, 100, 0)
    assert len(rows) == 100
    assert labels[rows].sum() == 20
    assert kept == pytest.approx(80 / 980)
    assert notes == [
        "100 of 1,000 rows: all 20 events and 8.2% of the others, drawn at random; shares of "
        "events are put right for that"
    ]
    assert (np.diff(rows) > 0).all()


def test_events_that_would_fill_the_map_are_sampled_like_the_rest():
    rows, kept, notes = sample_rows(1000, np.ones(1000, dtype=np.int8), 100, 0)
    assert (len(rows), kept) == (100, 1.0)
    assert notes == ["100 of 1,000 rows, drawn at random"]


def test_a_small_table_is_taken_whole():
    rows, kept, notes = sample_rows(10, None, 10, 0)
    assert rows.tolist() == list(range(10))
    assert (kept, notes) == (1.0, [])
