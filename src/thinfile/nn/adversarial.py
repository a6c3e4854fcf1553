"""Adversarial alignment: a population classifier behind a reversed gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from thinfile.nn.blocks import Dense


def reverse_gradient(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Hand `x` on unchanged; on the way back, multiply its gradient by −alpha.

    Use it between a feature extractor and a head that the extractor shall work against. The
    gradient of everything behind it keeps its sign.

    Parameters
    ----------
    x
        Tensor of any shape.
    alpha
        How strongly the extractor works against the head: 0 not at all, 1 fully.

    Returns
    -------
    Tensor
        `x`.

    References
    ----------
    Ganin et al., "Domain-adversarial training of neural networks", JMLR 17 (2016).

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.adversarial import reverse_gradient
    >>> x = torch.ones(2, requires_grad=True)
    >>> reverse_gradient(x, 0.5).sum().backward()
    >>> x.grad
    tensor([-0.5000, -0.5000])
    """
    reversed_: Tensor = _ReverseGradient.apply(x, alpha)  # type: ignore[no-untyped-call]
    return reversed_


class PopulationClassifier(nn.Module):
    """Head that tells target rows from source rows, behind a reversed gradient.

    Use it with `binary_cross_entropy` on labels 1 (target) and 0 (source): it learns to tell
    the populations apart while the features in front of it learn to hide them. Like all aligning
    it does harm where the share of the event differs between the populations.

    Parameters
    ----------
    n_inputs
        Columns of the features.
    widths
        Units of its hidden layers; empty for a linear classifier.
    activation, dropout
        As in `Dense`.

    References
    ----------
    Ganin et al., "Domain-adversarial training of neural networks", JMLR 17 (2016).

    Examples
    --------
    >>> import torch
    >>> from thinfile.nn.adversarial import PopulationClassifier
    >>> PopulationClassifier(4, [8])(torch.zeros(3, 4), alpha=0.1).shape
    torch.Size([3])
    """

    def __init__(
        self,
        n_inputs: int,
        widths: Sequence[int] = (64,),
        *,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.body = Dense(n_inputs, widths, activation=activation, dropout=dropout)
        self.head = nn.Linear(self.body.width, 1)

    def forward(self, features: Tensor, alpha: float = 1.0) -> Tensor:
        """Log-odds of the target population.  # (rows, columns) -> (rows,)"""
        logit: Tensor = self.head(self.body(reverse_gradient(features, alpha)))
        return logit.squeeze(1)


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> Any:
        return -ctx.alpha * outer, None
