"""What a pass over histories costs, and how fast networks on them learn.

``KERAS_PYTHON=… python benchmarks/sequences.py`` writes ``benchmarks/results/sequences.md`` and a
picture of the curves beside it. Keras runs in the interpreter that KERAS_PYTHON names (with keras
and tensorflow-cpu in it) and is "not installed" where there is none.

Speed: sequences per CPU-second of whole training steps (batch making, forward, backward, Adam),
one thread, 16 numbers per event, 64 units, the same read-out (last, mean, maximum) everywhere. All
variants run in every repetition, one after the other; medians, and ratios within a repetition.

The figures of each part are kept below `runs/sequences`, so the parts can be run one by one with
``--part speed`` and ``--part learning``; ``--part page`` writes the page again.

Learning: AUC at the validation cut against the CPU-seconds of `history_`, on Online Retail and on
the synthetic log.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
RUNS = Path("runs/sequences")
PAGE, PICTURE = RESULTS / "sequences.md", RESULTS / "sequences_curves.svg"

CHANNELS, HIDDEN, LONGEST = 16, 64, 100
N_EQUAL, N_UNEQUAL, BATCH, N_TOKENS = 2048, 4096, 256, 4096

Clock = list[float]
"""CPU time at the end of each pass; the first pass warms up."""


def equal_lengths() -> np.ndarray:
    return np.full(N_EQUAL, LONGEST)


def unequal_lengths() -> np.ndarray:
    """Log-normal, mean 26, at most 100."""
    drawn = np.random.default_rng(0).lognormal(2.95, 0.85, N_UNEQUAL)
    return np.clip(np.round(drawn), 1, LONGEST).astype(np.int64)


def data(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Events one behind the other, and labels."""
    rng = np.random.default_rng(1)
    numbers = rng.normal(size=(lengths.sum(), CHANNELS)).astype(np.float32)
    return numbers, rng.integers(0, 2, len(lengths)).astype(np.float32)


