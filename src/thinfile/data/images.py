"""Images as arrays: read in any usual shape, scaled, channels first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.encode import Encoded
from thinfile.errors import DataError
from thinfile.frame import as_frame

Shape = tuple[int, int, int]  # channels, height, width
FloatArray = npt.NDArray[np.float32]

KIND = "images"
BRIGHTEST = 255


class ImageEncoder:
    """Pixels between two values, one row of numbers for each image.

    Use it where all columns are the pixels of one picture. For tables there are `TableEncoder`
    and `MixedEncoder`.

    Parameters
    ----------
    low, high : float
        What black and white become.

    Attributes
    ----------
    shape_ : tuple of int
        Channels, height, width.
    brightest_ : float
        What white is in the raw images: 255, or 1 where none was brighter at `fit`.
    number_names_ : list of str
        One per pixel, channel by channel.
    code_names_, cardinalities_, notes_ : list
        Empty.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.full((2, 4, 4), 255, dtype=np.uint8)
    >>> encoder = ImageEncoder(low=-1.0, high=1.0).fit(images)
    >>> encoder.shape_, encoder.encode(images).numbers.max()
    ((1, 4, 4), np.float32(1.0))
    """

    def __init__(self, *, low: float = 0.0, high: float = 1.0) -> None:
        self.low = low
        self.high = high

    def fit(self, images: Any, image_shape: Sequence[int] | None = None) -> Self:
        """Learn size and brightness.

        Parameters
        ----------
        images
            As for :func:`read_images`.
        image_shape
            ``(height, width)`` or ``(height, width, channels)``, for flat rows.

        Raises
        ------
        DataError
            As :func:`read_images`.
        """
        pixels = read_images(images, image_shape)
        self._keep(
            (pixels.shape[1], pixels.shape[2], pixels.shape[3]),
            float(BRIGHTEST if pixels.max() > 1 else 1),
        )
        return self

    def encode(self, images: Any) -> Encoded:
        """Images as at `fit`, any number of them.

        Raises
        ------
        DataError
            If their size is not that of `fit`.
        """
        channels, height, width = self.shape_
        pixels = read_images(images, (height, width, channels))
        if pixels.shape[1:] != self.shape_:
            raise DataError(
                f"images of size {_size(pixels.shape[1:])}, but fitted on {_size(self.shape_)}"
            )
        flat = pixels.reshape(len(pixels), -1) / np.float32(self.brightest_)
        numbers = np.ascontiguousarray(flat * np.float32(self.high - self.low) + self.low)
        return Encoded(numbers.astype(np.float32), np.empty((len(numbers), 0), dtype=np.int32))

    def transform(self, frame: pl.DataFrame) -> Encoded:
        """A table with a column for each pixel."""
        return self.encode(frame.select(self.number_names_))

    def decode(self, numbers: npt.NDArray[Any]) -> FloatArray:
        """Scaled pixels as images between 0 and 1, shape (rows, channels, height, width)."""
        scaled = (np.asarray(numbers, dtype=np.float32) - self.low) / (self.high - self.low)
        images: FloatArray = np.clip(scaled, 0.0, 1.0).reshape(-1, *self.shape_)
        return images

    def to_state(self) -> dict[str, Any]:
        """Everything that :meth:`encode` needs, as JSON values."""
        return {
            "kind": KIND,
            "low": self.low,
            "high": self.high,
            "shape": list(self.shape_),
            "brightest": self.brightest_,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ImageEncoder:
        """The encoder that wrote the state."""
        encoder = cls(low=state["low"], high=state["high"])
        channels, height, width = state["shape"]
        encoder._keep((channels, height, width), state["brightest"])
        return encoder

    def _keep(self, shape: Shape, brightest: float) -> None:
        self.shape_ = shape
        self.brightest_ = brightest
        self.number_names_ = pixel_names(shape)
        self.code_names_: list[str] = []
        self.cardinalities_: list[int] = []
        self.notes_: list[str] = []


def pixel_names(shape: Shape) -> list[str]:
    """Column names of the pixels of an image."""
    return [f"pixel_{place}" for place in range(shape[0] * shape[1] * shape[2])]


def is_images(X: Any) -> bool:
    """Whether `X` is an array of pictures, or a list of them, and no table."""
    if isinstance(X, np.ndarray):
        return X.ndim in (3, 4)
    return isinstance(X, list) and bool(X) and np.ndim(X[0]) in (2, 3) and hasattr(X[0], "shape")


def read_images(X: Any, image_shape: Sequence[int] | None = None) -> FloatArray:
    """Images with channels first, as they are, shape (rows, channels, height, width).

    Parameters
    ----------
    X
        Array of shape (rows, height, width), (rows, height, width, channels with 1 or 3), or
        (rows, pixels) with `image_shape` (channels first); a table with a column for each pixel;
        or a list of arrays (height, width).
    image_shape
        ``(height, width)`` or ``(height, width, channels)``.

    Raises
    ------
    DataError
        If images differ in size, are not numbers, hold NaN, infinity or negative values, or do
        not have as many pixels as `image_shape` says.
    """
    array = _stack(X)
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] not in (1, 3):  # channels first stays as it is
        array = array.transpose(0, 3, 1, 2)
    elif array.ndim == 2:
        array = array.reshape(len(array), *_shape_of(array.shape[1], image_shape))
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        raise DataError(
            f"X has shape {np.shape(X)}: images have shape (rows, height, width), or "
            "(rows, height, width, channels) with 1 or 3 channels"
        )
    if not len(array):
        raise DataError(f"Found array with 0 sample(s) (shape={array.shape}): X has no images")
    _check_pixels(array)
    return np.ascontiguousarray(array)


def _stack(X: Any) -> FloatArray:
    if isinstance(X, list):
        sizes = {np.shape(image) for image in X}
        if len(sizes) > 1:
            first = next(i for i, image in enumerate(X) if np.shape(image) != np.shape(X[0]))
            raise DataError(
                f"images of different sizes: {_size(np.shape(X[0]))} (image 0) and "
                f"{_size(np.shape(X[first]))} (image {first}); bring them to one size first"
            )
    elif not isinstance(X, np.ndarray):
        X = as_frame(X).to_numpy()
    try:
        return np.asarray(X, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"images must be arrays of numbers of one size: {error}") from error


def _shape_of(n_pixels: int, image_shape: Sequence[int] | None) -> Shape:
    if image_shape is None:
        raise DataError(
            f"X has {n_pixels} columns: image_shape must say which height and width that is"
        )
    height, width, channels = (*image_shape, 1)[:3]
    if height * width * channels != n_pixels:
        raise DataError(
            f"X has {n_pixels} columns, but image_shape={tuple(image_shape)} has "
            f"{height * width * channels} pixels"
        )
    return (channels, height, width)


def _check_pixels(array: FloatArray) -> None:
    wrong = ~np.isfinite(array).all(axis=(1, 2, 3))
    if wrong.any():
        raise DataError(
            f"images: {wrong.sum()} of {len(array)} hold NaN or infinity "
            f"(first: image {int(wrong.argmax())})"
        )
    if array.min() < 0 or array.max() > BRIGHTEST:
        raise DataError(
            f"images: pixels from {array.min():g} to {array.max():g}, must lie in 0…1 or 0…255"
        )


def _size(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
