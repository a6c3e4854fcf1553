"""Forms of MK-MMD, each served from a process of its own to `mk_mmd.py`.

``python mk_mmd_variants.py NAME`` reads requests, one JSON object per line, and answers each with
one. It runs under two interpreters, so it imports what a form needs only when it is named. All
forms compute loss and gradient of the reference's definition (five widths, the middle one the
mean squared distance, biased) unless their name says otherwise.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

N_KERNELS = 5
Step = Callable[[], Any]


def rows(n: int, d: int, narrow: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Two normal samples a little apart; narrow ones are as a sigmoid layer early in training."""
    generator = np.random.default_rng(0)
    source, target = generator.normal(size=(n, d)), generator.normal(0.1, 1, size=(n, d))
    if narrow:
        source, target = (1 / (1 + np.exp(-0.01 * x)) for x in (source, target))
    return source.astype(np.float32), target.astype(np.float32)


def thinfile_step(n: int, d: int) -> Step:
    return _torch_step(n, d, _thinfile("biased"))


def linear_step(n: int, d: int) -> Step:
    return _torch_step(n, d, _thinfile("linear"))


def products_step(n: int, d: int) -> Step:
    """Distances from a matrix product, one exponential and squarings, autograd."""

    def loss(source: Any, target: Any) -> Any:
        import torch

        joined = torch.cat([source, target])
        joined = joined - joined.mean(dim=0)
        norm = joined.square().sum(dim=1)
        distance = (norm[:, None] + norm - 2 * joined @ joined.T).clamp(min=0)
        power = torch.exp(-distance / (_width(distance) * 2 ** (N_KERNELS // 2)))
        kernels = [power]
        for _ in range(N_KERNELS - 1):
            kernels.append(kernels[-1] * kernels[-1])
        return _means(sum(kernels), len(source))

    return _torch_step(n, d, loss)


def eager_step(n: int, d: int) -> Step:
    """The reference's definition word for word: all differences at once."""

    def loss(source: Any, target: Any) -> Any:
        import torch

        joined = torch.cat([source, target])
        distance = (joined[None] - joined[:, None]).square().sum(dim=2)
        width = _width(distance)
        kernels = [torch.exp(-distance / (width * 2.0 ** (k - 2))) for k in range(N_KERNELS)]
        return _means(sum(kernels), len(source))

    return _torch_step(n, d, loss)


def per_kernel_step(n: int, d: int) -> Step:
    """As libraries with one module per kernel do it: differences anew for every kernel."""

    def kernel(joined: Any, factor: float) -> Any:
        import torch

        distance = (joined[None] - joined[:, None]).square().sum(dim=2)
        return torch.exp(-distance / (factor * _width(distance)))

    def loss(source: Any, target: Any) -> Any:
        import torch

        joined = torch.cat([source, target])
        return _means(sum(kernel(joined, 2.0 ** (k - 2)) for k in range(N_KERNELS)), len(source))

    return _torch_step(n, d, loss)


def skada_step(n: int, d: int) -> Step:
    """skada's own loss: 33 kernels exp(−d / σ)."""
    from skada.deep.losses import dan_loss

    return _torch_step(n, d, dan_loss)


def tensorflow_step(n: int, d: int) -> Step:
    """The reference's graph, compiled once by tf.function."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    @tf.function
    def step(source: Any, target: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([source, target])
            joined = tf.concat([source, target], axis=0)
            difference = tf.expand_dims(joined, 0) - tf.expand_dims(joined, 1)
            distance = tf.reduce_sum(difference**2, axis=2)
            n_rows = tf.cast(tf.shape(joined)[0], tf.float32)
            width = tf.stop_gradient(tf.reduce_sum(distance) / (n_rows**2 - n_rows))
            kernels = [tf.exp(-distance / (width * 2.0 ** (k - 2))) for k in range(N_KERNELS)]
            total, half = tf.add_n(kernels), tf.shape(source)[0]
            within = tf.reduce_mean(total[:half, :half]) + tf.reduce_mean(total[half:, half:])
            loss = within - 2 * tf.reduce_mean(total[:half, half:])
        return loss, tape.gradient(loss, [source, target])

    source, target = (tf.constant(x) for x in rows(n, d))
    return lambda: [part.numpy() for part in step(source, target)[1]]


STEPS: dict[str, Callable[[int, int], Step]] = {
    "thinfile": thinfile_step,
    "linear": linear_step,
    "products": products_step,
    "eager": eager_step,
    "per_kernel": per_kernel_step,
    "skada": skada_step,
    "tensorflow": tensorflow_step,
}


class Server:
    """Answers requests for one form; inputs and graphs are kept between requests."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.steps: dict[tuple[int, int], Step] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        return getattr(self, f"on_{request.pop('ask')}")(**request)

    def on_time(self, n: int, d: int, repeats: int) -> dict[str, float]:
        """CPU milliseconds per call, after one call that does not count."""
        step = self._step(n, d)
        step()
        return {"ms": _cpu_ms(step, repeats)}

    def on_memory(self, n: int, d: int) -> dict[str, float]:
        """Peak resident memory of one call beyond what was there before it, in MB."""
        self._step(24, d)()
        step = self._step(n, d)
        # What the allocator keeps from making the rows would hide part of the call.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        seconds = _cpu_ms(step, 1) / 1e3
        return {"mb": (_status("VmHWM") - before) / 1024, "seconds": seconds}

    def on_floor(self, n: int, d: int, repeats: int) -> dict[str, float]:
        """Both products and half an exponential pass, each at the better of two rates."""
        import torch

        total = 2 * n
        tile = torch.randn(256, 256), torch.randn(256, d), torch.randn(256, d)
        whole = torch.randn(total, d), torch.randn(total, total)
        exponents = -torch.rand(256, 256)
        room = torch.empty(256, 256), torch.empty(256, d), torch.empty(total, d)
        half = torch.empty(n, total)
        n_tiles = (total / 256) ** 2
        calls = {
            "gram tile": (lambda: torch.mm(tile[1], tile[2].T, out=room[0]), n_tiles / 2),
            "gram": (lambda: torch.mm(whole[0][:n], whole[0].T, out=half), 1),
            "pull tile": (lambda: torch.mm(tile[0], tile[1], out=room[1]), n_tiles),
            "pull": (lambda: torch.mm(whole[1], whole[0], out=room[2]), 1),
            "exp": (lambda: torch.exp(exponents, out=room[0]), n_tiles / 2),
        }
        ms = {}
        for name, (call, times) in calls.items():
            call()
            ms[name] = times * _cpu_ms(call, repeats if times == 1 else 30 * repeats)
        gram, pull = min(ms["gram"], ms["gram tile"]), min(ms["pull"], ms["pull tile"])
        return {"ms": gram + pull + ms["exp"]}

    def on_error(self, n: int, d: int, narrow: bool) -> dict[str, float]:
        """Gradient in float32 against autograd through exact float64 distances."""
        import torch

        pair = rows(n, d, narrow)
        leaves = [torch.tensor(x, requires_grad=True) for x in pair]
        got = torch.cat(torch.autograd.grad(_thinfile("biased")(*leaves), leaves)).double()
        joined = torch.tensor(np.concatenate(pair), dtype=torch.float64, requires_grad=True)
        mode = "donot_use_mm_for_euclid_dist"
        distance = torch.cdist(joined, joined, compute_mode=mode).square()
        width = _width(distance)
        kernels = sum(torch.exp(-distance / (width * 2.0 ** (k - 2))) for k in range(N_KERNELS))
        exact = torch.autograd.grad(_means(kernels, n), joined)[0]
        error = got - exact
        return {
            "norm": float(error.norm() / exact.norm()),
            "largest": float(error.abs().max() / exact.abs().max()),
        }

    def _step(self, n: int, d: int) -> Step:
        if (n, d) not in self.steps:
            self.steps[n, d] = STEPS[self.name](n, d)
        return self.steps[n, d]


def _torch_step(n: int, d: int, loss: Callable[[Any, Any], Any]) -> Step:
    import torch

    leaves = [torch.tensor(x, requires_grad=True) for x in rows(n, d)]
    return lambda: torch.autograd.grad(loss(*leaves), leaves)


def _thinfile(estimator: Any) -> Callable[[Any, Any], Any]:
    from thinfile.nn.divergence import mk_mmd

    return lambda source, target: mk_mmd(source, target, estimator=estimator)


def _width(distance: Any) -> Any:
    n_rows = len(distance)
    return distance.detach().sum() / (n_rows**2 - n_rows)


def _means(kernels: Any, n: int) -> Any:
    return kernels[:n, :n].mean() + kernels[n:, n:].mean() - 2 * kernels[:n, n:].mean()


def _cpu_ms(call: Step, repeats: int) -> float:
    start = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - start) / repeats * 1e3


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def main() -> None:
    name = sys.argv[1]
    if name != "tensorflow":
        import torch

        torch.set_num_threads(1)
    server = Server(name)
    for line in sys.stdin:
        print("answer " + json.dumps(server.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
