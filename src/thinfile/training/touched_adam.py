"""Adam whose cost does not grow with the number of ids: only rows that a batch touched move."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from thinfile import params
from thinfile.nn.fused_embedding import large_table, sum_by_row
from thinfile.params import check_params


class TouchedAdam(torch.optim.Optimizer):
    """Adam that updates, of parameters with sparse gradients, the touched rows alone.

    Use it for tables of more than about 100,000 ids (`FusedEmbedding` with ``sparse_gradient``).
    It is no free swap for a small table: Adam's averages of a row stand still while no batch names
    it, and so does the L2 penalty. On Frappe (5,382 ids) that costs about 0.001 of test AUC.
    Parameters with dense gradients get torch's fused Adam.

    Parameters
    ----------
    parameters : iterable of nn.Parameter or of parameter groups
        What to train, float32. A group may set ``lr``, ``weight_decay``, ``betas``, ``eps``.
    learning_rate : float, default 1e-3
        0 or more.
    weight_decay : float, default 0.0
        0 or more: an L2 penalty of ``weight_decay / 2 · ‖w‖²``, on touched rows only.
    betas : tuple of float, default (0.9, 0.999)
        Decay of the averages of the gradient and its square, each in [0, 1). The correction for
        their start at 0 goes by the steps of the whole parameter, not of the row.
    eps : float, default 1e-8
        Above 0.

    Raises
    ------
    ParameterError
        An argument breaks its rule.

    References
    ----------
    Kingma and Ba, Adam, ICLR 2015. The lazy form is that of TensorFlow's LazyAdamOptimizer and of
    torch.optim.SparseAdam (which knows no L2 penalty and takes no dense gradient).

    Examples
    --------
    >>> table = nn.Embedding(1000, 4, sparse=True)
    >>> before = table.weight.detach().clone()
    >>> optimizer = TouchedAdam(table.parameters(), 0.1)
    >>> table(torch.tensor([7, 7, 2])).sum().backward()
    >>> optimizer.step()
    >>> (table.weight != before).any(dim=1).nonzero().flatten().tolist()
    [2, 7]
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        values = {
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "betas": betas,
            "eps": eps,
        }
        check_params("TouchedAdam", values, _RULES)
        defaults = {"lr": learning_rate, "weight_decay": weight_decay, "betas": betas, "eps": eps}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make one update.

        Parameters
        ----------
        closure
            As in torch: computes the loss anew, with gradients.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            dense = [p for p in moved if not p.grad.is_sparse]
            if dense:
                self._update_dense(dense, group)
            for parameter in moved:
                if parameter.grad.is_sparse:
                    self._update_rows(parameter, group)
        return loss

    def _update_dense(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        states = [self._state_of(parameter) for parameter in parameters]
        _fused_adam(
            parameters,
            [p.grad for p in parameters if p.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [state["step"] for state in states],
            group,
        )

    def _update_rows(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self._state_of(parameter)
        rows, gradient = _touched(parameter.grad)
        tables = [parameter, state["exp_avg"], state["exp_avg_sq"]]
        compact = [table.index_select(0, rows) for table in tables]
        _fused_adam([compact[0]], [gradient], [compact[1]], [compact[2]], [state["step"]], group)
        for table, part in zip(tables, compact, strict=True):
            table.index_copy_(0, rows, part)

    def _state_of(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"] = _zeros_like(parameter)
            state["exp_avg_sq"] = _zeros_like(parameter)
        return state


def _touched(gradient: Tensor | None) -> tuple[Tensor, Tensor]:
    """The distinct rows of a sparse gradient, rising, and the gradient of each."""
    assert gradient is not None
    rows, values = gradient._indices()[0], gradient._values()
    return (rows, values) if gradient.is_coalesced() else sum_by_row(rows, values)


def _fused_adam(
    weights: list[Tensor],
    gradients: list[Tensor],
    averages: list[Tensor],
    squares: list[Tensor],
    steps: list[Tensor],
    group: dict[str, Any],
) -> None:
    torch._foreach_add_(steps, 1)
    torch._fused_adam_(
        weights,
        gradients,
        averages,
        squares,
        [],
        steps,
        lr=float(group["lr"]),
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=False,
        maximize=False,
    )


def _zeros_like(parameter: Tensor) -> Tensor:
    if parameter.device.type == "cpu" and parameter.ndim == 2:
        return large_table(*parameter.shape).to(parameter.dtype)
    return torch.zeros_like(parameter)


_RULES = {
    "learning_rate": params.real(0),
    "weight_decay": params.real(0),
    "betas": params.sequence_of(params.real(0, 1, bounds="[)"), min_length=2),
    "eps": params.real(0, bounds="()"),
}
