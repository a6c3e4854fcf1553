"""DeepFM of thinfile and of three other libraries on the same made-up data.

For `deepfm_speed.py` and `deepfm_batches.py`: tables of ids, and for each library and setting a
function that runs so many training steps, or takes so many batches, and returns the CPU-seconds.
"""

from __future__ import annotations

import itertools
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import Tensor, nn

BATCH, DIM, WIDTHS = 4096, 10, (256, 128)
RESULT = Path(__file__).parent / "results" / "deepfm_speed.md"

Steps = Callable[[int], float]
"""Runs so many steps and returns the CPU-seconds that they took."""


@dataclass(frozen=True)
class Shape:
    """A data set: fields of equal size, ids drawn evenly or as Zipf (probability ~ 1 / rank)."""

    n_fields: int
    n_ids: int
    draw: str
    n_batches: int = 20

    @property
    def size(self) -> int:
        return self.n_ids // self.n_fields

    @property
    def n_rows(self) -> int:
        return self.n_batches * BATCH

    @property
    def names(self) -> list[str]:
        return [f"c{i}" for i in range(self.n_fields)]

    def codes(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        u = torch.rand(self.n_rows, self.n_fields, generator=generator)
        if self.draw == "even":
            return (u * self.size).to(torch.int32).clamp_(max=self.size - 1)
        rank = torch.exp(u * math.log(self.size + 1)).to(torch.int64) - 1
        # Ranks are scattered over the table: ids are numbered as they come, not by frequency.
        step = next(s for s in range(self.size * 5 // 8 + 1, 2 * self.size) if _coprime(s, self))
        return (rank.clamp_(0, self.size - 1) * step % self.size).to(torch.int32)

    def labels(self) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return (torch.rand(self.n_rows, generator=generator) < 0.3).float()

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
    watched = Watched(tensor_batches(shape))

    def steps(n_steps: int) -> float:
        watched.n_steps = n_steps
        train(net, phase, watched, max_epochs=1, precision=precision, restore_best=False)  # type: ignore[arg-type]
        return watched.seconds

    return steps


def tensor_batches(shape: Shape, *, columns: bool = False) -> Any:
    from thinfile.training.batches import TensorBatches

    codes = shape.codes()
    parts = tuple(c.contiguous() for c in codes.unbind(1)) if columns else (codes,)
    return TensorBatches((*parts, shape.labels()), BATCH)


def products(shape: Shape, *, precision: str = "float32") -> Steps:
    """The network's matrix products and activations, forwards and backwards, and nothing else."""
    sizes = [shape.n_fields * DIM, *WIDTHS]
    layers = [(nn.Linear(a, b), nn.ReLU()) for a, b in itertools.pairwise(sizes)]
    net = nn.Sequential(*itertools.chain(*layers), nn.Linear(sizes[-1], 1))
    x = torch.randn(BATCH, sizes[0], requires_grad=True)

    def step() -> None:
        net.zero_grad()
        x.grad = None
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            total = net(x).sum()
        total.backward()

    return lambda n_steps: timed(lambda: [step() for _ in range(n_steps)])


def deepctr(shape: Shape, *, fused: bool = False, whole: bool = False) -> Steps:
    """Its step on ready batches, or (`whole`) its `fit`, which makes its own loader."""
    from deepctr_torch.inputs import SparseFeat
    from deepctr_torch.models import DeepFM

    columns = [SparseFeat(f"c{i}", shape.size, DIM) for i in range(shape.n_fields)]
    model = DeepFM(columns, columns, dnn_hidden_units=WIDTHS, l2_reg_linear=0, l2_reg_embedding=0)
    optimizer: Any = torch.optim.Adam(model.parameters(), fused=True) if fused else "adam"
    model.compile(optimizer, "binary_crossentropy")
    model.train()
    codes, y = shape.codes(), shape.labels()
    if whole:
        return lambda n: timed(
            lambda: model.fit(
                [c.numpy() for c in codes[: n * BATCH].unbind(1)],
                y[: n * BATCH].numpy(),
                batch_size=BATCH,
                verbose=0,
            )
        )
    ready = list(zip(codes.float().split(BATCH), y.split(BATCH), strict=True))
    return lambda n_steps: timed(lambda: [_deepctr_step(model, *b) for b in ready[:n_steps]])


def _deepctr_step(model: Any, x: Tensor, y: Tensor) -> None:
    """The body of the loop in its `fit`, without metrics."""
    predicted = model(x.float()).squeeze(-1)
    model.optim.zero_grad()
    loss = model.loss_func(predicted, y.float(), reduction="sum")
    total = loss + model.get_regularization_loss() + model.aux_loss
    loss.item(), total.item()
    total.backward()
    model.optim.step()


def fuxictr(shape: Shape, *, fused: bool = False, whole: bool = False) -> Steps:
    """Its `train_step` on ready batches, or (`whole`) its `train_epoch` with its loader."""
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

    model = DeepFM(_feature_map(shape))
    model._max_gradient_norm, model._eval_steps = 10.0, 10**9  # as its `fit` sets them
    model._total_steps, model._stop_training = 0, False
    if fused:
        model.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    model.train()
    if whole:
        loader = fuxictr_loader(shape)
        return lambda n: timed(lambda: model.train_epoch(itertools.islice(loader, n)))
    ready = [dict(zip(shape.names, x.unbind(1), strict=True)) | {"y": y} for x, y in _pairs(shape)]
    return lambda n_steps: timed(lambda: [model.train_step(b).item() for b in ready[:n_steps]])


def _feature_map(shape: Shape) -> Any:
    from fuxictr.features import FeatureMap

    feature_map = FeatureMap("benchmark", ".")
    feature_map.labels, feature_map.num_fields = ["y"], shape.n_fields
    kind = {"type": "categorical", "source": "", "vocab_size": shape.size}
    feature_map.features.update(dict.fromkeys(shape.names, kind))
    return feature_map


def fuxictr_loader(shape: Shape) -> Any:
    from fuxictr.pytorch.dataloaders.npz_dataloader import NpzDataLoader

    columns = dict(zip(shape.names, shape.codes().numpy().T, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "rows.npz")
        np.savez(path, y=shape.labels().numpy(), **columns)  # type: ignore[arg-type]
        return NpzDataLoader(_feature_map(shape), path, BATCH, shuffle=True, num_workers=0)


def rechub(shape: Shape, *, fused: bool = False, whole: bool = False) -> Steps:
    """Its trainer's epoch on ready batches, or (`whole`) with its loader."""
    from torch_rechub.basic.features import SparseFeature
    from torch_rechub.models.ranking import DeepFM
    from torch_rechub.trainers import CTRTrainer

    features = [SparseFeature(name, shape.size, DIM) for name in shape.names]
    mlp = {"dims": list(WIDTHS), "dropout": 0, "activation": "relu"}
    options = {"lr": 1e-3, "weight_decay": 0} | ({"fused": True} if fused else {})
    trainer = CTRTrainer(DeepFM(features, features, mlp), optimizer_params=options)
    if whole:
        loader = rechub_loader(shape)
        return lambda n: timed(lambda: trainer.train_one_epoch(itertools.islice(loader, n)))
    ready = [(dict(zip(shape.names, x.unbind(1), strict=True)), y) for x, y in _pairs(shape)]
    return lambda n_steps: timed(lambda: trainer.train_one_epoch(ready[:n_steps]))


def rechub_loader(shape: Shape) -> Any:
    from torch_rechub.utils.data import DataGenerator

    x = dict(zip(shape.names, (c.numpy().copy() for c in shape.codes().unbind(1)), strict=True))
    y = shape.labels().numpy()
    few = {name: column[:2] for name, column in x.items()}
    rest = {"x_val": few, "y_val": y[:2], "x_test": few, "y_test": y[:2]}
    return DataGenerator(x, y).generate_dataloader(batch_size=BATCH, **rest)[0]


def torch_loader(shape: Shape, *, by_list: bool) -> Any:
    """torch's loader as in its tutorials, or with whole lists of rows at once."""
    from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

    rows = TensorDataset(shape.codes(), shape.labels())
    if not by_list:
        return DataLoader(rows, batch_size=BATCH, shuffle=True)
    sampler = BatchSampler(RandomSampler(rows), BATCH, drop_last=False)
    return DataLoader(rows, sampler=sampler, batch_size=None)


def walk(batches: Any) -> Steps:
    """Ask for so many batches and do nothing with them."""
    return lambda n: timed(lambda: [len(batch) for batch in itertools.islice(batches, n)])


def _pairs(shape: Shape) -> list[tuple[Tensor, Tensor]]:
    x, y = shape.codes().long(), shape.labels()
    return list(zip(x.split(BATCH), y.split(BATCH), strict=True))


TRAINING: dict[str, Callable[[Shape], Steps]] = {
    "thinfile, fused Adam": lambda s: thinfile(s, touched=False),
    "thinfile, `TouchedAdam`": lambda s: thinfile(s, touched=True),
    "thinfile, fused Adam, bfloat16": lambda s: thinfile(s, touched=False, precision="bfloat16"),
    "thinfile, `TouchedAdam`, bfloat16": lambda s: thinfile(s, touched=True, precision="bfloat16"),
    "products alone": products,
    "products alone, bfloat16": lambda s: products(s, precision="bfloat16"),
    "FuxiCTR, own loader": lambda s: fuxictr(s, whole=True),
    "FuxiCTR, ready batches": fuxictr,
    "FuxiCTR, ready batches, fused Adam put in": lambda s: fuxictr(s, fused=True),
    "DeepCTR-Torch, own loader": lambda s: deepctr(s, whole=True),
    "DeepCTR-Torch, ready batches": deepctr,
    "DeepCTR-Torch, ready batches, fused Adam": lambda s: deepctr(s, fused=True),
    "torch-rechub, own loader": lambda s: rechub(s, whole=True),
    "torch-rechub, ready batches": rechub,
    "torch-rechub, ready batches, fused Adam": lambda s: rechub(s, fused=True),
}
LOADING: dict[str, Callable[[Shape], Steps]] = {
    "thinfile `TensorBatches`, one int32 matrix": lambda s: walk(tensor_batches(s)),
    "thinfile `TensorBatches`, a tensor per column": lambda s: walk(
        tensor_batches(s, columns=True)
    ),
    "torch `DataLoader`": lambda s: walk(torch_loader(s, by_list=False)),
    "torch `DataLoader`, lists of rows": lambda s: walk(torch_loader(s, by_list=True)),
    "FuxiCTR `NpzDataLoader`": lambda s: walk(fuxictr_loader(s)),
    "torch-rechub `DataGenerator`": lambda s: walk(rechub_loader(s)),
}
