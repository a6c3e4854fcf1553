"""The training loop that all methods share: one function, with the losses handed in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from thinfile import params
from thinfile.errors import DataError, ParameterError, TrainingError
from thinfile.training.batches import Batch, Batches
from thinfile.training.history import History, Record
from thinfile.training.phase import Phase as Phase
from thinfile.training.phase import Turns, parameters_of
from thinfile.training.progress import Progress, SilentProgress
from thinfile.training.stopping import Monitor, Plateau, Snapshot, WeightAverage


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode without gradients, then each part back as it was."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def train(
    module: nn.Module,
    phases: Phase | Sequence[Phase],
    batches: Batches,
    *,
    max_epochs: int,
    check: Callable[[], Mapping[str, float]] | None = None,
    check_every: int | None = None,
    monitor: str | None = None,
    mode: Literal["max", "min"] = "max",
    patience: int | None = None,
    min_delta: float = 0.0,
    restore_best: bool = True,
    plateau: Plateau | None = None,
    average: float | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
    progress: Progress | None = None,
    on_check: Callable[[Record], bool | None] | None = None,
) -> History:
    """Train a module until it stops getting better or ``max_epochs`` have passed.

    The module is left in evaluation mode, with the best weights where something was monitored.
    Random numbers come from torch's global generator: call it within `seeded`, and small networks
    on a CPU within `lean_cpu` (both in ``thinfile.training.device``).

    Parameters
    ----------
    module : nn.Module
        Holds every weight that the phases train; several networks go into one ``ModuleDict``.
    phases : Phase or sequence of Phase
        What is lowered, in the order of turns.
    batches : Batches
        Walked over once per epoch, so it must be re-iterable: `TensorBatches`, `PairedBatches`
        or anything with ``__iter__`` and ``__len__``.
    max_epochs : int
        At least 1.
    check : callable, optional
        Gives named validation metrics. It runs in evaluation mode without gradients, and on
        averaged weights if there are any.
    check_every : int, optional
        Steps between two checks; once per epoch by default. The last step is always checked.
    monitor : str, optional
        The metric of ``check``, or the term of the training loss, that decides.
    mode : {"max", "min"}, default "max"
        Whether the monitored quantity is to rise or to fall.
    patience : int, optional
        Stop after this many checks in a row without a rise of more than ``min_delta``.
    min_delta : float, default 0.0
        0 or more, in the unit of the monitored quantity.
    restore_best : bool, default True
        Keep the weights of the best check (one copy, in memory) and put them back at the end.
    plateau : Plateau, optional
        Reduce the learning rates when the monitored quantity stays flat.
    average : float, optional
        Decay of an exponential moving average of the weights, above 0 and below 1. Checks and
        the final module use the average.
    precision : {"float32", "bfloat16"}, default "float32"
        The losses' products in bfloat16 (torch's autocast), with the weights in float32. It pays
        for wide layers on hardware that knows the format, not for small networks.
    progress : Progress, optional
        Told how far the run is; silence by default.
    on_check : callable, optional
        Gets each record as it is made; returning True ends the run.

    Returns
    -------
    History
        One record per check.

    Raises
    ------
    ParameterError
        If an argument breaks its rule, a weight names an unknown term, or ``monitor`` is not
        measured.
    DataError
        If an epoch has no batch.
    TrainingError
        If a loss, a weight or the monitored metric is not finite, also after the last step. The
        last good weights are in the module then: of the best check, or, if nothing is monitored,
        of the latest check that a finite loss came after.
    KeyboardInterrupt
        As it came in, after the best weights were put back.

    Examples
    --------
    >>> from thinfile.training.batches import TensorBatches
    >>> net, x = nn.Linear(2, 1), torch.randn(64, 2)
    >>> phase = Phase(
    ...     torch.optim.SGD(net.parameters(), lr=0.1),
    ...     loss=lambda rows: {"square": (net(rows[0]) - rows[1]).square().mean()},
    ... )
    >>> history = train(net, phase, TensorBatches((x, x.sum(1, keepdim=True)), 16), max_epochs=3)
    >>> len(history), history.stopped
    (3, 'all 3 epochs were run')
    """
    phases = [phases] if isinstance(phases, Phase) else list(phases)
    _check_arguments(locals())
    run = _Run(
        turns=Turns(module, phases, precision),
        check=check,
        monitor_name=monitor,
        monitor=Monitor(mode, min_delta),
        patience=patience,
        restores=restore_best and monitor is not None,
        plateau=plateau,
        average=None if average is None else WeightAverage(module, average),
        progress=progress or SilentProgress(),
        on_check=on_check,
        snapshot=Snapshot(module),
    )
    return run.through(batches, max_epochs, check_every)


@dataclass
class _Run:
    """One call of `train`: its parts, and how far it is."""

    turns: Turns
    check: Callable[[], Mapping[str, float]] | None
    monitor_name: str | None
    monitor: Monitor
    patience: int | None
    restores: bool
    plateau: Plateau | None
    average: WeightAverage | None
    progress: Progress
    on_check: Callable[[Record], bool | None] | None
    snapshot: Snapshot
    latest: Snapshot | None = None  # of the last check, where nothing is monitored
    is_unproven: bool = False  # whether the loss after that is still to come
    last_batch: Batch = None
    history: History = field(default_factory=History)
    epoch: int = 0
    n_untold: int = 0
    began: float = field(default_factory=time.perf_counter)
    began_cpu: float = field(default_factory=time.process_time)

    def through(self, batches: Batches, max_epochs: int, check_every: int | None) -> History:
        """Train to the end, and leave the module as promised however the run ends."""
        module = self.turns.module
        module.train()
        self.progress.start(max_epochs * len(batches), "training")
        try:
            reason = self._epochs(batches, max_epochs, check_every)
            self.history.stopped = reason or f"all {max_epochs} epochs were run"
            self._settle()
            self._check_end()
        except TrainingError as error:
            self._prove()
            self.snapshot.put_back()
            put_back = f"; the weights of step {self.snapshot.step} are put back"
            raise TrainingError(f"{error}{put_back}") from None
        except KeyboardInterrupt:
            self._settle()
            raise
        finally:
            self.turns.release()
            module.eval()
            self.progress.finish()
        return self.history

    def _epochs(self, batches: Batches, max_epochs: int, check_every: int | None) -> str | None:
        turns = self.turns
        n_checked = 0
        tell_every = max(1, max_epochs * len(batches) // 200)
        for self.epoch in range(1, max_epochs + 1):
            n_before = turns.step
            for batch in batches:
                turns.take(batch)
                self.last_batch = batch
                self._prove()
                if self.average is not None:
                    self.average.update()
                self.n_untold += 1
                if self.n_untold == tell_every:
                    self._tell()
                if check_every is not None and turns.step % check_every == 0:
                    n_checked = turns.step
                    if reason := self._record():
                        return reason
            if turns.step == n_before:
                raise DataError(
                    f"train: epoch {self.epoch} has no batch; batches must be re-iterable"
                )
            last = self.epoch == max_epochs and n_checked < turns.step
            if (check_every is None or last) and (reason := self._record()):
                return reason
        return None

    def _record(self) -> str | None:
        """Measure, note and judge; return why to stop, or None to go on."""
        self.turns.look()
        self.turns.check_weights()
        self._prove()
        with self.average.in_place() if self.average else nullcontext():
            record = self._measure()
            self.history.records.append(record)
            better = self._is_better(record)
            if better and self.restores:
                self.snapshot.take(self.turns.step)
            elif self.monitor_name is None:
                self._keep_latest()
        self._tell(record)
        stop = self.on_check is not None and self.on_check(record) is True
        return "on_check asked for it" if stop else self._judge()

    def _measure(self) -> Record:
        record: Record = {
            "epoch": self.epoch,
            "step": self.turns.step,
            "seconds": time.perf_counter() - self.began,
            "cpu_seconds": time.process_time() - self.began_cpu,
            **self.turns.learning_rates(),
            **self.turns.ledger.close(),
            **self.turns.scheduled_weights(),
        }
        if self.check is None:
            return record
        metrics = self._metrics(self.check)
        if taken := sorted(set(metrics) & set(record)):
            raise ParameterError(f"train: check gives {taken}, names that the record has already")
        monitored = metrics.get(self.monitor_name or "", 0.0)
        if not math.isfinite(monitored):
            raise TrainingError(
                f"{self.monitor_name} is {monitored} after step {self.turns.step} "
                f"({self.turns.circumstances()})"
            )
        finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        return {**record, **finite}

    def _metrics(self, check: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        try:
            with evaluating(self.turns.module):
                return {name: float(value) for name, value in check().items()}
        except DataError:
            self._look_after()  # what cannot be ranked is often no more than not finite
            raise

    def _is_better(self, record: Record) -> bool:
        if self.monitor_name is None:
            return True
        if self.monitor_name not in record:
            raise ParameterError(
                f"train: monitor={self.monitor_name!r} must be one of {', '.join(record)}"
            )
        better = self.monitor.see(record[self.monitor_name], self.turns.step)
        self.history.best_step = self.monitor.best_step
        self.history.best_value = self.monitor.best
        return better

    def _judge(self) -> str | None:
        n_flat = self.monitor.n_checks_flat
        if self.patience is not None and n_flat >= self.patience:
            return f"{self.monitor_name} did not get better in {n_flat} checks"
        if self.plateau is not None and n_flat and n_flat % self.plateau.patience == 0:
            self.turns.slow_down(self.plateau)
        return None

    def _tell(self, record: Record | None = None) -> None:
        value = (record or {}).get(self.monitor_name or "total")
        shown = {} if value is None else {self.monitor_name or "total": float(value)}
        self.progress.advance(self.n_untold, **shown)
        self.n_untold = 0

    def _keep_latest(self) -> None:
        if self.latest is None:
            self.latest = Snapshot(self.turns.module)
        self.latest.take(self.turns.step)
        self.is_unproven = True

    def _prove(self) -> None:
        """Take the last check's weights for good ones, once a loss of theirs was finite."""
        if self.latest and self.is_unproven and self.turns.n_finite > self.latest.step:
            self.snapshot, self.latest = self.latest, self.snapshot
            self.is_unproven = False

    def _check_end(self) -> None:
        """Raise if the weights to end with have a loss that is not finite."""
        if self.restores and self.check is not None:
            return  # they have a finite metric
        self._look_after()

    def _look_after(self) -> None:
        with evaluating(self.turns.module), torch.enable_grad():
            self.turns.look_after(self.last_batch)

    def _settle(self) -> None:
        """Give the module the weights that it is to end with."""
        if self.restores and self.monitor.best is not None:
            self.snapshot.put_back()
        elif self.average is not None:
            self.average.put_in()


