"""One training step of DAN, end to end, beside its source-only step and the peers.

``PEERS_PYTHON=… python benchmarks/dan_step.py`` writes ``benchmarks/results/dan_step.md``. The
peers run in the interpreter that PEERS_PYTHON names (tensorflow, adapt, torch of the same version,
skada and skorch in it); what cannot be imported there is "not installed".

The shape of the published study: 512 source and 512 target rows of 291 columns a step, network
291-256-64-1 of sigmoid units, Adam, MMD on the 64 units. One thread, CPU time. Every variant
trains in a process of its own and waits after each epoch; in every round each of them goes on for
one epoch (eight steps), one after the other, so that what disturbs the machine disturbs all of
them alike. The median over the rounds counts; ratios are medians of the ratios within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

RESULT = Path(__file__).parent / "results" / "dan_step.md"
BATCH_SIZE, N_FEATURES, N_STEPS = 512, 291, 8
WIDTHS = (256, 64)
LEARNING_RATE, WEIGHT_DECAY, RAMP_STEPS = 0.005, 1e-5, 1000
N_LABELLED_TARGET = 64
MANY_EPOCHS = 1_000_000

LABELS = {
    "dan": "thinfile `DANClassifier.reference`",
    "no_mmd": "the same rows through the network, the source's loss alone",
    "source_only": "the same network, the source's rows alone (`MLPClassifier`)",
    "dan_both_layers": 'thinfile `DANClassifier.reference(layers="all")`',
    "dann": "thinfile `DANNClassifier`",
    "tensorflow": "reference's DAN: all differences, TensorFlow graph",
    "skada": "skada `DAN` (skorch, 33 kernels, its loader)",
    "adapt": "ADAPT `DANN` (Keras, its loader)",
}
PEERS = ("tensorflow", "skada", "adapt")
SLOW = ("tensorflow", "skada")
BARS = (
    ("DAN over the same step with the source's loss alone", "dan", "no_mmd", 1.9, True),
    ("DAN over a step that reads the source's rows alone", "dan", "source_only", 1.9, True),
    ("reference's graph over DAN", "tensorflow", "dan", 15, False),
    ("skada's DAN over DAN", "skada", "dan", 20, False),
)
Pause = Callable[[], None]
Times = dict[str, list[float]]


def rows(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source, its labels, and target, a little apart."""
    generator = np.random.default_rng(seed)
    source = generator.normal(size=(N_STEPS * BATCH_SIZE, N_FEATURES)).astype(np.float32)
    target = generator.normal(0.1, 1, size=source.shape).astype(np.float32)
    noise = generator.normal(size=len(source))
    return source, (source[:, 0] + noise > 1.4).astype(np.float32), target


# Variants: each trains for ever and calls `pause` after every N_STEPS steps ---------------------


def thinfile_dan(pause: Pause, layers: str = "last") -> None:
    from thinfile.transfer.dan import DANClassifier

    model = _paced(DANClassifier, pause).reference(layers=layers, **_endless())
    _fit(model)


def thinfile_no_mmd(pause: Pause) -> None:
    from thinfile.nn.losses import binary_cross_entropy
    from thinfile.transfer.dan import DANClassifier
    from thinfile.transfer.pairs import paired_pass

    class NoMMD(DANClassifier):
        def _terms(self, batch: Any) -> Any:
            logit = paired_pass(self.network_, batch).logit
            labelled = batch.source
            loss = binary_cross_entropy(logit, labelled["y"], weight=labelled["weight"])
            return {"classification": loss}

        def _term_weights(self, total_steps: int) -> Any:
            return {}

    _fit(_paced(NoMMD, pause).reference(**_endless()))


def thinfile_source_only(pause: Pause) -> None:
    from thinfile.tabular.mlp import MLPClassifier

    _fit(_paced(MLPClassifier, pause)(**_settings()))


def thinfile_dann(pause: Pause) -> None:
    from thinfile.transfer.dann import DANNClassifier

    ramp = {"ramp_steps": RAMP_STEPS, "match_prior": False}
    _fit(_paced(DANNClassifier, pause)(**_settings(), **ramp))


def _paced(kind: type, pause: Pause) -> Any:
    """The estimator with a pause where it would validate, and source rows alone labelled."""

    class Paced(kind):  # type: ignore[misc, valid-type]
        def _split(self, data: Any, rng: np.random.Generator) -> Any:
            return data.source, data.target_labelled

        def _check(self, held_out: Mapping[str, Any]) -> dict[str, float]:
            pause()
            return {"validation_auc": 0.5}

    return Paced


def _endless() -> dict[str, Any]:
    return {
        "max_epochs": MANY_EPOCHS,
        "patience": None,
        "checks_per_epoch": 1,
        "target_domain": "target",
        "device": "cpu",
        "random_state": 0,
    }


def _settings() -> dict[str, Any]:
    """The study's network for the methods that have no preset of that name."""
    settings = {
        "widths": WIDTHS,
        "activation": "sigmoid",
        "dropout": 0.0,
        "batch_size": BATCH_SIZE,
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
        "target_rate": None,
    }
    endless = _endless()
    del endless["checks_per_epoch"]
    return settings | endless


