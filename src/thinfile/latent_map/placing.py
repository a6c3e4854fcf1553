"""New rows on an existing map, each by itself.

A new row minimises t-SNE's own loss for one row: the divergence between its affinities to the rows
of the map in code space and on the map. The rows of the map stay where they are, so that what
pushes a point away depends on nothing but the place it stands on: that is computed once for a grid
of places and looked up from then on. What is left per row and step are its own few neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thinfile.latent_map.neighbours import nearest_rows

FloatMatrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

PLACING_PERPLEXITY = 5.0
"""Effective neighbours by which a row is placed; fewer than the map was made with, as a row that
is drawn to many neighbours ends between islands."""

N_STEPS = 20
MAX_STEP = 1.0
CELL = 0.5
"""Width of a cell of the grid; forces change over one unit of the map."""

MAX_CELLS = 1024
"""Cells along the longer side of the grid."""

BLOCK = 20_000


@dataclass(frozen=True)
class Field:
    """What a map does to a point that stands anywhere on it.

    Attributes
    ----------
    positions : ndarray of float32, shape (rows, 2)
        The map.
    push : ndarray of float64, shape (3, height, width)
        At each grid point: the sum of affinities, and the repulsion in x and in y.
    low : ndarray of shape (2,)
        Place of the first grid point.
    cell : float
        Distance between grid points.
    """

    positions: FloatMatrix
    push: Floats
    low: Floats
    cell: float

    @classmethod
    def of(cls, positions: FloatMatrix) -> Field:
        """Sum the map up on a grid, by convolution."""
        from scipy.signal import fftconvolve

        low = positions.min(axis=0).astype(np.float64)
        span = positions.max(axis=0) - low
        cell = max(CELL, float(span.max()) / MAX_CELLS)
        low = low - 2 * cell
        shape = np.ceil(span / cell).astype(int) + 5
        mass = _mass(positions, low, cell, shape)
        y, x = np.meshgrid(
            cell * np.arange(1 - shape[1], shape[1]),
            cell * np.arange(1 - shape[0], shape[0]),
            indexing="ij",
        )
        near = 1.0 / (1.0 + x * x + y * y)
        kernels = np.stack([near, near**2 * x, near**2 * y])
        push = fftconvolve(np.broadcast_to(mass, (3, *mass.shape)), kernels, "same", axes=(1, 2))
        return cls(positions, push, low, cell)

    def at(self, points: Floats) -> tuple[Floats, Floats]:
        """Sum of affinities (n,) and repulsion (n, 2) at points (n, 2), between grid points."""
        place = (points - self.low) / self.cell
        last = np.array([self.push.shape[2], self.push.shape[1]]) - 2
        corner = np.clip(np.floor(place).astype(int), 0, last)
        right, up = np.clip(place - corner, 0, 1).T
        column, row = corner.T
        found = (
            self.push[:, row, column] * (1 - right) * (1 - up)
            + self.push[:, row, column + 1] * right * (1 - up)
            + self.push[:, row + 1, column] * (1 - right) * up
            + self.push[:, row + 1, column + 1] * right * up
        )
        return np.maximum(found[0], 1e-12), found[1:].T


def place_by_field(
    new: FloatMatrix,
    codes: FloatMatrix,
    field: Field,
    perplexity: float,
    *,
    n_steps: int = N_STEPS,
    n_jobs: int = 1,
) -> FloatMatrix:
    """Places of new rows on a map by t-SNE, shape (rows, 2).

    Parameters
    ----------
    new : (rows, dimensions)
    codes : (map rows, dimensions)
        Of the rows of the map, in its order.
    field
        Of the map's positions.
    perplexity
        That the map was made with; 5 at most is used.
    n_steps
        0 leaves each row at the median of its neighbours.
    n_jobs
        Threads.
    """
    perplexity = min(perplexity, PLACING_PERPLEXITY)
    found = np.empty((len(new), 2), dtype=np.float32)
    for first in range(0, len(new), BLOCK):
        part = slice(first, first + BLOCK)
        rows, distances = nearest_rows(
            codes, max(2, int(3 * perplexity)), queries=new[part], n_jobs=n_jobs
        )
        weights = affinities(distances.astype(np.float64), perplexity)
        places = field.positions[rows].astype(np.float64)  # (rows, neighbours, 2)
        found[part] = _settle(places, weights, field, n_steps)
    return found


def place_by_neighbours(
    new: FloatMatrix, codes: FloatMatrix, positions: FloatMatrix, *, n_jobs: int = 1
) -> FloatMatrix:
    """Places of new rows as the weighted mean of their nearest rows', for any map; (rows, 2)."""
    rows, distances = nearest_rows(codes, 15, queries=new, n_jobs=n_jobs)
    weights = affinities(distances.astype(np.float64), PLACING_PERPLEXITY)
    mean: FloatMatrix = (weights[:, :, None] * positions[rows]).sum(axis=1).astype(np.float32)
    return mean


