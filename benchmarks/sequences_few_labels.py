"""Does pretraining on all customers pay where labels are few?

``python benchmarks/sequences_few_labels.py`` writes
``benchmarks/results/sequences_few_labels.md``. 100, 300 and 1,000 labels are drawn from the rows
of the training and validation cuts (all of them are there without a label, too), models are judged
at the test cut. The pretrained encoder is fitted once for each log and task; what is drawn anew
with each seed are the labels and the rest of the fit.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

import sequence_tasks as tasks
from thinfile.baselines.boosted import BoostedTreesClassifier
from thinfile.metrics.ranking import roc_auc
from thinfile.sequence.cnn_lstm import CNNLSTMClassifier
from thinfile.sequence.embedded import EmbeddedClassifier

PAGE = Path(__file__).parent / "results" / "sequences_few_labels.md"
RUNS = Path("runs/sequences")
BUDGETS = (100, 300, 1000)
PRETRAININGS = ("contrastive", "next_event")
NET: dict[str, Any] = {"target_rate": None, "device": "cpu", "pretrain_epochs": 5}
MAX_EPOCHS = 15

Weights = dict[str, torch.Tensor]
Fit = Callable[[np.ndarray, int], np.ndarray]
"""From labels (-1 where there is none) and a seed to scores of all rows."""


class WarmStart(CNNLSTMClassifier):
    """The supervised network, its encoder starting from weights that were pretrained before."""

    weights: Weights

    def _build(self) -> Any:
        network = super()._build()
        network.encoder.load_state_dict(self.weights)
        return network


def pretrained(task: tasks.SequenceTask, pretrain: str) -> tuple[np.ndarray, Weights, float]:
    """Embedding of all rows, the encoder's weights, and CPU-seconds of the fit."""
    table, known = task.table(flat=False), ~task.is_test
    model = EmbeddedClassifier(
        pretrain=pretrain, time_column=tasks.CUT, n_trees=1, random_state=0, **NET
    )
    began = time.process_time()
    model.fit(table.filter(known), task.y[known])
    seconds = time.process_time() - began
    assert model.encoder_network_ is not None
    return model.transform(table), model.encoder_network_.state_dict(), seconds


def trees(table: pl.DataFrame) -> Fit:
    def fit(y: np.ndarray, seed: int) -> np.ndarray:
        rows = np.flatnonzero(y >= 0)
        model = BoostedTreesClassifier(target_rate=None, random_state=seed)
        return model.fit(table[rows], y[rows]).predict_proba(table)[:, 1]

    return fit


def network(task: tasks.SequenceTask, weights: Weights | None) -> Fit:
    table, known = task.table(flat=False), ~task.is_test

    def fit(y: np.ndarray, seed: int) -> np.ndarray:
        kind = CNNLSTMClassifier if weights is None else WarmStart
        model = kind(time_column=tasks.CUT, random_state=seed, max_epochs=MAX_EPOCHS, **NET)
        if weights is not None:
            model.weights = weights
        return model.fit(table.filter(known), y[known]).predict_proba(table)[:, 1]

    return fit


def methods(task: tasks.SequenceTask) -> tuple[dict[str, Fit], dict[str, float]]:
    fits: dict[str, Fit] = {"boosted trees on aggregates": trees(task.flat)}
    fits["CNN + LSTM on histories"] = network(task, None)
    seconds = {}
    for pretrain in PRETRAININGS:
        vectors, weights, seconds[pretrain] = pretrained(task, pretrain)
        embedding = pl.DataFrame(vectors, schema=[f"e{i}" for i in range(vectors.shape[1])])
        both = pl.concat([task.flat, embedding], how="horizontal")
        fits[f"CNN + LSTM, {pretrain} first"] = network(task, weights)
        fits[f"boosted trees on embedding ({pretrain})"] = trees(embedding)
        fits[f"boosted trees on aggregates + embedding ({pretrain})"] = trees(both)
    return fits, seconds


def drawn(task: tasks.SequenceTask, budget: int, seed: int) -> np.ndarray:
    """Labels of so many rows before the test cut, -1 elsewhere."""
    known = np.flatnonzero(~task.is_test)
    chosen = np.random.default_rng(seed).choice(known, min(budget, len(known)), replace=False)
    y = np.full(len(task.y), -1)
    y[chosen] = task.y[chosen]
    return y


