"""Adam as it runs fastest, with weight decay said in full."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


def adam(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
    learning_rate: float,
    weight_decay: float = 0.0,
    *,
    decoupled: bool = False,
) -> torch.optim.Optimizer:
    """Return Adam in its fused form, which updates all weights in one pass.

    Parameters
    ----------
    parameters : iterable of nn.Parameter or of parameter groups
        What to train.
    learning_rate : float
        Above 0; 1e-3 is the usual start.
    weight_decay : float, default 0.0
        0 or more. As it stands, it is an L2 penalty of ``weight_decay / 2 · ‖w‖²`` on the loss:
        its gradient goes through Adam's scaling, so weights with small gradients shrink most.
        This is what papers with "Adam and weight decay" before 2019 mean.
    decoupled : bool, default False
        Shrink each weight by ``learning_rate · weight_decay`` of itself instead, beside Adam's
        step (AdamW). The same number means something else then: useful values are 10 to 1,000
        times larger.

    References
    ----------
    Kingma and Ba, Adam, ICLR 2015. Loshchilov and Hutter, Decoupled weight decay
    regularization, ICLR 2019.

    Examples
    --------
    >>> optimizer = adam(nn.Linear(3, 1).parameters(), 1e-3, weight_decay=1e-5)
    >>> type(optimizer).__name__
    'Adam'
    """
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    return kind(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)
