"""What a training loop costs per step, beside a bare PyTorch loop, skorch and Lightning.

``python benchmarks/loop.py`` writes ``benchmarks/results/loop.md``. The peers run in the
interpreter that PEERS_PYTHON names (with torch of the same version, skorch and lightning in it)
and are "not installed" where there is none.

Network 291-256-64-1 (sigmoid), Adam, one thread. All loops run in every repetition, one after
the other, and each is compared with a bare loop run just before it in the same process; the
median of these ratios counts. Times are CPU time per step from the second epoch on, so that
nobody pays for setting up.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

N_ROWS, N_FEATURES = 20_480, 291
BATCH_SIZES = (512, 128)
N_EPOCHS = {512: 3, 128: 2}
RESULT = Path(__file__).parent / "results" / "loop.md"

BARE = "bare PyTorch loop"
BATCHES = {
    BARE: "index slices",
    "bare loop, torch's default Adam": "index slices",
    "thinfile `train`": "index slices",
    "thinfile `train`, averaged weights": "index slices",
    "thinfile `train`, two terms and a schedule": "index slices",
    "skorch, our batches": "index slices",
    "skorch": "its DataLoader",
    "Lightning, our batches": "index slices",
    "Lightning": "its DataLoader",
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(N_FEATURES, 256), nn.Sigmoid(), nn.Linear(256, 64), nn.Sigmoid(), nn.Linear(64, 1)
    )


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N_ROWS, N_FEATURES, generator=generator)
    return x, (x[:, :1] + torch.randn(N_ROWS, 1, generator=generator) > 0).float()


class Slices:
    """Permuted index slices, as the bare loop has them."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, batch_size: int) -> None:
        self.x, self.y, self.batch_size = x, y, batch_size

    def __len__(self) -> int:
        return N_ROWS // self.batch_size

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = torch.randperm(N_ROWS)
        for start in range(0, N_ROWS, self.batch_size):
            rows = order[start : start + self.batch_size]
            yield self.x.index_select(0, rows), self.y.index_select(0, rows)


def fused_adam(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)


Clock = list[float]
"""CPU time at the end of each epoch."""


def bare(batch_size: int, clock: Clock, *, fused: bool = True) -> None:
    net, criterion = network(), nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)
    batches = Slices(*data(), batch_size)
    for _ in range(N_EPOCHS[batch_size]):
        for x, y in batches:
            optimizer.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()
        clock.append(time.process_time())


