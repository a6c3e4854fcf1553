"""PNG files read back by a slow reader, and grids of images."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinfile.errors import DataError
from thinfile.report.figures.png import data_address, enlarged, image_grid, png, write_png


def read(file: bytes) -> np.ndarray:
    """Chunk by chunk, with every checksum."""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    place, chunks = 8, {}
    while place < len(file):
        (length,) = struct.unpack(">I", file[place : place + 4])
        kind, body = file[place + 4 : place + 8], file[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack(">I", file[place + 8 + length : place + 12 + length])
        assert checksum == zlib.crc32(kind + body)
        chunks[kind] = body
        place += 12 + length
    width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert depth == 8
    n_channels = {0: 1, 2: 3, 6: 4}[colour]
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8)
    lines = lines.reshape(height, 1 + width * n_channels)
    assert not lines[:, 0].any()
    pixels = lines[:, 1:].reshape(height, width, n_channels)
    return pixels[:, :, 0] if n_channels == 1 else pixels


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.sampled_from([None, 1, 3, 4]),
    seed=st.integers(0, 99),
)
def test_pixels_come_back(height, width, channels, seed):
    shape = (height, width) if channels is None else (height, width, channels)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    back = read(png(pixels))
    assert np.array_equal(back, pixels[:, :, 0] if channels == 1 else pixels)


def test_files_and_addresses_hold_the_same_bytes(tmp_path):
    import base64

    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    write_png(tmp_path / "p.png", pixels)
    assert (tmp_path / "p.png").read_bytes() == png(pixels)
    start, code = data_address(pixels).split(",")
    assert start == "data:image/png;base64"
    assert base64.b64decode(code) == png(pixels)


def test_a_grid_has_each_image_in_its_place_on_white():
    images = np.stack([np.full((2, 3), value) for value in (0.0, 0.5, 7.0)])
    grid = image_grid(images, 2)
    assert grid.shape == (10, 12)
    assert (grid[2:4, 2:5] == 0).all()
    assert (grid[2:4, 7:10] == 128).all()
    assert (grid[6:8, 2:5] == 255).all()
    assert (grid[:2] == 255).all()
    assert image_grid(np.zeros((1, 2, 2, 3))).shape[2] == 3


def test_enlarging_repeats_pixels():
    assert enlarged(np.uint8([[1, 2]]), 2).tolist() == [[1, 1, 2, 2]] * 2


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 2)), np.zeros((2, 2, 2), np.uint8), np.zeros((0, 2), np.uint8)]
)
def test_other_arrays_are_refused(pixels):
    with pytest.raises(DataError, match=r"pixels of type .* and shape .*: uint8 of shape"):
        png(pixels)


def test_other_images_are_refused():
    with pytest.raises(DataError, match=r"images of shape \(2, 2\)"):
        image_grid(np.zeros((2, 2)))