_RULES = {
    "module": params.instance(nn.Module),
    "max_epochs": params.integer(1),
    "check_every": params.optional(params.integer(1)),
    "monitor": params.optional(params.instance(str)),
    "mode": params.one_of("max", "min"),
    "patience": params.optional(params.integer(1)),
    "min_delta": params.real(0),
    "plateau": params.optional(params.instance(Plateau)),
    "average": params.optional(params.real(0, 1, bounds="()")),
    "precision": params.one_of("float32", "bfloat16"),
}


def _check_arguments(arguments: Mapping[str, Any]) -> None:
    params.check_params("train", arguments, _RULES)
    faults = [] if arguments["phases"] else ["phases is empty, at least one is needed"]
    needing = [name for name in ("patience", "plateau") if arguments[name] is not None]
    if needing and arguments["monitor"] is None:
        faults.append(f"{' and '.join(needing)} need monitor, the name of what is to get better")
    held = {id(parameter) for parameter in arguments["module"].parameters()}
    for number, phase in enumerate(arguments["phases"], start=1):
        faults += [f"phase {number}: {fault}" for fault in _faults_of(phase, held)]
    if faults:
        raise ParameterError("train: " + "; ".join(faults))


def _faults_of(phase: Phase, held: set[int]) -> Iterator[str]:
    if phase.n_steps < 1:
        yield f"n_steps is {phase.n_steps!r}, must be at least 1"
    if phase.clip_norm is not None and not phase.clip_norm > 0:
        yield f"clip_norm is {phase.clip_norm!r}, must be above 0"
    if strays := sum(id(p) not in held for p in parameters_of(phase.optimizer)):
        yield f"its optimizer holds {strays} parameters that are not in the module"
