"""Pictures from arrays as PNG, with nothing but the standard library."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thinfile.errors import DataError

Pixels = npt.NDArray[np.uint8]

_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}
_START = b"\x89PNG\r\n\x1a\n"
_GAP = 2
_PAPER = 255


def png(pixels: Pixels) -> bytes:
    """Pixels as a PNG file.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8
        Shape (height, width) for grey, (height, width, 3) for colours, (height, width, 4) with
        opacity.

    Raises
    ------
    DataError
        If the array is of another type or shape, or empty.

    References
    ----------
    Portable Network Graphics (PNG) Specification, third edition, W3C 2025.

    Examples
    --------
    >>> png(np.zeros((2, 3), dtype=np.uint8))[:4]
    b'\\x89PNG'
    """
    array = np.asarray(pixels)
    n_channels = array.shape[2] if array.ndim == 3 else 1
    known = array.ndim in (2, 3) and n_channels in _COLOUR_TYPES and array.size
    if array.dtype != np.uint8 or not known:
        raise DataError(
            f"pixels of type {array.dtype} and shape {array.shape}: uint8 of shape (height, width)"
            " or (height, width, 3 or 4) is needed"
        )
    height, width = array.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[n_channels], 0, 0, 0)
    # Each line begins with the number of its filter: 0, none.
    lines = np.zeros((height, 1 + width * n_channels), dtype=np.uint8)
    lines[:, 1:] = array.reshape(height, -1)
    body = zlib.compress(lines.tobytes(), 9)
    return _START + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def write_png(path: str | Path, pixels: Pixels) -> None:
    """Write pixels as a PNG file; see :func:`png`."""
    Path(path).write_bytes(png(pixels))


def data_address(pixels: Pixels) -> str:
    """A PNG as an address that a page can show without a file."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def image_grid(images: npt.NDArray[Any], n_columns: int = 10) -> Pixels:
    """Images of one size side by side on white, row by row.

    Parameters
    ----------
    images : array of shape (n, height, width) or (n, height, width, 3)
        Values in 0…1; what lies outside is clipped.
    n_columns : int, default 10
        Images in a row.

    Returns
    -------
    numpy.ndarray of uint8
        (height, width) or (height, width, 3) of the whole.

    Raises
    ------
    DataError
        If there are no images, or they are of another shape.

    Examples
    --------
    >>> image_grid(np.zeros((5, 8, 8)), n_columns=3).shape
    (22, 32)
    """
    array = np.asarray(images, dtype=np.float64)
    if array.ndim not in (3, 4) or not len(array) or array.shape[3:] not in ((), (3,)):
        raise DataError(
            f"images of shape {array.shape}: (n, height, width) or (n, height, width, 3) is needed"
        )
    height, width = array.shape[1:3]
    n_rows = -(-len(array) // n_columns)
    size = (n_rows * (height + _GAP) + _GAP, n_columns * (width + _GAP) + _GAP)
    grid: Pixels = np.full((*size, *array.shape[3:]), _PAPER, dtype=np.uint8)
    for place, image in enumerate(np.nan_to_num(array)):
        top = _GAP + place // n_columns * (height + _GAP)
        left = _GAP + place % n_columns * (width + _GAP)
        grid[top : top + height, left : left + width] = np.round(255 * np.clip(image, 0, 1))
    return grid


def enlarged(pixels: Pixels, factor: int) -> Pixels:
    """Every pixel as a square of `factor` × `factor`."""
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