def run(task: tasks.SequenceTask, n_seeds: int) -> dict[str, Any]:
    fits, seconds = methods(task)
    aucs: dict[str, dict[str, list[float]]] = {name: {} for name in fits}
    for budget in BUDGETS:
        for seed in range(n_seeds):
            y = drawn(task, budget, seed)
            for name, fit in fits.items():
                auc = roc_auc(task.y[task.is_test], fit(y, seed)[task.is_test])
                aucs[name].setdefault(str(budget), []).append(auc)
                print(f"{task.title} {budget} {seed} {name}: {auc:.4f}", flush=True)
    known = ~task.is_test
    full = np.where(known, task.y, -1)
    everything = trees(task.flat)(full, 0)
    return {
        "words": task.words(),
        "aucs": aucs,
        "seconds": seconds,
        "all": roc_auc(task.y[task.is_test], everything[task.is_test]),
        "n_all": int(known.sum()),
        "seeds": n_seeds,
    }


def page(found: dict[str, dict[str, Any]]) -> str:
    parts = [
        "# Few labels: does pretraining pay?",
        "",
        "`python benchmarks/sequences_few_labels.py`: AUC at the test cut, mean over draws of the "
        "labels, in brackets the mean difference to boosted trees on aggregates with the same "
        "labels and its standard error (draws of labels only; the test rows are the same).",
        "",
    ]
    for title, result in found.items():
        seconds = ", ".join(f"{k} {v:.0f}" for k, v in result["seconds"].items())
        parts += [
            f"## {title}",
            "",
            f"{result['words']}. {result['seeds']} draws. CPU-seconds of pretraining "
            f"({NET['pretrain_epochs']} epochs): {seconds}. "
            f"Boosted trees on aggregates with all {result['n_all']} labels: {result['all']:.3f}.",
            "",
            "| method | " + " | ".join(f"{budget} labels" for budget in BUDGETS) + " |",
            "|---" * (len(BUDGETS) + 1) + "|",
        ]
        base = result["aucs"]["boosted trees on aggregates"]
        for name, by_budget in result["aucs"].items():
            cells = [
                _cell(by_budget[str(b)], base[str(b)]) if str(b) in by_budget else "not run"
                for b in BUDGETS
            ]
            parts.append(f"| {name} | " + " | ".join(cells) + " |")
        parts += ["", words(result["aucs"]), ""]
    return "\n".join(parts)


def words(aucs: dict[str, dict[str, list[float]]]) -> str:
    """What pretraining changed, for the network and beside aggregates."""

    def change(own: str, other: str) -> str:
        means = [
            statistics.mean(aucs[own][str(b)]) - statistics.mean(aucs[other][str(b)])
            for b in BUDGETS
        ]
        return ", ".join(f"{mean:+.3f}" for mean in means)

    network, plain = "CNN + LSTM on histories", "boosted trees on aggregates"
    return " ".join(
        f"Pretraining by {name} changed the network's AUC by {change(first, network)} and, as an "
        f"embedding beside aggregates, the trees' by {change(both, plain)}."
        for name in PRETRAININGS
        for first, both in [
            (f"CNN + LSTM, {name} first", f"boosted trees on aggregates + embedding ({name})")
        ]
    )


def _cell(own: list[float], base: list[float]) -> str:
    text = f"{statistics.mean(own):.3f}"
    if own is base:
        return text
    differences = [a - b for a, b in zip(own, base, strict=True)]
    error = statistics.stdev(differences) / len(own) ** 0.5 if len(own) > 1 else float("nan")
    return f"{text} ({statistics.mean(differences):+.3f} ± {error:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--log", choices=("all", *LOGS, "none"), default="all")
    arguments = parser.parse_args()
    RUNS.mkdir(parents=True, exist_ok=True)
    for name, load in LOGS.items():
        if arguments.log in ("all", name):
            found = run(load(), arguments.seeds)
            (RUNS / f"few_labels_{name}.json").write_text(json.dumps(found))
    files = {name: RUNS / f"few_labels_{name}.json" for name in LOGS}
    done = {n: json.loads(path.read_text()) for n, path in files.items() if path.exists()}
    PAGE.write_text(page({f["words"].split(":")[0]: f for f in done.values()}))
    print(PAGE.read_text())


LOGS: dict[str, Callable[[], tasks.SequenceTask]] = {
    "retail": lambda: tasks.online_retail(1),
    "synthetic": lambda: tasks.synthetic(1500, 1),
}


if __name__ == "__main__":
    main()
