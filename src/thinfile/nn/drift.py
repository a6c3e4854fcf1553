"""How far two populations lie apart, as numbers to read: a permutation test, a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from thinfile.errors import DataError
from thinfile.metrics.ranking import roc_auc
from thinfile.nn.kernels import KernelShape, Width, kernel_layers
from thinfile.nn.mmd_tiles import Layer, TileKernel, blocks, tile_pairs
from thinfile.nn.populations import as_tensor, layer_pairs, refuse_not_finite, working
from thinfile.params import boolean, check_params, integer, one_of, real
from thinfile.random_state import RandomState, seed_from

Floats = NDArray[np.float64]
Pair = tuple[Tensor, Tensor]

FAR = 10.0
"""Standard deviations at which columns are cut off before they are squared."""


@dataclass(frozen=True)
class PermutationTest:
    """Result of `mmd_permutation_test`.

    Attributes
    ----------
    statistic : float
        MMD² of the populations as they are.
    p_value : float
        (1 + permutations that reach the statistic) / (1 + permutations).
    band : tuple of float
        The central part of the null distribution, `level` of it.
    null : (n_permutations,) array
        MMD² of the permuted populations.
    """

    statistic: float
    p_value: float
    band: tuple[float, float]
    null: Floats


def mmd_permutation_test(
    source: Any,
    target: Any,
    *,
    n_permutations: int = 500,
    level: float = 0.95,
    n_kernels: int = 5,
    base: float = 2.0,
    width: Width = None,
    kernel_weight: Sequence[float] | None = None,
    estimator: Literal["unbiased", "biased"] = "unbiased",
    random_state: RandomState = None,
) -> PermutationTest:
    """Test whether two samples come from one distribution, by MK-MMD and permuted populations.

    Use it as a measure of drift over all columns together, on columns of like scale. With many
    rows the smallest difference is significant: read the statistic against the band, not the
    p-value alone. Rows must be exchangeable, so it takes no row weights, and several rows of one
    customer make it too sure. All permutations share one pass over the pairs in tiles; 2,000 +
    2,000 rows and 500 permutations take about a second, time grows with the square of the rows.

    Parameters
    ----------
    source, target
        (rows, columns) arrays or tensors, at least two rows each.
    n_permutations
        At least 19; the p-value cannot fall below 1 / (1 + n_permutations).
    level
        Share of the null distribution in `band`, in (0, 1).
    n_kernels, base, width, kernel_weight, estimator
        As in `mk_mmd`. A data-driven width is that of the joined sample, the same for all
        permutations.
    random_state
        Seed or generator of the permutations.

    Returns
    -------
    PermutationTest

    Raises
    ------
    ParameterError, DataError
        As in `mk_mmd`.

    References
    ----------
    Gretton et al., "A kernel two-sample test", JMLR 13 (2012).
    Phipson, Smyth, "Permutation p-values should never be zero", 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from thinfile.nn.drift import mmd_permutation_test
    >>> rows = np.random.default_rng(0).normal(size=(200, 3))
    >>> mmd_permutation_test(rows[:100], rows[100:] + 1, random_state=0).p_value < 0.01
    True
    """
    values = {"n_permutations": n_permutations, "level": level, "estimator": estimator}
    rules = {
        "n_permutations": integer(19),
        "level": real(0.0, 1.0, bounds="()"),
        "estimator": one_of("unbiased", "biased"),
    }
    check_params("mmd_permutation_test", values, rules)
    shape = KernelShape.checked("mmd_permutation_test", n_kernels, base, width, kernel_weight)
    pair = _numeric_pair(source, target)
    _need_rows(pair, 2)
    membership = _memberships(pair, n_permutations, seed_from(random_state))
    draws = _permuted_mmd(pair, membership, shape, unbiased=estimator == "unbiased")
    statistic, null = float(draws[0]), draws[1:]
    # Equal sets of pairs summed in another order must count as reached.
    tolerance = 1e-7 * sum(shape.weights)
    p_value = (1 + int((null >= statistic - tolerance).sum())) / (1 + n_permutations)
    low, high = np.quantile(null, [(1 - level) / 2, (1 + level) / 2])
    return PermutationTest(statistic, p_value, (float(low), float(high)), null)


@dataclass(frozen=True)
class DomainDistance:
    """Result of `domain_distance`.

    Attributes
    ----------
    auc : float
        How well held-out rows are told apart: 0.5 not at all, 1 without fault.
    error : float
        Held-out error ε with both populations weighted alike, in [0, 1].
    proxy_a : float
        2 · (1 − 2ε), not below 0: 0 alike, 2 apart.
    probability : (source rows + target rows,) array
        Held-out probability that a row is of the target, at equal population weights.
    """

    auc: float
    error: float
    proxy_a: float
    probability: Floats


def domain_distance(
    source: Any,
    target: Any,
    *,
    n_folds: int = 5,
    l2: float = 1e-3,
    squares: bool = True,
    random_state: RandomState = None,
) -> DomainDistance:
    """Proxy A-distance: how well a logistic classifier tells held-out rows of two populations.

    Use it to see whether populations overlap before they are aligned: near an AUC of 1 there is
    nothing to align and importance weights collapse. A logistic classifier sees shifts of means,
    and of spread with `squares`; it is blind to what only a tree would find.

    Parameters
    ----------
    source, target
        (rows, columns) arrays or tensors, at least `n_folds` rows each. Columns are standardised
        by the training folds.
    n_folds
        At least 2; every row is scored by a classifier that did not see it.
    l2
        Penalty on the squared weights, 0 or more.
    squares
        Add the square of every standardised column.
    random_state
        Seed or generator of the folds.

    Returns
    -------
    DomainDistance

    Raises
    ------
    ParameterError, DataError
        An option breaks its rule; no rows, unequal columns, values that are not finite.

    References
    ----------
    Ben-David et al., "Analysis of representations for domain adaptation", NeurIPS 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from thinfile.nn.drift import domain_distance
    >>> rows = np.random.default_rng(0).normal(size=(200, 3))
    >>> domain_distance(rows[:100], rows[100:] + 5, random_state=0).auc > 0.99
    True
    """
    values = {"n_folds": n_folds, "l2": l2, "squares": squares}
    rules = {"n_folds": integer(2), "l2": real(0.0), "squares": boolean()}
    check_params("domain_distance", values, rules)
    pair = _numeric_pair(source, target)
    _need_rows(pair, n_folds)
    rows = torch.cat(pair).double()
    is_target = torch.ones(len(rows), dtype=torch.float64, device=rows.device)
    is_target[: len(pair[0])] = 0.0
    folds = _folds(pair, n_folds, seed_from(random_state)).to(rows.device)
    score = torch.empty_like(is_target)
    for fold in range(n_folds):
        held = folds == fold
        score[held] = _held_out_log_odds(rows, is_target, held, l2, squares=squares)
    return _distance(score, is_target)


def _numeric_pair(source: Any, target: Any) -> Pair:
    one, other = as_tensor("source", source), as_tensor("target", target)
    dtype = torch.promote_types(working(one).dtype, working(other).dtype)
    pair = layer_pairs(one.to(dtype), other.to(dtype))[0]
    if not all(bool(torch.isfinite(rows).all()) for rows in pair):
        refuse_not_finite([pair])
    return pair


def _need_rows(pair: Pair, n_rows: int) -> None:
    faults = [
        f"{name} has {len(rows)} rows, {n_rows} are needed"
        for name, rows in zip(("source", "target"), pair, strict=True)
        if len(rows) < n_rows
    ]
    if faults:
        raise DataError("; ".join(faults))


def _memberships(pair: Pair, n_permutations: int, seed: int) -> Tensor:
    """Which rows are the source: as they are, then permuted.  # (rows, 1 + permutations)"""
    generator = np.random.default_rng(seed)
    n_source = len(pair[0])
    n_rows = n_source + len(pair[1])
    members = np.zeros((n_rows, 1 + n_permutations), dtype=bool)
    members[:n_source, 0] = True
    for i in range(1, 1 + n_permutations):
        members[generator.permutation(n_rows)[:n_source], i] = True
    return torch.from_numpy(members).to(pair[0].device)


