"""One step of a GAN: the discriminator's update, then the generator's, with the tricks between."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from thinfile.errors import TrainingError
from thinfile.generative.adversarial_losses import accuracies, discriminator_loss, generator_loss

MAX_REPEATS = 2
BUFFER_BATCHES = 20


@dataclass(frozen=True)
class Drawn:
    """A batch of real rows as the discriminator sees them, and the condition of each."""

    x: Tensor  # (rows, ...)
    condition: Tensor | None = None  # (rows, width)
    asked: Any = None  # what the game needs to hold made rows against the condition


class Game(Protocol):
    """What a GAN on tables and one on images do differently."""

    generator: nn.Module
    discriminator: nn.Module

    def draw(self) -> Drawn:
        """A batch of real rows."""

    def latent(self) -> Tensor:
        """As many z as a batch has rows."""

    def make(self, z: Tensor, drawn: Drawn) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Made rows under the condition of the drawn ones, and further terms to lower."""

    def judge(self, judge: nn.Module, x: Tensor, condition: Tensor | None) -> Tensor:
        """Score of each pack."""

    def slope(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Gradient of each pack's score by the pack, (packs, ...)."""

    def measure(self) -> Mapping[str, float]:
        """Quality, spread, duplicates and what else is to be followed."""


class Duel:
    """Both sides' updates.

    Parameters
    ----------
    game : Game
    tricks : mapping
        All of `tricks.TRICKS`, as `trick_values` gives them.
    learning_rates : (float, float)
        Discriminator's and generator's.
    betas : (float, float)
        Adam's.
    weight_decay : float
        Of the generator.
    n_discriminator_steps : int
        Updates of the discriminator for one of the generator.
    """

    def __init__(
        self,
        game: Game,
        tricks: Mapping[str, Any],
        *,
        learning_rates: tuple[float, float],
        betas: tuple[float, float],
        weight_decay: float = 0.0,
        n_discriminator_steps: int = 1,
    ) -> None:
        self.game, self.tricks = game, tricks
        self.n_discriminator_steps = n_discriminator_steps
        self.n_steps_done = 0
        own = list(game.discriminator.parameters()), list(game.generator.parameters())
        decays = 0.0, weight_decay
        self._own = own
        self._optimizers = [
            torch.optim.Adam(p, lr=rate, betas=betas, weight_decay=decay, fused=True)
            for p, rate, decay in zip(own, learning_rates, decays, strict=True)
        ]
        self._past = [_Past(p, tricks["historical_averaging"]) for p in own]
        self._target = copy.deepcopy(game.discriminator) if tricks["target_network"] else None
        self._buffer = _Buffer(tricks["replay"])
        self._sums: dict[str, list[float]] = {}

    def step(self, progress: float) -> None:
        """Update both sides; `progress` is the share of the run that is over."""
        self._noise = self.tricks["input_noise"] * (1 - progress)
        drawn, z, fake, terms = self._make()
        loss = self._lower_discriminator(drawn, fake.detach())
        limits = self.tricks["train_while_above"] or (math.inf, math.inf)
        for _ in range(self.n_discriminator_steps - 1):
            loss = self._another_for_discriminator()
        for _ in range(MAX_REPEATS):
            if loss <= limits[0]:
                break
            loss = self._another_for_discriminator()
        self._move_target()
        loss = self._lower_generator(drawn, z, fake, terms)
        for _ in range(MAX_REPEATS):
            if loss <= limits[1]:
                break
            loss = self._lower_generator(*self._make())
        self.n_steps_done += 1

    def close(self) -> dict[str, float]:
        """Learning rate, and the mean of all that was noted since the last call."""
        rates = {"learning_rate": self._optimizers[1].param_groups[0]["lr"]}
        means = {name: summed / count for name, (summed, count) in self._sums.items()}
        self._sums.clear()
        return rates | means

    def _make(self) -> tuple[Drawn, Tensor, Tensor, Mapping[str, Tensor]]:
        drawn, z = self.game.draw(), self.game.latent()
        return (drawn, z, *self.game.make(z, drawn))

    def _another_for_discriminator(self) -> float:
        with torch.no_grad():
            drawn, _, fake, _ = self._make()
        return self._lower_discriminator(drawn, fake)

    def _lower_discriminator(self, drawn: Drawn, fake: Tensor) -> float:
        fake, condition = self._buffer.mix(fake, drawn.condition)
        real_score, fake_score = self._scores(drawn, fake, condition)
        tricks = self.tricks
        loss = discriminator_loss(
            tricks["loss"],
            real_score,
            fake_score,
            soft=tricks["soft_labels"],
            noisy=tricks["noisy_labels"],
        )
        terms = {"discriminator_loss": loss}
        if tricks["gradient_penalty"]:
            terms["gradient_penalty"] = self._penalty(drawn, fake, condition)
        value = self._update(0, terms)
        right = accuracies(tricks["loss"], real_score, fake_score)
        self._note(accuracy_real=float(right[0]), accuracy_fake=float(right[1]))
        return value

    def _scores(
        self, drawn: Drawn, fake: Tensor, condition: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        judge = self.game.discriminator
        real, fake = self._blur(drawn.x), self._blur(fake)
        if self.tricks["separate_batches"]:
            score = self.game.judge(judge, real, drawn.condition)
            return score, self.game.judge(judge, fake, condition)
        pair = None
        if condition is not None and drawn.condition is not None:
            pair = torch.cat([drawn.condition, condition])
        both = self.game.judge(judge, torch.cat([real, fake]), pair)
        return both[: len(both) // 2], both[len(both) // 2 :]

    def _lower_generator(
        self, drawn: Drawn, z: Tensor, fake: Tensor, terms: Mapping[str, Tensor]
    ) -> float:
        judge = self.game.discriminator if self._target is None else self._target
        _freeze(judge, True)
        score = self.game.judge(judge, self._blur(fake), drawn.condition)
        loss = generator_loss(self.tricks["loss"], score)
        more = dict(terms)
        if self.tricks["diversity"]:
            more["diversity"] = -self.tricks["diversity"] * _diversity(z, fake)
        value = self._update(1, {"generator_loss": loss, **more})
        _freeze(judge, False)
        return value

    def _update(self, side: int, terms: Mapping[str, Tensor]) -> float:
        for name, term in terms.items():
            if not math.isfinite(value := float(term.detach())):
                raise TrainingError(
                    f"{name} is {value} at step {self.n_steps_done + 1} "
                    f"({self.circumstances(side)})"
                )
            self._note(**{name: value})
        optimizer = self._optimizers[side]
        optimizer.zero_grad()
        total = sum(terms.values())
        assert isinstance(total, Tensor)  # there is always a loss
        total.backward()  # type: ignore[no-untyped-call]
        self._past[side].pull()
        optimizer.step()
        return float(next(iter(terms.values())).detach())

    def _penalty(self, drawn: Drawn, fake: Tensor, condition: Tensor | None) -> Tensor:
        """Rows of one pack are mixed in the same proportion."""
        packing = self.tricks["packing"]
        shape = (len(fake) // packing, *[1] * (fake.ndim - 1))
        share = torch.rand(shape, device=fake.device).repeat_interleave(packing, 0)
        between = fake + share * (drawn.x - fake)
        mixed = condition
        if condition is not None and drawn.condition is not None:
            flat = share.reshape(-1, 1)
            mixed = condition + flat * (drawn.condition - condition)
        slope = self.game.slope(between, mixed).flatten(1)
        weight: float = self.tricks["gradient_penalty"]
        penalty: Tensor = weight * (slope.norm(dim=1) - 1).square().mean()
        return penalty

    def _blur(self, x: Tensor) -> Tensor:
        return x + self._noise * torch.randn_like(x) if self._noise else x

    def _move_target(self) -> None:
        if self._target is None:
            return
        with torch.no_grad():
            pairs = zip(
                self._target.state_dict().values(),
                self.game.discriminator.state_dict().values(),
                strict=True,
            )
            for slow, fast in pairs:
                if slow.is_floating_point():
                    slow.lerp_(fast, 1 - self.tricks["target_network"])

    def _note(self, **values: float) -> None:
        for name, value in values.items():
            entry = self._sums.setdefault(name, [0.0, 0.0])
            entry[0] += value
            entry[1] += 1

    def circumstances(self, side: int) -> str:
        """Learning rate of a side, and the largest gradient of both, for a message."""
        text = f"learning rate {self._optimizers[side].param_groups[0]['lr']:g}"
        both = (("discriminator", self.game.discriminator), ("generator", self.game.generator))
        sizes = [
            (float(p.grad.abs().max()), f"{name}.{part}")
            for name, module in both
            for part, p in module.named_parameters()
            if p.grad is not None
        ]
        if sizes:
            size, name = max(sizes, key=lambda each: (math.isnan(each[0]), each[0]))
            text += f", largest gradient of the last updates {size:.3g} in {name!r}"
        return text


class _Past:
    """Pulls weights towards the mean of all that they have been."""

    def __init__(self, parameters: list[nn.Parameter], weight: float) -> None:
        self._weight = weight
        self._parameters = parameters if weight else []
        self._means = [p.detach().clone() for p in self._parameters]
        self._n_seen = 1

    @torch.no_grad()
    def pull(self) -> None:
        self._n_seen += 1
        for parameter, mean in zip(self._parameters, self._means, strict=True):
            if parameter.grad is not None:
                parameter.grad.add_(parameter - mean, alpha=2 * self._weight)
            mean.lerp_(parameter, 1 / self._n_seen)


class _Buffer:
    """Made rows of earlier steps, some of which take the place of new ones."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._x: Tensor | None = None
        self._condition: Tensor | None = None
        self._n_batches = 0

    def mix(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor | None]:
        n_old = int(self._share * len(x))
        if not n_old:
            return x, condition
        old = self._take(n_old)
        self._put(x, condition)
        if old is None:
            return x, condition
        kept = len(x) - n_old
        mixed = torch.cat([x[:kept], old[0]])
        if condition is None or old[1] is None:
            return mixed, condition
        return mixed, torch.cat([condition[:kept], old[1]])

    def _take(self, n_rows: int) -> tuple[Tensor, Tensor | None] | None:
        if self._x is None:
            return None
        rows = torch.randint(len(self._x), (n_rows,))
        return self._x[rows], None if self._condition is None else self._condition[rows]

    def _put(self, x: Tensor, condition: Tensor | None) -> None:
        if self._x is None or self._n_batches < BUFFER_BATCHES:
            self._x = x if self._x is None else torch.cat([self._x, x])
            if condition is not None:
                before = self._condition
                self._condition = condition if before is None else torch.cat([before, condition])
            self._n_batches += 1
            return
        rows = torch.randint(len(self._x), (len(x),))
        self._x[rows] = x
        if condition is not None and self._condition is not None:
            self._condition[rows] = condition


def _freeze(module: nn.Module, frozen: bool) -> None:
    """Constants need no gradient: half the work of a generator's step."""
    for parameter in module.parameters():
        parameter.requires_grad_(not frozen)


def _diversity(z: Tensor, fake: Tensor) -> Tensor:
    """Distance of made rows to the next one of the batch by the distance of their z."""
    apart = (fake - fake.roll(1, 0)).abs().flatten(1).mean(1)
    return (apart / (z - z.roll(1, 0)).abs().mean(1)).mean()