def filled(lengths: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """All histories filled up to the longest there may be, shape (rows, 100, 16)."""
    x = np.zeros((len(lengths), LONGEST, CHANNELS), np.float32)
    x[np.arange(LONGEST) < lengths[:, None]] = numbers
    return x


def network(**parts: Any) -> Any:
    import torch

    from thinfile.nn.sequence import HistoryEncoder, SequenceNetwork

    torch.manual_seed(0)
    encoder = HistoryEncoder(CHANNELS, [], hidden_width=HIDDEN, **parts)
    return SequenceNetwork(encoder, 0, [], ())


def pass_twice(net: Any, batches: Any, clock: Clock) -> None:
    """Two epochs of thinfile's loop over batches of (codes, numbers, lengths, y)."""
    import torch
    from torch.nn import functional

    from thinfile.training.loop import train
    from thinfile.training.optimizer import adam
    from thinfile.training.phase import Phase

    def loss(batch: Any) -> dict[str, torch.Tensor]:
        *history, y = batch
        empty = y.new_empty(len(y), 0)
        logit = net(empty, empty.long(), tuple(history))
        return {"loss": functional.binary_cross_entropy_with_logits(logit, y)}

    train(
        net,
        Phase(adam(net.parameters(), 1e-3), loss),
        batches,
        max_epochs=2,
        on_check=lambda record: clock.append(time.process_time()),
    )


def by_length(lengths: np.ndarray, clock: Clock, *, budget: bool, **parts: Any) -> None:
    """thinfile: batches of like length, filled up one by one."""
    import torch

    from thinfile.training.length_batches import FlatEvents, LengthBatches

    numbers, y = data(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    codes, days = np.empty((len(numbers), 0), np.int32), np.ones(len(numbers), np.float32)
    events, labels = FlatEvents.of(codes, numbers, days, offsets), torch.from_numpy(y)
    size = {"n_tokens": N_TOKENS} if budget else {"n_tokens": 10**9, "max_rows": BATCH}
    batches = LengthBatches(lengths, lambda rows: (*events.padded(rows), labels[rows]), **size)
    pass_twice(network(**parts), batches, clock)


def all_filled(lengths: np.ndarray, clock: Clock, *, packed: bool = False, **parts: Any) -> None:
    """The same network on tensors filled up to 100 events, in random order."""
    import torch

    from thinfile.training.batches import TensorBatches

    numbers, y = data(lengths)
    tensors = [filled(lengths, numbers), lengths, y]
    x, n, labels = (torch.from_numpy(each) for each in tensors)
    codes = torch.empty(len(x), LONGEST, 0, dtype=torch.int32)
    net = network(**parts)
    if packed:
        net.encoder.recurrent = _packed(net.encoder.recurrent)
    pass_twice(net, TensorBatches((codes, x, n, labels), BATCH), clock)


def _packed(lstm: Any) -> Any:
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = lstm

        def forward(self, x: Any) -> Any:
            lengths = (x != 0).any(2).sum(1).clamp(min=1)
            rows = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            return pad_packed_sequence(
                self.lstm(rows)[0], batch_first=True, total_length=x.shape[1]
            )

    return Packed()


def keras(lengths: np.ndarray, clock: Clock, *, convolution: bool, masked: bool = False) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import tensorflow as tf
    from keras import Input, Model, callbacks, layers

    if not clock and tf.config.threading.get_intra_op_parallelism_threads() != 1:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    numbers, y = data(lengths)
    x = inputs = Input((LONGEST, CHANNELS))
    if masked:
        x = layers.Masking()(x)
    if convolution:
        x = layers.Conv1D(32, 5, padding="causal", activation="relu")(x)
        x = layers.MaxPooling1D(4)(x)
    x = layers.LSTM(HIDDEN, return_sequences=True)(x)
    read = [x[:, -1], layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)]
    model = Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Concatenate()(read)))
    model.compile("adam", "binary_crossentropy")
    note = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: clock.append(time.process_time())
    )
    rows = filled(lengths, numbers)
    model.fit(rows, y, batch_size=BATCH, epochs=2, verbose=0, callbacks=[note])


Variant = Callable[[np.ndarray, Clock], None]
LSTM, CNN = {"convolution": False}, {"recurrent": False}

EQUAL: dict[str, Variant] = {
    "LSTM": lambda n, c: by_length(n, c, budget=False, **LSTM),
    "GRU": lambda n, c: by_length(n, c, budget=False, cell="gru", **LSTM),
    "CNN + pooling + LSTM": lambda n, c: by_length(n, c, budget=False),
    "CNN + pooling + GRU": lambda n, c: by_length(n, c, budget=False, cell="gru"),
    "CNN + LSTM without pooling": lambda n, c: by_length(n, c, budget=False, pool_size=1),
    "CNN alone": lambda n, c: by_length(n, c, budget=False, **CNN),
    "mean of events": lambda n, c: by_length(n, c, budget=False, **LSTM, **CNN),
    "Keras LSTM": lambda n, c: keras(n, c, convolution=False),
    "Keras CNN + pooling + LSTM": lambda n, c: keras(n, c, convolution=True),
}
UNEQUAL: dict[str, Variant] = {
    "LSTM, filled up to 100": lambda n, c: all_filled(n, c, **LSTM),
    "LSTM, packed": lambda n, c: all_filled(n, c, packed=True, **LSTM),
    "LSTM, by length, 256 rows": lambda n, c: by_length(n, c, budget=False, **LSTM),
    "LSTM, by length, 4,096 events": lambda n, c: by_length(n, c, budget=True, **LSTM),
    "CNN + pooling + LSTM, filled up to 100": all_filled,
    "CNN + pooling + LSTM, by length, 4,096 events": lambda n, c: by_length(n, c, budget=True),
    "Keras LSTM, filled up to 100, masked": lambda n, c: keras(
        n, c, convolution=False, masked=True
    ),
}
SETS = {
    "equal": (EQUAL, equal_lengths, "LSTM"),
    "unequal": (UNEQUAL, unequal_lengths, "LSTM, filled up to 100"),
}


