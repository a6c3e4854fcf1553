"""Phases of training, and the updates that they make in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from thinfile.errors import ParameterError, TrainingError
from thinfile.training.batches import Batch
from thinfile.training.schedules import Schedule
from thinfile.training.stopping import Plateau

Terms = Mapping[str, torch.Tensor]

# Reading a loss makes a GPU wait, so it is done for many steps at once anywhere but on the CPU.
_STEPS_BETWEEN_LOOKS = {"cpu": 1}


@dataclass(frozen=True)
class Phase:
    """One optimiser and the loss it lowers; several phases take turns, batch by batch.

    A plain network has one phase. A GAN has two: each turn takes the next batch and updates only
    the weights that the phase's own optimiser holds; meanwhile the others are constants.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Steps once per turn. Optimisers that need a closure (LBFGS) are not for this loop.
    loss : callable
        From a batch to named terms, each a tensor of a single number, in one forward pass.
        Names differ between phases.
    weights : mapping, optional
        Factor of each term in the sum that is lowered; 1.0 where none is named. A callable is a
        schedule: it gets the updates done so far, of all phases together.
    n_steps : int, default 1
        Turns in a row before the next phase has its turn.
    clip_norm : float, optional
        Scale the gradient down to this norm where it is longer.
    learning_rate : callable, optional
        A schedule that sets the optimiser's learning rate before each of its turns. A plateau
        reduction multiplies it.
    """

    optimizer: torch.optim.Optimizer
    loss: Callable[[Batch], Terms]
    weights: Mapping[str, float | Schedule] = field(default_factory=dict)
    n_steps: int = 1
    clip_norm: float | None = None
    learning_rate: Schedule | None = None


@dataclass(frozen=True)
class Fault:
    """The first loss term of a stretch that was not finite."""

    term: str
    value: float
    step: int


class Ledger:
    """The terms of each step, and their sums since the last record."""

    def __init__(self) -> None:
        self._pending: list[tuple[int, tuple[str, ...], list[torch.Tensor]]] = []
        self.last_step = 0  # whose terms were added
        self._sums: dict[str, list[float]] = {}

    def add(self, step: int, terms: Terms, total: torch.Tensor) -> None:
        self.last_step = step
        values = [value.detach() for value in terms.values()]
        self._pending.append((step, (*terms, "total"), [*values, total.detach()]))

    def look(self) -> Fault | None:
        """Bring the pending terms over to the sums, and return the first that is not finite."""
        if not self._pending:
            return None
        tensors = [value for _, _, values in self._pending for value in values]
        numbers = iter(torch.stack(tensors).tolist())
        fault = None
        for step, names, _ in self._pending:
            for name, number in zip(names, numbers, strict=False):
                if fault is None and not math.isfinite(number):
                    fault = Fault(name, number, step)
                entry = self._sums.setdefault(name, [0.0, 0.0])
                entry[0] += number
                entry[1] += 1
        self._pending.clear()
        return fault

    def close(self) -> dict[str, float]:
        """Return the mean of each term since the last call, the total at the end."""
        means = {name: summed / count for name, (summed, count) in self._sums.items()}
        self._sums.clear()
        total = means.pop("total")
        return {**means, "total": total}


class Turns:
    """The phases of one run in the order of their turns; `take` makes one update."""

    def __init__(self, module: nn.Module, phases: list[Phase], precision: str) -> None:
        self.module = module
        self.phases = phases
        self.step = 0  # updates done
        self.n_finite = 0  # steps whose loss was read and found finite
        self._order = [i for i, phase in enumerate(phases) for _ in range(phase.n_steps)]
        self._own = [parameters_of(phase.optimizer) for phase in phases]
        self._trainable = {p for own in self._own for p in own if p.requires_grad}
        self._in_turn = -1
        self._owner_of_term: dict[str, int] = {}
        self._rate_factor = 1.0
        device = self._own[0][0].device.type
        self.ledger = Ledger()
        self._look_every = _STEPS_BETWEEN_LOOKS.get(device, 50)
        self._precision: AbstractContextManager[Any] = nullcontext()
        if precision == "bfloat16":
            self._precision = torch.autocast(device, dtype=torch.bfloat16)

    def take(self, batch: Batch) -> None:
        """Let the phase whose turn it is make one update."""
        index = self._order[self.step % len(self._order)]
        phase = self.phases[index]
        if index != self._in_turn:
            self._hand_over(index)
        if phase.learning_rate is not None:
            self._set_rate(phase, phase.learning_rate(self.step) * self._rate_factor)
        with self._precision:
            terms = phase.loss(batch)
            if self.step < len(self._order):
                self._check_terms(index, terms)
            total = _weighted_sum(terms, phase.weights, self.step)
        self.ledger.add(self.step + 1, terms, total)
        if self.step % self._look_every == 0:
            self.look()  # before the update, so that a bad loss spoils no weight
        phase.optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        if phase.clip_norm is not None:
            _clip(self._own[index], phase.clip_norm)
        phase.optimizer.step()
        self.step += 1

    def look(self) -> None:
        """Raise if a loss has not been finite since the last look."""
        seen = self.ledger.last_step
        fault = self.ledger.look()
        if fault is None:
            self.n_finite = seen
            return
        self.n_finite = fault.step - 1
        raise TrainingError(
            f"loss term {fault.term!r} is {fault.value} at step {fault.step} "
            f"({self.circumstances()})"
        )

    def look_after(self, batch: Batch) -> None:
        """Raise if a loss of the present weights is not finite; nothing is drawn or changed."""
        device = self._own[0][0].device
        forked = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=forked), self._precision:
            for phase in self.phases:
                for term, loss in phase.loss(batch).items():
                    value = float(loss.detach())
                    if not math.isfinite(value):
                        raise TrainingError(
                            f"loss term {term!r} is {value} after step {self.step} "
                            f"({self.circumstances()})"
                        )

    def check_weights(self) -> None:
        """Raise if the last update made a weight that is not finite: no loss has shown it yet."""
        weights = [p.detach() for own in self._own for p in own if p.numel()]
        largest = torch.stack([n.float() for n in torch._foreach_norm(weights, math.inf)])
        if not bool(torch.isfinite(largest).all()):
            raise TrainingError(
                f"a weight is not finite after step {self.step} ({self.circumstances()})"
            )

    def learning_rates(self) -> dict[str, float]:
        """Return the present rate of each phase, the first one's under the plain name."""
        names = ["learning_rate", *(f"learning_rate_{i + 2}" for i in range(len(self.phases)))]
        return {
            name: float(phase.optimizer.param_groups[0]["lr"])
            for name, phase in zip(names, self.phases, strict=False)
        }

    def scheduled_weights(self) -> dict[str, float]:
        """Return the weights that follow a schedule, as they were at the last update."""
        return {
            f"weight_{term}": float(weight(max(self.step - 1, 0)))
            for phase in self.phases
            for term, weight in phase.weights.items()
            if callable(weight)
        }

    def slow_down(self, plateau: Plateau) -> None:
        """Reduce every learning rate."""
        self._rate_factor *= plateau.factor
        for phase in self.phases:
            for group in phase.optimizer.param_groups:
                reduced = max(group["lr"] * plateau.factor, plateau.minimum)
                group["lr"] = min(group["lr"], reduced)

    def release(self) -> None:
        """Let every weight be trainable again that was so at the start."""
        for parameter in self._trainable:
            parameter.requires_grad_(True)

    def _hand_over(self, index: int) -> None:
        """Make the other phases' weights constants: their gradients would be for nothing."""
        self._in_turn = index
        if len(self.phases) > 1:
            own = set(self._own[index])
            for parameter in self._trainable:
                parameter.requires_grad_(parameter in own)

    def _set_rate(self, phase: Phase, rate: float) -> None:
        for group in phase.optimizer.param_groups:
            group["lr"] = rate

    def _check_terms(self, index: int, terms: Terms) -> None:
        owner = f"phase {index + 1}"
        faults = [
            f"term {name!r} has shape {tuple(value.shape)}, must be a single number"
            for name, value in terms.items()
            if value.ndim
        ]
        unknown = sorted(set(self.phases[index].weights) - set(terms))
        if unknown or not terms:
            faults.append(f"weights name {unknown}, the loss gives {list(terms)}")
        for name in terms:
            if self._owner_of_term.setdefault(name, index) != index or name == "total":
                faults.append(f"term {name!r} is a name already taken")
        if faults:
            raise ParameterError(f"train: {owner}: " + "; ".join(faults))

    def circumstances(self) -> str:
        """Learning rate of each phase, and the largest gradient, for a message."""
        gradients = [
            (float(_values(p.grad).abs().max()), name)
            for name, p in self.module.named_parameters()
            if p.grad is not None and _values(p.grad).numel()
        ]
        text = self._rates()
        if not gradients:
            return f"{text}, no gradient yet: look at the data or the first weights"
        size, name = max(gradients, key=lambda entry: (math.isnan(entry[0]), entry[0]))
        return f"{text}, largest gradient of the last update {size:.3g} in {name!r}"

    def _rates(self) -> str:
        rates = [f"{phase.optimizer.param_groups[0]['lr']:g}" for phase in self.phases]
        if len(rates) == 1:
            return f"learning rate {rates[0]}"
        lowered = [
            [term for term, owner in self._owner_of_term.items() if owner == index]
            for index in range(len(rates))
        ]
        each = [
            f"{rate} of {', '.join(names) or f'phase {index}'}"
            for index, (rate, names) in enumerate(zip(rates, lowered, strict=True), start=1)
        ]
        return f"learning rates {'; '.join(each)}"


def _weighted_sum(terms: Terms, weights: Mapping[str, float | Schedule], step: int) -> torch.Tensor:
    total: torch.Tensor | None = None
    for name, value in terms.items():
        weight = weights.get(name, 1.0)
        factor = weight(step) if callable(weight) else weight
        part = value if factor == 1.0 else factor * value
        total = part if total is None else total + part
    assert total is not None  # an empty mapping is refused at the first turn
    return total


def _clip(parameters: list[nn.Parameter], longest: float) -> None:
    """Scale the gradient down to a norm; torch's own routine does not know sparse gradients."""
    moved = [p for p in parameters if p.grad is not None]
    sparse = [p for p in moved if p.grad is not None and p.grad.is_sparse]
    if not sparse:
        nn.utils.clip_grad_norm_(moved, longest)
        return
    for parameter in sparse:
        assert parameter.grad is not None
        # A row that was looked up twice has one gradient, the sum.
        parameter.grad = parameter.grad.coalesce()
    gradients = [
        p.grad.values() if p.grad.is_sparse else p.grad for p in moved if p.grad is not None
    ]
    total = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (longest / (total + 1e-6)).clamp(max=1.0))


def _values(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """Return what an optimiser trains, over all of its groups."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
