"""DeepFM on Frappe with the public benchmark's setting, through the public class.

``python benchmarks/frappe.py`` writes ``benchmarks/results/frappe.md``. It needs the public tables
(``THINFILE_DATA``) and about four CPU-minutes per fit; ``--kept FILE`` keeps each fit's result in
a file, so that a run that was cut off goes on where it was.

Setting of the benchmark (Zhu et al., BARS, SIGIR 2022): dim 10, MLP 3 × 400, batch norm, dropout
0.2, L2 0.05 on the whole table, Adam 1e-3, batches of 4,096; learning rate × 0.1 after each epoch
without a better validation AUC, stop after two of them. Each fit is a process of its own.
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
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

RESULT = Path(__file__).parent / "results" / "frappe.md"
PUBLISHED_MEAN, BAR = 0.98395, 0.9836
SEEDS = (0, 1, 2)

VARIANTS: dict[str, dict[str, Any]] = {
    "`DeepFMClassifier.reference()`": {},
    "touched rows only (`TouchedAdam`)": {"touched_rows_above": 0},
    "products in bfloat16": {"precision": "bfloat16"},
}


def fit(variant: str, seed: int) -> dict[str, Any]:
    """Train on the rebuilt file, stop by the published validation, score the published test."""
    import polars as pl
    import torch

    from frappe_data import load_frappe
    from thinfile.metrics.ranking import roc_auc
    from thinfile.tabular.deepfm import DeepFMClassifier

    torch.set_num_threads(1)
    parts, _ = load_frappe()
    held = ("train", "validation")
    frame = pl.concat([parts[n].frame().with_columns(stage=pl.lit(i)) for i, n in enumerate(held)])
    y = [label for name in held for label in parts[name].y.tolist()]
    columns = parts["test"].frame().columns
    model = DeepFMClassifier.reference(
        sparse=columns,
        time_column="stage",  # validation is "later" than training: it decides when to stop
        validation_fraction=len(parts["validation"].y) / len(y),
        random_state=seed,
        target_rate=None,
        **VARIANTS[variant],
    )
    began = time.process_time()
    model.fit(frame, y)
    seconds = time.process_time() - began
    assert model.n_validation_ == len(parts["validation"].y)
    test = parts["test"]
    score = model.predict_proba(test.frame().with_columns(stage=pl.lit(2)))[:, 1]
    return {
        "test": roc_auc(test.y, score),
        "validation": max(record["validation_auc"] for record in model.history_),
        "epochs": len(model.history_),
        "seconds": seconds,
    }


def results(kept: Path | None, variants: list[str], seeds: tuple[int, ...]) -> dict[str, Any]:
    """Run what is not kept yet."""
    known = {}
    if kept is not None and kept.exists():
        known = {tuple(key): one for key, one in map(json.loads, kept.read_text().splitlines())}
    for variant in variants:
        for seed in seeds:
            if (variant, seed) in known:
                continue
            command = [sys.executable, __file__, "--fit", variant, str(seed)]
            answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            known[variant, seed] = json.loads(answer.stdout.splitlines()[-1])
            print(variant, seed, known[variant, seed], file=sys.stderr)
            if kept is not None:
                with kept.open("a") as file:
                    file.write(json.dumps([[variant, seed], known[variant, seed]]) + "\n")
    return {v: [one for (name, _), one in known.items() if name == v] for v in variants}


def table(found: dict[str, list[dict[str, float]]]) -> str:
    lines = [
        "| variant | test AUC, mean | of each seed | to the first row | validation AUC "
        "| epochs | CPU-s a fit |",
        "|---|---|---|---|---|---|---|",
    ]
    first = next(iter(found.values()))
    for name, fits in found.items():
        if not fits:
            continue
        auc = [one["test"] for one in fits]
        apart = statistics.mean(o["test"] - f["test"] for o, f in zip(fits, first, strict=False))
        epochs = "/".join(str(one["epochs"]) for one in fits)
        lines.append(
            f"| {name} | {statistics.mean(auc):.5f} | {' '.join(f'{a:.5f}' for a in auc)} "
            f"| {apart:+.5f} | {statistics.mean(o['validation'] for o in fits):.5f} | {epochs} "
            f"| {statistics.mean(o['seconds'] for o in fits):.0f} |"
        )
    return "\n".join(lines)


def page(found: dict[str, list[dict[str, float]]]) -> str:
    import torch

    headline = [one["test"] for one in next(iter(found.values()))]
    mean, n_seeds = statistics.mean(headline), len(headline)
    verdict = "met" if mean >= BAR else "**missed**"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    return (
        "# DeepFM on Frappe\n\n"
        "`python benchmarks/frappe.py`: published validation (57,722 rows) and test (28,860), "
        "training file rebuilt (202,027 rows, `benchmarks/frappe_data.py`), benchmark's setting, "
        f"one thread, CPU time; {machine}.\n\n"
        f"Mean test AUC of {n_seeds} seeds {mean:.5f}; bar {BAR}: {verdict}. The public "
        f"benchmark's mean of five is {PUBLISHED_MEAN}. Differences are of the same seeds.\n\n"
        f"{table(found)}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kept", type=Path, help="file of results, one fit per line")
    parser.add_argument("--table", action="store_true", help="write what is kept, fit nothing")
    parser.add_argument("--only", type=int, default=len(VARIANTS), help="first so many variants")
    parser.add_argument("--fit", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fit:
        print(json.dumps(fit(arguments.fit[0], int(arguments.fit[1]))))
        return
    seeds = () if arguments.table else SEEDS
    text = page(results(arguments.kept, list(VARIANTS)[: arguments.only], seeds))
    RESULT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