def work() -> None:
    """Measure what standard input asks for, one request per line, until it ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        kind, name = json.loads(line)
        clock: Clock = []
        lengths = SETS[kind][1]()
        try:
            _run(kind, name, lengths, clock)
            answer = len(lengths) / (clock[1] - clock[0])
        except ImportError:
            answer = None
        print(json.dumps(answer), file=answers, flush=True)


def _run(kind: str, name: str, lengths: np.ndarray, clock: Clock) -> None:
    if name.startswith("Keras"):
        SETS[kind][0][name](lengths, clock)
        return
    from thinfile.training.device import lean_cpu

    with lean_cpu():
        SETS[kind][0][name](lengths, clock)


class Worker:
    """A process of its own for each interpreter, asked one measurement at a time."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, __file__, "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, kind: str, name: str) -> float | None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([kind, name]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the process that ran {name!r} ended")
        speed: float | None = json.loads(answer)
        return speed


Speeds = dict[str, list[float]]


def measure(kind: str, n_repetitions: int, workers: dict[str, Worker]) -> Speeds:
    speeds: Speeds = {}
    for _ in range(n_repetitions):
        for name in SETS[kind][0]:
            worker = workers.get("keras" if name.startswith("Keras") else "ours")
            speed = worker.ask(kind, name) if worker else None
            if speed is not None:
                speeds.setdefault(name, []).append(speed)
    return speeds


def speed_table(kind: str, speeds: Speeds) -> list[str]:
    variants, _, base = SETS[kind]
    lines = [
        f"| network and batches | sequences per CPU-second | times *{base}* (lowest – highest) |",
        "|---|---|---|",
    ]
    for name in variants:
        if name not in speeds:
            lines.append(f"| {name} | not installed | |")
            continue
        ratios = [own / other for own, other in zip(speeds[name], speeds[base], strict=True)]
        lines.append(
            f"| {name} | {statistics.median(speeds[name]):,.0f} | {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} – {max(ratios):.2f}) |"
        )
    return lines


def verdicts(equal: Speeds, unequal: Speeds) -> list[str]:
    """What was promised, and what came out."""
    found = [
        ("by length with a budget, LSTM filled up to 100", unequal,
         "LSTM, by length, 4,096 events", "LSTM, filled up to 100", 3.0),
        ("CNN + pooling + LSTM against LSTM alone", equal, "CNN + pooling + LSTM", "LSTM", 3.0),
        ("LSTM against Keras' LSTM", equal, "LSTM", "Keras LSTM", None),
        ("CNN + pooling + LSTM against Keras'", equal, "CNN + pooling + LSTM",
         "Keras CNN + pooling + LSTM", None),
    ]  # fmt: skip
    lines = []
    for title, speeds, own, other, bar in found:
        if own in speeds and other in speeds:
            ratios = [a / b for a, b in zip(speeds[own], speeds[other], strict=True)]
            ratio = statistics.median(ratios)
            word = "" if bar is None else f": {'met' if ratio >= bar else 'MISSED'} (bar {bar:g})"
            lines.append(f"- {title}: {ratio:.2f} times{word}")
    return lines


# How fast they learn ---------------------------------------------------------------------------

LEARNERS: dict[str, dict[str, Any]] = {
    "CNN + LSTM": {},
    "LSTM alone": {"convolution": False},
    "GRU alone": {"convolution": False, "cell": "gru"},
    "CNN alone": {"recurrent": False},
    "mean of events": {"convolution": False, "recurrent": False},
}


def learn(task: Any, arguments: dict[str, Any], seed: int, max_epochs: int) -> dict[str, Any]:
    """One fit on histories alone: its curve, and the AUC at the test cut."""
    from sequence_tasks import CUT
    from thinfile.metrics.ranking import roc_auc
    from thinfile.sequence.cnn_lstm import CNNLSTMClassifier

    table, known = task.table(flat=False), ~task.is_test
    model = CNNLSTMClassifier(
        time_column=CUT,
        validation_fraction=task.n_validation / known.sum(),
        max_epochs=max_epochs,
        patience=None,
        target_rate=None,
        device="cpu",
        random_state=seed,
        **arguments,
    ).fit(table.filter(known), task.y[known])
    score = model.predict_proba(table.filter(task.is_test))[:, 1]
    keys = ("cpu_seconds", "validation_auc")
    return {
        "curve": [[record[key] for key in keys] for record in model.history_],
        "test": roc_auc(task.y[task.is_test], score),
    }


def curves(task: Any, n_seeds: int, max_epochs: int) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [learn(task, arguments, seed, max_epochs) for seed in range(n_seeds)]
        for name, arguments in LEARNERS.items()
    }


