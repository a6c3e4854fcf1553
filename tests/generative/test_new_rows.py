from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from thinfile.data.row_hash import row_hashes
from thinfile.errors import DataError
from thinfile.generative.new_rows import draw_new, image_hashes


def test_known_rows_are_drawn_again_and_the_number_is_met() -> None:
    rng = np.random.default_rng(0)
    forbidden = np.unique(row_hashes(pl.DataFrame({"a": np.arange(90.0)})))

    def draw(n: int) -> pl.DataFrame:
        return pl.DataFrame({"a": rng.integers(0, 100, n).astype(float)})

    made = draw_new(draw, 50, forbidden, owner="Test")
    assert made.height == 50
    assert made["a"].min() >= 90  # type: ignore[operator]


def test_it_gives_up_after_twenty_rounds() -> None:
    forbidden = np.unique(row_hashes(pl.DataFrame({"a": [1.0]})))
    sizes: list[int] = []

    def draw(n: int) -> pl.DataFrame:
        sizes.append(n)
        return pl.DataFrame({"a": np.ones(n)})

    with pytest.raises(DataError, match="Test: 3 of 3 rows could not be made: of 1219 drawn, all"):
        draw_new(draw, 3, forbidden, owner="Test")
    assert sizes == [3] + [64] * 19


def test_images_are_known_by_every_pixel() -> None:
    images = np.zeros((3, 4, 4), dtype=np.uint8)
    images[1, 2, 3] = 1
    hashes = image_hashes(images)
    assert hashes[0] == hashes[2] != hashes[1]
    assert hashes.dtype == np.uint64