def _permuted_mmd(pair: Pair, members: Tensor, shape: KernelShape, *, unbiased: bool) -> Floats:
    layer = kernel_layers([pair], shape)[0]
    n_source, n_target = len(pair[0]), len(pair[1])
    within, row_sums = _pair_sums(layer, members, n_source, with_diagonal=not unbiased)
    # All pairs are known; those of the target and between follow without another pass.
    reached = members.T.double() @ row_sums
    across = reached - within
    target = row_sums.sum() - reached - across
    off = 1 if unbiased else 0
    draws = (
        within / (n_source * (n_source - off))
        + target / (n_target * (n_target - off))
        - 2.0 * across / (n_source * n_target)
    )
    return np.asarray(draws.cpu().numpy(), dtype=np.float64)


def _pair_sums(
    layer: Layer, members: Tensor, n_source: int, *, with_diagonal: bool
) -> tuple[Tensor, Tensor]:
    """Kernel sums within the source of each permutation, and of each row with all rows."""
    parts = blocks(n_source, len(members) - n_source, members.device)
    tile = TileKernel([layer], parts, with_slope=False)
    inside = [members[part.rows].to(layer.right.dtype) for part in parts]
    within = torch.zeros(members.shape[1], dtype=torch.float64, device=members.device)
    row_sums = torch.zeros(len(members), dtype=torch.float64, device=members.device)
    for one, other in tile_pairs(parts):
        kernel = tile.values(one, other, with_diagonal=with_diagonal)
        shares = (inside[one.index] * (kernel @ inside[other.index])).sum(dim=0)
        within.add_(shares, alpha=1.0 if one is other else 2.0)
        row_sums[one.rows] += kernel.sum(dim=1)
        if one is not other:
            row_sums[other.rows] += kernel.sum(dim=0)
    return within * layer.bank.gain, row_sums * layer.bank.gain