def thinfile(batch_size: int, clock: Clock, *, two_terms: bool = False, **options: Any) -> None:
    from thinfile.training.batches import TensorBatches
    from thinfile.training.loop import train
    from thinfile.training.optimizer import adam
    from thinfile.training.phase import Phase
    from thinfile.training.schedules import dann_ramp

    net, criterion = network(), nn.BCEWithLogitsLoss()
    weights = {"size": dann_ramp(1000)} if two_terms else {}

    def loss(batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
        logit = net(batch[0])
        terms = {"loss": criterion(logit, batch[1])}
        return {**terms, "size": logit.square().mean()} if two_terms else terms

    train(
        net,
        Phase(adam(net.parameters(), 1e-3), loss, weights),
        TensorBatches(data(), batch_size),
        max_epochs=N_EPOCHS[batch_size],
        on_check=lambda record: clock.append(time.process_time()),
        **options,
    )


def skorch(batch_size: int, clock: Clock, *, own_loader: bool) -> None:
    from skorch import NeuralNet
    from skorch.callbacks import Callback

    class Watch(Callback):  # type: ignore[misc]
        def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
            clock.append(time.process_time())

    x, y = data()
    options: dict[str, Any] = {"iterator_train__shuffle": True}
    if not own_loader:
        options = {"iterator_train": lambda dataset, batch_size, **rest: Slices(x, y, batch_size)}
    NeuralNet(
        network(),
        nn.BCEWithLogitsLoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=1e-3,
        batch_size=batch_size,
        max_epochs=N_EPOCHS[batch_size],
        train_split=None,
        verbose=0,
        callbacks=[Watch()],
        **options,
    ).fit(x, y)


def lightning(batch_size: int, clock: Clock, *, own_loader: bool) -> None:
    import lightning as pl
    from torch.utils.data import DataLoader, TensorDataset

    class Task(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net, self.criterion = network(), nn.BCEWithLogitsLoss()

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            loss: torch.Tensor = self.criterion(self.net(batch[0]), batch[1])
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return fused_adam(self.net)

        def on_train_epoch_end(self) -> None:
            clock.append(time.process_time())

    rows = data()
    loader = DataLoader(TensorDataset(*rows), batch_size=batch_size, shuffle=True)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    pl.Trainer(
        accelerator="cpu",
        max_epochs=N_EPOCHS[batch_size],
        enable_model_summary=False,
        **quiet,
    ).fit(Task(), loader if own_loader else Slices(*rows, batch_size))


LOOPS: dict[str, Callable[[int, Clock], None]] = {
    BARE: bare,
    "bare loop, torch's default Adam": lambda b, c: bare(b, c, fused=False),
    "thinfile `train`": thinfile,
    "thinfile `train`, averaged weights": lambda b, c: thinfile(b, c, average=0.99),
    "thinfile `train`, two terms and a schedule": lambda b, c: thinfile(b, c, two_terms=True),
    "skorch, our batches": lambda b, c: skorch(b, c, own_loader=False),
    "skorch": lambda b, c: skorch(b, c, own_loader=True),
    "Lightning, our batches": lambda b, c: lightning(b, c, own_loader=False),
    "Lightning": lambda b, c: lightning(b, c, own_loader=True),
}


def milliseconds_per_step(name: str, batch_size: int) -> float:
    clock: Clock = []
    LOOPS[name](batch_size, clock)
    n_steps = (len(clock) - 1) * (N_ROWS // batch_size)
    return 1000 * (clock[-1] - clock[0]) / n_steps


def work() -> None:
    """Run what standard input asks for, one request per line, until it ends."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        try:
            answer: Any = milliseconds_per_step(*json.loads(line))
        except ImportError:
            answer = None
        print(json.dumps(answer), file=answers, flush=True)


class Worker:
    """A process of its own for each interpreter, asked one measurement at a time."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, __file__, "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            text=True,
        )

    def ask(self, name: str, batch_size: int) -> float | None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, batch_size]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the process that ran {name!r} ended")
        time_per_step: float | None = json.loads(answer)
        return time_per_step


Times = dict[str, list[tuple[float, float]]]
"""By loop: ms per step of it and of the bare loop just before, once per repetition."""


def measure(n_repetitions: int, batch_size: int, workers: dict[str, Worker]) -> Times:
    times: Times = {}
    for repetition in range(n_repetitions + 1):
        for name, worker in ((n, w) for n in BATCHES if (w := workers.get(_place(n)))):
            pair = worker.ask(BARE, batch_size), worker.ask(name, batch_size)
            if repetition and pair[0] is not None and pair[1] is not None:  # the first warms up
                times.setdefault(name, []).append((pair[1], pair[0]))
    return times


def _place(name: str) -> str:
    return "peers" if name.startswith(("skorch", "Lightning")) else "ours"


def table(times: Times, batch_size: int) -> str:
    lines = [
        f"## Batches of {batch_size} rows",
        "",
        "| loop | batches | ms per step | µs beside the bare loop | ratio to it (middle half) |",
        "|---|---|---|---|---|",
    ]
    for name, kind in BATCHES.items():
        if name in times:
            lines.append(_row(name, kind, times[name]))
        else:
            lines.append(f"| {name} | {kind} | not installed | | |")
    return "\n".join(lines)


def _row(name: str, kind: str, pairs: list[tuple[float, float]]) -> str:
    ratios = [own / bare_time for own, bare_time in pairs]
    extra = 1000 * statistics.median(own - bare_time for own, bare_time in pairs)
    low, _, high = statistics.quantiles(ratios, n=4)
    middle = f"{statistics.median(ratios):.3f} ({low:.3f}–{high:.3f})"
    own_time = statistics.median(own for own, _ in pairs)
    return f"| {name} | {kind} | {own_time:.2f} | {extra:+.0f} | {middle} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work()
    workers = {"ours": Worker(sys.executable)}
    if peers := os.environ.get("PEERS_PYTHON"):
        workers["peers"] = Worker(peers)
    tables = [table(measure(arguments.repetitions, size, workers), size) for size in BATCH_SIZES]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    intro = (
        "# The training loop per step\n\n"
        "`PEERS_PYTHON=… python benchmarks/loop.py`: CPU time, one thread, fused Adam unless said, "
        f"{arguments.repetitions} interleaved repetitions, medians; {machine}. Each "
        "ratio is to a bare loop run just before in the same process."
    )
    text = "\n\n".join([intro, *tables]) + "\n"
    RESULT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
