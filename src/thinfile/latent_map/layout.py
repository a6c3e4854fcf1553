"""From codes to two dimensions: t-SNE by openTSNE, or UMAP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thinfile import params
from thinfile.errors import DataError, MissingPackageError
from thinfile.latent_map.neighbours import nearest_rows
from thinfile.latent_map.placing import Field, place_by_field, place_by_neighbours
from thinfile.params import Rule, check_params
from thinfile.random_state import RandomState, seed_from

FloatMatrix = npt.NDArray[np.float32]

METHODS = ("tsne", "umap")

MIN_ROWS = 5
"""Fewer rows make no map."""

MAX_LAID_OUT = 30_000
"""Rows that are laid out together unless another number is given; the others are placed."""

PERPLEXITY = 30.0
"""Of t-SNE, unless another is given."""

N_EXAGGERATED = 250
"""First steps, with attraction exaggerated, as in the papers."""

ROUGH_SHARE, ROUGH_WIDTH = 0.6, 2
"""The first of the other steps take repulsion from a grid twice as wide, which costs a third; the
last ones, on which the map depends, from the usual one."""


@dataclass(frozen=True)
class Layout:
    """A map: where each row lies, and what places new rows on it.

    Attributes
    ----------
    positions : ndarray of float32, shape (rows, 2)
    codes : ndarray of float32, shape (laid out, dimensions)
        What the rows were laid out by that the map stands on.
    laid_out : ndarray of int64, shape (laid out,)
        Their row numbers; the other rows were placed among them.
    method : str
        "tsne" or "umap".
    perplexity : float
        Effective number of neighbours, after lowering for few rows.
    seed : int
    """

    positions: FloatMatrix
    codes: FloatMatrix
    laid_out: npt.NDArray[np.int64]
    method: str
    perplexity: float
    seed: int

    @property
    def base(self) -> FloatMatrix:
        """Positions of the rows that were laid out, shape (laid out, 2)."""
        return self.positions[self.laid_out]

    def place(self, codes: npt.ArrayLike, *, n_jobs: int = 1) -> FloatMatrix:
        """Positions of new rows on this map, which stays as it is; shape (rows, 2).

        Rows do not influence each other: a row lies in the same place whoever comes with it. A
        row unlike all that the map has seen still gets a place, beside the least unlike ones: a
        map is no detector.

        Parameters
        ----------
        codes : array-like of shape (rows, dimensions)
            From the model that gave this map's codes.
        n_jobs
            Threads.

        Raises
        ------
        DataError
            If the codes have another number of dimensions, or are not finite.
        """
        points = _check_codes(codes, min_rows=0)
        if points.shape[1] != self.codes.shape[1]:
            raise DataError(
                f"codes have {points.shape[1]} dimensions, this map's have {self.codes.shape[1]}"
            )
        if not len(points):
            return np.empty((0, 2), dtype=np.float32)
        if self.method == "umap":
            return place_by_neighbours(points, self.codes, self.base, n_jobs=n_jobs)
        field = Field.of(self.base)
        return place_by_field(points, self.codes, field, self.perplexity, n_jobs=n_jobs)


def lay_out(
    codes: npt.ArrayLike,
    *,
    method: str = "tsne",
    perplexity: float = PERPLEXITY,
    n_iter: int = 500,
    max_laid_out: int = MAX_LAID_OUT,
    random_state: RandomState = 0,
    n_jobs: int = 1,
) -> Layout:
    """Lay codes out in two dimensions so that near rows stay near.

    Use it to see whether frauds form islands. Do not read sizes, distances between islands or
    empty space off it: t-SNE and UMAP keep neighbourhoods only.

    Parameters
    ----------
    codes : array-like of shape (rows, dimensions)
        Finite numbers, at least 5 rows.
    method : {"tsne", "umap"}, default "tsne"
        tsne: openTSNE, Barnes–Hut below 10,000 rows and FFT above. umap: the package umap-learn
        with 15 neighbours; keeps fewer of a row's neighbours and imports slowly.
    perplexity : float, default 30
        Effective number of neighbours in t-SNE, > 1; lowered to a third of the rows laid out
        together, less one, where it is more.
    n_iter : int, default 500
        Steps of t-SNE after the 250 exaggerated ones.
    max_laid_out : int, default 30,000
        So many rows, drawn at random, are laid out together; the others are placed among them.
    random_state : default 0
        Makes the map repeatable.
    n_jobs : int, default 1
        Threads.

    Returns
    -------
    Layout

    Raises
    ------
    ParameterError
        If an argument breaks its rule.
    DataError
        If there are too few rows, no two codes differ, or a code is not finite.
    MissingPackageError
        If openTSNE or umap-learn is not installed.

    References
    ----------
    Van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 2008. Linderman et al., "Fast
    interpolation-based t-SNE", Nature Methods 2019. Poličar et al., "openTSNE", JSS 2024.
    McInnes et al., "UMAP", 2018.

    Examples
    --------
    >>> codes = np.random.default_rng(0).normal(size=(60, 4)) + 9 * (np.arange(60) < 30)[:, None]
    >>> layout = lay_out(codes, n_iter=50)
    >>> layout.positions.shape, layout.place(codes[:2]).shape
    ((60, 2), (2, 2))
    """
    given = {
        "method": method,
        "perplexity": perplexity,
        "n_iter": n_iter,
        "max_laid_out": max_laid_out,
        "n_jobs": n_jobs,
    }
    check_params("lay_out", given, _RULES)
    points, seed = _check_codes(codes), seed_from(random_state)
    laid_out = _draw(len(points), max_laid_out, seed)
    base = np.ascontiguousarray(points[laid_out])
    if method == "umap":
        found = _umap(base, seed)
    else:
        perplexity = min(float(perplexity), (len(base) - 1) / 3)
        found = _tsne(base, perplexity, n_iter, seed, n_jobs)
    whole = Layout(found, base, np.arange(len(base)), method, float(perplexity), seed)
    if len(base) == len(points):
        return whole
    others = np.setdiff1d(np.arange(len(points)), laid_out)
    positions = np.empty((len(points), 2), dtype=np.float32)
    positions[laid_out], positions[others] = found, whole.place(points[others], n_jobs=n_jobs)
    return Layout(positions, base, laid_out, method, float(perplexity), seed)


_RULES: dict[str, Rule] = {
    "method": params.one_of(*METHODS),
    "perplexity": params.real(1, bounds="()"),
    "n_iter": params.integer(0),
    "max_laid_out": params.integer(MIN_ROWS),
    "n_jobs": params.integer(1),
}


def _tsne(
    points: FloatMatrix, perplexity: float, n_iter: int, seed: int, n_jobs: int
) -> FloatMatrix:
    parts = _open_tsne()
    rows, distances = nearest_rows(points, int(3 * perplexity), n_jobs=n_jobs)
    # openTSNE's own search is approximate and slower than every distance at these sizes.
    index = parts.nearest_neighbors.PrecomputedNeighbors(rows, distances.astype(np.float64))
    affinities = parts.affinity.PerplexityBasedNN(
        knn_index=index, perplexity=perplexity, n_jobs=n_jobs
    )
    start = parts.initialization.pca(points.astype(np.float64), random_state=seed)
    embedding = parts.TSNEEmbedding(start, affinities, n_jobs=n_jobs, random_state=seed)
    embedding.optimize(N_EXAGGERATED, exaggeration=12, momentum=0.8, inplace=True)
    n_rough = int(ROUGH_SHARE * n_iter)
    for steps, width in ((n_rough, ROUGH_WIDTH), (n_iter - n_rough, 1)):
        if steps:
            embedding.optimize(steps, momentum=0.8, inplace=True, ints_in_interval=width)
    return np.asarray(embedding, dtype=np.float32)


def _open_tsne() -> Any:
    try:
        import openTSNE
        import openTSNE.affinity
        import openTSNE.initialization
        import openTSNE.nearest_neighbors
    except ImportError:
        raise MissingPackageError("openTSNE", "map", "a map by t-SNE") from None
    return openTSNE


def _umap(points: FloatMatrix, seed: int) -> FloatMatrix:
    try:
        import umap
    except ImportError:
        raise MissingPackageError("umap-learn", "umap", "a map by UMAP") from None
    model = umap.UMAP(n_neighbors=min(15, len(points) - 1), random_state=seed, n_jobs=1)
    return np.asarray(model.fit_transform(points), dtype=np.float32)


def _draw(n_rows: int, most: int, seed: int) -> npt.NDArray[np.int64]:
    if n_rows <= most:
        return np.arange(n_rows)
    drawn = np.random.default_rng(seed).choice(n_rows, most, replace=False)
    return np.sort(drawn).astype(np.int64)


def _check_codes(codes: npt.ArrayLike, *, min_rows: int = MIN_ROWS) -> FloatMatrix:
    points = np.ascontiguousarray(codes, dtype=np.float32)
    if points.ndim != 2 or not points.shape[1]:
        raise DataError(f"codes have the shape {points.shape}, it must be (rows, dimensions)")
    if len(points) < min_rows:
        raise DataError(f"codes have {len(points)} rows, a map needs at least {min_rows}")
    at_fault = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(at_fault):
        raise DataError(
            f"codes: {len(at_fault)} of {len(points)} rows are not finite "
            f"(first: row {at_fault[0]})"
        )
    if min_rows and not np.ptp(points, axis=0).any():
        raise DataError(f"codes are the same in all {len(points)} rows: there is nothing to map")
    return points