def _fit(model: Any) -> None:
    source, y, target = rows()
    held_out = rows(1)
    X = np.concatenate([source, target, held_out[0][:N_LABELLED_TARGET]])
    hidden = np.full(len(target), -1)
    labels = np.concatenate([y, hidden, np.arange(N_LABELLED_TARGET) % 2]).astype(np.int8)
    domain = np.repeat(["source", "target"], [len(source), len(X) - len(source)])
    model.fit(X, labels, domain=domain)


def tensorflow_dan(pause: Pause) -> None:
    tf = _tensorflow()
    layers = tf.keras.layers
    body = tf.keras.Sequential(
        [layers.Input((N_FEATURES,)), *(layers.Dense(w, activation="sigmoid") for w in WIDTHS)]
    )
    head = tf.keras.Sequential([layers.Input((WIDTHS[-1],)), layers.Dense(1)])
    weights = [*body.trainable_variables, *head.trainable_variables]
    optimizer = tf.keras.optimizers.Adam(LEARNING_RATE)
    optimizer.build(weights)

    @tf.function(reduce_retracing=True)
    def step(source: Any, y: Any, target: Any, ramp: Any) -> Any:
        with tf.GradientTape() as tape:
            hidden = body(tf.concat([source, target], axis=0), training=True)
            logit = head(hidden[:BATCH_SIZE], training=True)[:, 0]
            entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=logit)
            decay = WEIGHT_DECAY * tf.add_n([tf.nn.l2_loss(weight) for weight in weights])
            loss = tf.reduce_mean(entropy) + decay + ramp * _tensorflow_mmd(tf, hidden)
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    source, y, target = rows()
    generator, n_done = np.random.default_rng(0), 0
    while True:
        orders = [generator.permutation(len(source)).reshape(N_STEPS, -1) for _ in range(2)]
        for old, new in zip(*orders, strict=True):
            ramp = tf.constant(2 / (1 + np.exp(-10 * n_done / RAMP_STEPS)) - 1, tf.float32)
            step(*map(tf.constant, (source[old], y[old], target[new])), ramp).numpy()
            n_done += 1
        pause()


def _tensorflow_mmd(tf: Any, joined: Any, n_kernels: int = 5) -> Any:
    """Biased MMD² with all pairwise differences at once, as published."""
    difference = joined[None] - joined[:, None]
    distance = tf.reduce_sum(difference**2, axis=2)
    n_rows = 2.0 * BATCH_SIZE
    width = tf.stop_gradient(tf.reduce_sum(distance) / (n_rows**2 - n_rows))
    kernels = tf.add_n([tf.exp(-distance / (width * 2.0 ** (k - 2))) for k in range(n_kernels)])
    half = BATCH_SIZE
    within = tf.reduce_mean(kernels[:half, :half]) + tf.reduce_mean(kernels[half:, half:])
    return within - 2 * tf.reduce_mean(kernels[:half, half:])


def adapt_dann(pause: Pause) -> None:
    tf = _tensorflow()
    from adapt.feature_based import DANN

    def network(n_inputs: int, *parts: tuple[int, str | None]) -> Any:
        dense = [tf.keras.layers.Dense(width, activation=kind) for width, kind in parts]
        return tf.keras.Sequential([tf.keras.layers.Input((n_inputs,)), *dense])

    class Pacer(tf.keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            pause()

    source, y, target = rows()
    model = DANN(
        network(N_FEATURES, *((width, "sigmoid") for width in WIDTHS)),
        network(WIDTHS[-1], (1, None)),
        network(WIDTHS[-1], (32, "relu"), (1, "sigmoid")),
        Xt=target,
        loss=tf.keras.losses.BinaryCrossentropy(from_logits=True),
        optimizer=tf.keras.optimizers.Adam(LEARNING_RATE),
        verbose=0,
        random_state=0,
    )
    settings = {"epochs": MANY_EPOCHS, "batch_size": BATCH_SIZE, "verbose": 0}
    model.fit(source, y, callbacks=[Pacer()], **settings)


def skada_dan(pause: Pause) -> None:
    import torch
    from skada.deep import DAN
    from skorch.callbacks import Callback

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)

    class Pacer(Callback):  # type: ignore[misc]
        def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
            pause()

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = (N_FEATURES, *WIDTHS)
            parts = [
                part
                for before, after in zip(sizes, WIDTHS, strict=False)
                for part in (torch.nn.Linear(before, after), torch.nn.Sigmoid())
            ]
            self.body = torch.nn.Sequential(*parts)
            self.head = torch.nn.Linear(WIDTHS[-1], 2)

        def forward(self, X: Any, sample_weight: Any = None) -> Any:
            return self.head(self.body(X))

    source, y, target = rows()
    model = DAN(
        Network(),
        "body",
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        optimizer__weight_decay=WEIGHT_DECAY,
        lr=LEARNING_RATE,
        batch_size=BATCH_SIZE,
        max_epochs=MANY_EPOCHS,
        train_split=None,
        verbose=0,
        callbacks=[Pacer()],
    )
    labels = np.concatenate([y, np.full(len(target), -1)]).astype(np.int64)
    domain = np.repeat([1, -2], [len(source), len(target)])
    model.fit(np.concatenate([source, target]), labels, sample_domain=domain)


