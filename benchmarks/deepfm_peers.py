"""DeepFM of thinfile and of three other libraries, each in a process of its own, on the same data.

The parts that `deepfm_speed.py` and `deepfm_batches.py` share: made-up tables of ids, a training
step or a stream of batches of each library, and the processes that are asked for them in turn.
"""

from __future__ import annotations

import io
import itertools
import json
import logging
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import Tensor, nn

BATCH, DIM, WIDTHS = 4096, 10, (256, 128)
N_BATCHES = 20
RESULT = Path(__file__).parent / "results" / "deepfm_speed.md"

Steps = Callable[[int], float]
"""Runs so many steps and returns the CPU-seconds that they took."""


@dataclass(frozen=True)
class Shape:
    """A data set: fields of equal size, ids drawn evenly or as Zipf (probability ~ 1 / rank)."""

    n_fields: int
    n_ids: int
    draw: str

    @property
    def size(self) -> int:
        return self.n_ids // self.n_fields

    def codes(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        u = torch.rand(N_BATCHES * BATCH, self.n_fields, generator=generator)
        if self.draw == "even":
            return (u * self.size).to(torch.int32).clamp_(max=self.size - 1)
        rank = torch.exp(u * math.log(self.size + 1)).to(torch.int64) - 1
        # Ranks are scattered over the table: ids are numbered as they come, not by frequency.
        step = next(s for s in range(self.size * 5 // 8 + 1, 2 * self.size) if _coprime(s, self))
        return (rank.clamp_(0, self.size - 1) * step % self.size).to(torch.int32)

    def labels(self) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return (torch.rand(N_BATCHES * BATCH, generator=generator) < 0.3).float()

    def __str__(self) -> str:
        ids = f"{self.n_ids:,}"
        return f"{self.n_fields} fields, {ids} ids, {self.draw} draw"


def _coprime(step: int, shape: Shape) -> bool:
    return math.gcd(step, shape.size) == 1


def timed(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


class Watched:
    """`TensorBatches` cut short, which notes the CPU time from the first batch to the last."""

    def __init__(self, batches: Any) -> None:
        self.batches, self.n_steps, self.seconds = batches, 0, 0.0

    def __len__(self) -> int:
        return self.n_steps

    def __iter__(self) -> Iterator[Any]:
        began = time.process_time()
        for _, batch in zip(range(self.n_steps), self.batches, strict=False):
            yield batch
        self.seconds = time.process_time() - began


def thinfile(shape: Shape, *, touched: bool, precision: str = "float32") -> Steps:
    from thinfile.nn.interaction import DeepFMNetwork
    from thinfile.training.batches import TensorBatches
    from thinfile.training.loop import train
    from thinfile.training.optimizer import adam
    from thinfile.training.phase import Phase
    from thinfile.training.touched_adam import TouchedAdam

    net = DeepFMNetwork(
        0,
        [shape.size] * shape.n_fields,
        dim=DIM,
        widths=WIDTHS,
        norm=None,
        sparse_gradient=touched,
    )
    kind = TouchedAdam if touched else adam
    criterion, empty = nn.BCEWithLogitsLoss(), torch.zeros(BATCH, 0)
    phase = Phase(
        kind(net.parameters(), 1e-3), lambda b: {"loss": criterion(net(empty, b[0]), b[1])}
    )
    watched = Watched(TensorBatches((shape.codes(), shape.labels()), BATCH))

    def steps(n_steps: int) -> float:
        watched.n_steps = n_steps
        train(net, phase, watched, max_epochs=1, precision=precision, restore_best=False)  # type: ignore[arg-type]
        return watched.seconds

    return steps


def products(shape: Shape, *, precision: str = "float32") -> Steps:
    net = nn.Sequential(
        nn.Linear(shape.n_fields * DIM, 256),
        nn.ReLU(),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Linear(128, 1),
    )
    x = torch.randn(BATCH, shape.n_fields * DIM, requires_grad=True)
    kind = torch.bfloat16

    def steps(n_steps: int) -> float:
        def run() -> None:
            for _ in range(n_steps):
                net.zero_grad()
                x.grad = None
                with torch.autocast("cpu", dtype=kind, enabled=precision == "bfloat16"):
                    total = net(x).sum()
                total.backward()

        return timed(run)

    return steps


def deepctr(shape: Shape, *, fused: bool) -> Steps:
    from deepctr_torch.inputs import SparseFeat
    from deepctr_torch.models import DeepFM

    columns = [SparseFeat(f"c{i}", shape.size, DIM) for i in range(shape.n_fields)]
    model = DeepFM(columns, columns, dnn_hidden_units=WIDTHS, l2_reg_linear=0, l2_reg_embedding=0)
    optimizer: Any = torch.optim.Adam(model.parameters(), fused=True) if fused else "adam"
    model.compile(optimizer, "binary_crossentropy")
    model.train()
    x, y = shape.codes().float(), shape.labels()
    ready = list(zip(x.split(BATCH), y.split(BATCH), strict=True))

    def step(x: Tensor, y: Tensor) -> None:  # the body of its `fit`, without metrics
        predicted = model(x.float()).squeeze(-1)
        model.optim.zero_grad()
        loss = model.loss_func(predicted, y.float(), reduction="sum")
        total = loss + model.get_regularization_loss() + model.aux_loss
        loss.item(), total.item()
        total.backward()
        model.optim.step()

    return lambda n_steps: timed(lambda: [step(*batch) for batch in ready[:n_steps]])


def fuxictr(shape: Shape, *, fused: bool) -> Steps:
    from fuxictr.features import FeatureMap
    from fuxictr.pytorch.layers import FactorizationMachine, FeatureEmbedding, MLP_Block
    from fuxictr.pytorch.models import BaseModel

    class DeepFM(BaseModel):  # type: ignore[misc]
        """Its model zoo's DeepFM, which is not in the package, from the package's layers."""

        def __init__(self, feature_map: Any) -> None:
            super().__init__(feature_map, model_root="", metrics=["AUC"], verbose=0)
            self.embedding_layer = FeatureEmbedding(feature_map, DIM)
            self.fm = FactorizationMachine(feature_map)
            self.mlp = MLP_Block(shape.n_fields * DIM, list(WIDTHS), output_dim=1)
            self.compile("adam", "binary_crossentropy", 1e-3)
            self.reset_parameters()

        def forward(self, inputs: Any) -> dict[str, Tensor]:
            x = self.get_inputs(inputs)
            factors = self.embedding_layer(x)
            logit = self.fm(x, factors) + self.mlp(factors.flatten(start_dim=1))
            return {"y_pred": self.output_activation(logit)}

    names = [f"c{i}" for i in range(shape.n_fields)]
    feature_map = FeatureMap("benchmark", ".")
    feature_map.labels, feature_map.num_fields = ["y"], shape.n_fields
    feature_map.features.update(
        {name: {"type": "categorical", "source": "", "vocab_size": shape.size} for name in names}
    )
    model = DeepFM(feature_map)
    model._max_gradient_norm = 10.0
    if fused:
        model.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    model.train()
    ready = [dict(zip(names, x.unbind(1), strict=True)) | {"y": y} for x, y in _pairs(shape)]
    return lambda n_steps: timed(lambda: [model.train_step(b).item() for b in ready[:n_steps]])


def rechub(shape: Shape, *, fused: bool) -> Steps:
    from torch_rechub.basic.features import SparseFeature
    from torch_rechub.models.ranking import DeepFM
    from torch_rechub.trainers import CTRTrainer

    names = [f"c{i}" for i in range(shape.n_fields)]
    features = [SparseFeature(name, shape.size, DIM) for name in names]
    mlp = {"dims": list(WIDTHS), "dropout": 0, "activation": "relu"}
    options = {"lr": 1e-3, "weight_decay": 0} | ({"fused": True} if fused else {})
    trainer = CTRTrainer(DeepFM(features, features, mlp), optimizer_params=options)
    ready = [(dict(zip(names, x.unbind(1), strict=True)), y) for x, y in _pairs(shape)]
    return lambda n_steps: timed(lambda: trainer.train_one_epoch(ready[:n_steps]))


def _pairs(shape: Shape) -> list[tuple[Tensor, Tensor]]:
    x, y = shape.codes().long(), shape.labels()
    return list(zip(x.split(BATCH), y.split(BATCH), strict=True))


VARIANTS: dict[str, Callable[[Shape], Steps]] = {
    "thinfile, fused Adam": lambda s: thinfile(s, touched=False),
    "thinfile, `TouchedAdam`": lambda s: thinfile(s, touched=True),
    "thinfile, fused Adam, bfloat16": lambda s: thinfile(s, touched=False, precision="bfloat16"),
    "thinfile, `TouchedAdam`, bfloat16": lambda s: thinfile(s, touched=True, precision="bfloat16"),
    "products alone": products,
    "products alone, bfloat16": lambda s: products(s, precision="bfloat16"),
    "FuxiCTR": lambda s: fuxictr(s, fused=False),
    "FuxiCTR, fused Adam put in": lambda s: fuxictr(s, fused=True),
    "DeepCTR-Torch": lambda s: deepctr(s, fused=False),
    "DeepCTR-Torch, fused Adam given": lambda s: deepctr(s, fused=True),
    "torch-rechub": lambda s: rechub(s, fused=False),
    "torch-rechub, fused Adam given": lambda s: rechub(s, fused=True),
}


def work(variant: str, shape: Shape) -> None:
    """Build one variant, then answer each number of steps with their time and the peak memory."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    answers = sys.stdout
    silence = io.StringIO()
    with redirect_stdout(silence), redirect_stderr(silence):
        try:
            steps = VARIANTS[variant](shape)
        except ImportError:
            steps = None
        for line in sys.stdin:
            answer = None
            if steps is not None:
                seconds = steps(int(line))
                answer = [seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]
            print(json.dumps(answer), file=answers, flush=True)


class Worker:
    """One variant in a process of its own."""

    def __init__(self, variant: str, shape: Shape) -> None:
        ours = variant.startswith(("thinfile", "products"))
        python = sys.executable if ours else os.environ.get("PEERS_PYTHON", sys.executable)
        fields = [variant, str(shape.n_fields), str(shape.n_ids), shape.draw]
        self.variant, self.megabytes = variant, 0.0
        self.process = subprocess.Popen(
            [python, __file__, "--worker", *fields],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, n_steps: int) -> float | None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{n_steps}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the process of {self.variant!r} ended")
        if (answer := json.loads(line)) is None:
            return None
        self.megabytes = answer[1]
        return 1000 * answer[0] / n_steps

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@dataclass(frozen=True)
class Measured:
    """Of one variant: ms per step of each round, and the peak memory."""

    ms: list[float]
    megabytes: float

    @property
    def median(self) -> float:
        return statistics.median(self.ms)


def measure(
    variants: list[tuple[str, Shape]], n_rounds: int, n_steps: int
) -> dict[tuple[str, Shape], Measured]:
    """Ask all variants in turn, `n_rounds` times after a round of warming up."""
    workers = {key: Worker(*key) for key in variants}
    times: dict[tuple[str, Shape], list[float]] = {}
    for number in range(n_rounds + 1):
        for key, worker in workers.items():
            ms = worker.ask(n_steps)
            if ms is not None and number:
                times.setdefault(key, []).append(ms)
    for worker in workers.values():
        worker.end()
    return {key: Measured(ms, workers[key].megabytes) for key, ms in times.items()}


