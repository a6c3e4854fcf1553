"""The tile engine of MK-MMD: values and analytic gradients without a matrix of all pairs.

A sum of Gaussian kernels over all pairs of N rows is visited in symmetric tiles of a few hundred
rows. While a tile is in the processor's cache, its share of the value and of the gradient is
added up, so memory is O(N·features + tile²). Plain torch, the same on every device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

CPU_TILE = 256
# A launch costs more than the arithmetic of a small tile there.
ACCELERATOR_TILE = 2048
# ‖z‖² over the narrowest width up to which distances from products keep the kernels to 1e-4
# in float32 and to 1e-6 in float64.
FLOAT32_REACH = 1e3
FLOAT64_REACH = 1e9
BY_DIFFERENCES = "donot_use_mm_for_euclid_dist"


@dataclass(frozen=True)
class KernelBank:
    """Gaussian kernels Σ_k weight_k · exp(−‖a−b‖² / width_k), widest first.

    The first weight is positive. It is factored out as `gain`, which tiles leave to their caller.
    """

    widths: tuple[float, ...]
    weights: tuple[float, ...]

    @cached_property
    def ratios(self) -> tuple[float, ...]:
        """The widest width over each width."""
        return tuple(self.widths[0] / width for width in self.widths)

    @property
    def gain(self) -> float:
        return self.weights[0]

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """The weights over the gain."""
        return tuple(weight / self.gain for weight in self.weights)

    @cached_property
    def doubling(self) -> bool:
        """Is every width half of the one before, so that squaring replaces exponentials?"""
        return all(ratio == 2.0**k for k, ratio in enumerate(self.ratios))


@dataclass(frozen=True)
class Joined:
    """Both populations of one layer below each other, centred and scaled.

    `unit` holds (row − mean) / `size`, where `size` is the largest entry, so that neither very
    large nor very small inputs leave the range of their dtype when they are squared.
    """

    unit: Tensor  # (source rows + target rows, features)
    size: float
    mean_squared_distance: float
    largest_square: float


@dataclass(frozen=True)
class Layer:
    """One layer's rows as factors: left · rightᵀ is −‖a−b‖² / widest.

    Where products cannot resolve that, distances are taken row by row: `direct`.
    """

    left: Tensor  # (rows, features + 2)
    right: Tensor  # (rows, features + 2)
    bank: KernelBank
    scale: float  # of right's first columns, over the input's units
    direct: bool

    @property
    def n_features(self) -> int:
        return self.left.shape[1] - 2


@dataclass(frozen=True)
class Block:
    """A run of rows of one population, the `index`-th of all."""

    index: int
    rows: slice
    is_target: bool

    @property
    def length(self) -> int:
        return int(self.rows.stop - self.rows.start)


@dataclass(frozen=True)
class PairWeights:
    """The weight of a pair: scale(population, population) · signed_i · signed_j."""

    signed: Tensor  # (rows,) positive in the source, negative in the target
    source_scale: float
    target_scale: float
    with_diagonal: bool
    levels: tuple[float, float] | None  # of signed in source and target, where it is constant

    def to(self, dtype: torch.dtype) -> PairWeights:
        return replace(self, signed=self.signed.to(dtype))

    def add_row_sums(self, sums: Tensor, tile: Tensor, of: Block, scale: float) -> None:
        """Add scale · Σ_j tile_ij · signed_j over the rows j of the block to sums_i."""
        # Not as a product: the sum is pairwise, and so an order more exact in float32.
        if self.levels is not None:
            sums.add_(tile.sum(dim=1), alpha=scale * self.levels[of.is_target])
        else:
            sums.add_((tile * self.signed[of.rows]).sum(dim=1), alpha=scale)

    def add_total(self, total: Tensor, tile: Tensor, one: Block, other: Block) -> None:
        """Add Σ_ij weight_ij · tile_ij over both orders of the two blocks."""
        scale = self.scale(one, other) * (1.0 if one is other else 2.0)
        if self.levels is not None:
            level = self.levels[one.is_target] * self.levels[other.is_target]
            total.add_(tile.sum(), alpha=scale * level)
        else:
            rows = (tile * self.signed[other.rows]).sum(dim=1)
            total.add_(torch.dot(self.signed[one.rows], rows), alpha=scale)

    def scale(self, one: Block, other: Block) -> float:
        if one.is_target != other.is_target:
            return 1.0
        return self.target_scale if one.is_target else self.source_scale


def join(source: Tensor, target: Tensor) -> Joined:
    """Centre both populations by their common mean; one transfer of three numbers to the host.

    Without the common centre, float32 products of distances have errors of 1e-3 on narrow
    layers that lie away from zero.
    """
    rows = torch.cat([source, target])
    rows -= rows.mean(dim=0)
    low, high = torch.aminmax(rows)
    size = torch.maximum(-low, high)
    rows /= size.clamp_min(torch.finfo(rows.dtype).tiny)
    squares = torch.linalg.vector_norm(rows, dim=1).square()
    largest, total, peak = torch.stack([size, squares.sum(), squares.max()]).tolist()
    # Σ over ordered pairs of ‖z_i − z_j‖² is 2·N·Σ‖z_i − mean‖²: no pass over pairs is needed.
    distance = 2.0 * total / (len(rows) - 1) * largest**2
    return Joined(rows, largest, distance, peak * largest**2)


def too_rough(joined: Joined, bank: KernelBank) -> bool:
    """Can this dtype not resolve the narrowest width, so that float64 is needed?"""
    narrow = joined.largest_square > FLOAT32_REACH * bank.widths[-1]
    return narrow and joined.unit.dtype != torch.float64


def fold(joined: Joined, bank: KernelBank) -> Layer:
    """Fold the widest width and the squared norms into factors, so one product does it all."""
    factor = joined.size / math.sqrt(bank.widths[0])
    n_rows, n_features = joined.unit.shape
    right = joined.unit.new_ones(n_rows, n_features + 2)
    torch.mul(joined.unit, factor, out=right[:, :n_features])
    norm = torch.linalg.vector_norm(right[:, :n_features], dim=1).square().neg()
    right[:, n_features + 1] = norm
    left = torch.empty_like(right)
    torch.mul(right[:, :n_features], 2.0, out=left[:, :n_features])
    left[:, n_features] = norm
    left[:, n_features + 1] = 1.0
    direct = joined.largest_square > FLOAT64_REACH * bank.widths[-1]
    return Layer(left, right, bank, 1.0 / math.sqrt(bank.widths[0]), direct)


def blocks(n_source: int, n_target: int, device: torch.device) -> list[Block]:
    """Rows in runs of at most a tile, of equal length, that never hold both populations."""
    tile = CPU_TILE if device.type == "cpu" else ACCELERATOR_TILE
    runs = [(0, n_source, False), (n_source, n_source + n_target, True)]
    spans = [
        (slice(start, min(start + step, end)), is_target)
        for begin, end, is_target in runs
        for step in [_even_step(end - begin, tile)]
        for start in range(begin, end, step)
    ]
    return [Block(i, rows, is_target) for i, (rows, is_target) in enumerate(spans)]


def tile_pairs(parts: Sequence[Block]) -> Iterator[tuple[Block, Block]]:
    """Each unordered pair of blocks once."""
    for i, one in enumerate(parts):
        for other in parts[i:]:
            yield one, other


@dataclass(frozen=True)
class _Room:
    """Memory of one tile, used again for every tile of the same shape."""

    exponent: Tensor  # (one's rows, other's rows), as all of them
    values: list[Tensor]
    slopes: list[Tensor]


class TileKernel:
    """Kernel values and slopes of one tile after the other."""

    def __init__(
        self, layers: Sequence[Layer], parts: Sequence[Block], *, with_slope: bool
    ) -> None:
        self._layers = layers
        self._lefts = [_cut(layer.left, parts) for layer in layers]
        self._rights = [[rows.T for rows in _cut(layer.right, parts)] for layer in layers]
        largest = max(part.length for part in parts) ** 2
        n_layers, n_slopes = len(layers), len(layers) if with_slope else 0
        flat = layers[0].right.new_empty(1 + n_layers + n_slopes, largest)
        self._flat = [list(flat[:1]), list(flat[1 : n_layers + 1]), list(flat[n_layers + 1 :])]
        self._rooms: dict[tuple[int, int], _Room] = {}

    def values(self, one: Block, other: Block, *, with_diagonal: bool) -> Tensor:
        """Product over the layers of their summed kernels, but for the gains of their banks.

        The next call overwrites it.  # (one's rows, other's rows)
        """
        room = self._room(one, other)
        for i, layer in enumerate(self._layers):
            self._fill_exponent(room.exponent, i, one, other)
            if one is other:
                room.exponent.fill_diagonal_(0.0 if with_diagonal else -math.inf)
            slope = room.slopes[i] if room.slopes else None
            _sum_kernels(room.exponent, layer.bank, room.values[i], slope)
        return room.values[0] if len(self._layers) == 1 else _multiply(room)

    def slope(self, i: int, one: Block, other: Block) -> Tensor:
        """−widest · d values / d ‖a−b‖² of layer i, after `values` of the same tile."""
        return self._room(one, other).slopes[i]

    def _fill_exponent(self, exponent: Tensor, i: int, one: Block, other: Block) -> None:
        if not self._layers[i].direct:
            torch.mm(self._lefts[i][one.index], self._rights[i][other.index], out=exponent)
            return
        rows = self._layers[i].right[:, : self._layers[i].n_features]
        distance = torch.cdist(rows[one.rows], rows[other.rows], compute_mode=BY_DIFFERENCES)
        torch.mul(distance, -distance, out=exponent)

    def _room(self, one: Block, other: Block) -> _Room:
        shape = (one.length, other.length)
        if shape not in self._rooms:
            views = [[f[: shape[0] * shape[1]].view(shape) for f in kind] for kind in self._flat]
            self._rooms[shape] = _Room(views[0][0], views[1], views[2])
        return self._rooms[shape]


def tiled_mmd(
    layers: Sequence[Layer], weights: PairWeights, n_source: int, *, with_gradient: bool
) -> tuple[Tensor, list[Tensor]]:
    """Σ_ij weight_ij · Π_layers kernel(i, j), and its gradient for each layer's rows.

    Returns
    -------
    value
        float64, 0-dimensional.
    gradients
        One (rows, features) tensor per layer in the units of the input; empty without gradient.
    """
    signed = weights.signed
    parts = blocks(n_source, len(signed) - n_source, signed.device)
    tile = TileKernel(layers, parts, with_slope=with_gradient)
    pulls = [_Pull(layer, weights, parts) for layer in layers if with_gradient]
    value = signed.new_zeros((), dtype=torch.float64)
    for one, other in tile_pairs(parts):
        scale = weights.scale(one, other)
        kernel = tile.values(one, other, with_diagonal=weights.with_diagonal)
        weights.add_total(value, kernel, one, other)
        for i, pull in enumerate(pulls):
            pull.add(tile.slope(i, one, other), one, other, scale)
    gain = math.prod(layer.bank.gain for layer in layers)
    return value.mul_(gain), [pull.gradient(gain) for pull in pulls]


class _Pull:
    """Collects Σ_j slope_ij · a_j · z_j and Σ_j slope_ij · a_j for every row i."""

    def __init__(self, layer: Layer, weights: PairWeights, parts: Sequence[Block]) -> None:
        self.layer = layer
        self.weights = weights
        signed = weights.signed
        self.unit = layer.right[:, : layer.n_features]
        self.moments = self.unit * signed[:, None]
        self.sums = torch.zeros_like(self.moments)  # (rows, features)
        # The total is multiplied by the whole row, so its rounding would be most of the error: it
        # is summed pairwise, where a product with one more column would not be.
        self.totals = torch.zeros_like(signed, dtype=torch.float64)  # (rows,)
        self._moments = _cut(self.moments, parts)
        self._sums, self._totals = _cut(self.sums, parts), _cut(self.totals, parts)

    def add(self, slope: Tensor, one: Block, other: Block, scale: float) -> None:
        self._collect(slope, one, other, scale)
        if one is not other:
            self._collect(slope.T, other, one, scale)

    def gradient(self, gain: float) -> Tensor:
        totals = self.totals.to(self.unit.dtype)
        self.sums.addcmul_(self.unit, totals[:, None], value=-1.0)
        return self.sums.mul_(self.weights.signed[:, None] * (4.0 * gain * self.layer.scale))

    def _collect(self, slope: Tensor, into: Block, of: Block, scale: float) -> None:
        self._sums[into.index].addmm_(slope, self._moments[of.index], alpha=scale)
        self.weights.add_row_sums(self._totals[into.index], slope, of, scale)


def _cut(rows: Tensor, parts: Sequence[Block]) -> list[Tensor]:
    return [rows[part.rows] for part in parts]


def _multiply(room: _Room) -> Tensor:
    """The product of all layers' values; each slope times the values of the other layers."""
    for i, slope in enumerate(room.slopes):
        for j, values in enumerate(room.values):
            if i != j:
                slope.mul_(values)
    product = room.values[0]
    for values in room.values[1:]:
        product.mul_(values)
    return product


def _sum_kernels(exponent: Tensor, bank: KernelBank, values: Tensor, slope: Tensor | None) -> None:
    """Fill `values` and `slope` but for the bank's `gain`; the exponent is used up."""
    torch.exp(exponent, out=values)
    powers = _squared(values, exponent, bank) if bank.doubling else _exponentials(exponent, bank)
    before = values
    for power, ratio, share in zip(powers, bank.ratios[1:], bank.shares[1:], strict=True):
        if slope is not None:
            torch.add(before, power, alpha=share * ratio, out=slope)
            before = slope
        values.add_(power, alpha=share)
    if slope is not None and before is values:
        slope.copy_(values)


def _squared(first: Tensor, room: Tensor, bank: KernelBank) -> Iterator[Tensor]:
    for k in range(1, len(bank.widths)):
        power = first if k == 1 else room
        yield torch.mul(power, power, out=room)


def _exponentials(exponent: Tensor, bank: KernelBank) -> Iterator[Tensor]:
    for ratio in bank.ratios[1:]:
        yield torch.exp(exponent * ratio)


def _even_step(length: int, tile: int) -> int:
    return math.ceil(length / math.ceil(length / tile))