def _folds(pair: Pair, n_folds: int, seed: int) -> Tensor:
    """Fold of every row, each population spread evenly.  # (rows,)"""
    generator = np.random.default_rng(seed)
    spread = [generator.permutation(np.arange(len(rows)) % n_folds) for rows in pair]
    return torch.from_numpy(np.concatenate(spread))


def _held_out_log_odds(
    rows: Tensor, is_target: Tensor, held: Tensor, l2: float, *, squares: bool
) -> Tensor:
    mean, spread = rows[~held].mean(dim=0), rows[~held].std(dim=0)
    scaled = (rows - mean) / torch.where(spread > 0, spread, 1.0)
    # A single far value must not outweigh all others once it is squared.
    scaled = scaled.clamp(-FAR, FAR)
    design = torch.cat([scaled, scaled.square() - 1.0], dim=1) if squares else scaled
    coefficients = _logistic(design[~held], is_target[~held], l2)
    return design[held] @ coefficients[1:] + coefficients[0]


def _logistic(design: Tensor, is_target: Tensor, l2: float) -> Tensor:
    """Intercept and coefficients, both populations weighted alike.  # (1 + columns,)"""
    share = is_target.mean()
    weight = torch.where(is_target == 1, 0.5 / share, 0.5 / (1.0 - share)) / len(is_target)
    with torch.enable_grad():
        coefficients = design.new_zeros(1 + design.shape[1]).requires_grad_()
        solver = torch.optim.LBFGS(
            [coefficients], max_iter=200, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
        )

        def loss() -> Tensor:
            solver.zero_grad()
            logits = design @ coefficients[1:] + coefficients[0]
            value = binary_cross_entropy_with_logits(logits, is_target, weight, reduction="sum")
            value = value + l2 * coefficients[1:].square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        solver.step(loss)  # type: ignore[no-untyped-call]
    return coefficients.detach()


def _distance(score: Tensor, is_target: Tensor) -> DomainDistance:
    missed = [(score[is_target == 1] <= 0), (score[is_target == 0] > 0)]
    error = sum(float(miss.double().mean()) for miss in missed) / 2
    return DomainDistance(
        auc=roc_auc(is_target.cpu().numpy(), score.cpu().numpy()),
        error=error,
        proxy_a=max(0.0, 2.0 * (1.0 - 2.0 * error)),
        probability=np.asarray(torch.sigmoid(score).cpu().numpy(), dtype=np.float64),
    )
