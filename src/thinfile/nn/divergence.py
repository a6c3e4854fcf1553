"""Distances between two populations that a network can be trained on: MK-MMD, joint MMD, CORAL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from thinfile.errors import DataError
from thinfile.nn.kernels import KernelShape, Width, join_checked, kernel_layers
from thinfile.nn.mmd_tiles import KernelBank, PairWeights, tiled_mmd
from thinfile.nn.populations import Layers, layer_pairs, refuse_not_finite, row_weights, working
from thinfile.params import check_params, one_of

Estimator = Literal["unbiased", "biased", "linear"]
Pair = tuple[Tensor, Tensor]

_PAIRWISE = ("unbiased", "biased")
_ESTIMATORS = (*_PAIRWISE, "linear")


def mk_mmd(
    source: Layers,
    target: Layers,
    *,
    source_weight: Any = None,
    target_weight: Any = None,
    n_kernels: int = 5,
    base: float = 2.0,
    width: Width = None,
    kernel_weight: Sequence[float] | None = None,
    estimator: Estimator = "unbiased",
) -> Tensor:
    """Squared distance between the mean embeddings of two samples under several Gaussian kernels.

    MMD² = Σ_ij a_i a_j k(s_i, s_j) + Σ_ij b_i b_j k(t_i, t_j) − 2 Σ_ij a_i b_j k(s_i, t_j), where
    k(x, y) = Σ_k kernel_weight_k · exp(−‖x − y‖² / width_k). Use it as a loss that pulls the
    layers of a network together over two populations. Do not use it where the share of the event
    differs between them unless `source_weight` corrects for it: aligning the margins then pushes
    apart what belongs together. The biased value of a few hundred rows is mostly bias, so plot
    the unbiased one; both have the same gradient but for the factor n / (n − 1) within a
    population.

    Time is O(N²·features), memory O(N·features); the gradient is analytic and computed with the
    value, so a second derivative is not to be had. Weights and a data-driven width are constants
    to the gradient.

    Parameters
    ----------
    source, target
        (rows, columns) floating tensors on one device, or lists of them, one per layer; the
        values of several layers are added. Half precision is computed in float32; where float32
        cannot resolve the narrowest width, float64 is used.
    source_weight, target_weight
        One non-negative number per row (importance, class prior), brought to the sum 1 per
        population. Default: equal.
    n_kernels
        Number of kernels, at least 1.
    base
        Ratio of neighbouring widths, above 1. The value 2 needs one exponential per pair, any
        other one for each kernel.
    width
        The middle width w; the widths are w · base^(i − n_kernels // 2), i = 0 … n_kernels − 1.
        None takes the mean squared distance over the n² − n ordered pairs of the joined sample,
        rows weighted alike (1 where all rows are identical). A sequence is taken as the widths
        themselves, and `n_kernels` and `base` are then not used.
    kernel_weight
        One non-negative number per kernel, not all zero, in the order of the widths. Default: 1
        each, so the value lies in [0, 2 · n_kernels].
    estimator
        "unbiased" leaves each row's pair with itself out and divides by Σ_{i≠j} a_i a_j; it may
        be negative. "biased" keeps it. "linear" averages over consecutive quadruples of rows in
        O(N·features), leaving out what does not fill one: for monitoring streams, since it is
        some twenty times noisier. Rows must come in random order for it.

    Returns
    -------
    Tensor
        0-dimensional, in the dtype of the input (float32 for half precision).

    Raises
    ------
    ParameterError
        An option breaks its rule.
    DataError
        No rows, unequal columns, values that are not finite, negative weights; fewer than two
        rows of positive weight in a population, unless the estimator is "biased".

    References
    ----------
    Gretton et al., "A kernel two-sample test", JMLR 13 (2012).
    Long et al., "Learning transferable features with deep adaptation networks", ICML 2015.
    Yan et al., "Mind the class weight bias", CVPR 2017 (row weights).

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.divergence import mk_mmd
    >>> source = torch.zeros(2, 1, requires_grad=True)
    >>> loss = mk_mmd(source, torch.tensor([[2.0], [3.0]]))
    >>> loss.backward()
    >>> source.grad.flatten() < 0  # a step down the gradient moves the source up
    tensor([True, True])
    """
    check_params("mk_mmd", {"estimator": estimator}, {"estimator": one_of(*_ESTIMATORS)})
    shape = KernelShape.checked("mk_mmd", n_kernels, base, width, kernel_weight)
    pairs = layer_pairs(source, target)
    weights = _pair_of_weights(pairs[0], source_weight, target_weight, estimator)
    if estimator == "linear":
        return torch.stack([_linear(pair, weights, shape) for pair in pairs]).sum()
    equal = source_weight is None and target_weight is None
    pair_weights = _pair_weights(weights, unbiased=estimator == "unbiased", equal=equal)
    values = [_quadratic([pair], pair_weights, shape) for pair in pairs]
    return values[0] if len(values) == 1 else torch.stack(values).sum()


def joint_mmd(
    source: Sequence[Tensor],
    target: Sequence[Tensor],
    *,
    source_weight: Any = None,
    target_weight: Any = None,
    n_kernels: int = 5,
    base: float = 2.0,
    width: Width = None,
    kernel_weight: Sequence[float] | None = None,
    estimator: Literal["unbiased", "biased"] = "unbiased",
) -> Tensor:
    """MMD² of the joint distribution of several layers: their kernels are multiplied.

    Use it in place of the sum of `mk_mmd` when layers must agree together (features and
    predictions, say), as joint adaptation networks do. With one layer it is `mk_mmd`.

    Parameters
    ----------
    source, target
        Lists of (rows, columns) tensors, one per layer, all of the same rows.
    source_weight, target_weight, n_kernels, base, width, kernel_weight, estimator
        As in `mk_mmd`; the widths of each layer are its own. There is no linear estimator.

    Returns
    -------
    Tensor
        0-dimensional.

    Raises
    ------
    ParameterError, DataError
        As in `mk_mmd`.

    References
    ----------
    Long et al., "Deep transfer learning with joint adaptation networks", ICML 2017.

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.divergence import joint_mmd
    >>> hidden, score = torch.eye(3), torch.zeros(3, 1)
    >>> value = joint_mmd([hidden, score], [hidden, score], estimator="biased")
    >>> abs(float(value)) < 1e-6
    True
    """
    check_params("joint_mmd", {"estimator": estimator}, {"estimator": one_of(*_PAIRWISE)})
    shape = KernelShape.checked("joint_mmd", n_kernels, base, width, kernel_weight)
    pairs = layer_pairs(source, target)
    weights = _pair_of_weights(pairs[0], source_weight, target_weight, estimator)
    equal = source_weight is None and target_weight is None
    pair_weights = _pair_weights(weights, unbiased=estimator == "unbiased", equal=equal)
    return _quadratic(pairs, pair_weights, shape)


def coral(
    source: Tensor, target: Tensor, *, source_weight: Any = None, target_weight: Any = None
) -> Tensor:
    """Deep CORAL: squared Frobenius distance of the covariances over 4 · columns².

    Use it as a cheap loss, O(rows·columns²); it sees neither means nor anything beyond second
    moments, so a pure shift of the mean is invisible to it.

    Parameters
    ----------
    source, target
        (rows, columns) floating tensors with at least two rows of positive weight each.
    source_weight, target_weight
        One non-negative number per row; the covariance is then the unbiased one for weights
        that sum to 1, Σ a_i (x_i − x̄)(x_i − x̄)ᵀ / (1 − Σ a_i²).

    Returns
    -------
    Tensor
        0-dimensional; autograd gives its gradient.

    Raises
    ------
    DataError
        As in `mk_mmd`.

    References
    ----------
    Sun, Saenko, "Deep CORAL: correlation alignment for deep domain adaptation", ECCV 2016.

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.divergence import coral
    >>> rows = torch.tensor([[0.0], [2.0]])  # variance 2, and 8 when doubled
    >>> float(coral(rows, 2 * rows))
    9.0
    """
    pair = layer_pairs(source, target)[0]
    weights = _pair_of_weights(pair, source_weight, target_weight, "unbiased")
    if not all(bool(torch.isfinite(rows).all()) for rows in pair):
        refuse_not_finite([pair])
    one, other = (
        _covariance(working(r), a.to(working(r).dtype)) for r, a in zip(pair, weights, strict=True)
    )
    return (one - other).square().sum() / (4.0 * one.shape[0] ** 2)


class _TiledMMD(torch.autograd.Function):
    """Value and gradient in one pass; what waits for backward is only the gradient."""

    @staticmethod
    def forward(
        ctx: Any, shape: KernelShape, weights: PairWeights, with_gradient: bool, *rows: Tensor
    ) -> Tensor:
        ctx.n_source = len(rows[0])
        pairs = list(zip(rows[0::2], rows[1::2], strict=True))
        with torch.autocast(rows[0].device.type, enabled=False):
            layers = kernel_layers([(working(s), working(t)) for s, t in pairs], shape)
            weights = weights.to(layers[0].right.dtype)
            value, gradients = tiled_mmd(layers, weights, ctx.n_source, with_gradient=with_gradient)
        ctx.save_for_backward(*(g.to(r.dtype) for g, r in zip(gradients, rows[0::2], strict=False)))
        return value.to(working(rows[0]).dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> Any:
        gradients: list[Tensor | None] = [None] * 3
        for i, gradient in enumerate(ctx.saved_tensors):
            halves = (gradient[: ctx.n_source], gradient[ctx.n_source :])
            for half, needed in zip(halves, ctx.needs_input_grad[3 + 2 * i :], strict=False):
                gradients.append(outer.to(half.dtype) * half if needed else None)
        return tuple(gradients)


def _quadratic(pairs: list[Pair], weights: PairWeights, shape: KernelShape) -> Tensor:
    flat = [rows for pair in pairs for rows in pair]
    # Inside a Function the grad mode of the caller is no longer to be seen.
    with_gradient = torch.is_grad_enabled() and any(rows.requires_grad for rows in flat)
    value: Tensor = _TiledMMD.apply(  # type: ignore[no-untyped-call]
        shape, weights, with_gradient, *flat
    )
    return value


def _linear(pair: Pair, weights: Pair, shape: KernelShape) -> Tensor:
    with torch.no_grad():
        bank = shape.bank(join_checked(*pair).mean_squared_distance)
    n_quadruples = min(len(pair[0]), len(pair[1])) // 2
    s, t = (_by_twos(working(rows), n_quadruples) for rows in pair)
    a, b = (_by_twos(weight.to(s.dtype), n_quadruples) for weight in weights)
    parts = [
        (_kernel(one, other, bank), weight)
        for one, other, weight in (
            (s[:, 0], s[:, 1], a[:, 0] * a[:, 1]),
            (t[:, 0], t[:, 1], b[:, 0] * b[:, 1]),
            (s[:, 0], t[:, 1], a[:, 0] * b[:, 1]),
            (s[:, 1], t[:, 0], a[:, 1] * b[:, 0]),
        )
    ]
    if any(float(weight.sum()) == 0.0 for _, weight in parts):
        raise DataError("linear estimator: no pair of consecutive rows has two positive weights")
    ss, tt, st, ts = ((kernel * weight).sum() / weight.sum() for kernel, weight in parts)
    return ss + tt - st - ts


def _by_twos(rows: Tensor, n_pairs: int) -> Tensor:
    """Consecutive rows as pairs; what is left over is dropped.  # (pairs, 2, …)"""
    return rows[: 2 * n_pairs].reshape(n_pairs, 2, *rows.shape[1:])


def _kernel(one: Tensor, other: Tensor, bank: KernelBank) -> Tensor:
    # Scaled before it is squared, so that no scale of the rows leaves the range of the dtype.
    unit = (one - other) * bank.widths[0] ** -0.5
    distance = unit.square().sum(dim=1)  # (quadruples,)
    terms = [w * torch.exp(-r * distance) for r, w in zip(bank.ratios, bank.weights, strict=True)]
    return torch.stack(terms).sum(dim=0)


def _covariance(rows: Tensor, weight: Tensor) -> Tensor:
    centred = rows - weight @ rows
    covariance: Tensor = (centred * weight[:, None]).T @ centred / (1.0 - weight.square().sum())
    return covariance


def _pair_of_weights(pair: Pair, source: Any, target: Any, estimator: Estimator) -> Pair:
    weights = (
        row_weights("source_weight", source, pair[0]),
        row_weights("target_weight", target, pair[1]),
    )
    if estimator != "biased":
        _need_two_rows("source", weights[0], source is None)
        _need_two_rows("target", weights[1], target is None)
    return weights


def _need_two_rows(name: str, weight: Tensor, equal: bool) -> None:
    n_positive = len(weight) if equal else int((weight > 0).sum())
    if n_positive < 2:
        raise DataError(
            f"{name}: {n_positive} row of positive weight; two are needed"
            " (the biased MMD takes one)"
        )


def _pair_weights(weights: Pair, *, unbiased: bool, equal: bool) -> PairWeights:
    signed = torch.cat([weights[0], -weights[1]])
    levels = (1.0 / len(weights[0]), -1.0 / len(weights[1])) if equal else None
    if not unbiased:
        return PairWeights(signed, 1.0, 1.0, with_diagonal=True, levels=levels)
    # Σ_{i≠j} a_i a_j, where the a_i sum to 1.
    source, target = (1.0 / (1.0 - float(weight.square().sum())) for weight in weights)
    return PairWeights(signed, source, target, with_diagonal=False, levels=levels)
