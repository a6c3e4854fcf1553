"""Losses on log-odds, with rows that have no label."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def binary_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    weight: Tensor | None = None,
    positive_weight: float | Tensor = 1.0,
) -> Tensor:
    """Weighted mean of the cross-entropy over the rows that have a label.

    Parameters
    ----------
    logits
        (rows,) log-odds of label 1.
    labels
        (rows,) 1, 0, or −1 for rows without a label, which do not count.
    weight
        (rows,) non-negative weights; the mean divides by their sum over the labelled rows, so
        their scale does not matter.
    positive_weight
        Further factor on the weight of rows with label 1 (class weight), in the divisor too.

    Returns
    -------
    Tensor
        0-dimensional; 0 with a gradient of 0 where no row counts, never NaN.

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.losses import binary_cross_entropy
    >>> logits = torch.tensor([0.0, 0.0, 50.0])
    >>> round(float(binary_cross_entropy(logits, torch.tensor([1, 0, -1]))), 4)
    0.6931
    """
    known = labels >= 0
    truth = labels.clamp(min=0).to(logits.dtype)
    counts = known.to(logits.dtype) * (1.0 + (positive_weight - 1.0) * truth)
    if weight is not None:
        counts = counts * weight
    losses = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return (losses * counts).sum() / counts.sum().clamp_min(torch.finfo(counts.dtype).tiny)


def balanced_weight(labels: Tensor) -> Tensor:
    """Row weights that give both classes the same total and the labelled rows the mean 1.

    Use it where the rarer class would else be ignored; probabilities then refer to a base rate
    of one half and need to be corrected.

    Parameters
    ----------
    labels
        (rows,) 1, 0, or −1 for rows without a label (weight 0).

    Returns
    -------
    Tensor
        (rows,) float32. With one class only, its rows weigh 1.

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.losses import balanced_weight
    >>> balanced_weight(torch.tensor([1, 0, 0, 0, -1]))
    tensor([2.0000, 0.6667, 0.6667, 0.6667, 0.0000])
    """
    classes = torch.stack([labels == 0, labels == 1]).float()  # (classes, rows)
    totals = classes.sum(dim=1)
    share = totals.sum() / (totals.clamp_min(1.0) * (totals > 0).sum().clamp_min(1))
    return share @ classes


def binary_entropy(logits: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """Weighted mean entropy, in nats, of the probabilities that the logits stand for.

    As a term of a loss on rows without labels it pulls decisions away from crowded regions; it
    does so around wrong decisions too.

    Parameters
    ----------
    logits
        (rows,) log-odds.
    weight
        (rows,) non-negative weights.

    Returns
    -------
    Tensor
        0-dimensional, in [0, ln 2].

    References
    ----------
    Grandvalet, Bengio, "Semi-supervised learning by entropy minimization", NeurIPS 2004.

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.losses import binary_entropy
    >>> round(float(binary_entropy(torch.zeros(3))), 4)
    0.6931
    """
    entropy = functional.softplus(logits) - logits * torch.sigmoid(logits)
    if weight is None:
        return entropy.mean()
    return (entropy * weight).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)
