"""How the widths of a layer's Gaussian kernels follow from the options and from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from thinfile.nn.mmd_tiles import Joined, KernelBank, Layer, fold, join, too_rough
from thinfile.nn.populations import refuse_not_finite, working
from thinfile.params import check_params, either, integer, optional, real, sequence_of

Width = float | Sequence[float] | None

_POSITIVE = real(0.0, bounds="()")


@dataclass(frozen=True)
class KernelShape:
    """Kernels before the mean squared distance of a layer is known.

    Attributes
    ----------
    factors : tuple of float
        Widths over the middle width, or the widths themselves where `middle` is 1.
    weights : tuple of float
        One per kernel.
    middle : float, optional
        None where the middle width is the mean squared distance.
    """

    factors: tuple[float, ...]
    weights: tuple[float, ...]
    middle: float | None

    @classmethod
    def checked(
        cls,
        owner: str,
        n_kernels: int,
        base: float,
        width: Width,
        kernel_weight: Sequence[float] | None,
    ) -> Self:
        """Raise ParameterError, in the name of `owner`, for every option that breaks its rule."""
        _check(owner, n_kernels, base, width, kernel_weight)
        if isinstance(width, Sequence):
            factors = [float(value) for value in width]
        else:
            factors = [float(base) ** (i - n_kernels // 2) for i in range(n_kernels)]
        weights = kernel_weight if kernel_weight is not None else [1.0] * len(factors)
        ordered = sorted(zip(factors, map(float, weights), strict=True), reverse=True)
        while ordered[0][1] == 0.0:
            ordered.pop(0)
        middle = 1.0 if isinstance(width, Sequence) else width
        return cls(
            tuple(factor for factor, _ in ordered), tuple(weight for _, weight in ordered), middle
        )

    def bank(self, mean_squared_distance: float) -> KernelBank:
        """The kernels of a layer."""
        middle = mean_squared_distance if self.middle is None else float(self.middle)
        # Identical rows have the kernel value 1 at any width.
        middle = middle or 1.0
        return KernelBank(tuple(middle * factor for factor in self.factors), self.weights)


def join_checked(source: Tensor, target: Tensor) -> Joined:
    """Join both populations; DataError where they hold values that are not finite."""
    joined = join(working(source), working(target))
    if not joined.size < float("inf"):
        refuse_not_finite([(source, target)])
    return joined


def kernel_layers(pairs: Sequence[tuple[Tensor, Tensor]], shape: KernelShape) -> list[Layer]:
    """Ready for tiles; in float64 where one of the layers needs it."""
    joined = [join_checked(*pair) for pair in pairs]
    banks = [shape.bank(layer.mean_squared_distance) for layer in joined]
    rough = any(too_rough(layer, bank) for layer, bank in zip(joined, banks, strict=True))
    if rough or len({layer.unit.dtype for layer in joined}) > 1:
        joined = [join(source.double(), target.double()) for source, target in pairs]
    return [fold(layer, bank) for layer, bank in zip(joined, banks, strict=True)]


def _check(
    owner: str,
    n_kernels: int,
    base: float,
    width: Width,
    kernel_weight: Sequence[float] | None,
) -> None:
    n_widths = len(width) if isinstance(width, Sequence) else n_kernels
    values = {"n_kernels": n_kernels, "base": base, "width": width, "kernel_weight": kernel_weight}
    rules = {
        "n_kernels": integer(1),
        "base": real(1.0, bounds="()"),
        "width": optional(either(_POSITIVE, sequence_of(_POSITIVE, min_length=1))),
        "kernel_weight": (
            lambda v: v is None or (sequence_of(real(0.0))[0](v) and len(v) == n_widths and any(v)),
            f"None or {n_widths} non-negative numbers, not all zero",
        ),
    }
    check_params(owner, values, rules)