def _tensorflow() -> Any:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


VARIANTS: dict[str, Callable[[Pause], None]] = {
    "dan": thinfile_dan,
    "no_mmd": thinfile_no_mmd,
    "source_only": thinfile_source_only,
    "dan_both_layers": lambda pause: thinfile_dan(pause, layers="all"),
    "dann": thinfile_dann,
    "tensorflow": tensorflow_dan,
    "skada": skada_dan,
    "adapt": adapt_dann,
}


def work(name: str) -> None:
    """Train one variant; answer with the CPU milliseconds per step of each epoch asked for."""
    answers, sys.stdout = sys.stdout, sys.stderr
    began = time.process_time()

    def pause() -> None:
        nonlocal began
        used = time.process_time() - began
        print(json.dumps(1e3 * used / N_STEPS), file=answers, flush=True)
        if not sys.stdin.readline():
            raise SystemExit
        began = time.process_time()

    try:
        VARIANTS[name](pause)
    except ImportError:
        print(json.dumps(None), file=answers, flush=True)


# Measuring --------------------------------------------------------------------------------------


class Worker:
    """A process that trains one variant; made ready, it waits after its first epoch."""

    def __init__(self, name: str) -> None:
        python = os.environ["PEERS_PYTHON"] if name in PEERS else sys.executable
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.name = name
        self.process = subprocess.Popen(
            [python, __file__, "--worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **one_thread},
            text=True,
        )
        self.is_installed = self._answer() is not None  # the first epoch sets everything up

    def epoch(self) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        ms = self._answer()
        assert ms is not None
        return ms

    def _answer(self) -> float | None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the process that ran {self.name!r} ended")
        ms: float | None = json.loads(line)
        return ms


@contextmanager
def worker(name: str) -> Iterator[Worker]:
    one = Worker(name)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()


def measure(n_rounds: int, n_slow_rounds: int) -> Times:
    times: Times = {}
    with ExitStack() as stack:
        names = [name for name in LABELS if name not in PEERS or os.environ.get("PEERS_PYTHON")]
        workers = [stack.enter_context(worker(name)) for name in names]
        workers = [one for one in workers if one.is_installed]
        for k in range(n_rounds):
            for one in workers:
                if one.name not in SLOW or k < n_slow_rounds:
                    times.setdefault(one.name, []).append(one.epoch())
            print(f"round {k + 1} of {n_rounds}", file=sys.stderr)
    return times


def ratio(times: Times, one: str, other: str) -> float | None:
    """Median ratio within a round."""
    if one not in times or other not in times:
        return None
    pairs = zip(times[one], times[other], strict=False)
    return statistics.median(a / b for a, b in pairs)


def table(header: list[str], body: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _step_row(times: Times, name: str) -> list[str]:
    if name not in times:
        return [LABELS[name], "not installed", "", ""]
    ratios = [f"{ratio(times, name, other):.3g}×" for other in ("dan", "source_only")]
    return [LABELS[name], f"{statistics.median(times[name]):.3g}", *ratios]


def _bar_row(times: Times, bar: tuple[str, str, str, float, bool]) -> list[str]:
    what, one, other, limit, below = bar
    value, wanted = ratio(times, one, other), f"{'≤' if below else '≥'} {limit:g}×"
    if value is None:
        return [what, "not installed", wanted, ""]
    kept = value <= limit if below else value >= limit
    return [what, f"{value:.3g}×", wanted, "kept" if kept else "**missed**"]


def page(times: Times) -> str:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {version('torch')}"
    steps = [_step_row(times, name) for name in LABELS]
    passing = ratio(times, "no_mmd", "source_only")
    n_rounds, n_slow = (len(times.get(name, times["dan"])) for name in ("dan", SLOW[0]))
    return f"""# A training step of DAN

`PEERS_PYTHON=… python benchmarks/dan_step.py`: {BATCH_SIZE} + {BATCH_SIZE} rows ×
{N_FEATURES} columns, network 291-256-64-1, Adam, batches drawn and all; one thread, CPU time,
medians of {n_rounds} interleaved rounds ({n_slow} of the slow peers); {machine}.

{table(["what", "measured", "bar", ""], [_bar_row(times, bar) for bar in BARS])}

The first line is what adapting costs. A step that never reads the target is no measure of the MMD:
with the target's rows passed through the network too, it is {passing:.2f}× as long before any MMD.

{table(["step", "CPU ms", "times DAN", "times source's rows alone"], steps)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--slow-rounds", type=int, default=7)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    if options.worker:
        return work(options.worker)
    text = page(measure(options.rounds, options.slow_rounds))
    options.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