def affinities(distances: Floats, perplexity: float) -> Floats:
    """Gaussian weights of neighbours with the perplexity asked for; rows sum to 1.

    Parameters
    ----------
    distances : (rows, neighbours)
        Nearest first.
    perplexity
        > 1; at most the number of neighbours is reached.

    Examples
    --------
    >>> weights = affinities(np.array([[0.0, 1.0, 2.0, 3.0]]), 2.0)
    >>> round(float(np.exp(-(weights * np.log(weights)).sum())), 3)
    2.0
    """
    square = distances**2 - distances[:, :1] ** 2
    scale = np.maximum(square.mean(axis=1, keepdims=True), 1e-300)
    low, high = np.full((len(square), 1), -40.0), np.full((len(square), 1), 40.0)
    wanted = np.log(perplexity)
    for _ in range(40):  # 80 / 2⁴⁰ of the exponent is left
        middle = (low + high) / 2
        weights = _weights(square, scale, middle)
        entropy = -(weights * np.log(np.maximum(weights, 1e-300))).sum(axis=1, keepdims=True)
        low = np.where(entropy > wanted, middle, low)
        high = np.where(entropy > wanted, high, middle)
    return _weights(square, scale, (low + high) / 2)


def _weights(square: Floats, scale: Floats, exponent: Floats) -> Floats:
    raw = np.exp(-np.minimum(square / scale * np.exp(exponent), 700.0))
    weights: Floats = raw / raw.sum(axis=1, keepdims=True)
    return weights


def _settle(places: Floats, weights: Floats, field: Field, n_steps: int) -> Floats:
    points: Floats = np.median(places, axis=1)
    for _ in range(n_steps):
        gaps = places - points[:, None, :]  # (rows, neighbours, 2)
        pull = weights / (1.0 + (gaps * gaps).sum(axis=2))
        total, push = field.at(points)
        force = (pull[:, :, None] * gaps).sum(axis=1) + push / total[:, None]
        # Divided by the pull's own strength a step goes to where the pull alone would rest.
        step = force / pull.sum(axis=1, keepdims=True)
        length = np.maximum(np.hypot(*step.T)[:, None], 1e-12)
        points = points + step * np.minimum(1.0, MAX_STEP / length) * 0.5
    return points


def _mass(positions: FloatMatrix, low: Floats, cell: float, shape: npt.NDArray[np.int_]) -> Floats:
    """Rows of the map shared out among the four grid points around them, (height, width)."""
    place = (positions - low) / cell
    corner = np.floor(place).astype(int)
    share = place - corner
    width, height = shape
    mass = np.zeros(height * width)
    for right in (0, 1):
        for up in (0, 1):
            part = np.abs(1 - right - share[:, 0]) * np.abs(1 - up - share[:, 1])
            cells = (corner[:, 1] + up) * width + corner[:, 0] + right
            mass += np.bincount(cells, weights=part, minlength=height * width)
    return mass.reshape(height, width)
