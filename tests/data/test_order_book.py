"""The synthetic order book: its books balance, and what was planted is there."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from thinfile.data.order_book import CHANNELS, make_order_book
from thinfile.errors import DataError, ParameterError


def test_volumes_are_those_of_the_orders() -> None:
    book = make_order_book(3, 200, 4, random_state=0)
    for trader, step, side in ((0, 50, 0), (2, 120, 1)):
        own = book.orders.filter((pl.col("trader") == trader) & (pl.col("side") == side))
        row = book.table.filter((pl.col("trader") == trader) & (pl.col("step") == step))
        name = ("bid", "ask")[side]
        ended = own.filter(pl.col("end") == step)
        open_after = own.filter((pl.col("step") <= step) & (pl.col("end") > step))
        expected = {
            f"placed {name}": own.filter(pl.col("step") == step),
            f"cancelled {name}": ended.filter(~pl.col("traded")),
            f"traded {name}": ended.filter(pl.col("traded")),
            f"resting {name}": open_after,
        }
        for column, orders in expected.items():
            assert row[column].item() == orders["size"].sum(), column


def test_episodes_are_large_orders_withdrawn_untouched_and_a_trade_beside_them() -> None:
    book = make_order_book(5, 400, 12, strength=10.0, random_state=1)
    assert book.episodes.height == 12
    spoof = book.orders.filter(pl.col("kind") == "spoof")
    assert not spoof["traded"].any()
    for trader, start, end, side in book.episodes.iter_rows():
        own = spoof.filter((pl.col("trader") == trader) & pl.col("step").is_between(start, end))
        assert own["side"].unique().to_list() == [side]
        assert (own["end"] == end).all()
        marked = book.table.filter((pl.col("trader") == trader) & (pl.col("spoofing") == 1))
        assert set(range(start, end + 1)) <= set(marked["step"].to_list())
    kinds = set(book.orders["kind"])
    assert kinds == {"usual", "spoof", "spoof trade", "block", "slow", "both sides"}


def test_a_book_is_repeatable_and_nothing_is_negative() -> None:
    first, again = (make_order_book(4, 300, 5, random_state=7).table for _ in range(2))
    assert first.equals(again)
    assert not first.equals(make_order_book(4, 300, 5, random_state=8).table)
    assert float(first.select(pl.min_horizontal(pl.col(CHANNELS).min())).item()) >= 0
    assert np.isfinite(first["move"].to_numpy()).all()
    assert make_order_book(2, 100, 0, random_state=0).table["spoofing"].sum() == 0


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ParameterError) as error:
        make_order_book(0, 50, -1, strength=0.0, decoys=-1.0)
    assert all(f"{n}=" in str(error.value) for n in ("n_traders", "n_steps", "strength", "decoys"))
    with pytest.raises(DataError, match="100 episodes and decoys do not fit into 1 traders"):
        make_order_book(1, 200, 100, decoys=0.0)
