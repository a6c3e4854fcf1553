"""The loop of two sides: a generator against a discriminator, with every trick and every guard."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from thinfile.errors import DataError, TrainingError
from thinfile.generative.duel import Drawn as Drawn
from thinfile.generative.duel import Duel, Game
from thinfile.generative.gone_off import Watch
from thinfile.training.history import History, Record
from thinfile.training.loop import evaluating
from thinfile.training.progress import Progress, SilentProgress
from thinfile.training.stopping import Monitor, Snapshot, WeightAverage

MONITORED = "quality"


@dataclass
class Run:
    """One training of a GAN.

    Parameters
    ----------
    game : Game
        Both networks and how rows are drawn, made and judged; its ``measure`` gives ``quality``,
        ``spread`` and ``duplicates``.
    duel : Duel
        Makes the steps.
    n_steps : int
        Steps in all; a step updates both sides.
    steps_per_epoch : int
        For the records.
    n_checks : int
        Times that quality is measured.
    watch : Watch
        Notices that the run has gone off.
    weight_average : float
        Decay of the generator's moving average; 0 for none.
    restore_best : bool
        End with the weights of the best quality.
    progress : Progress, optional
    """

    game: Game
    duel: Duel
    n_steps: int
    steps_per_epoch: int
    n_checks: int
    watch: Watch
    weight_average: float = 0.0
    restore_best: bool = True
    progress: Progress = field(default_factory=SilentProgress)
    history: History = field(default_factory=History)
    gone_off: str | None = None

    def play(self) -> History:
        """Train; leave both networks in evaluation mode with the weights promised.

        Raises
        ------
        TrainingError
            If a loss is not finite before anything was measured, so that no weights are worth
            keeping. Later, the best weights are put back and `gone_off` says what happened.
        """
        game = self.game
        self._both = nn.ModuleDict({"g": game.generator, "d": game.discriminator})
        self._average = (
            WeightAverage(game.generator, self.weight_average) if self.weight_average else None
        )
        self._snapshot, self._monitor = Snapshot(self._both), Monitor("max")
        self._began = time.perf_counter(), time.process_time()
        self._both.train()
        self.progress.start(self.n_steps, "training")
        try:
            self._steps()
        except TrainingError as error:
            self._save_what_is_good(error)
        finally:
            self._settle()
            self.progress.finish()
        return self.history

    def _steps(self) -> None:
        every = max(1, self.n_steps // self.n_checks)
        for step in range(1, self.n_steps + 1):
            self.duel.step((step - 1) / self.n_steps)
            if self._average is not None:
                self._average.update()
            if step % every == 0 or step == self.n_steps:
                self.progress.advance(every)
                if reason := self._check(step):
                    self._stop(step, reason)
                    return
        self.history.stopped = f"all {self.n_steps} steps were run"

    def _check(self, step: int) -> str | None:
        """Measure and note; return what is wrong, or None."""
        record: Record = {
            "epoch": math.ceil(step / self.steps_per_epoch),
            "step": step,
            "seconds": time.perf_counter() - self._began[0],
            "cpu_seconds": time.process_time() - self._began[1],
            **self.duel.close(),
        }
        with self._average.in_place() if self._average else nullcontext():
            with evaluating(self._both):
                if self._average is not None:
                    settle_norms(self.game)
                measured = {name: float(v) for name, v in self.game.measure().items()}
            if not math.isfinite(measured.get(MONITORED, 0.0)):
                raise TrainingError(
                    f"what is made is not finite after step {step} ({self.duel.circumstances(1)})"
                )
            finite = {k: v if math.isfinite(v) else None for k, v in measured.items()}
            record |= finite
            self.history.records.append(record)
            if self._monitor.see(record.get(MONITORED), step):
                self._snapshot.take(step)
        self.history.best_step, self.history.best_value = (
            self._monitor.best_step,
            self._monitor.best,
        )
        return self.watch.see(record, step / self.n_steps)

    def _stop(self, step: int, reason: str) -> None:
        best = self._monitor.best
        kept = f"the weights of step {self._snapshot.step} (quality {best or 0:.3f}) are put back"
        self.gone_off = f"training went off at step {step} of {self.n_steps}: {reason}; {kept}"
        self.history.stopped = self.gone_off

    def _save_what_is_good(self, error: TrainingError) -> None:
        if self._monitor.best is None:
            self._snapshot.put_back()
            first = "; nothing was measured before, so the first weights are put back"
            raise TrainingError(f"{error}{first}") from None
        self._stop(self.duel.n_steps_done, str(error))

    def _settle(self) -> None:
        if self._monitor.best is not None and (self.restore_best or self.gone_off):
            self._snapshot.put_back()
        elif self._average is not None:
            self._average.put_in()
        self._both.eval()


def settle_norms(game: Game, n_batches: int = 8) -> None:
    """Let batch norm's running means be those of the present weights, which were averaged."""
    norms = [m for m in game.generator.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
        norm.train()
    with torch.no_grad():
        for _ in range(n_batches):
            game.make(game.latent(), game.draw())
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def latent(n_rows: int, width: int, spherical: bool, device: torch.device | None = None) -> Tensor:
    """Draw z, (rows, width): normal, or on the sphere that most of a normal lies near."""
    z = torch.randn(n_rows, width, device=device)
    return z * (width**0.5 / z.norm(dim=1, keepdim=True)) if spherical else z


def make_run(
    model: Any,
    game: Game,
    tricks: Mapping[str, Any],
    *,
    steps_per_epoch: int,
    betas: tuple[float, float],
    weight_decay: float = 0.0,
    natural: float = 0.0,
) -> Run:
    """The run that the constructor's arguments of a `TableGAN` or `DCGAN` describe."""
    rate: float = model.learning_rate
    duel = Duel(
        game,
        tricks,
        learning_rates=(model.discriminator_rate or rate, rate),
        betas=betas,
        weight_decay=weight_decay,
        n_discriminator_steps=model.n_discriminator_steps,
    )
    n_steps = model.max_epochs * steps_per_epoch
    return Run(
        game,
        duel,
        n_steps=min(model.max_steps or n_steps, n_steps),
        steps_per_epoch=steps_per_epoch,
        n_checks=model.n_checks,
        watch=Watch(tricks["loss"], tricks["soft_labels"], natural, model.patience),
        weight_average=tricks["weight_average"],
        restore_best=model.restore_best,
    )


def whole_packs(model: Any, n_rows: int, packing: int, what: str) -> int:
    """Rows of a batch: whole packs, no more than there are rows; a note if fewer than asked for.

    Raises
    ------
    DataError
        If there are not two packs.
    """
    if n_rows < 2 * packing:
        raise DataError(
            f"{type(model).__name__}: {n_rows} {what}, at least {2 * packing} are needed "
            f"(two packs of {packing})"
        )
    size: int = max(2 if packing == 1 else 1, min(model.batch_size, n_rows) // packing) * packing
    if model.batch_size > n_rows:
        model.notes_.append(
            f"batch_size={model.batch_size} is above the {n_rows} {what}: batches are of {size}"
        )
    return size