def learning_table(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """When each came within 0.01 of the LSTM's best, and what it reached."""
    level = statistics.mean(_best(run) for run in found["LSTM alone"]) - 0.01
    grid = _grid(found)
    lines = [
        "| network | " + " | ".join(f"after {s:g} s" for s in grid)
        + f" | CPU-s to {level:.3f} | best validation AUC | test AUC |",
        "|---" * (len(grid) + 4) + "|",
    ]  # fmt: skip
    for name, runs in found.items():
        cells = [_mean([_after(run, s) for run in runs]) for s in grid]
        reached = [_reached(run, level) for run in runs]
        known = [s for s in reached if s is not None]
        when = f"{statistics.mean(known):.1f}" if len(known) == len(runs) else "not reached"
        best, test = _mean([_best(r) for r in runs]), _mean([r["test"] for r in runs])
        lines.append(f"| {name} | " + " | ".join([*cells, when, best, test]) + " |")
    return lines


def learning_words(found: dict[str, list[dict[str, Any]]]) -> str:
    """The claim that convolution and pooling make an LSTM learn faster, held against the runs."""
    level = statistics.mean(_best(run) for run in found["LSTM alone"]) - 0.01
    times, bests = [], []
    for name in ("CNN + LSTM", "LSTM alone"):
        reached = [at for run in found[name] if (at := _reached(run, level)) is not None]
        times.append(statistics.mean(reached) if len(reached) == len(found[name]) else None)
        bests.append(statistics.mean(_best(run) for run in found[name]))
    difference = f"its best validation AUC is {bests[0] - bests[1]:+.3f} beside the LSTM's"
    if times[0] is None or times[1] is None:
        return (
            f"CNN + LSTM does not come within 0.01 of the LSTM's best in every run; {difference}."
        )
    share = times[1] / times[0]
    word = (
        f"{share:.1f} times sooner" if share > 1 else f"later ({1 / share:.1f} times the seconds)"
    )
    return (
        f"CNN + LSTM comes within 0.01 of the LSTM's best after {times[0]:.1f} CPU-seconds, the "
        f"LSTM after {times[1]:.1f}: {word}; {difference}."
    )


def _grid(found: dict[str, list[dict[str, Any]]]) -> list[float]:
    longest = max(run["curve"][-1][0] for run in found["LSTM alone"])
    return [float(f"{share * longest:.1g}") for share in (0.05, 0.1, 0.2, 0.4, 0.8)]


def _best(run: dict[str, Any]) -> float:
    return max(auc for _, auc in run["curve"])


def _after(run: dict[str, Any], seconds: float) -> float | None:
    reached = [auc for at, auc in run["curve"] if at <= seconds]
    return max(reached) if reached else None


def _reached(run: dict[str, Any], level: float) -> float | None:
    return next((at for at, auc in run["curve"] if auc >= level), None)


def _mean(values: list[float | None]) -> str:
    known = [v for v in values if v is not None]
    return f"{statistics.mean(known):.3f}" if len(known) == len(values) else "–"


def picture(found: dict[str, dict[str, list[dict[str, Any]]]]) -> bool:
    """All curves, one panel per log; False where altair is not installed."""
    try:
        import altair as alt
        import polars as pl
        import vl_convert  # noqa: F401
    except ImportError:
        return False
    rows = [
        {"log": log, "network": name, "run": f"{name} {i}", "CPU-seconds": at, "AUC": auc}
        for log, runs in found.items()
        for name, each in runs.items()
        for i, run in enumerate(each)
        for at, auc in run["curve"]
    ]
    chart = (
        alt.Chart(pl.DataFrame(rows))
        .mark_line(point=True)
        .encode(
            x="CPU-seconds:Q",
            y=alt.Y("AUC:Q", scale=alt.Scale(zero=False), title="AUC at the validation cut"),
            color="network:N",
            detail="run:N",
        )
        .properties(width=420, height=280)
        .facet("log:N", columns=1)
        .resolve_scale(x="independent", y="independent")
    )
    chart.save(str(PICTURE))
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--part", choices=("all", *PARTS, "page"), default="all")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work()
    RUNS.mkdir(parents=True, exist_ok=True)
    for part, run in PARTS.items():
        if arguments.part in ("all", part):
            (RUNS / f"{part}.json").write_text(json.dumps(run(arguments)))
    if all((RUNS / f"{part}.json").exists() for part in PARTS):
        speed, learning = (json.loads((RUNS / f"{part}.json").read_text()) for part in PARTS)
        PAGE.write_text(page(speed, learning, has_picture=picture(learning["found"])))
        print(PAGE.read_text())


def run_speed(arguments: argparse.Namespace) -> dict[str, Any]:
    workers = {"ours": Worker(sys.executable)}
    if python := os.environ.get("KERAS_PYTHON"):
        workers["keras"] = Worker(python)
    speeds = {kind: measure(kind, arguments.repetitions, workers) for kind in SETS}
    return {**speeds, "repetitions": arguments.repetitions}


def run_learning(arguments: argparse.Namespace) -> dict[str, Any]:
    import sequence_tasks as tasks

    logs = [tasks.online_retail(), tasks.synthetic()]
    return {
        "found": {task.title: curves(task, arguments.seeds, arguments.epochs) for task in logs},
        "words": {task.title: task.words() for task in logs},
        "seeds": arguments.seeds,
        "epochs": arguments.epochs,
    }


PARTS = {"speed": run_speed, "learning": run_learning}


def page(speed: dict[str, Any], learning: dict[str, Any], *, has_picture: bool) -> str:
    import torch

    lengths = unequal_lengths()
    equal, unequal = speed["equal"], speed["unequal"]
    parts = [
        "# Sequences: speed and learning",
        "",
        "`KERAS_PYTHON=… python benchmarks/sequences.py`: CPU time, one thread, "
        f"{speed['repetitions']} interleaved repetitions, medians; {platform.machine()}, "
        f"{os.cpu_count()} cores shared with other work, torch {torch.__version__}.",
        "",
        *verdicts(equal, unequal),
        "",
        f"## All histories of {LONGEST} events ({CHANNELS} numbers each, {HIDDEN} units, batches "
        f"of {BATCH})",
        "",
        *speed_table("equal", equal),
        "",
        f"## Unequal lengths (log-normal, mean {lengths.mean():.0f}, at most {lengths.max()})",
        "",
        *speed_table("unequal", unequal),
        "",
        "## Who learns faster",
        "",
        "AUC at the validation cut against CPU-seconds of the fit (checks included), on histories "
        f"alone, {learning['seeds']} seeds, {learning['epochs']} epochs; best so far. Test AUC is "
        "that of the best check.",
        "",
    ]
    if has_picture:
        parts += [f"![curves]({PICTURE.name})", ""]
    for title, found in learning["found"].items():
        parts += [f"### {title}", "", learning["words"][title] + ".", ""]
        parts += [learning_words(found), "", *learning_table(found), ""]
    return "\n".join(parts)


if __name__ == "__main__":
    main()
